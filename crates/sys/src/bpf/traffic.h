/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Who is connected to whom, and how much a connection carried: told once when it begins from outside, once when it ends. */
#pragma once

/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_CLOSE 7
#define TCP_LAST_ACK 9
#define TCP_CLOSING 11
#define SOCK_DONE 1 /* the other side sent its FIN (include/net/sock.h, enum sock_flags) */

/* By socket: whose connection it is and since when. Of more than 16,384 at once, the end of the least recently used ones is not
 * reported. */
struct talk { u64 opened, start; u32 pid, inbound; };
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 16384); __type(key, u64); __type(value, struct talk); } talks SEC(".maps");

static __always_inline void mine(struct talk *talk)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	talk->pid = BPF_CORE_READ(task, tgid);
	talk->start = start_of(BPF_CORE_READ(task, group_leader));
}

static __always_inline void ends_of(struct sock *sk, u16 family, u32 *local, u32 *remote)
{
	if (family == AF_INET) {
		remote[0] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		local[0] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	} else {
		bpf_core_read(remote, 16, &sk->__sk_common.skc_v6_daddr);
		bpf_core_read(local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	}
}

/* Both ends of such a connection are here: it is told by the end that began it. */
static __always_inline bool stays_here(u16 family, const u32 *a)
{
	u8 first = *(const u8 *)a;
	if (family == AF_INET)
		return first == 127;
	if (a[0] | a[1])
		return 0;
	/* ::1, and 127.0.0.0/8 in IPv6 */
	return (a[2] == 0 && a[3] == __builtin_bswap32(1)) || (a[2] == __builtin_bswap32(0xffff) && *(const u8 *)(a + 3) == 127);
}

static __always_inline void tell_talk(struct sock *sk, u32 type, const struct talk *talk, int old)
{
	struct talk_event e = {};
	struct tcp_sock *tcp = (void *)sk;
	e.type = type;
	e.pid = talk->pid;
	e.start = talk->start;
	e.opened = talk->opened;
	e.inbound = talk->inbound;
	e.at = bpf_ktime_get_boot_ns();
	e.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	/* Not skc_num: at its end the socket has given its port back already. */
	e.local_port = __builtin_bswap16(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	e.remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	e.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	ends_of(sk, e.family, e.local, e.remote);
	if (type == EV_CLOSE) {
		/* The kernel counts our SYN and our FIN as a byte each once they are acknowledged, and their FIN as one received. */
		u64 acked = BPF_CORE_READ(tcp, bytes_acked), flags = talk->inbound ? 0 : 1;
		if (old == TCP_FIN_WAIT2 || old == TCP_LAST_ACK || old == TCP_CLOSING)
			flags++;
		e.sent = acked > flags ? acked - flags : 0;
		u64 received = BPF_CORE_READ(tcp, bytes_received), done = BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1;
		e.received = received > done ? received - done : 0;
	}
	send(&e, sizeof e, type, 0);
}

/* A connection within the host is told by the end that began it; the other costs nothing more than this look. */
static __always_inline bool from_here(struct sock *sk)
{
	u32 local[4] = {}, remote[4] = {};
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	ends_of(sk, family, local, remote);
	return stays_here(family, remote);
}

static __always_inline void follow_talk(struct sock *sk, int old, int state)
{
	u64 key = (u64)sk;
	struct talk fresh = {}, *talk;
	if (state == TCP_SYN_SENT) {
		fresh.opened = bpf_ktime_get_boot_ns();
		mine(&fresh);
		bpf_map_update_elem(&talks, &key, &fresh, 0);
	} else if (state == TCP_ESTABLISHED && old == TCP_SYN_RECV) {
		if (from_here(sk) || bpf_map_lookup_elem(&talks, &key))
			return;
		fresh.opened = bpf_ktime_get_boot_ns();
		fresh.inbound = 1;
		bpf_map_update_elem(&talks, &key, &fresh, 0);
		tell_talk(sk, EV_ACCEPT, &fresh, old);
	} else if (state == TCP_FIN_WAIT1 || state == TCP_LAST_ACK) {
		/* Whoever closes it held it: states that the process itself brings about. */
		talk = bpf_map_lookup_elem(&talks, &key);
		if (talk && !talk->pid)
			mine(talk);
	} else if (state == TCP_CLOSE && old != TCP_LISTEN) {
		talk = bpf_map_lookup_elem(&talks, &key);
		if (!talk)
			return;
		fresh = *talk;
		bpf_map_delete_elem(&talks, &key);
		if (old != TCP_SYN_SENT)
			tell_talk(sk, EV_CLOSE, &fresh, old);
	}
}

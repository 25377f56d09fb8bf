// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The kernel's side of the sensor: exec, fork, exit, connect, listen, ends of connections, module, io_uring, false names and
 * signals to guarded processes from raw tracepoints, UDP and settings of the kernel from cgroup hooks.
 *
 * Raw tracepoints and not syscall tracepoints: they also see 32-bit and io_uring callers and cost nothing on other
 * system calls. Everything is read from kernel structures after the fact, so a caller cannot change it under us.
 * Nothing is filtered by name: what is not sent here can never be judged. Only what repeats itself is ([too_often]). */
#include "core_types.h"
#include "helpers.h"
#include "libbpf/bpf_core_read.h"
#include "events.h"

#define TCP_SYN_SENT 2 /* include/net/tcp_states.h */
#define TCP_LISTEN 10
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* The loader sets the sizes. What is urgent has a ring of its own: its reader is woken at once and never waits behind
 * a flood of the rest. Whatever makes and changes a process goes the same way for all below a service, so that a child
 * never overtakes its parent. Only what the service itself connects to may wait: a proxy does so all day. */
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 2 * 1024 * 1024); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 512 * 1024); } urgent SEC(".maps");
/* By process: what its events are worth. Set from outside for services that strangers can talk to, inherited here. */
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16384); __type(key, u32); __type(value, u32); } marks SEC(".maps");
/* An exec record is too large for the 512-byte stack. */
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct exec_event); } scratch SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct argv_event); } argv_scratch SEC(".maps");
/* By event type: delivered at [type], lost because the rings were full at [16 + type]. */
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 32); __type(key, u32); __type(value, u64); } counters SEC(".maps");

static __always_inline u32 mark_of(u32 pid)
{
	u32 *mark = bpf_map_lookup_elem(&marks, &pid);
	return mark ? *mark : 0;
}

static __always_inline void send(void *record, u64 len, u32 type, bool hurry)
{
	/* Flags 0: the kernel wakes the reader only when it had caught up; with the reader's nap that is one wake-up
	 * per nap under load and none of the cost of one per event. The urgent reader naps in a flood only. A full urgent
	 * ring spills into the other. */
	long full = hurry ? bpf_ringbuf_output(&urgent, record, len, 0) : -1;
	if (full)
		full = bpf_ringbuf_output(&ring, record, len, 0);
	u32 slot = full ? 16 + type : type;
	u64 *count = bpf_map_lookup_elem(&counters, &slot);
	if (count)
		(*count)++;
}

/* What any user can do in a loop and which says the same each time: so many of one kind are told of a process each second. */
struct told_of { u32 pid, type; };
struct told { u64 since, count; };
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 4096); __type(key, struct told_of); __type(value, struct told); } told SEC(".maps");

static __always_inline bool too_often(u32 type, u32 pid, u32 most)
{
	struct told_of key = { pid, type };
	u64 now = bpf_ktime_get_boot_ns();
	struct told *known = bpf_map_lookup_elem(&told, &key), fresh = { now, 1 };
	if (!known || now - known->since >= 1000000000ull) {
		bpf_map_update_elem(&told, &key, &fresh, 0);
		return 0;
	}
	if (known->count >= most)
		return 1;
	__sync_fetch_and_add(&known->count, 1);
	return 0;
}

static __always_inline u64 start_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->start_boottime))
		return BPF_CORE_READ(task, start_boottime);
	return BPF_CORE_READ((struct task_struct___before_5_5 *)task, real_start_time);
}

static __always_inline u64 effective_caps(const struct cred *cred)
{
	u32 words[2] = {};
	if (bpf_core_field_exists(cred->cap_effective.val))
		return BPF_CORE_READ(cred, cap_effective.val);
	bpf_core_read(&words, sizeof words, &((struct cred___before_6_3 *)cred)->cap_effective);
	return ((u64)words[1] << 32) | words[0];
}

static __always_inline void fill(struct head *h, u32 type, struct task_struct *task, struct task_struct *parent)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);
	h->type = type;
	h->at = bpf_ktime_get_boot_ns();
	h->pid = BPF_CORE_READ(task, tgid);
	h->tid = BPF_CORE_READ(task, pid);
	h->ppid = BPF_CORE_READ(parent, tgid);
	h->start = start_of(BPF_CORE_READ(task, group_leader));
	h->parent_start = start_of(BPF_CORE_READ(parent, group_leader));
	h->caps = effective_caps(cred);
	h->uid = BPF_CORE_READ(cred, uid.val);
	h->euid = BPF_CORE_READ(cred, euid.val);
	/* Absent when the kernel is built without auditing. */
	h->loginuid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : (u32)-1;
	h->session = bpf_core_field_exists(task->sessionid) ? BPF_CORE_READ(task, sessionid) : (u32)-1;
	struct nsproxy *proxy = BPF_CORE_READ(task, nsproxy);
	h->netns = BPF_CORE_READ(proxy, net_ns, ns.inum);
	h->mntns = BPF_CORE_READ(proxy, mnt_ns, ns.inum);
	h->pidns = BPF_CORE_READ(proxy, pid_ns_for_children, ns.inum);
	h->userns = BPF_CORE_READ(cred, user_ns, ns.inum);
	h->stdio_sockets = 0;
	h->mark = mark_of(h->pid);
}

static __always_inline u32 stdio_sockets(struct task_struct *task)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	u32 most = BPF_CORE_READ(table, max_fds), sockets = 0;
#pragma unroll
	for (u32 i = 0; i < 3; i++) {
		struct file *file = 0;
		if (i >= most || bpf_probe_read_kernel(&file, sizeof file, files + i) || !file)
			continue;
		if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFSOCK)
			sockets |= 1 << i;
	}
	return sockets;
}

#define CUT 0x80000000u

/* Where the next name goes. The compiler may not know the range of off, or it drops the mask that shows the verifier
 * that the place lies inside. */
static __always_inline char *room(struct exec_event *e, u32 off)
{
	asm volatile("" : "+r"(off));
	return &e->data[off & (DATA_MOST - 1)];
}

/* The three walks are global functions with scalar arguments: the verifier checks each once by itself instead of
 * once per caller state (9,000 instead of 900,000 instructions). They return the length written, with CUT set when
 * names were left out. */
#define NAMES_MOST 40

__noinline u32 walk_path(u64 dentry, u64 vfsmount, u32 off)
{
	u32 zero = 0, begin = off;
	struct exec_event *e = bpf_map_lookup_elem(&scratch, &zero);
	if (!e || !dentry || !vfsmount)
		return 0;
	struct dentry *d = (void *)dentry;
	struct vfsmount *v = (void *)vfsmount;
	struct mount *m = (void *)v - bpf_core_field_offset(struct mount, mnt);
	struct dentry *top = BPF_CORE_READ(v, mnt_root);
	for (int i = 0; i < NAMES_MOST; i++) {
		struct dentry *up = BPF_CORE_READ(d, d_parent);
		if (off > DATA_MOST - NAME_MOST)
			return (off - begin) | CUT;
		if (d == top || up == d) {
			struct mount *under = BPF_CORE_READ(m, mnt_parent);
			/* The very first name is its own root: a memfd, or "/" itself. Keep its name. */
			if (i == 0 && up == d) {
				long n = bpf_probe_read_kernel_str(room(e, off), NAME_MOST, BPF_CORE_READ(d, d_name.name));
				if (n > 0)
					off += n;
			}
			if (under == m)
				return off - begin;
			d = BPF_CORE_READ(m, mnt_mountpoint);
			m = under;
			top = BPF_CORE_READ(m, mnt.mnt_root);
			up = BPF_CORE_READ(d, d_parent);
			if (d == top)
				continue; /* mounted over a mount's own root */
		}
		long n = bpf_probe_read_kernel_str(room(e, off), NAME_MOST, BPF_CORE_READ(d, d_name.name));
		if (n <= 0)
			return (off - begin) | CUT;
		off += n;
		d = up;
	}
	return (off - begin) | CUT;
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *kn)
{
	struct kernfs_node___since_6_15 *now = (void *)kn;
	if (bpf_core_field_exists(now->__parent))
		return BPF_CORE_READ(now, __parent);
	return BPF_CORE_READ((struct kernfs_node___before_6_15 *)kn, parent);
}

__noinline u32 walk_cgroup(u64 node, u32 off)
{
	u32 zero = 0, begin = off;
	struct exec_event *e = bpf_map_lookup_elem(&scratch, &zero);
	struct kernfs_node *kn = (void *)node;
	if (!e)
		return 0;
	for (int i = 0; i < 16; i++) {
		struct kernfs_node *up = kn ? parent_of(kn) : 0;
		if (!up)
			return off - begin;
		if (off > DATA_MOST - NAME_MOST)
			break;
		long n = bpf_probe_read_kernel_str(room(e, off), NAME_MOST, BPF_CORE_READ(kn, name));
		if (n <= 0)
			break;
		off += n;
		kn = up;
	}
	return (off - begin) | CUT;
}

static __always_inline struct kernfs_node *controller_cgroup(struct css_set *set, int index)
{
	struct cgroup_subsys_state *css = 0;
	bpf_core_read(&css, sizeof css, &set->subsys[index & 15]);
	return BPF_CORE_READ(css, cgroup, kn);
}

/* The unified hierarchy when the process is placed in it, else (hybrid and v1 hosts) a controller's. */
static __always_inline struct kernfs_node *cgroup_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *unified = BPF_CORE_READ(set, dfl_cgrp, kn), *kn;
	if (unified && parent_of(unified))
		return unified;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		kn = controller_cgroup(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
		if (kn && parent_of(kn))
			return kn;
	}
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		kn = controller_cgroup(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
		if (kn && parent_of(kn))
			return kn;
	}
	return unified;
}

static __always_inline u64 changed_at(struct inode *inode)
{
	struct inode___before_6_11 *older = (void *)inode;
	struct inode___before_6_6 *oldest = (void *)inode;
	/* Since 6.13 the highest bit says that somebody asked for the time, and is no part of it (I_CTIME_QUERIED, linux/fs.h). */
	if (bpf_core_field_exists(inode->i_ctime_sec))
		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ull + (BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffff);
	if (bpf_core_field_exists(older->__i_ctime))
		return BPF_CORE_READ(older, __i_ctime.tv_sec) * 1000000000ull + BPF_CORE_READ(older, __i_ctime.tv_nsec);
	return BPF_CORE_READ(oldest, i_ctime.tv_sec) * 1000000000ull + BPF_CORE_READ(oldest, i_ctime.tv_nsec);
}

/* Arguments past the first piece, in a record of their own on the same ring. */
static __always_inline void send_more(struct exec_event *e, u64 from, u64 left)
{
	u32 zero = 0, len = left > ARGV_MORE ? ARGV_MORE : left;
	struct argv_event *more = bpf_map_lookup_elem(&argv_scratch, &zero);
	if (!more)
		return;
	more->type = EV_ARGV;
	more->pid = e->head.pid;
	more->start = e->head.start;
	asm volatile("" : "+r"(len));
	if (len > ARGV_MORE || bpf_probe_read_user(more->data, len, (void *)from))
		len = 0;
	more->len = len;
	u64 size = __builtin_offsetof(struct argv_event, data) + len;
	if (len)
		send(more, size, EV_ARGV, e->head.mark & MARK_URGENT);
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	u32 zero = 0, off, len;
	struct exec_event *e = bpf_map_lookup_elem(&scratch, &zero);
	if (!e)
		return 0;
	fill(&e->head, EV_EXEC, task, BPF_CORE_READ(task, real_parent));
	e->head.stdio_sockets = stdio_sockets(task);
	e->flags = 0;
	if ((e->head.mark & (MARK_URGENT | MARK_CHANGED)) == MARK_URGENT) {
		u32 pid = e->head.pid, mark = e->head.mark | MARK_CHANGED;
		bpf_map_update_elem(&marks, &pid, &mark, 0);
	}

	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct file *file = BPF_CORE_READ(mm, exe_file);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	e->inode = BPF_CORE_READ(inode, i_ino);
	e->nlink = BPF_CORE_READ(inode, i_nlink);
	e->device = BPF_CORE_READ(inode, i_sb, s_dev);
	e->magic = (u32)BPF_CORE_READ(inode, i_sb, s_magic);

	e->changed = changed_at(inode);
	e->tty[0] = 0;
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	if (tty)
		bpf_probe_read_kernel_str(e->tty, TTY_MOST, tty->name);

	/* The kernel's final copy of the arguments on the new stack: no race, one copy. */
	u64 begin = BPF_CORE_READ(mm, arg_start), total = BPF_CORE_READ(mm, arg_end) - begin;
	e->argv_total = total > 0xffffffff ? 0xffffffff : total;
	len = total > ARGV_FIRST ? ARGV_FIRST : total;
	if (bpf_probe_read_user(e->data, len & (2 * ARGV_FIRST - 1), (void *)begin)) {
		len = 0;
		e->flags |= ARGV_UNREADABLE;
	} else if (total > ARGV_FIRST) {
		send_more(e, begin + ARGV_FIRST, total - ARGV_FIRST);
	}
	e->argv_len = len;
	off = len;

	len = walk_path((u64)BPF_CORE_READ(file, f_path.dentry), (u64)BPF_CORE_READ(file, f_path.mnt), off);
	if (len & CUT)
		e->flags |= EXE_CUT;
	e->exe_len = len & ~CUT;
	off += e->exe_len;

	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	len = walk_path((u64)BPF_CORE_READ(fs, pwd.dentry), (u64)BPF_CORE_READ(fs, pwd.mnt), off);
	if (len & CUT)
		e->flags |= CWD_CUT;
	e->cwd_len = len & ~CUT;
	off += e->cwd_len;

	len = walk_cgroup((u64)cgroup_of(task), off);
	if (len & CUT)
		e->flags |= CGROUP_CUT;
	e->cgroup_len = len & ~CUT;
	off += e->cgroup_len;

	begin = BPF_CORE_READ(mm, env_start), total = BPF_CORE_READ(mm, env_end) - begin;
	len = total > ENV_MOST ? ENV_MOST : total;
	/* Paths may have used the room; what runs without its environment told is rare and says so by its length. */
	if (off > DATA_MOST - 2 * ENV_MOST || bpf_probe_read_user(room(e, off), len & (2 * ENV_MOST - 1), (void *)begin))
		len = 0;
	e->env_len = len;
	off += len;

	u64 size = __builtin_offsetof(struct exec_event, data) + off;
	if (size > sizeof *e)
		size = sizeof *e;
	send(e, size, EV_EXEC, e->head.mark & MARK_URGENT);
	return 0;
}

SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	/* The creator, not real_parent: CLONE_PARENT may not hide where a process comes from. */
	struct task_struct *creator = (void *)ctx->args[0], *child = (void *)ctx->args[1];
	struct head e = {};
	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	fill(&e, EV_FORK, child, creator);
	u32 pid = e.pid;
	e.mark = mark_of(e.ppid) & (MARK_URGENT | MARK_CHANGED);
	if (e.mark)
		bpf_map_update_elem(&marks, &pid, &e.mark, 0);
	send(&e, sizeof e, EV_FORK, e.mark & MARK_URGENT);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct exit_event e = {};
	if (BPF_CORE_READ(task, signal, live.counter) != 0)
		return 0; /* other threads live on */
	e.type = EV_EXIT;
	e.pid = BPF_CORE_READ(task, tgid);
	e.at = bpf_ktime_get_boot_ns();
	e.start = start_of(BPF_CORE_READ(task, group_leader));
	e.code = BPF_CORE_READ(task, exit_code);
	u32 pid = e.pid, mark = mark_of(pid);
	if (mark)
		bpf_map_delete_elem(&marks, &pid);
	send(&e, sizeof e, EV_EXIT, mark & MARK_URGENT);
	return 0;
}

#include "traffic.h"

SEC("raw_tp/inet_sock_set_state")
int on_socket_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (void *)ctx->args[0];
	int state = (int)ctx->args[2];
	follow_talk(sk, (int)ctx->args[1], state);
	/* Both states are entered by the process itself; the later ones by whoever the packet interrupted. */
	u32 type = state == TCP_SYN_SENT ? EV_CONNECT : state == TCP_LISTEN ? EV_LISTEN : 0;
	if (!type)
		return 0;
	struct net_event e = {};
	struct task_struct *task = (void *)bpf_get_current_task();
	fill(&e.head, type, task, BPF_CORE_READ(task, real_parent));
	e.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	e.local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	e.protocol = IPPROTO_TCP;
	e.remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	ends_of(sk, e.family, e.local, e.remote);
	send(&e, sizeof e, type, type == EV_CONNECT ? e.head.mark & MARK_CHANGED : e.head.mark & MARK_URGENT);
	return 0;
}

#define SIGKILL 9
#define SIGTERM 15
#define SIGSTOP 19

/* Somebody ends or stops a process that is guarded: a security service, or we ourselves. */
SEC("raw_tp/signal_generate")
int on_signal(struct bpf_raw_tracepoint_args *ctx)
{
	int sig = (int)ctx->args[0];
	if (sig != SIGKILL && sig != SIGTERM && sig != SIGSTOP)
		return 0;
	struct task_struct *target = (void *)ctx->args[2], *task = (void *)bpf_get_current_task();
	u32 pid = BPF_CORE_READ(target, tgid);
	/* Sent by the kernel itself: no siginfo, or the special one (include/linux/sched/signal.h, SEND_SIG_PRIV). */
	if (!(mark_of(pid) & MARK_GUARDED) || ctx->args[1] == 1 || pid == BPF_CORE_READ(task, tgid))
		return 0;
	struct privilege_event e = {};
	fill(&e.head, EV_KILL, task, BPF_CORE_READ(task, real_parent));
	e.target = pid;
	e.target_start = start_of(BPF_CORE_READ(target, group_leader));
	e.signal = sig;
	send(&e, sizeof e, EV_KILL, e.head.mark & MARK_URGENT);
	return 0;
}

SEC("raw_tp/module_load")
int on_module(struct bpf_raw_tracepoint_args *ctx)
{
	struct module *module = (void *)ctx->args[0];
	struct task_struct *task = (void *)bpf_get_current_task();
	struct privilege_event e = {};
	fill(&e.head, EV_MODULE, task, BPF_CORE_READ(task, real_parent));
	bpf_probe_read_kernel_str(e.name, sizeof e.name, module->name);
	send(&e, sizeof e, EV_MODULE, e.head.mark & MARK_URGENT);
	return 0;
}

SEC("raw_tp/io_uring_create")
int on_io_uring(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	if (too_often(EV_IO_URING, BPF_CORE_READ(task, tgid), 1))
		return 0;
	struct privilege_event e = {};
	fill(&e.head, EV_IO_URING, task, BPF_CORE_READ(task, real_parent));
	send(&e, sizeof e, EV_IO_URING, e.head.mark & MARK_URGENT);
	return 0;
}

/* UDP has no connections, so the first datagram (or connect) to a destination is told, and then again after a while:
 * one record per destination instead of one per packet. */
#define UDP_TOLD_AGAIN 30000000000ull
struct udp_peer { u32 pid, port, addr[4]; };
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 8192); __type(key, struct udp_peer); __type(value, u64); } udp_told SEC(".maps");

static __always_inline int udp(struct bpf_sock_addr *ctx, u16 family)
{
	struct net_event e = {};
	struct udp_peer peer = {};
	/* Resolvers connect to port 0 to learn which address would be used; nothing can be sent there. */
	if (ctx->protocol != IPPROTO_UDP || !ctx->user_port)
		return 1;
	struct task_struct *task = (void *)bpf_get_current_task();
	if (family == AF_INET) {
		peer.addr[0] = ctx->user_ip4;
	} else {
		peer.addr[0] = ctx->user_ip6[0];
		peer.addr[1] = ctx->user_ip6[1];
		peer.addr[2] = ctx->user_ip6[2];
		peer.addr[3] = ctx->user_ip6[3];
	}
	peer.port = __builtin_bswap16((u16)ctx->user_port);
	peer.pid = BPF_CORE_READ(task, tgid);
	u64 now = bpf_ktime_get_boot_ns(), *told = bpf_map_lookup_elem(&udp_told, &peer);
	if (told && now - *told < UDP_TOLD_AGAIN)
		return 1;
	bpf_map_update_elem(&udp_told, &peer, &now, 0);
	fill(&e.head, EV_CONNECT, task, BPF_CORE_READ(task, real_parent));
	e.family = family;
	e.protocol = IPPROTO_UDP;
	e.remote_port = peer.port;
	__builtin_memcpy(e.remote, peer.addr, sizeof e.remote);
	send(&e, sizeof e, EV_CONNECT, e.head.mark & MARK_CHANGED);
	return 1; /* always let it pass: to judge is not our part */
}

SEC("cgroup/connect4") int on_connect4(struct bpf_sock_addr *ctx) { return udp(ctx, AF_INET); }
SEC("cgroup/connect6") int on_connect6(struct bpf_sock_addr *ctx) { return udp(ctx, AF_INET6); }
SEC("cgroup/sendmsg4") int on_sendmsg4(struct bpf_sock_addr *ctx) { return udp(ctx, AF_INET); }
SEC("cgroup/sendmsg6") int on_sendmsg6(struct bpf_sock_addr *ctx) { return udp(ctx, AF_INET6); }

#include "settings.h"

/* Reading user and kernel memory is allowed to GPL-compatible programs only. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

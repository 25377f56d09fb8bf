/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What travels from the kernel to wire.rs. Sizes are asserted on both sides: a silent difference once cost a day. */
#pragma once

enum event_type { EV_EXEC = 1, EV_FORK = 2, EV_EXIT = 3, EV_CONNECT = 4, EV_LISTEN = 5 };
enum exec_flag { ARGV_UNREADABLE = 1, EXE_CUT = 2, CWD_CUT = 4, CGROUP_CUT = 8 };

/* Times are CLOCK_BOOTTIME nanoseconds. */
struct head {
	u32 type, pid, tid, ppid;
	u64 at, start, parent_start, caps;
	u32 uid, euid, loginuid, session, netns, stdio_sockets;
};
_Static_assert(sizeof(struct head) == 72, "wire.rs: Head");

#define ARGV_MOST 4096
#define DATA_MOST 16384
#define NAME_MOST 256

/* data: argv, then the path of the executable, the working directory and the cgroup. Paths are names ended by NUL,
 * last name first. Only the used part of data is sent. */
struct exec_event {
	struct head head;
	u64 inode;
	u32 device, nlink, magic, argv_total;
	u32 argv_len, exe_len, cwd_len, cgroup_len;
	u32 flags, unused;
	char data[DATA_MOST + NAME_MOST];
};
_Static_assert(__builtin_offsetof(struct exec_event, data) == 120, "wire.rs: ExecHead");

struct exit_event {
	u32 type, pid;
	u64 at, start;
	u32 code, unused;
};
_Static_assert(sizeof(struct exit_event) == 32, "wire.rs: ExitRecord");

/* Ports in host order, addresses in network order, IPv4 in the first word. */
struct net_event {
	struct head head;
	u32 remote[4], local[4];
	u16 family, local_port, remote_port, protocol; /* IPPROTO_TCP or IPPROTO_UDP */
};
_Static_assert(sizeof(struct net_event) == 112, "wire.rs: NetRecord");

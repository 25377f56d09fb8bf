/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What travels from the kernel to wire.rs. Sizes are asserted on both sides: a silent difference once cost a day. */
#pragma once

/* ARGV carries arguments past the first piece and stands before its EXEC. */
enum event_type { EV_EXEC = 1, EV_FORK = 2, EV_EXIT = 3, EV_CONNECT = 4, EV_LISTEN = 5, EV_ARGV = 6, EV_KILL = 7, EV_MODULE = 8, EV_IO_URING = 9,
	EV_ACCEPT = 10, EV_CLOSE = 11, EV_SETTING = 12, EV_FALSE_NAME = 13 };
enum exec_flag { ARGV_UNREADABLE = 1, EXE_CUT = 2, CWD_CUT = 4, CGROUP_CUT = 8 };
/* In the map of marks, by process: everything below it is urgent; whoever would end it is told of; it runs something
 * else than the service that it comes from. */
enum mark { MARK_URGENT = 1, MARK_GUARDED = 2, MARK_CHANGED = 4 };

/* Times are CLOCK_BOOTTIME nanoseconds. */
struct head {
	u32 type, pid, tid, ppid;
	u64 at, start, parent_start, caps;
	u32 uid, euid, loginuid, session, netns, stdio_sockets, mntns, pidns, userns, mark;
};
_Static_assert(sizeof(struct head) == 88, "wire.rs: Head");

#define ARGV_FIRST 4096
#define ARGV_MORE 28672 /* 32 KiB in all */
#define ENV_MOST 4096
#define DATA_MOST 16384
#define NAME_MOST 256
#define TTY_MOST 16

/* data: argv, then the path of the executable, the working directory and the cgroup, then the environment. Paths are
 * names ended by NUL, last name first. Only the used part of data is sent. */
struct exec_event {
	struct head head;
	u64 inode, changed;
	u32 device, nlink, magic, argv_total;
	u32 argv_len, exe_len, cwd_len, cgroup_len;
	u32 env_len, flags;
	char tty[TTY_MOST];
	char data[DATA_MOST + 2 * ENV_MOST]; /* so much past the mask in room() */
};
_Static_assert(__builtin_offsetof(struct exec_event, data) == 160, "wire.rs: ExecHead");

struct argv_event {
	u32 type, pid;
	u64 start;
	u32 len, unused;
	char data[ARGV_MORE];
};
_Static_assert(__builtin_offsetof(struct argv_event, data) == 24, "wire.rs: ArgvHead");

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
_Static_assert(sizeof(struct net_event) == 128, "wire.rs: NetRecord");

/* A connection from outside that was accepted, or any that ended. pid 0: nobody is known. Ports and addresses as above. */
struct talk_event {
	u32 type, pid;
	u64 at, start, opened, sent, received;
	u32 remote[4], local[4];
	u16 family, local_port, remote_port, inbound;
	u32 netns, unused;
};
_Static_assert(sizeof(struct talk_event) == 96, "wire.rs: TalkRecord");

/* A setting of the kernel is about to be written: `kernel/core_pattern`, its value now and then. */
struct setting_event {
	struct head head;
	char name[64], before[64], after[128];
};
_Static_assert(sizeof(struct setting_event) == 344, "wire.rs: SettingRecord");

/* A signal to a guarded process, a module, an io_uring, a name like a kernel thread's. */
struct privilege_event {
	struct head head;
	u64 target_start;
	u32 target, signal;
	char name[56]; /* of the module, or of the thread */
};
_Static_assert(sizeof(struct privilege_event) == 160, "wire.rs: PrivilegeRecord");

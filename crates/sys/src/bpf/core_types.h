/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The kernel types we read, and of them only the fields we read. Offsets are relocated against the running
 * kernel's BTF when the object is loaded (CO-RE), so order and gaps here mean nothing and no kernel header is
 * needed to build. A name ending in ___something is a flavour: the same kernel type in another version. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u32 __u32;
typedef u64 __u64;
typedef _Bool bool;

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9, BPF_MAP_TYPE_RINGBUF = 27 };
struct bpf_raw_tracepoint_args { u64 args[0]; };
/* Stable (include/uapi/linux/bpf.h), so not relocated. */
struct bpf_sock_addr { u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol; };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct { u32 val; } kuid_t;
struct qstr { const unsigned char *name; };
struct super_block { u32 s_dev; unsigned long s_magic; };
struct timespec64 { long long tv_sec; long tv_nsec; };
struct inode { u16 i_mode; struct super_block *i_sb; unsigned long i_ino; unsigned int i_nlink; long long i_ctime_sec; u32 i_ctime_nsec; };
struct inode___before_6_11 { struct timespec64 __i_ctime; };
struct inode___before_6_6 { struct timespec64 i_ctime; };
struct dentry { struct dentry *d_parent; struct qstr d_name; };
struct vfsmount { struct dentry *mnt_root; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; };
struct fs_struct { struct path pwd; };
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct mm_struct { unsigned long arg_start, arg_end, env_start, env_end; struct file *exe_file; };

typedef struct { u64 val; } kernel_cap_t;
struct ns_common { unsigned int inum; };
struct user_namespace { struct ns_common ns; };
struct cred { kuid_t uid, euid; kernel_cap_t cap_effective; struct user_namespace *user_ns; };
struct cred___before_6_3 { struct { u32 cap[2]; } cap_effective; };

struct net { struct ns_common ns; };
struct mnt_namespace { struct ns_common ns; };
struct pid_namespace { struct ns_common ns; };
/* The namespace that children will be in; it differs from the process's own only between unshare(2) and fork(2). */
struct nsproxy { struct net *net_ns; struct mnt_namespace *mnt_ns; struct pid_namespace *pid_ns_for_children; };

struct kernfs_node { const char *name; };
struct kernfs_node___before_6_15 { struct kernfs_node *parent; };
struct kernfs_node___since_6_15 { struct kernfs_node *__parent; };
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[16]; struct cgroup *dfl_cgrp; };
/* Values are relocated too: they differ with the kernel's configuration. */
enum cgroup_subsys_id { memory_cgrp_id = 4, pids_cgrp_id = 11 };

typedef struct { int counter; } atomic_t;
struct tty_struct { char name[64]; };
struct signal_struct { atomic_t live; struct tty_struct *tty; };
struct module { char name[56]; };
struct task_struct {
	int pid, tgid, exit_code;
	struct task_struct *real_parent, *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	const struct cred *cred;
	kuid_t loginuid;
	unsigned int sessionid;
	u64 start_boottime;
	struct signal_struct *signal;
	struct css_set *cgroups;
};
struct task_struct___before_5_5 { u64 real_start_time; };

struct in6_addr { union { u32 u6_addr32[4]; } in6_u; };
typedef struct { struct net *net; } possible_net_t;
struct sock_common {
	possible_net_t skc_net;
	unsigned long skc_flags;
	u32 skc_daddr, skc_rcv_saddr;
	u16 skc_dport, skc_num, skc_family;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};
struct sock { struct sock_common __sk_common; };
struct inet_sock { u16 inet_sport; };
struct tcp_sock { u64 bytes_received, bytes_acked; };

#pragma clang attribute pop

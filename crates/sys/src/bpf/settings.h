/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Settings of the kernel that are written, and names that a process gives itself. */
#pragma once

/* Stable (include/uapi/linux/bpf.h), so not relocated. */
struct bpf_sysctl { u32 write, file_pos; };
static long (*bpf_sysctl_get_name)(struct bpf_sysctl *ctx, char *buf, u64 len, u64 flags) = (void *)101;
static long (*bpf_sysctl_get_current_value)(struct bpf_sysctl *ctx, char *buf, u64 len) = (void *)102;
static long (*bpf_sysctl_get_new_value)(struct bpf_sysctl *ctx, char *buf, u64 len) = (void *)103;

#define SETTINGS_MOST 64 /* a second, of one process */

/* Told before the kernel takes the value over; which settings matter is judged outside. */
SEC("cgroup/sysctl")
int on_setting(struct bpf_sysctl *ctx)
{
	if (!ctx->write)
		return 1;
	struct task_struct *task = (void *)bpf_get_current_task();
	/* Root is told of whole. Others can write the settings of a network that is theirs alone, and some that the kernel refuses later. */
	if (BPF_CORE_READ(task, cred, euid.val) != 0 && too_often(EV_SETTING, BPF_CORE_READ(task, tgid), SETTINGS_MOST))
		return 1;
	struct setting_event e = {};
	bpf_sysctl_get_name(ctx, e.name, sizeof e.name, 0);
	bpf_sysctl_get_current_value(ctx, e.before, sizeof e.before);
	bpf_sysctl_get_new_value(ctx, e.after, sizeof e.after);
	fill(&e.head, EV_SETTING, task, BPF_CORE_READ(task, real_parent));
	send(&e, sizeof e, EV_SETTING, 0);
	return 1; /* always let it pass: to judge is not our part */
}

/* Whether a name is like that of a thread of the kernel: in brackets, as ps shows them, or as they call themselves. Exactly what
 * false_names.rs tells: whoever takes a name that is only nearly one may not use up what is told of him. */
#define IS(name, begin) ({ \
	bool same = 1; \
	_Pragma("unroll") for (u32 i = 0; i < sizeof begin - 1; i++) \
		if (name[i] != begin[i]) { \
			same = 0; \
			break; \
		} \
	same; \
})

static __always_inline bool like_the_kernel(const char *n)
{
	return (n[0] == '[' && n[1] && n[2]) || IS(n, "kworker/") || IS(n, "ksoftirqd/") || IS(n, "kthreadd") || IS(n, "migration/") ||
	       IS(n, "rcu_") || IS(n, "kswapd") || IS(n, "jbd2/") || IS(n, "cpuhp/") || IS(n, "irq/") || IS(n, "scsi_eh_") ||
	       IS(n, "khugepaged") || IS(n, "kdevtmpfs") || IS(n, "kcompactd") || IS(n, "kauditd") || IS(n, "khungtaskd") ||
	       IS(n, "oom_reaper");
}

#define COMM 16

/* Whether the name is that of the program itself, as long as a task keeps one. A bracket stands in no program's name that is meant well. */
static __always_inline bool is_own_name(const char *name, struct mm_struct *mm)
{
	char own[COMM] = {};
	bpf_probe_read_kernel_str(own, sizeof own, BPF_CORE_READ(mm, exe_file, f_path.dentry, d_name.name));
#pragma unroll
	for (int i = 0; i < COMM; i++) {
		if (!name[i])
			break;
		if (name[i] != own[i])
			return 0;
	}
	return name[0] != '[';
}

SEC("raw_tp/task_rename")
int on_rename(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	char name[COMM] __attribute__((aligned(8))) = {};
	bpf_probe_read_kernel_str(name, sizeof name, (void *)ctx->args[1]);
	if (!like_the_kernel(name))
		return 0;
	/* Within execve(2) the new image has no arguments yet: its own record tells of its names, once it is known whose they are. */
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	if (!mm || !BPF_CORE_READ(mm, arg_end) || is_own_name(name, mm))
		return 0;
	if (too_often(EV_FALSE_NAME, BPF_CORE_READ(task, tgid), 1))
		return 0;
	struct privilege_event e = {};
	fill(&e.head, EV_FALSE_NAME, task, BPF_CORE_READ(task, real_parent));
	__builtin_memcpy(e.name, name, sizeof name);
	send(&e, sizeof e, EV_FALSE_NAME, 0);
	return 0;
}

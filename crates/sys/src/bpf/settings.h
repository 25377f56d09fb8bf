/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Settings of the kernel that are written, and names that a process gives itself. */
#pragma once

/* Stable (include/uapi/linux/bpf.h), so not relocated. */
struct bpf_sysctl { u32 write, file_pos; };
static long (*bpf_sysctl_get_name)(struct bpf_sysctl *ctx, char *buf, u64 len, u64 flags) = (void *)101;
static long (*bpf_sysctl_get_current_value)(struct bpf_sysctl *ctx, char *buf, u64 len) = (void *)102;
static long (*bpf_sysctl_get_new_value)(struct bpf_sysctl *ctx, char *buf, u64 len) = (void *)103;

/* Told before the kernel takes the value over; which settings matter is judged outside. */
SEC("cgroup/sysctl")
int on_setting(struct bpf_sysctl *ctx)
{
	if (!ctx->write)
		return 1;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct setting_event e = {};
	bpf_sysctl_get_name(ctx, e.name, sizeof e.name, 0);
	bpf_sysctl_get_current_value(ctx, e.before, sizeof e.before);
	bpf_sysctl_get_new_value(ctx, e.after, sizeof e.after);
	fill(&e.head, EV_SETTING, task, BPF_CORE_READ(task, real_parent));
	send(&e, sizeof e, EV_SETTING, e.head.mark & MARK_URGENT);
	return 1; /* always let it pass: to judge is not our part */
}

#define BEGINS(n, a, b, c, d) (n[0] == a && n[1] == b && n[2] == c && n[3] == d)

/* Whether a name begins like that of a thread of the kernel: in brackets, as ps shows them, or as they call themselves. The whole
 * name is looked at outside. */
static __always_inline bool like_the_kernel(const char *n)
{
	return n[0] == '[' || BEGINS(n, 'k', 'w', 'o', 'r') || BEGINS(n, 'k', 's', 'o', 'f') || BEGINS(n, 'k', 't', 'h', 'r') ||
	       BEGINS(n, 'm', 'i', 'g', 'r') || BEGINS(n, 'r', 'c', 'u', '_') || BEGINS(n, 'k', 's', 'w', 'a') ||
	       BEGINS(n, 'j', 'b', 'd', '2') || BEGINS(n, 'c', 'p', 'u', 'h') || BEGINS(n, 'i', 'r', 'q', '/') ||
	       BEGINS(n, 's', 'c', 's', 'i') || BEGINS(n, 'k', 'h', 'u', 'g') || BEGINS(n, 'k', 'd', 'e', 'v') ||
	       BEGINS(n, 'k', 'c', 'o', 'm') || BEGINS(n, 'k', 'a', 'u', 'd') || BEGINS(n, 'k', 'h', 'u', 'n') ||
	       BEGINS(n, 'o', 'o', 'm', '_');
}

SEC("raw_tp/task_rename")
int on_rename(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	char name[16] = {};
	bpf_probe_read_kernel_str(name, sizeof name, (void *)ctx->args[1]);
	if (!like_the_kernel(name) || !BPF_CORE_READ(task, mm))
		return 0;
	struct privilege_event e = {};
	fill(&e.head, EV_FALSE_NAME, task, BPF_CORE_READ(task, real_parent));
	__builtin_memcpy(e.name, name, sizeof name);
	send(&e, sizeof e, EV_FALSE_NAME, e.head.mark & MARK_URGENT);
	return 0;
}

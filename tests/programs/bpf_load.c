/* Loads the smallest BPF program there is and holds it for a while. */
#include <linux/bpf.h>
#include "common.h"

int main(void)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2 };
	attributes.insns = (uintptr_t)code;
	attributes.license = (uintptr_t)"GPL";
	strcpy(attributes.prog_name, "held_by_others");
	must(syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes) >= 0, "BPF_PROG_LOAD");
	sleep(3);
	return 0;
}

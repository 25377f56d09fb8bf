/* Prints the id of every BPF program, map and link in the kernel: a witness that is not the program under test. */
#include <linux/bpf.h>
#include "common.h"

static void walk(const char *name, int command)
{
	union bpf_attr attributes = { 0 };
	while (syscall(SYS_bpf, command, &attributes, sizeof attributes) == 0) {
		printf("%s %u\n", name, attributes.next_id);
		attributes.start_id = attributes.next_id;
	}
}

int main(void)
{
	walk("prog_id", BPF_PROG_GET_NEXT_ID);
	walk("map_id", BPF_MAP_GET_NEXT_ID);
	walk("link_id", BPF_LINK_GET_NEXT_ID);
	return 0;
}

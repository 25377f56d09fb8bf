/* A TCP connection made by io_uring: connect(2) is never called. */
#include <linux/io_uring.h>
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	struct io_uring_params p = { 0 };
	int ring = syscall(SYS_io_uring_setup, 4, &p);
	must(ring >= 0, "io_uring_setup");
	char *submission = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entry =
		mmap(NULL, p.sq_entries * sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	must(submission != MAP_FAILED && entry != MAP_FAILED, "mmap of the rings");
	struct sockaddr_in to = loopback4(PORT);
	entry->opcode = IORING_OP_CONNECT;
	entry->fd = socket(AF_INET, SOCK_STREAM, 0);
	entry->addr = (uintptr_t)&to;
	entry->off = sizeof to;
	((uint32_t *)(submission + p.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(submission + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "io_uring_enter");
	linger();
	return 0;
}

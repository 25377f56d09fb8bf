/* System calls by the 32-bit entry of a 64-bit kernel, which sensors on 64-bit system calls do not see. */
#include "common.h"

static char *low; /* the 32-bit entry cuts pointers: everything it is given lies in the low 2 GiB */

static uint32_t lowered(const void *bytes, size_t length)
{
	char *copy = low;
	memcpy(copy, bytes, length);
	low += (length + 15) & ~15UL;
	return (uint32_t)(uintptr_t)copy;
}

static long int80(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	low = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	must(low != MAP_FAILED, "mmap");
	if (!strcmp(MORE, "execve")) {
		char *victim = path(DIRECTORY, "victim");
		uint32_t file = lowered(victim, strlen(victim) + 1);
		uint32_t arguments[] = { lowered("from-int80", 11), lowered(TOKEN, strlen(TOKEN) + 1), 0 };
		uint32_t nothing = 0;
		int80(11, file, lowered(arguments, sizeof arguments), lowered(&nothing, sizeof nothing));
		must(0, "execve by int 0x80");
	} else if (!strcmp(MORE, "connect")) {
		struct sockaddr_in to = loopback4(PORT);
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		must(int80(362, fd, lowered(&to, sizeof to), sizeof to) == 0, "connect by int 0x80");
	} else {
		linger();
		must(int80(213, 65533, 0, 0) == 0, "setuid32 by int 0x80");
	}
	linger();
	return 0;
}

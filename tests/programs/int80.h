/* The 32-bit entry of a 64-bit kernel, which sensors on 64-bit system calls do not see. */
#ifndef INT80_H
#define INT80_H
#include "common.h"

static char *low; /* the 32-bit entry cuts pointers: everything it is given lies in the low 2 GiB */

static inline void begin_low(void)
{
	low = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	must(low != MAP_FAILED, "mmap");
}

static inline uint32_t lowered(const void *bytes, size_t length)
{
	char *copy = low;
	memcpy(copy, bytes, length);
	low += (length + 15) & ~15UL;
	return (uint32_t)(uintptr_t)copy;
}

static inline long int80(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}
#endif

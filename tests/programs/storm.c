/* PROGRAM TARGET TOKEN COUNT: executes TARGET with TOKEN-N as its argument, COUNT times, and prints the microseconds it took. */
#include <time.h>
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 4, "arguments");
	struct timespec begun, ended;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (int i = 0; i < atoi(argv[3]); i++) {
		char number[128];
		snprintf(number, sizeof number, "%s-%d", argv[2], i);
		char *arguments[] = { "tiny", number, NULL };
		pid_t child = vfork();
		if (child == 0) {
			execve(argv[1], arguments, environ);
			_exit(99);
		}
		int status = 0;
		must(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child");
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("%ld\n", (ended.tv_sec - begun.tv_sec) * 1000000 + (ended.tv_nsec - begun.tv_nsec) / 1000);
	return 0;
}

/* storm COUNT TOKEN PROGRAM: COUNT short-lived processes from two spawners, each `PROGRAM TOKEN-n`.
 * Prints wall seconds, then CPU seconds of the spawners and all that they started. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void spawn_all(int first, int count, const char *token, char *program)
{
	char argument[128], *environment[] = { 0 }, *arguments[] = { "tiny", argument, 0 };
	cpu_set_t core;

	CPU_ZERO(&core);
	CPU_SET(first % sysconf(_SC_NPROCESSORS_ONLN), &core);
	sched_setaffinity(0, sizeof core, &core);
	for (int i = first; i < count; i += 2) {
		int status;
		snprintf(argument, sizeof argument, "%s-%d", token, i);
		pid_t child = vfork();
		if (child == 0) {
			execve(program, arguments, environment);
			_exit(127);
		}
		if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
			_exit(1);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	double begun = now();
	for (int first = 0; first < 2; first++)
		if (fork() == 0)
			spawn_all(first, atoi(argv[1]), argv[2], argv[3]);
	int status, failed = 0;
	while (wait(&status) > 0)
		failed |= status;
	struct rusage used;
	getrusage(RUSAGE_CHILDREN, &used);
	printf("%.4f %.4f\n", now() - begun,
	       used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6 + used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6);
	return failed != 0;
}

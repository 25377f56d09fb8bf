/* flood PROGRAM: 20,000 short-lived processes a second from two spawners, one on each of two cores, until it is ended. What
 * one second could not make is not made up for. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Each of the two, every millisecond. */
#define AT_ONCE 10
#define MILLISECOND 1000000L

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 * MILLISECOND + t.tv_nsec;
}

static void spawn(int core, char *program)
{
	char *environment[] = { 0 }, *arguments[] = { "tiny", 0 };
	cpu_set_t cores;

	CPU_ZERO(&cores);
	CPU_SET(core % sysconf(_SC_NPROCESSORS_ONLN), &cores);
	sched_setaffinity(0, sizeof cores, &cores);
	for (long next = now();;) {
		for (int i = 0; i < AT_ONCE; i++) {
			int status;
			pid_t child = vfork();
			if (child == 0) {
				execve(program, arguments, environment);
				_exit(127);
			}
			if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
				_exit(1);
		}
		next += MILLISECOND;
		if (next < now() - 1000 * MILLISECOND)
			next = now();
		struct timespec t = { next / (1000 * MILLISECOND), next % (1000 * MILLISECOND) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	if (fork() == 0)
		spawn(1, argv[1]);
	spawn(0, argv[1]);
}

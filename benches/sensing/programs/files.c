/* files DIRECTORY COUNT: so many times create, write, close, chmod, rename and unlink a file there.
 * Prints wall seconds, then CPU seconds. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 3 || chdir(argv[1]) != 0)
		return 2;
	double begun = now();
	for (int i = 0, count = atoi(argv[2]); i < count; i++) {
		char name[32];
		snprintf(name, sizeof name, "file-%d", i);
		int file = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (file < 0 || write(file, name, sizeof name) < 0 || close(file) != 0 || chmod(name, 0700) != 0
		    || rename(name, "renamed") != 0 || unlink("renamed") != 0)
			return 1;
	}
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("%.4f %.4f\n", now() - begun, u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6);
	return 0;
}

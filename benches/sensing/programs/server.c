/* nginx COUNT: stands in for a web server that was broken into. At random moments it starts a shell, so many times. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	srandom(7);
	for (int i = 0, count = argc > 1 ? atoi(argv[1]) : 0; i < count; i++) {
		usleep(random() % 20000);
		pid_t child = vfork();
		if (child == 0) {
			execl("/bin/sh", "sh", "-c", ":", (char *)0);
			_exit(127);
		}
		int status;
		if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
			return 1;
	}
	printf("0 0\n");
	return 0;
}

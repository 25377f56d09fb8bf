/* nginx MEMORY ADDRESS: stands in for a web server that was broken into; it starts `sh` beside it with the same words.
 * sh MEMORY ADDRESS: the intruder. It calls ADDRESS, port 4444, which completes the case, and then does nothing but write
 * into shared memory what time it is, until somebody stops it. MEMORY: its begin, its last sign of life, in nanoseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static unsigned long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

static int serve(char **argv)
{
	char *slash = strrchr(argv[0], '/');
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		strcpy(slash + 1, "sh");
		execv(argv[0], argv);
		_exit(127);
	}
	return child < 0 || waitpid(child, 0, 0) < 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (strstr(argv[0], "/nginx"))
		return serve(argv);
	int file = open(argv[1], O_RDWR);
	volatile unsigned long *memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	struct sockaddr_in far = { .sin_family = AF_INET, .sin_port = htons(4444) };
	inet_pton(AF_INET, argv[2], &far.sin_addr);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	/* Everything before is history when the call comes. */
	usleep(300000);
	memory[0] = now();
	connect(sock, (struct sockaddr *)&far, sizeof far);
	for (;;)
		memory[1] = now();
}

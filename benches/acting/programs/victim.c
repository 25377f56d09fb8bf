/* farm: starts a server for each line "MEMORY ADDRESS" of its input. It is there before the agent, and without a shell
 * above it: processes that grow from one shell within ten minutes are one story, and each server shall be its own.
 * nginx MEMORY ADDRESS: stands in for a web server that was broken into; on SIGUSR1 it runs a copy of itself from
 * /dev/shm, which ends at once: a dropped program, the first act. Then it starts `sh` beside it with the same words.
 * sh MEMORY ADDRESS: the intruder, another act. It calls ADDRESS, port 4444, which completes the case, and then does nothing but write
 * into shared memory what time it is, until somebody stops it. MEMORY: its begin, its last
 * sign of life, in nanoseconds; the process group of both. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
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

static char program[4096];

/* Another program beside this one. */
static void become(const char *name, char *memory, char *address)
{
	strcpy(strrchr(program, '/') + 1, name);
	char *words[] = { program, memory, address, 0 };
	execv(program, words);
	_exit(127);
}

static volatile unsigned long *map(const char *path)
{
	return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR), 0);
}

static int farm(void)
{
	char memory[256], address[64];
	signal(SIGCHLD, SIG_IGN);
	while (scanf("%255s %63s", memory, address) == 2)
		if (fork() == 0)
			become("nginx", memory, address);
	return 0;
}

/* A dropped program: one request of the intruder's. */
static void drop(const char *memory)
{
	char path[300], chunk[65536];
	long got;

	snprintf(path, sizeof path, "%s.dropped", memory);
	int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
	while ((got = read(from, chunk, sizeof chunk)) > 0)
		if (write(to, chunk, got) != got)
			_exit(1);
	close(from);
	close(to);
	pid_t child = fork();
	if (child == 0) {
		execl(path, path, (char *)0);
		_exit(127);
	}
	waitpid(child, 0, 0);
	unlink(path);
}

static int serve(char **argv)
{
	sigset_t go;
	int number;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, 0);
	setpgid(0, 0);
	map(argv[1])[2] = getpid();
	sigwait(&go, &number);
	drop(argv[1]);
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become("sh", argv[1], argv[2]);
	}
	return child < 0 || waitpid(child, 0, 0) < 0;
}

int main(int argc, char **argv)
{
	snprintf(program, sizeof program, "%s", argv[0]);
	if (strstr(argv[0], "/farm"))
		return farm();
	if (argc != 3)
		return 2;
	if (strstr(argv[0], "/nginx"))
		return serve(argv);
	volatile unsigned long *memory = map(argv[1]);
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

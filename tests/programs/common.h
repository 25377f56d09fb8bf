/* What every program is given: the directory with `victim` and `victim-static`, a token that no other test uses, ports. */
#ifndef COMMON_H
#define COMMON_H
#ifndef _GNU_SOURCE
#error "build with -D_GNU_SOURCE"
#endif
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* argv: PROGRAM DIRECTORY TOKEN PORT MORE */
#define DIRECTORY argv[1]
#define TOKEN argv[2]
#define PORT ((uint16_t)atoi(argv[3]))
#define MORE argv[4]

static inline char *path(const char *directory, const char *name)
{
	char *whole = NULL;
	if (asprintf(&whole, "%s/%s", directory, name) < 0)
		_exit(99);
	return whole;
}

/* Says which call failed and ends: 99 is no success for the test. */
static inline void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		_exit(99);
	}
}

static inline struct sockaddr_in loopback4(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	return to;
}

/* Long enough for a poll of sockets. */
static inline void linger(void)
{
	usleep(1300 * 1000);
}

#endif

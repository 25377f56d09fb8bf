/* Calls itself a thread of the kernel, then connects: the name that a program gives itself proves nothing. */
#include <sys/prctl.h>
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	must(prctl(PR_SET_NAME, "kworker/0:1") == 0, "prctl");
	struct sockaddr_in to = loopback4(PORT);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
	linger();
	return 0;
}

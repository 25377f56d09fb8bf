/* An ordinary connection: MORE is tcp6, udp4 or udp6. */
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	int six = strchr(MORE, '6') != NULL, type = strncmp(MORE, "tcp", 3) ? SOCK_DGRAM : SOCK_STREAM;
	struct sockaddr_in four = loopback4(PORT);
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(six ? AF_INET6 : AF_INET, type, 0);
	int done = six ? connect(fd, (struct sockaddr *)&to, sizeof to) : connect(fd, (struct sockaddr *)&four, sizeof four);
	must(done == 0, "connect");
	linger();
	return 0;
}

/* A service: listens on the port that it is given, for as long as it lives. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

	at.sin_port = htons(argc > 1 ? atoi(argv[1]) : 9);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 5))
		return 1;
	for (;;)
		pause();
}

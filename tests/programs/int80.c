/* System calls by the 32-bit entry of a 64-bit kernel, which sensors on 64-bit system calls do not see. */
#include "int80.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	begin_low();
	if (!strcmp(MORE, "execve")) {
		char *victim = path(DIRECTORY, "victim");
		uint32_t file = lowered(victim, strlen(victim) + 1);
		uint32_t arguments[] = { lowered("from-int80", 11), lowered(TOKEN, strlen(TOKEN) + 1), 0 };
		uint32_t nothing = 0;
		int80(11, file, lowered(arguments, sizeof arguments), lowered(&nothing, sizeof nothing));
		must(0, "execve by int 0x80");
	} else if (!strcmp(MORE, "connect")) {
		struct sockaddr_in to = loopback4(PORT);
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		must(int80(362, fd, lowered(&to, sizeof to), sizeof to) == 0, "connect by int 0x80");
	} else {
		linger();
		must(int80(213, 65533, 0, 0) == 0, "setuid32 by int 0x80");
	}
	linger();
	return 0;
}

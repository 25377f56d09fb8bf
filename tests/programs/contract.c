/* Does everything that every rung must see of a process that lives a second, and says what was true of it. */
#include <sched.h>
#include "common.h"

static void tell(const char *name, const char *file)
{
	char target[256] = { 0 };
	must(readlink(file, target, sizeof target - 1) > 0, file);
	printf("%s %s\n", name, target);
}

/* A terminal, a mount namespace, a directory and an environment of its own; then the same program again. */
static void prepare(char **argv)
{
	must(setsid() > 0, "setsid");
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	must(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "a terminal");
	must(open(ptsname(master), O_RDWR) >= 0, "its other end");
	must(unshare(CLONE_NEWNS) == 0, "unshare");
	must(chdir("/usr") == 0, "chdir");
	setenv("LD_PRELOAD", "/nowhere/evil.so", 1);
	printf("tty %s\n", ptsname(master));
	fflush(stdout);
	argv[4] = "work";
	execv(path(DIRECTORY, "contract"), argv);
	must(0, "execv");
}

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	if (strcmp(MORE, "work"))
		prepare(argv);
	tell("mnt", "/proc/self/ns/mnt");
	tell("pid", "/proc/self/ns/pid");
	tell("user", "/proc/self/ns/user");
	tell("net", "/proc/self/ns/net");
	struct sockaddr_in here = loopback4(0), there = loopback4(PORT);
	socklen_t length = sizeof here;
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	must(bind(listener, (struct sockaddr *)&here, sizeof here) == 0 && listen(listener, 1) == 0, "listen");
	must(getsockname(listener, (struct sockaddr *)&here, &length) == 0, "getsockname");
	printf("listener %d\n", ntohs(here.sin_port));
	fflush(stdout);
	must(connect(client, (struct sockaddr *)&there, sizeof there) == 0, "connect");
	linger();
	must(setresuid(65534, 65534, 65534) == 0, "setresuid");
	linger();
	return 7;
}

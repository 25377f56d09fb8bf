/* Runs a program that is pid 1 in a pid namespace of its own. */
#include <sched.h>
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	must(unshare(CLONE_NEWPID) == 0, "unshare");
	pid_t child = fork();
	if (child == 0) {
		char *arguments[] = { "first-of-its-kind", TOKEN, NULL };
		execv(path(DIRECTORY, "victim"), arguments);
		must(0, "execv");
	}
	must(waitpid(child, NULL, 0) == child, "waitpid");
	return 0;
}

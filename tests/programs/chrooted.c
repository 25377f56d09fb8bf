/* Runs a program below another root directory, where its path means another file. */
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	must(chroot(DIRECTORY) == 0 && chdir("/") == 0, "chroot");
	char *arguments[] = { "/victim-static", TOKEN, NULL };
	execv("/victim-static", arguments);
	must(0, "execv");
}

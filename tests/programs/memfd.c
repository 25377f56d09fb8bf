/* Runs a program that has no file: memfd_create(2), fexecve(3). */
#include <sys/sendfile.h>
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	int from = open(path(DIRECTORY, "victim"), O_RDONLY), to = memfd_create("not a file", MFD_CLOEXEC);
	must(from >= 0 && to >= 0, "open");
	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	char *arguments[] = { "from-memory", TOKEN, NULL };
	fexecve(to, arguments, environ);
	must(0, "fexecve");
}

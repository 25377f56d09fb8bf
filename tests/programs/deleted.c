/* Runs a file whose last name is gone: open, unlink, fexecve(3). */
#include <sys/sendfile.h>
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	char *gone = path(DIRECTORY, "gone");
	int from = open(path(DIRECTORY, "victim"), O_RDONLY), to = open(gone, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	must(from >= 0 && to >= 0, "open");
	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	close(to);
	int file = open(gone, O_RDONLY | O_CLOEXEC);
	must(file >= 0 && unlink(gone) == 0, "unlink");
	char *arguments[] = { "from-nowhere", TOKEN, NULL };
	fexecve(file, arguments, environ);
	must(0, "fexecve");
}

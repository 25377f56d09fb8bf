/* Gives a file of its own a set-user-id bit, by each way that a sensor on paths or system calls may miss. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "int80.h"

#define MODE 04755

static const char *thread_file;

static int in_a_thread(void *unused)
{
	(void)unused;
	must(chmod(thread_file, MODE) == 0, "chmod in a thread");
	return 0;
}

int main(int argc, char **argv)
{
	static char stack[65536];
	must(argc == 5, "arguments");
	char *name = NULL, *second = NULL;
	must(asprintf(&name, "%s-\xff\n %s", TOKEN, MORE) > 0 && asprintf(&second, "%s.second", TOKEN) > 0, "asprintf");
	must(chdir(DIRECTORY) == 0, "chdir");
	int fd = open(name, O_CREAT | O_RDWR | O_EXCL, 0644);
	must(fd >= 0, "open");
	linger();
	if (!strcmp(MORE, "relative")) {
		must(fchmodat(AT_FDCWD, name, MODE, 0) == 0, "fchmodat");
	} else if (!strcmp(MORE, "descriptor")) {
		must(fchmod(fd, MODE) == 0, "fchmod");
	} else if (!strcmp(MORE, "link")) {
		must(link(name, second) == 0 && chmod(second, MODE) == 0, "chmod by another name");
	} else if (!strcmp(MORE, "bind")) {
		must(unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "unshare");
		must(mount(DIRECTORY, "/mnt", NULL, MS_BIND, NULL) == 0 && chdir("/mnt") == 0 && chmod(name, MODE) == 0, "chmod by another mount");
	} else if (!strcmp(MORE, "thread")) {
		thread_file = name;
		int tid = clone(in_a_thread, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, NULL);
		must(tid > 0, "clone");
		usleep(100000);
	} else {
		begin_low();
		must(int80(15, lowered(name, strlen(name) + 1), MODE, 0) == 0, "chmod by int 0x80");
	}
	linger();
	return 0;
}

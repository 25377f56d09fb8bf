/* More arguments than fit one page: 6,000 bytes, then the token. */
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	char *long_one = malloc(6001);
	memset(long_one, 'x', 6000);
	long_one[6000] = 0;
	char *arguments[] = { "long", long_one, TOKEN, NULL };
	execv(path(DIRECTORY, "victim"), arguments);
	must(0, "execv");
}

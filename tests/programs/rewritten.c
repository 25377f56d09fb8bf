/* Writes over its own arguments as its first act, as malware does to look harmless in ps(1). */
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	memset(argv[0], 0, argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);
	strcpy(argv[0], "[kworker/u2:1]");
	linger();
	return 0;
}

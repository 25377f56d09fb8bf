/* Lets the dynamic loader run the program: the file that is executed is the loader's. */
#include "common.h"

int main(int argc, char **argv)
{
	must(argc == 5, "arguments");
	char *arguments[] = { MORE, path(DIRECTORY, "victim"), TOKEN, NULL };
	execv(MORE, arguments);
	must(0, "execv of the loader");
}

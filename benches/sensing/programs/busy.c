/* busy SECONDS: keeps a core busy for so long, and no longer. */
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	time_t end = time(0) + (argc > 1 ? atoi(argv[1]) : 1);
	while (time(0) < end)
		for (volatile int i = 0; i < 100000; i++)
			;
	return 0;
}

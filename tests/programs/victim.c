/* What the other programs execute: lives long enough for every rung of sensors, does nothing. */
#include <unistd.h>

int main(void)
{
	usleep(1300 * 1000);
	return 0;
}

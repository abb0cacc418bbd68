/* Loaded by LD_PRELOAD: the wall clock of the program is off by COFFER_TEST_CLOCK seconds. */

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	const char *shift = getenv("COFFER_TEST_CLOCK");
	long rc = syscall(SYS_clock_gettime, clock, now);

	if (rc == 0 && clock == CLOCK_REALTIME && shift)
		now->tv_sec += strtoll(shift, NULL, 10);
	return (int)rc;
}

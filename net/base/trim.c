/* Gives freed memory back to the system. A timer compares the resident memory of the process with
 * what the C library has handed out: if the difference has grown by TRIM_MIN, it calls
 * malloc_trim(). Free blocks alone tell nothing, as they count pages that were given back before.
 * Loop thread. */
#include "net/base/trim.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

/* Bytes of anonymous memory that are resident; 0: not known. */
static size_t resident(void)
{
	unsigned long all = 0, here = 0, shared = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%lu %lu %lu", &all, &here, &shared) != 3 || shared > here)
		here = shared = 0;
	fclose(file);
	return (here - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

/* What is resident beside what is in use: free pages, stacks, the program's own data; less what was
 * handed out and never touched, so that it may be negative. Only its growth tells. */
static int64_t slack(void)
{
	struct mallinfo2 info = mallinfo2();

	return (int64_t)resident() - (int64_t)(info.uordblks + info.hblkhd);
}

static void on_timer(void *ctx)
{
	struct trim *trim = ctx;
	int64_t now = slack();

	if (now >= trim->seen + TRIM_MIN) {
		malloc_trim(0);
		now = slack();
	}
	trim->seen = now;
	timer_start(trim->timers, &trim->timer, TRIM_EVERY_MS, on_timer, trim);
}

void trim_start(struct trim *trim, struct timers *timers)
{
	trim->timers = timers;
	trim->seen = slack();
	timer_start(timers, &trim->timer, TRIM_EVERY_MS, on_timer, trim);
}

void trim_stop(struct trim *trim)
{
	if (trim->timers)
		timer_stop(trim->timers, &trim->timer);
}

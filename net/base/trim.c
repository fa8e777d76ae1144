/* Gives freed memory back to the system. A timer looks how much the C library holds in free
 * blocks, and calls malloc_trim() if that has grown by TRIM_MIN. Loop thread. */
#include "net/base/trim.h"

#include <malloc.h>

static void on_timer(void *ctx)
{
	struct trim *trim = ctx;
	size_t left = mallinfo2().fordblks;

	if (left >= trim->seen + TRIM_MIN) {
		malloc_trim(0);
		left = mallinfo2().fordblks;
	}
	trim->seen = left;
	timer_start(trim->timers, &trim->timer, TRIM_EVERY_MS, on_timer, trim);
}

void trim_start(struct trim *trim, struct timers *timers)
{
	trim->timers = timers;
	timer_start(timers, &trim->timer, TRIM_EVERY_MS, on_timer, trim);
}

void trim_stop(struct trim *trim)
{
	if (trim->timers)
		timer_stop(trim->timers, &trim->timer);
}

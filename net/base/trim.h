/* Gives freed memory back to the system. The C library keeps freed pages that lie below a block
 * still in use, so the memory of many peers would stay after they have left. Looks every
 * TRIM_EVERY_MS, and acts only if much was freed since. Loop thread only. */
#ifndef NET_BASE_TRIM_H
#define NET_BASE_TRIM_H

#include "net/base/timer.h"

#define TRIM_EVERY_MS 10000
#define TRIM_MIN (4 << 20) /* bytes freed since the last time; for less nothing is done */

/* Embedded by its owner; zero-initialised is valid and stopped. */
struct trim {
	struct timers *timers;
	struct timer timer;
	int64_t seen; /* resident bytes that were not in use when it looked last */
};

void trim_start(struct trim *trim, struct timers *timers);
/* Harmless when stopped. */
void trim_stop(struct trim *trim);

#endif

/* Memory that was freed goes back to the system. The C library keeps freed pages that lie below any
 * block still in use, so one crowd of peers that has left would be seen for ever. Loop thread only;
 * looks every TRIM_EVERY_MS, and acts only when much was freed since. */
#ifndef NET_BASE_TRIM_H
#define NET_BASE_TRIM_H

#include "net/base/timer.h"

#define TRIM_EVERY_MS 10000
#define TRIM_MIN (4u << 20) /* freed since the last time: less is not worth the walk */

/* Embedded by its owner; zero-initialised is valid and stopped. */
struct trim {
	struct timers *timers;
	struct timer timer;
	size_t seen; /* free bytes, some of them given back already */
};

void trim_start(struct trim *trim, struct timers *timers);
/* Harmless when stopped. */
void trim_stop(struct trim *trim);

#endif

/* How a blocking thread (FUSE thread, command line) waits: with a deadline, and so that a signal or
 * an interrupt ends it at once. One struct wait belongs to one thread; wait_wake() and
 *wait_cancel() may be called from any thread and from signal handlers.
 *
 *	wait_start(&wait, timeout_ms);
 *	... hand &wait to who will call wait_wake() ...
 *	while (!done(atomically) && !(err = wait_sleep(&wait)))
 *		;
 */
#ifndef NET_BASE_WAIT_H
#define NET_BASE_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wait {
	int fd;		      /* eventfd; also good in one's own poll() */
	uint64_t deadline_ms; /* monotonic_ms(); UINT64_MAX for none */
	atomic_bool cancelled;
};

/* 0 or -errno. wait_release() closes the descriptor. */
int wait_init(struct wait *wait);
void wait_release(struct wait *wait);

/* Begin an operation: clears old wake-ups and cancellation, sets the deadline (0: none). */
void wait_start(struct wait *wait, uint64_t timeout_ms);
/* Sleep until woken: 0; -EINTR when cancelled, -ETIMEDOUT when the deadline passed. One return
 * stands for any number of wake-ups, and a late one of an earlier operation may end it: look again
 * what is done. A signal alone does not end it; its handler calls wait_cancel(). */
int wait_sleep(struct wait *wait);
/* 0, -EINTR or -ETIMEDOUT, without sleeping: for long computations. */
int wait_check(const struct wait *wait);
void wait_wake(struct wait *wait);
void wait_cancel(struct wait *wait);

/* CLOCK_MONOTONIC in milliseconds: the same scale as the loop clock. */
uint64_t monotonic_ms(void);
/* CLOCK_REALTIME in nanoseconds since 1970, for records that carry a date. */
uint64_t wallclock_ns(void);

#endif

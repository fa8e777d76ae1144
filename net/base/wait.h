/* How a blocking thread (FUSE thread, command line) waits: with a deadline, and so that a signal or
 * an interrupt ends it at once. One struct wait belongs to one thread; wait_wake() and
 * wait_cancel() may be called from any thread and from signal handlers.
 *
 *	wait_start(&wait, timeout_ms);
 *	... hand &wait to whoever calls wait_wake() ...
 *	while (!done(atomically) && !(err = wait_sleep(&wait)))
 *		;
 */
#ifndef NET_BASE_WAIT_H
#define NET_BASE_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WAIT_NOT_LOOKED UINT32_MAX
#define WAIT_TEXT_MAX 160

/* What was tried before a wait for something of peers timed out. */
struct wait_tried {
	bool told;	    /* else the rest means nothing */
	uint32_t asked;	    /* peers that were asked for it; each is counted once */
	uint32_t known;	    /* peers that we were connected to at the end */
	uint32_t providers; /* of it, found by routing; WAIT_NOT_LOOKED: routing was not asked */
};

struct wait {
	int fd;		      /* eventfd; also good in one's own poll() */
	uint64_t deadline_ms; /* monotonic_ms(); UINT64_MAX for none */
	atomic_bool cancelled;
	struct wait_tried tried; /* of the last failure; written by the waiting thread alone */
	/* Around each sleep, on the thread that waits: before it (begins), and after it. Set after
	 * wait_init(); may be NULL, may cancel. */
	void (*on_sleep)(struct wait *wait, bool begins);
};

/* 0 or -errno. wait_release() closes the descriptor. */
int wait_init(struct wait *wait);
void wait_release(struct wait *wait);

/* Begins an operation: clears earlier wake-ups, cancellation and what was tried, and sets the
 * deadline (0: none). */
void wait_start(struct wait *wait, uint64_t timeout_ms);
/* Sleeps until woken: 0; -EINTR: cancelled; -ETIMEDOUT: the deadline passed. One return stands for
 * any number of wake-ups, and may come from an earlier operation, so the caller checks its
 * condition again. A signal alone does not end the sleep; its handler calls wait_cancel(). */
int wait_sleep(struct wait *wait);
/* The same, but with a deadline that is more_ms later, so that an answer which tells more can come
 * after the deadline proper. */
int wait_sleep_longer(struct wait *wait, uint64_t more_ms);
/* As read(2) of fd, which may be a pipe that stays silent: an end of the wait ends it. Bytes, 0 at
 * the end, -EINTR, -ETIMEDOUT, -errno. */
ssize_t wait_read(struct wait *wait, int fd, void *at, size_t len);
/* 0, -EINTR or -ETIMEDOUT, without sleeping: for long computations. */
int wait_check(const struct wait *wait);
void wait_wake(struct wait *wait);
void wait_cancel(struct wait *wait);

/* err_text() of what the wait failed with, and what was tried when that is known:
 * "no answer in time: 3 peers asked, 12 known, 1 provider found". Returns out. */
const char *wait_err_text(const struct wait *wait, int err, char out[static WAIT_TEXT_MAX]);

/* CLOCK_MONOTONIC in milliseconds: the same scale as the loop clock. */
uint64_t monotonic_ms(void);
/* CLOCK_REALTIME in nanoseconds since 1970, for records that carry a date. */
uint64_t wallclock_ns(void);

#endif

/* All timers of one loop in one heap; driven by libuv in production and by a virtual clock in the
 * simulator. Loop thread only. Times are milliseconds of a monotonic clock (the loop clock). */
#ifndef NET_BASE_TIMER_H
#define NET_BASE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

typedef void timer_fn(void *ctx);

/* Embedded by its owner; zero-initialised is valid and stopped. */
struct timer {
	uint64_t at_ms;
	uint64_t order; /* ties run in the order they were started */
	size_t slot;	/* 1 + index in the heap; 0 when stopped */
	timer_fn *fn;
	void *ctx;
};

struct timers;

struct timers *timers_new(void);
void timers_free(struct timers *timers); /* every timer must be stopped */

/* The current time: what the last timers_run() set, or the driver's clock if that is later. */
uint64_t timers_now(const struct timers *timers);

/* Run fn(ctx) once, delay_ms from now (or at at_ms; a past time means now, TIMER_NEVER never).
 * Starting a running timer moves it. The timer is stopped before fn runs: fn may start or free it.
 */
void timer_start(struct timers *timers, struct timer *timer, uint64_t delay_ms, timer_fn *fn,
		 void *ctx);
void timer_start_at(struct timers *timers, struct timer *timer, uint64_t at_ms, timer_fn *fn,
		    void *ctx);
/* fn will not run. Harmless when stopped. */
void timer_stop(struct timers *timers, struct timer *timer);
static inline bool timer_running(const struct timer *timer)
{
	return timer->slot != 0;
}

/* For drivers: when the earliest is due (TIMER_NEVER when none). */
uint64_t timers_next(const struct timers *timers);
/* For drivers: set now (it never goes back), then run what is due, in order of time, then of start.
 * Timers that a callback starts for a time <= now wait for the next round, so a round ends:
 * timers_next() is then <= now and the driver comes again at once. Not from inside a callback. */
void timers_run(struct timers *timers, uint64_t now_ms);

/* For drivers whose clock goes on between rounds (sockets call back without one): timers_now() asks
 * it too, so that a delay counts from the event and not from the last timer. */
typedef uint64_t timers_clock_fn(void *ctx);
void timers_set_clock(struct timers *timers, timers_clock_fn *clock, void *ctx);

#endif

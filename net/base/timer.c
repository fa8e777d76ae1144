/* All timers of one loop in a binary heap, sorted by time and then by order of start. Each timer
 * knows its place in the heap, so that it can be moved or stopped in O(log n). The driver (libuv
 * or the simulator) says what time it is. Loop thread. */
#include "net/base/timer.h"

#include "net/base/alloc.h"

#include <assert.h>
#include <stdlib.h>

#define HEAP_CAP_MIN 16

/* A binary heap by (at_ms, order); heap[0] is the earliest. Every timer knows its place, so moving
 * and stopping one are O(log n). Timers are embedded in objects their owners bound. */
struct timers {
	uint64_t now_ms;
	uint64_t order; /* of the next start */
	bool running;
	timers_clock_fn *clock;
	void *clock_ctx;
	struct timer **heap;
	size_t count, cap;
};

struct timers *timers_new(void)
{
	return xnew(struct timers);
}

void timers_free(struct timers *timers)
{
	if (!timers)
		return;
	assert(timers->count == 0);
	free(timers->heap);
	free(timers);
}

void timers_set_clock(struct timers *timers, timers_clock_fn *clock, void *ctx)
{
	timers->clock = clock;
	timers->clock_ctx = ctx;
}

uint64_t timers_now(const struct timers *timers)
{
	uint64_t now_ms = timers->clock ? timers->clock(timers->clock_ctx) : 0;

	return now_ms > timers->now_ms ? now_ms : timers->now_ms;
}

static bool timer_before(const struct timer *a, const struct timer *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void timer_place(struct timers *timers, size_t i, struct timer *timer)
{
	timers->heap[i] = timer;
	timer->slot = i + 1;
}

/* Puts timer in the hole at i or where the heap's order demands. */
static void sift(struct timers *timers, size_t i, struct timer *timer)
{
	while (i > 0 && timer_before(timer, timers->heap[(i - 1) / 2])) {
		timer_place(timers, i, timers->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= timers->count)
			break;
		if (child + 1 < timers->count &&
		    timer_before(timers->heap[child + 1], timers->heap[child]))
			child++;
		if (!timer_before(timers->heap[child], timer))
			break;
		timer_place(timers, i, timers->heap[child]);
		i = child;
	}
	timer_place(timers, i, timer);
}

void timer_start(struct timers *timers, struct timer *timer, uint64_t delay_ms, timer_fn *fn,
		 void *ctx)
{
	uint64_t now_ms = timers_now(timers);
	uint64_t at_ms = delay_ms < TIMER_NEVER - now_ms ? now_ms + delay_ms : TIMER_NEVER;

	timer_start_at(timers, timer, at_ms, fn, ctx);
}

void timer_start_at(struct timers *timers, struct timer *timer, uint64_t at_ms, timer_fn *fn,
		    void *ctx)
{
	assert(fn);
	/* Never earlier than the round that is running: what is started in it sorts behind all
	 * that was due when it began (see timers_run). */
	timer->at_ms = at_ms > timers->now_ms ? at_ms : timers->now_ms;
	timer->order = timers->order++;
	timer->fn = fn;
	timer->ctx = ctx;
	if (timer->slot) {
		assert(timers->heap[timer->slot - 1] == timer);
		sift(timers, timer->slot - 1, timer);
		return;
	}
	if (timers->count == timers->cap) {
		timers->cap = timers->cap ? timers->cap * 2 : HEAP_CAP_MIN;
		timers->heap = xrealloc(timers->heap, timers->cap * sizeof *timers->heap);
	}
	timers->count++;
	sift(timers, timers->count - 1, timer);
}

void timer_stop(struct timers *timers, struct timer *timer)
{
	if (!timer->slot)
		return;
	size_t i = timer->slot - 1;

	assert(timers->heap[i] == timer);
	timer->slot = 0;
	struct timer *last = timers->heap[--timers->count];

	if (last != timer)
		sift(timers, i, last);
}

uint64_t timers_next(const struct timers *timers)
{
	return timers->count ? timers->heap[0]->at_ms : TIMER_NEVER;
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
	uint64_t end = timers->order;

	assert(!timers->running);
	timers->running = true;
	if (now_ms > timers->now_ms)
		timers->now_ms = now_ms;
	while (timers->count) {
		struct timer *timer = timers->heap[0];

		if (timer->at_ms > timers->now_ms || timer->at_ms == TIMER_NEVER ||
		    timer->order >= end)
			break;
		timer_stop(timers, timer);
		timer->fn(timer->ctx); /* may free timer */
	}
	timers->running = false;
}

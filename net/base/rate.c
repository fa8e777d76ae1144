/* A token bucket that many connections share. Whoever finds no tokens waits in a queue and gets
 * one quantum in its turn, so that all get equal shares. The level may fall below zero: a write
 * is never cut, and the debt delays the next ones. Loop thread. */
#include "net/base/rate.h"

#include <assert.h>

#define QUANTUM_MS 20
#define FILL_MS_MAX                                                                                \
	60000 /* longer pauses fill no more: the bucket is full, and nothing overflows */

void rate_init(struct rate *rate, struct timers *timers, uint64_t per_second)
{
	if (per_second > RATE_PER_SECOND_MAX)
		per_second = RATE_PER_SECOND_MAX;
	*rate = (struct rate){ .timers = timers, .per_second = per_second };
	list_init(&rate->waiting);
	rate->quantum = (size_t)(per_second * QUANTUM_MS / 1000);
	if (rate->quantum < RATE_QUANTUM_MIN)
		rate->quantum = RATE_QUANTUM_MIN;
	if (rate->quantum > RATE_QUANTUM_MAX)
		rate->quantum = RATE_QUANTUM_MAX;
	rate->level_max = (int64_t)(per_second * RATE_BURST_MS);
	if (rate->level_max < (int64_t)rate->quantum * 1000)
		rate->level_max = (int64_t)rate->quantum * 1000;
	rate->level = rate->level_max;
	rate->filled_ms = timers_now(timers);
}

void rate_release(struct rate *rate)
{
	if (!rate_limited(rate))
		return;
	assert(list_empty(&rate->waiting));
	timer_stop(rate->timers, &rate->wake);
}

static void bucket_fill(struct rate *rate)
{
	uint64_t now_ms = timers_now(rate->timers), ms = now_ms - rate->filled_ms;

	rate->filled_ms = now_ms;
	rate->level += (int64_t)((ms < FILL_MS_MAX ? ms : FILL_MS_MAX) * rate->per_second);
	if (rate->level > rate->level_max)
		rate->level = rate->level_max;
}

bool rate_may(struct rate *rate)
{
	if (!list_empty(&rate->waiting))
		return false;
	if (rate->level <= 0)
		bucket_fill(rate);
	return rate->level > 0;
}

void rate_spend(struct rate *rate, uint64_t bytes)
{
	bucket_fill(rate);
	rate->level -= (int64_t)bytes * 1000;
}

static void on_wake(void *ctx);

/* When a whole quantum is there: tiny turns would be tiny writes. */
static void rate_arm(struct rate *rate)
{
	int64_t lacks = (int64_t)rate->quantum * 1000 - rate->level;
	uint64_t per_ms = rate->per_second;

	if (timer_running(&rate->wake) || list_empty(&rate->waiting))
		return;
	timer_start(rate->timers, &rate->wake,
		    lacks > 0 ? ((uint64_t)lacks + per_ms - 1) / per_ms : 0, on_wake, rate);
}

/* A turn may be used later than it is given (by a reader), so what is given away counts apart. */
static void on_wake(void *ctx)
{
	struct rate *rate = ctx;
	int64_t given;

	bucket_fill(rate);
	given = rate->level;
	while (given > 0 && !list_empty(&rate->waiting)) {
		struct rate_turn *turn = list_first(&rate->waiting, struct rate_turn, node);

		given -= (int64_t)rate->quantum * 1000;
		list_remove(&turn->node);
		turn->go(turn->ctx);
	}
	rate_arm(rate);
}

void rate_wait(struct rate *rate, struct rate_turn *turn)
{
	if (!list_empty(&turn->node))
		return;
	list_add_tail(&rate->waiting, &turn->node);
	bucket_fill(rate);
	rate_arm(rate);
}

/* A limit in bytes per second, shared fairly by many connections: one token bucket and a queue of
 * those that wait for it. The swarm has two, for what it writes and for what it reads.
 *
 * If rate_may() is true, the caller goes on and then spends what it used, even more than there was;
 * all others wait for that debt. If it is false, the caller joins the queue and is called in its
 * turn, for one quantum. Loop thread. */
#ifndef NET_BASE_RATE_H
#define NET_BASE_RATE_H

#include "net/base/list.h"
#include "net/base/timer.h"

#define RATE_QUANTUM_MIN 4096
#define RATE_QUANTUM_MAX (64u * 1024)
#define RATE_BURST_MS 100 /* what an idle bucket saves up */
#define RATE_PER_SECOND_MAX                                                                        \
	(UINT64_C(1) << 40) /* more is as good as no limit, and counts as this */

struct rate {
	struct timers *timers;
	uint64_t per_second;	  /* 0: no limit */
	size_t quantum;		  /* bytes of a turn: 20 ms, within the bounds above */
	int64_t level, level_max; /* thousandths of a byte; below 0: debt */
	uint64_t filled_ms;
	struct list waiting;
	struct timer wake;
};

/* A place in the queue; embedded by its owner. */
struct rate_turn {
	struct list node;
	void (*go)(void *ctx); /* use one quantum, then wait again if there is more */
	void *ctx;
};

/* Borrows timers. per_second 0: no limit, and nothing else of this may be called but
 * rate_limited() and rate_release(). */
void rate_init(struct rate *rate, struct timers *timers, uint64_t per_second);
/* The queue must be empty. */
void rate_release(struct rate *rate);

static inline bool rate_limited(const struct rate *rate)
{
	return rate->per_second != 0;
}

/* True: go on without a turn. There are tokens, and nobody waits. */
bool rate_may(struct rate *rate);
void rate_spend(struct rate *rate, uint64_t bytes);
/* Joins the end of the queue. A turn that is in the queue keeps its place. */
void rate_wait(struct rate *rate, struct rate_turn *turn);

static inline void rate_turn_init(struct rate_turn *turn, void (*go)(void *ctx), void *ctx)
{
	*turn = (struct rate_turn){ .go = go, .ctx = ctx };
	list_init(&turn->node);
}

/* Leaves the queue. Harmless if it is not in it. */
static inline void rate_leave(struct rate_turn *turn)
{
	list_remove(&turn->node);
}

#endif

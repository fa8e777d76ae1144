/* One iterative lookup over the network: the state machine of lookup.h, asked through client.h.
 * Loop thread only. Embedded in its owner, which may stop and free it at any time, also from its
 * callbacks. */
#ifndef ROUTING_KAD_WALK_H
#define ROUTING_KAD_WALK_H

#include "net/base/timer.h"
#include "routing/kad/lookup.h"
#include "routing/kad/msg.h"
#include "routing/routing.h"

#define KAD_WALK_CALL_MS 20000 /* one question, dialling included */
#define KAD_WALK_ADDR_TTL_MS (30ull * 60 * 1000)

struct kad;

/* A good answer, before its closer peers are taken; all lent for the call. */
struct kad_walk_answer {
	struct peer_id from;
	struct kad_msg msg;
	struct bytes message;
};

/* False: that is enough, and the walk ends with 0. Must not stop the walk itself. */
typedef bool kad_walk_answer_fn(void *ctx, const struct kad_walk_answer *answer);
/* 0 complete or enough; -ETIMEDOUT. The walk is stopped already except for its lookup, which can
 * still be asked for the closest until kad_walk_stop(). */
typedef void kad_walk_done_fn(void *ctx, int err);

struct kad_walk {
	struct kad *kad;
	struct kad_lookup lookup;
	enum kad_type type;
	struct buf request;
	struct list calls;
	struct timer soon, slow, deadline;
	uint64_t deadline_ms;
	bool running;
	kad_walk_answer_fn *on_answer; /* may be NULL */
	kad_walk_done_fn *on_done;
	void *ctx;
};

/* walk is zeroed. No callback before it returned. */
void kad_walk_start(struct kad_walk *walk, struct kad *kad, enum kad_type type, struct bytes key,
		    uint64_t deadline_ms, kad_walk_answer_fn *on_answer, kad_walk_done_fn *on_done,
		    void *ctx);
/* No callback runs any more; memory is released. Harmless when never started. */
void kad_walk_stop(struct kad_walk *walk);

#endif

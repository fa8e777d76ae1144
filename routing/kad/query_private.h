/* One search of query.c, and what its parts share. Private to query*.c. */
#ifndef ROUTING_KAD_QUERY_PRIVATE_H
#define ROUTING_KAD_QUERY_PRIVATE_H

#include "routing/kad/kad.h"
#include "routing/kad/query.h"
#include "routing/kad/region.h"

/* If the k nearest to a key are implausibly dense (netsize.h), up to this many more lookups of k
 * peers each find the other peers within the expected reach; at most 4 k peers are told or asked.
 * To hide a key, somebody would have to place 4 k peers around it, spread over its region. */
#define KAD_WIDEN_WALKS_MAX 3
#define KAD_NEAR_MAX (KAD_K_MAX * (1 + KAD_WIDEN_WALKS_MAX))

struct kad_query;
typedef void kad_query_widened_fn(struct kad_query *query);

struct kad_query {
	struct routing_query base; /* first: the door's pointer */
	struct list node;
	struct kad *kad;
	struct kad_walk walk;
	struct timer soon;
	uint64_t deadline_ms;
	struct buf key, value; /* what is sought or put; the best value yet */
	struct peer_id target;
	struct multiaddr *addrs; /* of the target */
	size_t addr_count;
	struct map seen;	    /* providers given: id -> this query */
	struct kad_region_map near; /* the peers to tell or ask, after kad_query_widen() */
	struct place_region wide;   /* within which all are looked for */
	unsigned wide_walks;
	kad_query_widened_fn *widened;
	struct list sends;
	unsigned count, count_max;
	int send_err;
	struct peer_id good[KAD_VALUE_GOOD_MAX]; /* peers that have the best value */
	unsigned good_count, checks;
	struct peer_id *late; /* peers that are to be told the best value */
	size_t late_count;
	bool busy;	/* a callback runs, which may cancel */
	bool cancelled; /* it did */
	routing_peer_fn *on_peer;
	routing_provider_fn *on_provider;
	routing_value_fn *on_value;
	routing_done_fn *on_done;
	void *ctx;
};

/* NULL when too many are in flight or the key is longer than max. first runs soon. */
struct kad_query *kad_query_new(struct router *router, struct bytes key, size_t key_max,
				uint64_t deadline_ms, timer_fn *first, void *ctx);
void kad_query_free(struct kad_query *query);
/* Free, then tell on_done or on_peer unless cancelled. */
void kad_query_end(struct kad_query *query, int err);
/* Send the request to these, all side by side; check (may be NULL: no answer is due) judges each
 * answer. When all are through the query ends: 0 when one succeeded. */
typedef int kad_query_check_fn(struct kad_query *query, struct bytes answer);
void kad_query_send(struct kad_query *query, struct bytes request, const struct peer_id *peers,
		    size_t count, kad_query_check_fn *check);
/* After the walk, which ended with err: query->near becomes its k nearest and, when they are too
 * dense, all others of their region. Then widened runs, maybe at once; the walk is stopped or as it
 * was. */
void kad_query_widen(struct kad_query *query, int err, kad_query_widened_fn *widened);
/* Whether more than the k nearest of the walk were looked for. */
static inline bool kad_query_is_wide(const struct kad_query *query)
{
	return query->wide_walks > 0;
}
/* The peers of query->near; returns how many. */
size_t kad_query_near(const struct kad_query *query, struct peer_id out[static KAD_NEAR_MAX]);
/* Walks again, to the peers of query->near only. */
void kad_query_ask_near(struct kad_query *query, enum kad_type type, kad_walk_answer_fn *on_answer,
			kad_walk_done_fn *on_done);
/* The walk's share of the time when something is to be sent after it. */
uint64_t kad_query_walk_deadline(const struct kad_query *query);

#endif

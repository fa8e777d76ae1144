/* One search of query.c, and what its parts share. Private to query*.c. */
#ifndef ROUTING_KAD_QUERY_PRIVATE_H
#define ROUTING_KAD_QUERY_PRIVATE_H

#include "routing/kad/kad.h"
#include "routing/kad/query.h"

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
	struct map seen; /* providers given: id -> this query */
	struct list sends;
	unsigned count, count_max;
	int send_err;
	struct peer_id good[KAD_VALUE_QUORUM]; /* who has the best value */
	unsigned good_count;
	struct peer_id *late; /* who is to be told a better value */
	size_t late_count;
	bool busy;	/* in a callback of the user's, who may cancel */
	bool cancelled; /* so he did */
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
/* The walk's share of the time when something is to be sent after it. */
uint64_t kad_query_walk_deadline(const struct kad_query *query);

#endif

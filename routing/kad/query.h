/* The five operations of a router over walks and calls. Loop thread only. */
#ifndef ROUTING_KAD_QUERY_H
#define ROUTING_KAD_QUERY_H

#include "routing/routing.h"

#define KAD_VALUE_GOOD_MAX 16 /* peers remembered that have the best record */
#define KAD_VALUE_CHECKS_MAX                                                                       \
	64		  /* signatures checked for one search; what comes after is not taken */
#define KAD_SEND_MS 30000 /* one ADD_PROVIDER or PUT_VALUE, dialling included */

struct kad;

/* As router_ops of the door, which names what they promise. */
struct routing_query *kad_query_find_peer(struct router *router, const struct peer_id *peer,
					  uint64_t deadline_ms, routing_peer_fn *done, void *ctx);
struct routing_query *kad_query_find_providers(struct router *router, struct bytes multihash,
					       unsigned count_max, uint64_t deadline_ms,
					       routing_provider_fn *found, routing_done_fn *done,
					       void *ctx);
/* Also -EADDRNOTAVAIL: we have no address to announce; -EHOSTUNREACH: there is no peer to tell. */
struct routing_query *kad_query_provide(struct router *router, struct bytes multihash,
					uint64_t deadline_ms, routing_done_fn *done, void *ctx);
struct routing_query *kad_query_put_value(struct router *router, struct bytes key,
					  struct bytes value, uint64_t deadline_ms,
					  routing_done_fn *done, void *ctx);
struct routing_query *kad_query_get_value(struct router *router, struct bytes key,
					  unsigned records_max, uint64_t deadline_ms,
					  routing_value_fn *found, routing_done_fn *done,
					  void *ctx);
/* Cancels all. */
void kad_query_stop_all(struct kad *kad);

#endif

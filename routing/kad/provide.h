/* Announcing many keys at once, as an operation of the router: a sweep over one region each
 * (region_sweep.h). Loop thread only. */
#ifndef ROUTING_KAD_PROVIDE_H
#define ROUTING_KAD_PROVIDE_H

#include "routing/routing.h"

#define KAD_SWEEPS_MAX 16 /* side by side; one more does not start */

struct kad;

/* These are operations of struct router_ops. */
struct routing_query *kad_provide_region(struct router *router, struct due_set *set,
					 const struct place_region *bounds,
					 const struct due_key *key, routing_told_fn *told,
					 routing_announced_fn *done, void *ctx);
int kad_can_provide(struct router *router);
void kad_note_own(struct router *router, struct bytes multihash, bool have);

/* Ends all sweeps without a callback. */
void kad_provide_stop_all(struct kad *kad);

#endif

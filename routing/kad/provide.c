/* A sweep over a region as a query of the router: it lives as long as the sweep runs. Loop thread.
 */
#include "routing/kad/provide.h"

#include "net/base/alloc.h"
#include "routing/kad/kad.h"
#include "routing/kad/region_sweep.h"

#include <errno.h>
#include <stdlib.h>

struct sweeping {
	struct routing_query base; /* first: the door's pointer */
	struct list node;	   /* of kad->sweeps */
	struct kad *kad;
	struct kad_region_sweep sweep;
	routing_told_fn *told;
	routing_announced_fn *done;
	void *ctx;
};

static void sweeping_free(struct sweeping *sweeping)
{
	kad_region_sweep_stop(&sweeping->sweep);
	list_remove(&sweeping->node);
	sweeping->kad->sweep_count--;
	free(sweeping);
}

static void sweeping_cancel(struct routing_query *base)
{
	sweeping_free(container_of(base, struct sweeping, base));
}

static void on_told(void *ctx, struct due_key *key)
{
	struct sweeping *sweeping = ctx;

	sweeping->told(sweeping->ctx, key);
}

static void on_swept(void *ctx, size_t failed)
{
	struct sweeping *sweeping = ctx;
	struct routing_announced result = { .failed = failed,
					    .confirmed = sweeping->sweep.confirmed,
					    .unkept = sweeping->sweep.unkept };
	routing_announced_fn *done = sweeping->done;
	void *done_ctx = sweeping->ctx;

	sweeping_free(sweeping);
	done(done_ctx, &result);
}

struct routing_query *kad_provide_region(struct router *router, struct due_set *set,
					 const struct place_region *bounds,
					 const struct due_key *key, routing_told_fn *told,
					 routing_announced_fn *done, void *ctx)
{
	struct kad *kad = kad_of(router);
	struct sweeping *sweeping;

	if (kad->sweep_count >= KAD_SWEEPS_MAX)
		return NULL;
	sweeping = xnew(struct sweeping);
	sweeping->base.cancel = sweeping_cancel;
	sweeping->kad = kad;
	sweeping->told = told;
	sweeping->done = done;
	sweeping->ctx = ctx;
	list_add_tail(&kad->sweeps, &sweeping->node);
	kad->sweep_count++;
	kad_region_sweep_init(&sweeping->sweep, kad, set, bounds, on_told, on_swept, sweeping);
	kad_region_sweep_start(&sweeping->sweep, key);
	return &sweeping->base;
}

int kad_can_provide(struct router *router)
{
	struct kad *kad = kad_of(router);
	struct multiaddr addr;

	if (kad->table.peers == 0)
		return -EAGAIN; /* the first peer makes it ready */
	return kad_own_addrs(kad, &addr, 1) > 0 ? 0 : -EADDRNOTAVAIL;
}

void kad_note_own(struct router *router, struct bytes multihash, bool have)
{
	struct kad *kad = kad_of(router);

	if (have)
		kad_providers_add(&kad->providers, multihash, &kad->table.self, kad_wall_ms());
	else
		kad_providers_remove(&kad->providers, multihash, &kad->table.self);
}

void kad_provide_stop_all(struct kad *kad)
{
	while (!list_empty(&kad->sweeps))
		sweeping_free(list_first(&kad->sweeps, struct sweeping, node));
}

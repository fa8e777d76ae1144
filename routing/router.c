/* The calls of the door, which go to the router's operations, and the finder: the swarm's
 * question where a peer is becomes a find_peer query. Loop thread. */
#include "routing/routing.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FINDER_SEARCHES_MAX 64

/* ---- the five operations ---- */

struct routing_query *routing_find_peer(struct router *router, const struct peer_id *peer,
					uint64_t deadline_ms, routing_peer_fn *done, void *ctx)
{
	return router->ops->find_peer ? router->ops->find_peer(router, peer, deadline_ms, done, ctx)
				      : NULL;
}

struct routing_query *routing_find_providers(struct router *router, struct bytes multihash,
					     unsigned count_max, uint64_t deadline_ms,
					     routing_provider_fn *found, routing_done_fn *done,
					     void *ctx)
{
	if (!router->ops->find_providers)
		return NULL;
	return router->ops->find_providers(router, multihash, count_max, deadline_ms, found, done,
					   ctx);
}

struct routing_query *routing_provide(struct router *router, struct bytes multihash,
				      uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	return router->ops->provide
		       ? router->ops->provide(router, multihash, deadline_ms, done, ctx)
		       : NULL;
}

struct routing_query *routing_put_value(struct router *router, struct bytes key, struct bytes value,
					uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	if (!router->ops->put_value)
		return NULL;
	return router->ops->put_value(router, key, value, deadline_ms, done, ctx);
}

struct routing_query *routing_get_value(struct router *router, struct bytes key,
					unsigned records_max, uint64_t deadline_ms,
					routing_value_fn *found, routing_done_fn *done, void *ctx)
{
	if (!router->ops->get_value)
		return NULL;
	return router->ops->get_value(router, key, records_max, deadline_ms, found, done, ctx);
}

void routing_cancel(struct routing_query *query)
{
	if (query)
		query->cancel(query);
}

bool routing_reached_by(const struct peer_info *info, const char *protocol)
{
	for (size_t i = 0; i < info->protocol_count; i++)
		if (strcmp(info->protocols[i], protocol) == 0)
			return true;
	return info->protocol_count == 0;
}

void routing_note_own(struct router *router, struct bytes multihash, bool have)
{
	if (router->ops->note_own)
		router->ops->note_own(router, multihash, have);
}

/* ---- watches ---- */

void router_watch(struct router *router, struct router_watch *watch)
{
	watch->next = router->watches;
	router->watches = watch;
}

void router_unwatch(struct router *router, struct router_watch *watch)
{
	struct router_watch **at = &router->watches;

	while (*at && *at != watch)
		at = &(*at)->next;
	if (*at)
		*at = watch->next;
}

void router_ready(struct router *router)
{
	for (struct router_watch *watch = router->watches; watch; watch = watch->next)
		watch->on_ready(watch->ctx);
}

/* ---- the swarm asks where peers are ---- */

struct routing_finder {
	struct router *router;
	struct swarm *swarm;
	struct list searches;
	unsigned count;
};

struct search {
	struct list node;
	struct routing_finder *finder;
	struct peer_id peer;
	struct routing_query *query;
};

static void search_free(struct search *search)
{
	list_remove(&search->node);
	search->finder->count--;
	free(search);
}

static void on_found(void *ctx, int err, const struct peer_info *info)
{
	struct search *search = ctx;
	struct swarm *swarm = search->finder->swarm;
	struct peer_id peer = search->peer;

	search_free(search);
	swarm_found(swarm, &peer, err, info);
}

/* The swarm's question where a peer is, as a find_peer query. */
static void peer_find(void *ctx, const struct peer_id *peer, uint64_t deadline_ms)
{
	struct routing_finder *finder = ctx;
	struct search *search;

	const struct router_ops *ops = finder->router->ops;

	if (ops->is_reaching && ops->is_reaching(finder->router, peer)) {
		swarm_found(finder->swarm, peer, -ENOENT, NULL);
		return;
	}
	if (finder->count >= FINDER_SEARCHES_MAX) {
		swarm_found(finder->swarm, peer, -EAGAIN, NULL);
		return;
	}
	search = xnew(struct search);
	search->finder = finder;
	search->peer = *peer;
	search->query = routing_find_peer(finder->router, peer, deadline_ms, on_found, search);
	list_add_tail(&finder->searches, &search->node);
	finder->count++;
	if (search->query)
		return;
	search_free(search);
	swarm_found(finder->swarm, peer, -ENOENT, NULL);
}

void routing_attach_finder(struct router *router, struct swarm *swarm)
{
	struct routing_finder *finder = xnew(struct routing_finder);

	finder->router = router;
	finder->swarm = swarm;
	list_init(&finder->searches);
	router->finder = finder;
	swarm_set_finder(swarm, peer_find, finder);
}

static void finder_free(struct routing_finder *finder)
{
	if (!finder)
		return;
	swarm_set_finder(finder->swarm, NULL, NULL);
	while (!list_empty(&finder->searches)) {
		struct search *search = list_first(&finder->searches, struct search, node);

		routing_cancel(search->query);
		search_free(search);
	}
	free(finder);
}

static void nobody_waits(void *ctx)
{
	(void)ctx;
}

void router_close(struct router *router, void (*done)(void *ctx), void *ctx)
{
	if (!done)
		done = nobody_waits;
	if (!router) {
		done(ctx);
		return;
	}
	finder_free(router->finder);
	router->ops->close(router, done, ctx);
}

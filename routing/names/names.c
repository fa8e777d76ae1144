/* The service: start and end, and what it hears of the network. Own names are told by tell.c, names
 * of others are searched by query.c and followed by follow.c. Loop thread. */
#include "routing/names/names_private.h"

#include "net/base/alloc.h"
#include "routing/record/ipns.h"

#include <stdlib.h>

#define CACHE_DEFAULT 128
#define LOOK_MS 60000
#define PEERS_MS 300 /* until a peer that identified is in the routing table */

uint64_t names_now(const struct names *names)
{
	return timers_now(names->timers);
}

struct bytes names_key(const struct peer_id *name, struct buf *out)
{
	buf_add_str(out, IPNS_PREFIX);
	buf_add(out, peer_id_bytes(name));
	return buf_bytes(out);
}

/* ---- peers come ---- */

static void on_peers(void *ctx)
{
	struct names *names = ctx;

	/* What was made with --offline beside us, nobody told us of. */
	if (names_now(names) - names->looked_ms >= LOOK_MS)
		names_changed(names);
	names_own_hurry(ctx);
	names_watched_hurry(ctx);
}

static void peers_came(struct names *names)
{
	if (!timer_running(&names->peers))
		timer_start(names->timers, &names->peers, PEERS_MS, on_peers, names);
}

static void on_identified(void *ctx, const struct peer_id *peer)
{
	(void)peer;
	peers_came(ctx);
}

static void on_ready(void *ctx)
{
	peers_came(ctx);
}

/* ---- start and end ---- */

struct names *names_new(struct swarm *swarm, struct router *router, struct db *db,
			const struct names_config *config)
{
	struct names *names = xnew(struct names);

	names->swarm = swarm;
	names->router = router;
	names->db = db;
	names->timers = loop_timers(swarm_loop(swarm));
	names->config = *config;
	if (!names->config.republish_ms)
		names->config.republish_ms = NAME_REPUBLISH_MS;
	if (!names->config.poll_min_ms)
		names->config.poll_min_ms = NAME_POLL_MIN_MS;
	if (!names->config.cache_max)
		names->config.cache_max = CACHE_DEFAULT;
	if (!names->config.cache_ms_max)
		names->config.cache_ms_max = UINT64_MAX;
	list_init(&names->queries);
	names->watch = (struct swarm_watch){ .on_identified = on_identified, .ctx = names };
	swarm_watch(swarm, &names->watch);
	names->ready = (struct router_watch){ .on_ready = on_ready, .ctx = names };
	if (router)
		router_watch(router, &names->ready);
	names_changed(names);
	return names;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	swarm_unwatch(names->swarm, &names->watch);
	if (names->router)
		router_unwatch(names->router, &names->ready);
	timer_stop(names->timers, &names->peers);
	names_watched_stop(names);
	names_own_stop(names);
	while (!list_empty(&names->queries))
		names_query_free(list_first(&names->queries, struct names_query, node));
	names_cache_release(names);
	free(names);
}

void names_stats(const struct names *names, struct names_stats *stats)
{
	*stats = (struct names_stats){ .followed = names->watched.count,
				       .cached = names->cache.count,
				       .told = names->told,
				       .polls = names->polls };
	names_own_stats(names, stats);
}

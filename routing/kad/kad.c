/* A Kademlia node: puts its parts together, and tells them of peers that come and identify. Loop
 * thread. */
#include "routing/kad/kad.h"

#include "net/base/log.h"
#include "net/base/wait.h"
#include "net/db/db.h"
#include "net/wire/varint.h"
#include "routing/kad/query.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tables in db, with ".wan" or ".lan" behind:
 *   "kad_peers"      key peer id, value [uv(len) | address]...
 *   "kad_providers"  see providers.c
 *   "kad_values"     see values.c */

static void on_first_peer(struct kad *kad)
{
	kad_upkeep_first_peer(kad);
	router_ready(&kad->router);
}

static void on_identified(void *ctx, const struct peer_id *peer)
{
	struct kad *kad = ctx;

	if (swarm_peer_supports(kad->swarm, peer, kad->protocol))
		kad_peer_answered(kad, peer);
	else
		kad_peer_unfit(kad, peer);
}

static void on_connected(void *ctx, const struct peer_id *peer)
{
	struct kad *kad = ctx;

	(void)peer;
	/* A server has nothing to find out here, and a busy node meets many peers. */
	if (!kad->server)
		kad_reach_look(kad);
}

static void on_reach(void *ctx, const struct peer_id *self)
{
	(void)self;
	kad_reach_look(ctx);
}

/* ---- start and end ---- */

void kad_set_mode(struct router *router, enum kad_mode mode)
{
	struct kad *kad = kad_of(router);

	kad->config.mode = mode;
	kad_reach_stop(kad);
	if (mode == KAD_AUTO)
		kad_reach_start(kad);
	else
		kad_serve(kad, mode == KAD_SERVER);
}

/* Nothing of a node outlives this call. */
static void kad_close(struct router *router, void (*done)(void *ctx), void *ctx)
{
	struct kad *kad = kad_of(router);

	swarm_unwatch(kad->swarm, &kad->watch);
	kad_reach_stop(kad);
	kad_provide_stop_all(kad);
	kad_upkeep_stop(kad);
	kad_query_stop_all(kad);
	kad_server_free(kad->server);
	kad_client_free(kad->client);
	kad_near_release(kad);
	kad_bucket_release(&kad->table);
	kad_providers_release(&kad->providers);
	kad_values_release(&kad->values);
	free(kad);
	done(ctx);
}

static int kad_compare(struct router *router, struct bytes key, struct bytes a, struct bytes b)
{
	const struct record_rules *rules = kad_values_rules(&kad_of(router)->values, key);

	return rules ? rules->compare(a, b) : 0;
}

static bool kad_is_reaching(struct router *router, const struct peer_id *peer)
{
	return kad_client_is_opening(kad_of(router)->client, peer);
}

static const struct router_ops ops = {
	.find_peer = kad_query_find_peer,
	.find_providers = kad_query_find_providers,
	.provide = kad_query_provide,
	.put_value = kad_query_put_value,
	.get_value = kad_query_get_value,
	.close = kad_close,
	.compare = kad_compare,
	.is_reaching = kad_is_reaching,
	.provide_region = kad_provide_region,
	.can_provide = kad_can_provide,
	.note_own = kad_note_own,
};

static void take_config(struct kad *kad, const struct kad_config *config)
{
	struct kad_config *c = &kad->config;

	*c = *config;
	c->alpha = c->alpha ? c->alpha : 10;
	c->beta = c->beta ? c->beta : 3;
	c->k = c->k ? c->k : 20;
	c->refresh_ms = c->refresh_ms ? c->refresh_ms : 10ull * 60 * 1000;
	c->provider_ttl_ms = c->provider_ttl_ms ? c->provider_ttl_ms : 48ull * 3600 * 1000;
	assert(c->k <= KAD_K_MAX && strlen(config->protocol) < sizeof(kad->protocol));
	snprintf(kad->protocol, sizeof(kad->protocol), "%s", config->protocol);
	c->protocol = kad->protocol;
	kad->filter =
		(struct kad_filter){ .lan = config->lan, .keep_loopback = config->keep_loopback };
}

static void open_stores(struct kad *kad)
{
	const char *net = kad->config.lan ? "lan" : "wan";
	char name[32];

	snprintf(kad->peers_table, sizeof(kad->peers_table), "kad_peers.%s", net);
	snprintf(name, sizeof(name), "kad_providers.%s", net);
	kad_providers_init(&kad->providers, kad->db, name, kad->config.provider_ttl_ms,
			   kad_wall_ms());
	snprintf(name, sizeof(name), "kad_values.%s", net);
	kad_values_init(&kad->values, kad->db, name, swarm_self(kad->swarm), kad->config.rules,
			kad->config.rules_count, wallclock_ns());
	kad->config.rules = NULL;
}

static int meet(void *ctx, const struct swarm_peer *peer)
{
	if (peer->identified)
		on_identified(ctx, &peer->id);
	return 0;
}

struct router *kad_new(struct swarm *swarm, struct db *db, const struct kad_config *config)
{
	struct kad *kad = xnew(struct kad);

	kad->router = (struct router){ .ops = &ops, .name = config->lan ? "kad-lan" : "kad-wan" };
	kad->swarm = swarm;
	kad->db = db;
	kad->timers = loop_timers(swarm_loop(swarm));
	kad->random = swarm_random(swarm);
	kad->on_first_peer = on_first_peer;
	list_init(&kad->queries);
	list_init(&kad->sweeps);
	take_config(kad, config);
	open_stores(kad);
	kad_bucket_init(&kad->table, swarm_self(swarm), kad->config.k);
	kad->client = kad_client_new(swarm, kad->protocol);
	kad->view = (struct kad_server_view){ .swarm = swarm,
					      .protocol = kad->protocol,
					      .filter = &kad->filter,
					      .table = &kad->table,
					      .providers = &kad->providers,
					      .values = &kad->values,
					      .own_addrs = kad_own_addrs,
					      .ctx = kad,
					      .value_told = config->value_told,
					      .value_known = config->value_known,
					      .value_ctx = config->value_ctx };
	kad_load_peers(kad);
	kad_upkeep_start(kad);
	kad->watch = (struct swarm_watch){ .on_connected = on_connected,
					   .on_identified = on_identified,
					   .on_reach = on_reach,
					   .ctx = kad };
	swarm_watch(swarm, &kad->watch);
	swarm_each_peer(swarm, meet, kad);
	kad_set_mode(&kad->router, config->mode);
	return &kad->router;
}

static unsigned filled_buckets(const struct kad_buckets *table)
{
	unsigned filled = 0;

	for (unsigned i = 0; i < table->count; i++)
		filled += table->at[i].count > 0;
	return filled;
}

void kad_stats(const struct router *router, struct kad_stats *stats)
{
	const struct kad *kad = container_of(router, struct kad, router);
	const struct kad_upkeep *up = &kad->upkeep;
	struct kad_client_stats client = kad_client_stats(kad->client);

	*stats = (struct kad_stats){
		.serving = kad->server != NULL,
		.automatic = kad->config.mode == KAD_AUTO,
		.table_peers = kad->table.peers,
		.buckets = kad->table.count,
		.buckets_filled = filled_buckets(&kad->table),
		.provider_keys = kad_providers_keys(&kad->providers),
		.provider_records = kad->providers.count,
		.providers_refused = kad->providers.refused,
		.providers_displaced = kad->providers.displaced,
		.values = kad->values.keys.count,
		.value_bytes = kad->values.bytes,
		.queries = kad->queries_total,
		.query_failures = kad->queries_failed,
		.refreshes = up->refreshes,
		.refresh_failures = up->refresh_failures,
		.refresh_age_ms = up->refreshed ? kad_now(kad) - up->refreshed_ms : UINT64_MAX,
		.messages_sent = client.sent,
		.messages_received = client.received,
	};
}

/* A Kademlia node: puts its parts together, keeps the routing table and the copy of it in the db,
 * and switches the server on and off. Peers enter the table when they answer or identify. Loop
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

/*
 * Tables in db, with ".wan" or ".lan" behind: "kad_peers"      key peer id, value [uv(len) |
 * address]... "kad_providers"  see providers.c "kad_values"     see values.c
 */

#define OWN_ADDRS_LOOK 256 /* of our own addresses, before the filter */
#define NS_PER_MS 1000000
#define SAVED_PEERS_MAX 2000
#define SAVED_ADDRS_MAX 8
#define SAVED_ADDR_TTL_MS (24ull * 3600 * 1000)
#define ONLINE_MS 5000 /* an answer this young shows that we are not offline */

uint64_t kad_now(const struct kad *kad)
{
	return timers_now(kad->timers);
}

uint64_t kad_wall_ms(void)
{
	return wallclock_ns() / NS_PER_MS;
}

size_t kad_own_addrs(void *ctx, struct multiaddr *addrs, size_t max)
{
	const struct kad *kad = ctx;
	struct multiaddr *all = xcalloc(OWN_ADDRS_LOOK, sizeof(*all));
	size_t count = swarm_listen_addrs(kad->swarm, all, OWN_ADDRS_LOOK);

	count = kad_filter_addrs(&kad->filter, all,
				 count < OWN_ADDRS_LOOK ? count : OWN_ADDRS_LOOK);
	if (count > max)
		count = max;
	for (size_t i = 0; i < count; i++)
		addrs[i] = all[i];
	free(all);
	return count;
}

/* ---- the table and who is in it ---- */

static void save_peer(struct kad *kad, const struct peer_id *peer, const struct multiaddr *addrs,
		      size_t count)
{
	struct buf value = { 0 };

	if (!kad->db)
		return;
	for (size_t i = 0; i < count && i < SAVED_ADDRS_MAX; i++) {
		buf_add_uvarint(&value, addrs[i].len);
		buf_add(&value, multiaddr_bytes(&addrs[i]));
	}
	db_post(kad->db, kad->peers_table, peer_id_bytes(peer), buf_bytes(&value));
	buf_release(&value);
}

static void forget_peer(struct kad *kad, const struct peer_id *peer)
{
	if (kad->db)
		db_post(kad->db, kad->peers_table, peer_id_bytes(peer), bytes_of(NULL, 0));
}

struct nearness {
	const struct peer_id *peer;
	bool near;
};

static int look_near(void *ctx, const struct swarm_peer *peer)
{
	struct nearness *nearness = ctx;

	if (peer_id_equal(&peer->id, nearness->peer) &&
	    multiaddr_scope(&peer->addr) != SCOPE_PUBLIC)
		nearness->near = true;
	return nearness->near;
}

/* A peer of the local network is one that we are connected to without crossing the public net:
 * distant nodes speak the local protocol too. */
static bool belongs(const struct kad *kad, const struct peer_id *peer,
		    const struct multiaddr *addrs, size_t count)
{
	struct nearness nearness = { .peer = peer };

	if (!kad_filter_peer(&kad->filter, addrs, count))
		return false;
	if (!kad->filter.lan)
		return true;
	swarm_each_peer(kad->swarm, look_near, &nearness);
	return nearness.near;
}

static int peer_insert(struct kad *kad, const struct peer_id *peer, const struct multiaddr *addrs,
		       size_t count)
{
	struct peer_id replaced;
	unsigned before = kad->table.peers;
	int err = kad_bucket_add(&kad->table, peer, kad_filter_group(&kad->filter, addrs, count),
				 kad_now(kad), &replaced);

	if (err)
		return err;
	kad_near_changed(kad);
	if (peer_id_is_set(&replaced))
		forget_peer(kad, &replaced);
	if (before == 0) {
		kad_upkeep_first_peer(kad);
		router_ready(&kad->router);
	}
	return 0;
}

static bool peer_leave(struct kad *kad, const struct peer_id *peer)
{
	if (!kad_bucket_remove(&kad->table, peer))
		return false;
	kad_near_changed(kad);
	return true;
}

void kad_peer_answered(struct kad *kad, const struct peer_id *peer)
{
	struct multiaddr addrs[KAD_SERVER_ADDRS_MAX];
	size_t count;

	kad->answered_ms = kad_now(kad);
	if (kad_bucket_has(&kad->table, peer)) {
		kad_bucket_useful(&kad->table, peer, kad_now(kad));
		return;
	}
	count = swarm_peer_addrs(kad->swarm, peer, addrs, KAD_SERVER_ADDRS_MAX);
	count = kad_filter_addrs(&kad->filter, addrs, count);
	if (belongs(kad, peer, addrs, count) && peer_insert(kad, peer, addrs, count) == 0)
		save_peer(kad, peer, addrs, count);
}

void kad_peer_failed(struct kad *kad, const struct peer_id *peer, int err)
{
	uint64_t now = kad_now(kad);

	if (err == -EAGAIN || err == -ECANCELED || !peer_leave(kad, peer))
		return;
	if (kad->answered_ms > 0 && now - kad->answered_ms < ONLINE_MS)
		forget_peer(kad, peer);
}

static void on_identified(void *ctx, const struct peer_id *peer)
{
	struct kad *kad = ctx;

	if (swarm_peer_supports(kad->swarm, peer, kad->protocol))
		kad_peer_answered(kad, peer);
	else if (peer_leave(kad, peer))
		forget_peer(kad, peer);
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

/* ---- over restarts ---- */

struct loading {
	struct kad *kad;
	unsigned left;
};

/* One saved peer, back into the table. What does not fit or does not parse is deleted from the
 * db. */
static int load_peer(void *ctx, struct bytes key, struct bytes value)
{
	struct loading *loading = ctx;
	struct kad *kad = loading->kad;
	struct multiaddr addrs[SAVED_ADDRS_MAX];
	struct cursor c = cursor_over(value);
	struct peer_id peer;
	size_t count = 0;

	if (peer_id_from_bytes(&peer, key) == 0)
		while (count < SAVED_ADDRS_MAX && cursor_left(&c) > 0) {
			size_t len = cursor_uvarint(&c);
			struct bytes addr = cursor_take(&c, len);

			if (c.bad || multiaddr_from_bytes(&addrs[count], addr))
				break;
			count++;
		}
	count = kad_filter_addrs(&kad->filter, addrs, count);
	int err = kad_filter_peer(&kad->filter, addrs, count)
			  ? peer_insert(kad, &peer, addrs, count)
			  : -EBADMSG;

	if (err == -EEXIST)
		return 0;
	if (err) {
		db_post(kad->db, kad->peers_table, key, bytes_of(NULL, 0));
		return 0;
	}
	for (size_t i = count; i-- > 0;)
		swarm_add_addr(kad->swarm, &peer, &addrs[i], SAVED_ADDR_TTL_MS);
	return --loading->left == 0;
}

void kad_load_peers(struct kad *kad)
{
	struct loading loading = { .kad = kad, .left = SAVED_PEERS_MAX };
	struct db_txn *txn;

	if (!kad->db || db_begin(kad->db, false, &txn))
		return;
	db_each(txn, kad->peers_table, bytes_of(NULL, 0), bytes_of(NULL, 0), load_peer, &loading);
	db_abort(txn);
}

/* ---- start and end ---- */

void kad_serve(struct kad *kad, bool serve)
{
	int err;

	if (serve == (kad->server != NULL))
		return;
	if (serve) {
		kad->server = kad_server_new(&kad->view, &err);
		if (!kad->server) {
			log_error("kad", "no server protocol=%s err=%d", kad->protocol, err);
			return;
		}
	} else {
		kad_server_free(kad->server);
		kad->server = NULL;
	}
	log_info("kad", "mode protocol=%s server=%d", kad->protocol, serve);
}

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
					      .ctx = kad };
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

/* Finding a peer, finding providers and providing, and what all searches share: their life, and
 * sending one message to many peers. Loop thread. */
#include "routing/kad/query.h"

#include "routing/kad/query_private.h"

#include <errno.h>
#include <stdlib.h>

#define PROVIDERS_LOCAL_MAX 100
#define PROVIDER_ADDR_TTL_MS (30ull * 60 * 1000)

/* ---- what all share ---- */

struct sending {
	struct list node;
	struct kad_query *query;
	struct peer_id peer;
	struct kad_call *call;
	kad_query_check_fn *check;
};

void kad_query_free(struct kad_query *query)
{
	struct kad *kad = query->kad;

	timer_stop(kad->timers, &query->soon);
	kad_walk_stop(&query->walk);
	while (!list_empty(&query->sends)) {
		struct sending *sending = list_first(&query->sends, struct sending, node);

		kad_client_cancel(sending->call);
		list_remove(&sending->node);
		free(sending);
	}
	list_remove(&query->node);
	kad->query_count--;
	buf_release(&query->key);
	buf_release(&query->value);
	map_release(&query->seen);
	kad_region_map_release(&query->near);
	free(query->addrs);
	free(query->late);
	free(query);
}

static void query_cancel(struct routing_query *base)
{
	struct kad_query *query = container_of(base, struct kad_query, base);

	/* If a callback of the query runs, the code that called it frees the query. */
	query->cancelled = true;
	if (!query->busy)
		kad_query_free(query);
}

void kad_query_end(struct kad_query *query, int err)
{
	query->kad->queries_failed += err != 0;
	if (!query->cancelled && query->on_done) {
		query->busy = true;
		query->on_done(query->ctx, err, query->count);
	} else if (!query->cancelled && query->on_peer) {
		struct peer_info info = { .id = query->target,
					  .addrs = query->addrs,
					  .addr_count = query->addr_count };

		query->busy = true;
		query->on_peer(query->ctx, err, err ? NULL : &info);
	}
	kad_query_free(query);
}

struct kad_query *kad_query_new(struct router *router, struct bytes key, size_t key_max,
				uint64_t deadline_ms, timer_fn *first, void *ctx)
{
	struct kad *kad = kad_of(router);
	struct kad_query *query;

	if (kad->query_count >= KAD_QUERIES_MAX || key.len == 0 || key.len > key_max)
		return NULL;
	query = xnew(struct kad_query);
	query->base.cancel = query_cancel;
	query->kad = kad;
	query->deadline_ms = deadline_ms;
	query->ctx = ctx;
	buf_add(&query->key, key);
	list_init(&query->sends);
	list_add_tail(&kad->queries, &query->node);
	kad->query_count++;
	kad->queries_total++;
	timer_start(kad->timers, &query->soon, 0, first, query);
	return query;
}

void kad_query_stop_all(struct kad *kad)
{
	while (!list_empty(&kad->queries))
		kad_query_free(list_first(&kad->queries, struct kad_query, node));
}

/* ---- telling many ---- */

static void on_sent(void *ctx, int err, struct bytes answer)
{
	struct sending *sending = ctx;
	struct kad_query *query = sending->query;

	if (err)
		kad_peer_failed(query->kad, &sending->peer, err);
	else if (sending->check)
		err = sending->check(query, answer);
	if (err)
		query->send_err = err;
	else
		query->count++;
	list_remove(&sending->node);
	free(sending);
	if (list_empty(&query->sends))
		kad_query_end(query, query->count > 0 ? 0 : query->send_err);
}

void kad_query_send(struct kad_query *query, struct bytes request, const struct peer_id *peers,
		    size_t count, kad_query_check_fn *check)
{
	struct kad *kad = query->kad;
	uint64_t deadline_ms = kad_now(kad) + KAD_SEND_MS;

	if (deadline_ms > query->deadline_ms)
		deadline_ms = query->deadline_ms;
	query->send_err = count > 0 ? -EAGAIN : -EHOSTUNREACH;
	for (size_t i = 0; i < count; i++) {
		struct sending *sending = xnew(struct sending);

		sending->query = query;
		sending->peer = peers[i];
		sending->check = check;
		sending->call = kad_client_call(kad->client, &peers[i], request, check != NULL,
						deadline_ms, on_sent, sending);
		if (sending->call)
			list_add_tail(&query->sends, &sending->node);
		else
			free(sending);
	}
	if (list_empty(&query->sends))
		kad_query_end(query, query->send_err);
}

/* ---- find a peer ---- */

static void take_known(struct kad_query *query)
{
	query->addr_count = swarm_peer_addrs(query->kad->swarm, &query->target, query->addrs,
					     KAD_PEER_ADDRS_MAX);
}

/* Stops at the peer that is looked for, and takes its addresses. */
static int match_target(void *ctx, const struct kad_msg_peer *peer)
{
	struct kad_query *query = ctx;

	if (!peer_id_equal(&peer->id, &query->target))
		return 0;
	for (size_t i = 0; i < peer->addr_count; i++)
		if (kad_filter_addr(&query->kad->filter, &peer->addrs[i]))
			query->addrs[query->addr_count++] = peer->addrs[i];
	return 1;
}

static bool on_peer_answer(void *ctx, const struct kad_walk_answer *answer)
{
	struct kad_query *query = ctx;

	query->addr_count = 0;
	kad_msg_peers(answer->message, KAD_CLOSER, match_target, query);
	return query->addr_count == 0 && !swarm_is_connected(query->kad->swarm, &query->target);
}

static void on_peer_walked(void *ctx, int err)
{
	struct kad_query *query = ctx;

	if (query->addr_count == 0)
		take_known(query);
	if (query->addr_count > 0 || swarm_is_connected(query->kad->swarm, &query->target))
		err = 0;
	else if (!err)
		err = -ENOENT;
	kad_query_end(query, err);
}

static void peer_first(void *ctx)
{
	struct kad_query *query = ctx;
	struct kad *kad = query->kad;

	if (swarm_is_connected(kad->swarm, &query->target)) {
		take_known(query);
		kad_query_end(query, 0);
	} else {
		kad_walk_start(&query->walk, kad, KAD_FIND_NODE, buf_bytes(&query->key),
			       query->deadline_ms, on_peer_answer, on_peer_walked, query);
	}
}

struct routing_query *kad_query_find_peer(struct router *router, const struct peer_id *peer,
					  uint64_t deadline_ms, routing_peer_fn *done, void *ctx)
{
	struct kad_query *query = kad_query_new(router, peer_id_bytes(peer), PEER_ID_MAX,
						deadline_ms, peer_first, ctx);

	if (!query)
		return NULL;
	query->target = *peer;
	query->addrs = xcalloc(KAD_PEER_ADDRS_MAX, sizeof(*query->addrs));
	query->on_peer = done;
	return &query->base;
}

/* ---- find providers ---- */

/* Non-zero: enough. */
static int give_provider(struct kad_query *query, const struct peer_id *peer,
			 const struct multiaddr *addrs, size_t count)
{
	struct peer_info info = { .id = *peer, .addrs = addrs, .addr_count = count };

	if (peer_id_equal(peer, &query->kad->table.self) ||
	    map_get(&query->seen, peer_id_bytes(peer)))
		return 0;
	map_set(&query->seen, peer_id_bytes(peer), query);
	for (size_t i = count; i-- > 0;)
		swarm_add_addr(query->kad->swarm, peer, &addrs[i], PROVIDER_ADDR_TTL_MS);
	query->count++;
	query->busy = true;
	query->on_provider(query->ctx, &info);
	query->busy = false;
	return query->cancelled || query->count >= query->count_max;
}

static int take_provider(void *ctx, const struct kad_msg_peer *peer)
{
	struct kad_query *query = ctx;
	struct multiaddr *addrs = xcalloc(KAD_PEER_ADDRS_MAX, sizeof(*addrs));
	size_t count = 0;
	int enough;

	for (size_t i = 0; i < peer->addr_count; i++)
		if (kad_filter_addr(&query->kad->filter, &peer->addrs[i]))
			addrs[count++] = peer->addrs[i];
	enough = give_provider(query, &peer->id, addrs, count);
	free(addrs);
	return enough;
}

static bool on_providers_answer(void *ctx, const struct kad_walk_answer *answer)
{
	struct kad_query *query = ctx;

	kad_msg_peers(answer->message, KAD_PROVIDERS, take_provider, query);
	return !query->cancelled && query->count < query->count_max;
}

static void on_providers_asked(void *ctx, int err)
{
	kad_query_end(ctx, err);
}

static void providers_widened(struct kad_query *query)
{
	if (kad_query_is_wide(query))
		kad_query_ask_near(query, KAD_GET_PROVIDERS, on_providers_answer,
				   on_providers_asked);
	else
		kad_query_end(query, 0);
}

static void on_providers_walked(void *ctx, int err)
{
	struct kad_query *query = ctx;

	if (err || query->cancelled || query->count >= query->count_max)
		kad_query_end(query, err);
	else
		kad_query_widen(query, 0, providers_widened);
}

static void providers_first(void *ctx)
{
	struct kad_query *query = ctx;
	struct kad *kad = query->kad;
	struct peer_id known[PROVIDERS_LOCAL_MAX];
	struct multiaddr addrs[KAD_SERVER_ADDRS_MAX];
	size_t count = kad_providers_get(&kad->providers, buf_bytes(&query->key), kad_wall_ms(),
					 known, PROVIDERS_LOCAL_MAX);
	int enough = 0;

	for (size_t i = 0; i < count && !enough; i++) {
		size_t n = swarm_peer_addrs(kad->swarm, &known[i], addrs, KAD_SERVER_ADDRS_MAX);

		enough = give_provider(query, &known[i], addrs,
				       kad_filter_addrs(&kad->filter, addrs, n));
	}
	if (enough)
		kad_query_end(query, 0);
	else
		kad_walk_start(&query->walk, kad, KAD_GET_PROVIDERS, buf_bytes(&query->key),
			       query->deadline_ms, on_providers_answer, on_providers_walked, query);
}

struct routing_query *kad_query_find_providers(struct router *router, struct bytes multihash,
					       unsigned count_max, uint64_t deadline_ms,
					       routing_provider_fn *found, routing_done_fn *done,
					       void *ctx)
{
	struct kad_query *query =
		kad_query_new(router, multihash, KAD_KEY_MAX, deadline_ms, providers_first, ctx);

	if (!query)
		return NULL;
	query->count_max = count_max > 0 && count_max < ROUTING_PROVIDERS_MAX
				   ? count_max
				   : ROUTING_PROVIDERS_MAX;
	query->on_provider = found;
	query->on_done = done;
	return &query->base;
}

/* ---- provide ---- */

static void provide_widened(struct kad_query *query)
{
	struct kad *kad = query->kad;
	struct peer_id near[KAD_NEAR_MAX];
	size_t count = kad_query_near(query, near);
	struct multiaddr *addrs = xcalloc(KAD_OWN_ADDRS_MAX, sizeof(*addrs));
	size_t addr_count = kad_own_addrs(kad, addrs, KAD_OWN_ADDRS_MAX);
	struct buf request = { 0 };

	kad_msg_begin(&request, KAD_ADD_PROVIDER, buf_bytes(&query->key));
	kad_msg_peer(&request, KAD_PROVIDERS, &kad->table.self, addrs, addr_count,
		     KAD_NOT_CONNECTED, KAD_OWN_MAX - 4);
	kad_msg_end(&request);
	kad_query_send(query, buf_bytes(&request), near, count, NULL);
	buf_release(&request);
	free(addrs);
}

static void on_provide_walked(void *ctx, int err)
{
	kad_query_widen(ctx, err, provide_widened); /* out of time: those found so far are told */
}

static void provide_first(void *ctx)
{
	struct kad_query *query = ctx;
	struct kad *kad = query->kad;
	struct multiaddr addr;

	if (kad_own_addrs(kad, &addr, 1) == 0) {
		kad_query_end(query, -EADDRNOTAVAIL);
		return;
	}
	/* Asked ourselves, we answer with ourselves. */
	kad_providers_add(&kad->providers, buf_bytes(&query->key), &kad->table.self, kad_wall_ms());
	kad_walk_start(&query->walk, kad, KAD_FIND_NODE, buf_bytes(&query->key),
		       kad_query_walk_deadline(query), NULL, on_provide_walked, query);
}

struct routing_query *kad_query_provide(struct router *router, struct bytes multihash,
					uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	struct kad_query *query =
		kad_query_new(router, multihash, KAD_KEY_MAX, deadline_ms, provide_first, ctx);

	if (!query)
		return NULL;
	query->on_done = done;
	return &query->base;
}

/* The engine behind exchange.h: puts store, Bitswap client, Bitswap server and routing together,
 * and is the way by which other threads reach the loop. Work that a turn causes is gathered and
 * done once at its end. Loop thread, except where the header says otherwise. */
#include "exchange/exchange.h"

#include "exchange/bitswap/engine.h"
#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_PER_PEER_MAX 128 /* Kubo opens one for each response */
#define GETS_PER_WANT 4		 /* waiters, on average at most */
#define PROVIDER_DELAY_MS 1000
#define REBROADCAST_MS 60000
#define SERVE_MESSAGE (1u << 20)
#define SERVE_MESSAGE_MAX                                                                          \
	(2u << 20) /* with its last block it must stay below BITSWAP_MESSAGE_MAX */
#define SERVE_OUTSTANDING (4u << 20)
#define SERVE_STALL_MS 120000 /* as Kubo waits */
/* Four times what is asked of one fast peer alone: no one fetch, and no one reader, ever meets it.
 */
#define IN_FLIGHT (UINT64_C(256) << 20)
#define IN_FLIGHT_MIN (UINT64_C(1) << 20)

/* The door's: one of its own for each, but the last is shared by many. */
struct exchange_session {
	struct exchange *exchange;
	struct bitswap_session *session;
	struct list node; /* of exchange->sessions */
};

/* ---- from other threads ---- */

/* On the loop: acts on what other threads have left. */
static void on_left(struct exchange *exchange)
{
	struct engine_left left = engine_take_left(exchange);

	if (left.news_lost)
		engine_serve_all_news(exchange);
	else
		engine_serve_news(exchange, left.news, left.news_count);
	free(left.news);
	if (left.room)
		engine_arrive_room(exchange);
}

/* ---- once per turn of the loop ---- */

static void on_flush(void *ctx)
{
	struct exchange *exchange = ctx;
	struct list *dirty = &exchange->client.dirty;

	bitswap_client_run(&exchange->client);
	while (!list_empty(dirty)) {
		struct bitswap_client_peer *peer =
			list_first(dirty, struct bitswap_client_peer, dirty_node);

		list_remove(&peer->dirty_node);
		peer->dirty = false;
		engine_peer_flush(peer->owner);
	}
}

static void on_serve(void *ctx)
{
	engine_serve(ctx);
}

static const struct bitswap_client_ops client_ops = {
	.wake = engine_wake_flush,
	.search = engine_find_start,
	.unwanted = engine_find_stop,
};

static const struct bitswap_server_ops server_ops = {
	.size = engine_serve_size,
	.wake = engine_wake_serve,
	.may_have = engine_serve_may_have,
};

/* ---- peers ---- */

static void on_connected(void *ctx, const struct peer_id *id)
{
	engine_peer_add(ctx, id);
}

static void on_identified(void *ctx, const struct peer_id *id)
{
	struct engine_peer *peer = engine_peer_add(ctx, id);

	engine_peer_judge(peer);
	if (peer->client->ability == BITSWAP_UNDECIDED)
		bitswap_outbox_able(peer->client, BITSWAP_UNABLE);
}

static void peer_gone(struct engine_peer *peer)
{
	map_remove(&peer->exchange->peers, peer_id_bytes(&peer->id));
	engine_arrive_drop(peer);
	engine_serve_forget(peer);
	engine_peer_free(peer);
}

static void on_disconnected(void *ctx, const struct peer_id *id)
{
	struct engine_peer *peer = engine_peer_get(ctx, id);

	if (peer)
		peer_gone(peer);
}

static int add_present(void *ctx, const struct swarm_peer *peer)
{
	if (peer->identified)
		on_identified(ctx, &peer->id);
	else
		on_connected(ctx, &peer->id);
	return 0;
}

/* ---- life ---- */

static struct exchange_config with_defaults(const struct exchange_config *config)
{
	struct exchange_config out = config ? *config : (struct exchange_config){ 0 };

	if (!out.provider_delay_ms)
		out.provider_delay_ms = PROVIDER_DELAY_MS;
	if (!out.rebroadcast_ms)
		out.rebroadcast_ms = REBROADCAST_MS;
	if (!out.serve_message_max)
		out.serve_message_max = SERVE_MESSAGE;
	if (out.serve_message_max > SERVE_MESSAGE_MAX)
		out.serve_message_max = SERVE_MESSAGE_MAX;
	if (!out.serve_stall_ms)
		out.serve_stall_ms = SERVE_STALL_MS;
	if (!out.serve_outstanding_max)
		out.serve_outstanding_max = SERVE_OUTSTANDING;
	/* The stream tells of room only after it held more than its low mark. */
	if (out.serve_outstanding_max < STREAM_LOW_MARK + 1)
		out.serve_outstanding_max = STREAM_LOW_MARK + 1;
	if (!out.wants_per_peer_max)
		out.wants_per_peer_max = BITSWAP_SERVED_WANTS_MAX;
	if (!out.wants_max)
		out.wants_max = EXCHANGE_WANTS_MAX;
	if (!out.sessions_max)
		out.sessions_max = EXCHANGE_SESSIONS_MAX;
	if (!out.in_flight_max)
		out.in_flight_max = IN_FLIGHT;
	if (out.in_flight_max < IN_FLIGHT_MIN)
		out.in_flight_max = IN_FLIGHT_MIN;
	if (!out.verify_inline_max)
		out.verify_inline_max = BITSWAP_VERIFY_INLINE_MAX;
	return out;
}

struct exchange *exchange_new(struct swarm *swarm, struct router *router, struct store *store,
			      const struct exchange_config *config)
{
	struct exchange *exchange = xnew(struct exchange);

	exchange->swarm = swarm;
	exchange->router = router;
	exchange->store = store;
	exchange->loop = swarm_loop(swarm);
	exchange->timers = loop_timers(exchange->loop);
	exchange->config = with_defaults(config);
	engine_wake_init(exchange, on_flush, on_serve, on_left);
	list_init(&exchange->ledgers);
	list_init(&exchange->searches);
	list_init(&exchange->held);
	list_init(&exchange->paused);
	list_init(&exchange->sessions);
	list_init(&exchange->full);
	list_init(&exchange->worthy);
	list_init(&exchange->formers);
	exchange->budget.max = exchange->config.in_flight_max;
	bitswap_client_init(&exchange->client, exchange->timers, swarm_random(swarm),
			    &(struct bitswap_client_config){
				    .idle_ms = exchange->config.provider_delay_ms,
				    .rebroadcast_ms = exchange->config.rebroadcast_ms,
				    .wants_max = exchange->config.wants_max,
				    .gets_max = GETS_PER_WANT * exchange->config.wants_max,
				    .budget = &exchange->budget },
			    &client_ops, exchange);
	store_limit_add(store, exchange->config.in_flight_max / BITSWAP_BUDGET_STORING);
	bitswap_server_init(&exchange->server, exchange->config.wants_per_peer_max, &server_ops,
			    exchange);
	exchange->verify = bitswap_verify_new(exchange->loop, exchange->config.verify_inline_max,
					      engine_arrive_verified, exchange);
	for (size_t i = 0; i < BITSWAP_PROTOCOLS; i++)
		swarm_handle(swarm, bitswap_protocols[i], STREAMS_PER_PEER_MAX,
			     engine_arrive_handle, exchange);
	exchange->watch = (struct swarm_watch){ .on_connected = on_connected,
						.on_identified = on_identified,
						.on_disconnected = on_disconnected,
						.ctx = exchange };
	swarm_watch(swarm, &exchange->watch);
	swarm_each_peer(swarm, add_present, exchange);
	return exchange;
}

static void free_ledgers(struct exchange *exchange)
{
	list_for_each_safe(ledger, &exchange->ledgers, struct engine_ledger, node)
		free(ledger);
	map_release(&exchange->ledger_by_id);
}

void exchange_free(struct exchange *exchange)
{
	struct bytes key;
	void *peer;

	if (!exchange)
		return;
	for (size_t i = 0; i < BITSWAP_PROTOCOLS; i++)
		swarm_unhandle(exchange->swarm, bitswap_protocols[i]);
	swarm_unwatch(exchange->swarm, &exchange->watch);
	while (!list_empty(&exchange->sessions))
		exchange_session_free(
			list_first(&exchange->sessions, struct exchange_session, node));
	engine_find_release(exchange);
	for (size_t at = 0; map_next(&exchange->peers, &at, &key, &peer); at = 0)
		peer_gone(peer);
	map_release(&exchange->peers);
	engine_again_release(exchange);
	bitswap_verify_free(exchange->verify);
	engine_arrive_release(exchange);
	store_limit_drop(exchange->store, exchange->config.in_flight_max / BITSWAP_BUDGET_STORING);
	bitswap_server_release(&exchange->server);
	bitswap_client_release(&exchange->client);
	timer_stop(exchange->timers, &exchange->look);
	timer_stop(exchange->timers, &exchange->worth);
	free_ledgers(exchange);
	engine_wake_release(exchange);
	free(exchange);
}

/* ---- sessions ---- */

static struct bitswap_session *join_shared(struct exchange *exchange)
{
	if (!exchange->shared) {
		log_info("bitswap", "so many sessions that new ones share one max=%zu",
			 exchange->config.sessions_max);
		exchange->shared = bitswap_session_new(&exchange->client);
	}
	exchange->sharers++;
	return exchange->shared;
}

struct exchange_session *exchange_session_new(struct exchange *exchange)
{
	size_t own_max = exchange->config.sessions_max - (exchange->shared ? 0 : 1);
	struct exchange_session *session = xnew(struct exchange_session);

	session->exchange = exchange;
	session->session = exchange->client.session_count < own_max
				   ? bitswap_session_new(&exchange->client)
				   : join_shared(exchange);
	list_add_tail(&exchange->sessions, &session->node);
	return session;
}

/* One of its gets, for as long as there are any: each one's end may end others. */
static struct bitswap_get *get_of(const struct exchange_session *session)
{
	list_for_each(get, &session->session->gets, struct bitswap_get, session_node)
		if (get->owner == session)
			return get;
	return NULL;
}

static void leave_shared(struct exchange_session *session)
{
	struct exchange *exchange = session->exchange;
	struct bitswap_get *get;

	while ((get = get_of(session)) != NULL) {
		bitswap_got_fn *got = get->got;
		void *ctx = get->ctx;

		bitswap_client_cancel(get);
		got(ctx, -ECANCELED, NULL);
	}
	if (--exchange->sharers > 0)
		return;
	bitswap_session_free(exchange->shared);
	exchange->shared = NULL;
}

void exchange_session_free(struct exchange_session *session)
{
	if (!session)
		return;
	list_remove(&session->node);
	if (session->session == session->exchange->shared)
		leave_shared(session);
	else
		bitswap_session_free(session->session);
	free(session);
}

struct exchange_get *exchange_get(struct exchange_session *session, const struct cid *cid,
				  uint64_t deadline_ms, exchange_got_fn *got, void *ctx)
{
	struct bitswap_get *get = bitswap_client_get(session->session, cid, deadline_ms, got, ctx);

	if (get)
		get->owner = session;
	return (struct exchange_get *)get;
}

void exchange_get_tell(struct exchange_get *get, struct wait_tried *tried)
{
	((struct bitswap_get *)get)->tried = tried;
}

void exchange_get_cancel(struct exchange_get *get)
{
	bitswap_client_cancel((struct bitswap_get *)get);
}

/* ---- statistics ---- */

size_t exchange_wants_max(const struct exchange *exchange)
{
	return exchange->config.wants_max;
}

void exchange_stats(const struct exchange *exchange, struct exchange_stats *stats)
{
	*stats = exchange->stats;
	stats->wants = exchange->client.wants.count;
	stats->sessions = exchange->client.session_count;
	stats->peers = exchange->client.able;
	struct bitswap_budget now = exchange->budget;

	now.storing = store_queued(exchange->store);
	stats->in_flight = bitswap_budget_used(&now);
	stats->in_flight_peak = exchange->budget.peak;
}

int exchange_each_want(const struct exchange *exchange, const struct peer_id *peer,
		       int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	struct bytes key;
	void *want;
	size_t at = 0;
	int stop = 0;

	if (peer) {
		const struct engine_peer *known = engine_peer_get(exchange, peer);

		return known ? bitswap_server_each(known->server, each, ctx) : 0;
	}
	while (!stop && map_next(&exchange->client.wants, &at, &key, &want))
		stop = each(ctx, &((struct bitswap_want *)want)->cid);
	return stop;
}

int exchange_ledger(const struct exchange *exchange, const struct peer_id *peer,
		    struct exchange_ledger *ledger)
{
	const struct engine_ledger *known = map_get(&exchange->ledger_by_id, peer_id_bytes(peer));

	if (!known)
		return -ENOENT;
	*ledger = known->sums;
	return 0;
}

int exchange_each_peer(const struct exchange *exchange,
		       int (*each)(void *ctx, const struct exchange_ledger *ledger), void *ctx)
{
	int stop = 0;

	list_for_each(ledger, &exchange->ledgers, struct engine_ledger, node) {
		if (ledger->connected)
			stop = each(ctx, &ledger->sums);
		if (stop)
			break;
	}
	return stop;
}

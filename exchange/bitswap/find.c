/* Asks routing who has a wanted block, connects to the providers found, and treats them as if they
 * had said HAVE. The number of searches and of dials at once is bounded. Loop thread. */
#include "exchange/bitswap/engine.h"

#include <errno.h>
#include <stdlib.h>

#define SEARCHES_MAX 8
#define PROVIDERS_MAX 10 /* of one search */
#define CONNECTS_MAX 64	 /* under way, all searches */
#define SEARCH_MS 10000
#define CONNECT_MS 10000

/* Providers of one block: found, connected, and then as good as if they had said HAVE. */
struct search {
	struct exchange *exchange;
	struct cid cid;
	struct routing_query *query; /* NULL: ended */
	unsigned found;
	struct list node; /* of exchange->searches */
	struct list connects;
};

struct connect {
	struct search *search;
	struct peer_id id;
	struct swarm_op *op;
	struct list node;
};

static void search_free(struct search *search)
{
	list_remove(&search->node);
	search->exchange->search_count--;
	free(search);
}

static void search_try_end(struct search *search)
{
	if (!search->query && list_empty(&search->connects))
		search_free(search);
}

static void connect_free(struct connect *connect)
{
	list_remove(&connect->node);
	connect->search->exchange->connect_count--;
	free(connect);
}

static void provider_ready(struct search *search, const struct peer_id *id)
{
	struct engine_peer *peer = engine_peer_add(search->exchange, id);

	/* Identify may still be on its way; routing says that it speaks Bitswap. */
	if (peer->client->ability == BITSWAP_UNDECIDED)
		bitswap_outbox_able(peer->client, BITSWAP_ABLE);
	bitswap_client_have(peer->client, &search->cid);
}

static void on_connected(void *ctx, int err)
{
	struct connect *connect = ctx;
	struct search *search = connect->search;
	struct peer_id id = connect->id;

	connect_free(connect);
	if (!err && swarm_is_connected(search->exchange->swarm, &id))
		provider_ready(search, &id);
	search_try_end(search);
}

/* A provider is found: connects to it unless it is connected. */
static void on_provider(void *ctx, const struct peer_info *info)
{
	struct search *search = ctx;
	struct exchange *exchange = search->exchange;

	if (peer_id_equal(&info->id, swarm_self(exchange->swarm)) ||
	    !routing_reached_by(info, ROUTING_BITSWAP))
		return;
	search->found++;
	bitswap_client_looking(&exchange->client, &search->cid, search->found);
	if (swarm_is_connected(exchange->swarm, &info->id)) {
		provider_ready(search, &info->id);
		return;
	}
	if (exchange->connect_count >= CONNECTS_MAX)
		return;
	struct connect *connect = xnew(struct connect);

	connect->search = search;
	connect->id = info->id;
	list_add_tail(&search->connects, &connect->node);
	exchange->connect_count++;
	/* The author of the record may have named a victim's address. */
	connect->op = swarm_connect_heard(exchange->swarm, &info->id, info->addrs, info->addr_count,
					  timers_now(exchange->timers) + CONNECT_MS, on_connected,
					  connect);
	if (!connect->op)
		connect_free(connect);
}

static void on_done(void *ctx, int err, unsigned count)
{
	struct search *search = ctx;

	(void)err;
	(void)count;
	search->query = NULL;
	bitswap_client_searched(&search->exchange->client, &search->cid, search->found);
	search_try_end(search);
}

static struct search *search_find(const struct exchange *exchange, const struct cid *cid)
{
	list_for_each(search, &exchange->searches, struct search, node)
		if (search->query && cid_equal(&search->cid, cid))
			return search;
	return NULL;
}

int engine_find_start(void *ctx, const struct cid *cid)
{
	struct exchange *exchange = ctx;

	engine_again_needed(exchange);
	if (!exchange->router || !exchange->router->ops->find_providers)
		return -ENOTSUP;
	if (search_find(exchange, cid))
		return 0;
	if (exchange->search_count >= SEARCHES_MAX)
		return -EAGAIN;
	struct search *search = xnew(struct search);

	search->exchange = exchange;
	search->cid = *cid;
	list_init(&search->connects);
	list_add_tail(&exchange->searches, &search->node);
	exchange->search_count++;
	search->query = routing_find_providers(exchange->router, cid_hash_bytes(cid), PROVIDERS_MAX,
					       timers_now(exchange->timers) + SEARCH_MS,
					       on_provider, on_done, search);
	if (!search->query) { /* routing is busy: that is not "nobody has it" */
		search_free(search);
		return -EAGAIN;
	}
	exchange->stats.provider_searches++;
	bitswap_client_looking(&exchange->client, cid, 0);
	return 0;
}

/* Connections under way go on: a peer that has this block has its neighbours, too. */
void engine_find_stop(void *ctx, const struct cid *cid)
{
	struct search *search = search_find(ctx, cid);

	if (!search)
		return;
	routing_cancel(search->query);
	search->query = NULL;
	search_try_end(search);
}

void engine_find_release(struct exchange *exchange)
{
	list_for_each_safe(search, &exchange->searches, struct search, node) {
		routing_cancel(search->query);
		list_for_each_safe(connect, &search->connects, struct connect, node) {
			swarm_cancel(connect->op);
			connect_free(connect);
		}
		search_free(search);
	}
}

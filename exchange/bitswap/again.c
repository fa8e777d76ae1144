/* Peers that brought blocks and went away are dialled again while blocks are wanted and none come:
 * at the address that they were reached at, then at any that routing knows by now. So are those
 * whose connection is there and silent: it may have died unnoticed. Other addresses that they told
 * of themselves respect back-off. Loop thread. */
#include "exchange/bitswap/engine.h"

#include <stdlib.h>

#define FORMERS_MAX 8  /* the youngest are kept, ... */
#define AGE_MS 3600000 /* ... for so long */
#define FIRST_MS 500   /* after it was lost */
#define LOOK_MS 1000
#define WAIT_MAX_MS 5000
#define LATE_TRIES 60 /* then it has been away for minutes */
#define LATE_WAIT_MS 15000
#define DIAL_MS 10000
#define SILENT_MS 5000 /* what was asked of it is not coming */
#define MOVING_MS 2000 /* after a block nobody is looked for */

struct engine_former {
	struct exchange *exchange;
	struct list node; /* of exchange->formers, the youngest first */
	struct peer_id id;
	struct multiaddr addr;		      /* empty: it came to us */
	uint64_t since_ms, round_ms, next_ms; /* lost; the last round of dials, and the next dial */
	unsigned tries;
	struct swarm_op *op;
};

static void look_soon(struct exchange *exchange, uint64_t delay_ms);

static struct engine_former *former_get(const struct exchange *exchange, const struct peer_id *id)
{
	list_for_each(former, &exchange->formers, struct engine_former, node)
		if (peer_id_equal(&former->id, id))
			return former;
	return NULL;
}

static void former_free(struct engine_former *former)
{
	swarm_cancel(former->op);
	list_remove(&former->node);
	former->exchange->former_count--;
	free(former);
}

static void former_new(struct engine_peer *peer, uint64_t delay_ms)
{
	struct exchange *exchange = peer->exchange;
	struct engine_former *former = former_get(exchange, &peer->id);

	if (former)
		former_free(former);
	if (exchange->former_count == FORMERS_MAX)
		former_free(container_of(exchange->formers.prev, struct engine_former, node));
	former = xnew(struct engine_former);
	former->exchange = exchange;
	former->id = peer->id;
	if (peer->addr)
		former->addr = *peer->addr;
	former->since_ms = timers_now(exchange->timers);
	former->next_ms = former->since_ms + delay_ms;
	list_add_head(&exchange->formers, &former->node);
	exchange->former_count++;
}

/* ---- dialling ---- */

static void dialled(struct engine_former *former, int err)
{
	struct exchange *exchange = former->exchange;
	uint64_t wait_ms = LOOK_MS << (former->tries < 3 ? former->tries : 3);

	former->op = NULL;
	if (!err) { /* if it is silent all the same it will be noted again */
		former_free(former);
		return;
	}
	if (wait_ms > WAIT_MAX_MS)
		wait_ms = former->tries < LATE_TRIES ? WAIT_MAX_MS : LATE_WAIT_MS;
	former->tries++;
	/* The other way at once: not there any more does not mean nowhere. */
	former->next_ms = former->addr.len && former->tries % 2 ? 0 : former->round_ms + wait_ms;
	look_soon(exchange, LOOK_MS);
}

static void on_asked(void *ctx, int err, const struct swarm_tried *tried, size_t count)
{
	(void)tried;
	(void)count;
	dialled(ctx, err);
}

static void on_heard(void *ctx, int err)
{
	dialled(ctx, err);
}

/* In turns: where it was, and where routing says that it is. */
static void again_dial(struct engine_former *former)
{
	struct swarm *swarm = former->exchange->swarm;
	uint64_t now_ms = timers_now(former->exchange->timers);
	bool there = former->addr.len && former->tries % 2 == 0;

	if (there || !former->addr.len)
		former->round_ms = now_ms;
	if (there)
		former->op = swarm_connect_asked(swarm, &former->id, &former->addr, 1,
						 now_ms + DIAL_MS, on_asked, former);
	else
		former->op = swarm_connect_heard(swarm, &former->id, NULL, 0, now_ms + DIAL_MS,
						 on_heard, former);
}

/* ---- when ---- */

static bool is_silent(const struct engine_peer *peer, uint64_t now_ms)
{
	const struct bitswap_client_peer *client = peer->client;

	return peer->addr && !list_empty(&client->asks) && !client->client->paused &&
	       now_ms >= client->progress_ms + SILENT_MS;
}

/* True while there are peers that may fall silent. */
static bool note_silent(struct exchange *exchange)
{
	uint64_t now_ms = timers_now(exchange->timers);
	bool any = false;
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&exchange->peers, &at, &key, &value)) {
		struct engine_peer *peer = value;

		any |= peer->addr != NULL;
		if (is_silent(peer, now_ms) && !former_get(exchange, &peer->id))
			former_new(peer, 0);
	}
	return any;
}

static bool is_moving(const struct exchange *exchange)
{
	return exchange->arrived_ms &&
	       timers_now(exchange->timers) < exchange->arrived_ms + MOVING_MS;
}

static void on_again(void *ctx)
{
	struct exchange *exchange = ctx;
	uint64_t now_ms = timers_now(exchange->timers);

	if (exchange->client.wants.count == 0)
		return;
	bool any = note_silent(exchange);

	list_for_each_safe(former, &exchange->formers, struct engine_former, node) {
		if (now_ms - former->since_ms > AGE_MS)
			former_free(former);
		else if (!former->op && now_ms >= former->next_ms && !is_moving(exchange))
			again_dial(former);
	}
	if (any || !list_empty(&exchange->formers))
		look_soon(exchange, LOOK_MS);
}

static void look_soon(struct exchange *exchange, uint64_t delay_ms)
{
	if (!timer_running(&exchange->again))
		timer_start(exchange->timers, &exchange->again, delay_ms, on_again, exchange);
}

void engine_again_needed(struct exchange *exchange)
{
	look_soon(exchange, 0);
}

static int take_addr(void *ctx, const struct swarm_peer *shown)
{
	struct engine_peer *peer = ctx;

	if (!shown->outbound || !peer_id_equal(&shown->id, &peer->id))
		return 0;
	peer->addr = xnew(struct multiaddr);
	*peer->addr = shown->addr;
	return 1;
}

void engine_again_useful(struct engine_peer *peer)
{
	if (!peer->addr_taken)
		swarm_each_peer(peer->exchange->swarm, take_addr, peer);
	peer->addr_taken = true;
}

void engine_again_lost(struct engine_peer *peer)
{
	struct exchange *exchange = peer->exchange;

	if (!peer->client->delivered_ms && list_empty(&peer->client->members))
		return;
	engine_again_useful(peer);
	former_new(peer, FIRST_MS);
	if (exchange->client.wants.count > 0)
		look_soon(exchange, FIRST_MS);
}

void engine_again_found(struct engine_peer *peer)
{
	struct engine_former *former = former_get(peer->exchange, &peer->id);

	if (former && !former->op) /* else its own end is near */
		former_free(former);
}

void engine_again_release(struct exchange *exchange)
{
	timer_stop(exchange->timers, &exchange->again);
	while (!list_empty(&exchange->formers))
		former_free(list_first(&exchange->formers, struct engine_former, node));
}

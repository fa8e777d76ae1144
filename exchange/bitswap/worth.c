/* What connected peers are worth to the swarm when it trims: those that bring blocks are protected,
 * those that we ask or serve are worth more than any that is idle. The marks outlive a pause
 * between two files. Loop thread. */
#include "exchange/bitswap/engine.h"

#define LOOK_MS 10000
#define HOLD_MS 60000 /* after its last block a peer still counts as at work */
#define ASKED 30      /* it was asked for blocks, and has sent none yet */
#define DELIVERS 100
#define WAITS 1 /* it wants what we have not: most peers do, of everybody */
#define SERVED 20

static const char from_tag[] = "bitswap-from"; /* it sends to us */
static const char to_tag[] = "bitswap-to";     /* we send to it */

static bool is_recent(uint64_t at_ms, uint64_t now_ms)
{
	return at_ms && now_ms - at_ms < HOLD_MS;
}

static int worth_as_source(const struct engine_peer *peer, uint64_t now_ms)
{
	if (is_recent(peer->client->delivered_ms, now_ms))
		return DELIVERS;
	return peer->client->flying && !peer->client->strikes ? ASKED : 0;
}

static int worth_as_reader(const struct engine_peer *peer, uint64_t now_ms)
{
	if (peer->sending || is_recent(peer->served_ms, now_ms))
		return SERVED;
	return peer->server->wants.count ? WAITS : 0;
}

static void on_look(void *ctx)
{
	struct exchange *exchange = ctx;

	list_for_each_safe(peer, &exchange->worthy, struct engine_peer, worthy_node)
		engine_worth_look(peer);
}

void engine_worth_look(struct engine_peer *peer)
{
	struct exchange *exchange = peer->exchange;
	uint64_t now_ms = timers_now(exchange->timers);
	int from = worth_as_source(peer, now_ms), to = worth_as_reader(peer, now_ms);

	if (from != peer->worth_from)
		swarm_tag(exchange->swarm, &peer->id, from_tag, from);
	if (to != peer->worth_to)
		swarm_tag(exchange->swarm, &peer->id, to_tag, to);
	if ((from == DELIVERS) != (peer->worth_from == DELIVERS)) {
		if (from == DELIVERS)
			swarm_protect(exchange->swarm, &peer->id, from_tag);
		else
			swarm_unprotect(exchange->swarm, &peer->id, from_tag);
	}
	peer->worth_from = from;
	peer->worth_to = to;
	/* Where it is: whoever walks the list would meet it again at its end. */
	if (!from && !to)
		list_remove(&peer->worthy_node);
	else if (list_empty(&peer->worthy_node))
		list_add_tail(&exchange->worthy, &peer->worthy_node);
	if (!list_empty(&exchange->worthy) && !timer_running(&exchange->worth))
		timer_start(exchange->timers, &exchange->worth, LOOK_MS, on_look, exchange);
}

void engine_worth_asked(struct engine_peer *peer)
{
	if (!peer->worth_from && peer->client->flying)
		engine_worth_look(peer);
}

void engine_worth_delivered(struct engine_peer *peer)
{
	if (peer->worth_from < DELIVERS)
		engine_worth_look(peer);
}

void engine_worth_wanted(struct engine_peer *peer)
{
	if (!peer->worth_to)
		engine_worth_look(peer);
}

void engine_worth_served(struct engine_peer *peer)
{
	peer->served_ms = timers_now(peer->exchange->timers);
	if (peer->worth_to < SERVED)
		engine_worth_look(peer);
}

void engine_worth_forget(struct engine_peer *peer)
{
	struct swarm *swarm = peer->exchange->swarm;

	list_remove(&peer->worthy_node);
	if (peer->worth_from)
		swarm_tag(swarm, &peer->id, from_tag, 0);
	if (peer->worth_to)
		swarm_tag(swarm, &peer->id, to_tag, 0);
	if (peer->worth_from == DELIVERS)
		swarm_unprotect(swarm, &peer->id, from_tag);
}

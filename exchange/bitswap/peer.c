/* One connected peer of the engine: its ledger, its life, and the stream that carries our
 * wantlists. Loop thread. */
#include "exchange/bitswap/engine.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>

#define OPEN_TIMEOUT_MS 15000
#define FAILURES_MAX 3
#define RETRY_MS 100
#define OUT_QUEUE_MAX STREAM_LOW_MARK /* bytes of wantlists not yet sent; then the outbox waits */
#define BUSY_FLYING 8 /* want-blocks out: the peer has work, so messages may be collected */
#define BUSY_MS 2
#define LEDGERS_MAX 1024

/* ---- ledgers ---- */

static void ledger_evict(struct exchange *exchange)
{
	list_for_each_safe(ledger, &exchange->ledgers, struct engine_ledger, node) {
		if (ledger->connected)
			continue;
		map_remove(&exchange->ledger_by_id, peer_id_bytes(&ledger->sums.peer));
		list_remove(&ledger->node);
		free(ledger);
		return;
	}
}

static struct engine_ledger *ledger_open(struct exchange *exchange, const struct peer_id *id)
{
	struct engine_ledger *ledger = map_get(&exchange->ledger_by_id, peer_id_bytes(id));

	if (!ledger) {
		if (exchange->ledger_by_id.count >= LEDGERS_MAX)
			ledger_evict(exchange);
		ledger = xnew(struct engine_ledger);
		ledger->sums.peer = *id;
		list_init(&ledger->node);
		map_set(&exchange->ledger_by_id, peer_id_bytes(id), ledger);
	}
	ledger->connected = true;
	list_remove(&ledger->node);
	list_add_tail(&exchange->ledgers, &ledger->node);
	return ledger;
}

/* ---- life ---- */

struct engine_peer *engine_peer_get(const struct exchange *exchange, const struct peer_id *id)
{
	return map_get(&exchange->peers, peer_id_bytes(id));
}

struct engine_peer *engine_peer_add(struct exchange *exchange, const struct peer_id *id)
{
	struct engine_peer *peer = engine_peer_get(exchange, id);

	if (peer)
		return peer;
	peer = xnew(struct engine_peer);
	peer->exchange = exchange;
	peer->id = *id;
	list_init(&peer->ins);
	list_init(&peer->full_node);
	list_init(&peer->worthy_node);
	map_set(&exchange->peers, peer_id_bytes(id), peer);
	peer->ledger = ledger_open(exchange, id);
	peer->client = bitswap_outbox_add(&exchange->client, id, peer);
	peer->server = bitswap_server_add(&exchange->server, peer);
	engine_peer_judge(peer);
	engine_again_found(peer);
	return peer;
}

void engine_peer_free(struct engine_peer *peer)
{
	struct exchange *exchange = peer->exchange;

	swarm_cancel(peer->out_op);
	swarm_cancel(peer->reply_op);
	if (peer->out)
		stream_reset(peer->out, 0);
	if (peer->reply)
		stream_reset(peer->reply, 0);
	timer_stop(exchange->timers, &peer->retry);
	engine_worth_forget(peer);
	engine_again_lost(peer);
	bitswap_outbox_remove(peer->client);
	bitswap_server_remove(peer->server);
	peer->ledger->connected = false;
	free(peer->addr);
	free(peer);
}

void engine_peer_judge(struct engine_peer *peer)
{
	struct swarm *swarm = peer->exchange->swarm;

	for (size_t i = 0; i < BITSWAP_PROTOCOLS; i++) {
		if (!swarm_peer_supports(swarm, &peer->id, bitswap_protocols[i]))
			continue;
		peer->client->ping_ms = swarm_latency_ms(swarm, &peer->id);
		bitswap_outbox_able(peer->client, BITSWAP_ABLE);
		return;
	}
}

void engine_peer_heard(struct engine_peer *peer)
{
	peer->failures = 0;
	peer->reply_failures = 0;
	bitswap_outbox_progress(peer->client, 0);
	bitswap_outbox_able(peer->client, BITSWAP_ABLE);
}

/* ---- the stream of our wantlists ---- */

static void on_retry(void *ctx)
{
	engine_peer_flush(ctx);
}

/* What was sent on the lost stream may not have arrived. */
static void out_failed(struct engine_peer *peer, int err)
{
	log_debug("bitswap", "wantlist stream failed err=%d", err);
	if (err == -EPROTONOSUPPORT || ++peer->failures > FAILURES_MAX) {
		bitswap_outbox_able(peer->client, BITSWAP_UNABLE);
		return;
	}
	if (list_empty(&peer->client->asks))
		return;
	bitswap_outbox_resend(peer->client);
	timer_start(peer->exchange->timers, &peer->retry, RETRY_MS, on_retry, peer);
}

static void on_out_close(void *ctx, struct stream *stream, int err)
{
	struct engine_peer *peer = ctx;

	(void)stream;
	peer->out = NULL;
	out_failed(peer, err);
}

static void on_out_drain(void *ctx, struct stream *stream)
{
	(void)stream;
	engine_peer_flush(ctx);
}

/* What a peer writes on a stream of ours nobody reads (wire/exchange section 2). */
static const struct stream_events out_events = {
	.on_drain = on_out_drain,
	.on_close = on_out_close,
};

static void on_out_open(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct engine_peer *peer = ctx;

	peer->out_op = NULL;
	if (err) {
		out_failed(peer, err);
		return;
	}
	peer->out = stream;
	peer->client->haves = bitswap_msg_version(protocol) == BITSWAP_1_2;
	stream_accept(stream, &out_events, peer);
	engine_peer_flush(peer);
}

void engine_peer_flush(struct engine_peer *peer)
{
	struct exchange *exchange = peer->exchange;
	uint64_t now_ms = timers_now(exchange->timers);

	if (list_empty(&peer->client->out) && peer->client->cancels.count == 0)
		return;
	if (!peer->out) {
		if (!peer->out_op && !timer_running(&peer->retry))
			peer->out_op = swarm_open_stream(
				exchange->swarm, &peer->id, bitswap_protocols, BITSWAP_PROTOCOLS,
				now_ms + OPEN_TIMEOUT_MS, on_out_open, peer);
		return;
	}
	if (peer->client->flying >= BUSY_FLYING && now_ms < peer->flushed_ms + BUSY_MS) {
		if (!timer_running(&peer->retry))
			timer_start_at(exchange->timers, &peer->retry, peer->flushed_ms + BUSY_MS,
				       on_retry, peer);
		return;
	}
	struct buf message = { 0 };

	while (stream_queued(peer->out) <= OUT_QUEUE_MAX &&
	       bitswap_outbox_compose(peer->client, &message)) {
		stream_write_buf(peer->out, &message);
		buf_release(&message);
		exchange->stats.messages_sent++;
		peer->ledger->sums.exchanged++;
	}
	buf_release(&message);
	peer->flushed_ms = now_ms;
	engine_worth_asked(peer);
}

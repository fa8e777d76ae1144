/* Sends blocks to peers: takes turns among them, reads blocks from the store and writes one
 * message at a time. Bytes that wait for slow peers are counted against one budget. Loop thread. */
#include "exchange/bitswap/engine.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>

#define OPEN_TIMEOUT_MS 15000
#define TURN_BYTES (4u << 20) /* read from the store in one turn of the loop */
#define TURN_LOOKS 256	      /* at what may have come to the store, in one turn */
#define MESSAGE_TASKS_MAX 256 /* blocks of one message */
#define MESSAGE_BESIDE                                                                             \
	(64u << 10) /* room for presences when the block is nearly a message itself */
#define FAILURES_MAX 3
#define LOOK_MS                                                                                    \
	20 /* streams do not tell of every byte that left: while peers wait for room we look */

/* One response being put together. */
struct response {
	unsigned count;
	size_t planned; /* bytes, by what the ledger says */
	struct bitswap_task tasks[MESSAGE_TASKS_MAX];
	struct bytes data[MESSAGE_TASKS_MAX];
	struct block *held[MESSAGE_TASKS_MAX]; /* that data is of, when it is not of the map */
	bool missed[MESSAGE_TASKS_MAX];
};

int engine_serve_size(void *ctx, const struct cid *cid, size_t *size)
{
	struct exchange *exchange = ctx;

	return store_size(exchange->store, cid_hash_bytes(cid), size);
}

bool engine_serve_may_have(void *ctx, void *owner, const struct cid *cid)
{
	const struct exchange_config *config = &((struct exchange *)ctx)->config;
	const struct engine_peer *peer = owner;

	return !config->may_have || config->may_have(config->policy_ctx, &peer->id, cid);
}

static void plan(struct engine_peer *peer, struct response *response)
{
	size_t max = peer->exchange->config.serve_message_max;
	ssize_t next;

	while (response->count < MESSAGE_TASKS_MAX &&
	       (next = bitswap_server_peek(peer->server)) >= 0) {
		if (response->count && response->planned + (size_t)next > max)
			break;
		/* Two that together would pass what the other side reads. */
		if (peer->server->presences.len > MESSAGE_BESIDE &&
		    (size_t)next + peer->server->presences.len > BITSWAP_MESSAGE_MAX / 2)
			break;
		bitswap_server_pop(peer->server, &response->tasks[response->count++]);
		response->planned += (size_t)next;
	}
}

/* Where the bytes are; returns how many the blocks take in the message. */
static size_t look_up(struct engine_peer *peer, struct response *response, struct store_read *read)
{
	size_t len = 0;

	for (unsigned i = 0; i < response->count; i++) {
		const struct cid *cid = &response->tasks[i].cid;
		struct bytes *data = &response->data[i];
		int err = store_read_get(read, cid_hash_bytes(cid), data);

		if (err == -ENOENT) { /* perhaps on its way to the disk */
			err = store_get(peer->exchange->store, cid, &response->held[i]);
			if (!err)
				*data = response->held[i]->data;
		}
		size_t one = err ? 0 : bitswap_msg_block_len(peer->reply_version, cid, data->len);

		response->missed[i] = err || one > BITSWAP_MESSAGE_MAX - MESSAGE_BESIDE;
		if (!response->missed[i])
			len += one;
	}
	return len;
}

/* Writes one message of presences and blocks. The blocks are copied from the store's map straight
 * into it. */
static void send_response(struct engine_peer *peer, struct response *response,
			  struct store_read *read)
{
	struct exchange *exchange = peer->exchange;
	struct bitswap_server_peer *server = peer->server;
	uint64_t pending = server->pending_bytes;
	size_t len = read ? look_up(peer, response, read) : 0;
	struct buf message = { 0 };

	if (len || server->presences.len) {
		bitswap_msg_add_response(&message, peer->reply_version,
					 buf_bytes(&server->presences),
					 pending < INT32_MAX ? (int32_t)pending : INT32_MAX, len);
		buf_release(&server->presences);
		server->presence_count = 0;
	}
	for (unsigned i = 0; i < response->count; i++) {
		struct bytes data = response->data[i];

		if (!response->missed[i]) {
			bitswap_msg_add_block(&message, peer->reply_version,
					      &response->tasks[i].cid, data);
			exchange->stats.blocks_sent++;
			exchange->stats.bytes_sent += data.len;
			peer->ledger->sums.bytes_sent += data.len;
		}
		block_unref(response->held[i]);
	}
	if (message.len) {
		peer->written += message.len;
		stream_write_buf(peer->reply, &message);
		exchange->stats.messages_sent++;
		peer->ledger->sums.exchanged++;
		if (len)
			engine_worth_served(peer);
	}
	buf_release(&message);
}

/* Returns the bytes read for it. */
static size_t respond(struct engine_peer *peer)
{
	struct response *response = xnew(struct response);
	struct store_read read;
	int err = 0;

	plan(peer, response);
	if (response->count)
		err = store_read_begin(peer->exchange->store, &read);
	if (err) {
		log_error("bitswap", "store cannot be read err=%d", err);
		for (unsigned i = 0; i < response->count; i++)
			response->missed[i] = true;
	}
	send_response(peer, response, response->count && !err ? &read : NULL);
	if (response->count && !err)
		store_read_end(&read);
	for (unsigned i = 0; i < response->count; i++)
		if (response->missed[i])
			bitswap_server_missed(peer->server, &response->tasks[i]);
	size_t bytes = response->planned;

	free(response);
	return bytes;
}

/* ---- the budget ---- */

static void serve_look(struct engine_peer *peer)
{
	struct bitswap_budget *budget = &peer->exchange->budget;
	size_t now = peer->reply ? stream_queued(peer->reply) : 0;

	budget->sending += now;
	budget->sending -= peer->sending;
	peer->sending = now;
	bitswap_budget_note(budget);
}

void engine_serve_forget(struct engine_peer *peer)
{
	timer_stop(peer->exchange->timers, &peer->stall);
	list_remove(&peer->full_node);
	peer->exchange->budget.sending -= peer->sending;
	peer->sending = 0;
}

static void on_stall(void *ctx);

static void watch_stall(struct engine_peer *peer)
{
	struct exchange *exchange = peer->exchange;

	if (peer->sending == 0 || timer_running(&peer->stall))
		return;
	peer->taken = peer->written - peer->sending;
	timer_start(exchange->timers, &peer->stall, exchange->config.serve_stall_ms, on_stall,
		    peer);
}

/* Disconnects a peer that is alive and wants blocks but opens no window for them, because what is
 * queued for it fills the budget of all others. */
static void on_stall(void *ctx)
{
	struct engine_peer *peer = ctx;

	serve_look(peer);
	if (peer->sending > 0 && peer->written - peer->sending == peer->taken) {
		log_debug("bitswap", "a peer takes nothing of %zu bytes", peer->sending);
		swarm_disconnect(peer->exchange->swarm, &peer->id);
		return;
	}
	watch_stall(peer);
}

static void on_look(void *ctx)
{
	struct exchange *exchange = ctx;
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&exchange->peers, &at, &key, &value))
		if (((struct engine_peer *)value)->sending)
			serve_look(value);
	while (!list_empty(&exchange->full)) {
		struct engine_peer *peer =
			list_first(&exchange->full, struct engine_peer, full_node);

		list_remove(&peer->full_node);
		bitswap_server_again(peer->server);
	}
	bitswap_client_room(&exchange->client);
}

/* Whether there is room for one more message to this peer. If not, it joins the queue of those that
 * wait. */
static bool has_room(struct engine_peer *peer)
{
	struct exchange *exchange = peer->exchange;

	list_remove(&peer->full_node);
	if (peer->sending == 0 ||
	    bitswap_budget_may_send(&exchange->budget, exchange->config.serve_message_max))
		return true;
	list_add_tail(&exchange->full, &peer->full_node);
	if (!timer_running(&exchange->look))
		timer_start(exchange->timers, &exchange->look, LOOK_MS, on_look, exchange);
	return false;
}

/* ---- the stream of our responses ---- */

static void on_drain(void *ctx, struct stream *stream)
{
	struct engine_peer *peer = ctx;

	(void)stream;
	serve_look(peer);
	bitswap_server_again(peer->server);
}

static void on_close(void *ctx, struct stream *stream, int err)
{
	struct engine_peer *peer = ctx;

	(void)stream;
	(void)err;
	peer->reply = NULL;
	serve_look(peer);
	bitswap_server_again(peer->server);
}

static const struct stream_events reply_events = {
	.on_drain = on_drain,
	.on_close = on_close,
};

static void on_open(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct engine_peer *peer = ctx;

	peer->reply_op = NULL;
	if (err) {
		/* A peer that refuses the stream for answers gets none; its ledger goes when it
		 * goes. */
		if (err != -EPROTONOSUPPORT && ++peer->reply_failures < FAILURES_MAX)
			bitswap_server_again(peer->server);
		return;
	}
	peer->reply_failures = 0;
	peer->reply = stream;
	peer->reply_version = bitswap_msg_version(protocol);
	stream_accept(stream, &reply_events, peer);
	bitswap_server_again(peer->server);
}

/* One turn of a peer: opens the stream for responses, or sends one message if the peer and the
 * budget have room. Returns the bytes read. */
static size_t serve_peer(struct engine_peer *peer)
{
	struct exchange *exchange = peer->exchange;

	if (!bitswap_server_has_mail(peer->server))
		return 0;
	if (!peer->reply) {
		if (!peer->reply_op && peer->reply_failures < FAILURES_MAX)
			peer->reply_op = swarm_open_stream(
				exchange->swarm, &peer->id, bitswap_protocols, BITSWAP_PROTOCOLS,
				timers_now(exchange->timers) + OPEN_TIMEOUT_MS, on_open, peer);
		return 0;
	}
	serve_look(peer);
	if (peer->sending >= exchange->config.serve_outstanding_max)
		return 0; /* on_drain */
	if (!has_room(peer))
		return 0; /* on_look, or on_drain */
	size_t bytes = respond(peer);

	serve_look(peer);
	watch_stall(peer);
	bitswap_server_again(peer->server);
	return bytes;
}

void engine_serve(struct exchange *exchange)
{
	size_t bytes = 0;
	struct bitswap_server_peer *next;

	if (bitswap_server_recheck_some(&exchange->server, TURN_LOOKS))
		engine_wake_serve(exchange);
	while (bytes < TURN_BYTES && (next = bitswap_server_next(&exchange->server)) != NULL)
		bytes += serve_peer(next->owner);
	if (!list_empty(&exchange->server.turns))
		engine_wake_serve(exchange);
}

/* ---- news ---- */

void engine_serve_news(struct exchange *exchange, const struct cid *cids, size_t count)
{
	size_t size;

	for (size_t i = 0; i < count; i++)
		if (map_get(&exchange->server.lacking, cid_hash_bytes(&cids[i])) &&
		    engine_serve_size(exchange, &cids[i], &size) == 0)
			bitswap_server_have(&exchange->server, cid_hash_bytes(&cids[i]), size);
}

void engine_serve_all_news(struct exchange *exchange)
{
	bitswap_server_recheck(&exchange->server);
	engine_wake_serve(exchange);
}

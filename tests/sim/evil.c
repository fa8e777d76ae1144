#include "tests/sim/evil.h"

#include "exchange/bitswap/msg.h"
#include "net/transport/conn.h"
#include "net/wire/frame.h"
#include "routing/kad/msg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KAD_PROTOCOL "/ipfs/kad/1.0.0"
#define STREAMS_MAX 512 /* of one evil node, both ways */
#define BABBLE_MS 200
#define BABBLE_MAX 2000 /* bytes at once */
#define VANDAL_MS 50
#define VANDAL_BYTES 4096

/* A stream of an evil node: one it was asked on, or answers on. */
struct evil_stream {
	struct list node;
	struct evil *evil;
	struct stream *stream;
	struct frame_reader reader;
	bool kad;
};

struct evil {
	struct world *world;
	struct node *node;
	enum evil_kind kind;
	struct list streams;
	unsigned stream_count, asked;
	struct timer babble;
	struct swarm_op *op;
	struct buf mail; /* for whom op opens a stream */
	struct evil *const *friends;
	size_t friend_count;
	struct peer_id last; /* who asked last */
};

/* ---- streams ---- */

static void evil_stream_free(struct evil_stream *es)
{
	es->evil->stream_count--;
	list_remove(&es->node);
	frame_reader_release(&es->reader);
	free(es);
}

static void on_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	evil_stream_free(ctx);
}

static void on_end(void *ctx, struct stream *stream)
{
	struct evil_stream *es = ctx;

	if (es->evil->kind == EVIL_MUTE)
		return; /* half open for ever */
	stream_close(stream);
	evil_stream_free(es);
}

/* ---- bitswap ---- */

struct reply {
	struct evil *evil;
	struct buf presences, blocks;
};

static void lie(struct reply *reply, const struct cid *cid)
{
	uint8_t wrong[512];

	random_fill(&reply->evil->node->random, wrong, sizeof(wrong));
	bitswap_msg_add_block(&reply->blocks, BITSWAP_1_2, cid, bytes_of(wrong, sizeof(wrong)));
}

static void on_entry(void *ctx, const struct bitswap_entry *entry)
{
	struct reply *reply = ctx;

	if (entry->cancel)
		return;
	if (entry->have)
		bitswap_msg_add_presence(&reply->presences, &entry->cid, true);
	else if (reply->evil->kind == EVIL_LIAR)
		lie(reply, &entry->cid);
}

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct evil *evil = ctx;

	(void)protocol;
	evil->op = NULL;
	if (!err) {
		stream_write(stream, buf_bytes(&evil->mail));
		stream_close(stream);
	}
	buf_clear(&evil->mail);
}

static void send_mail(struct evil *evil, const struct peer_id *to)
{
	static const char *const protocols[] = { "/ipfs/bitswap/1.2.0" };

	if (!evil->op)
		evil->op = swarm_open_stream(evil->node->swarm, to, protocols, 1,
					     evil->world->now_ms + 10000, on_opened, evil);
}

static void answer_bitswap(struct evil_stream *es, struct bytes message)
{
	static const struct bitswap_visitor visitor = { .on_entry = on_entry };
	struct evil *evil = es->evil;
	struct reply reply = { .evil = evil };
	struct bitswap_summary summary;

	if (evil->kind == EVIL_MUTE || bitswap_msg_check(message, &summary) != 0)
		return;
	bitswap_msg_walk(message, &visitor, &reply);
	if (reply.presences.len + reply.blocks.len > 0 && evil->mail.len < (1u << 20)) {
		bitswap_msg_add_response(&evil->mail, BITSWAP_1_2, buf_bytes(&reply.presences), 0,
					 reply.blocks.len);
		buf_add(&evil->mail, buf_bytes(&reply.blocks));
		send_mail(evil, stream_peer(es->stream));
	}
	buf_release(&reply.presences);
	buf_release(&reply.blocks);
}

/* ---- Kademlia ---- */

static void answer_kad(struct evil_stream *es, struct bytes message)
{
	struct evil *evil = es->evil;
	struct buf out = { 0 }, framed = { 0 };
	struct kad_msg msg;

	if (kad_msg_decode(&msg, message) != 0 || msg.type == KAD_ADD_PROVIDER)
		return;
	kad_msg_begin(&out, (enum kad_type)msg.type, msg.key);
	for (size_t i = 0; i < evil->friend_count; i++) {
		struct multiaddr addr = node_addr(evil->friends[i]->node);

		kad_msg_peer(&out, KAD_CLOSER, &evil->friends[i]->node->id, &addr, 1, KAD_CONNECTED,
			     KAD_OWN_MAX);
	}
	kad_msg_end(&out);
	frame_add(&framed, buf_bytes(&out));
	stream_write(es->stream, buf_bytes(&framed));
	buf_release(&out);
	buf_release(&framed);
}

/* ---- all ---- */

static int on_message(void *ctx, struct buf *message)
{
	struct evil_stream *es = ctx;

	es->evil->asked++;
	if (es->kad && es->evil->kind == EVIL_SYBIL)
		answer_kad(es, buf_bytes(message));
	else if (!es->kad)
		answer_bitswap(es, buf_bytes(message));
	return 0;
}

static void babble(struct evil *evil, struct stream *stream)
{
	uint8_t noise[BABBLE_MAX];
	size_t len = 1 + (size_t)random_below(&evil->node->random, BABBLE_MAX);

	random_fill(&evil->node->random, noise, len);
	stream_write(stream, bytes_of(noise, len));
}

static void on_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct evil_stream *es = ctx;

	if (es->evil->kind == EVIL_BABBLE) {
		es->evil->asked++;
		babble(es->evil, stream);
		return;
	}
	if (frame_reader_feed(&es->reader, data, BITSWAP_MESSAGE_MAX, on_message, es) != 0) {
		stream_reset(stream, 0);
		evil_stream_free(es);
	}
}

static const struct stream_events events = { .on_data = on_data,
					     .on_end = on_end,
					     .on_close = on_close };

static void on_stream(void *ctx, struct stream *stream)
{
	struct evil *evil = ctx;

	if (evil->stream_count >= STREAMS_MAX) {
		stream_reset(stream, 0);
		return;
	}
	struct evil_stream *es = xnew(struct evil_stream);

	es->evil = evil;
	es->stream = stream;
	es->kad = strcmp(stream_protocol(stream), KAD_PROTOCOL) == 0;
	evil->last = *stream_peer(stream);
	evil->stream_count++;
	list_add_tail(&evil->streams, &es->node);
	stream_accept(stream, &events, es);
}

static void on_babble_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct evil *evil = ctx;

	(void)protocol;
	evil->op = NULL;
	if (err)
		return;
	babble(evil, stream);
	stream_close(stream);
}

/* Random bytes on a stream of a random protocol to whoever spoke to it last. */
static void on_babble(void *ctx)
{
	static const char *const protocols[] = { "/ipfs/bitswap/1.2.0", KAD_PROTOCOL,
						 "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0",
						 "/ipfs/ping/1.0.0" };
	struct evil *evil = ctx;
	size_t which = (size_t)random_below(&evil->node->random, ARRAY_LEN(protocols));

	timer_start(evil->world->timers, &evil->babble, BABBLE_MS, on_babble, evil);
	if (peer_id_is_set(&evil->last) && !evil->op &&
	    swarm_is_connected(evil->node->swarm, &evil->last))
		evil->op = swarm_open_stream(evil->node->swarm, &evil->last, &protocols[which], 1,
					     evil->world->now_ms + 10000, on_babble_opened, evil);
}

static void on_stop(void *ctx)
{
	struct evil *evil = ctx;

	swarm_cancel(evil->op);
	evil->op = NULL;
	timer_stop(evil->world->timers, &evil->babble);
	evil->node = NULL; /* streams end with the swarm */
}

struct evil *evil_new(struct world *world, enum evil_kind kind, const struct node_config *given)
{
	struct node_config config = given ? *given : (struct node_config){ 0 };
	struct evil *evil = xnew(struct evil);

	config.no_exchange = true;
	config.kad = false;
	evil->world = world;
	evil->kind = kind;
	list_init(&evil->streams);
	evil->node = node_new(world, &config);
	evil->node->on_stop = on_stop;
	evil->node->ctx = evil;
	for (size_t i = 0; kind != EVIL_SYBIL && i < BITSWAP_PROTOCOLS; i++)
		swarm_handle(evil->node->swarm, bitswap_protocols[i], STREAMS_MAX, on_stream, evil);
	swarm_handle(evil->node->swarm, KAD_PROTOCOL, STREAMS_MAX, on_stream, evil);
	if (kind == EVIL_BABBLE)
		timer_start(world->timers, &evil->babble, BABBLE_MS, on_babble, evil);
	return evil;
}

void evil_friends(struct evil *evil, struct evil *const *friends, size_t count)
{
	evil->friends = friends;
	evil->friend_count = count;
}

struct node *evil_node(const struct evil *evil)
{
	return evil->node;
}

unsigned evil_asked(const struct evil *evil)
{
	return evil->asked;
}

void evil_free(struct evil *evil)
{
	assert(list_empty(&evil->streams));
	buf_release(&evil->mail);
	free(evil);
}

/* ---- vandals ---- */

struct vandal {
	struct world *world;
	struct host *host;
	struct conn *conn;
	struct timer timer;
	struct random random;
	bool quiet, dialing, out;
};

static void vandal_data(void *ctx, uint8_t *at, size_t len)
{
	(void)ctx;
	(void)at;
	(void)len;
}

static void vandal_close(void *ctx, int err)
{
	struct vandal *vandal = ctx;

	(void)err;
	conn_close(vandal->conn);
	vandal->conn = NULL;
	vandal->out = true;
	timer_stop(vandal->world->timers, &vandal->timer);
}

static const struct conn_events vandal_events = { .on_data = vandal_data,
						  .on_close = vandal_close };

static void on_smash(void *ctx)
{
	struct vandal *vandal = ctx;
	struct buf noise = { 0 };

	timer_start(vandal->world->timers, &vandal->timer, VANDAL_MS, on_smash, vandal);
	random_fill(&vandal->random, buf_reserve(&noise, VANDAL_BYTES), VANDAL_BYTES);
	noise.len = VANDAL_BYTES;
	noise.at[0] = 0; /* a yamux version that is right: the rest has a chance */
	noise.at[1] &= 3;
	conn_write(vandal->conn, &noise);
	buf_release(&noise);
}

static void on_dialed(void *ctx, int err, struct raw_link raw)
{
	struct vandal *vandal = ctx;

	vandal->dialing = false;
	if (err) {
		vandal->out = true;
		return;
	}
	vandal->conn = raw.conn;
	vandal->conn->events = &vandal_events;
	vandal->conn->ctx = vandal;
	if (!vandal->quiet)
		timer_start(vandal->world->timers, &vandal->timer, VANDAL_MS, on_smash, vandal);
}

struct vandal *vandal_new(struct world *world, struct node *victim, bool quiet)
{
	struct vandal *vandal = xnew(struct vandal);
	struct multiaddr addr = node_addr(victim);
	struct host_config config = { .latency_ms = 20,
				      .ip = (uint32_t)(120u << 24 | world->started++) };
	struct identity *identity;
	uint8_t seed[32];

	vandal->world = world;
	vandal->quiet = quiet;
	vandal->random = random_seeded(random_u64(&world->random));
	random_fill(&vandal->random, seed, sizeof(seed));
	identity = identity_from_seed(seed);
	peer_id_of_identity(&config.id, identity);
	identity_free(identity);
	vandal->host = host_new(&world->net, &config);
	vandal->dialing = true;
	host_dial(vandal->host, &addr, on_dialed, vandal);
	return vandal;
}

bool vandal_is_out(const struct vandal *vandal)
{
	return vandal->out;
}

void vandal_free(struct vandal *vandal)
{
	assert(!vandal->dialing);
	timer_stop(vandal->world->timers, &vandal->timer);
	conn_close(vandal->conn);
	host_free(vandal->host);
	free(vandal);
}

/* Answers AutoNAT requests of others: takes them within the limits, dials back and reports. Loop
 * thread. */
#include "net/nat/autonat/autonat_private.h"
#include "net/nat/autonat/autonat_serve.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>

/*
 * request -> [data] -> on_wait -> on_connected -> on_back_opened -> back_data -> serving_answer
 *
 * The dials are a second, bare swarm's, with an identity of its own: its connections are new ones,
 * and to the asker we are somebody else. It listens nowhere and knows no addresses but those of a
 * dial. One request of a peer at a time, so no dial finds another's connection.
 */
struct autonat_server {
	struct swarm *swarm;
	struct swarm *dialer;	   /* NULL: nobody has asked yet */
	struct identity *identity; /* its own */
	bool local;
	struct list servings;
	size_t serving_count;
	struct autonat_limit limit, data_limit, v1_limit;
	uint64_t served, refused;
	struct timer ended;
	void (*done)(void *ctx);
	void *done_ctx;
};

struct serving {
	struct list node;
	struct autonat_server *server;
	struct stream *stream;
	struct autonat_serve serve; /* of v1: only its reader and peer are used */
	bool v1;
	struct timer deadline, wait;
	struct swarm_op *op; /* of the dialer's */
	struct stream *back; /* a stream of the dialer's */
};

static void serving_free(struct serving *serving)
{
	struct autonat_server *server = serving->server;

	timer_stop(server->swarm->timers, &serving->deadline);
	timer_stop(server->swarm->timers, &serving->wait);
	swarm_cancel(serving->op);
	if (serving->back)
		stream_reset(serving->back, CODE_NONE);
	if (server->dialer)
		swarm_disconnect(server->dialer, &serving->serve.peer);
	autonat_serve_release(&serving->serve);
	list_remove(&serving->node);
	server->serving_count--;
	free(serving);
}

static void serving_abort(void *ctx)
{
	struct serving *serving = ctx;

	serving->server->refused++;
	stream_reset(serving->stream, CODE_NONE);
	serving_free(serving);
}

/* The last word. Releases out. */
static void serving_end(struct serving *serving, struct buf *out)
{
	stream_write_buf(serving->stream, out);
	buf_release(out);
	stream_close(serving->stream);
	serving_free(serving);
}

static void log_dial(const struct serving *serving, int status)
{
	char id[PEER_ID_TEXT_MAX];

	log_debug("autonat", "dialed for peer=%s v1=%d status=%d",
		  peer_id_text(&serving->serve.peer, id), serving->v1, status);
}

/* ---- version 2: dial, and bring the nonce ---- */

static void serving_answer(struct serving *serving, enum autonat_dial status)
{
	struct buf out = { 0 };

	serving->server->served++;
	log_dial(serving, status);
	autonat_serve_dialed(&serving->serve, status, &out);
	serving_end(serving, &out);
}

static void back_data(void *ctx, struct stream *stream, struct bytes data)
{
	(void)stream;
	(void)data; /* its one possible meaning is that the nonce has come */
	serving_answer(ctx, AUTONAT_DIAL_OK);
}

static void back_end(void *ctx, struct stream *stream)
{
	(void)stream;
	serving_answer(ctx, AUTONAT_DIAL_BACK_FAILED);
}

static void back_close(void *ctx, struct stream *stream, int err)
{
	struct serving *serving = ctx;

	(void)err;
	serving->back = NULL;
	back_end(serving, stream);
}

static const struct stream_events back_events = { .on_data = back_data,
						  .on_end = back_end,
						  .on_close = back_close };

static void on_back_late(void *ctx)
{
	serving_answer(ctx, AUTONAT_DIAL_BACK_FAILED);
}

static void on_back_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct serving *serving = ctx;
	struct buf out = { 0 };

	(void)protocol;
	serving->op = NULL;
	if (err) {
		serving_answer(serving, AUTONAT_DIAL_BACK_FAILED);
		return;
	}
	serving->back = stream;
	stream_accept(stream, &back_events, serving);
	autonat_msg_put_back(&out, serving->serve.nonce);
	stream_write_buf(stream, &out);
	buf_release(&out);
	stream_end(stream);
}

/* That we have no way there says nothing about the asker. */
static bool is_ours(int err)
{
	return err == -ENETUNREACH || err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT ||
	       err == -EAGAIN || err == -EMFILE || err == -ENFILE;
}

/* The dial of a v2 request has ended: opens the stream for the nonce, or answers that the dial
 * failed. */
static void on_connected(void *ctx, int err)
{
	static const char *const protocols[] = { AUTONAT_BACK_PROTOCOL };
	struct serving *serving = ctx;
	struct timers *timers = serving->server->swarm->timers;
	struct buf out = { 0 };

	serving->op = NULL;
	if (is_ours(err)) {
		serving->server->refused++;
		autonat_serve_refuse(&serving->serve, &out);
		serving_end(serving, &out);
		return;
	}
	if (err) {
		serving_answer(serving, AUTONAT_DIAL_FAILED);
		return;
	}
	timer_start(timers, &serving->wait, AUTONAT_BACK_MS, on_back_late, serving);
	serving->op =
		swarm_open_stream(serving->server->dialer, &serving->serve.peer, protocols, 1,
				  timers_now(timers) + AUTONAT_BACK_MS, on_back_opened, serving);
}

static void on_wait(void *ctx)
{
	struct serving *serving = ctx;
	struct autonat_server *server = serving->server;

	serving->op = swarm_connect(server->dialer, &serving->serve.peer, &serving->serve.addr, 1,
				    timers_now(server->swarm->timers) + AUTONAT_DIAL_MS,
				    on_connected, serving);
}

/* What an asker sends: its request, then the data that pays for a dial to another address. */
static void request_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct serving *serving = ctx;
	struct timers *timers = serving->server->swarm->timers;
	struct autonat_serve *serve = &serving->serve;
	bool dialing = serve->state == SERVE_DIAL;
	struct buf out = { 0 };

	if (autonat_serve_feed(serve, data, timers_now(timers), &out) != 0) {
		buf_release(&out);
		serving_abort(serving);
		return;
	}
	if (serve->state == SERVE_ANSWERED) {
		serving->server->refused++;
		serving_end(serving, &out);
		return;
	}
	stream_write_buf(stream, &out);
	buf_release(&out);
	if (serve->state == SERVE_DIAL && !dialing)
		timer_start(timers, &serving->wait, serve->wait_ms, on_wait, serving);
}

/* ---- version 1: dial, which is all ---- */

static void answer_v1(struct serving *serving, enum autonat_v1_status status,
		      const struct multiaddr *addr)
{
	struct buf out = { 0 };

	autonat_msg_put_v1_response(&out, status, addr);
	serving_end(serving, &out);
}

struct where {
	const struct peer_id *id;
	struct multiaddr addr;
};

static int find_addr(void *ctx, const struct swarm_peer *peer)
{
	struct where *where = ctx;

	if (peer_id_equal(&peer->id, where->id))
		where->addr = peer->addr;
	return 0;
}

static void on_connected_v1(void *ctx, int err)
{
	struct serving *serving = ctx;
	struct where where = { .id = &serving->serve.peer };

	serving->op = NULL;
	log_dial(serving, err);
	if (is_ours(err)) {
		serving->server->refused++;
		answer_v1(serving, AUTONAT_V1_E_REFUSED, NULL);
		return;
	}
	serving->server->served++;
	swarm_each_peer(serving->server->dialer, find_addr, &where);
	if (err)
		answer_v1(serving, AUTONAT_V1_E_DIAL, NULL);
	else
		answer_v1(serving, AUTONAT_V1_OK, &where.addr);
}

/* A v1 request: dials the asker's address with the ports it names. Positive: the status of a
 * refusal. */
static int on_v1_message(void *ctx, struct buf *message)
{
	struct serving *serving = ctx;
	struct autonat_server *server = serving->server;
	struct multiaddr addrs[AUTONAT_V1_ADDRS_MAX];
	struct autonat_v1_msg msg;
	struct peer_id id;
	size_t count;
	int err = autonat_msg_decode_v1(&msg, buf_bytes(message));

	if (err || !msg.dial || serving->op)
		return err ? err : -EPROTO;
	if (peer_id_from_bytes(&id, msg.id) != 0 || !peer_id_equal(&id, &serving->serve.peer))
		return AUTONAT_V1_E_BAD_REQUEST;
	count = autonat_serve_v1_addrs(&msg, &serving->serve.from, server->local, addrs);
	if (count == 0)
		return AUTONAT_V1_E_REFUSED;
	serving->op = swarm_connect(server->dialer, &id, addrs, count,
				    timers_now(server->swarm->timers) + AUTONAT_V1_DIAL_MS,
				    on_connected_v1, serving);
	return 0;
}

static void request_v1_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct serving *serving = ctx;
	int status = frame_reader_feed(&serving->serve.reader, data, AUTONAT_V1_MESSAGE_MAX,
				       on_v1_message, serving);

	(void)stream;
	if (status < 0) {
		serving_abort(serving);
	} else if (status > 0) {
		serving->server->refused++;
		answer_v1(serving, (enum autonat_v1_status)status, NULL);
	}
}

/* ---- requests ---- */

/* He may have no more to say, and still listens. */
static void request_end(void *ctx, struct stream *stream)
{
	struct serving *serving = ctx;

	(void)stream;
	if (serving->v1 ? !serving->op : serving->serve.state != SERVE_DIAL)
		serving_abort(serving);
}

static void request_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	serving_free(ctx);
}

static const struct stream_events request_events = { .on_data = request_data,
						     .on_end = request_end,
						     .on_close = request_close };
static const struct stream_events request_v1_events = { .on_data = request_v1_data,
							.on_end = request_end,
							.on_close = request_close };

static bool is_busy(const struct autonat_server *server, const struct peer_id *peer)
{
	if (server->serving_count == AUTONAT_SERVING_MAX)
		return true;
	list_for_each(serving, &server->servings, struct serving, node)
		if (peer_id_equal(&serving->serve.peer, peer))
			return true;
	return false;
}

/* At the first request: most nodes are never asked. */
static void make_dialer(struct autonat_server *server)
{
	struct swarm_config config = {
		.agent = server->swarm->config.agent,
		.connections_max = 2 * AUTONAT_SERVING_MAX, /* those that close are among them */
		.connect_timeout_ms = server->swarm->config.connect_timeout_ms,
		.dial_timeout_ms = AUTONAT_DIAL_MS,
		.bare = true,
	};
	uint8_t seed[32];

	if (server->dialer)
		return;
	random_fill(server->swarm->random, seed, sizeof(seed));
	server->identity = identity_from_seed(seed);
	server->dialer = swarm_new(server->swarm->loop, server->swarm->random, server->identity,
				   NULL, &config);
}

static struct serving *serving_new(struct autonat_server *server, struct stream *stream, bool v1)
{
	struct serving *serving = xnew(struct serving);

	make_dialer(server);
	serving->server = server;
	serving->stream = stream;
	serving->v1 = v1;
	serving->serve = (struct autonat_serve){ .peer = *stream_peer(stream),
						 .from = *stream->conn->session->remote,
						 .local = server->local,
						 .random = server->swarm->random,
						 .data_limit = &server->data_limit };
	list_add_tail(&server->servings, &serving->node);
	server->serving_count++;
	timer_start(server->swarm->timers, &serving->deadline,
		    v1 ? AUTONAT_V1_STREAM_MS : AUTONAT_STREAM_MS, serving_abort, serving);
	return serving;
}

/* Before anything is read: it costs nothing. Releases out. */
static void turn_away(struct autonat_server *server, struct stream *stream, struct buf *out)
{
	server->refused++;
	stream_write_buf(stream, out);
	buf_release(out);
	stream_close(stream);
}

static void on_request(void *ctx, struct stream *stream)
{
	struct autonat_server *server = ctx;
	const struct peer_id *peer = stream_peer(stream);
	struct buf out = { 0 };

	if (!is_busy(server, peer) &&
	    autonat_limit_take(&server->limit, peer, AUTONAT_PER_MINUTE, AUTONAT_PER_PEER_MINUTE,
			       swarm_now(server->swarm))) {
		stream_accept(stream, &request_events, serving_new(server, stream, false));
		return;
	}
	autonat_msg_put_response(&out, AUTONAT_E_REJECTED, 0, AUTONAT_DIAL_UNUSED);
	turn_away(server, stream, &out);
}

static void on_v1_request(void *ctx, struct stream *stream)
{
	struct autonat_server *server = ctx;
	const struct peer_id *peer = stream_peer(stream);
	struct buf out = { 0 };

	if (!is_busy(server, peer) &&
	    autonat_limit_take(&server->v1_limit, peer, AUTONAT_V1_PER_MINUTE,
			       AUTONAT_V1_PER_PEER_MINUTE, swarm_now(server->swarm))) {
		stream_accept(stream, &request_v1_events, serving_new(server, stream, true));
		return;
	}
	autonat_msg_put_v1_response(&out, AUTONAT_V1_E_REFUSED, NULL);
	turn_away(server, stream, &out);
}

/* ---- life ---- */

struct autonat_server *autonat_server_new(struct swarm *swarm, bool local)
{
	struct autonat_server *server = xnew(struct autonat_server);

	server->swarm = swarm;
	server->local = local;
	list_init(&server->servings);
	swarm_handle(swarm, AUTONAT_REQUEST_PROTOCOL, 2, on_request, server);
	swarm_handle(swarm, AUTONAT_V1_PROTOCOL, 2, on_v1_request, server);
	return server;
}

static void on_ended(void *ctx)
{
	struct autonat_server *server = ctx;
	void (*done)(void *ctx) = server->done;
	void *done_ctx = server->done_ctx;

	if (server->dialer)
		swarm_free(server->dialer);
	identity_free(server->identity);
	free(server);
	done(done_ctx);
}

void autonat_server_close(struct autonat_server *server, void (*done)(void *ctx), void *ctx)
{
	server->done = done;
	server->done_ctx = ctx;
	swarm_unhandle(server->swarm, AUTONAT_REQUEST_PROTOCOL);
	swarm_unhandle(server->swarm, AUTONAT_V1_PROTOCOL);
	while (!list_empty(&server->servings))
		serving_abort(list_first(&server->servings, struct serving, node));
	if (server->dialer)
		swarm_close(server->dialer, on_ended, server);
	else
		timer_start(server->swarm->timers, &server->ended, 0, on_ended, server);
}

void autonat_server_counts(const struct autonat_server *server, uint64_t *served, uint64_t *refused)
{
	*served = server->served;
	*refused = server->refused;
}

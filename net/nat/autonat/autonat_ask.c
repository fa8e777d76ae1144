/* One question to one AutoNAT server on its stream, version 2 or 1, and the dial-backs that bring
 * the nonce of a question. Loop thread. */
#include "net/nat/autonat/autonat_private.h"

#include <errno.h>
#include <stdlib.h>

/*
 * start -> on_opened -> on_data ... -> [the nonce's dial-back] -> ask_end
 * The timer may cut in anywhere; autonat_ask_cancel() undoes whatever is set.
 */

void autonat_ask_cancel(struct autonat_ask *ask)
{
	if (!ask)
		return;
	timer_stop(ask->autonat->timers, &ask->timer);
	swarm_cancel(ask->op);
	if (ask->stream)
		stream_reset(ask->stream, CODE_NONE);
	autonat_probe_release(&ask->probe);
	free(ask);
}

/* The single way out. */
static void ask_end(struct autonat_ask *ask)
{
	struct autonat *autonat = ask->autonat;

	if (ask->stream) {
		stream_close(ask->stream);
		ask->stream = NULL;
	}
	autonat->ask = NULL;
	autonat_asked(autonat, ask);
	autonat_ask_cancel(ask);
}

static void on_timeout(void *ctx)
{
	struct autonat_ask *ask = ctx;

	ask->probe.state = PROBE_NOTHING;
	ask_end(ask);
}

/* Ends it when there is nothing to wait for. */
static void ask_go(struct autonat_ask *ask)
{
	if (ask->probe.state == PROBE_NONCE)
		timer_start(ask->autonat->timers, &ask->timer, AUTONAT_NONCE_MS, on_timeout, ask);
	else if (ask->probe.state != PROBE_OPEN)
		ask_end(ask);
}

/* ---- version 1: one address, one word ---- */

static int on_v1_message(void *ctx, struct buf *message)
{
	struct autonat_probe *probe = ctx;
	struct autonat_v1_msg msg;
	struct multiaddr addr;
	int err = autonat_msg_decode_v1(&msg, buf_bytes(message));

	if (err || msg.dial)
		return err ? err : -EPROTO;
	probe->state = PROBE_NOTHING;
	if (msg.status == AUTONAT_V1_E_DIAL)
		probe->state = PROBE_BAD;
	else if (msg.status == AUTONAT_V1_E_REFUSED)
		probe->state = PROBE_REFUSED;
	else if (msg.status == AUTONAT_V1_OK && multiaddr_from_bytes(&addr, msg.addr) == 0 &&
		 multiaddr_equal(&addr, &probe->addrs[0]))
		probe->state = PROBE_GOOD;
	return 0;
}

/* ---- the stream ---- */

static void on_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct autonat_ask *ask = ctx;
	struct autonat_probe *probe = &ask->probe;
	struct buf out = { 0 };
	int err;

	if (probe->state != PROBE_OPEN)
		return; /* all was said */
	if (ask->v1)
		err = frame_reader_feed(&probe->reader, data, AUTONAT_V1_MESSAGE_MAX, on_v1_message,
					probe);
	else
		err = autonat_probe_feed(probe, data, &out);
	if (err)
		probe->state = PROBE_NOTHING;
	else if (out.len > 0)
		stream_write_buf(stream, &out);
	buf_release(&out);
	ask_go(ask);
}

static void on_end(void *ctx, struct stream *stream)
{
	struct autonat_ask *ask = ctx;

	(void)stream;
	if (ask->probe.state != PROBE_OPEN)
		return;
	ask->probe.state = PROBE_NOTHING;
	ask_end(ask);
}

static void on_close(void *ctx, struct stream *stream, int err)
{
	struct autonat_ask *ask = ctx;

	(void)err;
	ask->stream = NULL;
	on_end(ask, stream);
}

/* Version 1 tries the address that it sees us come from, whatever we ask about. */
static bool fits_v1(const struct autonat_ask *ask)
{
	return !ask->probe.bound[0] ||
	       multiaddr_same_ip(ask->stream->conn->session->local, &ask->probe.addrs[0]);
}

static const struct stream_events events = { .on_data = on_data,
					     .on_end = on_end,
					     .on_close = on_close };

/* The stream is there: begins version 2 or 1, as the server speaks. */
static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct autonat_ask *ask = ctx;
	struct swarm *swarm = ask->autonat->swarm;
	struct buf out = { 0 };

	ask->op = NULL;
	if (err) {
		ask->probe.state = PROBE_NOTHING;
		ask_end(ask);
		return;
	}
	ask->stream = stream;
	ask->v1 = bytes_equal(bytes_str(protocol), bytes_str(AUTONAT_V1_PROTOCOL));
	stream_accept(stream, &events, ask);
	if (ask->v1 && !fits_v1(ask)) {
		ask->probe.state = PROBE_REFUSED;
		ask_end(ask);
		return;
	}
	if (ask->v1)
		autonat_msg_put_v1_dial(&out, swarm_self(swarm), ask->probe.addrs, 1);
	else
		autonat_probe_start(&ask->probe, random_u64(swarm->random), &out);
	stream_write_buf(stream, &out);
	buf_release(&out);
}

void autonat_ask_start(struct autonat_ask *ask)
{
	static const char *const protocols[] = { AUTONAT_REQUEST_PROTOCOL, AUTONAT_V1_PROTOCOL };
	struct autonat *autonat = ask->autonat;

	timer_start(autonat->timers, &ask->timer, AUTONAT_ASK_MS, on_timeout, ask);
	ask->op = swarm_open_stream(autonat->swarm, &ask->id, protocols, ARRAY_LEN(protocols),
				    timers_now(autonat->timers) + AUTONAT_ASK_MS, on_opened, ask);
}

/* ---- dial-backs ---- */

static void back_free(struct autonat_back *back)
{
	timer_stop(back->autonat->timers, &back->timer);
	list_remove(&back->node);
	back->autonat->back_count--;
	frame_reader_release(&back->reader);
	free(back);
}

static void back_abort(void *ctx)
{
	struct autonat_back *back = ctx;

	stream_reset(back->stream, CODE_NONE);
	back_free(back);
}

static int on_back_message(void *ctx, struct buf *message)
{
	struct autonat_back *back = ctx;
	struct autonat_ask *ask = back->autonat->ask;
	uint64_t nonce;
	int err = autonat_msg_decode_back(&nonce, buf_bytes(message));

	if (err)
		return err;
	if (!ask || ask->v1 || !ask->stream ||
	    !autonat_probe_dialed(&ask->probe, nonce, back->stream->conn->session->local))
		return -EPROTO;
	return 1; /* that is all */
}

/* The nonce of a dial-back. If it is the one awaited, it is acknowledged, and the question may be
 * over. */
static void back_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct autonat_back *back = ctx;
	struct autonat *autonat = back->autonat;
	struct buf out = { 0 };
	int err = frame_reader_feed(&back->reader, data, AUTONAT_BACK_MAX, on_back_message, back);

	if (err == 0)
		return;
	if (err < 0) {
		back_abort(back);
		return;
	}
	autonat_msg_put_back_answer(&out);
	stream_write_buf(stream, &out);
	buf_release(&out);
	stream_close(stream);
	back_free(back);
	if (autonat->ask->probe.state == PROBE_GOOD || autonat->ask->probe.state == PROBE_NOTHING)
		ask_end(autonat->ask);
}

/* A nonce comes whole or not at all; its end behind it is nothing to us. */
static void back_end(void *ctx, struct stream *stream)
{
	(void)stream;
	back_abort(ctx);
}

static void back_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	back_free(ctx);
}

static const struct stream_events back_events = { .on_data = back_data,
						  .on_end = back_end,
						  .on_close = back_close };

/* Only a connection that came in from outside shows that one can. */
void autonat_ask_on_back(void *ctx, struct stream *stream)
{
	struct autonat *autonat = ctx;
	const struct session *session = stream->conn->session;
	struct autonat_back *back;

	if (!autonat->ask || autonat->back_count == AUTONAT_BACKS_MAX || session->outbound ||
	    !multiaddr_is_public(session->remote, autonat->config.local)) {
		stream_reset(stream, CODE_STREAM_LIMIT);
		return;
	}
	back = xnew(struct autonat_back);
	back->autonat = autonat;
	back->stream = stream;
	list_add_tail(&autonat->backs, &back->node);
	autonat->back_count++;
	timer_start(autonat->timers, &back->timer, AUTONAT_BACK_MS, back_abort, back);
	stream_accept(stream, &back_events, back);
}

void autonat_ask_free_backs(struct autonat *autonat)
{
	while (!list_empty(&autonat->backs))
		back_abort(list_first(&autonat->backs, struct autonat_back, node));
}

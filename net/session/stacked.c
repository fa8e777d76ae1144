/* One maker of sessions: conn <-> secure channel <-> yamux. Bytes that come are opened where they
 * lie and given to yamux at once; what yamux has to send is sealed in batches when the owner
 * flushes. A stream of the session is yamux's own. Loop thread. */
#include "net/session/stacked.h"

#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/session/yamux.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define BATCH_PARTS 64

struct stacked {
	struct session session;
	struct loop *loop;
	struct secured secured;
	struct yamux *yamux;
	struct buf tx; /* sealed bytes; its memory is kept between flushes */
};

static struct stacked *stacked_of(const struct session *session)
{
	return container_of((struct session *)session, struct stacked, session);
}

static struct yamux_stream *yamux_of(const struct session_stream *stream)
{
	return (struct yamux_stream *)stream;
}

static struct session_stream *stream_of(struct yamux_stream *stream)
{
	return (struct session_stream *)stream;
}

/* Microseconds on the scale of the loop's clock, for round-trip times. */
static uint64_t now_us(const struct stacked *stacked)
{
	struct timespec now;

	if (stacked->secured.conn->virtual_time)
		return timers_now(loop_timers(stacked->loop)) * 1000;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- what yamux tells ---- */

static int on_stream(void *ctx, struct yamux_stream *stream)
{
	struct session *session = &((struct stacked *)ctx)->session;

	return session->stopped ? -ECANCELED
				: session->events->on_stream(session->ctx, stream_of(stream));
}

static void on_rtt(void *ctx, uint64_t rtt_us)
{
	struct session *session = &((struct stacked *)ctx)->session;

	session->events->on_rtt(session->ctx, rtt_us);
}

static const struct session_events *events_of(struct yamux_stream *stream)
{
	return ((struct stacked *)yamux_stream_session_ctx(stream))->session.events;
}

static void on_stream_data(void *stream_ctx, struct yamux_stream *stream, struct bytes data)
{
	events_of(stream)->on_data(stream_ctx, data);
}

static void on_stream_end(void *stream_ctx, struct yamux_stream *stream)
{
	events_of(stream)->on_end(stream_ctx);
}

static void on_stream_drain(void *stream_ctx, struct yamux_stream *stream)
{
	events_of(stream)->on_drain(stream_ctx);
}

static void on_stream_close(void *stream_ctx, struct yamux_stream *stream, int err)
{
	events_of(stream)->on_close(stream_ctx, err);
}

static const struct yamux_events yamux_events = {
	.on_stream = on_stream,
	.on_data = on_stream_data,
	.on_end = on_stream_end,
	.on_drain = on_stream_drain,
	.on_close = on_stream_close,
	.on_rtt = on_rtt,
};

/* ---- receiving ---- */

static int on_plain(void *ctx, struct bytes plain)
{
	struct stacked *stacked = ctx;
	int err = yamux_recv(stacked->yamux, plain, now_us(stacked));

	return !err && stacked->session.stopped ? -ECANCELED : err;
}

/* An error of the bytes; the owner's own stop is none. */
static void receive_failed(struct stacked *stacked, int err)
{
	struct session *session = &stacked->session;

	log_debug("session", "receive failed err=%d", err);
	if (!session->stopped)
		session->events->on_dead(session->ctx, err == -ECONNRESET ? err : -EPIPE);
}

static void stacked_receive(struct stacked *stacked, uint8_t *at, size_t len)
{
	int err = secured_open(&stacked->secured, at, len, on_plain, stacked);

	if (err)
		receive_failed(stacked, err);
}

static void on_data(void *ctx, uint8_t *at, size_t len)
{
	struct stacked *stacked = ctx;
	struct session *session = &stacked->session;

	if (session->stopped)
		return;
	session->bytes_in += len;
	session->events->on_received(session->ctx, len);
	stacked_receive(stacked, at, len);
	session->events->on_turn(session->ctx);
}

static void on_drain(void *ctx)
{
	struct session *session = &((struct stacked *)ctx)->session;

	session->events->on_turn(session->ctx);
}

static void on_close(void *ctx, int err)
{
	struct session *session = &((struct stacked *)ctx)->session;

	(void)err;
	session->events->on_dead(session->ctx, -EPIPE);
}

static const struct conn_events conn_events = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_close,
};

/* What came with the handshake, before anybody listened. */
static void stacked_start(struct session *session)
{
	struct stacked *stacked = stacked_of(session);
	struct buf plain = stacked->secured.plain;
	struct buf raw = stacked->secured.raw;

	stacked->secured.plain = stacked->secured.raw = (struct buf){ 0 };
	if (plain.len > 0) {
		int err = on_plain(stacked, buf_bytes(&plain));

		if (err)
			receive_failed(stacked, err);
	}
	if (raw.len > 0 && !session->stopped)
		stacked_receive(stacked, raw.at, raw.len);
	buf_release(&plain);
	buf_release(&raw);
}

/* ---- streams ---- */

static struct session_stream *stacked_open(struct session *session, void *stream_ctx)
{
	return stream_of(yamux_open(stacked_of(session)->yamux, stream_ctx));
}

static void stacked_set_ctx(struct session_stream *stream, void *stream_ctx)
{
	yamux_stream_set_ctx(yamux_of(stream), stream_ctx);
}

static void stacked_write(struct session_stream *stream, struct buf *data)
{
	yamux_stream_write(yamux_of(stream), data);
}

static size_t stacked_queued(const struct session_stream *stream)
{
	return yamux_stream_queued(yamux_of(stream));
}

static void stacked_pause(struct session_stream *stream)
{
	yamux_stream_pause(yamux_of(stream));
}

static void stacked_resume(struct session_stream *stream)
{
	yamux_stream_resume(yamux_of(stream));
}

static void stacked_end(struct session_stream *stream)
{
	yamux_stream_end(yamux_of(stream));
}

static void stacked_close(struct session_stream *stream)
{
	yamux_stream_close(yamux_of(stream));
}

static void stacked_reset(struct session_stream *stream, uint32_t code)
{
	yamux_stream_reset(yamux_of(stream), code);
}

static unsigned stacked_stream_count(const struct session *session)
{
	return yamux_stream_count(stacked_of(session)->yamux);
}

/* ---- sending ---- */

/* One batch: frames of yamux, sealed together, in one write. */
static size_t stacked_flush(struct session *session, size_t data_max)
{
	struct stacked *stacked = stacked_of(session);
	struct bytes parts[BATCH_PARTS];
	size_t count = yamux_send(stacked->yamux, parts, BATCH_PARTS, data_max), sent;
	int err;

	if (count == 0)
		return 0;
	err = secured_seal(&stacked->secured, parts, count, &stacked->tx);
	if (err) {
		session->events->on_dead(session->ctx, err);
		return 0;
	}
	sent = stacked->tx.len;
	session->bytes_out += sent;
	conn_write(stacked->secured.conn, &stacked->tx);
	buf_clear(&stacked->tx);
	return sent;
}

static bool stacked_wants(const struct session *session, bool data)
{
	const struct yamux *yamux = stacked_of(session)->yamux;

	return data ? yamux_data_ready(yamux) : yamux_wants_send(yamux);
}

static size_t stacked_backlog(const struct session *session)
{
	return conn_queued(stacked_of(session)->secured.conn);
}

static void stacked_hold(struct session *session, bool hold)
{
	struct conn *conn = stacked_of(session)->secured.conn;

	if (hold)
		conn->ops->pause(conn);
	else
		conn->ops->resume(conn);
}

static void stacked_limit_read(struct session *session, size_t bytes)
{
	stacked_of(session)->secured.conn->read_max = bytes;
}

/* ---- its life ---- */

static uint64_t stacked_deadline(const struct session *session)
{
	return yamux_deadline(stacked_of(session)->yamux);
}

static int stacked_tick(struct session *session, uint64_t now_ms)
{
	return yamux_tick(stacked_of(session)->yamux, now_ms);
}

static void stacked_ping(struct session *session)
{
	struct stacked *stacked = stacked_of(session);

	yamux_ping(stacked->yamux, now_us(stacked));
}

static bool stacked_ping_sent(const struct session *session)
{
	return yamux_ping_sent(stacked_of(session)->yamux);
}

static uint64_t stacked_now_us(const struct session *session)
{
	return now_us(stacked_of(session));
}

static void stacked_go_away(struct session *session, uint32_t code)
{
	yamux_go_away(stacked_of(session)->yamux, code);
}

static void stacked_fail(struct session *session, int err)
{
	yamux_fail(stacked_of(session)->yamux, err);
}

static void stacked_free(struct session *session)
{
	struct stacked *stacked = stacked_of(session);

	yamux_free(stacked->yamux);
	secured_release(&stacked->secured);
	buf_release(&stacked->tx);
	free(stacked);
}

static const struct session_ops stacked_ops = {
	.start = stacked_start,
	.open = stacked_open,
	.set_ctx = stacked_set_ctx,
	.write = stacked_write,
	.queued = stacked_queued,
	.pause = stacked_pause,
	.resume = stacked_resume,
	.end = stacked_end,
	.close = stacked_close,
	.reset = stacked_reset,
	.stream_count = stacked_stream_count,
	.flush = stacked_flush,
	.wants = stacked_wants,
	.backlog = stacked_backlog,
	.hold = stacked_hold,
	.limit_read = stacked_limit_read,
	.deadline = stacked_deadline,
	.tick = stacked_tick,
	.ping = stacked_ping,
	.ping_sent = stacked_ping_sent,
	.now_us = stacked_now_us,
	.go_away = stacked_go_away,
	.fail = stacked_fail,
	.free = stacked_free,
};

struct session *stacked_new(struct loop *loop, struct secured *secured, const char *security,
			    const struct session_config *config)
{
	struct stacked *stacked = xnew(struct stacked);
	struct session *session = &stacked->session;
	struct yamux_config limits = {
		.stream_window_max = config->stream_window_max,
		.connection_window_max = config->connection_window_max,
		.keepalive_ms = config->keepalive_ms,
	};

	session->ops = &stacked_ops;
	session->peer = secured->peer;
	session->local = &secured->conn->local;
	session->remote = &secured->conn->remote;
	session->outbound = secured->outbound;
	session->security = security;
	session->muxer = YAMUX_PROTOCOL;
	session->bytes_in = secured->bytes_in;
	session->bytes_out = secured->bytes_out;
	stacked->loop = loop;
	stacked->secured = *secured;
	*secured = (struct secured){ 0 };
	stacked->yamux = yamux_new(session->outbound, &limits, &yamux_events, stacked,
				   timers_now(loop_timers(loop)));
	stacked->secured.conn->events = &conn_events;
	stacked->secured.conn->ctx = stacked;
	return session;
}

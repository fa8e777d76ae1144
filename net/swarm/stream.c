/* One stream of a connection. It first settles on a protocol by multistream, then its owner has it.
 * What comes with the negotiation, or while it is paused, is kept for the owner. Loop thread. */
#include "net/swarm/swarm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAZY_ANSWER_MS 60000 /* a lazy stream whose answer never comes is reset */

/*
 *   inbound:  NEGOTIATING --proposal accepted--> handler --> OPEN
 *   outbound: NEGOTIATING --echo--> ready() --> OPEN          (ms is set while negotiating)
 *   lazy:     OPEN from the start; the echo is read when it comes
 *
 * An owner may close the stream inside any callback: what is on the stack then keeps the memory
 * (busy).
 */

static const struct session_ops *ops_of(const struct stream *stream)
{
	return stream->conn->session->ops;
}

static struct stream *stream_new(struct swarm_conn *conn, bool inbound)
{
	struct stream *stream = xnew(struct stream);

	stream->conn = conn;
	stream->inbound = inbound;
	list_add_tail(&conn->streams, &stream->node);
	return stream;
}

void stream_hold(struct stream *stream)
{
	stream->busy++;
}

/* Free it when it is done with and nobody is on the stack. */
void stream_drop(struct stream *stream)
{
	if (--stream->busy > 0 || !stream->detached || stream->under)
		return;
	list_remove(&stream->node);
	timer_stop(stream->conn->swarm->timers, &stream->timer);
	multistream_free(stream->ms);
	buf_release(&stream->kept);
	free(stream->protocol);
	free(stream);
}

/* No owner from here on. */
static void detach(struct stream *stream)
{
	stream->detached = true;
	stream->events = NULL;
	stream->ready = NULL;
	timer_stop(stream->conn->swarm->timers, &stream->timer);
}

/* The single end that an owner is told of. */
static void stream_conclude(struct stream *stream, int err)
{
	const struct stream_events *events = stream->events;
	void (*ready)(void *ctx, int err, struct stream *stream) = stream->ready;

	if (stream->detached)
		return;
	detach(stream);
	if (ready)
		ready(stream->ready_ctx, err ? err : -ECONNRESET, NULL);
	else if (events && events->on_close)
		events->on_close(stream->ctx, stream, err);
}

/* Reset by our own side, the owner is told. */
static void stream_fail(struct stream *stream, int err, uint32_t code)
{
	if (stream->under) {
		ops_of(stream)->reset(stream->under, code);
		stream->under = NULL;
		swarm_conn_dirty(stream->conn);
	}
	stream_conclude(stream, err);
}

static void on_deadline(void *ctx)
{
	struct stream *stream = ctx;

	stream_hold(stream);
	stream_fail(stream, -ETIMEDOUT, CODE_STREAM_NEGOTIATION);
	stream_drop(stream);
}

static void send_buf(struct stream *stream, struct buf *out)
{
	if (stream->under && out->len > 0) {
		ops_of(stream)->write(stream->under, out);
		swarm_conn_dirty(stream->conn);
	}
	buf_release(out);
}

/* ---- opening ---- */

struct stream *stream_open(struct swarm_conn *conn, char *const *protocols, size_t count, bool lazy,
			   void (*ready)(void *ctx, int err, struct stream *stream), void *ctx)
{
	struct timers *timers = conn->swarm->timers;
	struct stream *stream = stream_new(conn, false);
	struct buf out = { 0 };

	stream->under = conn->session->ops->open(conn->session, stream);
	if (!stream->under) {
		stream_hold(stream);
		detach(stream);
		stream_drop(stream);
		return NULL;
	}
	if (lazy) {
		stream->protocol = xstrdup(protocols[0]);
		stream->lazy[0] = stream->protocol;
		stream->ms = multistream_dialer(stream->lazy, 1);
	} else {
		stream->ready = ready;
		stream->ready_ctx = ctx;
		stream->ms = multistream_dialer((const char *const *)protocols, count);
	}
	timer_start(timers, &stream->timer, lazy ? LAZY_ANSWER_MS : SWARM_NEGOTIATE_MS, on_deadline,
		    stream);
	multistream_start(stream->ms, &out);
	send_buf(stream, &out);
	return stream;
}

/* Which of our handlers' names is it? */
static const char *select_handler(void *ctx, struct bytes name)
{
	struct stream *stream = ctx;
	struct handler *handler = swarm_handler(stream->conn->swarm, name);

	return handler ? handler->protocol : NULL;
}

/* Inbound streams of the peer: all of them, or those of one protocol. */
static unsigned count_in(const struct peer *peer, const char *protocol)
{
	unsigned count = 0;

	list_for_each(conn, &peer->conns, struct swarm_conn, peer_node)
		list_for_each(stream, &conn->streams, struct stream, node)
			if (stream->inbound && stream->under &&
			    (!protocol ||
			     (stream->protocol && strcmp(stream->protocol, protocol) == 0)))
				count++;
	return count;
}

int stream_incoming(struct swarm_conn *conn, struct session_stream *under)
{
	struct stream *stream;
	struct buf out = { 0 };

	if (conn->swarm->closing || count_in(conn->peer, NULL) >= SWARM_PEER_STREAMS_IN_MAX)
		return -EAGAIN;
	stream = stream_new(conn, true);
	stream->under = under;
	ops_of(stream)->set_ctx(under, stream);
	stream->ms = multistream_listener(select_handler, stream);
	timer_start(conn->swarm->timers, &stream->timer, SWARM_NEGOTIATE_MS, on_deadline, stream);
	multistream_start(stream->ms, &out);
	send_buf(stream, &out);
	return 0;
}

static void stream_serve(struct stream *stream)
{
	struct handler *handler = swarm_handler(stream->conn->swarm, bytes_str(stream->protocol));

	/* The stream itself is counted already. */
	if (count_in(stream->conn->peer, stream->protocol) > handler->streams_per_peer_max) {
		stream_fail(stream, -EAGAIN, CODE_STREAM_LIMIT);
		return;
	}
	handler->fn(handler->ctx, stream);
	if (!stream->detached && !stream->events)
		stream_reset(stream, CODE_NONE);
}

static void opened(struct stream *stream)
{
	void (*ready)(void *ctx, int err, struct stream *stream) = stream->ready;

	stream->ready = NULL;
	ready(stream->ready_ctx, 0, stream);
	if (!stream->detached && !stream->events)
		stream_reset(stream, CODE_NONE);
}

/* The protocol is settled. */
static void stream_settled(struct stream *stream)
{
	const char *protocol = multistream_protocol(stream->ms);

	if (!stream->protocol)
		stream->protocol = xstrdup(protocol);
	multistream_free(stream->ms);
	stream->ms = NULL;
	timer_stop(stream->conn->swarm->timers, &stream->timer);
	if (stream->inbound)
		stream_serve(stream);
	else if (stream->ready)
		opened(stream);
}

/* ---- what the session tells ---- */

static void stream_deliver(struct stream *stream, struct bytes data)
{
	if (data.len == 0 || stream->detached)
		return;
	if (stream->paused || stream->kept.len > 0)
		buf_add(&stream->kept, data);
	else if (stream->events && stream->events->on_data)
		stream->events->on_data(stream->ctx, stream, data);
}

static void stream_negotiate(struct stream *stream, struct bytes data)
{
	struct buf out = { 0 };
	size_t used = 0;
	int rc = multistream_recv(stream->ms, data, &used, &out);

	send_buf(stream, &out);
	if (rc < 0)
		stream_fail(stream, rc, CODE_STREAM_NEGOTIATION);
	else if (rc == 1) {
		stream_settled(stream);
		stream_deliver(stream, bytes_skip(data, used));
	}
}

void stream_on_data(void *ctx, struct bytes data)
{
	struct stream *stream = ctx;

	stream_hold(stream);
	if (stream->ms)
		stream_negotiate(stream, data);
	else
		stream_deliver(stream, data);
	stream_drop(stream);
}

void stream_on_end(void *ctx)
{
	struct stream *stream = ctx;

	stream_hold(stream);
	if (stream->ms)
		stream_fail(stream, -ECONNRESET, CODE_STREAM_NEGOTIATION);
	else if (stream->kept.len > 0)
		stream->ended = true;
	else if (stream->events && stream->events->on_end)
		stream->events->on_end(stream->ctx, stream);
	stream_drop(stream);
}

void stream_on_drain(void *ctx)
{
	struct stream *stream = ctx;

	stream_hold(stream);
	if (stream->events && stream->events->on_drain)
		stream->events->on_drain(stream->ctx, stream);
	stream_drop(stream);
}

void stream_on_close(void *ctx, int err)
{
	struct stream *stream = ctx;

	stream_hold(stream);
	stream->under = NULL;
	if (err == 0 && stream->kept.len > 0 && !stream->detached)
		stream->gone = true;
	else
		stream_conclude(stream, err);
	stream_drop(stream);
}

void stream_abandon_all(struct swarm_conn *conn, int err)
{
	while (!list_empty(&conn->streams)) {
		struct stream *stream = list_first(&conn->streams, struct stream, node);

		stream_hold(stream);
		stream->under = NULL;
		stream_conclude(stream, err);
		stream_drop(stream);
	}
}

/* ---- the owner's side ---- */

void stream_accept(struct stream *stream, const struct stream_events *events, void *ctx)
{
	stream->events = events;
	stream->ctx = ctx;
}

const struct peer_id *stream_peer(const struct stream *stream)
{
	return &stream->conn->session->peer;
}

const char *stream_protocol(const struct stream *stream)
{
	return stream->protocol;
}

void stream_write(struct stream *stream, struct bytes data)
{
	struct buf copy = { 0 };

	buf_add(&copy, data);
	send_buf(stream, &copy);
}

void stream_write_buf(struct stream *stream, struct buf *data)
{
	send_buf(stream, data);
}

size_t stream_queued(const struct stream *stream)
{
	return stream->under ? ops_of(stream)->queued(stream->under) : 0;
}

void stream_pause(struct stream *stream)
{
	stream->paused = true;
	if (stream->under)
		ops_of(stream)->pause(stream->under);
}

/* What was kept, then the ends that waited behind it. */
static void deliver_kept(struct stream *stream)
{
	struct buf kept = stream->kept;

	stream->kept = (struct buf){ 0 };
	stream_deliver(stream, buf_bytes(&kept));
	buf_release(&kept);
	if (stream->kept.len > 0 || stream->paused)
		return;
	if (stream->ended && stream->events && stream->events->on_end) {
		stream->ended = false;
		stream->events->on_end(stream->ctx, stream);
	}
	if (stream->gone && !stream->detached)
		stream_conclude(stream, 0);
}

void stream_resume(struct stream *stream)
{
	stream_hold(stream);
	stream->paused = false;
	if (stream->kept.len > 0)
		deliver_kept(stream);
	if (stream->under && !stream->paused) {
		ops_of(stream)->resume(stream->under);
		swarm_conn_dirty(stream->conn);
	}
	stream_drop(stream);
}

void stream_end(struct stream *stream)
{
	if (!stream->under)
		return;
	ops_of(stream)->end(stream->under);
	swarm_conn_dirty(stream->conn);
}

void stream_close(struct stream *stream)
{
	stream_hold(stream);
	detach(stream);
	if (stream->under) {
		ops_of(stream)->close(stream->under);
		stream->under = NULL;
		swarm_conn_dirty(stream->conn);
	}
	stream_drop(stream);
}

void stream_reset(struct stream *stream, uint32_t code)
{
	stream_hold(stream);
	detach(stream);
	if (stream->under) {
		ops_of(stream)->reset(stream->under, code);
		stream->under = NULL;
		swarm_conn_dirty(stream->conn);
	}
	stream_drop(stream);
}

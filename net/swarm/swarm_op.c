/* Operations on peers: connect, ping and open a stream. Each has a deadline and one way out,
 * swarm_op_end(), after which its handle is gone. Loop thread. */
#include "net/swarm/swarm.h"

#include "net/swarm/dial.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * start -> on_soon -> [dial -> swarm_op_dialed] -> run -> [stream_open -> on_ready] -> swarm_op_end
 * A person's connect that finds a connection: [probe -> swarm_ops_heard, or on_silent -> dial].
 * The deadline may cut in anywhere; swarm_cancel() undoes whatever is set.
 */

/* Undo what the operation has under way, and forget it. */
static void op_release(struct swarm_op *op)
{
	struct swarm *swarm = op->swarm;

	timer_stop(swarm->timers, &op->deadline);
	timer_stop(swarm->timers, &op->soon);
	dial_leave(op);
	list_remove(&op->node);
	swarm->op_count--;
	swarm->probe_count -= op->probing;
	if (op->stream)
		stream_reset(op->stream, CODE_NONE);
	for (size_t i = 0; i < op->protocol_count; i++)
		free(op->protocols[i]);
	free(op->addrs);
	free(op->tried);
	free(op);
}

void swarm_cancel(struct swarm_op *op)
{
	if (op)
		op_release(op);
}

/* Ends an operation: releases all it has, then calls the owner. The result of each kind
 * differs. */
static void op_finish(struct swarm_op *op, int err, uint64_t rtt_us)
{
	if (err && op->asked && op->dial)
		dial_tell(op);
	struct swarm_op end = *op;
	struct stream *stream = op->stream;
	const char *protocol = NULL;

	if (end.kind == OP_OPEN && !err) {
		protocol = stream_protocol(stream);
		op->stream = NULL; /* it goes to the owner */
	}
	op->tried = NULL;
	op_release(op);
	switch (end.kind) {
	case OP_CONNECT:
		if (end.asked)
			end.asked(end.ctx, err, end.tried, end.tried_count);
		else
			end.done(end.ctx, err);
		free(end.tried);
		break;
	case OP_PING:
		end.pinged(end.ctx, err, rtt_us);
		break;
	case OP_OPEN:
		if (err) {
			end.opened(end.ctx, err, NULL, NULL);
			break;
		}
		stream_hold(stream);
		end.opened(end.ctx, 0, stream, protocol);
		if (!stream->events && !stream->detached)
			stream_reset(stream, CODE_NONE);
		stream_drop(stream);
		break;
	}
}

void swarm_op_end(struct swarm_op *op, int err)
{
	op_finish(op, err, 0);
}

void swarm_op_pinged(struct swarm_op *op, uint64_t rtt_us)
{
	op_finish(op, 0, rtt_us);
}

static void on_deadline(void *ctx)
{
	swarm_op_end(ctx, -ETIMEDOUT);
}

/* ---- going on ---- */

static void op_start(void *ctx);

/* A connection that died under the negotiation was dead before: once, try anew. */
static void on_ready(void *ctx, int err, struct stream *stream)
{
	struct swarm_op *op = ctx;

	op->stream = stream;
	if (err == -EPIPE && !op->retried && !op->swarm->closing) {
		op->retried = true;
		timer_start(op->swarm->timers, &op->soon, 0, op_start, op);
	} else if (err)
		swarm_op_end(op, err);
	else if (op->kind == OP_PING)
		op->run(op);
	else
		swarm_op_end(op, 0);
}

/* Connected: open the stream. With a protocol that identify has told, it is usable at once. */
static void open_stream(struct swarm_op *op, struct swarm_conn *conn)
{
	size_t known = 0;

	while (known < op->protocol_count && !swarm_peer_speaks(conn->peer, op->protocols[known]))
		known++;
	bool lazy = known < op->protocol_count;

	op->stream = stream_open(conn, op->protocols + (lazy ? known : 0),
				 lazy ? 1 : op->protocol_count, lazy, on_ready, op);
	if (!op->stream)
		swarm_op_end(op, -EAGAIN);
	else if (lazy)
		on_ready(op, 0, op->stream);
}

static void join_dial(struct swarm_op *op)
{
	int err = dial_join(op->swarm->dials, op);

	if (err)
		swarm_op_end(op, err);
}

static void on_silent(void *ctx)
{
	join_dial(ctx);
}

/* A connection may be dead without anybody having noticed: a person is told what is so. */
static void swarm_op_probe(struct swarm_op *op, struct peer *peer)
{
	struct swarm *swarm = op->swarm;
	uint64_t now = swarm_now(swarm), wait_ms = SWARM_PROBE_MS;

	/* Whoever has little time has some left to dial. */
	if (op->deadline.at_ms < now + 3 * wait_ms)
		wait_ms = op->deadline.at_ms > now ? (op->deadline.at_ms - now) / 3 : 0;
	op->probing = true;
	op->probed_ms = now;
	swarm->probe_count++;
	list_for_each(conn, &peer->conns, struct swarm_conn, peer_node) {
		conn->session->ops->ping(conn->session);
		swarm_conn_dirty(conn);
	}
	timer_start(swarm->timers, &op->soon, wait_ms, on_silent, op);
}

static struct swarm_op *next_probing(struct swarm *swarm, const struct peer_id *peer)
{
	list_for_each(op, &swarm->ops, struct swarm_op, node)
		if (op->probing && peer_id_equal(&op->peer, peer))
			return op;
	return NULL;
}

static void probe_over(struct swarm_op *op)
{
	op->swarm->probe_count -= op->probing;
	op->probing = false;
}

void swarm_ops_heard(struct swarm *swarm, const struct peer_id *id)
{
	struct peer_id peer = *id;
	struct swarm_op *op;

	/* Each may start and end others: always the first that still waits. */
	while ((op = next_probing(swarm, &peer)) != NULL)
		swarm_op_end(op, 0);
}

void swarm_ops_lost(struct swarm *swarm, const struct peer_id *peer)
{
	struct swarm_op *op;

	while ((op = next_probing(swarm, peer)) != NULL) {
		probe_over(op);
		if (!op->dial)
			timer_start(swarm->timers, &op->soon, 0, op_start, op);
	}
}

/* A new connection is up: those that have been silent since are dead. */
static void end_silent(struct swarm_op *op, struct peer *peer)
{
	list_for_each(conn, &peer->conns, struct swarm_conn, peer_node)
		if (conn->since_ms < op->probed_ms && conn->heard_ms <= op->probed_ms)
			swarm_conn_fail(conn, -ETIMEDOUT, CODE_NONE);
}

static void op_run(struct swarm_op *op, struct swarm_conn *conn)
{
	if (op->kind == OP_CONNECT)
		swarm_op_end(op, 0);
	else
		open_stream(op, conn);
}

/* Begins: uses the connection that exists, probes it first for swarm_connect_asked(), or
 * dials. */
static void op_start(void *ctx)
{
	struct swarm_op *op = ctx;
	struct swarm *swarm = op->swarm;
	struct swarm_conn *conn = swarm_peer_conn(swarm_peer_get(swarm, &op->peer));
	int err;

	if (conn && op->asked && !swarm->closing) {
		swarm_op_probe(op, conn->peer);
		return;
	}
	if (conn) {
		op_run(op, conn);
		return;
	}
	if (swarm->closing)
		err = -ECANCELED;
	else if (swarm->op_count > SWARM_OPS_MAX)
		err = -EAGAIN;
	else if (peer_id_equal(&op->peer, &swarm->self) || !peer_id_is_set(&op->peer))
		err = -EINVAL;
	else
		err = 0;
	if (err)
		swarm_op_end(op, err);
	else
		join_dial(op);
}

void swarm_op_dialed(struct swarm_op *op, int err)
{
	struct peer *peer = swarm_peer_get(op->swarm, &op->peer);
	struct swarm_conn *conn = swarm_peer_conn(peer);

	if (conn && op->probing && !err)
		end_silent(op, peer);
	if (conn && !(op->probing && err))
		op_run(op, conn);
	else
		swarm_op_end(op, err ? err : -EPIPE);
}

void swarm_ops_connected(struct swarm *swarm, const struct peer_id *id)
{
	struct peer_id peer = *id;
	struct swarm_op *op;

	/* Each may start and end others: always the first that still waits. */
	while ((op = dial_waiter(swarm->dials, &peer)) != NULL) {
		dial_leave(op);
		swarm_op_dialed(op, 0);
	}
}

/* ---- starting ---- */

struct swarm_op *swarm_op_new(struct swarm *swarm, enum op_kind kind, const struct peer_id *peer,
			      uint64_t deadline_ms, void *ctx)
{
	struct swarm_op *op = xnew(struct swarm_op);

	op->kind = kind;
	op->swarm = swarm;
	op->peer = *peer;
	op->ctx = ctx;
	list_init(&op->dial_node);
	list_add_tail(&swarm->ops, &op->node);
	swarm->op_count++;
	timer_start_at(swarm->timers, &op->deadline, deadline_ms, on_deadline, op);
	timer_start(swarm->timers, &op->soon, 0, op_start, op);
	return op;
}

struct swarm_op *swarm_connect(struct swarm *swarm, const struct peer_id *peer,
			       const struct multiaddr *addrs, size_t addr_count,
			       uint64_t deadline_ms, swarm_done_fn *done, void *ctx)
{
	struct swarm_op *op = swarm_op_new(swarm, OP_CONNECT, peer, deadline_ms, ctx);

	op->done = done;
	if (addr_count > DIAL_ADDRS_MAX)
		addr_count = DIAL_ADDRS_MAX;
	if (addr_count > 0) {
		op->addrs = xcalloc(addr_count, sizeof(*addrs));
		memcpy(op->addrs, addrs, addr_count * sizeof(*addrs));
		op->addr_count = addr_count;
	}
	return op;
}

struct swarm_op *swarm_connect_asked(struct swarm *swarm, const struct peer_id *peer,
				     const struct multiaddr *addrs, size_t addr_count,
				     uint64_t deadline_ms, swarm_asked_fn *asked, void *ctx)
{
	struct swarm_op *op = swarm_connect(swarm, peer, addrs, addr_count, deadline_ms, NULL, ctx);

	op->asked = asked;
	op->by_user = true;
	for (size_t i = 0; i < op->addr_count; i++)
		swarm_add_addr(swarm, peer, &op->addrs[i], PEERSTORE_RECENT_MS);
	return op;
}

struct swarm_op *swarm_connect_heard(struct swarm *swarm, const struct peer_id *peer,
				     const struct multiaddr *addrs, size_t addr_count,
				     uint64_t deadline_ms, swarm_done_fn *done, void *ctx)
{
	struct swarm_op *op = swarm_connect(swarm, peer, addrs, addr_count, deadline_ms, done, ctx);

	op->heard = true; /* the dial begins in a turn of its own */
	return op;
}

void swarm_op_propose(struct swarm_op *op, const char *protocol)
{
	op->protocols[op->protocol_count++] = xstrdup(protocol);
}

struct swarm_op *swarm_open_stream(struct swarm *swarm, const struct peer_id *peer,
				   const char *const *protocols, size_t protocol_count,
				   uint64_t deadline_ms, swarm_opened_fn *done, void *ctx)
{
	struct swarm_op *op = swarm_op_new(swarm, OP_OPEN, peer, deadline_ms, ctx);

	assert(protocol_count > 0 && protocol_count <= SWARM_PROTOCOLS_PER_OP_MAX);
	op->opened = done;
	for (size_t i = 0; i < protocol_count; i++)
		swarm_op_propose(op, protocols[i]);
	return op;
}

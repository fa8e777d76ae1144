/* The echo service, and one echo asked of a peer. A peer that does not read its echoes, or stays
 * on without sending, loses its stream. Loop thread. */
#include "net/ping/ping.h"

#include "net/swarm/swarm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- answering ---- */

struct echo {
	struct stream *stream;
	struct timers *timers;
	struct timer idle, life;
	uint8_t part[PING_LEN];
	size_t part_len;
};

static void echo_free(struct echo *echo)
{
	timer_stop(echo->timers, &echo->idle);
	timer_stop(echo->timers, &echo->life);
	free(echo);
}

static void echo_expire(void *ctx)
{
	struct echo *echo = ctx;

	stream_reset(echo->stream, CODE_NONE);
	echo_free(echo);
}

/* Sends 32 bytes back whenever they are complete. */
static void echo_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct echo *echo = ctx;

	/* A peer that does not read its answers gets no more of them. */
	if (stream_queued(stream) > 64 * PING_LEN) {
		echo_expire(echo);
		return;
	}
	while (data.len > 0) {
		size_t more = PING_LEN - echo->part_len;

		if (more > data.len)
			more = data.len;
		memcpy(echo->part + echo->part_len, data.at, more);
		echo->part_len += more;
		data = bytes_skip(data, more);
		if (echo->part_len < PING_LEN)
			break;
		echo->part_len = 0;
		stream_write(stream, bytes_of(echo->part, PING_LEN));
		timer_start(echo->timers, &echo->idle, PING_IDLE_MS, echo_expire, echo);
	}
}

static void echo_end(void *ctx, struct stream *stream)
{
	stream_close(stream);
	echo_free(ctx);
}

static void echo_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	echo_free(ctx);
}

static const struct stream_events echo_events = {
	.on_data = echo_data,
	.on_end = echo_end,
	.on_close = echo_close,
};

static void on_ping(void *ctx, struct stream *stream)
{
	struct swarm *swarm = ctx;
	struct echo *echo = xnew(struct echo);

	echo->stream = stream;
	echo->timers = swarm->timers;
	timer_start(echo->timers, &echo->idle, PING_IDLE_MS, echo_expire, echo);
	timer_start(echo->timers, &echo->life, PING_STREAM_MS, echo_expire, echo);
	stream_accept(stream, &echo_events, echo);
}

void ping_serve(struct swarm *swarm)
{
	swarm_handle(swarm, PING_PROTOCOL, PING_STREAMS_IN_MAX, on_ping, swarm);
}

/* ---- asking ---- */

static uint64_t now_us(const struct stream *stream)
{
	const struct session *session = stream->conn->session;

	return session->ops->now_us(session);
}

static void answer_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct swarm_op *op = ctx;
	size_t want = PING_LEN - op->ping_got;

	if (data.len > want || memcmp(data.at, op->ping + op->ping_got, data.len) != 0) {
		swarm_op_end(op, -EPROTO);
		return;
	}
	op->ping_got += data.len;
	if (op->ping_got < PING_LEN)
		return;
	uint64_t rtt_us = now_us(stream) - op->ping_us;

	stream_close(op->stream);
	op->stream = NULL;
	swarm_op_pinged(op, rtt_us);
}

static void answer_end(void *ctx, struct stream *stream)
{
	(void)stream;
	swarm_op_end(ctx, -ECONNRESET);
}

static void answer_close(void *ctx, struct stream *stream, int err)
{
	struct swarm_op *op = ctx;

	(void)stream;
	op->stream = NULL;
	swarm_op_end(op, err ? err : -ECONNRESET);
}

static const struct stream_events answer_events = {
	.on_data = answer_data,
	.on_end = answer_end,
	.on_close = answer_close,
};

static void ping_run(struct swarm_op *op)
{
	random_fill(op->swarm->random, op->ping, PING_LEN);
	op->ping_got = 0;
	op->ping_us = now_us(op->stream);
	stream_accept(op->stream, &answer_events, op);
	stream_write(op->stream, bytes_of(op->ping, PING_LEN));
}

struct swarm_op *swarm_ping(struct swarm *swarm, const struct peer_id *peer, uint64_t deadline_ms,
			    swarm_ping_fn *done, void *ctx)
{
	struct swarm_op *op = swarm_op_new(swarm, OP_PING, peer, deadline_ms, ctx);

	op->pinged = done;
	op->by_user = true;
	op->run = ping_run;
	swarm_op_propose(op, PING_PROTOCOL);
	return op;
}

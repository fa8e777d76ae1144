/* A third maker of sessions, for tests: swarms of one loop at /memory/N whose connections are
 * sessions by themselves, as those of QUIC are. Peers are proven by the board; there is no byte
 * pipe, no secure channel and no muxer: each stream is a pair of buffers. */
#ifndef TESTS_NET_DIRECT_SESSION_H
#define TESTS_NET_DIRECT_SESSION_H

#include "net/session/session.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <stdio.h>

#define DIRECT_MAX 8

struct direct {
	struct transport transport; /* first */
	struct direct_board *board;
	struct peer_id self;
	struct multiaddr addr; /* where it listens; empty: nowhere */
	transport_accept_fn *accept;
	void *accept_ctx;
};

struct direct_board {
	struct loop *loop;
	struct direct *all[DIRECT_MAX];
	unsigned sessions; /* made, both sides counted */
};

struct direct_side {
	struct session session; /* first */
	struct direct_board *board;
	struct direct_side *other; /* NULL: it is closed */
	struct multiaddr local, remote;
	struct list streams;
	struct timer deliver;
	bool started, held, asks_ping, pinged, ponged;
	unsigned busy;
	size_t came; /* bytes since the last delivery */
	uint64_t ping_ms;
};

struct direct_stream {
	struct direct_side *side;
	struct direct_stream *twin;
	struct list node;
	void *ctx;
	struct buf out, in;
	bool told;		  /* the other side knows of it */
	bool fresh;		  /* the peer's, and not told to the owner */
	bool ends, end_sent;	  /* ours */
	bool end_came, end_given; /* the peer's */
	bool paused, drained, gone;
	bool dropped; /* the owner has given it up */
	int err;      /* of gone */
};

static inline struct direct_side *direct_side_of(const struct session *session)
{
	return container_of((struct session *)session, struct direct_side, session);
}

static inline struct direct_stream *direct_of(const struct session_stream *stream)
{
	return (struct direct_stream *)stream;
}

static inline void direct_on_deliver(void *ctx);

static inline void direct_arm(struct direct_side *side)
{
	if (side && side->started && !side->held)
		timer_start(loop_timers(side->board->loop), &side->deliver, 0, direct_on_deliver,
			    side);
}

static inline struct direct_stream *direct_stream_new(struct direct_side *side, void *ctx)
{
	struct direct_stream *stream = xnew(struct direct_stream);

	stream->side = side;
	stream->ctx = ctx;
	list_add_tail(&side->streams, &stream->node);
	return stream;
}

static inline void direct_stream_free(struct direct_stream *stream)
{
	if (stream->twin)
		stream->twin->twin = NULL;
	list_remove(&stream->node);
	buf_release(&stream->out);
	buf_release(&stream->in);
	free(stream);
}

/* Frees what its owner has given up, once everything is sent. */
static inline void direct_reap(struct direct_side *side)
{
	if (side->busy)
		return;
	list_for_each_safe(stream, &side->streams, struct direct_stream, node)
		if (stream->dropped && (stream->gone || (stream->end_sent && !stream->out.len)))
			direct_stream_free(stream);
}

/* Everything that one stream has for its owner. */
static inline void direct_give(struct direct_stream *stream)
{
	const struct session_events *events = stream->side->session.events;

	if (stream->fresh) {
		stream->fresh = false;
		if (events->on_stream(stream->side->session.ctx, (struct session_stream *)stream)) {
			stream->dropped = stream->gone = true;
			if (stream->twin) {
				stream->twin->gone = true;
				stream->twin->err = -ECONNRESET;
				direct_arm(stream->twin->side);
			}
		}
	}
	while (stream->in.len && !stream->paused && !stream->dropped) {
		struct buf data = stream->in;

		stream->in = (struct buf){ 0 };
		events->on_data(stream->ctx, buf_bytes(&data));
		buf_release(&data);
	}
	if (stream->end_came && !stream->end_given && !stream->in.len && !stream->dropped &&
	    !stream->paused) {
		stream->end_given = true;
		events->on_end(stream->ctx);
	}
	if (stream->drained && !stream->dropped) {
		stream->drained = false;
		events->on_drain(stream->ctx);
	}
	if (stream->end_sent && stream->end_given)
		stream->gone = true;
	if (stream->gone && !stream->dropped) {
		stream->dropped = true;
		events->on_close(stream->ctx, stream->err);
	}
}

static inline void direct_on_deliver(void *ctx)
{
	struct direct_side *side = ctx;
	struct session *session = &side->session;

	side->busy++;
	if (side->came)
		session->events->on_received(session->ctx, side->came);
	session->bytes_in += side->came;
	side->came = 0;
	if (!session->stopped)
		list_for_each_safe(stream, &side->streams, struct direct_stream, node)
			direct_give(stream);
	side->busy--;
	direct_reap(side);
	if (side->pinged && side->other) {
		side->other->ponged = true;
		direct_arm(side->other);
	}
	side->pinged = false;
	if (side->ponged)
		session->events->on_rtt(
			session->ctx,
			(timers_now(loop_timers(side->board->loop)) - side->ping_ms) * 1000);
	side->ponged = false;
	if (!side->other && !session->stopped)
		session->events->on_dead(session->ctx, -EPIPE);
	session->events->on_turn(session->ctx);
}

/* ---- session_ops ---- */

static inline void direct_start(struct session *session)
{
	direct_side_of(session)->started = true;
	direct_arm(direct_side_of(session));
}

static inline struct session_stream *direct_open(struct session *session, void *stream_ctx)
{
	return (struct session_stream *)direct_stream_new(direct_side_of(session), stream_ctx);
}

static inline void direct_set_ctx(struct session_stream *stream, void *stream_ctx)
{
	direct_of(stream)->ctx = stream_ctx;
}

static inline void direct_write(struct session_stream *stream, struct buf *data)
{
	buf_add(&direct_of(stream)->out, buf_bytes(data));
	buf_release(data);
}

static inline size_t direct_queued(const struct session_stream *stream)
{
	return direct_of(stream)->out.len;
}

static inline void direct_pause(struct session_stream *stream)
{
	direct_of(stream)->paused = true;
}

static inline void direct_resume(struct session_stream *stream)
{
	struct direct_side *side = direct_of(stream)->side;

	direct_of(stream)->paused = false;
	side->busy++;
	direct_give(direct_of(stream));
	side->busy--;
	direct_reap(side);
}

static inline void direct_end(struct session_stream *stream)
{
	direct_of(stream)->ends = true;
}

static inline void direct_close(struct session_stream *stream)
{
	direct_of(stream)->ends = direct_of(stream)->dropped = true;
	direct_reap(direct_of(stream)->side);
}

static inline void direct_reset(struct session_stream *stream, uint32_t code)
{
	struct direct_stream *direct = direct_of(stream);

	(void)code;
	direct->dropped = direct->gone = true;
	buf_clear(&direct->out);
	if (direct->twin) {
		direct->twin->gone = true;
		direct->twin->err = -ECONNRESET;
		direct_arm(direct->twin->side);
	}
	direct_reap(direct->side);
}

static inline unsigned direct_stream_count(const struct session *session)
{
	unsigned count = 0;

	list_for_each(stream, &direct_side_of(session)->streams, struct direct_stream, node)
		count += !stream->dropped;
	return count;
}

/* What one stream has for the other side; returns the bytes it came to. */
static inline size_t direct_send(struct direct_stream *stream, bool data)
{
	struct direct_side *other = stream->side->other;
	size_t len = stream->out.len, sent = 0;

	if (!stream->told) {
		stream->told = true;
		sent = 1;
		if (other) {
			stream->twin = direct_stream_new(other, NULL);
			stream->twin->twin = stream;
			stream->twin->told = stream->twin->fresh = true;
		}
	}
	if (len && data) {
		sent += len;
		if (stream->twin && !stream->twin->dropped)
			buf_add(&stream->twin->in, buf_bytes(&stream->out));
		buf_clear(&stream->out);
		stream->drained = len > STREAM_LOW_MARK;
		if (stream->drained)
			direct_arm(stream->side);
	}
	if (stream->ends && !stream->end_sent && !stream->out.len) {
		stream->end_sent = true;
		sent++;
		if (stream->twin)
			stream->twin->end_came = true;
		direct_arm(stream->side);
	}
	return sent;
}

static inline size_t direct_flush(struct session *session, size_t data_max)
{
	struct direct_side *side = direct_side_of(session);
	size_t sent = side->asks_ping;

	if (side->asks_ping && side->other)
		side->other->pinged = true;
	side->asks_ping = false;
	list_for_each(stream, &side->streams, struct direct_stream, node)
		sent += direct_send(stream, data_max > 0);
	if (sent && side->other) {
		side->other->came += sent;
		direct_arm(side->other);
	}
	session->bytes_out += sent;
	direct_reap(side);
	return sent;
}

static inline bool direct_wants(const struct session *session, bool data)
{
	const struct direct_side *side = direct_side_of(session);

	list_for_each(stream, &side->streams, struct direct_stream, node)
		if (stream->out.len ||
		    (!data && (!stream->told || (stream->ends && !stream->end_sent))))
			return true;
	return !data && side->asks_ping;
}

static inline size_t direct_backlog(const struct session *session)
{
	(void)session;
	return 0;
}

static inline void direct_hold(struct session *session, bool hold)
{
	struct direct_side *side = direct_side_of(session);

	side->held = hold;
	if (hold)
		timer_stop(loop_timers(side->board->loop), &side->deliver);
	else
		direct_arm(side);
}

static inline void direct_limit_read(struct session *session, size_t bytes)
{
	(void)session;
	(void)bytes;
}

static inline uint64_t direct_deadline(const struct session *session)
{
	(void)session;
	return TIMER_NEVER;
}

static inline int direct_tick(struct session *session, uint64_t now_ms)
{
	(void)session;
	(void)now_ms;
	return 0;
}

static inline void direct_ping(struct session *session)
{
	struct direct_side *side = direct_side_of(session);

	side->asks_ping = true;
	side->ping_ms = timers_now(loop_timers(side->board->loop));
}

static inline bool direct_ping_sent(const struct session *session)
{
	return !direct_side_of(session)->asks_ping;
}

static inline uint64_t direct_now_us(const struct session *session)
{
	return timers_now(loop_timers(direct_side_of(session)->board->loop)) * 1000;
}

static inline void direct_go_away(struct session *session, uint32_t code)
{
	(void)session;
	(void)code;
}

static inline void direct_fail(struct session *session, int err)
{
	struct direct_side *side = direct_side_of(session);

	side->busy++;
	list_for_each_safe(stream, &side->streams, struct direct_stream, node) {
		if (stream->dropped)
			continue;
		stream->dropped = true;
		if (!stream->fresh)
			session->events->on_close(stream->ctx, err);
	}
	side->busy--;
}

static inline void direct_session_free(struct session *session)
{
	struct direct_side *side = direct_side_of(session);

	while (!list_empty(&side->streams))
		direct_stream_free(list_first(&side->streams, struct direct_stream, node));
	timer_stop(loop_timers(side->board->loop), &side->deliver);
	if (side->other) {
		side->other->other = NULL;
		direct_arm(side->other);
	}
	free(side);
}

static const struct session_ops direct_session_ops = {
	.start = direct_start,
	.open = direct_open,
	.set_ctx = direct_set_ctx,
	.write = direct_write,
	.queued = direct_queued,
	.pause = direct_pause,
	.resume = direct_resume,
	.end = direct_end,
	.close = direct_close,
	.reset = direct_reset,
	.stream_count = direct_stream_count,
	.flush = direct_flush,
	.wants = direct_wants,
	.backlog = direct_backlog,
	.hold = direct_hold,
	.limit_read = direct_limit_read,
	.deadline = direct_deadline,
	.tick = direct_tick,
	.ping = direct_ping,
	.ping_sent = direct_ping_sent,
	.now_us = direct_now_us,
	.go_away = direct_go_away,
	.fail = direct_fail,
	.free = direct_session_free,
};

static inline struct direct_side *direct_side_new(struct direct *own, struct direct *peer,
						  bool outbound)
{
	struct direct_side *side = xnew(struct direct_side);

	side->board = own->board;
	side->local = own->addr;
	side->remote = peer->addr;
	list_init(&side->streams);
	side->session = (struct session){ .ops = &direct_session_ops,
					  .peer = peer->self,
					  .local = &side->local,
					  .remote = &side->remote,
					  .outbound = outbound,
					  .security = "board",
					  .muxer = "direct" };
	own->board->sessions++;
	return side;
}

/* ---- the transport ---- */

struct direct_dial {
	struct timer timer;
	struct direct *from;
	struct multiaddr addr;
	transport_dialed_fn *done;
	void *ctx;
};

static inline bool direct_can_dial(struct transport *transport, const struct multiaddr *addr)
{
	struct multiaddr_part part;

	(void)transport;
	return multiaddr_find(addr, MA_MEMORY, &part);
}

static inline void direct_on_dial(void *ctx)
{
	struct direct_dial *dial = ctx;
	struct direct *from = dial->from, *to = NULL;
	transport_dialed_fn *done = dial->done;
	void *done_ctx = dial->ctx;

	for (size_t i = 0; i < DIRECT_MAX; i++)
		if (from->board->all[i] && multiaddr_equal(&from->board->all[i]->addr, &dial->addr))
			to = from->board->all[i];
	free(dial);
	if (!to) {
		done(done_ctx, -ECONNREFUSED, (struct raw_link){ 0 });
		return;
	}
	struct direct_side *a = direct_side_new(from, to, true);
	struct direct_side *b = direct_side_new(to, from, false);

	a->other = b;
	b->other = a;
	to->accept(to->accept_ctx, (struct raw_link){ .session = &b->session });
	done(done_ctx, 0, (struct raw_link){ .session = &a->session });
}

static inline void *direct_dial(struct transport *transport, const struct multiaddr *addr,
				uint64_t timeout_ms, transport_dialed_fn *done, void *ctx)
{
	struct direct_dial *dial = xnew(struct direct_dial);

	(void)timeout_ms;
	dial->from = container_of(transport, struct direct, transport);
	dial->addr = *addr;
	dial->done = done;
	dial->ctx = ctx;
	timer_start(loop_timers(dial->from->board->loop), &dial->timer, 0, direct_on_dial, dial);
	return dial;
}

static inline void direct_dial_cancel(struct transport *transport, void *dial)
{
	struct direct *direct = container_of(transport, struct direct, transport);

	timer_stop(loop_timers(direct->board->loop), &((struct direct_dial *)dial)->timer);
	free(dial);
}

static inline int direct_listen(struct transport *transport, const struct multiaddr *addr,
				transport_accept_fn *accept, void *ctx)
{
	struct direct *direct = container_of(transport, struct direct, transport);

	direct->addr = *addr;
	direct->accept = accept;
	direct->accept_ctx = ctx;
	return 0;
}

static inline size_t direct_listen_addrs(const struct transport *transport, struct multiaddr *addrs,
					 size_t max)
{
	const struct direct *direct =
		container_of((struct transport *)transport, struct direct, transport);

	if (direct->addr.len == 0)
		return 0;
	if (max > 0)
		addrs[0] = direct->addr;
	return 1;
}

static inline void direct_transport_close(struct transport *transport, void (*done)(void *ctx),
					  void *ctx)
{
	struct direct *direct = container_of(transport, struct direct, transport);

	for (size_t i = 0; i < DIRECT_MAX; i++)
		if (direct->board->all[i] == direct)
			direct->board->all[i] = NULL;
	free(direct);
	done(ctx);
}

static const struct transport_ops direct_transport_ops = {
	.can_dial = direct_can_dial,
	.dial = direct_dial,
	.dial_cancel = direct_dial_cancel,
	.listen = direct_listen,
	.listen_addrs = direct_listen_addrs,
	.close = direct_transport_close,
};

/* A swarm of the lab whose only transport is this one; it listens at /memory/NUMBER. */
static inline struct swarm *direct_swarm(struct lab *lab, struct direct_board *board,
					 uint8_t number)
{
	struct direct *direct = xnew(struct direct);
	struct transport *transports[] = { &direct->transport };
	struct swarm_config config = { .transports = transports, .transport_count = 1 };
	uint8_t seed[32] = { number };
	struct multiaddr addr;
	char text[32];
	size_t i = 0;

	while (board->all[i])
		i++;
	assert_true(i < DIRECT_MAX && lab->count < LAB_SWARMS_MAX);
	board->loop = lab->loop;
	board->all[i] = direct;
	direct->transport.ops = &direct_transport_ops;
	direct->board = board;
	lab->identities[lab->count] = identity_from_seed(seed);
	peer_id_of_identity(&direct->self, lab->identities[lab->count]);
	lab->swarms[lab->count] =
		swarm_new(lab->loop, &lab->random, lab->identities[lab->count], NULL, &config);
	snprintf(text, sizeof(text), "/memory/%u", number);
	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	assert_int_equal(swarm_listen(lab->swarms[lab->count], &addr), 0);
	return lab->swarms[lab->count++];
}

/* The error of swarm_connect(). */
static inline int direct_connect(struct lab *lab, struct swarm *from, struct swarm *to)
{
	struct lab_outcome outcome = { 0 };
	struct multiaddr addr;

	assert_int_equal(swarm_interface_addrs(to, &addr, 1), 1);
	swarm_connect(from, swarm_self(to), &addr, 1, lab_deadline(lab, 5000), lab_on_done,
		      &outcome);
	lab_until(lab, &outcome.done);
	return outcome.err;
}

#endif

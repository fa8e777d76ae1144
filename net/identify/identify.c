/* The identify protocol: what peers say of themselves, and what we say. Each stream (reading,
 * pushing or answering) is one struct run with its own time limit. When our addresses or
 * protocols change, all identified peers get one push, a few at a time. Loop thread. */
#include "net/identify/identify.h"

#include "net/base/log.h"
#include "net/base/wait.h"
#include "net/identify/identify_msg.h"
#include "net/swarm/swarm.h"
#include "net/wire/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDENTIFY_PROTOCOL "/ipfs/id/1.0.0"
#define PUSH_PROTOCOL "/ipfs/id/push/1.0.0"
#define PUSH_DELAY_MS 100    /* many changes, one push */
#define TURNS_BURST 10	     /* pushes taken from one peer at once, and questions answered ... */
#define TURNS_REFILL_MS 5000 /* ... and one more after so long */

struct identify {
	struct swarm *swarm;
	struct timer change;
	uint64_t seq; /* of our signed record: grows with each change */
	unsigned pushes;
	bool due;	  /* some peer may have its push_due set */
	struct list runs; /* struct run.node */
};

enum run_kind { RUN_READ, RUN_PUSH, RUN_ANSWER };

/* One identify stream: reading what a peer says (asked for or pushed), pushing, or answering. */
struct run {
	enum run_kind kind;
	struct list node;
	struct identify *identify;
	struct stream *stream;
	struct timer timer;
	struct frame_reader reader;
	struct identify_msg msg;
	struct multiaddr from;
	bool dialed;	/* by us */
	unsigned pongs; /* an answer: to come before its end is sent */
};

/* ---- runs ---- */

static void push_all(struct identify *identify);

static void run_free(struct run *run)
{
	struct identify *identify = run->identify;

	if (run->kind == RUN_PUSH)
		identify->pushes--;
	timer_stop(identify->swarm->timers, &run->timer);
	list_remove(&run->node);
	frame_reader_release(&run->reader);
	identify_msg_release(&run->msg);
	free(run);
}

/* Give up on the stream, and make room for another push. */
static void run_abort(struct run *run, uint32_t code)
{
	struct identify *identify = run->identify;
	bool push = run->kind == RUN_PUSH;

	stream_reset(run->stream, code);
	run_free(run);
	if (push)
		push_all(identify);
}

static void on_timeout(void *ctx)
{
	run_abort(ctx, CODE_NONE);
}

static void run_new(struct identify *identify, enum run_kind kind, struct stream *stream,
		    const struct stream_events *events)
{
	struct session *session = stream->conn->session;
	struct run *run = xnew(struct run);

	run->kind = kind;
	run->identify = identify;
	run->stream = stream;
	run->from = *session->remote;
	run->dialed = session->outbound;
	list_add_tail(&identify->runs, &run->node);
	if (kind == RUN_ANSWER)
		run->pongs = session->ops->ping_sent(session) ? 2 : 1;
	timer_start(identify->swarm->timers, &run->timer, IDENTIFY_TIMEOUT_MS, on_timeout, run);
	stream_accept(stream, events, run);
}

static void run_closed(void *ctx, struct stream *stream, int err)
{
	struct run *run = ctx;
	struct identify *identify = run->identify;
	bool push = run->kind == RUN_PUSH;

	(void)stream;
	(void)err;
	run_free(run);
	if (push)
		push_all(identify);
}

/* ---- what a peer says ---- */

static void keep_addrs(struct swarm *swarm, const struct peer_id *peer,
		       const struct identify_msg *msg)
{
	if (msg->certified) {
		peerstore_certify(swarm->peerstore, peer, msg->record_seq, msg->addrs,
				  msg->addr_count, PEERSTORE_RECENT_MS);
		return;
	}
	/* The best is told first, and what was added last is the last to be given up. */
	for (size_t i = msg->addr_count; i-- > 0;)
		peerstore_add(swarm->peerstore, peer, &msg->addrs[i], PEERSTORE_RECENT_MS);
}

/* The peer's messages are complete: keeps its addresses, protocols and key, and tells the
 * swarm. */
static void identify_learn(struct identify *identify, struct peer *peer, struct run *run)
{
	struct identify_msg *msg = &run->msg;
	char **protocols = xcalloc(msg->protocol_count + 1, sizeof(*protocols));
	char text[PEER_ID_TEXT_MAX], agent[IDENTIFY_AGENT_MAX];

	identify_msg_finish(msg, &peer->id, &run->from);
	log_debug("swarm", "identified peer=%s agent=%s protocols=%zu",
		  peer_id_text(&peer->id, text),
		  log_safe(agent, sizeof(agent), msg->agent, strlen(msg->agent)),
		  msg->protocol_count);
	keep_addrs(identify->swarm, &peer->id, msg);
	if (identify->swarm->observe && run->dialed && msg->observed.len > 0)
		identify->swarm->observe(identify->swarm->observe_ctx, &run->from, &msg->observed);
	for (size_t i = 0; i < msg->protocol_count; i++)
		protocols[i] = xstrdup(msg->protocols[i]);
	if (msg->has_key && !peer->key)
		*(peer->key = xnew(struct public_key)) = msg->key;
	swarm_peer_identified(peer, xstrdup(msg->agent), xstrdup(msg->protocol_version), protocols,
			      msg->protocol_count);
}

static int on_message(void *ctx, struct buf *message)
{
	struct run *run = ctx;

	return identify_msg_merge(&run->msg, buf_bytes(message));
}

static void read_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct run *run = ctx;

	(void)stream;
	if (frame_reader_feed(&run->reader, data, IDENTIFY_MESSAGE_MAX, on_message, run) != 0)
		run_abort(run, CODE_PROTOCOL_VIOLATION);
}

static void read_end(void *ctx, struct stream *stream)
{
	struct run *run = ctx;
	struct identify *identify = run->identify;
	struct peer *peer = swarm_peer_get(identify->swarm, stream_peer(stream));

	if (!frame_reader_idle(&run->reader) || run->msg.messages == 0 || !peer) {
		run_abort(run, CODE_PROTOCOL_VIOLATION);
		return;
	}
	stream_close(stream);
	identify_learn(identify, peer, run);
	run_free(run);
	push_all(identify); /* its protocols are known now: a push may have waited for that */
}

static const struct stream_events read_events = {
	.on_data = read_data,
	.on_end = read_end,
	.on_close = run_closed,
};

/* Asks the peer of a new connection. */
static void on_connected(void *ctx, struct swarm_conn *conn)
{
	struct identify *identify = ctx;
	char name[] = IDENTIFY_PROTOCOL;
	char *const names[] = { name };
	struct stream *stream = stream_open(conn, names, 1, true, NULL, NULL);

	if (!stream)
		return;
	run_new(identify, RUN_READ, stream, &read_events);
}

/* A peer may push and ask some, not flood us: each is a signature to make or to verify. */
static bool may(struct identify_turns *turns, uint64_t now)
{
	uint64_t earned = (now - turns->at_ms) / TURNS_REFILL_MS;

	if (earned > 0) {
		turns->taken = turns->taken > earned ? turns->taken - (unsigned)earned : 0;
		turns->at_ms = now;
	}
	if (turns->taken >= TURNS_BURST)
		return false;
	turns->taken++;
	return true;
}

static void on_push(void *ctx, struct stream *stream)
{
	struct identify *identify = ctx;

	if (!may(&stream->conn->peer->pushes, swarm_now(identify->swarm))) {
		stream_reset(stream, CODE_STREAM_LIMIT);
		return;
	}
	run_new(identify, RUN_READ, stream, &read_events);
}

/* ---- what we say ---- */

static int write_self(struct identify *identify, const struct multiaddr *remote, struct buf *out)
{
	struct swarm *swarm = identify->swarm;
	struct multiaddr *addrs = xcalloc(IDENTIFY_ADDRS_MAX, sizeof(*addrs));
	const char *protocols[SWARM_HANDLERS_MAX];
	struct identify_self self = {
		.identity = swarm->identity,
		.addrs = addrs,
		.protocols = protocols,
		.observed = remote,
		.protocol_version = SWARM_PROTOCOL_VERSION,
		.agent = swarm->config.agent,
		.seq = identify->seq,
	};
	int err;

	self.addr_count = swarm_listen_addrs(swarm, addrs, IDENTIFY_ADDRS_MAX);
	if (self.addr_count > IDENTIFY_ADDRS_MAX)
		self.addr_count = IDENTIFY_ADDRS_MAX;
	list_for_each(handler, &swarm->handlers, struct handler, node)
		protocols[self.protocol_count++] = handler->protocol;
	err = identify_msg_encode(&self, out);
	free(addrs);
	return err;
}

static const struct stream_events answer_events = { .on_close = run_closed };

/* js-libp2p loses an answer whose end comes in one read with the protocol's confirmation (it puts
 * what it read too much back into a stream that has ended meanwhile), and knows nothing of us then.
 * So the end is sent when a ping that went out with the answer has come back. */
static void on_asked(void *ctx, struct stream *stream)
{
	struct swarm_conn *conn = stream->conn;
	struct buf out = { 0 };

	if (!may(&conn->peer->questions, swarm_now(conn->swarm))) {
		stream_reset(stream, CODE_STREAM_LIMIT);
		return;
	}
	if (write_self(ctx, conn->session->remote, &out) == 0) {
		stream_write_buf(stream, &out);
		run_new(ctx, RUN_ANSWER, stream, &answer_events);
		conn->session->ops->ping(conn->session);
	} else {
		stream_reset(stream, CODE_NONE);
	}
	buf_release(&out);
}

static void on_ponged(void *ctx, struct swarm_conn *conn)
{
	bool more = false;

	(void)ctx;
	list_for_each_safe(stream, &conn->streams, struct stream, node) {
		struct run *run = stream->ctx;

		if (stream->events != &answer_events)
			continue;
		if (--run->pongs > 0) {
			more = true;
			continue;
		}
		stream_close(run->stream);
		run_free(run);
	}
	if (more)
		conn->session->ops->ping(conn->session);
}

static void push_end(void *ctx, struct stream *stream)
{
	struct run *run = ctx;
	struct identify *identify = run->identify;

	stream_close(stream);
	run_free(run);
	push_all(identify);
}

static const struct stream_events push_events = { .on_end = push_end, .on_close = run_closed };

static void push_ready(void *ctx, int err, struct stream *stream)
{
	struct identify *identify = ctx;
	struct buf out = { 0 };

	if (!err && write_self(identify, stream->conn->session->remote, &out) == 0) {
		run_new(identify, RUN_PUSH, stream, &push_events);
		stream_write_buf(stream, &out);
		stream_end(stream);
	} else {
		if (!err)
			stream_reset(stream, CODE_NONE);
		identify->pushes--;
		push_all(identify);
	}
	buf_release(&out);
}

/* Not lazily: what ends in one read with the negotiation is lost on js-libp2p here as well. */
static void push_one(struct identify *identify, struct swarm_conn *conn)
{
	static char *const names[] = { (char *)PUSH_PROTOCOL }; /* borrowed until push_ready() */

	if (stream_open(conn, names, 1, false, push_ready, identify))
		identify->pushes++;
}

/* As many as may run at once; the others follow when these end. */
static void push_all(struct identify *identify)
{
	struct swarm *swarm = identify->swarm;
	bool due = false;

	if (swarm->closing || !identify->due)
		return;
	list_for_each(conn, &swarm->conns, struct swarm_conn, node) {
		struct peer *peer = conn->peer;

		if (identify->pushes == IDENTIFY_PUSHES_MAX)
			return;
		if (!peer->push_due || conn->fail)
			continue;
		if (!peer->identified) {
			due = true;
			continue;
		}
		peer->push_due = false;
		if (swarm_peer_speaks(peer, PUSH_PROTOCOL))
			push_one(identify, conn);
	}
	identify->due = due;
}

static void on_change(void *ctx)
{
	struct identify *identify = ctx;
	uint64_t now = wallclock_ns();

	identify->seq = now > identify->seq ? now : identify->seq + 1;
	list_for_each(conn, &identify->swarm->conns, struct swarm_conn, node)
		conn->peer->push_due = true;
	identify->due = true;
	push_all(identify);
}

/* Pushes to every peer, soon, once for many changes. */
static void on_changed(void *ctx)
{
	struct identify *identify = ctx;

	if (!timer_running(&identify->change))
		timer_start(identify->swarm->timers, &identify->change, PUSH_DELAY_MS, on_change,
			    identify);
}

static void identify_release(void *ctx)
{
	struct identify *identify = ctx;

	timer_stop(identify->swarm->timers, &identify->change);
	free(identify);
}

void identify_serve(struct swarm *swarm)
{
	struct identify *identify = xnew(struct identify);

	identify->swarm = swarm;
	identify->seq = wallclock_ns();
	list_init(&identify->runs);
	swarm_handle(swarm, IDENTIFY_PROTOCOL, IDENTIFY_STREAMS_IN_MAX, on_asked, identify);
	swarm_handle(swarm, PUSH_PROTOCOL, IDENTIFY_STREAMS_IN_MAX, on_push, identify);
	swarm->inner = (struct swarm_inner){
		.connected = on_connected,
		.ponged = on_ponged,
		.changed = on_changed,
		.release = identify_release,
		.ctx = identify,
	};
}

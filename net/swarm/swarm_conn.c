/* One established connection: its session, flushed once a loop turn, within the limits of
 * bandwidth; a failed one is marked and ends with its turn. Loop thread. */
#include "net/swarm/swarm.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sealed bytes waiting in the connection above which no more are sealed. Small against
 * send_buffer_max on purpose: what is sealed can no longer be overtaken by control frames; the
 * kernel's buffer is behind it. */
#define FLUSH_MARK (256u * 1024)

/* ---- sending ---- */

static void on_timer(void *ctx);

/* The next wake-up: the session's, or the write timeout while bytes are queued. */
static void set_timer(struct swarm_conn *conn)
{
	uint64_t at = conn->session->ops->deadline(conn->session);

	if (conn->stalled_at && conn->stalled_at + SWARM_WRITE_TIMEOUT_MS < at)
		at = conn->stalled_at + SWARM_WRITE_TIMEOUT_MS;
	if (at == TIMER_NEVER)
		timer_stop(conn->swarm->timers, &conn->timer);
	else if (!timer_running(&conn->timer) || conn->timer.at_ms != at)
		timer_start_at(conn->swarm->timers, &conn->timer, at, on_timer, conn);
}

/* Send one batch. False when there is nothing more to send. max 0: control frames alone. */
static bool send_batch(struct swarm_conn *conn, size_t max)
{
	size_t sent = conn->session->ops->flush(conn->session, max);

	if (sent > 0 && rate_limited(&conn->swarm->up))
		rate_spend(&conn->swarm->up, sent);
	return sent > 0;
}

/* How much of the data may go now; 0: it waits for its turn. Control frames never do. */
static size_t batch_max(struct swarm_conn *conn, bool *turn)
{
	struct rate *up = &conn->swarm->up;
	bool may = *turn;

	if (!rate_limited(up))
		return SWARM_FLUSH_MAX;
	*turn = false;
	if (may || rate_may(up))
		return up->quantum;
	if (conn->session->ops->wants(conn->session, true))
		rate_wait(up, &conn->up_turn);
	return 0;
}

/* turn: it has waited for one, and may send so much as that. */
static void pump(struct swarm_conn *conn, bool turn)
{
	const struct session_ops *ops = conn->session->ops;
	size_t mark = conn->swarm->config.send_buffer_max;

	if (mark > FLUSH_MARK)
		mark = FLUSH_MARK;
	while (ops->wants(conn->session, false) && ops->backlog(conn->session) < mark)
		if (!send_batch(conn, batch_max(conn, &turn)))
			break;
	size_t queued = ops->backlog(conn->session);
	if (queued == 0)
		conn->stalled_at = 0;
	else if (!conn->stalled_at || queued != conn->stalled)
		conn->stalled_at = swarm_now(conn->swarm);
	conn->stalled = queued;
	set_timer(conn);
}

/* ---- the end ---- */

static void teardown(struct swarm_conn *conn)
{
	struct swarm *swarm = conn->swarm;
	struct peer_id id = conn->peer->id;
	char text[PEER_ID_TEXT_MAX];

	log_debug("swarm", "disconnected peer=%s err=%d", peer_id_text(&id, text), conn->fail);
	list_remove(&conn->node);
	list_remove(&conn->dirty_node);
	swarm->conn_count--;
	bool last = swarm_peer_leave(conn);

	timer_stop(swarm->timers, &conn->timer);
	rate_leave(&conn->up_turn);
	rate_leave(&conn->down_turn);
	conn->session->ops->fail(conn->session, conn->fail);
	stream_abandon_all(conn, conn->fail);
	list_remove(&conn->dirty_node); /* owners of streams may have written in on_close */
	if (conn->ip_counted)
		connmgr_ip_leave(swarm->connmgr, conn->session->remote);
	session_free(conn->session);
	free(conn);
	swarm_update_hold(swarm);
	if (last && swarm->probe_count > 0)
		swarm->ops_lost(swarm, &id);
	if (last)
		swarm_tell(swarm, NEWS_DISCONNECTED, &id);
}

/* Send what is there, or end what has failed. The connection may be gone afterwards. */
static void settle_in_turn(struct swarm_conn *conn, bool turn)
{
	list_remove(&conn->dirty_node);
	pump(conn, turn);
	if (conn->fail)
		teardown(conn);
}

static void conn_settle(struct swarm_conn *conn)
{
	settle_in_turn(conn, false);
}

static void on_up_turn(void *ctx)
{
	settle_in_turn(ctx, true);
}

void swarm_flush(void *ctx)
{
	struct swarm *swarm = ctx;
	struct list now;

	/* What becomes dirty meanwhile waits for the next turn: nobody starves the loop. */
	list_init(&now);
	list_move_all(&now, &swarm->dirty);
	while (!list_empty(&now))
		conn_settle(list_first(&now, struct swarm_conn, dirty_node));
	if (!list_empty(&swarm->dirty) && !timer_running(&swarm->flush))
		timer_start(swarm->timers, &swarm->flush, 0, swarm_flush, swarm);
}

static void on_timer(void *ctx)
{
	struct swarm_conn *conn = ctx;
	uint64_t now = swarm_now(conn->swarm);
	int err = conn->session->ops->tick(conn->session, now);

	if (err)
		swarm_conn_fail(conn, err, CODE_NONE);
	else if (conn->stalled_at && now >= conn->stalled_at + SWARM_WRITE_TIMEOUT_MS &&
		 conn->session->ops->backlog(conn->session) >= conn->stalled)
		swarm_conn_fail(conn, -ETIMEDOUT, CODE_NONE);
	/* At once, not by the dirty list: the timer must not be set to this very moment again. */
	conn_settle(conn);
}

/* ---- receiving ---- */

static void on_down_turn(void *ctx)
{
	struct swarm_conn *conn = ctx;

	conn->session->ops->hold(conn->session, false);
}

/* These bytes are here; the next ones stay in the kernel until their turn, and the peer's TCP
 * waits. */
static void spend_down(struct swarm_conn *conn, size_t len)
{
	struct rate *down = &conn->swarm->down;

	rate_spend(down, len);
	if (rate_may(down))
		return;
	conn->session->ops->hold(conn->session, true);
	rate_wait(down, &conn->down_turn);
}

static void on_received(void *ctx, size_t bytes)
{
	struct swarm_conn *conn = ctx;

	conn->heard_ms = swarm_now(conn->swarm);
	if (rate_limited(&conn->swarm->down))
		spend_down(conn, bytes);
}

static void on_turn(void *ctx)
{
	struct swarm_conn *conn = ctx;

	if (conn->swarm->probe_count > 0 && !conn->fail)
		conn->swarm->ops_heard(conn->swarm, &conn->peer->id);
	conn_settle(conn);
}

static void on_dead(void *ctx, int err)
{
	swarm_conn_fail(ctx, err, CODE_NONE);
}

static int on_stream(void *ctx, struct session_stream *under)
{
	struct swarm_conn *conn = ctx;

	return conn->fail ? conn->fail : stream_incoming(conn, under);
}

static void on_rtt(void *ctx, uint64_t rtt_us)
{
	struct swarm_conn *conn = ctx;
	struct peer *peer = conn->peer;

	if (rtt_us == 0)
		rtt_us = 1;
	conn->latency_us = conn->latency_us ? (conn->latency_us * 7 + rtt_us) / 8 : rtt_us;
	peer->latency_us = peer->latency_us ? (peer->latency_us * 7 + rtt_us) / 8 : rtt_us;
	if (conn->swarm->inner.ponged)
		conn->swarm->inner.ponged(conn->swarm->inner.ctx, conn);
}

static const struct session_events swarm_conn_events = {
	.on_stream = on_stream,
	.on_data = stream_on_data,
	.on_end = stream_on_end,
	.on_drain = stream_on_drain,
	.on_close = stream_on_close,
	.on_rtt = on_rtt,
	.on_received = on_received,
	.on_dead = on_dead,
	.on_turn = on_turn,
};

/* What the handshake took counts, but never waited. */
static void limit(struct swarm_conn *conn)
{
	struct swarm *swarm = conn->swarm;

	rate_turn_init(&conn->up_turn, on_up_turn, conn);
	rate_turn_init(&conn->down_turn, on_down_turn, conn);
	if (rate_limited(&swarm->up))
		rate_spend(&swarm->up, conn->session->bytes_out);
	if (!rate_limited(&swarm->down))
		return;
	rate_spend(&swarm->down, conn->session->bytes_in);
	conn->session->ops->limit_read(conn->session, swarm->down.quantum);
}

struct swarm_conn *swarm_conn_new(struct swarm *swarm, struct session *session, bool ip_counted)
{
	struct swarm_conn *conn = xnew(struct swarm_conn);
	bool first;

	conn->swarm = swarm;
	conn->session = session;
	session->events = &swarm_conn_events;
	session->ctx = conn;
	conn->ip_counted = ip_counted;
	conn->since_ms = swarm_now(swarm);
	list_init(&conn->dirty_node);
	list_init(&conn->streams);
	limit(conn);
	list_add_tail(&swarm->conns, &conn->node);
	swarm->conn_count++;
	conn->peer = swarm_peer_join(swarm, conn, &first);
	if (session->outbound && !swarm->config.bare)
		peerstore_good(swarm->peerstore, &conn->peer->id, session->remote);
	swarm_update_hold(swarm);
	swarm_check_soon(swarm);
	session->ops->ping(session);
	if (swarm->inner.connected)
		swarm->inner.connected(swarm->inner.ctx, conn);
	swarm_conn_dirty(conn);
	if (first)
		swarm_tell(swarm, NEWS_CONNECTED, &conn->peer->id);
	session->ops->start(session);
	swarm->ops_connected(swarm, &conn->peer->id);
	return conn;
}

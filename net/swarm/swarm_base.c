/* What all parts of a swarm stand on: its limits, its look-ups, and how a connection is given to
 * the end of the turn. Loop thread. */
#include "net/swarm/swarm.h"

void swarm_conn_dirty(struct swarm_conn *conn)
{
	struct swarm *swarm = conn->swarm;

	if (!list_empty(&conn->dirty_node))
		return;
	list_add_tail(&swarm->dirty, &conn->dirty_node);
	if (!timer_running(&swarm->flush))
		timer_start(swarm->timers, &swarm->flush, 0, swarm->on_flush, swarm);
}

void swarm_conn_fail(struct swarm_conn *conn, int err, uint32_t code)
{
	if (conn->fail)
		return;
	conn->fail = err;
	conn->session->stopped = true;
	if (code)
		conn->session->ops->go_away(conn->session, code);
	swarm_conn_dirty(conn);
}

static void on_rested(void *ctx)
{
	swarm_update_hold(ctx);
}

bool swarm_is_out_of_sockets(const struct swarm *swarm)
{
	size_t used = swarm->conn_count + swarm->pending_count + swarm->dialling;

	return swarm->config.sockets_max && used >= swarm->config.sockets_max;
}

static void watch_slow(struct swarm *swarm)
{
	if (swarm->pending_count >= SWARM_PENDING_IN_MAX && !timer_running(&swarm->slow))
		timer_start(swarm->timers, &swarm->slow, SWARM_PENDING_LOOK_MS, swarm->on_slow,
			    swarm);
}

void swarm_update_hold(struct swarm *swarm)
{
	uint64_t wait_ms = connmgr_handshake_wait_ms(swarm->connmgr, swarm_now(swarm));
	bool full = swarm->pending_count >= SWARM_PENDING_IN_MAX || wait_ms > 0 ||
		    swarm->conn_count + swarm->pending_count >= swarm->config.connections_max ||
		    swarm_is_out_of_sockets(swarm);

	if (swarm->ended)
		return;
	watch_slow(swarm);
	if (wait_ms > 0 && !timer_running(&swarm->rested))
		timer_start(swarm->timers, &swarm->rested, wait_ms, on_rested, swarm);
	for (size_t i = 0; i < swarm->transport_count; i++)
		if (swarm->transports[i]->ops->hold)
			swarm->transports[i]->ops->hold(swarm->transports[i], full);
}

struct transport *swarm_transport_for(struct swarm *swarm, const struct multiaddr *addr)
{
	for (size_t i = 0; i < swarm->transport_count; i++)
		if (swarm->transports[i]->ops->can_dial(swarm->transports[i], addr))
			return swarm->transports[i];
	return NULL;
}

struct handler *swarm_handler(const struct swarm *swarm, struct bytes protocol)
{
	list_for_each(handler, &swarm->handlers, struct handler, node)
		if (bytes_equal(bytes_str(handler->protocol), protocol))
			return handler;
	return NULL;
}

void swarm_add_addr(struct swarm *swarm, const struct peer_id *peer, const struct multiaddr *given,
		    uint64_t ttl_ms)
{
	struct multiaddr addr = *given;
	struct peer_id named;

	if (peer_id_equal(peer, &swarm->self))
		return;
	while (multiaddr_split_peer(&addr, &named))
		if (!peer_id_equal(&named, peer))
			return;
	if (addr.len > 0)
		peerstore_add(swarm->peerstore, peer, &addr, ttl_ms);
}

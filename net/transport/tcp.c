/* TCP as one of the transports: listeners, and dials over conn.c. Holding it holds all listeners.
 * Loop thread. */
#include "net/transport/tcp.h"

#include "net/base/alloc.h"
#include "net/transport/conn.h"
#include "net/transport/listener.h"

#include <errno.h>
#include <stdlib.h>

struct tcp {
	struct transport transport;
	struct conn_pool *pool;
	struct listener *listeners[TCP_LISTENERS_MAX];
	size_t listener_count;
	bool held;
};

static struct tcp *tcp_of(const struct transport *transport)
{
	return container_of(transport, struct tcp, transport);
}

static bool tcp_can_dial(struct transport *transport, const struct multiaddr *addr)
{
	struct sockaddr_storage to;

	(void)transport;
	return multiaddr_to_sockaddr(addr, &to) == 0;
}

static void *tcp_dial(struct transport *transport, const struct multiaddr *addr,
		      uint64_t timeout_ms, transport_dialed_fn *done, void *ctx)
{
	return conn_dial(tcp_of(transport)->pool, addr, timeout_ms, done, ctx);
}

static void tcp_dial_cancel(struct transport *transport, void *dial)
{
	(void)transport;
	conn_dial_cancel(dial);
}

static int tcp_listen(struct transport *transport, const struct multiaddr *addr,
		      transport_accept_fn *accept, void *ctx)
{
	struct tcp *tcp = tcp_of(transport);
	struct listener *listener;
	int err;

	if (tcp->listener_count == TCP_LISTENERS_MAX)
		return -EAGAIN;
	err = listener_new(tcp->pool, addr, accept, ctx, &listener);
	if (err)
		return err;
	listener_hold(listener, tcp->held);
	tcp->listeners[tcp->listener_count++] = listener;
	return 0;
}

static size_t tcp_listen_addrs(const struct transport *transport, struct multiaddr *addrs,
			       size_t max)
{
	const struct tcp *tcp = tcp_of(transport);
	size_t count = 0;

	for (size_t i = 0; i < tcp->listener_count; i++) {
		size_t room = count < max ? max - count : 0;

		count += listener_addrs(tcp->listeners[i], room ? addrs + count : NULL, room);
	}
	return count;
}

static void tcp_hold(struct transport *transport, bool hold)
{
	struct tcp *tcp = tcp_of(transport);

	if (tcp->held == hold)
		return;
	tcp->held = hold;
	for (size_t i = 0; i < tcp->listener_count; i++)
		listener_hold(tcp->listeners[i], hold);
}

static void tcp_close(struct transport *transport, void (*done)(void *ctx), void *ctx)
{
	struct tcp *tcp = tcp_of(transport);

	for (size_t i = 0; i < tcp->listener_count; i++)
		listener_close(tcp->listeners[i]);
	conn_pool_close(tcp->pool, done, ctx);
	free(tcp);
}

static const struct transport_ops tcp_ops = {
	.can_dial = tcp_can_dial,
	.dial = tcp_dial,
	.dial_cancel = tcp_dial_cancel,
	.listen = tcp_listen,
	.listen_addrs = tcp_listen_addrs,
	.hold = tcp_hold,
	.close = tcp_close,
};

struct transport *tcp_new(struct loop *loop)
{
	struct tcp *tcp = xnew(struct tcp);

	tcp->transport.ops = &tcp_ops;
	tcp->pool = conn_pool_new(loop);
	return &tcp->transport;
}

/* Listening TCP sockets. libuv accepts one connection ahead; not taking it is how a full swarm,
 * or a process out of descriptors, leaves all others in the kernel's queue. Loop thread. */
#include "net/transport/listener.h"

#include "net/base/alloc.h"
#include "net/base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct listener {
	uv_tcp_t tcp;
	struct conn_pool *pool;
	struct multiaddr addr;
	struct sockaddr_storage bound;
	transport_accept_fn *accept;
	void *ctx;
	struct timer retry;
	struct timer starved; /* runs while open files are lacking: nothing is taken */
	bool held;
	bool waiting; /* libuv has a connection that we have not taken */
	bool closing;
};

/* libuv accepts one connection ahead and stops by itself until that one is taken. */
static void listener_take(void *ctx)
{
	struct listener *listener = ctx;
	int err;
	struct conn *conn;

	listener->waiting = false;
	conn = conn_accept(listener->pool, (uv_stream_t *)&listener->tcp, &err);
	if (conn)
		listener->accept(listener->ctx, (struct raw_link){ .conn = conn });
	else
		log_debug("swarm", "accept failed err=%d", err);
}

static struct timers *timers_of(const struct listener *listener)
{
	return loop_timers(conn_pool_loop(listener->pool));
}

static void take_waiting(struct listener *listener)
{
	if (listener->waiting && !listener->held && !timer_running(&listener->starved))
		timer_start(timers_of(listener), &listener->retry, 0, listener_take, listener);
}

static void on_fed(void *ctx)
{
	take_waiting(ctx);
}

/* libuv has dropped a connection that there was no descriptor for. The next one that it can accept
 * waits, and with it all others in the kernel's queue, until whoever holds the descriptors has had
 * time to let go. */
static void on_starved(struct listener *listener, int err)
{
	conn_pool_starved(listener->pool, err);
	if (!timer_running(&listener->starved))
		timer_start(timers_of(listener), &listener->starved, LISTENER_STARVED_MS, on_fed,
			    listener);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct listener *listener = server->data;

	if (status == -EMFILE || status == -ENFILE) {
		on_starved(listener, status);
		return;
	}
	if (status < 0) {
		log_debug("swarm", "accept failed err=%d", status);
		return;
	}
	listener->waiting = true;
	if (!listener->held && !timer_running(&listener->starved))
		listener_take(listener);
}

void listener_hold(struct listener *listener, bool hold)
{
	listener->held = hold;
	if (hold)
		timer_stop(timers_of(listener), &listener->retry);
	else
		take_waiting(listener);
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;
	struct conn_pool *pool = listener->pool;

	free(listener);
	conn_pool_drop(pool);
}

void listener_close(struct listener *listener)
{
	if (!listener || listener->closing)
		return;
	listener->closing = true;
	timer_stop(timers_of(listener), &listener->retry);
	timer_stop(timers_of(listener), &listener->starved);
	uv_close((uv_handle_t *)&listener->tcp, on_closed);
}

static int listener_start(struct listener *listener, const struct sockaddr_storage *to)
{
	unsigned flags = to->ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
	int len = sizeof(listener->bound);
	int err = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)to, flags);

	if (!err)
		err = uv_listen((uv_stream_t *)&listener->tcp, LISTENER_BACKLOG, on_connection);
	if (!err)
		err = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&listener->bound, &len);
	if (!err)
		err = multiaddr_from_sockaddr(&listener->addr, (struct sockaddr *)&listener->bound);
	return err;
}

int listener_new(struct conn_pool *pool, const struct multiaddr *addr, transport_accept_fn *accept,
		 void *ctx, struct listener **out)
{
	struct sockaddr_storage to;
	int err = multiaddr_to_sockaddr(addr, &to);

	if (err)
		return err;
	struct listener *listener = xnew(struct listener);

	listener->pool = pool;
	listener->accept = accept;
	listener->ctx = ctx;
	uv_tcp_init(loop_uv(conn_pool_loop(pool)), &listener->tcp);
	listener->tcp.data = listener;
	conn_pool_hold(pool);
	err = listener_start(listener, &to);
	if (err) {
		listener_close(listener);
		return err;
	}
	*out = listener;
	return 0;
}

static bool is_any(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET)
		return ((const struct sockaddr_in *)addr)->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)addr)->sin6_addr);
}

/* An interface's address with our port; false when it is of the other family or link-local. */
static bool interface_addr(const struct listener *listener, const uv_interface_address_t *interface,
			   struct multiaddr *out)
{
	struct sockaddr_storage addr = { .ss_family = interface->address.address4.sin_family };

	if (addr.ss_family != listener->bound.ss_family)
		return false;
	if (addr.ss_family == AF_INET) {
		struct sockaddr_in *to = (struct sockaddr_in *)&addr;

		*to = interface->address.address4;
		to->sin_port = ((const struct sockaddr_in *)&listener->bound)->sin_port;
	} else {
		struct sockaddr_in6 *to = (struct sockaddr_in6 *)&addr;

		*to = interface->address.address6;
		to->sin6_port = ((const struct sockaddr_in6 *)&listener->bound)->sin6_port;
		if (IN6_IS_ADDR_LINKLOCAL(&to->sin6_addr))
			return false;
	}
	return multiaddr_from_sockaddr(out, (struct sockaddr *)&addr) == 0;
}

size_t listener_addrs(const struct listener *listener, struct multiaddr *addrs, size_t max)
{
	uv_interface_address_t *interfaces;
	struct multiaddr addr;
	size_t count = 0;
	int n;

	if (!is_any(&listener->bound)) {
		if (max > 0)
			addrs[0] = listener->addr;
		return 1;
	}
	if (uv_interface_addresses(&interfaces, &n) != 0)
		return 0;
	for (int i = 0; i < n; i++) {
		if (!interface_addr(listener, &interfaces[i], &addr))
			continue;
		if (count < max)
			addrs[count] = addr;
		count++;
	}
	uv_free_interface_addresses(interfaces, n);
	return count;
}

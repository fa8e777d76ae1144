/* Listening TCP sockets. Loop thread only. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/transport/conn.h"

#define LISTENER_BACKLOG 128
#define LISTENER_STARVED_MS 1000 /* no accepting for this time after descriptors ran out */

struct listener;

/* Listens at addr (/ip4|ip6/.../tcp/PORT). accept(ctx, raw) hands over each connection. -ENOTSUP,
 * -EADDRINUSE... */
int listener_new(struct conn_pool *pool, const struct multiaddr *addr, transport_accept_fn *accept,
		 void *ctx, struct listener **out);
/* Stops accepting. The pool waits for the handle. NULL is ignored. */
void listener_close(struct listener *listener);
/* If hold is set, new connections wait in the kernel's queue. */
void listener_hold(struct listener *listener, bool hold);
/* The address that it is bound to, with the real port, and with 0.0.0.0 and :: replaced by each
 * interface's addresses (link-local ones left out). How many there are; fills at most max. */
size_t listener_addrs(const struct listener *listener, struct multiaddr *addrs, size_t max);

#endif

/* Listening TCP sockets. Loop thread only. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/transport/conn.h"

#define LISTENER_BACKLOG 128
#define LISTENER_STARVED_MS 1000 /* so long nothing is taken when open files ran out */

struct listener;

/* Listen at addr (/ip4|ip6/.../tcp/PORT); accept(ctx, conn) hands over each connection. -ENOTSUP,
 * -EADDRINUSE... */
int listener_new(struct conn_pool *pool, const struct multiaddr *addr, transport_accept_fn *accept,
		 void *ctx, struct listener **out);
/* No accept() any more; the pool waits for the handle. NULL is ignored. */
void listener_close(struct listener *listener);
/* Connections wait in the kernel's queue while held. */
void listener_hold(struct listener *listener, bool hold);
/* What it is bound to, the port resolved. */
const struct multiaddr *listener_addr(const struct listener *listener);
/* listener_addr(), with 0.0.0.0 and :: replaced by each interface's addresses (link-local ones left
 * out). How many there are; fills at most max. */
size_t listener_addrs(const struct listener *listener, struct multiaddr *addrs, size_t max);

#endif

/* The TCP transport. Loop thread only. */
#ifndef NET_TCP_H
#define NET_TCP_H

#include "net/base/loop.h"
#include "net/channel.h"

#define TCP_LISTENERS_MAX 16

/* Borrows loop. Released by tcp_close(), or by its ops->free, which waits for nobody. */
struct transport *tcp_new(struct loop *loop);
/* Stops listening and frees the transport; done(ctx) runs, later, when the last handle is closed.
 * Connections and dials have been closed or cancelled by their owners. */
void tcp_close(struct transport *transport, void (*done)(void *ctx), void *ctx);

#endif

/* Byte pipes over uv_tcp: all of libuv's close rules live in conn.c and listener.c.
 *
 * A pool is what the connections and listeners of one transport share: the loop, one read buffer
 * (reads are synchronous, so one serves all) and the count of handles that libuv still holds. Loop
 * thread only. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "net/base/loop.h"
#include "net/channel.h"

#define CONN_READ_BUFFER (256u * 1024)
#define CONN_KEEPALIVE_S 30

struct conn_pool;
struct conn_dial;
struct uv_stream_s;
struct uv_loop_s;

/* Borrows loop. */
struct conn_pool *conn_pool_new(struct loop *loop);
/* Frees the pool. The owner has closed its connections and listeners. done(ctx) runs later, when
 * libuv has let go of the last handle. */
void conn_pool_close(struct conn_pool *pool, void (*done)(void *ctx), void *ctx);
/* Counts a handle that libuv holds. The pool is not freed while there is one. */
void conn_pool_hold(struct conn_pool *pool);
void conn_pool_drop(struct conn_pool *pool);
/* Logs that descriptors ran out (-EMFILE, -ENFILE), at most once a minute. */
void conn_pool_starved(struct conn_pool *pool, int err);
struct loop *conn_pool_loop(const struct conn_pool *pool);

/* Connects. done(ctx, err, raw) runs once, later; the callee owns the connection. -ETIMEDOUT after
 * timeout_ms. */
struct conn_dial *conn_dial(struct conn_pool *pool, const struct multiaddr *addr,
			    uint64_t timeout_ms, transport_dialed_fn *done, void *ctx);
/* done will not run. NULL is ignored. */
void conn_dial_cancel(struct conn_dial *dial);
/* Takes the connection that waits on a listening handle. NULL, with *err set, if that fails. */
struct conn *conn_accept(struct conn_pool *pool, struct uv_stream_s *server, int *err);

#endif

/* The seams inside net.
 *
 *   transport: dials and listens, hands over byte pipes or sessions  (tcp.c; the simulator's own)
 *   conn:      a byte pipe                                      (conn.c over uv_tcp)
 *
 * What secures a conn is net/security/secure.h's; streams over a secured conn are net/session's.
 *
 * The callee of on_accept or of a dial's done owns the conn, and sets its events before it
 * returns. */
#ifndef NET_CHANNEL_H
#define NET_CHANNEL_H

#include "net/base/bytes.h"
#include "net/wire/key.h"
#include "net/wire/multiaddr.h"

struct conn;
struct session;
struct transport;

struct conn_events {
	/* data is borrowed and writable: decryption happens in place. */
	void (*on_data)(void *ctx, uint8_t *at, size_t len);
	/* After a write, conn_queued() has fallen to zero. */
	void (*on_drain)(void *ctx);
	/* The conn is dead; err 0: the peer closed it. This is the last event, and it does not run
	 * after close(). The owner still calls close(), now or later, which releases the memory.
	 * Writes to a dead conn are dropped. */
	void (*on_close)(void *ctx, int err);
};

struct conn_ops {
	/* Takes data's memory; or sends all of it at once, and leaves the buf empty but with its
	 * memory, which the caller reuses or releases. */
	void (*write)(struct conn *conn, struct buf *data);
	size_t (*queued)(const struct conn *conn);
	void (*pause)(struct conn *conn);
	void (*resume)(struct conn *conn);
	/* No event runs any more. The memory is freed when the transport has finished with it. */
	void (*close)(struct conn *conn);
};

/* Embedded first in what a transport hands over. */
struct conn {
	const struct conn_ops *ops;
	const struct conn_events *events;
	void *ctx;
	struct multiaddr remote;
	struct multiaddr local;
	size_t read_max; /* most bytes of one on_data; 0: the transport decides */
	/* Set by transports in virtual time (the simulator): round trips are measured by the loop's
	 * clock. */
	bool virtual_time;
};

static inline void conn_write(struct conn *conn, struct buf *data)
{
	conn->ops->write(conn, data);
}

static inline size_t conn_queued(const struct conn *conn)
{
	return conn->ops->queued(conn);
}

/* NULL is ignored. */
static inline void conn_close(struct conn *conn)
{
	if (conn)
		conn->ops->close(conn);
}

/* What a transport hands over. Exactly one member is set, and the callee owns it. A session comes
 * from a transport that proves identities and carries streams itself. */
struct raw_link {
	struct conn *conn;
	struct session *session;
};

/* err 0: raw is set. Otherwise it is zero. */
typedef void transport_dialed_fn(void *ctx, int err, struct raw_link raw);
typedef void transport_accept_fn(void *ctx, struct raw_link raw);

struct transport_ops {
	bool (*can_dial)(struct transport *transport, const struct multiaddr *addr);
	/* done runs once, later, unless dial_cancel() is called first. timeout_ms limits the
	 * connect. */
	void *(*dial)(struct transport *transport, const struct multiaddr *addr,
		      uint64_t timeout_ms, transport_dialed_fn *done, void *ctx);
	void (*dial_cancel)(struct transport *transport, void *dial);
	/* -ENOTSUP when the address is not of this transport. */
	int (*listen)(struct transport *transport, const struct multiaddr *addr,
		      transport_accept_fn *accept, void *ctx);
	size_t (*listen_addrs)(const struct transport *transport, struct multiaddr *addrs,
			       size_t max);
	/* Stops accepting (true) or goes on (false). Used when the swarm is full. */
	void (*hold)(struct transport *transport, bool hold);
	/* Stops listening and frees the transport. The caller has closed its connections and
	 * cancelled its dials. done(ctx) runs once, when the last handle is closed, which may be
	 * before this returns. */
	void (*close)(struct transport *transport, void (*done)(void *ctx), void *ctx);
};

struct transport {
	const struct transport_ops *ops;
};

#endif

/* A session: streams over one proven connection. What makes one is a maker: stacked.c puts yamux on
 * a secured byte pipe; other transports (QUIC, the simulator's links) bring sessions of their own.
 *
 * The owner (the swarm) sets events and ctx, then calls start(); no event runs before. The owner
 * frees the session; of the events, only on_turn() may do so. Loop thread only. */
#ifndef NET_SESSION_H
#define NET_SESSION_H

#include "net/base/bytes.h"
#include "net/base/loop.h"
#include "net/wire/key.h"
#include "net/wire/multiaddr.h"

struct session;
struct session_stream;

/* Limits that makers respect. */
struct session_config {
	size_t stream_window_max; /* bytes that a peer may send on a stream before we have read them
				   */
	size_t connection_window_max; /* the same over all streams, above the initial windows */
	uint64_t keepalive_ms;	      /* a ping after this silence */
};

struct session_events {
	/* The peer opened a stream; call set_ctx() on it. Non-zero refuses it. */
	int (*on_stream)(void *ctx, struct session_stream *stream);
	/* data is borrowed for the call. Does not run while the stream is paused. */
	void (*on_data)(void *stream_ctx, struct bytes data);
	void (*on_end)(void *stream_ctx);
	/* queued() has fallen low after it had been high. */
	void (*on_drain)(void *stream_ctx);
	/* The stream is gone. This is its last event; it does not run after close() or reset(). */
	void (*on_close)(void *stream_ctx, int err);
	/* A ping was answered. */
	void (*on_rtt)(void *ctx, uint64_t rtt_us);
	/* So many bytes have come from the network, and are processed next. */
	void (*on_received)(void *ctx, size_t bytes);
	/* The session cannot go on. The owner calls fail(), which ends the streams. */
	void (*on_dead)(void *ctx, int err);
	/* The end of a turn in which bytes came or went. The owner flushes, or frees the
	 * session. */
	void (*on_turn)(void *ctx);
};

struct session_ops {
	/* Begins. Bytes that came with the handshake go to the events. */
	void (*start)(struct session *session);
	/* Opens a stream. NULL: the session has no room for one now. */
	struct session_stream *(*open)(struct session *session, void *stream_ctx);
	void (*set_ctx)(struct session_stream *stream, void *stream_ctx);
	/* Takes data's memory. */
	void (*write)(struct session_stream *stream, struct buf *data);
	/* Bytes that were written to the stream and are not sent yet. */
	size_t (*queued)(const struct session_stream *stream);
	void (*pause)(struct session_stream *stream);
	/* Delivers what came meanwhile before it returns. */
	void (*resume)(struct session_stream *stream);
	void (*end)(struct session_stream *stream);
	/* close() and reset() give the stream up: no event of it runs any more. */
	void (*close)(struct session_stream *stream);
	void (*reset)(struct session_stream *stream, uint32_t code);
	unsigned (*stream_count)(const struct session *session);

	/* Sends control frames, then about data_max bytes of stream data (0: none). Returns the
	 * bytes that went to the network; 0: nothing is left to send. */
	size_t (*flush)(struct session *session, size_t data_max);
	/* Whether flush() has something to send. If data is set, only stream data counts. */
	bool (*wants)(const struct session *session, bool data);
	/* Bytes that wait in the transport. The owner stops flushing when they are many. */
	size_t (*backlog)(const struct session *session);
	/* Stops reading from the network (true) or goes on (false). */
	void (*hold)(struct session *session, bool hold);
	/* Sets the most bytes to read at a time; 0: no limit. */
	void (*limit_read)(struct session *session, size_t bytes);

	/* When tick() wants to run next, by the loop's clock; TIMER_NEVER. */
	uint64_t (*deadline)(const struct session *session);
	/* Keep-alive. -ETIMEDOUT: the peer is dead. */
	int (*tick)(struct session *session, uint64_t now_ms);
	/* Measures a round trip, unless one is being measured; on_rtt has the result. */
	void (*ping)(struct session *session);
	bool (*ping_sent)(const struct session *session);
	/* The clock of its round trips, in microseconds. */
	uint64_t (*now_us)(const struct session *session);
	/* Queues a message that tells the peer why the session ends. */
	void (*go_away)(struct session *session, uint32_t code);
	/* All streams end: on_close(err) runs for each. */
	void (*fail)(struct session *session, int err);
	void (*free)(struct session *session);
};

/* Embedded first in what a maker returns. The maker sets all but events, ctx and stopped. */
struct session {
	const struct session_ops *ops;
	const struct session_events *events;
	void *ctx;
	struct peer_id peer;			/* proven */
	const struct multiaddr *local, *remote; /* the maker's, for the life of the session */
	bool outbound;
	bool stopped;	      /* set by the owner: received bytes are dropped */
	const char *security; /* names as in multistream, for display */
	const char *muxer;
	uint64_t bytes_in, bytes_out;
};

/* NULL is ignored. */
static inline void session_free(struct session *session)
{
	if (session)
		session->ops->free(session);
}

#endif

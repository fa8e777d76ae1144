/* A session: streams over one proven connection. What makes one is a maker: stacked.c puts yamux on a
 * secured byte pipe; other transports (QUIC, the simulator's links) bring sessions of their own.
 *
 * The owner (the swarm) sets events and ctx, then calls start(). Events never run before start(). A session
 * is never freed by its maker: the owner frees it, also from inside on_turn(), but from inside no other
 * event. Loop thread only. */
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
	size_t stream_window_max;     /* bytes that a peer may send on a stream before we have read them */
	size_t connection_window_max; /* the same over all streams, above the initial windows */
	uint64_t keepalive_ms;	      /* a ping after this silence */
};

struct session_events {
	/* The peer opened a stream; call set_ctx() on it. Non-zero refuses it. */
	int (*on_stream)(void *ctx, struct session_stream *stream);
	/* data is borrowed for the call. Does not run while the stream is paused. */
	void (*on_data)(void *stream_ctx, struct bytes data);
	void (*on_end)(void *stream_ctx);
	/* queued() fell low after having been high. */
	void (*on_drain)(void *stream_ctx);
	/* The stream is gone: last event of it; does not run after close() or reset(). */
	void (*on_close)(void *stream_ctx, int err);
	/* A ping was answered after this time. */
	void (*on_rtt)(void *ctx, uint64_t rtt_us);
	/* bytes have come from the network; they are looked at next. */
	void (*on_received)(void *ctx, size_t bytes);
	/* The session cannot go on. Streams are told by fail(). */
	void (*on_dead)(void *ctx, int err);
	/* The end of a turn in which something came or went: flush what is there, or free the session. */
	void (*on_turn)(void *ctx);
};

struct session_ops {
	/* Begins; what came with the handshake is given to the events. */
	void (*start)(struct session *session);
	/* A new stream; NULL: the session has no room for it now. */
	struct session_stream *(*open)(struct session *session, void *stream_ctx);
	void (*set_ctx)(struct session_stream *stream, void *stream_ctx);
	/* Takes data's memory. */
	void (*write)(struct session_stream *stream, struct buf *data);
	/* Bytes written to the stream that have not left it. */
	size_t (*queued)(const struct session_stream *stream);
	void (*pause)(struct session_stream *stream);
	/* What was kept meanwhile is delivered before this returns. */
	void (*resume)(struct session_stream *stream);
	void (*end)(struct session_stream *stream);
	/* Both let go of the stream: no event of it runs any more. */
	void (*close)(struct session_stream *stream);
	void (*reset)(struct session_stream *stream, uint32_t code);
	unsigned (*stream_count)(const struct session *session);

	/* Sends one batch of about data_max bytes of streams' data, control frames first; 0: those alone.
	 * Returns the bytes that went to the network; 0: nothing is left to send. */
	size_t (*flush)(struct session *session, size_t data_max);
	/* flush() has something to send; data: of streams. */
	bool (*wants)(const struct session *session, bool data);
	/* Bytes that wait for the network below; above a mark of its own the owner flushes no more. */
	size_t (*backlog)(const struct session *session);
	/* Stop reading from the network (true), or go on. */
	void (*hold)(struct session *session, bool hold);
	/* From now on read at most so many bytes at a time; 0: as many as come. */
	void (*limit_read)(struct session *session, size_t bytes);

	/* When tick() wants to run next, by the loop's clock; TIMER_NEVER. */
	uint64_t (*deadline)(const struct session *session);
	/* Keep-alive. -ETIMEDOUT: the peer is dead. */
	int (*tick)(struct session *session, uint64_t now_ms);
	/* Measures a round trip, unless one is being measured; see on_rtt. */
	void (*ping)(struct session *session);
	bool (*ping_sent)(const struct session *session);
	/* The clock of its round trips, in microseconds. */
	uint64_t (*now_us)(const struct session *session);
	/* Tells the peer at the next flush() why the session ends. */
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
	struct peer_id peer; /* proven */
	struct multiaddr local, remote;
	bool outbound;
	bool stopped;	      /* set by the owner: nothing that comes is taken in any more */
	const char *security; /* names, for people: "/noise", "/yamux/1.0.0" */
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

/* yamux (wire/transport section 5), one session. Sans-io: bytes in, frames out through
 * yamux_send(), events by callback; now_ms is an argument. The loop's thread. Window auto-tuning
 * from 256 KiB to the configured maximum, control frames before data, data of streams interleaved
 * fairly.
 *
 * Events may call every function of this header except yamux_free() and yamux_recv(). */
#ifndef NET_YAMUX_H
#define NET_YAMUX_H

#include "net/base/bytes.h"

#define YAMUX_PROTOCOL "/yamux/1.0.0"
#define YAMUX_WINDOW_INITIAL (256u * 1024)
#define YAMUX_STREAMS_MAX 512 /* each direction */
#define YAMUX_UNACKED_MAX 256
#define YAMUX_DATA_MAX (65536 - 12)  /* payload of the frames we send */
#define YAMUX_LOW_MARK (256u * 1024) /* on_drain when a queue falls below */

struct yamux;
struct yamux_stream;

struct yamux_config {
	size_t stream_window_max;     /* [16 MiB] */
	size_t connection_window_max; /* [32 MiB] sum of granted windows above the initial ones */
	uint64_t keepalive_ms;	      /* ping after this silence [30 000] */
	uint64_t ping_timeout_ms;     /* [10 000] */
};

struct yamux_events {
	/* The peer opened a stream; set its ctx with yamux_stream_set_ctx(). Non-zero refuses it
	 * (RST). */
	int (*on_stream)(void *session_ctx, struct yamux_stream *stream);
	/* data borrowed for the call; not called while the stream is paused. */
	void (*on_data)(void *stream_ctx, struct yamux_stream *stream, struct bytes data);
	void (*on_end)(void *stream_ctx, struct yamux_stream *stream);
	/* The stream's queue fell below YAMUX_LOW_MARK after having been above. */
	void (*on_drain)(void *stream_ctx, struct yamux_stream *stream);
	/* The stream is gone; last call, not after yamux_stream_close/reset. */
	void (*on_close)(void *stream_ctx, struct yamux_stream *stream, int err);
	/* A ping of ours was answered. */
	void (*on_rtt)(void *session_ctx, uint64_t rtt_us);
};

/* client: the dialler (odd ids). events is borrowed. */
struct yamux *yamux_new(bool client, const struct yamux_config *config,
			const struct yamux_events *events, void *session_ctx, uint64_t now_ms);
/* All streams end: on_close(err) runs for each. */
void yamux_fail(struct yamux *yamux, int err);
void yamux_free(struct yamux *yamux);

/* Feed plain bytes from the peer. 0, or -EBADMSG / -EPROTO: a go-away is queued, send it and close;
 * -ECONNRESET: the peer went away. */
int yamux_recv(struct yamux *yamux, struct bytes in, uint64_t now_us);
/* Up to about max bytes of frames to send now, as parts for secured_seal(): parts[] points into the
 * session until the next call of any function of it. Returns the number of parts filled (<=
 * parts_max); 0: nothing to send. max 0: control frames alone. */
size_t yamux_send(struct yamux *yamux, struct bytes *parts, size_t parts_max, size_t max);
/* Whether something is queued that may be sent now. */
bool yamux_wants_send(const struct yamux *yamux);
/* Whether stream data (or an end of a stream) is among it. */
bool yamux_data_ready(const struct yamux *yamux);
/* When yamux_tick() wants to run next (ms, loop clock), and run it: keep-alive. -ETIMEDOUT: peer is
 * dead. */
uint64_t yamux_deadline(const struct yamux *yamux);
int yamux_tick(struct yamux *yamux, uint64_t now_ms);
void yamux_go_away(struct yamux *yamux, uint32_t code);
void yamux_ping(struct yamux *yamux, uint64_t now_us);
/* A ping has been sent and not answered: yamux_ping() sends no other until it is. */
bool yamux_ping_sent(const struct yamux *yamux);
unsigned yamux_stream_count(const struct yamux *yamux);

/* NULL when the session has no room (YAMUX_STREAMS_MAX, YAMUX_UNACKED_MAX, ids used up, going
 * away). */
struct yamux_stream *yamux_open(struct yamux *yamux, void *stream_ctx);
void yamux_stream_set_ctx(struct yamux_stream *stream, void *stream_ctx);
void *yamux_stream_ctx(const struct yamux_stream *stream);
/* The session_ctx of its session. */
void *yamux_stream_session_ctx(const struct yamux_stream *stream);
/* Takes data's memory. */
void yamux_stream_write(struct yamux_stream *stream, struct buf *data);
size_t yamux_stream_queued(const struct yamux_stream *stream);
void yamux_stream_pause(struct yamux_stream *stream);
void yamux_stream_resume(
	struct yamux_stream *stream); /* delivers what was kept, before returning */
void yamux_stream_end(struct yamux_stream *stream);
void yamux_stream_close(struct yamux_stream *stream);
void yamux_stream_reset(struct yamux_stream *stream, uint32_t code);

#endif

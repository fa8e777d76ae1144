/* The parts of yamux among themselves. Not a door.
 *
 *   yamux.c         sessions and streams: their life, the door's calls
 *   yamux_header.c  the 12 bytes
 *   yamux_recv.c    bytes in: frames, their checks, delivery
 *   yamux_send.c    frames out: control first, then data in turns
 *   yamux_window.c  how much the peer may send us
 *
 * Life of a stream: in map and in yamux->streams until yamux_drop() takes it out; its memory stays
 * until the outermost call of the session returns, because events run in the middle of calls. */
#ifndef NET_YAMUX_PRIVATE_H
#define NET_YAMUX_PRIVATE_H

#include "net/base/list.h"
#include "net/base/map.h"
#include "net/session/yamux.h"

#define YAMUX_HEADER_LEN 12
#define YAMUX_FRAMES_MAX 64	/* headers built by one yamux_send(): memory of each session */
#define YAMUX_RESETS_MAX 2048	/* resets waiting to be sent: more, and the session ends */
#define YAMUX_PONGS_MAX 32	/* ping answers waiting to be sent: more are dropped */
#define YAMUX_PONGS_LOST_MAX 10 /* dropped in a row: the session ends */
#define YAMUX_CHURN_MAX 1000	/* streams reset as soon as opened, per YAMUX_CHURN_US */
#define YAMUX_CHURN_US 10000000
#define YAMUX_EMPTY_MAX 1000 /* frames that say nothing, per YAMUX_EMPTY_US */
#define YAMUX_EMPTY_US 1000000
#define YAMUX_LINGER_MS 60000 /* a closed stream's last data must be gone by then */

enum yamux_type { YAMUX_DATA = 0, YAMUX_WINDOW = 1, YAMUX_PING = 2, YAMUX_GO_AWAY = 3 };
enum yamux_flag { YAMUX_SYN = 1, YAMUX_ACK = 2, YAMUX_FIN = 4, YAMUX_RST = 8 };
enum yamux_code { YAMUX_NORMAL = 0, YAMUX_PROTOCOL_ERROR = 1, YAMUX_RESOURCE_LIMIT = 0x1002 };

struct yamux_header {
	uint8_t type;
	uint16_t flags;
	uint32_t id;
	uint32_t length;
};

/* Owned bytes, used up from the front. */
struct yamux_chunk {
	struct yamux_chunk *next;
	struct buf data;
	size_t at;
};

struct yamux_queue {
	struct yamux_chunk *head, *tail;
	size_t len; /* bytes not used up */
};

/* Events counted in a window of time. */
struct yamux_rate {
	uint64_t since_us;
	unsigned count;
};

struct yamux_stream {
	struct yamux *yamux;
	void *ctx;
	uint32_t id;
	bool ours;
	bool acked;    /* ours: the peer has accepted it */
	bool dead;     /* out of the session, memory still there */
	bool detached; /* closed by us: no more events, lives until its data is sent */
	bool paused;
	bool delivering; /* on_data runs for what was kept */
	bool end_wanted; /* our FIN follows the queue */
	bool end_sent;
	bool peer_ended; /* FIN received */
	bool end_told;	 /* and on_end has run */
	bool above;	 /* the queue was above the low mark */
	bool drain_due, close_due;

	struct list node;    /* yamux->streams, or yamux->dead */
	struct list control; /* yamux->control: flags or delta to send */
	struct list ready;   /* yamux->ready: data or FIN to send */
	struct list due;     /* yamux->due: events to run */
	struct list linger;  /* yamux->lingering */
	uint64_t linger_ms;

	uint16_t flags; /* SYN or ACK to send */
	uint32_t delta; /* credit to send */

	struct yamux_queue out;
	uint32_t send_window;

	struct yamux_queue kept; /* received while paused */
	size_t window_max;	 /* what we let be under way; grows */
	size_t window;		 /* what the peer may still send */
	size_t unread;		 /* announced by data headers, not delivered yet */
	uint64_t granted_us;	 /* time of the last grant */
};

struct yamux {
	bool client;
	bool going_away; /* we said so: new streams of the peer are refused */
	bool failed;	 /* yamux_fail() ran */
	bool running_due;
	bool go_away_due;
	int err;	/* sticky */
	unsigned depth; /* calls in progress; dead streams are freed at zero */
	struct yamux_config config;
	const struct yamux_events *events;
	void *ctx;
	uint64_t now_us;

	struct map map; /* id, as it stands in memory -> stream */
	struct list streams, dead, control, ready, due, lingering;
	unsigned ours, theirs, unacked;
	uint32_t next_id;
	uint32_t go_away_code;

	/* receiving */
	uint8_t head[YAMUX_HEADER_LEN];
	size_t head_len;
	uint32_t body_left;
	bool body_ends;		   /* FIN follows */
	struct yamux_stream *body; /* NULL: discard */
	struct yamux_rate churn, empty;
	bool churned; /* too often, while nothing was received */

	/* windows */
	size_t granted; /* sum of window_max above the initial windows */
	uint64_t rtt_us;

	/* pings */
	bool ping_due, ping_open; /* to be sent; sent or to be sent, and not answered */
	uint32_t ping_value;
	uint64_t ping_us;
	uint64_t heard_ms, pinged_ms;
	uint32_t pongs[YAMUX_PONGS_MAX];
	unsigned pong_count, pongs_lost;

	/* sending */
	struct yamux_reset {
		uint32_t id, code;
	} * resets;
	size_t reset_count, reset_cap;
	struct yamux_chunk *sent; /* memory of the last parts */
	uint8_t heads[YAMUX_FRAMES_MAX][YAMUX_HEADER_LEN];
};

/* yamux_header.c: bytes used, 0 need more, -EBADMSG bad version or type. */
ssize_t yamux_header_decode(struct yamux_header *header, struct bytes in);
void yamux_header_encode(uint8_t out[static YAMUX_HEADER_LEN], const struct yamux_header *header);

/* yamux.c */
void yamux_enter(struct yamux *yamux);
void yamux_leave(struct yamux *yamux);
struct yamux_stream *yamux_find(const struct yamux *yamux, uint32_t id);
/* Makes a stream and adds it to the session's lists. */
struct yamux_stream *yamux_add(struct yamux *yamux, uint32_t id, bool ours);
/* Takes a stream off the session's lists; no event runs. */
void yamux_drop(struct yamux_stream *stream);
/* Dropped, and on_close(err) unless detached. Between enter and leave. */
void yamux_finish(struct yamux_stream *stream, int err);
/* Finished with 0 if both directions have ended and the application knows. */
void yamux_finish_if_done(struct yamux_stream *stream);
void yamux_queue_push(struct yamux_queue *queue, struct yamux_chunk *chunk);
struct yamux_chunk *yamux_queue_pop(struct yamux_queue *queue);
void yamux_queue_release(struct yamux_queue *queue);

/* yamux_recv.c */
/* Counts a reset of a stream that the peer opened. True: there were too many. */
bool yamux_churn(struct yamux *yamux);
/* Delivers what was kept, and the end, unless the stream is paused. Between enter and leave. */
void yamux_deliver_kept(struct yamux_stream *stream);

/* yamux_send.c */
void yamux_queue_reset(struct yamux *yamux, uint32_t id, uint32_t code);
void yamux_queue_control(struct yamux_stream *stream);
/* To be called when a queue, a window or end_wanted has changed. */
void yamux_check_ready(struct yamux_stream *stream);
/* Events that could not run inside yamux_send(). */
void yamux_run_due(struct yamux *yamux);
void yamux_free_sent(struct yamux *yamux);

/* yamux_window.c */
/* Credit for what has been delivered, when it is worth a frame. */
void yamux_window_grant(struct yamux_stream *stream);
/* Gives the stream's share of the session's budget back. */
void yamux_window_release(struct yamux_stream *stream);

#endif

/* The inside of the swarm, for swarm*.c, stream.c, dial.c, identify.c, ping.c and AutoNAT only.
 *
 *   swarm_base.c  limits, look-ups, and how a connection is given to the end of the turn
 *   swarm.c       life, listening, inbound upgrades, watches, names
 *   swarm_addrs.c our own addresses
 *   swarm_conn.c  one established connection: its session, flushed once a loop turn
 *   swarm_peer.c  the peers we are connected to; what the door tells of them
 *   swarm_op.c    connect and open-stream operations
 *   stream.c      one stream: multistream, then its owner's events
 *   dial.c        from a peer id to a connection
 *
 * A connection is never torn down from inside a call of its own: swarm_conn_fail() marks it, the
 * flush that ends the turn (swarm_flush) does it. Loop thread only. */
#ifndef NET_SWARM_H
#define NET_SWARM_H

#include "net/base/map.h"
#include "net/base/rate.h"
#include "net/channel.h"
#include "net/names/resolve.h"
#include "net/net.h"
#include "net/session/multistream.h"
#include "net/session/upgrade.h"
#include "net/swarm/announce.h"
#include "net/swarm/connmgr.h"
#include "net/swarm/peerstore.h"

#define SWARM_HANDLERS_MAX 64
#define SWARM_PENDING_IN_MAX 64	 /* inbound connections that are not upgraded yet */
#define SWARM_PENDING_LOOK_MS 50 /* at that number slow ones are closed; checked this often */
#define SWARM_PENDING_SLOW_MS 2000
#define SWARM_PENDING_SILENT_MS                                                                    \
	200			   /* the dialler speaks first, so silence this long is suspect    \
				    */
#define SWARM_LISTEN_ADDRS_MAX 64  /* told, or asked about */
#define SWARM_FOUND_ADDRS_MAX 1024 /* of all listeners together */
#define SWARM_EXTERNAL_MAX 8	   /* our public addresses at a NAT before us */
#define SWARM_OPS_MAX 8192	   /* operations in flight */
#define SWARM_PROTOCOLS_PER_OP_MAX 8
#define SWARM_PEER_STREAMS_IN_MAX 512 /* over all connections of a peer */
#define SWARM_AGENT_MAX 256	      /* bytes of a peer's agentVersion kept */
#define SWARM_NEGOTIATE_MS 10000      /* multistream on a new stream */
#define SWARM_FLUSH_MAX (256u * 1024) /* plain bytes gathered for one write */
#define SWARM_WRITE_TIMEOUT_MS 10000  /* a peer that reads nothing for this long is dead */
#define SWARM_CHECK_MS 10000	      /* connections are counted and trimmed this often */
#define SWARM_CHECK_MIN_MS 100
#define SWARM_ASKED_EXTRA 16 /* connections above the limit, for swarm_connect_asked() */

/* Codes of wire/transport section 5. */
enum {
	CODE_NONE = 0,
	CODE_NEGOTIATION = 0x1000,
	CODE_STREAM_NEGOTIATION = 0x1001,
	CODE_STREAM_LIMIT = 0x1002,
	CODE_PROTOCOL_VIOLATION = 0x1004,
	CODE_CONN_SUPPLANTED = 0x1004,
	CODE_CONN_COLLECTED = 0x1005,
	CODE_CONN_SHUTDOWN = 0x1006
};

struct dials;
struct swarm_conn;

/* The peer at remote, which we dialled, sees us at address seen. */
typedef void swarm_observe_fn(void *ctx, const struct multiaddr *remote,
			      const struct multiaddr *seen);

/* Events for identify, which runs on every connection. Members may be NULL. */
struct swarm_inner {
	/* A connection is up. */
	void (*connected)(void *ctx, struct swarm_conn *conn);
	/* The peer has answered a ping of the connection's. */
	void (*ponged)(void *ctx, struct swarm_conn *conn);
	/* Our addresses or protocols have changed. */
	void (*changed)(void *ctx);
	/* Every connection has ended: the swarm closes. Last call. */
	void (*release)(void *ctx);
	void *ctx;
};

/* A protocol we serve. */
struct handler {
	struct list node;
	char *protocol;
	unsigned streams_per_peer_max;
	swarm_handler_fn *fn;
	void *ctx;
};

struct swarm {
	struct loop *loop;
	struct timers *timers;
	struct random *random;
	const struct identity *identity;
	struct swarm_config config; /* defaults filled in, agent our own copy */
	struct peer_id self;
	struct transport *transports[SWARM_TRANSPORTS_MAX]; /* ours */
	size_t transport_count;
	struct upgrade_config upgrade; /* its securities are ours */
	struct resolver *resolver;
	struct peerstore *peerstore;
	struct connmgr *connmgr;
	struct dials *dials;
	size_t dialling;	  /* sockets being connected, or not upgraded yet */
	struct swarm_inner inner; /* zero: a bare one, or closing */
	struct map peers;	  /* id -> struct peer: those we are connected to */
	struct list conns;	  /* struct swarm_conn.node, oldest first */
	size_t conn_count;
	struct list pending; /* struct inbound */
	size_t pending_count;
	struct timer slow;    /* running while there are too many */
	struct timer rested;  /* running while handshakes come too fast */
	struct list handlers; /* struct handler */
	size_t handler_count;
	struct list watches;
	struct list news; /* to tell them */
	bool telling;
	struct list ops; /* struct swarm_op.node */
	size_t op_count;
	size_t probe_count; /* operations with probing set */
	/* Events for operations; ops_heard and ops_lost while probe_count is set. */
	void (*ops_connected)(struct swarm *swarm, const struct peer_id *peer);
	void (*ops_heard)(struct swarm *swarm, const struct peer_id *peer);
	void (*ops_lost)(struct swarm *swarm, const struct peer_id *peer);
	struct list dirty; /* connections with something to flush or to end */
	struct timer flush, check;
	timer_fn *on_flush, *on_slow; /* swarm_flush(); the timer slow */
	struct rate up, down;
	swarm_find_fn *find;
	void *find_ctx;
	swarm_observe_fn *observe;
	void *observe_ctx;
	enum swarm_reach reach;
	struct announce announce;   /* what the user says of our addresses */
	struct multiaddr *external; /* to announce beside the bound ones */
	size_t external_count;
	bool closing;
	bool ended;	  /* all parts have ended; handles may still be open */
	unsigned closers; /* parts whose handles are still open */
	void (*closed)(void *ctx);
	void *closed_ctx;
	struct timer close_timer;
};

/* A token bucket: turns that a peer has taken, and when one was last given back. */
struct identify_turns {
	unsigned taken;
	uint64_t at_ms;
};

struct peer {
	struct peer_id id;
	struct swarm *swarm;
	struct list conns; /* struct swarm_conn.peer_node, oldest first */
	char *agent, *version;
	char **protocols; /* what identify told */
	size_t protocol_count;
	struct public_key *key; /* from identify; NULL: not told */
	bool identified;
	bool push_due;				 /* it was not told of our last change yet */
	struct identify_turns pushes, questions; /* its own */
	uint64_t latency_us;			 /* smoothed, 0 unknown */
};

struct swarm_conn {
	struct swarm *swarm;
	struct peer *peer;
	struct list node, peer_node, dirty_node;
	struct list streams; /* struct stream.node */
	struct session *session;
	struct timer timer;
	struct rate_turn up_turn, down_turn; /* waiting to write, to be read */
	uint64_t since_ms;
	uint64_t latency_us;
	uint64_t heard_ms;   /* when bytes came last */
	size_t stalled;	     /* bytes queued when progress was last seen */
	uint64_t stalled_at; /* when that was; 0: nothing was queued */
	int fail;	     /* set: ends at the next flush, streams get this error */
	bool ip_counted;     /* connmgr_ip_leave() is due */
};

struct stream {
	struct swarm_conn *conn;
	struct session_stream *under; /* the session's stream; NULL: it is gone */
	struct list node;
	struct multistream *ms; /* until settled */
	const char *lazy[1];	/* the proposal of a lazy stream */
	char *protocol;
	bool inbound;
	bool detached; /* the owner has given it up */
	bool paused;
	bool ended;	 /* the peer's end is to be told after what is kept */
	bool gone;	 /* the stream's end is, too */
	unsigned busy;	 /* calls in progress; it is freed when there are none */
	struct buf kept; /* received with the negotiation, or while paused */
	struct timer timer;
	const struct stream_events *events;
	void *ctx;
	void (*ready)(void *ctx, int err, struct stream *stream); /* outbound, until negotiated */
	void *ready_ctx;
};

enum op_kind { OP_CONNECT, OP_OPEN, OP_PING };

struct swarm_op {
	enum op_kind kind;
	struct swarm *swarm;
	struct list node;
	struct peer_id peer;
	struct timer deadline, soon;
	struct list dial_node; /* in its dial's ops; a ring of its own otherwise */
	struct dial *dial;
	struct stream *stream; /* negotiating, or pinging */
	bool retried;
	struct multiaddr *addrs; /* given ones */
	size_t addr_count;
	bool heard;   /* addrs came from other peers */
	bool by_user; /* back-off does not hold, and tried is filled in */
	bool probing; /* a connection exists and has shown no life since probed_ms */
	uint64_t probed_ms;
	struct swarm_tried *tried;
	size_t tried_count;
	char *protocols[SWARM_PROTOCOLS_PER_OP_MAX];
	size_t protocol_count;
	uint8_t ping[32];
	size_t ping_got;
	uint64_t ping_us;
	swarm_done_fn *done;
	swarm_asked_fn *asked;
	swarm_opened_fn *opened;
	void (*run)(struct swarm_op *op); /* OP_PING: what is done with the open stream */
	swarm_ping_fn *pinged;
	void *ctx;
};

static inline uint64_t swarm_now(const struct swarm *swarm)
{
	return timers_now(swarm->timers);
}

/* ---- swarm_base.c ---- */
struct handler *swarm_handler(const struct swarm *swarm, struct bytes protocol);
/* The transport that can dial addr, or NULL. */
struct transport *swarm_transport_for(struct swarm *swarm, const struct multiaddr *addr);
/* Whether sockets_max is reached. */
bool swarm_is_out_of_sockets(const struct swarm *swarm);
/* Stops or resumes accepting, by the limits. */
void swarm_update_hold(struct swarm *swarm);
/* Has the next flush look at the connection, because there may be something to send. */
void swarm_conn_dirty(struct swarm_conn *conn);
/* Ends the connection at the next flush; its streams get err. If code is not 0, a go-away is sent
 * first. */
void swarm_conn_fail(struct swarm_conn *conn, int err, uint32_t code);

/* ---- swarm.c ---- */
/* swarm_new() without identify and ping: net.c puts these on it. */
struct swarm *swarm_make(struct loop *loop, struct random *random, const struct identity *identity,
			 struct db *db, const struct swarm_config *config);
/* Sets the result of AutoNAT: at most SWARM_EXTERNAL_MAX addresses, copied. Peers and watches are
 * told if it changed. */
void swarm_set_reach(struct swarm *swarm, enum swarm_reach reach, const struct multiaddr *external,
		     size_t count);

/* ---- swarm_addrs.c ---- */
/* swarm_listen_addrs() without the external ones. */
size_t swarm_bound_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max);

/* ---- swarm_conn.c ---- */
/* Takes session, which has not been started. */
struct swarm_conn *swarm_conn_new(struct swarm *swarm, struct session *session, bool ip_counted);
/* Ends connections that have failed, and sends what is queued. */
void swarm_flush(void *swarm);

/* ---- swarm_peer.c ---- */
struct peer *swarm_peer_get(const struct swarm *swarm, const struct peer_id *id);
struct peer *swarm_peer_join(struct swarm *swarm, struct swarm_conn *conn, bool *first);
/* The connection has gone; true when it was the last and peer is freed. */
bool swarm_peer_leave(struct swarm_conn *conn);
/* The connection for new streams: one that has not failed, and the same on both sides. NULL:
 * none. */
struct swarm_conn *swarm_peer_conn(const struct peer *peer);
bool swarm_peer_speaks(const struct peer *peer, const char *protocol);
/* Takes the texts and the array. */
void swarm_peer_identified(struct peer *peer, char *agent, char *version, char **protocols,
			   size_t count);
enum swarm_news { NEWS_CONNECTED, NEWS_IDENTIFIED, NEWS_DISCONNECTED, NEWS_REACH };
void swarm_tell(struct swarm *swarm, enum swarm_news news, const struct peer_id *peer);
/* Trims connections by the rules of the connection manager. Runs every SWARM_CHECK_MS. */
void swarm_check(void *swarm);
void swarm_check_soon(struct swarm *swarm);

/* ---- swarm_op.c ---- */
struct swarm_op *swarm_op_new(struct swarm *swarm, enum op_kind kind, const struct peer_id *peer,
			      uint64_t deadline_ms, void *ctx);
/* One more protocol that OP_OPEN and OP_PING propose, in order; copied. At most
 * SWARM_PROTOCOLS_PER_OP_MAX. */
void swarm_op_propose(struct swarm_op *op, const char *protocol);
/* The single way out of every operation. stream is given to OP_OPEN's owner. */
void swarm_op_end(struct swarm_op *op, int err);
/* A ping's way out with an answer. */
void swarm_op_pinged(struct swarm_op *op, uint64_t rtt_us);
/* The dial of op has ended, or the peer has connected by itself. */
void swarm_op_dialed(struct swarm_op *op, int err);
/* The peer is connected: operations that wait for a dial go on. */
void swarm_ops_connected(struct swarm *swarm, const struct peer_id *peer);
/* Bytes came from peer: operations that probe a connection succeed. */
void swarm_ops_heard(struct swarm *swarm, const struct peer_id *peer);
/* The last connection of peer is gone: operations that probe one begin to dial. */
void swarm_ops_lost(struct swarm *swarm, const struct peer_id *peer);

/* ---- stream.c ---- */
/* Open a stream and settle on a protocol; ready(ctx, err, stream) runs once, later, unless lazy:
 * then the stream is returned usable and ready does not run. protocols are borrowed until then.
 * NULL: no room. */
struct stream *stream_open(struct swarm_conn *conn, char *const *protocols, size_t count, bool lazy,
			   void (*ready)(void *ctx, int err, struct stream *stream), void *ctx);
/* Keeps the memory until stream_drop(), for callers that use it after a callback. */
void stream_hold(struct stream *stream);
void stream_drop(struct stream *stream);
/* A peer opened one. Non-zero refuses it. */
int stream_incoming(struct swarm_conn *conn, struct session_stream *under);
/* The connection ends: streams that the session no longer has, but whose owners do, end with
 * err. */
void stream_abandon_all(struct swarm_conn *conn, int err);
/* The session's events of streams. */
void stream_on_data(void *stream, struct bytes data);
void stream_on_end(void *stream);
void stream_on_drain(void *stream);
void stream_on_close(void *stream, int err);

#endif

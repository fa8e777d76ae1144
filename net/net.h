/* The swarm: authenticated, multiplexed connections to peers, and streams on them by protocol name.
 *
 * Loop thread only, except where a function says otherwise. Callbacks never run before the call that
 * started them returns. Every wait has a deadline. Peers are always authenticated: a stream's peer id
 * has been proven by the Noise handshake. Limits: wire/security (per peer, per address, in total). */
#ifndef NET_NET_H
#define NET_NET_H

#include "net/base/list.h"
#include "net/base/loop.h"
#include "net/base/random.h"
#include "net/security/secure.h"
#include "net/transport/tcp.h"
#include "net/wire/key.h"
#include "net/wire/multiaddr.h"

struct db;
struct swarm;
struct stream;

#define SWARM_TRANSPORTS_MAX 12
#define SWARM_PROTOCOL_MAX 128	    /* bytes of a protocol name */
#define SWARM_PEER_ADDRS_MAX 64	    /* addresses kept per peer */
#define SWARM_PEER_PROTOCOLS_MAX 100 /* protocols kept per peer */

/* ---- the swarm itself ---- */

/* Zero fields take the default in brackets. */
#define SWARM_PROTOCOL_VERSION "ipfs/0.1.0" /* what we tell as protocolVersion */

struct swarm_config {
	const char *agent;	      /* agentVersion we announce ["dagfs"] */
	unsigned connections_max;     /* hard limit [1024] */
	unsigned sockets_max;	      /* connections, those being opened and dials together [no limit] */
	unsigned low_water;	      /* trim down to [32] */
	unsigned high_water;	      /* trim above [96] */
	uint64_t grace_ms;	      /* young connections are not trimmed [20 000] */
	uint64_t connect_timeout_ms;  /* TCP connect [5 000] */
	uint64_t dial_timeout_ms;     /* whole dial with handshakes [15 000] */
	uint64_t keepalive_ms;	      /* yamux ping after this silence [30 000] */
	size_t stream_window_max;     /* yamux receive window of a stream [16 MiB] */
	size_t connection_window_max; /* sum over a connection [32 MiB] */
	size_t send_buffer_max;	      /* bytes queued per connection before streams stop [4 MiB] */
	uint64_t up_per_second;	      /* bytes written to all peers together [no limit] */
	uint64_t down_per_second;     /* bytes read from all of them [no limit] */
	/* What the user says of our addresses, borrowed during swarm_new(): told in place of what is found; told too;
	 * never told, whole addresses or /ip4|ip6/ADDRESS/ipcidr/BITS. At most 256 each. [nothing] */
	const struct multiaddr *announce, *append_announce, *no_announce;
	size_t announce_count, append_announce_count, no_announce_count;
	bool announce_loopback;	      /* loopback addresses go into identify and routing */
	bool bare;		      /* no identify, no ping: who dials for others tells nothing */
	/* How peers are reached; the swarm takes them and closes them [TCP]. */
	struct transport *const *transports;
	size_t transport_count; /* at most SWARM_TRANSPORTS_MAX */
	/* How connections are secured, in order of preference; taken as well [Noise]. */
	struct security *const *securities;
	size_t security_count; /* at most SECURITIES_MAX */
};

/* Borrows loop, random, identity and db (peerstore; NULL: nothing survives a restart) for its life. */
struct swarm *swarm_new(struct loop *loop, struct random *random, const struct identity *identity,
			struct db *db, const struct swarm_config *config);
/* Closes listeners and connections; every stream's on_close runs with -ECANCELED, every pending
 * operation's done with -ECANCELED; done() runs when the last handle is closed, then swarm_free(). */
void swarm_close(struct swarm *swarm, void (*done)(void *ctx), void *ctx);
void swarm_free(struct swarm *swarm);

const struct peer_id *swarm_self(const struct swarm *swarm);
struct loop *swarm_loop(struct swarm *swarm);
struct random *swarm_random(struct swarm *swarm);

/* Listen on a /ip4|ip6/.../tcp/PORT address; port 0 lets the system choose. -EADDRINUSE, -ENOTSUP... */
int swarm_listen(struct swarm *swarm, const struct multiaddr *addr);
/* Addresses to announce, without /p2p: those that the user says; those that others have reached us at through
 * a translator; bound ones (0.0.0.0 resolved to interfaces), without loopback ones unless announce_loopback or
 * there are no others. The widest scope is first, and scopes, families and listeners take turns, so that any
 * beginning of the list is of use. Returns how many there are; fills at most max. */
size_t swarm_listen_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max);
/* What the listeners are bound to, whether it is announced or not. As above. */
size_t swarm_interface_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max);

/* ---- peers ---- */

/* Remember how to reach a peer, for ttl_ms. Trailing /p2p parts are cut (another peer's: ignored).
 * The oldest address goes when SWARM_PEER_ADDRS_MAX is reached: of several the best is added last. */
void swarm_add_addr(struct swarm *swarm, const struct peer_id *peer, const struct multiaddr *addr,
		    uint64_t ttl_ms);
/* Known addresses, best first. Returns how many were filled in (at most max). */
size_t swarm_peer_addrs(const struct swarm *swarm, const struct peer_id *peer,
			struct multiaddr *addrs, size_t max);
bool swarm_is_connected(const struct swarm *swarm, const struct peer_id *peer);
/* By the peer's identify message; false while it is not known. */
bool swarm_peer_supports(const struct swarm *swarm, const struct peer_id *peer, const char *protocol);
/* Keep the connection to this peer when trimming; tags are counted by name. */
void swarm_protect(struct swarm *swarm, const struct peer_id *peer, const char *tag);
void swarm_unprotect(struct swarm *swarm, const struct peer_id *peer, const char *tag);
/* What a peer is worth when connections are trimmed (sum over tags; 0 removes the tag). */
void swarm_tag(struct swarm *swarm, const struct peer_id *peer, const char *tag, int worth);
#define SWARM_TAGS_TEXT_MAX 256 /* bytes of them as text */
/* Closes all connections to peer. -ENOENT when there is none. */
int swarm_disconnect(struct swarm *swarm, const struct peer_id *peer);

/* A connection, for people to look at. Text is borrowed for the call. */
struct swarm_peer {
	struct peer_id id;
	struct multiaddr addr; /* remote endpoint */
	bool outbound;
	bool identified;
	uint64_t latency_us; /* smoothed; 0 unknown */
	uint64_t since_ms;   /* loop clock */
	uint64_t bytes_in, bytes_out;
	unsigned streams;
	const char *agent, *version; /* agentVersion and protocolVersion; "": not told */
	const char *const *protocols;
	size_t protocol_count;
	const struct public_key *key; /* as identify told and its id proves; NULL: not told */
	int worth;	     /* when connections are trimmed: the sum of its tags */
	bool is_protected;   /* never trimmed */
	const char *tags;    /* "one=5 other=20", as many as fit */
};

/* Calls each() for every connection; non-zero stops and is returned. */
int swarm_each_peer(const struct swarm *swarm, int (*each)(void *ctx, const struct swarm_peer *peer),
		    void *ctx);
/* Round-trip time in ms of the peer (ping and message answers), 0 when unknown. */
uint64_t swarm_latency_ms(const struct swarm *swarm, const struct peer_id *peer);

/* Be told of peers. Embedded by its owner, zeroed except the callbacks (NULL: not interested).
 * connected: the first connection to peer is up; identified: its protocols are known or have changed;
 * disconnected: the last one is gone. reach: swarm_reach() has changed. */
struct swarm_watch {
	void (*on_connected)(void *ctx, const struct peer_id *peer);
	void (*on_identified)(void *ctx, const struct peer_id *peer);
	void (*on_disconnected)(void *ctx, const struct peer_id *peer);
	void (*on_reach)(void *ctx, const struct peer_id *self);
	void *ctx;
	struct list node;
};

void swarm_watch(struct swarm *swarm, struct swarm_watch *watch);
void swarm_unwatch(struct swarm *swarm, struct swarm_watch *watch);

struct peer_info {
	struct peer_id id;
	const struct multiaddr *addrs; /* without /p2p */
	size_t addr_count;
};

/* Where the swarm asks for addresses of a peer it must dial and does not know (routing registers this;
 * arrows point down). find() starts a search and calls swarm_found() once with the result. */
typedef void swarm_find_fn(void *ctx, const struct peer_id *peer, uint64_t deadline_ms);
void swarm_set_finder(struct swarm *swarm, swarm_find_fn *find, void *ctx);
void swarm_found(struct swarm *swarm, const struct peer_id *peer, int err,
		 const struct peer_info *info);

/* ---- operations ---- */

/* A handle of an operation in flight; valid until its done runs. Cancelled: done will not run. */
struct swarm_op;
void swarm_cancel(struct swarm_op *op); /* NULL is ignored */

/* Be connected to peer: at once when so already, else dial the addresses given (may be 0) and known.
 * done(ctx, 0) or -errno: -EHOSTUNREACH no address, -ETIMEDOUT, -ECONNREFUSED, -EKEYREJECTED another
 * identity answered, -EAGAIN backing off or too many dials. Addresses given here are the user's: they
 * ignore back-off and the limit of attempts per IP address. */
typedef void swarm_done_fn(void *ctx, int err);
struct swarm_op *swarm_connect(struct swarm *swarm, const struct peer_id *peer,
			       const struct multiaddr *addrs, size_t addr_count,
			       uint64_t deadline_ms, swarm_done_fn *done, void *ctx);

/* The same with addresses that others told: perhaps false ones, to have us dial somebody. They respect
 * back-off and the limit, and names among them lead to public addresses only, as with known ones. */
struct swarm_op *swarm_connect_heard(struct swarm *swarm, const struct peer_id *peer,
				     const struct multiaddr *addrs, size_t addr_count,
				     uint64_t deadline_ms, swarm_done_fn *done, void *ctx);

/* An address that was tried for a person, and how that ended. */
struct swarm_tried {
	struct multiaddr addr; /* without /p2p */
	/* As below. -EAGAIN: too many attempts at its IP address lately; -EPROTONOSUPPORT: no transport for it;
	 * -ECANCELED: the time was over before its turn came. */
	int err;
	struct peer_id answered; /* -EKEYREJECTED: who it says to be; not set: not known */
};

/* swarm_connect() for a person. Nothing is refused by back-off, also not what is known of peer; the
 * addresses given are remembered. A connection that is there already is good when it gives a sign of life
 * within SWARM_PROBE_MS, or a third of the time left. If it gives none, peer is dialled anew, and the silent
 * connection ends when the new one is up.
 * asked(ctx, err, tried, count) as swarm_done_fn, with what was tried when err is set: borrowed for the call.
 * -EINVAL: peer is ourselves. -EMFILE: too many connections. */
#define SWARM_PROBE_MS 3000
typedef void swarm_asked_fn(void *ctx, int err, const struct swarm_tried *tried, size_t count);
struct swarm_op *swarm_connect_asked(struct swarm *swarm, const struct peer_id *peer,
				     const struct multiaddr *addrs, size_t addr_count,
				     uint64_t deadline_ms, swarm_asked_fn *asked, void *ctx);

/* One echo of /ipfs/ping/1.0.0, for a person: dialling does not back off. */
typedef void swarm_ping_fn(void *ctx, int err, uint64_t rtt_us);
struct swarm_op *swarm_ping(struct swarm *swarm, const struct peer_id *peer, uint64_t deadline_ms,
			    swarm_ping_fn *done, void *ctx);

/* ---- streams ---- */

/* What a stream tells its owner. on_close is the last call, the stream is gone with it; it does not run
 * after the owner called stream_close() or stream_reset(). NULL members are not called. */
struct stream_events {
	/* Bytes from the peer, borrowed for the call; all of them count as consumed. */
	void (*on_data)(void *ctx, struct stream *stream, struct bytes data);
	/* The peer finished writing; we may still write. */
	void (*on_end)(void *ctx, struct stream *stream);
	/* stream_queued() fell below STREAM_LOW_MARK after having been above. */
	void (*on_drain)(void *ctx, struct stream *stream);
	/* 0 both sides have ended, -ECONNRESET reset by the peer, -EPIPE connection lost,
	 * -EPROTONOSUPPORT (a peer that identify had credited with the protocol), -ECANCELED. */
	void (*on_close)(void *ctx, struct stream *stream, int err);
};

#define STREAM_LOW_MARK (256u * 1024)

/* Open a stream to peer (connecting first when need be), with the first of these protocols that the
 * peer speaks. done gets the stream and which protocol it was; the callee then owns the stream and must
 * stream_accept() it before returning, or close it. -EPROTONOSUPPORT when it speaks none of them. */
typedef void swarm_opened_fn(void *ctx, int err, struct stream *stream, const char *protocol);
struct swarm_op *swarm_open_stream(struct swarm *swarm, const struct peer_id *peer,
				   const char *const *protocols, size_t protocol_count,
				   uint64_t deadline_ms, swarm_opened_fn *done, void *ctx);

/* Called for each stream that a peer opens with this protocol; accept it before returning, or close it.
 * streams_per_peer_max: more are reset. -EEXIST when the protocol has a handler. Peers connected already
 * are told by identify push. */
typedef void swarm_handler_fn(void *ctx, struct stream *stream);
int swarm_handle(struct swarm *swarm, const char *protocol, unsigned streams_per_peer_max,
		 swarm_handler_fn *handler, void *ctx);
void swarm_unhandle(struct swarm *swarm, const char *protocol);

void stream_accept(struct stream *stream, const struct stream_events *events, void *ctx);
const struct peer_id *stream_peer(const struct stream *stream);
const char *stream_protocol(const struct stream *stream);
/* Queue bytes for sending: copied, or taken (the buf is empty afterwards: no copy is made). Never
 * refuses; watch stream_queued() and wait for on_drain above a mark of your own. */
void stream_write(struct stream *stream, struct bytes data);
void stream_write_buf(struct stream *stream, struct buf *data);
size_t stream_queued(const struct stream *stream);
/* While paused nothing is delivered and no window is granted: the peer stops by itself. Data on its way
 * is kept and delivered after stream_resume(). */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);
/* No more writing; the queue is still sent. Reading goes on. */
void stream_end(struct stream *stream);
/* Done with it: the queue is still sent, what arrives is discarded, no callback runs any more. */
void stream_close(struct stream *stream);
/* Both directions at once, queue dropped; no callback runs any more. code as in wire/transport section 5. */
void stream_reset(struct stream *stream, uint32_t code);

/* ---- reachability (AutoNAT, wire/nat) ---- */

/* Whether the public network can reach us, as other peers have tested it; unknown without an AutoNAT. */
enum swarm_reach { REACH_UNKNOWN, REACH_PRIVATE, REACH_PUBLIC };
enum swarm_reach swarm_reach(const struct swarm *swarm);

struct autonat_config {
	bool serve; /* try it for others, too */
	bool local; /* tests: loopback and private addresses count as public ones */
};

/* Asks peers to dial us, as soon as it meets some that can. Borrows swarm; one per swarm. */
struct autonat;
struct autonat *autonat_new(struct swarm *swarm, const struct autonat_config *config);
/* Ends all it does and frees it; done(ctx) runs, later, when its last socket is closed: only then may the
 * swarm be closed. */
void autonat_close(struct autonat *autonat, void (*done)(void *ctx), void *ctx);

struct autonat_stats {
	bool serves;
	unsigned addrs;		  /* public ones of ours, which are asked about */
	unsigned servers;	  /* connected peers that can be asked */
	uint64_t asked, confirmed; /* questions; answers that showed that we can be reached */
	uint64_t served, refused;  /* others' questions: tried, not tried */
};

void autonat_stats(const struct autonat *autonat, struct autonat_stats *stats);

/* ---- names ---- */

/* TXT records of a domain name (DNSLink), each joined to one string, through c-ares. Servers: the system's, or
 * those of the environment variable DAGFS_DNS ("127.0.0.1:5353,...").
 * done(ctx, err, texts, count): borrowed for the call. -ENOENT when there are none, -ETIMEDOUT, -EIO. */
struct net_lookup;
typedef void net_txt_fn(void *ctx, int err, char *const *texts, size_t count);
struct net_lookup *net_lookup_txt(struct swarm *swarm, const char *name, uint64_t deadline_ms,
				  net_txt_fn *done, void *ctx);
void net_lookup_cancel(struct net_lookup *lookup);

#endif

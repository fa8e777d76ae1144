/* The swarm: authenticated, multiplexed connections to peers, and streams on them by protocol name.
 *
 * Loop thread only, except where a function says otherwise. Callbacks never run before the call
 * that started them returns. Every wait has a deadline. Peers are always authenticated: a stream's
 * peer id has been proven by the handshake that secured its connection. Limits: wire/security (per
 * peer, per address, in total). */
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
#define SWARM_PROTOCOL_MAX 128	     /* bytes of a protocol name */
#define SWARM_PEER_ADDRS_MAX 64	     /* addresses kept per peer */
#define SWARM_PEER_PROTOCOLS_MAX 100 /* protocols kept per peer */

/* ---- the swarm itself ---- */

#define SWARM_PROTOCOL_VERSION "ipfs/0.1.0" /* the protocolVersion that identify announces */

/* The default of a field that is zero stands in brackets. */
struct swarm_config {
	const char *agent;	  /* agentVersion we announce ["dagfs"] */
	unsigned connections_max; /* hard limit [1024] */
	unsigned sockets_max; /* connections, those being opened and dials together [no limit] */
	unsigned low_water;   /* trim down to [32] */
	unsigned high_water;  /* trim above [96] */
	uint64_t grace_ms;    /* young connections are not trimmed [20 000] */
	uint64_t connect_timeout_ms; /* TCP connect [5 000] */
	uint64_t dial_timeout_ms;    /* whole dial with handshakes [15 000] */
	uint64_t keepalive_ms;	     /* a ping after this silence [30 000] */
	size_t stream_window_max; /* a peer may send so much on a stream before we read [16 MiB] */
	size_t connection_window_max; /* sum over a connection [32 MiB] */
	size_t send_buffer_max;	      /* bytes queued per connection before streams stop [4 MiB] */
	uint64_t up_per_second;	      /* bytes written to all peers together [no limit] */
	uint64_t down_per_second;     /* bytes read from all of them [no limit] */
	/* Addresses from the configuration, borrowed during swarm_new(), at most 256 each [none].
	 * announce replaces the addresses that are found; append_announce is added to them;
	 * no_announce is never announced (whole addresses, or /ip4|ip6/ADDRESS/ipcidr/BITS). */
	const struct multiaddr *announce, *append_announce, *no_announce;
	size_t announce_count, append_announce_count, no_announce_count;
	bool announce_loopback; /* if set: loopback addresses are announced, too */
	bool bare;		/* if set: no identify, no ping; for AutoNAT's dial-backs */
	/* How peers are reached [TCP]. The swarm takes the transports and closes them. */
	struct transport *const *transports;
	size_t transport_count; /* at most SWARM_TRANSPORTS_MAX */
	/* How connections are secured, in order of preference [securities_default()]. Taken as
	 * well. */
	struct security *const *securities;
	size_t security_count; /* at most SECURITIES_MAX */
};

/* Borrows loop, random, identity and db for its life. db holds addresses of peers over restarts; it
 * may be NULL. */
struct swarm *swarm_new(struct loop *loop, struct random *random, const struct identity *identity,
			struct db *db, const struct swarm_config *config);
/* Closes listeners and connections; every stream's on_close runs with -ECANCELED, every pending
 * operation's done with -ECANCELED; done() runs when the last handle is closed, then swarm_free().
 */
void swarm_close(struct swarm *swarm, void (*done)(void *ctx), void *ctx);
void swarm_free(struct swarm *swarm);

const struct peer_id *swarm_self(const struct swarm *swarm);
struct loop *swarm_loop(struct swarm *swarm);
struct random *swarm_random(struct swarm *swarm);

/* Listen on a /ip4|ip6/.../tcp/PORT address; port 0 lets the system choose. -EADDRINUSE,
 * -ENOTSUP... */
int swarm_listen(struct swarm *swarm, const struct multiaddr *addr);
/* The addresses to announce, without /p2p: those of the configuration, those at which others
 * reached us through a NAT, and those that are bound (0.0.0.0 stands for all interfaces). Loopback
 * addresses are left out unless announce_loopback is set or there are no others. The widest scope
 * is first; scopes, families and listeners alternate, so that a list that is cut off is still
 * useful. Returns how many there are; fills at most max. */
size_t swarm_listen_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max);
/* The addresses that listeners are bound to, announced or not. Returns and fills as above. */
size_t swarm_interface_addrs(const struct swarm *swarm, struct multiaddr *addrs, size_t max);

/* ---- peers ---- */

/* Remembers an address of a peer for ttl_ms. A trailing /p2p part is cut off; if it names another
 * peer, the address is ignored. When SWARM_PEER_ADDRS_MAX is reached, the oldest address goes: add
 * the best of several last. */
void swarm_add_addr(struct swarm *swarm, const struct peer_id *peer, const struct multiaddr *addr,
		    uint64_t ttl_ms);
/* Known addresses, best first. Returns how many were filled in (at most max). */
size_t swarm_peer_addrs(const struct swarm *swarm, const struct peer_id *peer,
			struct multiaddr *addrs, size_t max);
bool swarm_is_connected(const struct swarm *swarm, const struct peer_id *peer);
/* Whether the peer's identify message names protocol; false until that message has come. */
bool swarm_peer_supports(const struct swarm *swarm, const struct peer_id *peer,
			 const char *protocol);
/* Keeps the connections to this peer when others are trimmed, until each tag is removed again. */
void swarm_protect(struct swarm *swarm, const struct peer_id *peer, const char *tag);
void swarm_unprotect(struct swarm *swarm, const struct peer_id *peer, const char *tag);
/* Sets what a tag adds to the peer's worth; 0 removes the tag. Peers of the least worth are trimmed
 * first. */
void swarm_tag(struct swarm *swarm, const struct peer_id *peer, const char *tag, int worth);
#define SWARM_TAGS_TEXT_MAX 256 /* bytes of them as text */
/* Closes all connections to peer. -ENOENT when there is none. */
int swarm_disconnect(struct swarm *swarm, const struct peer_id *peer);

/* A connection as swarm_each_peer() shows it. Text is borrowed for the call. */
struct swarm_peer {
	struct peer_id id;
	struct multiaddr addr; /* remote endpoint */
	bool outbound;
	bool identified;
	uint64_t latency_us; /* smoothed; 0 unknown */
	uint64_t since_ms;   /* loop clock */
	uint64_t bytes_in, bytes_out;
	unsigned streams;
	const char *agent, *version; /* agentVersion and protocolVersion; "" if unknown */
	const char *const *protocols;
	size_t protocol_count;
	const struct public_key *key; /* from identify, checked against id; NULL if unknown */
	int worth;		      /* for trimming: the sum of its tags */
	bool is_protected;	      /* never trimmed */
	const char *tags;	      /* "one=5 other=20", as many as fit */
};

/* Calls each() for every connection; non-zero stops and is returned. */
int swarm_each_peer(const struct swarm *swarm,
		    int (*each)(void *ctx, const struct swarm_peer *peer), void *ctx);
/* The peer's round-trip time in ms, by pings and answered messages; 0 if unknown. */
uint64_t swarm_latency_ms(const struct swarm *swarm, const struct peer_id *peer);

/* Events about peers. Embedded by its owner; unused callbacks are NULL. on_connected: the first
 * connection to peer is up. on_identified: its protocols are known, or have changed.
 * on_disconnected: its last connection is gone. on_reach: swarm_reach() has changed. */
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
	/* How it gives what it is known for, in the words of delegated routing
	 * ("transport-bitswap", "transport-ipfs-gateway-http"). None: nobody said. */
	const char *const *protocols;
	size_t protocol_count;
};

/* The swarm calls find() when it must dial a peer and knows no address. find() starts a search and
 * calls swarm_found() once with the result. Routing registers it. */
typedef void swarm_find_fn(void *ctx, const struct peer_id *peer, uint64_t deadline_ms);
void swarm_set_finder(struct swarm *swarm, swarm_find_fn *find, void *ctx);
void swarm_found(struct swarm *swarm, const struct peer_id *peer, int err,
		 const struct peer_info *info);

/* ---- operations ---- */

/* A handle of an operation in flight, valid until its done runs. After swarm_cancel() done does not
 * run. */
struct swarm_op;
void swarm_cancel(struct swarm_op *op); /* NULL is ignored */

/* Connects to peer. Succeeds at once if it is connected; else dials the given addresses (there may
 * be none) and the known ones. done(ctx, err) runs once: 0, -EHOSTUNREACH (no address), -ETIMEDOUT,
 * -ECONNREFUSED, -EKEYREJECTED (another identity answered), -EAGAIN (backing off, or too many
 * dials). Given addresses count as the user's: back-off and the limit of attempts per IP address do
 * not hold for them. */
typedef void swarm_done_fn(void *ctx, int err);
struct swarm_op *swarm_connect(struct swarm *swarm, const struct peer_id *peer,
			       const struct multiaddr *addrs, size_t addr_count,
			       uint64_t deadline_ms, swarm_done_fn *done, void *ctx);

/* The same with addresses from other peers, which may be false so that we dial a victim. Back-off
 * and the limit hold for them, and DNS names among them lead to public addresses only. */
struct swarm_op *swarm_connect_heard(struct swarm *swarm, const struct peer_id *peer,
				     const struct multiaddr *addrs, size_t addr_count,
				     uint64_t deadline_ms, swarm_done_fn *done, void *ctx);

/* An address that swarm_connect_asked() tried, and the result. */
struct swarm_tried {
	struct multiaddr addr; /* without /p2p */
	/* As swarm_done_fn. Also -EAGAIN: too many attempts at its IP address lately;
	 * -EPROTONOSUPPORT: no transport for it; -ECANCELED: the time was over before it was
	 * tried. */
	int err;
	struct peer_id answered; /* after -EKEYREJECTED: the identity that answered, if known */
};

/* swarm_connect() for a user who waits. Back-off does not hold for known addresses either, and the
 * given ones are remembered. An existing connection counts only if it shows life within
 * SWARM_PROBE_MS, or within a third of the time left; else peer is dialled anew, and the silent
 * connection ends when the new one is up. asked() is called as swarm_done_fn; if err is set it also
 * gets the addresses tried, borrowed for the call. -EINVAL: peer is ourselves. -EMFILE: too many
 * connections. */
#define SWARM_PROBE_MS 3000
typedef void swarm_asked_fn(void *ctx, int err, const struct swarm_tried *tried, size_t count);
struct swarm_op *swarm_connect_asked(struct swarm *swarm, const struct peer_id *peer,
				     const struct multiaddr *addrs, size_t addr_count,
				     uint64_t deadline_ms, swarm_asked_fn *asked, void *ctx);

/* Sends one echo of /ipfs/ping/1.0.0 and reports the round trip. Back-off does not hold. */
typedef void swarm_ping_fn(void *ctx, int err, uint64_t rtt_us);
struct swarm_op *swarm_ping(struct swarm *swarm, const struct peer_id *peer, uint64_t deadline_ms,
			    swarm_ping_fn *done, void *ctx);

/* ---- streams ---- */

/* Events of a stream; unused callbacks are NULL. on_close is the last one, and the stream is gone
 * after it. No callback runs after stream_close() or stream_reset(). */
struct stream_events {
	/* Bytes from the peer, borrowed for the call. All of them count as consumed. */
	void (*on_data)(void *ctx, struct stream *stream, struct bytes data);
	/* The peer finished writing; we may still write. */
	void (*on_end)(void *ctx, struct stream *stream);
	/* stream_queued() fell below STREAM_LOW_MARK after having been above. */
	void (*on_drain)(void *ctx, struct stream *stream);
	/* 0 both sides have ended, -ECONNRESET reset by the peer, -EPIPE connection lost,
	 * -EPROTONOSUPPORT (identify named the protocol, but the peer refused it), -ECANCELED. */
	void (*on_close)(void *ctx, struct stream *stream, int err);
};

#define STREAM_LOW_MARK (256u * 1024)

/* Opens a stream to peer with the first of these protocols that the peer speaks; connects first if
 * necessary. done gets the stream and its protocol. The callee owns the stream, and calls
 * stream_accept() or stream_close() before it returns. -EPROTONOSUPPORT: the peer speaks none of
 * them. */
typedef void swarm_opened_fn(void *ctx, int err, struct stream *stream, const char *protocol);
struct swarm_op *swarm_open_stream(struct swarm *swarm, const struct peer_id *peer,
				   const char *const *protocols, size_t protocol_count,
				   uint64_t deadline_ms, swarm_opened_fn *done, void *ctx);

/* handler is called for each stream that a peer opens with this protocol; it accepts or closes the
 * stream before it returns. Streams of one peer beyond streams_per_peer_max are reset. Connected
 * peers learn of the protocol by identify push. -EEXIST: the protocol has a handler. */
typedef void swarm_handler_fn(void *ctx, struct stream *stream);
int swarm_handle(struct swarm *swarm, const char *protocol, unsigned streams_per_peer_max,
		 swarm_handler_fn *handler, void *ctx);
void swarm_unhandle(struct swarm *swarm, const char *protocol);

void stream_accept(struct stream *stream, const struct stream_events *events, void *ctx);
const struct peer_id *stream_peer(const struct stream *stream);
const char *stream_protocol(const struct stream *stream);
/* Queues bytes for sending. stream_write() copies them; stream_write_buf() takes them and leaves
 * the buf empty. Neither refuses: a caller with much to send watches stream_queued() and waits for
 * on_drain. */
void stream_write(struct stream *stream, struct bytes data);
void stream_write_buf(struct stream *stream, struct buf *data);
size_t stream_queued(const struct stream *stream);
/* While a stream is paused, nothing is delivered and no window is granted, so that the peer stops.
 * Data that is on its way is kept and delivered after stream_resume(). */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);
/* Ends writing after what is queued. Reading goes on. */
void stream_end(struct stream *stream);
/* Gives the stream up: the queue is still sent, what arrives is discarded, and no callback runs. */
void stream_close(struct stream *stream);
/* Ends both directions at once and drops the queue; no callback runs. code: wire/transport section
 * 5. */
void stream_reset(struct stream *stream, uint32_t code);

/* ---- reachability (AutoNAT, wire/nat) ---- */

/* Whether the public network can reach us, as other peers have tested it. Without AutoNAT:
 * unknown. */
enum swarm_reach { REACH_UNKNOWN, REACH_PRIVATE, REACH_PUBLIC };
enum swarm_reach swarm_reach(const struct swarm *swarm);

struct autonat_config {
	bool serve; /* if set: dials for others, too */
	bool local; /* for tests: loopback and private addresses count as public */
};

/* Asks connected AutoNAT servers to dial us. Borrows swarm; one per swarm. */
struct autonat;
struct autonat *autonat_new(struct swarm *swarm, const struct autonat_config *config);
/* Ends and frees it. done(ctx) runs later, when its last socket is closed; close the swarm after
 * that. */
void autonat_close(struct autonat *autonat, void (*done)(void *ctx), void *ctx);

struct autonat_stats {
	bool serves;
	unsigned addrs;		   /* public addresses of ours, which are asked about */
	unsigned servers;	   /* connected peers that can be asked */
	uint64_t asked, confirmed; /* questions; answers that confirmed an address */
	uint64_t served, refused;  /* requests of others: dialled, refused */
};

void autonat_stats(const struct autonat *autonat, struct autonat_stats *stats);

/* ---- peers that stay ---- */

/* Keeps connections to chosen peers: dials them at the start and after each loss, for ever, with
 * delays that grow to some minutes and a share of chance. Such peers are protected from trimming.
 * What the user gave is dialled as it is; then the addresses that the peer told or that answered;
 * then routing is asked. Also remembers the peers that stayed connected lately and dials the last
 * of them once at the start.
 *
 * Table "peering" of db holds them over restarts. At most PEERING_PEERS_MAX peers of the
 * configuration and of PEERING_ADDED, and PEERING_ASKED_MAX of PEERING_ASKED alone. */
#define PEERING_PEERS_MAX 256
#define PEERING_ASKED_MAX 64
enum {
	PEERING_CONFIG = 1, /* not stored: told again at each start */
	PEERING_ADDED = 2,  /* until it is removed */
	/* Until it is removed, or 30 days after its last connection. The one that was connected
	 * longest ago makes room for a new one. */
	PEERING_ASKED = 4,
};

/* Borrows swarm and db (may be NULL). Dials begin with peering_start(). */
struct peering;
struct peering *peering_new(struct swarm *swarm, struct db *db);
void peering_start(struct peering *peering);
/* Before swarm_close(). NULL is ignored. */
void peering_free(struct peering *peering);
/* Keeps peer from now on, for one more reason. Addresses (without /p2p) replace those given before;
 * with PEERING_ASKED they are added to them, and none are needed. The first 16 count. -EINVAL: peer
 * is ourselves; -EAGAIN: there are too many. */
int peering_add(struct peering *peering, const struct peer_id *peer, const struct multiaddr *addrs,
		size_t count, unsigned why);
/* Takes reasons away; without any left the peer is forgotten and its connection stays. True if it
 * was kept for one of them. */
bool peering_remove(struct peering *peering, const struct peer_id *peer, unsigned why);

struct peering_peer {
	struct peer_id id;
	const struct multiaddr *addrs; /* as given */
	size_t addr_count;
	unsigned why;
	bool connected;
	unsigned attempts; /* dials in vain since the last connection */
	uint64_t next_ms;  /* until the next dial; 0: connected, or being dialled */
};

/* Calls each() for every peer that is kept, oldest first, with what is borrowed for the call. */
void peering_each(const struct peering *peering,
		  void (*each)(void *ctx, const struct peering_peer *peer), void *ctx);

/* ---- names ---- */

/* Looks up the TXT records of a domain name, each joined to one string. Servers: the system's, or
 * those of the environment variable DAGFS_DNS ("127.0.0.1:5353,..."). done(ctx, err, texts, count):
 * borrowed for the call. -ENOENT when there are none, -ETIMEDOUT, -EIO. */
struct net_lookup;
typedef void net_txt_fn(void *ctx, int err, char *const *texts, size_t count);
struct net_lookup *net_lookup_txt(struct swarm *swarm, const char *name, uint64_t deadline_ms,
				  net_txt_fn *done, void *ctx);
void net_lookup_cancel(struct net_lookup *lookup);

/* ---- DNSLink ---- */

#define NET_DNSLINK_MAX 4096 /* bytes of what a record says */

struct wait;

/* Labels of letters, digits, '-' and '_', with dots between; one at the end may follow. Pure. */
bool net_is_domain(const char *name);
/* What the TXT records of _dnslink.DOMAIN lead to: "dnslink=" and a path of /ipfs or /ipns, or a
 * CID; "dnslink=" may be missing. *path is malloc'd. Other records do not count. -ENOENT: there is
 * none; -EEXIST: there are several. Pure. */
int net_dnslink_of(char *const *texts, size_t count, char **path);
/* Asks for them. Blocking, on any thread but a loop's; ends with wait, and after ten seconds at the
 * latest. servers: "IP:PORT,..."; NULL: as net_lookup_txt(). -EINVAL: no domain name; -ETIMEDOUT;
 * -EINTR; -EIO: the server failed. */
int net_dnslink(const char *domain, const char *servers, struct wait *wait, char **path);

#endif

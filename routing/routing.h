/* Who has what, and where peers are. One interface that several routers implement (Kademlia WAN and
 * LAN, mDNS, delegated HTTP, tracker...) and one that asks them all.
 *
 * Loop thread only. Every search has a deadline; callbacks never run before the starting call
 * returned; after routing_cancel() none runs any more. Results are what peers claim: verified
 * records for values, unverified hints for providers and addresses. Called by exchange; calls net.
 */
#ifndef ROUTING_ROUTING_H
#define ROUTING_ROUTING_H

#include "net/base/bytes.h"
#include "net/net.h"

struct db;
struct router;
struct routing_query; /* a search in flight; valid until its done runs */
struct routing_finder;

#define ROUTING_KEY_MAX 128
#define ROUTING_VALUE_MAX 10240
#define ROUTING_PROVIDERS_MAX 1000
#define ROUTING_RECORDS 16

/* done(ctx, 0, info): info borrowed for the call. -ENOENT: no one knows the peer. -ETIMEDOUT. */
typedef void routing_peer_fn(void *ctx, int err, const struct peer_info *info);
/* Each provider as it is found, once per peer, and again if other protocols are named; addresses
 * may be missing (addr_count 0). Already added to the swarm's address book. */
typedef void routing_provider_fn(void *ctx, const struct peer_info *info);
/* err 0: complete or enough found (count of them); -ETIMEDOUT may come after providers were given.
 */
typedef void routing_done_fn(void *ctx, int err, unsigned count);
/* Each better record as it is found (already validated); done follows. */
typedef void routing_value_fn(void *ctx, struct bytes value);

struct due_key; /* routing/due.h: what a router sees that announces many keys at once */
struct due_set;
struct place_region;

/* What an announcement of many keys came to. */
struct routing_announced {
	size_t failed; /* keys that were not announced: they wait in the set */
	unsigned confirmed,
		unkept; /* peers asked for a key that they were just told; those without it */
};

/* A key was announced; it leaves its set after the call. Must not cancel. */
typedef void routing_told_fn(void *ctx, struct due_key *key);
/* The query is over. */
typedef void routing_announced_fn(void *ctx, const struct routing_announced *result);

struct router_ops {
	struct routing_query *(*find_peer)(struct router *router, const struct peer_id *peer,
					   uint64_t deadline_ms, routing_peer_fn *done, void *ctx);
	struct routing_query *(*find_providers)(struct router *router, struct bytes multihash,
						unsigned count_max, uint64_t deadline_ms,
						routing_provider_fn *found, routing_done_fn *done,
						void *ctx);
	struct routing_query *(*provide)(struct router *router, struct bytes multihash,
					 uint64_t deadline_ms, routing_done_fn *done, void *ctx);
	struct routing_query *(*put_value)(struct router *router, struct bytes key,
					   struct bytes value, uint64_t deadline_ms,
					   routing_done_fn *done, void *ctx);
	struct routing_query *(*get_value)(struct router *router, struct bytes key,
					   unsigned records_max, uint64_t deadline_ms,
					   routing_value_fn *found, routing_done_fn *done,
					   void *ctx);
	/* Cancels its queries and frees the router. done(ctx) runs once, before this returns or
	 * later: when all that it used is let go. No other callback runs any more. */
	void (*close)(struct router *router, void (*done)(void *ctx), void *ctx);
	/* Of two good records of key: > 0 when a is better than b, < 0 worse, 0 the same (or not
	 * known). */
	int (*compare)(struct router *router, struct bytes key, struct bytes a, struct bytes b);
	/* Whether a search of this router is dialling peer now. Then the finder does not search for
	 * it; otherwise every dead peer in a search would start another search. */
	bool (*is_reaching)(struct router *router, const struct peer_id *peer);
	/* Announces key, and with it those of set within bounds that go together with it well, as
	 * far as they may be taken (due.h). Set and bounds are borrowed until the query ends. For
	 * routers that tell many keys at less cost than one by one; NULL: the announcer calls
	 * provide() for each. */
	struct routing_query *(*provide_region)(struct router *router, struct due_set *set,
						const struct place_region *bounds,
						const struct due_key *key, routing_told_fn *told,
						routing_announced_fn *done, void *ctx);
	/* 0 when something can be announced now; -EAGAIN: not until the router calls
	 * router_ready(); another error: it is to be asked again after a while. NULL: always. */
	int (*can_provide)(struct router *router);
	/* This node has the block from now on, or has it no more: what the router answers by itself
	 * when others ask it. Nobody is told. NULL: it answers nobody. */
	void (*note_own)(struct router *router, struct bytes multihash, bool have);
};

/* Embedded by its owner. */
struct router_watch {
	/* Announcing is possible where it was not before. Must not unwatch. */
	void (*on_ready)(void *ctx);
	void *ctx;
	struct router_watch *next;
};

/* Embedded first in each router. A NULL operation means the router does not offer it. */
struct router {
	const struct router_ops *ops;
	const char *name;
	struct routing_finder *finder; /* routing_attach_finder()'s */
	struct router_watch *watches;
};

/* First member of every router's query, so that any holder can cancel it. */
struct routing_query {
	void (*cancel)(struct routing_query *query);
};

/* The five operations on any router; NULL (and no callback) when it does not offer one, or when a
 * limit of searches in flight is reached. count_max 0: all there are (at most
 * ROUTING_PROVIDERS_MAX). records_max: good records, equal or not, after which no more peers are
 * asked; 0: ROUTING_RECORDS. */
struct routing_query *routing_find_peer(struct router *router, const struct peer_id *peer,
					uint64_t deadline_ms, routing_peer_fn *done, void *ctx);
struct routing_query *routing_find_providers(struct router *router, struct bytes multihash,
					     unsigned count_max, uint64_t deadline_ms,
					     routing_provider_fn *found, routing_done_fn *done,
					     void *ctx);
struct routing_query *routing_provide(struct router *router, struct bytes multihash,
				      uint64_t deadline_ms, routing_done_fn *done, void *ctx);
struct routing_query *routing_put_value(struct router *router, struct bytes key, struct bytes value,
					uint64_t deadline_ms, routing_done_fn *done, void *ctx);
struct routing_query *routing_get_value(struct router *router, struct bytes key,
					unsigned records_max, uint64_t deadline_ms,
					routing_value_fn *found, routing_done_fn *done, void *ctx);
void routing_cancel(struct routing_query *query); /* NULL is ignored */

/* Blocks by Bitswap: the protocol of a peer_info. */
#define ROUTING_BITSWAP "transport-bitswap"
/* Whether the peer may be reached by protocol: it is named, or no protocol is. */
bool routing_reached_by(const struct peer_info *info, const char *protocol);
void routing_note_own(struct router *router, struct bytes multihash, bool have);
/* Until router_unwatch(), which comes before router_close(). */
void router_watch(struct router *router, struct router_watch *watch);
void router_unwatch(struct router *router, struct router_watch *watch);
void router_ready(struct router *router); /* for routers: calls every on_ready */
/* Cancels its queries and frees the router. done(ctx) runs once, before this returns or later: when
 * all that it used is let go; only then may the swarm and the db be closed. done may be NULL:
 * nobody waits. A NULL router is closed at once. Not from inside a callback of the router. */
void router_close(struct router *router, void (*done)(void *ctx), void *ctx);

/* From now on the swarm asks this router for addresses of peers it must dial and does not know; at
 * most 64 searches at once, more fail with -EAGAIN. Once per router, and one router per swarm;
 * router_close() ends it, so it comes before swarm_close(). */
void routing_attach_finder(struct router *router, struct swarm *swarm);

/* ---- several routers as one ---- */

#define COMPOSED_ROUTERS_MAX 8

struct composed_part {
	struct router *router; /* taken: closed with the whole */
	/* Parts of equal rank are asked side by side. Those of the next higher rank are asked when
	 * all of a rank are over without an error and it is not enough: no peer, no value, fewer
	 * providers than asked for. Keys are provided, and values put, rank after rank. */
	unsigned rank;
	uint64_t delay_ms;   /* how long after its rank's start this part is asked */
	uint64_t timeout_ms; /* how long it may take, from being asked; 0: until the deadline */
	/* An error counts as nothing found, and does not end the sequence of ranks. */
	bool ignore_errors;
};

/* Asks its parts and merges: providers deduplicated, the first good peer wins, the best value wins,
 * provide and put succeed when one part did. An error is told only when no part succeeded. loop
 * runs the delays. The rules are those of Kubo's parallel and sequential routers, but that an error
 * never stops parts of the same rank. */
struct router *composed_new(struct loop *loop, const struct composed_part *parts, size_t count);

/* ---- announcing ---- */

/* Keeps announcing, over any router: each key of a list at once (batched) and again every interval,
 * until it is withdrawn. The list is kept in db (table "provide", key multihash, empty value),
 * which other processes may write too: announcer_changed() makes the announcer look. One list may
 * be announced over several routers, by an announcer each. */
struct announcer;

struct announcer_config {
	const char *name;     /* of the router, in the names of tables: at most 16 bytes */
	uint64_t interval_ms; /* zero: 22 hours */
};

/* Borrows router, loop and db (NULL: the list is kept in memory only). Never NULL. */
struct announcer *announcer_new(struct router *router, struct loop *loop, struct db *db,
				const struct announcer_config *config);
/* Before router_close() and the db's end. NULL is ignored. */
void announcer_free(struct announcer *announcer);
/* 0, -EINVAL for a key that is empty or longer than ROUTING_KEY_MAX, -EAGAIN when the list in
 * memory is full, or an error of the db. */
int announcer_start(struct announcer *announcer, struct bytes multihash);
int announcer_stop(struct announcer *announcer, struct bytes multihash);
void announcer_changed(struct announcer *announcer);

struct announcer_stats {
	uint64_t announced, pending; /* keys, since the start; due now or being announced */
	uint64_t confirmed, unkept;  /* peers asked for what they were told; those without it */
};

void announcer_stats(const struct announcer *announcer, struct announcer_stats *stats);

/* ---- Kademlia ---- */

/* Checks and ranks value records of one namespace. "ipns" and "pk" are built in. Pure. */
struct record_rules {
	const char *space;
	/* 0, or -EBADMSG / -EKEYREJECTED / -ETIMEDOUT (expired). wallclock_ns is 1970-based. */
	int (*validate)(struct bytes key, struct bytes value, uint64_t wallclock_ns);
	/* > 0 when a is better than b, < 0 worse, 0 the same. */
	int (*compare)(struct bytes a, struct bytes b);
	/* The last moment that value, once found good, is good at. NULL: it stays good. */
	uint64_t (*expires_ns)(struct bytes value);
};

/* A client only asks; a server also answers and keeps records. AUTO: a server while others can
 * reach us, as AutoNAT says (swarm_reach()) or, when it does not know, as peers of this network
 * that connect to us show. */
enum kad_mode { KAD_CLIENT, KAD_SERVER, KAD_AUTO };

struct kad_config {
	const char *protocol; /* "/ipfs/kad/1.0.0" or "/ipfs/lan/kad/1.0.0" */
	bool lan;	      /* address filters of a local network; else public addresses only */
	bool keep_loopback;   /* lan: loopback addresses count (tests, demos) */
	enum kad_mode mode;
	unsigned alpha, beta, k;	   /* zero: 10, 3, 20 */
	uint64_t refresh_ms;		   /* zero: 10 minutes */
	uint64_t provider_ttl_ms;	   /* zero: 48 hours */
	const struct multiaddr *bootstrap; /* with /p2p; copied */
	size_t bootstrap_count;
	const struct record_rules *rules; /* borrowed; may be NULL */
	size_t rules_count;
	/* A peer told us a record, which was checked and taken. Both are borrowed for the call,
	 * which may only start things. NULL: nobody wants to know. */
	void (*value_told)(void *value_ctx, struct bytes key, struct bytes value);
	/* A peer asks for a record: appends the one that is known here beside those that peers told
	 * us, if there is one. It is checked, and the better one is answered. NULL: none is. */
	bool (*value_known)(void *value_ctx, struct bytes key, struct buf *value);
	void *value_ctx;
};

/* A Kademlia node on this swarm. Provider records and the routing table live in db (NULL: in memory
 * only). Borrows swarm and db. kad_new starts bootstrap and refresh by itself. */
struct router *kad_new(struct swarm *swarm, struct db *db, const struct kad_config *config);
/* Peers are told by identify push. */
void kad_set_mode(struct router *kad, enum kad_mode mode);

/* The path that a checked record of "/ipns/" leads to, as its owner wrote it: perhaps no path
 * at all, but without control characters; borrows record. -EBADMSG. Pure. */
int routing_name_value(struct bytes record, struct bytes *value);

struct kad_stats {
	bool serving, automatic; /* the mode now; whether it may change by itself */
	unsigned table_peers, buckets, buckets_filled; /* filled: not empty */
	uint64_t provider_keys, provider_records;      /* kept for others and ourselves */
	uint64_t providers_refused,
		providers_displaced; /* records not taken; given up for peers with fewer */
	uint64_t values, value_bytes;
	uint64_t queries, query_failures;     /* searches that were asked for */
	uint64_t refreshes, refresh_failures; /* searches to keep the table fresh */
	uint64_t refresh_age_ms;	      /* since the last good one; UINT64_MAX: none yet */
	uint64_t messages_sent, messages_received;
};

void kad_stats(const struct router *kad, struct kad_stats *stats);

#endif

/* Where blocks come from: the local store, then peers, found by asking those we know and by
 * routing.
 *
 * Every block handed out has been checked against its CID. Blocks that were not asked for are
 * dropped before they are stored. Called by dag and fs; calls routing and net.
 *
 * Two faces:
 *   - struct exchange: the engine (Bitswap client and server); loop thread only.
 *   - struct blocks (blocks.h): how straight-line code on any other thread gets and puts blocks,
 *     waiting with a deadline and interruptibly. Its remote half is a struct fetcher (fetcher.h):
 *     the engine in the daemon, the control socket in a command, none when offline. */
#ifndef EXCHANGE_EXCHANGE_H
#define EXCHANGE_EXCHANGE_H

#include "exchange/blocks.h"
#include "exchange/fetcher.h"
#include "exchange/store/store.h"
#include "net/net.h"
#include "routing/routing.h"

/* What an engine may have at once, unless its config says otherwise. */
#define EXCHANGE_WANTS_MAX 4096
#define EXCHANGE_SESSIONS_MAX 1024

/* ---- the engine (loop thread) ---- */

struct exchange;
struct exchange_session;
struct exchange_get;

struct exchange_config {
	uint64_t provider_delay_ms;   /* silence before routing is asked [1 000] */
	uint64_t rebroadcast_ms;      /* [60 000] */
	size_t serve_message_max;     /* bytes of blocks per response message [1 MiB] */
	size_t serve_outstanding_max; /* bytes queued towards one peer [4 MiB] */
	uint64_t serve_stall_ms;      /* then a peer that reads nothing is disconnected [120 000] */
	unsigned wants_per_peer_max;  /* wants that are kept for one peer [1024] */
	size_t wants_max;	      /* blocks awaited at once, all sessions [4096] */
	size_t sessions_max;	  /* with knowledge of their own; those above share one [1024] */
	uint64_t in_flight_max;	  /* bytes of blocks on their way, both ways [256 MiB] */
	size_t verify_inline_max; /* larger blocks are hashed on a thread [8192] */
	/* May peer have the block cid? Asked with policy_ctx before each answer about it: that it
	 * is here, the block itself, and whether the want is kept until the block comes. A peer
	 * that may not is told that the block is not here. Its answers may change at any time. It
	 * must be quick and must not call the exchange. NULL: every peer may have every block. */
	bool (*may_have)(void *policy_ctx, const struct peer_id *peer, const struct cid *cid);
	void *policy_ctx;
};

/* Borrows all. router may be NULL (no provider search). Registers the Bitswap protocols with swarm.
 */
struct exchange *exchange_new(struct swarm *swarm, struct router *router, struct store *store,
			      const struct exchange_config *config);
/* Every get ends with -ECANCELED. Before swarm_close(). */
void exchange_free(struct exchange *exchange);

/* A session is for blocks that belong together (one tree, one open file): it remembers which peers
 * have them. Never NULL: above sessions_max new sessions share one memory, and differ in
 * nothing else. */
struct exchange_session *exchange_session_new(struct exchange *exchange);
void exchange_session_free(struct exchange_session *session); /* its gets end with -ECANCELED */

/* got(ctx, 0, block) or got(ctx, -errno, NULL), once, never before exchange_get() returns. The
 * callee owns one reference to block. Errors: -ETIMEDOUT (also without any peer, because one may
 * connect before the deadline), -ECANCELED, -EBADMSG (CID not allowed). */
typedef void exchange_got_fn(void *ctx, int err, struct block *block);
/* Fetches a block from peers; the caller has looked in the store. Copies cid. The block is also put
 * into the store. NULL: wants_max is reached. */
struct exchange_get *exchange_get(struct exchange_session *session, const struct cid *cid,
				  uint64_t deadline_ms, exchange_got_fn *got, void *ctx);
/* If the get ends with -ETIMEDOUT, *tried is filled in before got runs. Borrowed until then. */
void exchange_get_tell(struct exchange_get *get, struct wait_tried *tried);
void exchange_get_cancel(struct exchange_get *get); /* NULL is ignored; got will not run */

/* Tells peers that wait for them of new local blocks. Any thread. */
void exchange_have(struct exchange *exchange, const struct cid *cids, size_t count);

/* How many blocks may be awaited at once. */
size_t exchange_wants_max(const struct exchange *exchange);

struct exchange_stats {
	uint64_t blocks_received, bytes_received, duplicate_blocks, duplicate_bytes,
		unwanted_blocks;
	uint64_t blocks_sent, bytes_sent;
	uint64_t messages_received, messages_sent;
	uint64_t wants, sessions, peers, provider_searches;
	uint64_t in_flight, in_flight_peak; /* bytes of blocks on their way, now and at most */
};

void exchange_stats(const struct exchange *exchange, struct exchange_stats *stats);
/* Shows the CIDs that we wait for (peer NULL), or that peer wants from us. */
int exchange_each_want(const struct exchange *exchange, const struct peer_id *peer,
		       int (*each)(void *ctx, const struct cid *cid), void *ctx);

struct exchange_ledger {
	struct peer_id peer;
	uint64_t bytes_sent, bytes_received, exchanged; /* exchanged: messages both ways */
};
int exchange_ledger(const struct exchange *exchange, const struct peer_id *peer,
		    struct exchange_ledger *ledger); /* -ENOENT */
int exchange_each_peer(const struct exchange *exchange,
		       int (*each)(void *ctx, const struct exchange_ledger *ledger), void *ctx);

#endif

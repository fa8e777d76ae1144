/* The answering half of Bitswap (wire/exchange section 3), without sockets or store: what each peer
 * wants of us, and what it is to be sent next.
 *
 * A ledger holds at most wants_max CIDs: those we have wait in a queue by priority, the others
 * until bitswap_server_have() tells of them. It goes with its peer. For a peer that may not have a
 * block, it is answered as missing, and the want is not kept. Loop thread. */
#ifndef EXCHANGE_BITSWAP_SERVER_H
#define EXCHANGE_BITSWAP_SERVER_H

#include "exchange/bitswap/msg.h"
#include "net/base/list.h"
#include "net/base/map.h"

#define BITSWAP_SERVED_WANTS_MAX 1024 /* of one message, and by default of a ledger */
#define BITSWAP_HAVE_AS_BLOCK_MAX                                                                  \
	1024			   /* a want-have of so few bytes is answered with the block       \
				    */
#define BITSWAP_PRESENCES_MAX 4096 /* answers waiting for one peer; more are dropped */

struct bitswap_server_ops {
	/* Whether the block is stored. 0 and *size, or -errno. */
	int (*size)(void *ctx, const struct cid *cid, size_t *size);
	/* Some peer has something to be sent: see bitswap_server_next(). */
	void (*wake)(void *ctx);
	/* May the peer that bitswap_server_add() was given owner for have the block? Asked when it
	 * wants it, when the block comes, and before it is sent. NULL: every peer may have every
	 * block. */
	bool (*may_have)(void *ctx, void *owner, const struct cid *cid);
};

struct bitswap_server {
	const struct bitswap_server_ops *ops;
	void *ctx;
	unsigned wants_max;
	uint64_t order;	    /* of the next want: first come, first served */
	struct map lacking; /* multihash -> struct lack */
	struct list known,
		due; /* the same: those looked for in the store, and those to look for again */
	struct list turns; /* peers with mail; the first is next */
};

/* Wants of one peer, ordered. */
struct bitswap_server_heap {
	struct bitswap_server_want **at;
	size_t len, cap;
};

struct bitswap_server_peer {
	struct bitswap_server *server;
	void *owner;
	struct map wants; /* CID -> struct bitswap_server_want */
	struct bitswap_server_heap best,
		least;	   /* those we have, twice: what is sent, and dropped, first */
	struct list lacks; /* those we have not, oldest first */
	struct list turn;  /* of server->turns */
	struct buf presences;
	unsigned presence_count;
	uint64_t pending_bytes; /* sum of those we have */
};

/* A block to be sent. Its want has left the ledger. */
struct bitswap_task {
	struct cid cid;
	int32_t priority;
	bool have, send_dont_have;
	size_t size;
};

void bitswap_server_init(struct bitswap_server *server, unsigned wants_max,
			 const struct bitswap_server_ops *ops, void *ctx);
/* Every peer is removed already. */
void bitswap_server_release(struct bitswap_server *server);

struct bitswap_server_peer *bitswap_server_add(struct bitswap_server *server, void *owner);
void bitswap_server_remove(struct bitswap_server_peer *peer); /* NULL is ignored */

/* Apply the wantlist of a message that was checked. */
void bitswap_server_message(struct bitswap_server_peer *peer, struct bytes message,
			    const struct bitswap_summary *summary);
/* The block is stored now: wants for it are served. */
void bitswap_server_have(struct bitswap_server *server, struct bytes multihash, size_t size);

/* For when it is not known which blocks have come: all lacking ones are to be looked for again
 * ... */
void bitswap_server_recheck(struct bitswap_server *server);
/* ... at most max of them now. True while some are left. */
bool bitswap_server_recheck_some(struct bitswap_server *server, unsigned max);

/* Takes the next peer with something to be sent off the queue; NULL: none. */
struct bitswap_server_peer *bitswap_server_next(struct bitswap_server *server);
/* Back to the end of the queue, if there is mail left. */
void bitswap_server_again(struct bitswap_server_peer *peer);
bool bitswap_server_has_mail(const struct bitswap_server_peer *peer);
/* The size of the block to be sent next; -ENOENT: none. Wants for blocks that the peer may not have
 * any more are dropped and answered as missing. */
ssize_t bitswap_server_peek(struct bitswap_server_peer *peer);
bool bitswap_server_pop(struct bitswap_server_peer *peer, struct bitswap_task *task);
/* The block of task was not there: keeps the want as lacking, and answers so. */
void bitswap_server_missed(struct bitswap_server_peer *peer, const struct bitswap_task *task);

/* Non-zero from each() stops and is returned. */
int bitswap_server_each(const struct bitswap_server_peer *peer,
			int (*each)(void *ctx, const struct cid *cid), void *ctx);

#endif

/* Between the files of peering. Loop thread only; the codec is pure. */
#ifndef NET_PEERING_PRIVATE_H
#define NET_PEERING_PRIVATE_H

#include "net/base/map.h"
#include "net/db/db.h"
#include "net/net.h"

#define PEERING_TABLE "peering"
#define PEERING_GIVEN_MAX 16 /* addresses that the user gave, per peer */
#define PEERING_LEARNT_MAX 8 /* addresses that answered or that the peer told */
#define PEERING_RECENT_MAX 64
#define PEERING_START_MAX 16		   /* recent peers that are tried at the start */
#define PEERING_FIRST_MS 1000		   /* from a loss to the first dial */
#define PEERING_LONGEST_MS (5 * 60 * 1000) /* between two dials */
#define PEERING_STEADY_MS 60000 /* a connection that lived so long: the next delay is the first */
#define PEERING_DIAL_MS 60000
#define PEERING_SETTLED_MS 30000 /* a peer that stays so long is remembered */
#define PEERING_LOOK_MS (10 * 60 * 1000)
#define PEERING_ASKED_MS                                                                           \
	(30ull * 24 * 3600 * 1000) /* PEERING_ASKED ends so long after the last                    \
				    * connection */

/* A peer that is kept (why is not 0), or one that was connected lately (why is 0). */
struct kept {
	struct list node; /* of peering->peers */
	struct peering *peering;
	struct peer_id id;
	unsigned why;
	uint64_t good_ms; /* since 1970: when it was last seen connected; 0: never */
	struct multiaddr *given, *learnt;
	size_t given_count, learnt_count;
	struct timer timer; /* to the next dial */
	struct swarm_op *op;
	bool sought;	   /* the present dial asks routing */
	uint64_t delay_ms; /* before the next dial, without its jitter */
	uint64_t up_ms;	   /* loop clock: when the connection came up */
	unsigned attempts; /* since the last connection */
};

/* ---- peering_record.c ---- */

/* The value of a record, appended to out. */
void peering_record_encode(struct buf *out, const struct kept *kept);
/* Fills in why, good_ms, given and learnt, which the caller frees also after an error. -EBADMSG. */
int peering_record_decode(struct kept *kept, struct bytes value);

#endif

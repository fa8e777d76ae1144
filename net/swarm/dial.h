/* Dialling: from a peer id to a connection. Candidates are ranked, names resolved, attempts
 * staggered, the first to finish its handshake wins. One dial per peer serves every operation that
 * waits. Loop thread only. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/swarm/swarm.h"

#define DIAL_PARALLEL_MAX 8   /* attempts of one dial at once */
#define DIAL_ATTEMPTS_MAX 160 /* of all dials */
#define DIALS_MAX 256	      /* peers being dialled */
#define DIAL_ADDRS_MAX 100    /* candidates of one dial */
#define DIAL_TRIED_MAX 128    /* results kept for swarm_connect_asked() */
#define DIAL_STAGGER_MS 250
#define DIAL_STAGGER_LOCAL_MS 30

struct dial;

/* The dial of op has ended, with a connection or with an error. */
typedef void swarm_dialed_fn(struct swarm_op *op, int err);

struct dials *dials_new(struct swarm *swarm, swarm_dialed_fn *dialed);
/* Cancels every dial; no operation waits any more. NULL is ignored. */
void dials_free(struct dials *dials);

/* Joins op, with its addresses, to the dial of its peer; dialed(op) runs later. -EAGAIN: too
 * many dials or connections; -EMFILE: too many connections, if op->by_user is set. */
int dial_join(struct dials *dials, struct swarm_op *op);
/* Takes op off its dial, if it has one. A dial ends with its last operation. */
void dial_leave(struct swarm_op *op);
/* Copies the addresses that the dial has tried, or did not come to, with their errors, to
 * op->tried. Only if op->asked is set. */
void dial_tell(struct swarm_op *op);
/* An operation that waits for peer; NULL: none. */
struct swarm_op *dial_waiter(const struct dials *dials, const struct peer_id *peer);
/* The finder's answer. */
void dial_found(struct dials *dials, const struct peer_id *peer, int err,
		const struct peer_info *info);

/* The rank of an address; lower is tried sooner: loopback, private, public. -1: relayed, or no
 * transport can dial it. */
int dial_rank(struct swarm *swarm, const struct multiaddr *addr);

#endif

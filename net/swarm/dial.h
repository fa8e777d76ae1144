/* Dialling: from a peer id to a connection. Candidates are ranked, names resolved, attempts
 * staggered, the first to finish its handshake wins. One dial per peer serves every operation that
 * waits. Loop thread only. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/swarm/swarm.h"

#define DIAL_PARALLEL_MAX 8	/* attempts of one dial at once */
#define DIAL_ATTEMPTS_MAX 160	/* of all dials */
#define DIALS_MAX 256		/* peers being dialled */
#define DIAL_ADDRS_MAX 100	/* candidates of one dial */
#define DIAL_TRIED_MAX 128	/* told to a person */
#define DIAL_STAGGER_MS 250
#define DIAL_STAGGER_LOCAL_MS 30

struct dial;

struct dials *dials_new(struct swarm *swarm);
/* Cancels every dial; no operation waits any more. NULL is ignored. */
void dials_free(struct dials *dials);

/* op (with the addresses given) waits for a connection; swarm_op_dialed() will run, later.
 * -EAGAIN: too many dials or connections; -EMFILE: too many connections for what a person asks. */
int dial_join(struct dials *dials, struct swarm_op *op);
/* op waits no more; the dial ends with its last operation. Nothing when it was not waiting. */
void dial_leave(struct swarm_op *op);
/* Into op: which addresses its dial has tried, or did not come to, and why. Only when op->asked is set. */
void dial_tell(struct swarm_op *op);
/* One that waits for peer; NULL: none does. */
struct swarm_op *dial_waiter(const struct dials *dials, const struct peer_id *peer);
/* Sockets being connected, or not upgraded yet. */
size_t dial_sockets(const struct dials *dials); /* NULL: 0 */
/* The finder's answer. */
void dial_found(struct dials *dials, const struct peer_id *peer, int err,
		const struct peer_info *info);

/* Lower is tried sooner: loopback, private, public, names; relayed and what no transport dials: -1.
 */
int dial_rank(struct swarm *swarm, const struct multiaddr *addr);

#endif

/* The inside of a dial, for dial*.c only. Loop thread. */
#ifndef NET_DIAL_PRIVATE_H
#define NET_DIAL_PRIVATE_H

#include "net/swarm/dial.h"
#include "net/swarm/dial_limit.h"

/* One address being tried: connect, then upgrade. */
struct attempt {
	struct dial *dial;
	struct transport *transport; /* set while connecting */
	void *connect;
	struct upgrade *upgrade;
	struct multiaddr addr;
};

struct candidate {
	struct multiaddr addr;
	int rank;
	bool explicit; /* told by the user: ignores the limits */
};

struct dial {
	struct dials *dials;
	struct peer_id peer;
	struct list ops;			  /* struct swarm_op.dial_node */
	struct candidate *ranked[DIAL_ADDRS_MAX]; /* those before next are done with */
	size_t ranked_count, next;
	struct attempt *attempts[DIAL_PARALLEL_MAX];
	size_t attempt_count;
	struct lookup *lookups[DIAL_PARALLEL_MAX];
	size_t lookup_count;
	struct timer deadline, stagger;
	bool asked;		   /* the finder, once */
	bool finding;		   /* its answer is awaited */
	bool by_user;		   /* a person waits: known addresses do not back off */
	struct swarm_tried *tried; /* noted while by_user is set */
	size_t tried_count;
	bool backed_off; /* an address was left alone, by dial_limit */
	int err;	 /* the most telling so far */
	bool over;	 /* nothing is under way and no operation waits; freed with the turn */
	struct list over_node; /* of dials->over */
};

/* A name being resolved for a dial. */
struct lookup {
	struct dial *dial;
	struct resolve *resolve;
	struct multiaddr addr;
	bool explicit;
};

struct dials {
	struct swarm *swarm;
	swarm_dialed_fn *dialed;
	struct map dials; /* peer id -> struct dial */
	struct dial_limit *limit;
	struct list over; /* struct dial: callers on the stack may still look at them */
	struct timer reap;
};

/* ---- dial_candidates.c ---- */

/* Keeps the result for an address, for swarm_connect_asked(). A later result replaces an earlier
 * one. answered: the identity that answered instead, if known. */
void dial_note_tried(struct dial *dial, const struct multiaddr *addr, int err,
		     const struct peer_id *answered);
/* Into its place by rank, behind equals, among those not tried yet. Takes it. */
void dial_candidate_insert(struct dial *dial, struct candidate *candidate);
/* Known as a candidate: true. One that has failed is tried again if again is set. */
bool dial_is_candidate(struct dial *dial, const struct multiaddr *addr, bool explicit, bool again);

#endif

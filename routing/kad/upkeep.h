/* Keeps a node in the network. Dials the bootstrap list while the table has few peers; looks up its
 * own id and a key of each bucket every refresh_ms, and soon after the first peer came; drops
 * expired records; announces our own values again, one at a time. Without a list it never dials by
 * itself. Loop thread only. */
#ifndef ROUTING_KAD_UPKEEP_H
#define ROUTING_KAD_UPKEEP_H

#include "routing/kad/walk.h"

#define KAD_BOOTSTRAP_MAX 64 /* addresses */
#define KAD_BOOTSTRAP_DIALS_MAX 2
#define KAD_BOOTSTRAP_ENOUGH 10 /* peers in the table */
#define KAD_BOOTSTRAP_MS (2 * 60 * 1000)

struct kad_upkeep_dial {
	struct kad *kad;
	struct swarm_op *op;
};

struct kad_upkeep {
	struct multiaddr *addrs; /* without /p2p */
	struct peer_id *peers;	 /* whose they are */
	size_t count;
	struct kad_upkeep_dial dials[KAD_BOOTSTRAP_DIALS_MAX];
	uint64_t backoff_ms;
	struct timer dial, refresh, sweep, again;
	struct kad_walk walk;
	uint64_t round_ms; /* when this round of refresh began */
	bool refreshed;	   /* ever */
	bool drawn;	   /* the walk's key was drawn at random */
	uint64_t refreshed_ms, refreshes, refresh_failures;
	struct routing_query *telling; /* a value of ours */
};

void kad_upkeep_start(struct kad *kad);
void kad_upkeep_stop(struct kad *kad);
/* The table has its first peer: refreshes at once. */
void kad_upkeep_first_peer(struct kad *kad);
/* Announces those of our values again that are due. Runs by a timer; public for its test. */
void kad_upkeep_tell_again(struct kad *kad);

#endif

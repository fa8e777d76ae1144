/* Announces the keys of one region at a time: looks around until all peers of the region are known,
 * then tells each peer the keys that it is one of the k nearest to, all over one stream, and lets
 * it confirm by a question behind them. A lone key is announced to the k nearest of its own lookup.
 * Keys whose k nearest are implausibly dense (netsize.h) go to all peers within the expected reach.
 *
 * What is bounded: KAD_SWEEP_WALKS_MAX lookups a region, KAD_SWEEP_PEERS_MAX peers told side by
 * side with KAD_SWEEP_CALLS_MAX messages waiting at each, KAD_SWEEP_PASS_MAX keys at once (a region
 * with more takes several passes). Loop thread only; embedded in its owner. */
#ifndef ROUTING_KAD_REGION_SWEEP_H
#define ROUTING_KAD_REGION_SWEEP_H

#include "routing/due.h"
#include "routing/kad/region.h"
#include "routing/kad/walk.h"

#define KAD_SWEEP_WALKS_MAX 16
#define KAD_SWEEP_PEERS_MAX 8
#define KAD_SWEEP_CALLS_MAX 12
#define KAD_SWEEP_PASS_MAX 4096
#define KAD_SWEEP_PROVIDERS_MANY 100 /* an answer with so many may be cut short */
#define KAD_SWEEP_WALK_MS (2ull * 60 * 1000)
#define KAD_SWEEP_FRESH_MS (5ull * 60 * 1000) /* so long what is known of a region is good */

struct kad_region_sweep;

/* A peer confirmed key, at least one; it leaves the set after the call. */
typedef void kad_sweep_told_fn(void *ctx, struct due_key *key);
/* The region is through. failed: how many of its keys wait now; confirmed and unkept tell of the
 * peers. The sweep can be started again. */
typedef void kad_sweep_done_fn(void *ctx, size_t failed);

/* Zeroed, then kad_region_sweep_init(). */
struct kad_region_sweep {
	struct kad *kad;
	struct due_set *set;
	struct place_region bounds; /* keys outside of it are not taken */
	struct place_region region; /* whose peers are to be known */
	struct place_region inside; /* whose keys are announced: region within the bounds */
	struct kad_region_map map;
	struct kad_walk walk;
	struct buf target; /* of the walk */
	struct place_region gap;
	unsigned walks;
	uint64_t known_ms; /* when the region was known */
	bool running;
	/* one pass */
	struct due_key **keys;
	uint16_t *last; /* per key: the farthest of the peers that are told, in map */
	bool *took;
	size_t count, failed;
	unsigned confirmed,
		unkept; /* peers that were told since the start; those that keep no record of it */
	size_t next;	/* of map.peers to be told */
	struct multiaddr *addrs;
	size_t addr_count;
	struct list tellings;
	unsigned telling_count;
	struct timer soon;
	kad_sweep_told_fn *told;
	kad_sweep_done_fn *done;
	void *ctx;
};

/* Borrows kad and set. */
void kad_region_sweep_init(struct kad_region_sweep *sweep, struct kad *kad, struct due_set *set,
			   const struct place_region *bounds, kad_sweep_told_fn *told,
			   kad_sweep_done_fn *done, void *ctx);
/* Announce the region around key, which is within the bounds and may be taken. Not while running.
 * No callback before it returned. */
void kad_region_sweep_start(struct kad_region_sweep *sweep, const struct due_key *key);
/* No callback any more; what was held is let go. Harmless when it does not run. */
void kad_region_sweep_stop(struct kad_region_sweep *sweep);

#endif

/* Leases: names of blocks that no collection of any process takes, until their holder ends or dies.
 *
 * A lease is a file lease-NUMBER in the store's directory, flock()ed (shared) by its holder:
 * XXH3-64 of a multihash, 8 bytes little-endian, for each block. Two names that share a sum only
 * keep a block for longer. A file that nobody locks was left by a process that died, and is
 * removed.
 *
 * A name is in the file before its block is queued, so before the committer asks whether a sweep
 * runs. Whoever sweeps makes that known first and reads the leases then: a block that is named too
 * late for it is written anew, where it does not sweep. */
#ifndef EXCHANGE_STORE_LEASE_H
#define EXCHANGE_STORE_LEASE_H

#include "exchange/store/store_lmdb.h"

#define LEASE_BLOCKS_MAX ((uint64_t)1 << 27) /* of one lease */

struct lease {
	pthread_mutex_t lock;
	int fd; /* -1: nothing is held */
	unsigned number;
	uint64_t bytes; /* of the file */
};

/* Makes nothing on the disk. */
void lease_init(struct lease *lease);
/* Any thread. 0; -EFBIG over LEASE_BLOCKS_MAX; -errno (the file). */
int lease_hold(struct store_lmdb *lmdb, struct lease *lease, struct bytes multihash);
/* Holds nothing any more. */
void lease_end(struct store_lmdb *lmdb, struct lease *lease);

/* What leases hold. Zero-initialised is empty and valid. */
struct lease_set {
	uint64_t *sums; /* sorted */
	size_t count;
};

/* Adds what all processes hold now, and removes what dead ones left. The janitor's lock is held. 0,
 * -errno; the set is valid in any case. */
int lease_set_gather(struct store_lmdb *lmdb, struct lease_set *set);
bool lease_set_has(const struct lease_set *set, struct bytes multihash);
void lease_set_release(struct lease_set *set);

#endif

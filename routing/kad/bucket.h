/* The routing table: buckets of up to k peers by common prefix with our own id, the last one
 * splitting.
 *
 * A full bucket takes a newcomer only in place of a peer that was not useful for long. Of one /16
 * of the public IPv4 net at most 2 peers are in a bucket and 3 in the table. Pure: now is an
 * argument. */
#ifndef ROUTING_KAD_BUCKET_H
#define ROUTING_KAD_BUCKET_H

#include "net/wire/key.h"
#include "routing/place.h"

#define KAD_K_MAX 64
#define KAD_GROUP_BUCKET_MAX 2
#define KAD_GROUP_TABLE_MAX 3
#define KAD_USEFUL_MS (60ull * 60 * 1000) /* for this time a peer that answered is not replaced */

struct kad_bucket_peer {
	struct peer_id peer;
	struct place id;
	uint32_t group;	    /* kad_filter_group(); 0 counts nowhere */
	uint64_t useful_ms; /* when it last answered us, or came in */
};

struct kad_bucket {
	struct kad_bucket_peer *peers; /* room for k */
	unsigned count;
	uint64_t refreshed_ms;
};

/* Zeroed, then kad_bucket_init(). */
struct kad_buckets {
	struct peer_id self;
	struct place id;
	unsigned k, count, peers; /* count: buckets, the last holds all that share more */
	struct kad_bucket *at;	  /* room for PLACE_BITS */
};

void kad_bucket_init(struct kad_buckets *table, const struct peer_id *self, unsigned k);
void kad_bucket_release(struct kad_buckets *table);

/* Adds peer. -EEXIST: it is in the table. -EAGAIN: no room, or too many of its group. -EINVAL: it
 * is ourselves. *replaced (may be NULL) becomes the peer that was replaced, or none. */
int kad_bucket_add(struct kad_buckets *table, const struct peer_id *peer, uint32_t group,
		   uint64_t now_ms, struct peer_id *replaced);
/* Notes that peer answered. */
void kad_bucket_useful(struct kad_buckets *table, const struct peer_id *peer, uint64_t now_ms);
bool kad_bucket_has(const struct kad_buckets *table, const struct peer_id *peer);
/* False when it was not there. */
bool kad_bucket_remove(struct kad_buckets *table, const struct peer_id *peer);
/* The nearest to target but `except` (may be NULL), nearest first; returns how many. max <=
 * KAD_K_MAX. */
size_t kad_bucket_closest(const struct kad_buckets *table, const struct place *target,
			  const struct peer_id *except, struct peer_id *out, size_t max);
/* Finds a bucket that was not refreshed since before_ms: true, and *index is its number. It counts
 * as refreshed at now_ms. */
bool kad_bucket_refresh_due(struct kad_buckets *table, uint64_t before_ms, uint64_t now_ms,
			    unsigned *index);

#endif

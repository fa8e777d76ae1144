/* Shards of HAMT directories (wire/dag section 4): arithmetic of hashes, prefixes and bitmaps, and
 * the decoder of one shard. Pure; any thread. */
#ifndef DAG_HAMT_H
#define DAG_HAMT_H

#include "dag/dagpb.h"
#include "dag/unixfs.h"

#define HAMT_FANOUT_DEFAULT 256
#define HAMT_FANOUT_MAX 1024
#define HAMT_PREFIX_MAX 3
#define HAMT_DEPTH_MAX 21 /* levels of the narrowest fanout */

/* What follows from a fanout. */
struct hamt_shape {
	unsigned fanout;
	unsigned bits;	     /* of the hash, used up a level */
	unsigned prefix_len; /* hex digits before each link's name */
	unsigned levels;     /* shards at depth 0..levels-1 */
};

/* Which buckets are used: bit i is bit i%8 of bits[i/8]. */
struct hamt_bitmap {
	uint8_t bits[HAMT_FANOUT_MAX / 8];
};

/* fanout: a power of two, 8..1024. 0 or -EBADMSG. */
int hamt_shape(struct hamt_shape *shape, uint64_t fanout);

uint64_t hamt_hash(struct bytes name);
/* Bucket of a hash in a shard at depth (0: root), bits from the most significant on; -1 when the
 * hash is used up (depth >= shape->levels). */
int hamt_index(const struct hamt_shape *shape, uint64_t hash, unsigned depth);

/* prefix_len upper-case hex digits and a NUL. */
void hamt_prefix(const struct hamt_shape *shape, unsigned index,
		 char out[static HAMT_PREFIX_MAX + 1]);
/* The bucket that name's prefix tells, -1 when it has none (too short, lower case, not below
 * fanout). */
int hamt_prefix_index(const struct hamt_shape *shape, struct bytes name);

bool hamt_bitmap_get(const struct hamt_bitmap *map, unsigned index);
void hamt_bitmap_set(struct hamt_bitmap *map, unsigned index, bool used);
unsigned hamt_bitmap_count(const struct hamt_bitmap *map);
/* Big-endian without leading zero bytes, appended; nothing for an empty bitmap. */
void hamt_bitmap_encode(struct buf *out, const struct hamt_bitmap *map);
/* -EBADMSG when wider than fanout / 8 bytes. Leading zeros are accepted. */
int hamt_bitmap_decode(struct hamt_bitmap *map, const struct hamt_shape *shape, struct bytes in);

/* One decoded shard. Link i stands in bucket index[i]; buckets ascend strictly. Borrows from the
 * block. */
struct hamt_shard {
	struct hamt_shape shape;
	struct dagpb node;
	uint16_t *index; /* of each link; owned */
};

/* Checks type, hash function, fanout, bitmap width, popcount = links, every prefix (case, width)
 * against its bucket. 0 or -EBADMSG; -ENOTDIR when the node is no shard. Release with
 * hamt_shard_release(). */
int hamt_shard_decode(struct hamt_shard *shard, struct bytes block);
void hamt_shard_release(struct hamt_shard *shard);
/* The link of a bucket, or -1. */
int hamt_shard_find(const struct hamt_shard *shard, unsigned index);
/* Link i with the prefix taken off its name: an empty name means a child shard. */
void hamt_shard_link(const struct hamt_shard *shard, size_t i, struct dagpb_link *link);

#endif

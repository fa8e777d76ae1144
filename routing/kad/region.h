/* Keys that are to be announced, in order of their places, and what is known of the peers around
 * them. Pure; any thread.
 *
 * A region is a prefix of the key space. When the peers of one are known with certainty and there
 * are k of them or more, the k nearest to each of its keys are among them: all its keys are served
 * by one look around instead of one each. */
#ifndef ROUTING_KAD_REGION_H
#define ROUTING_KAD_REGION_H

#include "net/base/random.h"
#include "net/wire/key.h"
#include "routing/kad/key.h"

#define KAD_REGION_KEYS_MAX 131072 /* in one set: some 12 MB */
#define KAD_REGION_PEERS_MAX 512   /* known around one region; more are not taken */
#define KAD_REGION_COVERS_MAX 32
#define KAD_REGION_DRAWN_LEN 34 /* a multihash */
#define KAD_REGION_CELLS 4096
#define KAD_REGION_CELL_BITS 12

/* All places that share the first bits with id. */
struct kad_region {
	struct kad_id id;
	unsigned bits;
};

bool kad_region_has(const struct kad_region *region, const struct kad_id *id);
/* Its half that does or does not (other) hold region->id. bits < KAD_ID_BITS. */
struct kad_region kad_region_half(const struct kad_region *region, bool other);
/* The smallest region around id that holds all places nearer to it than reach (> 0). */
struct kad_region kad_region_around(const struct kad_id *id, uint64_t reach);
/* Draws a key that lies in region; false when none came up (the hash cannot be turned around):
 * out is then as near as was found. */
bool kad_region_draw(const struct kad_region *region, struct random *random,
		     uint8_t out[static KAD_REGION_DRAWN_LEN]);

/* ---- keys ---- */

struct kad_region_key {
	struct kad_id id;
	bool held;  /* somebody has a pointer to it: it must not go */
	bool gone;  /* withdrawn while it was held: whoever holds it removes it */
	bool waits; /* failed: not taken until kad_region_set_retry() */
	bool listed; /* its owner has read it from a list: it goes when it stands there no more */
	uint8_t len;
	uint8_t bytes[];
};

struct kad_region_cell {
	struct kad_region_key **keys;
	uint32_t count, cap;
};

/* Zeroed is empty. */
struct kad_region_set {
	struct kad_region_cell *cells; /* by the first KAD_REGION_CELL_BITS; NULL when empty */
	size_t count;
};

static inline struct bytes kad_region_key_bytes(const struct kad_region_key *key)
{
	return bytes_of(key->bytes, key->len);
}

void kad_region_set_release(struct kad_region_set *set);
/* 0: in it now (copied). -EEXIST: it was. -EAGAIN: full. -EINVAL: not of 1..255 bytes. */
int kad_region_set_add(struct kad_region_set *set, struct bytes key);
/* NULL when it is not there, or gone. */
struct kad_region_key *kad_region_set_find(const struct kad_region_set *set, struct bytes key);
/* Frees it, or marks one that is held as gone. */
void kad_region_set_drop(struct kad_region_set *set, struct kad_region_key *key);
/* Drops those that keep() does not want. Looks at some `max` keys from cell *at (0 at first) on, and moves it. True:
 * there are more. */
bool kad_region_set_sift(struct kad_region_set *set, unsigned *at, size_t max,
			 bool (*keep)(void *ctx, const struct kad_region_key *key), void *ctx);
/* The first of region from the place `from` on that may be taken (not held, not waiting); NULL when
 * there is none. */
struct kad_region_key *kad_region_set_next(const struct kad_region_set *set,
					   const struct kad_region *region,
					   const struct kad_id *from);
/* Those of region that may be taken, at most max; out may be NULL: they are just counted. */
size_t kad_region_set_take(const struct kad_region_set *set, const struct kad_region *region,
			   struct kad_region_key **out, size_t max);
/* All of region that may be taken wait from now on; returns how many. */
size_t kad_region_set_defer(struct kad_region_set *set, const struct kad_region *region);
/* Nobody waits any more. */
void kad_region_set_retry(struct kad_region_set *set);

/* ---- peers ---- */

struct kad_region_peer {
	struct kad_id id;
	struct peer_id peer;
};

/* Zeroed is empty. */
struct kad_region_map {
	struct kad_region_peer *peers; /* by id */
	size_t count, cap;
	struct kad_region *covers; /* all peers of these are known */
	size_t cover_count;
};

void kad_region_map_release(struct kad_region_map *map);
void kad_region_map_add(struct kad_region_map *map, const struct peer_id *peer);
/* All peers of region are known now. */
void kad_region_map_cover(struct kad_region_map *map, const struct kad_region *region);
/* A part of region of which nothing is known: true. False: all of it is known. */
bool kad_region_map_gap(const struct kad_region_map *map, const struct kad_region *region,
			struct kad_region *gap);
/* Of the k peers nearest to id, which is the farthest (all that are as near are among the k). The
 * map is not empty; of fewer than k it is the farthest of all. k <= 64. When the k are implausibly
 * dense for reach (netsize.h; 0: not known): of all that are nearer than it. */
size_t kad_region_map_last(const struct kad_region_map *map, const struct kad_id *id, unsigned k,
			   uint64_t reach);

#endif

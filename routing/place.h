/* Places in the key space: SHA-256 of a key, compared by XOR (wire/routing section 1). Kademlia
 * puts peers and records by them; announcing spreads keys over time by them. Pure; any thread. */
#ifndef ROUTING_PLACE_H
#define ROUTING_PLACE_H

#include "net/base/bytes.h"
#include "net/base/random.h"

#define PLACE_LEN 32
#define PLACE_BITS 256
#define PLACE_DRAWN_LEN 34 /* a multihash */

struct place {
	uint8_t bytes[PLACE_LEN];
};

/* Where a key (a peer id, a multihash, "/ipns/" and so on) lies. */
struct place place_of_key(struct bytes key);
/* Bits that a and b share from the left: 256 when they are equal. */
unsigned place_common(const struct place *a, const struct place *b);
/* < 0 when a is closer to target than b, > 0 when farther, 0 when a equals b. */
int place_closer(const struct place *target, const struct place *a, const struct place *b);
/* The first 64 bits of the distance: all that matters among fewer than some 2^50 peers. */
uint64_t place_distance(const struct place *a, const struct place *b);

/* ---- regions ---- */

/* All places that share the first bits with id. */
struct place_region {
	struct place id;
	unsigned bits;
};

bool place_region_has(const struct place_region *region, const struct place *id);
/* Its half that does or does not (other) hold region->id. bits < PLACE_BITS. */
struct place_region place_region_half(const struct place_region *region, bool other);
/* The smallest region around id that holds all places nearer to it than reach (> 0). */
struct place_region place_region_around(const struct place *id, uint64_t reach);
/* Draws a key that lies in region; false when none came up (the hash cannot be turned around):
 * out is then as near as was found. */
bool place_region_draw(const struct place_region *region, struct random *random,
		       uint8_t out[static PLACE_DRAWN_LEN]);

#endif

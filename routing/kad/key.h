/* Places in the key space of Kademlia: SHA-256 of a key, compared by XOR (wire/routing section 1).
 * Pure; any thread. */
#ifndef ROUTING_KAD_KEY_H
#define ROUTING_KAD_KEY_H

#include "net/base/bytes.h"

#define KAD_ID_LEN 32
#define KAD_ID_BITS 256

struct kad_id {
	uint8_t bytes[KAD_ID_LEN];
};

/* Where a key (a peer id, a multihash, "/ipns/" and so on) lies. */
struct kad_id kad_id_of(struct bytes key);
/* Bits that a and b share from the left: 256 when they are equal. */
unsigned kad_id_common(const struct kad_id *a, const struct kad_id *b);
/* < 0 when a is closer to target than b, > 0 when farther, 0 when a equals b. */
int kad_id_closer(const struct kad_id *target, const struct kad_id *a, const struct kad_id *b);
/* The first 64 bits of the distance: all that matters among fewer than some 2^50 peers. */
uint64_t kad_id_distance(const struct kad_id *a, const struct kad_id *b);

#endif

/* Distances by XOR, bit by bit from the left, and regions: prefixes of the key space. Pure; any
 * thread. */
#include "routing/place.h"

#include "net/wire/multihash.h"

#include <assert.h>
#include <string.h>

#define DRAWS_MAX 16384

struct place place_of_key(struct bytes key)
{
	struct place id;

	sha256(id.bytes, key);
	return id;
}

unsigned place_common(const struct place *a, const struct place *b)
{
	for (unsigned i = 0; i < PLACE_LEN; i++) {
		uint8_t differ = a->bytes[i] ^ b->bytes[i];

		if (differ)
			return i * 8 + (unsigned)__builtin_clz(differ) - 24;
	}
	return PLACE_BITS;
}

int place_closer(const struct place *target, const struct place *a, const struct place *b)
{
	for (unsigned i = 0; i < PLACE_LEN; i++) {
		int to_a = a->bytes[i] ^ target->bytes[i], to_b = b->bytes[i] ^ target->bytes[i];

		if (to_a != to_b)
			return to_a - to_b;
	}
	return 0;
}

uint64_t place_distance(const struct place *a, const struct place *b)
{
	uint64_t distance = 0;

	for (unsigned i = 0; i < sizeof(distance); i++)
		distance = distance << 8 | (a->bytes[i] ^ b->bytes[i]);
	return distance;
}

/* ---- regions ---- */

bool place_region_has(const struct place_region *region, const struct place *id)
{
	return place_common(&region->id, id) >= region->bits;
}

struct place_region place_region_half(const struct place_region *region, bool other)
{
	struct place_region half = *region;

	assert(region->bits < PLACE_BITS);
	if (other)
		half.id.bytes[half.bits / 8] ^= (uint8_t)(0x80 >> half.bits % 8);
	half.bits++;
	return half;
}

struct place_region place_region_around(const struct place *id, uint64_t reach)
{
	assert(reach > 0);
	return (struct place_region){ .id = *id, .bits = (unsigned)__builtin_clzll(reach) };
}

bool place_region_draw(const struct place_region *region, struct random *random,
		       uint8_t out[static PLACE_DRAWN_LEN])
{
	uint8_t one[PLACE_DRAWN_LEN] = { 0x12, 0x20 };
	unsigned best = 0;

	for (unsigned i = 0; i < DRAWS_MAX; i++) {
		struct place id;
		unsigned common;

		random_fill(random, one + 2, sizeof(one) - 2);
		id = place_of_key(bytes_of(one, sizeof(one)));
		common = place_common(&region->id, &id);
		if (i == 0 || common > best) {
			best = common;
			memcpy(out, one, sizeof(one));
		}
		if (best >= region->bits)
			return true;
	}
	return false;
}

/* Places in the key space, and the XOR distance between them. Pure; any thread. */
#include "routing/kad/key.h"

#include "net/wire/multihash.h"

struct kad_id kad_id_of(struct bytes key)
{
	struct kad_id id;

	sha256(id.bytes, key);
	return id;
}

unsigned kad_id_common(const struct kad_id *a, const struct kad_id *b)
{
	for (unsigned i = 0; i < KAD_ID_LEN; i++) {
		uint8_t differ = a->bytes[i] ^ b->bytes[i];

		if (differ)
			return i * 8 + (unsigned)__builtin_clz(differ) - 24;
	}
	return KAD_ID_BITS;
}

int kad_id_closer(const struct kad_id *target, const struct kad_id *a, const struct kad_id *b)
{
	for (unsigned i = 0; i < KAD_ID_LEN; i++) {
		int to_a = a->bytes[i] ^ target->bytes[i], to_b = b->bytes[i] ^ target->bytes[i];

		if (to_a != to_b)
			return to_a - to_b;
	}
	return 0;
}

uint64_t kad_id_distance(const struct kad_id *a, const struct kad_id *b)
{
	uint64_t distance = 0;

	for (unsigned i = 0; i < sizeof(distance); i++)
		distance = distance << 8 | (a->bytes[i] ^ b->bytes[i]);
	return distance;
}

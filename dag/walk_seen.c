/* Open addressing over digests. Keys are the first 32 bytes of the digest mixed with the hash
 * function's code, so that equal digests of different functions differ, and with the codec: the
 * same bytes have links as dag-pb and none as raw. The digest of an identity CID is its author's
 * choice: its key is made of a hash of it. The slot depends on a random seed. One thread. */
#include "dag/walk_seen.h"

#include "net/base/alloc.h"
#include "net/base/random.h"

#include <stdlib.h>
#include <string.h>

#define CAP_MIN 64

static void make_key(const struct cid *cid, uint8_t key[static SEEN_KEY])
{
	struct multihash hash = cid_hash(cid);
	uint8_t digest[32];

	if (cid_is_identity(cid)) {
		sha256(digest, hash.digest);
		hash.digest = bytes_of(digest, sizeof(digest));
	}
	size_t len = hash.digest.len < SEEN_KEY ? hash.digest.len : SEEN_KEY;

	memset(key, 0, SEEN_KEY);
	memcpy(key, hash.digest.at, len);
	for (unsigned i = 0; i < 8; i++)
		key[i] ^= (uint8_t)(hash.code >> 8 * i);
	for (unsigned i = 0; i < 8; i++)
		key[8 + i] ^= (uint8_t)(cid->codec >> 8 * i);
}

static bool is_free(const uint8_t key[static SEEN_KEY])
{
	static const uint8_t zero[SEEN_KEY];

	return !memcmp(key, zero, SEEN_KEY);
}

/* Where key is, or the free slot where it would go. */
static size_t slot_of(const struct walk_seen *seen, const uint8_t key[static SEEN_KEY])
{
	uint64_t words[2];

	memcpy(words, key, sizeof(words));
	uint64_t mixed = (words[0] ^ seen->seed) * 0x9e3779b97f4a7c15u;

	mixed = (mixed ^ mixed >> 32 ^ words[1]) * 0xd6e8feb86659fd93u;
	size_t slot = (size_t)(mixed ^ mixed >> 32) & (seen->cap - 1);

	while (!is_free(seen->keys[slot]) && memcmp(seen->keys[slot], key, SEEN_KEY))
		slot = (slot + 1) & (seen->cap - 1);
	return slot;
}

static void seen_grow(struct walk_seen *seen)
{
	struct walk_seen bigger = {
		.cap = seen->cap ? seen->cap * 2 : CAP_MIN,
		.count = seen->count,
		.seed = seen->seed,
	};

	bigger.keys = xcalloc(bigger.cap, SEEN_KEY);
	if (!seen->cap) {
		struct random random = random_system();

		bigger.seed = random_u64(&random);
	}
	for (size_t i = 0; i < seen->cap; i++)
		if (!is_free(seen->keys[i]))
			memcpy(bigger.keys[slot_of(&bigger, seen->keys[i])], seen->keys[i],
			       SEEN_KEY);
	free(seen->keys);
	*seen = bigger;
}

static bool add_key(struct walk_seen *seen, const uint8_t key[static SEEN_KEY])
{
	size_t slot;

	if (seen->count * 4 >= seen->cap * 3)
		seen_grow(seen);
	slot = slot_of(seen, key);
	if (!is_free(seen->keys[slot]))
		return false;
	memcpy(seen->keys[slot], key, SEEN_KEY);
	seen->count++;
	return true;
}

bool walk_seen_has(const struct walk_seen *seen, const struct cid *cid)
{
	uint8_t key[SEEN_KEY];

	if (!seen->count)
		return false;
	make_key(cid, key);
	return !is_free(seen->keys[slot_of(seen, key)]);
}

bool walk_seen_add(struct walk_seen *seen, const struct cid *cid)
{
	uint8_t key[SEEN_KEY];

	make_key(cid, key);
	return add_key(seen, key);
}

void walk_seen_merge(struct walk_seen *seen, const struct walk_seen *more)
{
	for (size_t i = 0; i < more->cap; i++)
		if (!is_free(more->keys[i]))
			add_key(seen, more->keys[i]);
}

void walk_seen_release(struct walk_seen *seen)
{
	free(seen->keys);
	*seen = (struct walk_seen){ 0 };
}

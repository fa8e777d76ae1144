/* The hash table: open addressing over an index, with the entries themselves in one dense array.
 * Walks go through the array and therefore do not depend on the random seed. A removed entry is
 * replaced by the last one. Not thread-safe. */
#include "net/base/map.h"

#include "net/base/alloc.h"
#include "net/base/random.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MAP_CAP_MIN 8

/* Two arrays of cap elements share one allocation:
 *   entries, dense: slots[0 .. count) hold hash, key and value in order of insertion, and a removal
 *   moves the last one into the hole;
 *   buckets, by hash with linear probing: slots[i].bucket is 1 + the entry's index, 0 when free.
 * So a walk follows what was done with the map and not its random seed (a simulation replays), and
 * a walk from the end towards the start survives the removal of the entry it has just shown. A
 * removal shifts the buckets behind it back: no tombstones, and lookups stay short for ever. */
struct map_slot {
	size_t bucket;
	uint64_t hash;
	uint8_t *key;
	size_t key_len;
	void *value;
};

_Static_assert(sizeof(((struct map *)0)->seed) == crypto_shorthash_KEYBYTES, "SipHash key");
_Static_assert(sizeof(uint64_t) == crypto_shorthash_BYTES, "SipHash value");

static uint64_t hash_of(const struct map *map, struct bytes key)
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, key.at, key.len, map->seed);
	return hash;
}

/* The bucket of key, or the free one where it belongs. The table is never full, so this ends. */
static size_t bucket_find(const struct map *map, struct bytes key, uint64_t hash)
{
	size_t mask = map->cap - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		size_t bucket = map->slots[i].bucket;

		if (!bucket)
			return i;
		const struct map_slot *entry = &map->slots[bucket - 1];

		if (entry->hash == hash && bytes_equal(bytes_of(entry->key, entry->key_len), key))
			return i;
	}
}

/* Doubles the buckets and distributes the entries again by their stored hashes; no key is hashed
 * twice. */
static void map_grow(struct map *map)
{
	size_t cap = map->cap ? map->cap * 2 : MAP_CAP_MIN;
	struct map_slot *slots = xcalloc(cap, sizeof *slots);

	if (!map->cap) {
		struct random random = random_system();

		random_fill(&random, map->seed, sizeof map->seed);
	}
	for (size_t n = 0; n < map->count; n++) {
		size_t i = map->slots[n].hash & (cap - 1);

		while (slots[i].bucket)
			i = (i + 1) & (cap - 1);
		size_t bucket = slots[n].bucket;

		slots[n] = map->slots[n];
		slots[n].bucket = bucket;
		slots[i].bucket = n + 1;
	}
	free(map->slots);
	map->slots = slots;
	map->cap = cap;
}

void *map_get(const struct map *map, struct bytes key)
{
	if (!map->count)
		return NULL;
	size_t bucket = map->slots[bucket_find(map, key, hash_of(map, key))].bucket;

	return bucket ? map->slots[bucket - 1].value : NULL;
}

void *map_set(struct map *map, struct bytes key, void *value)
{
	assert(value);
	/* At most three quarters of the buckets in use: probes stay short. */
	if ((map->count + 1) * 4 > map->cap * 3)
		map_grow(map);
	uint64_t hash = hash_of(map, key);
	size_t i = bucket_find(map, key, hash);
	size_t bucket = map->slots[i].bucket;

	if (bucket) {
		void *before = map->slots[bucket - 1].value;

		map->slots[bucket - 1].value = value;
		return before;
	}
	struct map_slot *entry = &map->slots[map->count++];

	entry->hash = hash;
	entry->key = xcalloc(1, key.len);
	if (key.len)
		memcpy(entry->key, key.at, key.len);
	entry->key_len = key.len;
	entry->value = value;
	map->slots[i].bucket = map->count;
	return NULL;
}

/* Free bucket i and close the gap: each one behind it, up to the next free one, moves back unless
 * that would put it before its home. */
static void bucket_remove(struct map *map, size_t i)
{
	size_t mask = map->cap - 1;

	for (size_t j = (i + 1) & mask; map->slots[j].bucket; j = (j + 1) & mask) {
		size_t home = map->slots[map->slots[j].bucket - 1].hash & mask;

		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		map->slots[i].bucket = map->slots[j].bucket;
		i = j;
	}
	map->slots[i].bucket = 0;
}

void *map_remove(struct map *map, struct bytes key)
{
	if (!map->count)
		return NULL;
	size_t i = bucket_find(map, key, hash_of(map, key));
	size_t bucket = map->slots[i].bucket;

	if (!bucket)
		return NULL;
	struct map_slot *entry = &map->slots[bucket - 1];
	struct map_slot *last = &map->slots[map->count - 1];
	void *value = entry->value;

	/* key may be borrowed from the entry (a walk): it is not looked at after this. */
	free(entry->key);
	bucket_remove(map, i);
	if (entry != last) {
		size_t at = last->hash & (map->cap - 1);

		while (map->slots[at].bucket != map->count)
			at = (at + 1) & (map->cap - 1);
		map->slots[at].bucket = bucket;
		entry->hash = last->hash;
		entry->key = last->key;
		entry->key_len = last->key_len;
		entry->value = last->value;
	}
	last->key = NULL;
	last->value = NULL;
	map->count--;
	return value;
}

void map_release(struct map *map)
{
	for (size_t n = 0; n < map->count; n++)
		free(map->slots[n].key);
	free(map->slots);
	*map = (struct map){ 0 };
}

bool map_next(const struct map *map, size_t *at, struct bytes *key, void **value)
{
	/* *at is 0 at the start, then 1 + the index just shown. */
	size_t above = *at ? *at - 1 : map->count;

	if (above == 0)
		return false;
	const struct map_slot *entry = &map->slots[above - 1];

	*at = above;
	*key = bytes_of(entry->key, entry->key_len);
	*value = entry->value;
	return true;
}

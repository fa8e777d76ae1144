/* Hash table from byte strings to pointers. Keys are copied; hashing is keyed with random bits per
 * map, so peers cannot choose collisions. Every call is O(1), after any mix of sets and removes.
 * The map itself has no limit: its owner checks count against one before map_set(). Not
 * thread-safe. Zero-initialised is empty and valid. */
#ifndef NET_BASE_MAP_H
#define NET_BASE_MAP_H

#include "net/base/bytes.h"

struct map_slot;
struct map {
	struct map_slot *slots;
	size_t count, cap; /* cap is 0 or a power of two */
	uint8_t seed[16];
};

/* NULL when absent. */
void *map_get(const struct map *map, struct bytes key);
/* Sets key to value (not NULL) and returns the value it had before, or NULL. */
void *map_set(struct map *map, struct bytes key, void *value);
/* Removes key and returns its value, or NULL when absent. key may be the one map_next() lent. */
void *map_remove(struct map *map, struct bytes key);
/* Values are the caller's to free first. The map is empty and valid again. */
void map_release(struct map *map);

/* Walk: start with *at = 0; false at the end. Removing the entry just returned is allowed,
 * adding or removing others during a walk is not. The key is borrowed until its entry is removed.
 * The order depends on the sets and removes made and never on the seed: simulations replay. */
bool map_next(const struct map *map, size_t *at, struct bytes *key, void **value);

#endif

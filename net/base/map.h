/* Hash table from byte strings to pointers. Keys are copied; hashing is keyed with random bits per
 * map, so peers cannot choose collisions. Not thread-safe. Zero-initialised is empty and valid. */
#ifndef NET_BASE_MAP_H
#define NET_BASE_MAP_H

#include "net/base/bytes.h"

struct map_slot;
struct map {
	struct map_slot *slots;
	size_t count, cap; /* cap is 0 or a power of two */
	uint8_t seed[16];
};

void *map_get(const struct map *map, struct bytes key);
/* Sets key to value (not NULL) and returns the value it had before, or NULL. */
void *map_set(struct map *map, struct bytes key, void *value);
/* Removes key and returns its value, or NULL. */
void *map_remove(struct map *map, struct bytes key);
/* Values are the caller's to free first. The map is empty and valid again. */
void map_release(struct map *map);

/* Walk: start with *at = 0; false at the end. Removing the entry just returned is allowed,
 * adding during a walk is not. Order is arbitrary. */
bool map_next(const struct map *map, size_t *at, struct bytes *key, void **value);

#endif

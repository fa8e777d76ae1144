/* Keys that are to be announced, in order of their places. Pure; any thread.
 *
 * Whoever announces a key holds it (key->held) until it is through; a key that failed waits. Shared
 * by routing/announce, which owns the set, and by routers that announce many keys at once. */
#ifndef ROUTING_DUE_H
#define ROUTING_DUE_H

#include "routing/place.h"

#define DUE_KEYS_MAX 131072 /* in one set: some 12 MB */
#define DUE_CELLS 4096
#define DUE_CELL_BITS 12

struct due_key {
	struct place id;
	bool held;   /* somebody has a pointer to it: it must not go */
	bool gone;   /* withdrawn while it was held: whoever holds it removes it */
	bool waits;  /* failed: not taken until due_retry() */
	bool listed; /* its owner has read it from a list: it goes when it stands there no more */
	uint8_t len;
	uint8_t bytes[];
};

struct due_cell {
	struct due_key **keys;
	uint32_t count, cap;
};

/* Zeroed is empty. */
struct due_set {
	struct due_cell *cells; /* by the first DUE_CELL_BITS; NULL when empty */
	size_t count;
};

static inline struct bytes due_key_bytes(const struct due_key *key)
{
	return bytes_of(key->bytes, key->len);
}

void due_release(struct due_set *set);
/* 0: in it now (copied). -EEXIST: it was. -EAGAIN: full. -EINVAL: not of 1..255 bytes. */
int due_add(struct due_set *set, struct bytes key);
/* NULL when it is not there, or gone. */
struct due_key *due_find(const struct due_set *set, struct bytes key);
/* Frees it, or marks one that is held as gone. */
void due_drop(struct due_set *set, struct due_key *key);
/* Drops those that keep() does not want. Looks at some `max` keys from cell *at (0 at first) on,
 * and moves it. True: there are more. */
bool due_sift(struct due_set *set, unsigned *at, size_t max,
	      bool (*keep)(void *ctx, const struct due_key *key), void *ctx);
/* The first of region from the place `from` on that may be taken (not held, not waiting); NULL when
 * there is none. */
struct due_key *due_next(const struct due_set *set, const struct place_region *region,
			 const struct place *from);
/* Those of region that may be taken, at most max; out may be NULL: they are just counted. */
size_t due_take(const struct due_set *set, const struct place_region *region, struct due_key **out,
		size_t max);
/* All of region that may be taken wait from now on; returns how many. */
size_t due_defer(struct due_set *set, const struct place_region *region);
/* Nobody waits any more. */
void due_retry(struct due_set *set);

#endif

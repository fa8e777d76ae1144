/* The blocks a walk has met, by hash and codec: 32 bytes each. Private to the walks of dag. */
#ifndef DAG_WALK_SEEN_H
#define DAG_WALK_SEEN_H

#include "net/wire/cid.h"

#define SEEN_KEY 32

/* Zero-initialised is empty and valid. */
struct walk_seen {
	uint8_t (*keys)[SEEN_KEY]; /* cap of them; all zero is free */
	size_t count, cap;
	uint64_t seed;
};

bool walk_seen_has(const struct walk_seen *seen, const struct cid *cid);
/* False when it was there. */
bool walk_seen_add(struct walk_seen *seen, const struct cid *cid);
/* Adds all of more. */
void walk_seen_merge(struct walk_seen *seen, const struct walk_seen *more);
void walk_seen_release(struct walk_seen *seen);

#endif

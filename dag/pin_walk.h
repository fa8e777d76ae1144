/* Every block below a root that is stored here, without fetching; what is missing or damaged is
 * told, not fatal. One thread. */
#ifndef DAG_PIN_WALK_H
#define DAG_PIN_WALK_H

#include "dag/walk_seen.h"
#include "exchange/exchange.h"
#include "net/base/map.h"

#define PIN_WALK_STACK_MAX (1u << 24) /* CIDs that wait; more: -EFBIG */

/* Blocks met before. Zero-initialised is empty and valid. */
struct pin_seen {
	struct walk_seen blocks;
	struct map identities; /* by the whole CID: few, and walk_seen remembers none */
};

bool pin_seen_has(const struct pin_seen *seen, const struct cid *cid);
/* False when it was there. */
bool pin_seen_add(struct pin_seen *seen, const struct cid *cid);
void pin_seen_merge(struct pin_seen *seen, const struct pin_seen *more); /* all but identities */
void pin_seen_release(struct pin_seen *seen);

/* Each block once in the life of seen, root first. err is 0, -ENOENT (not stored) or -EIO
 * (damaged). Non-zero stops and is returned. */
typedef int pin_walk_fn(void *ctx, const struct cid *cid, int err);

struct pin_walk_config {
	bool verify; /* the hash of every block is computed */
	/* May be NULL; ctx is pin_walk()'s. True: nothing is looked at, neither it nor what is
	 * below; its hash need not be computed. */
	bool (*left_out)(void *ctx, const struct cid *cid);
	bool (*intact)(void *ctx, const struct cid *cid);
};

/* seen is released by the caller. -EINTR; -EFBIG. */
int pin_walk(struct blocks *blocks, const struct cid *root, const struct pin_walk_config *config,
	     struct pin_seen *seen, struct wait *wait, pin_walk_fn *each, void *ctx);

#endif

/* Every block below a root that is stored here, without fetching; what is missing or damaged is
 * told, not fatal. One thread. */
#ifndef DAG_PIN_WALK_H
#define DAG_PIN_WALK_H

#include "exchange/exchange.h"
#include "net/base/map.h"

#define PIN_WALK_STACK_MAX (1u << 24) /* CIDs that wait; more: -EFBIG */

/* Each block once in the life of seen, root first. err is 0, -ENOENT (not stored) or -EIO
 * (damaged). Non-zero stops and is returned. */
typedef int pin_walk_fn(void *ctx, const struct cid *cid, int err);

/* seen: CIDs met before, zero-initialised at first, released by the caller with map_release(). With
 * verify every block's hash is computed. -EINTR; -EFBIG. */
int pin_walk(struct blocks *blocks, const struct cid *root, bool verify, struct map *seen,
	     struct wait *wait, pin_walk_fn *each, void *ctx);

#endif

/* Collection: what no pin keeps is removed from the store. Any thread but the loop's. */
#ifndef DAG_SWEEP_H
#define DAG_SWEEP_H

#include "exchange/exchange.h"
#include "net/db/db.h"

#define SWEEP_STACK_MAX ((size_t)1 << 30) /* bytes of CIDs that wait to be looked at; more: -EFBIG */

struct dag_sweep_fns {
	/* The collection has begun (may be NULL): what is put from now on stays. Who makes trees and pins them at the end was to be
	 * kept away until now, and need not be any more. */
	void (*begun)(void *ctx);
	/* A block is going (may be NULL). */
	void (*gone)(void *ctx, struct bytes multihash, size_t len);
};

/* Marks from the pins, those that are still wanted too, what is stored below them, then removes all else. Pins may be made and
 * removed meanwhile, in any process. Memory: at most 32 bytes a marked block, for a moment more when it grows. wait can end
 * it. *removed counts blocks, *freed their bytes. -EINTR; -EIO a block that a pin needs is damaged, so that nobody
 * can tell what is below it: nothing was removed; -EFBIG; store_sweep()'s. */
int dag_sweep(struct db *db, struct store *store, struct wait *wait, const struct dag_sweep_fns *fns,
	      void *ctx, uint64_t *removed, uint64_t *freed);

#endif

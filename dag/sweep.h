/* Garbage collection: removes blocks that no pin keeps from the store. Any thread but the
 * loop's. */
#ifndef DAG_SWEEP_H
#define DAG_SWEEP_H

#include "exchange/exchange.h"
#include "net/db/db.h"

#define SWEEP_STACK_MAX ((size_t)1 << 30) /* bytes of CIDs that wait to be looked at; more: -EFBIG */

struct dag_sweep_fns {
	/* The collection has begun, and blocks put from now on stay (may be NULL). Callers that
	 * make trees and pin them at the end are kept away until this is called. */
	void (*begun)(void *ctx);
	/* A block is being removed (may be NULL). */
	void (*gone)(void *ctx, struct bytes multihash, size_t len);
};

/* Marks what is stored below all pins, wanted ones included, then removes all other blocks. Pins
 * may be made and removed meanwhile, in any process. Memory: at most 32 bytes a marked block,
 * briefly more when it grows. wait can end it. *removed counts blocks, *freed their bytes. -EINTR;
 * -EIO: a block that a pin needs is damaged, so what is below it is unknown, and nothing was
 * removed; -EFBIG; store_sweep()'s errors. */
int dag_sweep(struct db *db, struct store *store, struct wait *wait, const struct dag_sweep_fns *fns,
	      void *ctx, uint64_t *removed, uint64_t *freed);

#endif

/* Garbage collection: removes from the store blocks that no root keeps. Any thread but the
 * loop's. */
#ifndef DAG_SWEEP_H
#define DAG_SWEEP_H

#include "exchange/exchange.h"
#include "net/db/db.h"

#define SWEEP_STACK_MAX                                                                            \
	((size_t)1 << 30) /* bytes of CIDs that wait to be looked at; more: -EFBIG */

/* A root: its block stays, and with recursive all that is stored below it. Non-zero stops the
 * source. */
typedef int sweep_root_fn(void *sweep, const struct cid *cid, bool recursive);

/* A source of roots: pins, and whatever else records what must stay. each() calls root(sweep, ...)
 * for all of its roots, in any order and as often as it likes, and returns 0, or what root()
 * returned, or -errno: then nothing is removed. It is called once, on dag_sweep()'s thread, after
 * the sweep has begun. Whoever stores blocks and records their root afterwards does so within a
 * batch (store_batch_begin()), so that a sweep between the two takes nothing. */
struct sweep_source {
	int (*each)(void *ctx, sweep_root_fn *root, void *sweep);
	void *ctx;
};

/* All pins, wanted ones included. Borrows db. */
struct sweep_source sweep_pins(struct db *db);

/* A block is being removed. */
typedef void sweep_gone_fn(void *ctx, struct bytes multihash, size_t len);

/* Marks what is stored below the roots of all sources, then removes all other blocks. Roots may be
 * made and removed meanwhile, in any process. gone may be NULL. Memory: at most 32 bytes a marked
 * block, briefly more when it grows. wait can end it. *removed counts blocks, *freed their bytes.
 * -EINTR; -EIO: a block that a root needs is damaged, so what is below it is unknown, and nothing
 * was removed; -EFBIG; the errors of sources and of store_sweep(). */
int dag_sweep(struct store *store, const struct sweep_source *sources, size_t count,
	      struct wait *wait, sweep_gone_fn *gone, void *ctx, uint64_t *removed,
	      uint64_t *freed);
/* The same for these blocks alone: of them, those go that are stored, no root keeps and no batch
 * holds; gone tells which. The order is that of the store. */
int dag_sweep_only(struct store *store, const struct sweep_source *sources, size_t count,
		   const struct cid *cids, size_t cid_count, struct wait *wait, sweep_gone_fn *gone,
		   void *ctx);

#endif

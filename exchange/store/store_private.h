/* What a kind of store implements; store.c calls it. Contracts as in store.h; identity CIDs and
 * blocks over BLOCK_MAX never get here. */
#ifndef EXCHANGE_STORE_PRIVATE_H
#define EXCHANGE_STORE_PRIVATE_H

#include "exchange/store/store.h"

struct store_ops {
	void (*close)(struct store *store);
	int (*read_begin)(struct store *store, struct store_read *read);
	int (*read_get)(struct store_read *read, struct bytes multihash, struct bytes *data);
	void (*read_end)(struct store_read *read);
	int (*get)(struct store *store, const struct cid *cid, struct block **out);
	int (*size)(struct store *store, struct bytes multihash, size_t *size);
	int (*put)(struct store *store, struct block *block, unsigned flags,
		   store_verified_fn *verified, void *ctx);
	int (*sync)(struct store *store);
	void (*when_room)(struct store *store, void (*room)(void *ctx), void *ctx);
	int (*delete)(struct store *store, struct bytes multihash);
	int (*stat)(struct store *store, struct store_stat *stat);
	int (*each)(struct store *store, store_each_fn *each, void *ctx);
	int (*keep)(struct store *store, struct bytes multihash);
	struct store_batch *(*batch_begin)(struct store *store);
	int (*batch_put)(struct store_batch *batch, struct block *block);
	int (*batch_keep)(struct store_batch *batch, struct bytes multihash);
	int (*batch_commit)(struct store_batch *batch);
	void (*batch_end)(struct store_batch *batch);
	uint64_t (*epoch)(struct store *store);
	int (*sweep_begin)(struct store *store);
	void (*sweep_end)(struct store *store);
	int (*sweep)(struct store *store, const struct store_sweep_fns *fns, void *ctx,
		     uint64_t *removed, uint64_t *freed); /* begun */
	/* NULL: nothing can be damaged. */
	int (*check)(struct store *store, uint64_t *saved);
	bool (*lost)(struct store *store, bool noted);
	/* NULL: nothing is queued. */
	void (*limit)(struct store *store, uint64_t more, uint64_t less);
	uint64_t (*queued)(struct store *store);
};

struct store {
	const struct store_ops *ops;
	atomic_bool sweeping; /* begun and not ended by this process */
};

/* Begins what a kind of store knows of a batch. */
struct store_batch {
	struct store *store;
};

/* Of the layout on disk, that of the small records beside it included: programs that know a smaller
 * one refuse it. 1: one environment; 2: generations; 3: the same, but what small records look like
 * is told by themselves (net/db/db). */
#define STORE_VERSION 3
#define STORE_VERSION_SAME 2 /* becomes this one when it is opened */

#endif

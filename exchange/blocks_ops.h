/* What a maker of sources implements; blocks.c calls it, and dag and fs never do. Contracts as in
 * blocks.h. Identity CIDs get to put() alone, CIDs that are not allowed and the empty block to
 * has(), size(), keep(), put() and views alone. */
#ifndef EXCHANGE_BLOCKS_OPS_H
#define EXCHANGE_BLOCKS_OPS_H

#include "exchange/blocks.h"

struct blocks_ops {
	void (*free)(struct blocks *blocks);
	int (*get)(struct blocks *blocks, const struct cid *cid, struct wait *wait,
		   struct block **out);
	int (*get_stored)(struct blocks *blocks, const struct cid *cid, struct block **out);
	bool (*has)(struct blocks *blocks, const struct cid *cid);
	int (*size)(struct blocks *blocks, const struct cid *cid, size_t *size);
	/* CIDs allowed and not stored, at least one. Not called unless fetches is set. */
	void (*prefetch)(struct blocks *blocks, const struct cid *cids, size_t count);
	int (*read_begin)(struct blocks *blocks, struct blocks_read *read);
	int (*read_get)(struct blocks_read *read, const struct cid *cid, struct bytes *data);
	void (*read_end)(struct blocks_read *read);
	int (*put)(struct blocks *blocks, struct block *block);
	int (*keep)(struct blocks *blocks, const struct cid *cid, const struct block *block);
	void (*batch_begin)(struct blocks *blocks);
	void (*batch_end)(struct blocks *blocks);
	int (*sync)(struct blocks *blocks);
	uint64_t (*epoch)(struct blocks *blocks);
};

/* A maker's own struct begins with this one, and sets both. */
struct blocks {
	const struct blocks_ops *ops;
	bool fetches; /* get() asks others for what is not stored */
};

#endif

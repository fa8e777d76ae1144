/* Making the shards of a HAMT directory from all its entries at once (wire/dag section 4). One
 * thread. */
#ifndef DAG_HAMT_WRITE_H
#define DAG_HAMT_WRITE_H

#include "dag/import/builder.h"

struct hamt_item {
	uint64_t hash;		/* hamt_hash() of the name */
	struct bytes name, cid; /* borrowed */
	uint64_t tsize;
};

/* Stores all shards, children first, with the builder's fanout; sorts items by hash. -EOVERFLOW
 * when names collide in all bits of the hash; builder_put()'s errors. */
int hamt_write(const struct builder *builder, struct hamt_item *items, size_t count,
	       const struct attributes *attributes, struct child *root);

#endif

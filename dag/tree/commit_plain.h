/* The plain UnixFS directory of what a manifest shows. Private to dag/tree. */
#ifndef DAG_TREE_COMMIT_PLAIN_H
#define DAG_TREE_COMMIT_PLAIN_H

#include "dag/share/radix.h"

/* Puts the directory's blocks and those of its symlinks: with the CIDs that importing the same
 * entries gives, basic or HAMT as the size demands. manifest: a root, may be not set. Of names
 * whose hashes are equal in all 64 bits a HAMT holds the first by bytes, alone. *size: cumulative.
 * blocks_get()'s and blocks_put()'s errors, -EBADMSG. The caller's thread. */
int plain_make(struct blocks *blocks, struct radix *radix, const struct cid *manifest,
	       struct wait *wait, struct cid *tree, uint64_t *size);

#endif

/* Memory for leaves: file bytes are read to where their block will be, with room for the wrapping
 * before and behind, and go to the store without a copy. Large ones are used again. Any thread. */
#ifndef DAG_IMPORT_LEAF_H
#define DAG_IMPORT_LEAF_H

#include "dag/import/builder.h"

#define LEAF_POOL_BYTES_MAX (96u << 20) /* in large leaves kept for use again */

struct leaf_pool;

/* One leaf's bytes, owned by whoever took it, then by its block. */
struct leaf {
	struct leaf_pool *pool; /* NULL: of its own size, not to be kept */
	struct leaf *next;
	uint8_t *at; /* cap bytes for the file's */
	size_t cap, len;
};

/* cap: bytes of the largest leaf. */
struct leaf_pool *leaf_pool_new(size_t cap);
/* The pool lives on until its last leaf is dropped. NULL is ignored. */
void leaf_pool_free(struct leaf_pool *pool);

/* Room for at least want bytes (at most the pool's cap). */
struct leaf *leaf_take(struct leaf_pool *pool, size_t want);
void leaf_drop(struct leaf *leaf); /* NULL is ignored */

/* Puts the dag-pb and UnixFS wrapping (type 0 or 2) around leaf->len bytes, in place; returns the
 * block's bytes, borrowed from the leaf. attributes may be NULL. */
struct bytes leaf_wrap(struct leaf *leaf, unsigned type, const struct attributes *attributes);
/* A block over the leaf's memory, which it owns: one reference. */
struct block *leaf_block(struct leaf *leaf, const struct cid *cid, struct bytes data);

#endif

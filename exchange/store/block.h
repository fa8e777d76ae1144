/* A block: bytes and the CID they were checked against. Immutable and reference counted; any
 * thread. */
#ifndef EXCHANGE_BLOCK_H
#define EXCHANGE_BLOCK_H

#include "net/wire/cid.h"

#include <stdatomic.h>

#define BLOCK_MAX (4u << 20)	    /* accepted and stored */
#define BLOCK_CREATE_MAX (2u << 20) /* made by us */

struct block {
	atomic_uint refs;
	struct cid cid;
	struct bytes data;
	void (*release)(struct block *block); /* frees what data points into */
	void *owner;
};

/* One reference to a block with a copy of data, or with the memory of data (taken; the buf is empty
 * afterwards), or as a slice of another block's or buffer's memory (release says how to let go of
 * owner). Nothing is verified here. */
struct block *block_copy(const struct cid *cid, struct bytes data);
struct block *block_take(const struct cid *cid, struct buf *data);
struct block *block_slice(const struct cid *cid, struct bytes data, void *owner,
			  void (*release)(struct block *block));
/* The block an identity CID carries. */
struct block *block_of_identity(const struct cid *cid);
struct block *block_ref(struct block *block);
void block_unref(struct block *block); /* NULL is ignored */

#endif

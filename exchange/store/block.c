/* Blocks: immutable bytes with a CID and an atomic count of references. The bytes are the block's
 * own, or a slice of something larger that it keeps alive. Any thread. */
#include "exchange/store/block.h"

#include "net/base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void release_owned(struct block *block)
{
	free(block->owner);
}

struct block *block_slice(const struct cid *cid, struct bytes data, void *owner,
			  void (*release)(struct block *block))
{
	struct block *block = xnew(struct block);

	atomic_init(&block->refs, 1);
	block->cid = *cid;
	block->data = data;
	block->owner = owner;
	block->release = release;
	return block;
}

/* Block and bytes in one allocation. */
struct block *block_copy(const struct cid *cid, struct bytes data)
{
	/* The bytes are overwritten at once: no need to have them zeroed. */
	struct block *block = xrealloc(NULL, sizeof *block + data.len);
	uint8_t *at = (uint8_t *)(block + 1);

	if (data.len)
		memcpy(at, data.at, data.len);
	*block = (struct block){ .cid = *cid, .data = bytes_of(at, data.len) };
	atomic_init(&block->refs, 1);
	return block;
}

struct block *block_take(const struct cid *cid, struct buf *data)
{
	struct block *block = block_slice(cid, buf_bytes(data), data->at, release_owned);

	*data = (struct buf){ 0 };
	return block;
}

struct block *block_of_identity(const struct cid *cid)
{
	assert(cid_is_identity(cid));
	return block_copy(cid, cid_identity_data(cid));
}

struct block *block_ref(struct block *block)
{
	unsigned before = atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);

	assert(before > 0);
	(void)before;
	return block;
}

void block_unref(struct block *block)
{
	if (!block)
		return;
	unsigned before = atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel);

	assert(before > 0);
	if (before > 1)
		return;
	if (block->release)
		block->release(block);
	free(block);
}

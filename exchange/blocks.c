/* What holds for every source of blocks: which CIDs are allowed, and what needs no source at all.
 * The rest goes to the source's operations. Any thread but the loop's. */
#include "exchange/blocks_ops.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>

static const uint8_t empty_digest[32] = {
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
	0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
	0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
};

/* SHA-256 of nothing: the empty file and the empty dag-pb node are in everybody's hands. */
static bool is_empty_block(const struct cid *cid)
{
	struct multihash hash = cid_hash(cid);

	return hash.code == HASH_SHA2_256 &&
	       bytes_equal(hash.digest, bytes_of(empty_digest, sizeof empty_digest));
}

void blocks_free(struct blocks *blocks)
{
	if (blocks)
		blocks->ops->free(blocks);
}

/* ---- reading ---- */

/* Whoever has the CID has the block. */
static struct block *block_of_cid(const struct cid *cid)
{
	if (cid_is_identity(cid))
		return block_of_identity(cid);
	return is_empty_block(cid) ? block_copy(cid, bytes_of(NULL, 0)) : NULL;
}

int blocks_get(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct block **out)
{
	int err = cid_allowed(cid);

	if (err)
		return err;
	*out = block_of_cid(cid);
	return *out ? 0 : blocks->ops->get(blocks, cid, wait, out);
}

int blocks_get_stored(struct blocks *blocks, const struct cid *cid, struct block **out)
{
	int err = cid_allowed(cid);

	if (err)
		return err;
	*out = block_of_cid(cid);
	return *out ? 0 : blocks->ops->get_stored(blocks, cid, out);
}

bool blocks_has(struct blocks *blocks, const struct cid *cid)
{
	return cid_is_identity(cid) || is_empty_block(cid) || blocks->ops->has(blocks, cid);
}

int blocks_size(struct blocks *blocks, const struct cid *cid, size_t *size)
{
	int err = cid_allowed(cid);

	if (err)
		return err;
	if (!cid_is_identity(cid))
		return blocks->ops->size(blocks, cid, size);
	*size = cid_hash(cid).digest.len;
	return 0;
}

bool blocks_fetches(const struct blocks *blocks)
{
	return blocks->fetches;
}

void exchange_prefetch(struct blocks *blocks, const struct cid *cids, size_t count)
{
	size_t missing = 0;

	if (!blocks->fetches || !count)
		return;
	if (count > EXCHANGE_PREFETCH_MAX)
		count = EXCHANGE_PREFETCH_MAX;
	struct cid *wanted = xcalloc(count, sizeof *wanted);

	for (size_t i = 0; i < count; i++)
		if (!cid_allowed(&cids[i]) && !blocks_has(blocks, &cids[i]))
			wanted[missing++] = cids[i];
	if (missing)
		blocks->ops->prefetch(blocks, wanted, missing);
	free(wanted);
}

int blocks_read_begin(struct blocks *blocks, struct blocks_read *read)
{
	read->blocks = blocks;
	return blocks->ops->read_begin(blocks, read);
}

int blocks_read_get(struct blocks_read *read, const struct cid *cid, struct bytes *data)
{
	if (cid_is_identity(cid))
		return -ENOENT; /* its bytes must outlive the CID: blocks_get() makes a block of it
				 */
	return read->blocks->ops->read_get(read, cid, data);
}

void blocks_read_end(struct blocks_read *read)
{
	read->blocks->ops->read_end(read);
}

/* ---- writing ---- */

int blocks_put(struct blocks *blocks, struct block *block)
{
	return blocks->ops->put(blocks, block);
}

int blocks_keep(struct blocks *blocks, const struct cid *cid, const struct block *block)
{
	if (cid_is_identity(cid) || (block && !block->data.len))
		return 0;
	return blocks->ops->keep(blocks, cid, block);
}

void blocks_batch_begin(struct blocks *blocks)
{
	blocks->ops->batch_begin(blocks);
}

void blocks_batch_end(struct blocks *blocks)
{
	blocks->ops->batch_end(blocks);
}

int blocks_sync(struct blocks *blocks)
{
	return blocks->ops->sync(blocks);
}

uint64_t blocks_epoch(struct blocks *blocks)
{
	return blocks->ops->epoch(blocks);
}

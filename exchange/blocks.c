/* The blocking face: store first, then the fetcher. */
#include "exchange/exchange.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

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

void blocks_init(struct blocks *blocks, struct store *store, struct fetcher *fetcher)
{
	blocks->store = store;
	blocks->fetcher = fetcher;
	atomic_init(&blocks->session, NULL);
	blocks->batch = NULL;
	blocks->batch_depth = 0;
}

void blocks_release(struct blocks *blocks)
{
	void *session = atomic_exchange(&blocks->session, NULL);

	if (session)
		blocks->fetcher->ops->close(blocks->fetcher, session);
	store_batch_end(blocks->batch);
	blocks->batch = NULL;
	blocks->batch_depth = 0;
}

/* The first miss opens it; of two threads that both miss first, one closes its own again. */
static void *session_of(struct blocks *blocks)
{
	void *session = atomic_load(&blocks->session), *mine;

	if (session)
		return session;
	mine = blocks->fetcher->ops->open(blocks->fetcher);
	if (atomic_compare_exchange_strong(&blocks->session, &session, mine))
		return mine;
	blocks->fetcher->ops->close(blocks->fetcher, mine);
	return session;
}

/* Not to be had from the store, because of why. */
static int get_remote(struct blocks *blocks, const struct cid *cid, struct wait *wait, int why,
		      struct block **out)
{
	if (!blocks->fetcher)
		return why == -ENOENT ? -EHOSTUNREACH : why;

	int err = blocks->fetcher->ops->fetch(blocks->fetcher, session_of(blocks), cid, wait, out);

	if (!err && why == -EIO) {
		char text[CID_TEXT_MAX];

		/* Whoever fetched it may keep another store: mend this one. It may have been rotten
		 * where blocks are kept. */
		err = store_put(blocks->store, *out, STORE_KEEP, NULL, NULL);
		log_info("store", "healed cid=%s %s", cid_text(cid, text),
			 err ? err_text(err) : "");
		return 0;
	}
	if (err && err != -EINTR && why == -EIO)
		return -EIO;
	return err;
}

/* Without asking anybody. -ENOENT: it has to be fetched. */
static int get_stored(struct blocks *blocks, const struct cid *cid, struct block **out)
{
	if (is_empty_block(cid)) {
		*out = block_copy(cid, bytes_of(NULL, 0));
		return 0;
	}
	return store_get(blocks->store, cid, out); /* identity too */
}

int blocks_get(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct block **out)
{
	int err = cid_allowed(cid);

	if (err)
		return err;
	err = get_stored(blocks, cid, out);
	return err ? get_remote(blocks, cid, wait, err, out) : 0;
}

int blocks_get_stored(struct blocks *blocks, const struct cid *cid, struct block **out)
{
	int err = cid_allowed(cid);

	return err ? err : get_stored(blocks, cid, out);
}

bool blocks_has(struct blocks *blocks, const struct cid *cid)
{
	return cid_is_identity(cid) || is_empty_block(cid) ||
	       store_has(blocks->store, cid_hash_bytes(cid));
}

int blocks_size(struct blocks *blocks, const struct cid *cid, size_t *size)
{
	int err = cid_allowed(cid);

	if (err)
		return err;
	if (cid_is_identity(cid)) {
		*size = cid_hash(cid).digest.len;
		return 0;
	}
	return store_size(blocks->store, cid_hash_bytes(cid), size);
}

bool blocks_fetches(const struct blocks *blocks)
{
	return blocks->fetcher != NULL;
}

/* ---- views ---- */

int blocks_read_begin(struct blocks *blocks, struct blocks_read *read)
{
	struct store_read under;
	int err = store_read_begin(blocks->store, &under);

	read->blocks = blocks;
	read->state = under.txn;
	return err;
}

int blocks_read_get(struct blocks_read *read, const struct cid *cid, struct bytes *data)
{
	struct store_read under = { .store = read->blocks->store, .txn = read->state };

	if (cid_is_identity(cid))
		return -ENOENT; /* its bytes must outlive the CID: blocks_get() makes a block of it
				 */
	return store_read_get(&under, cid_hash_bytes(cid), data);
}

void blocks_read_end(struct blocks_read *read)
{
	struct store_read under = { .store = read->blocks->store, .txn = read->state };

	store_read_end(&under);
}

/* ---- asking ahead, writing ---- */

void exchange_prefetch(struct blocks *blocks, const struct cid *cids, size_t count)
{
	size_t missing = 0;

	if (!blocks->fetcher || !count)
		return;
	if (count > EXCHANGE_PREFETCH_MAX)
		count = EXCHANGE_PREFETCH_MAX;
	struct cid *wanted = xcalloc(count, sizeof *wanted);

	for (size_t i = 0; i < count; i++)
		if (!cid_allowed(&cids[i]) && !blocks_has(blocks, &cids[i]))
			wanted[missing++] = cids[i];
	if (missing)
		blocks->fetcher->ops->prefetch(blocks->fetcher, session_of(blocks), wanted,
					       missing);
	free(wanted);
}

void blocks_batch_begin(struct blocks *blocks)
{
	if (!blocks->batch_depth++)
		blocks->batch = store_batch_begin(blocks->store);
}

void blocks_batch_end(struct blocks *blocks)
{
	if (!blocks->batch_depth || --blocks->batch_depth)
		return;
	store_batch_end(blocks->batch);
	blocks->batch = NULL;
}

static int put_own(struct blocks *blocks, struct block *block)
{
	if (blocks->batch)
		return store_batch_put(blocks->batch, block);
	return store_put(blocks->store, block, STORE_WAIT | STORE_KEEP, NULL, NULL);
}

int blocks_put(struct blocks *blocks, struct block *block)
{
	int err = put_own(blocks, block);

	if (!err && blocks->fetcher)
		blocks->fetcher->ops->have(blocks->fetcher, &block->cid, 1);
	return err;
}

int blocks_keep(struct blocks *blocks, const struct cid *cid, const struct block *block)
{
	struct bytes multihash = cid_hash_bytes(cid);

	if (cid_is_identity(cid) || (block && !block->data.len))
		return 0;
	int err = blocks->batch ? store_batch_keep(blocks->batch, multihash) : store_keep(blocks->store, multihash);

	if (!block || (err != -ENOENT && err != -EIO))
		return err;
	return put_own(blocks, (struct block *)block);
}

int blocks_sync(struct blocks *blocks)
{
	return blocks->batch ? store_batch_commit(blocks->batch) : store_sync(blocks->store);
}

uint64_t blocks_epoch(struct blocks *blocks)
{
	return store_epoch(blocks->store);
}

void fetcher_free(struct fetcher *fetcher)
{
	if (fetcher)
		fetcher->ops->free(fetcher);
}

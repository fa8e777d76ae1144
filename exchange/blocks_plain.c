/* The plain source: the store first, then the fetcher. Blocks are stored as they are, and views
 * lend the store's own memory. Any thread but the loop's. */
#include "exchange/blocks_ops.h"

#include "exchange/fetcher.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/list.h"
#include "net/base/log.h"

#include <stdlib.h>

struct plain_blocks {
	struct blocks blocks;
	struct store *store;
	struct fetcher *fetcher;   /* NULL: offline */
	_Atomic(void *) session;   /* the fetcher's; NULL until the first miss */
	struct store_batch *batch; /* NULL: none is open */
	unsigned batch_depth;
};

static struct plain_blocks *plain_of(struct blocks *blocks)
{
	return container_of(blocks, struct plain_blocks, blocks);
}

static struct store *store_of(struct blocks *blocks)
{
	return plain_of(blocks)->store;
}

static void plain_free(struct blocks *blocks)
{
	struct plain_blocks *plain = plain_of(blocks);
	void *session = atomic_load(&plain->session);

	if (session)
		plain->fetcher->ops->close(plain->fetcher, session);
	store_batch_end(plain->batch);
	free(plain);
}

/* ---- from elsewhere ---- */

/* The first miss opens it; of two threads that both miss first, one closes its own again. */
static void *session_of(struct plain_blocks *plain)
{
	void *session = atomic_load(&plain->session), *mine;

	if (session)
		return session;
	mine = plain->fetcher->ops->open(plain->fetcher);
	if (atomic_compare_exchange_strong(&plain->session, &session, mine))
		return mine;
	plain->fetcher->ops->close(plain->fetcher, mine);
	return session;
}

/* Not to be had from the store, because of why. */
static int get_remote(struct plain_blocks *plain, const struct cid *cid, struct wait *wait, int why,
		      struct block **out)
{
	if (!plain->fetcher)
		return why == -ENOENT ? -EHOSTUNREACH : why;

	int err = plain->fetcher->ops->fetch(plain->fetcher, session_of(plain), cid, wait, out);

	if (!err && why == -EIO) {
		char text[CID_TEXT_MAX];

		/* Whoever fetched it may keep another store: mend this one. It may have been rotten
		 * where blocks are kept. */
		err = store_put(plain->store, *out, STORE_KEEP, NULL, NULL);
		log_info("store", "healed cid=%s %s", cid_text(cid, text),
			 err ? err_text(err) : "");
		return 0;
	}
	if (err && err != -EINTR && why == -EIO)
		return -EIO;
	return err;
}

/* ---- reading ---- */

static int plain_get(struct blocks *blocks, const struct cid *cid, struct wait *wait,
		     struct block **out)
{
	int err = store_get(store_of(blocks), cid, out);

	return err ? get_remote(plain_of(blocks), cid, wait, err, out) : 0;
}

static int plain_get_stored(struct blocks *blocks, const struct cid *cid, struct block **out)
{
	return store_get(store_of(blocks), cid, out);
}

static bool plain_has(struct blocks *blocks, const struct cid *cid)
{
	return store_has(store_of(blocks), cid_hash_bytes(cid));
}

static int plain_size(struct blocks *blocks, const struct cid *cid, size_t *size)
{
	return store_size(store_of(blocks), cid_hash_bytes(cid), size);
}

static void plain_prefetch(struct blocks *blocks, const struct cid *cids, size_t count)
{
	struct plain_blocks *plain = plain_of(blocks);

	plain->fetcher->ops->prefetch(plain->fetcher, session_of(plain), cids, count);
}

/* A read's state is the store's transaction. */
static struct store_read read_of(const struct blocks_read *read)
{
	return (struct store_read){ .store = store_of(read->blocks), .txn = read->state };
}

static int plain_read_begin(struct blocks *blocks, struct blocks_read *read)
{
	struct store_read under;
	int err = store_read_begin(store_of(blocks), &under);

	read->state = err ? NULL : under.txn;
	return err;
}

static int plain_read_get(struct blocks_read *read, const struct cid *cid, struct bytes *data)
{
	struct store_read under = read_of(read);

	return store_read_get(&under, cid_hash_bytes(cid), data);
}

static void plain_read_end(struct blocks_read *read)
{
	struct store_read under = read_of(read);

	store_read_end(&under);
}

/* ---- writing ---- */

static void plain_batch_begin(struct blocks *blocks)
{
	struct plain_blocks *plain = plain_of(blocks);

	if (!plain->batch_depth++)
		plain->batch = store_batch_begin(plain->store);
}

static void plain_batch_end(struct blocks *blocks)
{
	struct plain_blocks *plain = plain_of(blocks);

	if (!plain->batch_depth || --plain->batch_depth)
		return;
	store_batch_end(plain->batch);
	plain->batch = NULL;
}

static int put_own(struct plain_blocks *plain, struct block *block)
{
	if (plain->batch)
		return store_batch_put(plain->batch, block);
	return store_put(plain->store, block, STORE_WAIT | STORE_KEEP, NULL, NULL);
}

static int plain_put(struct blocks *blocks, struct block *block)
{
	struct plain_blocks *plain = plain_of(blocks);
	int err = put_own(plain, block);

	if (!err && plain->fetcher)
		plain->fetcher->ops->have(plain->fetcher, &block->cid, 1);
	return err;
}

static int plain_keep(struct blocks *blocks, const struct cid *cid, const struct block *block)
{
	struct plain_blocks *plain = plain_of(blocks);
	struct bytes multihash = cid_hash_bytes(cid);
	int err = plain->batch ? store_batch_keep(plain->batch, multihash)
			       : store_keep(plain->store, multihash);

	if (!block || (err != -ENOENT && err != -EIO))
		return err;
	return put_own(plain, (struct block *)block);
}

static int plain_sync(struct blocks *blocks)
{
	struct plain_blocks *plain = plain_of(blocks);

	return plain->batch ? store_batch_commit(plain->batch) : store_sync(plain->store);
}

static uint64_t plain_epoch(struct blocks *blocks)
{
	return store_epoch(store_of(blocks));
}

/* ---- life ---- */

static const struct blocks_ops plain_ops = {
	.free = plain_free,
	.get = plain_get,
	.get_stored = plain_get_stored,
	.has = plain_has,
	.size = plain_size,
	.prefetch = plain_prefetch,
	.read_begin = plain_read_begin,
	.read_get = plain_read_get,
	.read_end = plain_read_end,
	.put = plain_put,
	.keep = plain_keep,
	.batch_begin = plain_batch_begin,
	.batch_end = plain_batch_end,
	.sync = plain_sync,
	.epoch = plain_epoch,
};

struct blocks *blocks_new(struct store *store, struct fetcher *fetcher)
{
	struct plain_blocks *plain = xnew(struct plain_blocks);

	plain->blocks = (struct blocks){ .ops = &plain_ops, .fetches = fetcher != NULL };
	plain->store = store;
	plain->fetcher = fetcher;
	return &plain->blocks;
}

/* Batches of the store on disk. A batch holds a lease against collections in all processes from its
 * begin to its end; its blocks go through the queue. Any thread. */
#include "exchange/store/store_lease.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>

struct lmdb_batch {
	struct store_batch batch;
	struct lease lease;
	struct queue_batch queued;
};

static struct lmdb_batch *batch_of(struct store_batch *batch)
{
	return container_of(batch, struct lmdb_batch, batch);
}

struct store_batch *lmdb_batch_begin(struct store *store)
{
	struct lmdb_batch *mine = xnew(struct lmdb_batch);

	mine->batch.store = store;
	lease_init(&mine->lease);
	queue_batch_init(&mine->queued);
	return &mine->batch;
}

int lmdb_batch_put(struct store_batch *batch, struct block *block)
{
	struct lmdb_batch *mine = batch_of(batch);
	struct store_lmdb *lmdb = lmdb_of(batch->store);
	int err = lease_hold(lmdb, &mine->lease, cid_hash_bytes(&block->cid));

	return err ? err : queue_batch_put(lmdb->queue, &mine->queued, block);
}

int lmdb_batch_keep(struct store_batch *batch, struct bytes multihash)
{
	struct lmdb_batch *mine = batch_of(batch);
	struct store_lmdb *lmdb = lmdb_of(batch->store);
	struct block *block;
	int err = lease_hold(lmdb, &mine->lease, multihash);

	if (err || queue_batch_adopt(lmdb->queue, &mine->queued, multihash))
		return err;
	block = queue_find(lmdb->queue,
			   multihash); /* another batch's, or being written to the cache */
	if (!block)
		err = lmdb_copy_to_keep(lmdb, multihash, &block);
	if (!err && block)
		err = queue_batch_put(lmdb->queue, &mine->queued, block);
	block_unref(block);
	return err;
}

int lmdb_batch_commit(struct store_batch *batch)
{
	return queue_batch_commit(lmdb_of(batch->store)->queue, &batch_of(batch)->queued);
}

void lmdb_batch_end(struct store_batch *batch)
{
	struct lmdb_batch *mine = batch_of(batch);
	struct store_lmdb *lmdb = lmdb_of(batch->store);

	queue_batch_end(lmdb->queue, &mine->queued);
	lease_end(lmdb, &mine->lease);
	free(mine);
}

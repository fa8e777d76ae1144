/* The store in memory: for tests and the simulator. Same promises behind one lock; a block is
 * verified before store_put() returns. Any thread. */
#include "exchange/store/store_private.h"
#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct store_mem {
	struct store store;
	pthread_rwlock_t lock;
	struct map blocks; /* multihash -> struct block, one reference each */
	uint64_t bytes;
	_Atomic uint64_t epoch;
	struct list batches; /* of struct mem_batch */
	bool sweeping;
	struct map spared; /* while swept: what batches held at its beginning, and what was put or
			      kept since */
};

struct mem_batch {
	struct store_batch batch;
	struct list link;
	struct map held;
};

static char here; /* a value for sets */

/* What an open read holds, so that a delete beside it frees nothing it showed. */
struct mem_read {
	struct block **blocks;
	size_t count, cap;
};

static struct store_mem *mem_of(struct store *store)
{
	return container_of(store, struct store_mem, store);
}

static void mem_close(struct store *store)
{
	struct store_mem *mem = mem_of(store);
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&mem->blocks, &at, &key, &value))
		block_unref(value);
	map_release(&mem->blocks);
	map_release(&mem->spared);
	pthread_rwlock_destroy(&mem->lock);
	free(mem);
}

/* One reference, or NULL. */
static struct block *entry_find(struct store_mem *mem, struct bytes multihash)
{
	pthread_rwlock_rdlock(&mem->lock);
	struct block *block = map_get(&mem->blocks, multihash);

	if (block)
		block_ref(block);
	pthread_rwlock_unlock(&mem->lock);
	return block;
}

static int mem_read_begin(struct store *store, struct store_read *read)
{
	(void)store;
	read->txn = xnew(struct mem_read);
	return 0;
}

static int mem_read_get(struct store_read *read, struct bytes multihash, struct bytes *data)
{
	struct mem_read *held = read->txn;
	struct block *block = entry_find(mem_of(read->store), multihash);

	if (!block)
		return -ENOENT;
	if (held->count == held->cap) {
		held->cap = held->cap ? 2 * held->cap : 8;
		held->blocks = xrealloc(held->blocks, held->cap * sizeof *held->blocks);
	}
	held->blocks[held->count++] = block;
	*data = block->data;
	return 0;
}

static void mem_read_end(struct store_read *read)
{
	struct mem_read *held = read->txn;

	for (size_t i = 0; i < held->count; i++)
		block_unref(held->blocks[i]);
	free(held->blocks);
	free(held);
	read->txn = NULL;
}

static int mem_get(struct store *store, const struct cid *cid, struct block **out)
{
	struct block *block = entry_find(mem_of(store), cid_hash_bytes(cid));

	if (!block)
		return -ENOENT;
	if (cid_equal(&block->cid, cid)) {
		*out = block;
		return 0;
	}
	*out = block_copy(cid, block->data); /* stored under another name */
	block_unref(block);
	return 0;
}

static int mem_size(struct store *store, struct bytes multihash, size_t *size)
{
	struct block *block = entry_find(mem_of(store), multihash);

	if (!block)
		return -ENOENT;
	*size = block->data.len;
	block_unref(block);
	return 0;
}

/* The lock is held. */
static void spare(struct store_mem *mem, struct bytes multihash)
{
	if (mem->sweeping)
		map_set(&mem->spared, multihash, &here);
}

static int mem_put(struct store *store, struct block *block, unsigned flags,
		   store_verified_fn *verified, void *ctx)
{
	struct store_mem *mem = mem_of(store);
	int err = flags & STORE_VERIFY ? cid_verify(&block->cid, block->data) : 0;

	if (!err) {
		pthread_rwlock_wrlock(&mem->lock);
		struct block *before =
			map_set(&mem->blocks, cid_hash_bytes(&block->cid), block_ref(block));

		spare(mem, cid_hash_bytes(&block->cid));
		mem->bytes += block->data.len;
		if (before)
			mem->bytes -= before->data.len;
		pthread_rwlock_unlock(&mem->lock);
		block_unref(before);
	}
	if (verified)
		verified(ctx, err, block);
	return 0;
}

static int mem_sync(struct store *store)
{
	(void)store;
	return 0;
}

static void mem_when_room(struct store *store, void (*room)(void *ctx), void *ctx)
{
	(void)store;
	room(ctx); /* there is no queue */
}

static struct block *take_out(struct store_mem *mem, struct bytes multihash)
{
	struct block *block = map_remove(&mem->blocks, multihash);

	if (block)
		mem->bytes -= block->data.len;
	return block;
}

static int mem_delete(struct store *store, struct bytes multihash)
{
	struct store_mem *mem = mem_of(store);

	pthread_rwlock_wrlock(&mem->lock);
	struct block *block = take_out(mem, multihash);

	pthread_rwlock_unlock(&mem->lock);
	block_unref(block);
	return block ? 0 : -ENOENT;
}

static int mem_stat(struct store *store, struct store_stat *stat)
{
	struct store_mem *mem = mem_of(store);

	pthread_rwlock_rdlock(&mem->lock);
	stat->blocks = mem->blocks.count;
	stat->bytes = mem->bytes;
	stat->kept_blocks = stat->blocks;
	pthread_rwlock_unlock(&mem->lock);
	return 0;
}

static int by_multihash(const void *a, const void *b)
{
	struct block *const *left = a, *const *right = b;

	return bytes_cmp(cid_hash_bytes(&(*left)->cid), cid_hash_bytes(&(*right)->cid));
}

/* References to all blocks, in key order. */
static struct block **snapshot(struct store_mem *mem, size_t *count)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	*count = 0;
	pthread_rwlock_rdlock(&mem->lock);
	struct block **all = xcalloc(mem->blocks.count + 1, sizeof(struct block *));

	while (map_next(&mem->blocks, &at, &key, &value))
		all[(*count)++] = block_ref(value);
	pthread_rwlock_unlock(&mem->lock);
	qsort(all, *count, sizeof *all, by_multihash);
	return all;
}

static int mem_each(struct store *store, store_each_fn *each, void *ctx)
{
	size_t count;
	struct block **all = snapshot(mem_of(store), &count);
	int err = 0;

	for (size_t i = 0; i < count; i++) {
		if (!err)
			err = each(ctx, cid_hash_bytes(&all[i]->cid), all[i]->data);
		block_unref(all[i]);
	}
	free(all);
	return err;
}

/* Everything is kept: there is no quota. */
static int mem_keep(struct store *store, struct bytes multihash)
{
	struct store_mem *mem = mem_of(store);

	pthread_rwlock_wrlock(&mem->lock);
	bool found = map_get(&mem->blocks, multihash) != NULL;

	if (found)
		spare(mem, multihash);
	pthread_rwlock_unlock(&mem->lock);
	return found ? 0 : -ENOENT;
}

/* ---- batches: nothing fails, and what is put is stored ---- */

static struct store_batch *mem_batch_begin(struct store *store)
{
	struct store_mem *mem = mem_of(store);
	struct mem_batch *batch = xnew(struct mem_batch);

	batch->batch.store = store;
	pthread_rwlock_wrlock(&mem->lock);
	list_add_tail(&mem->batches, &batch->link);
	pthread_rwlock_unlock(&mem->lock);
	return &batch->batch;
}

static int mem_batch_keep(struct store_batch *batch, struct bytes multihash)
{
	struct store_mem *mem = mem_of(batch->store);

	pthread_rwlock_wrlock(&mem->lock);
	map_set(&container_of(batch, struct mem_batch, batch)->held, multihash, &here);
	pthread_rwlock_unlock(&mem->lock);
	return mem_keep(batch->store, multihash);
}

static int mem_batch_put(struct store_batch *batch, struct block *block)
{
	(void)mem_put(batch->store, block, 0, NULL, NULL);
	return mem_batch_keep(batch, cid_hash_bytes(&block->cid));
}

static int mem_batch_commit(struct store_batch *batch)
{
	(void)batch;
	return 0;
}

static void mem_batch_end(struct store_batch *batch)
{
	struct store_mem *mem = mem_of(batch->store);
	struct mem_batch *mine = container_of(batch, struct mem_batch, batch);

	pthread_rwlock_wrlock(&mem->lock);
	list_remove(&mine->link);
	pthread_rwlock_unlock(&mem->lock);
	map_release(&mine->held);
	free(mine);
}

static uint64_t mem_epoch(struct store *store)
{
	return atomic_load(&mem_of(store)->epoch);
}

static int mem_sweep_begin(struct store *store)
{
	struct store_mem *mem = mem_of(store);
	struct bytes multihash;
	void *value;

	pthread_rwlock_wrlock(&mem->lock);
	mem->sweeping = true;
	list_for_each(batch, &mem->batches, struct mem_batch, link) {
		size_t at = 0;

		while (map_next(&batch->held, &at, &multihash, &value))
			spare(mem, multihash);
	}
	pthread_rwlock_unlock(&mem->lock);
	atomic_fetch_add(&mem->epoch, 1);
	return 0;
}

static void mem_sweep_end(struct store *store)
{
	struct store_mem *mem = mem_of(store);

	pthread_rwlock_wrlock(&mem->lock);
	mem->sweeping = false;
	map_release(&mem->spared);
	pthread_rwlock_unlock(&mem->lock);
	atomic_fetch_add(&mem->epoch, 1);
}

static int mem_sweep(struct store *store, const struct store_sweep_fns *fns, void *ctx,
		     uint64_t *removed, uint64_t *freed)
{
	struct store_mem *mem = mem_of(store);
	size_t count;
	struct block **all = snapshot(mem, &count);
	int keep = 0;

	for (size_t i = 0; i < count; i++) {
		struct bytes multihash = cid_hash_bytes(&all[i]->cid);
		struct block *gone = NULL;

		/* Asked under the lock: a block put again after keep() said no stays. */
		pthread_rwlock_wrlock(&mem->lock);
		if (keep >= 0)
			keep = fns->keep(ctx, multihash);
		if (keep == 0 && !map_get(&mem->spared, multihash))
			gone = take_out(mem, multihash);
		pthread_rwlock_unlock(&mem->lock);
		if (gone) {
			*removed += 1;
			*freed += gone->data.len;
			if (fns->gone)
				fns->gone(ctx, multihash, gone->data.len);
		}
		block_unref(gone);
		block_unref(all[i]);
	}
	free(all);
	return keep < 0 ? keep : 0;
}

static const struct store_ops mem_ops = {
	.close = mem_close,
	.read_begin = mem_read_begin,
	.read_get = mem_read_get,
	.read_end = mem_read_end,
	.get = mem_get,
	.size = mem_size,
	.put = mem_put,
	.sync = mem_sync,
	.when_room = mem_when_room,
	.delete = mem_delete,
	.stat = mem_stat,
	.each = mem_each,
	.keep = mem_keep,
	.batch_begin = mem_batch_begin,
	.batch_put = mem_batch_put,
	.batch_keep = mem_batch_keep,
	.batch_commit = mem_batch_commit,
	.batch_end = mem_batch_end,
	.epoch = mem_epoch,
	.sweep_begin = mem_sweep_begin,
	.sweep_end = mem_sweep_end,
	.sweep = mem_sweep,
};

struct store *store_new_memory(void)
{
	struct store_mem *mem = xnew(struct store_mem);

	mem->store.ops = &mem_ops;
	list_init(&mem->batches);
	pthread_rwlock_init(&mem->lock, NULL);
	return &mem->store;
}

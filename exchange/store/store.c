/* The door of the store: passes calls to the operations of the store at hand. Identity CIDs are
 * answered here, because they carry their block. Any thread. */
#include "exchange/store/store_private.h"

#include <errno.h>

void store_close(struct store *store)
{
	if (store)
		store->ops->close(store);
}

int store_read_begin(struct store *store, struct store_read *read)
{
	*read = (struct store_read){ .store = store };
	return store->ops->read_begin(store, read);
}

int store_read_get(struct store_read *read, struct bytes multihash, struct bytes *data)
{
	return read->store->ops->read_get(read, multihash, data);
}

void store_read_end(struct store_read *read)
{
	read->store->ops->read_end(read);
}

int store_get(struct store *store, const struct cid *cid, struct block **out)
{
	if (cid_is_identity(cid)) {
		*out = block_of_identity(cid);
		return 0;
	}
	return store->ops->get(store, cid, out);
}

int store_size(struct store *store, struct bytes multihash, size_t *size)
{
	return store->ops->size(store, multihash, size);
}

bool store_has(struct store *store, struct bytes multihash)
{
	size_t size;

	return !store->ops->size(store, multihash, &size);
}

int store_put(struct store *store, struct block *block, unsigned flags, store_verified_fn *verified,
	      void *ctx)
{
	if (block->data.len > BLOCK_MAX)
		return -EMSGSIZE;
	if (cid_is_identity(&block->cid)) { /* it is its own copy */
		int err = flags & STORE_VERIFY ? cid_verify(&block->cid, block->data) : 0;

		if (verified)
			verified(ctx, err, block);
		return 0;
	}
	return store->ops->put(store, block, flags, verified, ctx);
}

int store_sync(struct store *store)
{
	return store->ops->sync(store);
}

void store_when_room(struct store *store, void (*room)(void *ctx), void *ctx)
{
	store->ops->when_room(store, room, ctx);
}

void store_limit_add(struct store *store, uint64_t bytes)
{
	if (store->ops->limit)
		store->ops->limit(store, bytes, 0);
}

void store_limit_drop(struct store *store, uint64_t bytes)
{
	if (store->ops->limit)
		store->ops->limit(store, 0, bytes);
}

uint64_t store_queued(struct store *store)
{
	return store->ops->queued ? store->ops->queued(store) : 0;
}

int store_check(struct store *store, uint64_t *saved)
{
	*saved = 0;
	return store->ops->check ? store->ops->check(store, saved) : 0;
}

bool store_lost(struct store *store, bool noted)
{
	return store->ops->lost && store->ops->lost(store, noted);
}

int store_delete(struct store *store, struct bytes multihash)
{
	return store->ops->delete (store, multihash);
}

int store_stat(struct store *store, struct store_stat *stat)
{
	*stat = (struct store_stat){ .version = STORE_VERSION };
	return store->ops->stat(store, stat);
}

int store_each(struct store *store, store_each_fn *each, void *ctx)
{
	return store->ops->each(store, each, ctx);
}

int store_keep(struct store *store, struct bytes multihash)
{
	return store->ops->keep(store, multihash);
}

struct store_batch *store_batch_begin(struct store *store)
{
	return store->ops->batch_begin(store);
}

int store_batch_put(struct store_batch *batch, struct block *block)
{
	if (block->data.len > BLOCK_MAX)
		return -EMSGSIZE;
	return cid_is_identity(&block->cid) ? 0 : batch->store->ops->batch_put(batch, block);
}

int store_batch_keep(struct store_batch *batch, struct bytes multihash)
{
	if (!multihash.len || multihash.len > MULTIHASH_MAX)
		return -ENOENT;
	return batch->store->ops->batch_keep(batch, multihash);
}

int store_batch_commit(struct store_batch *batch)
{
	return batch->store->ops->batch_commit(batch);
}

void store_batch_end(struct store_batch *batch)
{
	if (batch)
		batch->store->ops->batch_end(batch);
}

uint64_t store_epoch(struct store *store)
{
	return store->ops->epoch(store);
}

int store_sweep_begin(struct store *store)
{
	int err = store->ops->sweep_begin(store);

	if (!err)
		atomic_store(&store->sweeping, true);
	return err;
}

void store_sweep_end(struct store *store)
{
	if (atomic_exchange(&store->sweeping, false))
		store->ops->sweep_end(store);
}

int store_sweep(struct store *store, const struct store_sweep_fns *fns, void *ctx,
		uint64_t *removed, uint64_t *freed)
{
	bool begun = atomic_load(&store->sweeping);
	int err = begun ? 0 : store_sweep_begin(store);

	*removed = *freed = 0;
	if (!err)
		err = store->ops->sweep(store, fns, ctx, removed, freed);
	if (!begun)
		store_sweep_end(store);
	return err;
}

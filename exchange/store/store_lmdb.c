/* An LMDB store: opening, reading and walking. A block is looked for in the newest generation
 * first. Any thread. */
#include "exchange/store/store_dir.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/wire/multibase.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

#define EACH_BLOCKS 256 /* of one snapshot of store_each() */
#define EACH_BYTES ((size_t)8 << 20)

/* ---- reading ---- */

/* In one generation of the snapshot, opened; or only found, when data is NULL. */
static int look_in(struct store_lmdb *lmdb, struct snapshot *snapshot, size_t i,
		   struct bytes multihash, struct bytes *record, struct bytes *data)
{
	int err = snapshot_find(snapshot, i, multihash, record);

	if (!err && data)
		err = lmdb_open_record(lmdb, snapshot->gens->at[i], multihash, *record, data);
	if (!err && data)
		gen_touch(snapshot->gens->at[i], multihash);
	return err;
}

/* Where the last one was, then the newest first. A copy that is damaged is as good as none while
 * there is another. */
static int lmdb_look(struct store_lmdb *lmdb, struct snapshot *snapshot, struct bytes multihash,
		     struct bytes *record, struct bytes *data)
{
	size_t count = snapshot->gens->count, last = snapshot->last;
	int why = -ENOENT;

	if (!multihash.len || multihash.len > MULTIHASH_MAX)
		return -ENOENT;
	for (size_t i = 0; i <= count; i++) {
		size_t at = i ? i - 1 : last;

		if (at >= count || (i && at == last))
			continue;
		int err = look_in(lmdb, snapshot, at, multihash, record, data);

		if (!err) {
			snapshot->last = at;
			return 0;
		}
		if (err != -ENOENT)
			why = err;
	}
	return why;
}

static int lmdb_read_begin(struct store *store, struct store_read *read)
{
	struct snapshot *snapshot = NULL;
	int err = snapshot_begin(lmdb_of(store), &snapshot);

	read->txn = snapshot;
	return err;
}

static int lmdb_read_get(struct store_read *read, struct bytes multihash, struct bytes *data)
{
	struct bytes record;

	return lmdb_look(lmdb_of(read->store), read->txn, multihash, &record, data);
}

static void lmdb_read_end(struct store_read *read)
{
	snapshot_end(lmdb_of(read->store), read->txn);
	read->txn = NULL;
}

static void release_other(struct block *block)
{
	block_unref(block->owner);
}

static int lmdb_get(struct store *store, const struct cid *cid, struct block **out)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	/* The queue first: what leaves it is in the snapshot begun afterwards. */
	struct block *queued = queue_find(lmdb->queue, cid_hash_bytes(cid));
	struct store_read read;
	struct bytes data;

	if (queued && cid_equal(&queued->cid, cid)) {
		*out = queued;
		return 0;
	}
	if (queued) { /* under another CID of the same multihash */
		*out = block_slice(cid, queued->data, queued, release_other);
		return 0;
	}
	int err = store_read_begin(store, &read);

	if (err)
		return err;
	err = lmdb_read_get(&read, cid_hash_bytes(cid), &data);
	if (!err)
		*out = block_copy(cid, data);
	store_read_end(&read);
	return err;
}

static int lmdb_size(struct store *store, struct bytes multihash, size_t *size)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	struct block *queued = queue_find(lmdb->queue, multihash);
	struct snapshot *snapshot;
	struct bytes record;

	if (queued) {
		*size = queued->data.len;
		block_unref(queued);
		return 0;
	}
	int err = snapshot_begin(lmdb, &snapshot);

	if (err)
		return err;
	err = lmdb_look(lmdb, snapshot, multihash, &record, NULL);
	if (!err)
		*size = record.len > GEN_RECORD_HEAD ? record.len - GEN_RECORD_HEAD : 0;
	snapshot_end(lmdb, snapshot);
	return err;
}

/* ---- the whole ---- */

static int lmdb_stat(struct store *store, struct store_stat *out)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	struct gens *gens;
	int err = store_dir_gens(lmdb, &gens);

	if (err)
		return err;
	for (size_t i = 0; i < gens->count && !err; i++) {
		bool kept = gens->at[i]->class == GEN_KEPT;
		struct gen_stat stat;

		err = gen_stat(gens->at[i], &stat);
		if (err)
			break;
		*(kept ? &out->kept_blocks : &out->cache_blocks) += stat.blocks;
		*(kept ? &out->kept_disk_bytes : &out->cache_disk_bytes) += stat.disk_bytes;
		out->bytes += stat.bytes;
	}
	gens_unref(gens);
	out->blocks = out->kept_blocks + out->cache_blocks;
	out->disk_bytes = out->kept_disk_bytes + out->cache_disk_bytes;
	out->quota_bytes = lmdb->config.quota_bytes;
	memcpy(out->path, lmdb->path, sizeof lmdb->path);
	return err;
}

/* One place of a walk through all generations at once. */
struct place {
	MDB_cursor *cursor;
	MDB_val key, val;
	int rc;
};

static void place_move(struct place *place, MDB_cursor_op op)
{
	if (!place->rc)
		place->rc = mdb_cursor_get(place->cursor, &place->key, &place->val, op);
}

static int places_open(struct snapshot *snapshot, struct place *places, struct bytes from)
{
	int err = 0;

	for (size_t i = 0; i < snapshot->gens->count && !err; i++) {
		struct place *place = &places[i];

		err = snapshot_open_part(snapshot, i);
		if (err)
			break;
		place->key = val_of(from);
		place->rc = mdb_cursor_open(snapshot->parts[i].txn, snapshot->gens->at[i]->blocks,
					    &place->cursor);
		place_move(place, from.len ? MDB_SET_RANGE : MDB_FIRST);
		if (place->rc != MDB_NOTFOUND)
			err = gen_err(place->rc);
	}
	return err;
}

/* The lowest key; of equal ones the first generation's. NULL at the end. */
static struct place *lowest(struct place *places, size_t count)
{
	struct place *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (!places[i].rc && (!best || bytes_cmp(bytes_of_val(&places[i].key),
							 bytes_of_val(&best->key)) < 0))
			best = &places[i];
	return best;
}

static int places_next(struct place *places, size_t count, struct bytes key)
{
	for (size_t i = 0; i < count; i++) {
		if (!places[i].rc && bytes_equal(bytes_of_val(&places[i].key), key))
			place_move(&places[i], MDB_NEXT);
		if (places[i].rc && places[i].rc != MDB_NOTFOUND)
			return gen_err(places[i].rc);
	}
	return 0;
}

/* One snapshot of store_each(): blocks from *from on; *from becomes the next key, empty at the end.
 */
static int each_batch(struct store_lmdb *lmdb, struct buf *from, store_each_fn *each, void *ctx)
{
	struct snapshot *snapshot;
	struct place *place, *places;
	size_t blocks = 0, bytes = 0;
	int err = snapshot_begin(lmdb, &snapshot);

	if (err)
		return err;
	size_t count = snapshot->gens->count;

	places = xcalloc(count + 1, sizeof *places);
	err = places_open(snapshot, places, buf_bytes(from));
	while (!err && (place = lowest(places, count)) && blocks < EACH_BLOCKS &&
	       bytes < EACH_BYTES) {
		struct bytes key = bytes_of_val(&place->key);

		blocks++;
		bytes += place->val.mv_size;
		err = each(ctx, key, bytes_skip(bytes_of_val(&place->val), GEN_RECORD_HEAD));
		if (!err)
			err = places_next(places, count, key);
	}
	buf_clear(from);
	if (!err && (place = lowest(places, count)))
		buf_add(from, bytes_of_val(&place->key));
	for (size_t i = 0; i < count; i++)
		if (places[i].cursor)
			mdb_cursor_close(places[i].cursor);
	free(places);
	snapshot_end(lmdb, snapshot);
	return err;
}

static int lmdb_each(struct store *store, store_each_fn *each, void *ctx)
{
	struct buf from = { 0 };
	int err;

	do
		err = each_batch(lmdb_of(store), &from, each, ctx);
	while (!err && from.len);
	buf_release(&from);
	return err;
}

static int lmdb_put(struct store *store, struct block *block, unsigned flags,
		    store_verified_fn *verified, void *ctx)
{
	if (lmdb_of(store)->read_only)
		return -EROFS;
	return queue_put(lmdb_of(store)->queue, block, flags, verified, ctx);
}

static int lmdb_sync(struct store *store)
{
	return queue_sync(lmdb_of(store)->queue);
}

static void lmdb_when_room(struct store *store, void (*room)(void *ctx), void *ctx)
{
	queue_when_room(lmdb_of(store)->queue, room, ctx);
}

static void lmdb_limit(struct store *store, uint64_t more, uint64_t less)
{
	queue_limit(lmdb_of(store)->queue, more, less);
}

static uint64_t lmdb_queued(struct store *store)
{
	return queue_queued(lmdb_of(store)->queue);
}

static uint64_t lmdb_epoch(struct store *store)
{
	return atomic_load(&lmdb_of(store)->shared->epoch);
}

/* ---- opening ---- */

static void free_store(struct store_lmdb *lmdb)
{
	snapshot_drop_idle(lmdb);
	store_dir_close(lmdb);
	pthread_mutex_destroy(&lmdb->lists);
	free(lmdb->missing);
	free(lmdb);
}

/* What this process cached survives a power cut from now on. */
static void lmdb_settle(struct store_lmdb *lmdb)
{
	struct gens *gens;

	if (!atomic_load(&lmdb->cached) || store_dir_gens(lmdb, &gens))
		return;
	struct gen *gen = gens_newest(gens, GEN_CACHE);

	if (gen && gen_settle(gen))
		log_warn("store", "%s may be lost in a power cut", gen->path);
	gens_unref(gens);
}

static void lmdb_close(struct store *store)
{
	struct store_lmdb *lmdb = lmdb_of(store);

	queue_free(lmdb->queue);
	janitor_stop(lmdb);
	lmdb_settle(lmdb);
	free_store(lmdb);
}

static const struct store_ops lmdb_ops = {
	.close = lmdb_close,
	.read_begin = lmdb_read_begin,
	.read_get = lmdb_read_get,
	.read_end = lmdb_read_end,
	.get = lmdb_get,
	.size = lmdb_size,
	.put = lmdb_put,
	.sync = lmdb_sync,
	.when_room = lmdb_when_room,
	.limit = lmdb_limit,
	.queued = lmdb_queued,
	.delete = lmdb_delete,
	.stat = lmdb_stat,
	.each = lmdb_each,
	.keep = lmdb_keep,
	.batch_begin = lmdb_batch_begin,
	.batch_put = lmdb_batch_put,
	.batch_keep = lmdb_batch_keep,
	.batch_commit = lmdb_batch_commit,
	.batch_end = lmdb_batch_end,
	.epoch = lmdb_epoch,
	.sweep_begin = lmdb_sweep_begin,
	.sweep_end = lmdb_sweep_end,
	.sweep = lmdb_sweep,
	.check = lmdb_check,
	.lost = lmdb_lost,
};

int store_open_lmdb(const char *dir, const struct store_config *config, struct store **out)
{
	size_t len = strlen(dir);

	if (len >= sizeof((struct store_lmdb *)0)->path)
		return -ENAMETOOLONG;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	struct store_lmdb *lmdb = xnew(struct store_lmdb);

	lmdb->store.ops = &lmdb_ops;
	lmdb->config = *config;
	lmdb->dir_fd = -1;
	memcpy(lmdb->path, dir, len + 1);
	lmdb->missing = xcalloc(QUEUE_BATCH_MAX, sizeof(struct queue_item *));
	pthread_mutex_init(&lmdb->lists, NULL);

	int err = store_dir_open(lmdb);

	if (!err && !lmdb->read_only) {
		sweep_make_reserve(lmdb);
		err = janitor_start(lmdb);
	}
	if (err) {
		free_store(lmdb);
		return err;
	}
	err = queue_new(lmdb_commit, lmdb, &lmdb->queue);
	if (err) {
		janitor_stop(lmdb);
		free_store(lmdb);
		return err;
	}
	if (!lmdb->read_only) {
		uint64_t saved = 0;

		repair_salvage(lmdb, &saved);
	}
	*out = &lmdb->store;
	return 0;
}

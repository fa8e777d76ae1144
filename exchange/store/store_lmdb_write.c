/* Writing to an LMDB store: batches of blocks from the queue, each in one transaction, into the
 * newest generation of what is kept or cached; also keeping and deleting single blocks. The
 * queue's committer thread, but for keep and delete. */
#include "exchange/store/store_lmdb.h"

#include "net/base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <xxhash.h>

#define DISK_SPARE ((uint64_t)4 << 20)
/* Not an LMDB code: what lies under a key is not what was written there. It is left alone, as LMDB
 * would believe the page counts in it when it frees the pages; the block goes to a newer
 * generation, which is read first. */
#define RECORD_ROTTEN (-1)
#define GROWS_MAX 3 /* a batch needs two steps at most */
#define GROW_BYTES ((size_t)16 << 20)
#define ROOM_NAPS_MAX 100 /* of 20 ms */

/* ---- putting ---- */

static uint64_t sum_in(struct bytes record)
{
	struct cursor c = cursor_over(record);

	return cursor_le64(&c);
}

/* Every byte is compared: a record that rotted is replaced by a good one, a good one costs no
 * write. */
static bool is_stored(struct bytes record, const struct queue_item *item)
{
	struct bytes data = item->block->data;

	return record.len == GEN_RECORD_HEAD + data.len && sum_in(record) == item->sum &&
	       bytes_equal(bytes_skip(record, GEN_RECORD_HEAD), data);
}

static void lmdb_write_fill(const MDB_val *record, const struct queue_item *item)
{
	uint8_t *at = record->mv_data;
	struct bytes data = item->block->data;

	for (unsigned i = 0; i < GEN_RECORD_HEAD; i++)
		at[i] = (uint8_t)(item->sum >> 8 * i);
	if (data.len)
		memcpy(at + GEN_RECORD_HEAD, data.at, data.len);
}

/* *bytes follows the sum of sizes. An LMDB code. */
static int put_item(struct gen *gen, MDB_txn *txn, const struct queue_item *item, uint64_t *bytes)
{
	struct bytes multihash = cid_hash_bytes(&item->block->cid);
	MDB_val key = val_of(multihash),
		record = { .mv_size = GEN_RECORD_HEAD + item->block->data.len };
	/* Reserved, the bytes are copied once, to where they are written from. */
	int rc = mdb_put(txn, gen->blocks, &key, &record, MDB_RESERVE | MDB_NOOVERWRITE);

	if (rc == MDB_KEYEXIST) {
		if (is_stored(bytes_of_val(&record), item))
			return 0;
		char text[CID_TEXT_MAX];

		log_warn("store", "corrupt block, written anew cid=%s",
			 cid_text(&item->block->cid, text));
		return RECORD_ROTTEN;
	}
	if (rc)
		return rc;
	lmdb_write_fill(&record, item);
	*bytes += item->block->data.len;
	return 0;
}

static int put_items(struct gen *gen, MDB_txn *txn, struct queue_item **items, size_t count,
		     size_t *fits)
{
	uint64_t before, bytes;
	int rc = gen_meta_get(gen, txn, "bytes", &before);

	bytes = before;
	for (size_t i = 0; i < count && !rc; i++) {
		rc = put_item(gen, txn, items[i], &bytes);
		if (rc)
			*fits = i;
	}
	if (!rc && bytes != before)
		rc = gen_meta_put(gen, txn, "bytes", bytes);
	return rc;
}

/* Where a new copy of a block need not be: what lies in the snapshot's generation i is safe. */
static bool is_good_place(struct store_lmdb *lmdb, const struct gen *gen, bool keep, bool sweeping)
{
	if (keep && gen->class != GEN_KEPT)
		return false;
	return !sweeping || gen->number >= atomic_load(&lmdb->shared->floors[gen->class]);
}

static int stored_already(struct store_lmdb *lmdb, struct snapshot *snapshot,
			  const struct queue_item *item, bool sweeping, bool *stored)
{
	struct bytes multihash = cid_hash_bytes(&item->block->cid), record;

	*stored = false;
	for (size_t i = 0; i < snapshot->gens->count && !*stored; i++) {
		struct gen *gen = snapshot->gens->at[i];

		if (!is_good_place(lmdb, gen, item->keep, sweeping))
			continue;
		int err = snapshot_find(snapshot, i, multihash, &record);

		if (err && err != -ENOENT)
			return err;
		*stored = !err && is_stored(record, item);
		if (*stored)
			gen_touch(gen, multihash);
	}
	return 0;
}

/* Fills missing with what must be written. */
static int sort_out(struct store_lmdb *lmdb, struct queue_item **items, size_t count,
		    size_t *missing)
{
	/* Read before the list: if the sweep is seen, the generations that it began with are seen,
	 * too. */
	bool sweeping = atomic_load(&lmdb->shared->epoch) % 2;
	struct snapshot *snapshot;
	int err = snapshot_begin(lmdb, &snapshot);

	*missing = 0;
	if (err)
		return err;
	for (size_t i = 0; i < count && !err; i++) {
		bool stored;

		err = stored_already(lmdb, snapshot, items[i], sweeping, &stored);
		if (!err && !stored)
			lmdb->missing[(*missing)++] = items[i];
	}
	snapshot_end(lmdb, snapshot);
	return err;
}

/* Of all items, when so many of those to do have room. */
static size_t fits_of_all(struct store_lmdb *lmdb, struct queue_item **items, size_t count,
			  size_t fits)
{
	size_t i = 0;

	while (fits && i < count && items[i] != lmdb->missing[fits])
		i++;
	return i;
}

/* The last of a disk is left to small records: pins, names, the configuration. */
static bool has_room(const struct store_lmdb *lmdb, size_t count)
{
	uint64_t bytes = DISK_SPARE;
	struct statvfs disk;

	for (size_t i = 0; i < count; i++)
		bytes += lmdb->missing[i]->block->data.len;
	return statvfs(lmdb->path, &disk) || (uint64_t)disk.f_bavail * disk.f_frsize > bytes;
}

/* The space of what was evicted comes back when the other processes close it, which they were told
 * to. */
static void wait_for_room(const struct store_lmdb *lmdb, size_t count)
{
	for (unsigned i = 0; i < ROOM_NAPS_MAX && !has_room(lmdb, count); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

/* Writes what is not stored yet in one transaction. If the place turns out rotten, or its map too
 * small, another generation or a larger map is tried. */
static int write_missing(struct store_lmdb *lmdb, enum gen_class class, size_t count, size_t *fits)
{
	if (!has_room(lmdb, count))
		return -ENOSPC;
	for (unsigned i = 0;; i++) {
		struct gen *gen;
		MDB_txn *txn;
		int err = lmdb_write_begin(lmdb, class, NULL, &gen, &txn);

		if (err)
			return err;
		int rc = put_items(gen, txn, lmdb->missing, count, fits);
		bool rotten = rc == RECORD_ROTTEN;

		err = gen_write_end(gen, txn, rotten ? ECANCELED : rc);
		if (err == -ENOSPC) /* a reader that died may hold pages */
			mdb_reader_check(gen->env, NULL);
		/* A map smaller than meant, as address space is short: a larger one, or another. */
		bool small = rc == MDB_MAP_FULL && (!lmdb->config.map_bytes ||
						    gen_map_bytes(gen) < lmdb->config.map_bytes);
		bool again = (rotten || small) && i < GROWS_MAX;

		if (again && (rotten || gen_resize(gen, GROW_BYTES)))
			err = store_dir_roll(lmdb, class, gen);
		else if (again)
			err = 0;
		gen_unref(gen);
		if (!again || err)
			return err;
	}
}

static int end_items(struct gen *gen, MDB_txn *txn, int rc)
{
	return gen_write_end(gen, txn, rc == RECORD_ROTTEN ? EIO : rc);
}

/* The disk is full: there may be free pages in a generation that a sweep had no room to copy. */
static int write_to_pruned(struct store_lmdb *lmdb, enum gen_class class, size_t count,
			   size_t *fits)
{
	struct gens *gens;
	int err = store_dir_gens(lmdb, &gens);

	if (err)
		return err;
	err = -ENOSPC;
	for (size_t i = 0; i < gens->count && err == -ENOSPC; i++) {
		struct gen *gen = gens->at[i];
		bool closed = true;
		MDB_txn *txn;

		if (gen->class != class || gen == gens_newest(gens, class))
			continue;
		int begun = lmdb_write_begin_in(gen, NULL, &txn, &closed);

		if (begun)
			err = begun;
		else if (!closed)
			err = end_items(gen, txn, put_items(gen, txn, lmdb->missing, count, fits));
	}
	gens_unref(gens);
	return err;
}

int lmdb_commit(void *ctx, struct queue_item **items, size_t count, size_t *fits)
{
	struct store_lmdb *lmdb = ctx;
	enum gen_class class = items[0]->keep ? GEN_KEPT : GEN_CACHE;
	size_t missing, fit = 0;

	for (size_t i = 0; i < count; i++) {
		struct bytes data = items[i]->block->data;

		if (!items[i]->summed)
			items[i]->sum = XXH3_64bits(data.at, data.len);
		items[i]->summed = true;
	}
	int err = sort_out(lmdb, items, count, &missing);

	if (!err && missing)
		err = write_missing(lmdb, class, missing, &fit);
	if (err == -ENOSPC && missing && atomic_load(&lmdb->shared->epoch) % 2 == 0)
		err = write_to_pruned(lmdb, class, missing, &fit);
	while (err == -ENOSPC && missing && class == GEN_KEPT && evict_for_room(lmdb)) {
		wait_for_room(lmdb, missing);
		err = write_missing(lmdb, class, missing, &fit);
	}
	if (err)
		*fits = fits_of_all(lmdb, items, count, fit);
	if (class == GEN_CACHE) {
		atomic_store(&lmdb->cached, true);
		if (janitor_needed(lmdb))
			store_dir_ring(lmdb);
	}
	return err;
}

/* ---- keeping ---- */

/* -ENOENT: not stored. *block is NULL when it is kept and needs nothing, else a copy to be put. */
int lmdb_copy_to_keep(struct store_lmdb *lmdb, struct bytes multihash, struct block **block)
{
	bool sweeping = atomic_load(&lmdb->shared->epoch) % 2;
	struct snapshot *snapshot;
	struct bytes record, data;
	int found = -ENOENT, err = snapshot_begin(lmdb, &snapshot);

	if (err)
		return err;
	*block = NULL;
	for (size_t i = 0; i < snapshot->gens->count && !err && !*block; i++) {
		struct gen *gen = snapshot->gens->at[i];

		err = snapshot_find(snapshot, i, multihash, &record);
		if (err == -ENOENT) {
			err = 0;
			continue;
		}
		if (!err && is_good_place(lmdb, gen, true, sweeping)) {
			found = 0;
			break;
		}
		if (!err)
			found = lmdb_open_record(lmdb, gen, multihash, record, &data);
		struct cid cid;

		if (!err && !found)
			err = cid_make(&cid, 1, CODEC_RAW, multihash);
		if (!err && !found)
			*block = block_copy(&cid, data);
	}
	snapshot_end(lmdb, snapshot);
	return err ? err : found;
}

int lmdb_keep(struct store *store, struct bytes multihash)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	struct block *block;

	if (!multihash.len || multihash.len > MULTIHASH_MAX)
		return -ENOENT;
	if (queue_keep(lmdb->queue, multihash))
		return 0;
	block = queue_find(lmdb->queue, multihash); /* being written to the cache */
	int err = block ? 0 : lmdb_copy_to_keep(lmdb, multihash, &block);

	if (!err && block)
		err = store_put(store, block, STORE_KEEP | STORE_WAIT, NULL, NULL);
	block_unref(block);
	return err;
}

/* ---- removing ---- */

static int delete_once(struct gen *gen, struct bytes multihash)
{
	MDB_txn *txn;
	int err = gen_write_begin(gen, &txn);

	if (err)
		return err;
	return gen_write_end(gen, txn, lmdb_delete_in(gen, txn, multihash));
}

/* Old generations first: who copies a block to a newer one looks for it again while it holds that
 * one's write lock, so a copy is either seen by us or not made. */
static int delete_all(struct store_lmdb *lmdb, struct bytes multihash, bool *any)
{
	struct gens *gens;
	int err = store_dir_gens(lmdb, &gens);

	if (err)
		return err;
	for (size_t i = gens->count; i > 0 && !err; i--) {
		struct gen *gen = gens->at[i - 1];

		err = delete_once(gen, multihash);
		if (err == -ENOSPC) {
			err = gen_resize(gen, GEN_GROW_BYTES);
			if (!err)
				err = delete_once(gen, multihash);
		}
		*any = *any || !err;
		if (err == -ENOENT)
			err = 0;
	}
	if (!err && gens->version != atomic_load(&lmdb->shared->list))
		err = -EAGAIN; /* it may have been copied where we did not look */
	gens_unref(gens);
	return err;
}

int lmdb_delete(struct store *store, struct bytes multihash)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	bool any = queue_drop(lmdb->queue, multihash);
	int err;

	if (!multihash.len || multihash.len > MULTIHASH_MAX)
		return -ENOENT;
	do
		err = delete_all(lmdb, multihash, &any);
	while (err == -EAGAIN);
	queue_retry(lmdb->queue);
	return !err && !any ? -ENOENT : err;
}

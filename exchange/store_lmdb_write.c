#include "exchange/store_lmdb.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <xxhash.h>

#define GROW_BYTES ((size_t)4 << 20) /* removing needs a few pages, even from a full map */
#define DISK_FULL_BYTES (32u << 20)  /* less free than the largest transaction may need */
#define SWEEP_LOOK_MAX 16384	     /* keys looked at in one snapshot */
#define SWEEP_BLOCKS_MAX 1024	     /* removed in one transaction */

static void unlock(struct store_lmdb *lmdb)
{
	pthread_mutex_unlock(&lmdb->writing);
	pthread_rwlock_unlock(&lmdb->map);
}

static int begin_once(struct store_lmdb *lmdb, MDB_txn **txn)
{
	pthread_rwlock_rdlock(&lmdb->map);
	pthread_mutex_lock(&lmdb->writing);
	int rc = mdb_txn_begin(lmdb->env, NULL, 0, txn);

	if (rc)
		unlock(lmdb);
	return rc;
}

/* Takes both locks; waits for other writers. 0 or -errno. */
static int begin(struct store_lmdb *lmdb, MDB_txn **txn)
{
	int rc = begin_once(lmdb, txn);

	if (rc == MDB_MAP_RESIZED) {
		int err = lmdb_resize(lmdb, 0);

		if (err)
			return err;
		rc = begin_once(lmdb, txn);
	}
	return lmdb_err(rc);
}

static bool is_disk_full(const struct store_lmdb *lmdb)
{
	struct statvfs disk;

	return !statvfs(lmdb->path, &disk) &&
	       (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES;
}

/* Commits when rc is 0, else gives up; 0 or -errno. */
static int end(struct store_lmdb *lmdb, MDB_txn *txn, int rc)
{
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	unlock(lmdb);
	/* The write that fills a disk is a short one, and LMDB says EIO for that. */
	if (rc == EIO && is_disk_full(lmdb))
		return -ENOSPC;
	return lmdb_err(rc);
}

/* ---- putting ---- */

static size_t data_len(const MDB_val *record)
{
	return record->mv_size > RECORD_HEAD ? record->mv_size - RECORD_HEAD : 0;
}

static uint64_t sum_in(const MDB_val *record)
{
	struct cursor c = cursor_over(bytes_of_val(record));

	return cursor_le64(&c);
}

/* Every byte is compared: a record that rotted is replaced by a good one, a good one costs no
 * write. */
static bool is_stored(const MDB_val *record, const struct queue_item *item)
{
	struct bytes data = item->block->data;

	return record->mv_size == RECORD_HEAD + data.len && sum_in(record) == item->sum &&
	       bytes_equal(bytes_skip(bytes_of_val(record), RECORD_HEAD), data);
}

static void fill(const MDB_val *record, const struct queue_item *item)
{
	uint8_t *at = record->mv_data;
	struct bytes data = item->block->data;

	for (unsigned i = 0; i < RECORD_HEAD; i++)
		at[i] = (uint8_t)(item->sum >> 8 * i);
	if (data.len)
		memcpy(at + RECORD_HEAD, data.at, data.len);
}

/* *bytes follows the sum of sizes. An LMDB code. */
static int put_item(struct store_lmdb *lmdb, MDB_txn *txn, const struct queue_item *item,
		    uint64_t *bytes)
{
	struct bytes multihash = cid_hash_bytes(&item->block->cid);
	MDB_val key = val_of(multihash),
		record = { .mv_size = RECORD_HEAD + item->block->data.len };
	/* Reserved, the bytes are copied once, to where they are written from. */
	int rc = mdb_put(txn, lmdb->blocks, &key, &record, MDB_RESERVE | MDB_NOOVERWRITE);

	if (rc == MDB_KEYEXIST) {
		if (is_stored(&record, item))
			return 0;
		char text[CID_TEXT_MAX];

		log_warn("store", "replacing corrupt block cid=%s",
			 cid_text(&item->block->cid, text));
		*bytes -= data_len(&record);
		record = (MDB_val){ .mv_size = RECORD_HEAD + item->block->data.len };
		rc = mdb_put(txn, lmdb->blocks, &key, &record, MDB_RESERVE);
	}
	if (rc)
		return rc;
	fill(&record, item);
	*bytes += item->block->data.len;
	return 0;
}

static int put_items(struct store_lmdb *lmdb, MDB_txn *txn, struct queue_item **items, size_t count,
		     size_t *fits)
{
	uint64_t before, bytes;
	int rc = lmdb_meta_get(lmdb, txn, "bytes", &before);

	bytes = before;
	for (size_t i = 0; i < count && !rc; i++) {
		rc = put_item(lmdb, txn, items[i], &bytes);
		if (rc)
			*fits = i;
	}
	if (!rc && bytes != before)
		rc = lmdb_meta_put(lmdb, txn, "bytes", bytes);
	return rc;
}

int lmdb_commit(void *ctx, struct queue_item **items, size_t count, size_t *fits)
{
	struct store_lmdb *lmdb = ctx;
	MDB_txn *txn;

	for (size_t i = 0; i < count; i++) {
		struct bytes data = items[i]->block->data;

		if (!items[i]->summed)
			items[i]->sum = XXH3_64bits(data.at, data.len);
		items[i]->summed = true;
	}
	int err = begin(lmdb, &txn);

	if (!err)
		err = end(lmdb, txn, put_items(lmdb, txn, items, count, fits));
	if (err == -ENOSPC) /* a reader that died may hold pages */
		mdb_reader_check(lmdb->env, NULL);
	return err;
}

/* ---- removing ---- */

/* *freed is added to. An LMDB code. */
static int remove_one(struct store_lmdb *lmdb, MDB_txn *txn, struct bytes multihash,
		      uint64_t *freed)
{
	MDB_val key = val_of(multihash), record;
	int rc = mdb_get(txn, lmdb->blocks, &key, &record);

	if (rc)
		return rc;
	uint64_t len = data_len(&record);

	rc = mdb_del(txn, lmdb->blocks, &key, NULL);
	if (!rc)
		*freed += len;
	return rc;
}

static int account(struct store_lmdb *lmdb, MDB_txn *txn, uint64_t freed)
{
	uint64_t bytes;
	int rc = lmdb_meta_get(lmdb, txn, "bytes", &bytes);

	if (rc || !freed)
		return rc;
	return lmdb_meta_put(lmdb, txn, "bytes", bytes > freed ? bytes - freed : 0);
}

static int delete_once(struct store_lmdb *lmdb, struct bytes multihash)
{
	uint64_t freed = 0;
	MDB_txn *txn;
	int err = begin(lmdb, &txn);

	if (err)
		return err;
	int rc = remove_one(lmdb, txn, multihash, &freed);

	if (!rc)
		rc = account(lmdb, txn, freed);
	return end(lmdb, txn, rc);
}

int lmdb_delete(struct store *store, struct bytes multihash)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	bool queued = queue_drop(lmdb->queue, multihash);

	if (!multihash.len || multihash.len > MULTIHASH_MAX)
		return -ENOENT;
	int err = delete_once(lmdb, multihash);

	if (err == -ENOSPC) {
		err = lmdb_resize(lmdb, GROW_BYTES);
		if (!err)
			err = delete_once(lmdb, multihash);
	}
	queue_retry(lmdb->queue);
	return err == -ENOENT && queued ? 0 : err;
}

struct sweep {
	struct store_lmdb *lmdb;
	store_keep_fn *keep;
	void *ctx;
	struct buf from; /* key to go on with; empty before the first and after the last */
	struct buf *doomed;
	size_t count;
};

/* Looks for blocks to remove in one snapshot. */
static int look(struct sweep *sweep)
{
	struct store_read read;
	MDB_cursor *cursor = NULL;
	MDB_val key = val_of(buf_bytes(&sweep->from)), record;
	int err = store_read_begin(&sweep->lmdb->store, &read);

	if (err)
		return err;
	int rc = mdb_cursor_open(read.txn, sweep->lmdb->blocks, &cursor);

	if (!rc)
		rc = mdb_cursor_get(cursor, &key, &record,
				    sweep->from.len ? MDB_SET_RANGE : MDB_FIRST);
	sweep->count = 0;
	for (size_t i = 0; !rc && i < SWEEP_LOOK_MAX && sweep->count < SWEEP_BLOCKS_MAX; i++) {
		if (!sweep->keep(sweep->ctx, bytes_of_val(&key))) {
			struct buf *doomed = &sweep->doomed[sweep->count++];

			buf_clear(doomed);
			buf_add(doomed, bytes_of_val(&key));
		}
		rc = mdb_cursor_get(cursor, &key, &record, MDB_NEXT);
	}
	buf_clear(&sweep->from);
	if (!rc)
		buf_add(&sweep->from, bytes_of_val(&key));
	if (cursor)
		mdb_cursor_close(cursor);
	store_read_end(&read);
	return rc == MDB_NOTFOUND ? 0 : lmdb_err(rc);
}

/* keep() is asked again now that nobody else can put: who put the block meanwhile found it stored.
 */
static int remove_doomed(struct sweep *sweep, uint64_t *removed, uint64_t *freed)
{
	struct store_lmdb *lmdb = sweep->lmdb;
	uint64_t some_removed = 0, some_freed = 0;
	MDB_txn *txn;
	int err = begin(lmdb, &txn), rc = 0;

	if (err)
		return err;
	for (size_t i = 0; i < sweep->count && !rc; i++) {
		struct bytes multihash = buf_bytes(&sweep->doomed[i]);

		if (sweep->keep(sweep->ctx, multihash))
			continue;
		rc = remove_one(lmdb, txn, multihash, &some_freed);
		if (!rc)
			some_removed++;
		else if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	if (!rc)
		rc = account(lmdb, txn, some_freed);
	err = end(lmdb, txn, rc);
	if (err)
		return err;
	*removed += some_removed;
	*freed += some_freed;
	return 0;
}

static int sweep_batch(struct sweep *sweep, uint64_t *removed, uint64_t *freed)
{
	struct store_lmdb *lmdb = sweep->lmdb;
	int err = look(sweep);

	if (err || !sweep->count)
		return err;
	err = remove_doomed(sweep, removed, freed);
	if (err == -ENOSPC) {
		err = lmdb_resize(lmdb, GROW_BYTES);
		if (!err)
			err = remove_doomed(sweep, removed, freed);
	}
	return err;
}

int lmdb_sweep(struct store *store, store_keep_fn *keep, void *ctx, uint64_t *removed,
	       uint64_t *freed)
{
	struct sweep sweep = { .lmdb = lmdb_of(store), .keep = keep, .ctx = ctx };
	int err;

	sweep.doomed = xcalloc(SWEEP_BLOCKS_MAX, sizeof *sweep.doomed);
	do
		err = sweep_batch(&sweep, removed, freed);
	while (!err && sweep.from.len);
	for (size_t i = 0; i < SWEEP_BLOCKS_MAX; i++)
		buf_release(&sweep.doomed[i]);
	free(sweep.doomed);
	buf_release(&sweep.from);
	queue_retry(sweep.lmdb->queue);
	return err;
}

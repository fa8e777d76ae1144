#include "exchange/store_lmdb.h"

#include "net/base/err.h"
#include "net/base/log.h"
#include "net/wire/multibase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define MAP_BYTES_DEFAULT ((uint64_t)1 << 40)
#define MAP_BYTES_MIN ((uint64_t)1 << 30) /* what is tried last when address space is short */
#define READERS_MAX 1024		  /* of all processes together */
#define TABLES_MAX 4
#define MAP_WAIT_S 10		   /* for other readers to end before the map moves */
#define READ_AHEAD_MIN (64u << 10) /* blocks from here on are asked of the disk at once */
#define EACH_BLOCKS 64		   /* of one snapshot of store_each() */
#define EACH_BYTES ((size_t)8 << 20)

int lmdb_err(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return -ENOSPC;
	case MDB_READERS_FULL:
		return -EAGAIN;
	}
	if (rc > 0)
		return -rc;
	log_error("store", "lmdb err=\"%s\"", mdb_strerror(rc));
	return -EIO;
}

int lmdb_resize(struct store_lmdb *lmdb, size_t more)
{
	struct timespec until;
	MDB_envinfo info;

	/* An each() may write beside its own read: better an error than waiting for oneself. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += MAP_WAIT_S;
	int err = -pthread_rwlock_timedwrlock(&lmdb->map, &until);

	if (err)
		return err;
	mdb_env_info(lmdb->env, &info);
	/* 0: as large as the file says */
	int rc = mdb_env_set_mapsize(lmdb->env, more ? info.me_mapsize + more : 0);

	pthread_rwlock_unlock(&lmdb->map);
	return lmdb_err(rc);
}

int lmdb_meta_get(struct store_lmdb *lmdb, MDB_txn *txn, const char *name, uint64_t *value)
{
	MDB_val key = val_of(bytes_str(name)), data;
	int rc = mdb_get(txn, lmdb->meta, &key, &data);

	*value = 0;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc)
		return rc;
	struct cursor c = cursor_over(bytes_of_val(&data));

	*value = cursor_le64(&c);
	return c.bad ? MDB_CORRUPTED : 0;
}

int lmdb_meta_put(struct store_lmdb *lmdb, MDB_txn *txn, const char *name, uint64_t value)
{
	struct buf text = { 0 };

	buf_add_le64(&text, value);
	MDB_val key = val_of(bytes_str(name)), data = val_of(buf_bytes(&text));
	int rc = mdb_put(txn, lmdb->meta, &key, &data, 0);

	buf_release(&text);
	return rc;
}

/* ---- reading ---- */

/* Where this thread begins to look among the idle transactions: threads seldom meet. */
static size_t idle_start(void)
{
	return (size_t)(((uint64_t)pthread_self() * 0x9e3779b97f4a7c15u) >> 58) % IDLE_READS;
}

static MDB_txn *take_idle(struct store_lmdb *lmdb)
{
	size_t start = idle_start();

	for (size_t i = 0; i < IDLE_READS; i++) {
		_Atomic(MDB_txn *) *slot = &lmdb->idle[(start + i) % IDLE_READS];
		MDB_txn *txn = NULL;

		if (atomic_load_explicit(slot, memory_order_relaxed))
			txn = atomic_exchange_explicit(slot, NULL, memory_order_acquire);
		if (txn)
			return txn;
	}
	return NULL;
}

/* A transaction that is reset keeps its place in the reader table: renewing it takes no lock. */
static void give_idle(struct store_lmdb *lmdb, MDB_txn *txn)
{
	size_t start = idle_start();

	mdb_txn_reset(txn);
	for (size_t i = 0; i < IDLE_READS; i++) {
		MDB_txn *none = NULL;

		if (atomic_compare_exchange_strong_explicit(&lmdb->idle[(start + i) % IDLE_READS],
							    &none, txn, memory_order_release,
							    memory_order_relaxed))
			return;
	}
	mdb_txn_abort(txn);
}

static int begin_once(struct store_lmdb *lmdb, MDB_txn **txn)
{
	pthread_rwlock_rdlock(&lmdb->map);
	*txn = take_idle(lmdb);
	int rc = *txn ? mdb_txn_renew(*txn) : mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, txn);

	if (rc) {
		mdb_txn_abort(*txn);
		*txn = NULL;
		pthread_rwlock_unlock(&lmdb->map);
	}
	return rc;
}

static int begin(struct store_lmdb *lmdb, MDB_txn **txn)
{
	int rc = begin_once(lmdb, txn);

	if (rc == MDB_MAP_RESIZED) {
		int err = lmdb_resize(lmdb, 0);

		if (err)
			return err;
		rc = begin_once(lmdb, txn);
	} else if (rc == MDB_READERS_FULL) {
		mdb_reader_check(lmdb->env, NULL);
		rc = begin_once(lmdb, txn);
	}
	return lmdb_err(rc);
}

static void end(struct store_lmdb *lmdb, MDB_txn *txn)
{
	give_idle(lmdb, txn);
	pthread_rwlock_unlock(&lmdb->map);
}

static void log_corrupt(struct bytes multihash)
{
	struct buf text = { 0 };

	if (!base_encode(&text, BASE58BTC, multihash))
		log_error("store", "corrupt block multihash=%.*s", (int)text.len,
			  (const char *)text.at);
	buf_release(&text);
}

/* The data of a record, checked the first time this process meets it at this place. */
static int open_record(struct store_lmdb *lmdb, struct bytes multihash, struct bytes record,
		       struct bytes *data)
{
	struct cursor c = cursor_over(record);
	uint64_t sum = cursor_le64(&c);

	*data = cursor_take(&c, cursor_left(&c));
	uint64_t tag = XXH3_64bits_withSeed(multihash.at, multihash.len, (uintptr_t)data->at) | 1;
	_Atomic uint64_t *slot = &lmdb->checked[(tag >> 1) % CHECKED_SLOTS];

	if (atomic_load_explicit(slot, memory_order_relaxed) == tag)
		return 0;
	if (data->len >= READ_AHEAD_MIN) {
		uintptr_t before = (uintptr_t)data->at % 4096;

		madvise((void *)(data->at - before), data->len + before, MADV_WILLNEED);
	}
	if (c.bad || XXH3_64bits(data->at, data->len) != sum) {
		log_corrupt(multihash);
		return -EIO;
	}
	atomic_store_explicit(slot, tag, memory_order_relaxed);
	return 0;
}

static int find(struct store_lmdb *lmdb, MDB_txn *txn, struct bytes multihash, struct bytes *record)
{
	MDB_val key = val_of(multihash), val;

	if (!multihash.len || multihash.len > MULTIHASH_MAX)
		return -ENOENT;
	int err = lmdb_err(mdb_get(txn, lmdb->blocks, &key, &val));

	if (!err)
		*record = bytes_of_val(&val);
	return err;
}

static int lmdb_read_begin(struct store *store, struct store_read *read)
{
	MDB_txn *txn;
	int err = begin(lmdb_of(store), &txn);

	read->txn = txn;
	return err;
}

static int lmdb_read_get(struct store_read *read, struct bytes multihash, struct bytes *data)
{
	struct store_lmdb *lmdb = lmdb_of(read->store);
	struct bytes record;
	int err = find(lmdb, read->txn, multihash, &record);

	return err ? err : open_record(lmdb, multihash, record, data);
}

static void lmdb_read_end(struct store_read *read)
{
	end(lmdb_of(read->store), read->txn);
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
	struct store_read read;
	struct bytes record;

	if (queued) {
		*size = queued->data.len;
		block_unref(queued);
		return 0;
	}
	int err = store_read_begin(store, &read);

	if (err)
		return err;
	err = find(lmdb, read.txn, multihash, &record);
	if (!err)
		*size = record.len > RECORD_HEAD ? record.len - RECORD_HEAD : 0;
	store_read_end(&read);
	return err;
}

static int lmdb_stat(struct store *store, struct store_stat *stat_out)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	char file[sizeof lmdb->path + 16];
	struct stat on_disk;
	MDB_stat table;
	MDB_txn *txn;
	int err = begin(lmdb, &txn);

	if (err)
		return err;
	err = lmdb_err(mdb_stat(txn, lmdb->blocks, &table));
	if (!err)
		err = lmdb_err(lmdb_meta_get(lmdb, txn, "bytes", &stat_out->bytes));
	end(lmdb, txn);
	if (err)
		return err;
	stat_out->blocks = table.ms_entries;
	stat_out->quota_bytes = lmdb->quota_bytes;
	memcpy(stat_out->path, lmdb->path, sizeof lmdb->path);
	snprintf(file, sizeof file, "%s/data.mdb", lmdb->path);
	if (!stat(file, &on_disk))
		stat_out->disk_bytes = (uint64_t)on_disk.st_blocks * 512;
	return 0;
}

/* One snapshot of store_each(): blocks from *from on; *from becomes the next key, empty at the end.
 */
static int each_batch(struct store_lmdb *lmdb, struct buf *from, store_each_fn *each, void *ctx)
{
	MDB_val key = val_of(buf_bytes(from)), val;
	MDB_cursor *cursor = NULL;
	size_t blocks = 0, bytes = 0;
	MDB_txn *txn;
	int result = 0, err = begin(lmdb, &txn);

	if (err)
		return err;
	int rc = mdb_cursor_open(txn, lmdb->blocks, &cursor);

	if (!rc)
		rc = mdb_cursor_get(cursor, &key, &val, from->len ? MDB_SET_RANGE : MDB_FIRST);
	while (!rc && !result && blocks < EACH_BLOCKS && bytes < EACH_BYTES) {
		blocks++;
		bytes += val.mv_size;
		result = each(ctx, bytes_of_val(&key), bytes_skip(bytes_of_val(&val), RECORD_HEAD));
		if (!result)
			rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT);
	}
	buf_clear(from);
	if (!rc)
		buf_add(from, bytes_of_val(&key));
	if (cursor)
		mdb_cursor_close(cursor);
	end(lmdb, txn);
	return result || rc == MDB_NOTFOUND ? result : lmdb_err(rc);
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

/* ---- opening ---- */

static void close_env(struct store_lmdb *lmdb)
{
	for (size_t i = 0; i < IDLE_READS; i++)
		mdb_txn_abort(atomic_exchange(&lmdb->idle[i], NULL));
	if (lmdb->env)
		mdb_env_close(lmdb->env);
	pthread_rwlock_destroy(&lmdb->map);
	pthread_mutex_destroy(&lmdb->writing);
	free(lmdb);
}

static void lmdb_close(struct store *store)
{
	struct store_lmdb *lmdb = lmdb_of(store);

	queue_free(lmdb->queue);
	close_env(lmdb);
}

static int open_env(struct store_lmdb *lmdb, uint64_t map_bytes, bool no_sync)
{
	unsigned flags = MDB_NOTLS | (no_sync ? MDB_NOSYNC : 0);
	int rc = mdb_env_create(&lmdb->env);

	if (rc)
		return rc;
	rc = mdb_env_set_mapsize(lmdb->env, map_bytes);
	if (!rc)
		rc = mdb_env_set_maxreaders(lmdb->env, READERS_MAX);
	if (!rc)
		rc = mdb_env_set_maxdbs(lmdb->env, TABLES_MAX);
	if (!rc)
		rc = mdb_env_open(lmdb->env, lmdb->path, flags, 0600);
	if (rc) {
		mdb_env_close(lmdb->env);
		lmdb->env = NULL;
	}
	return rc;
}

/* Opens the tables; in a write transaction they are made when missing. */
static int open_tables(struct store_lmdb *lmdb, bool create)
{
	unsigned flags = create ? MDB_CREATE : 0;
	uint64_t version = 0;
	MDB_txn *txn;
	int rc = mdb_txn_begin(lmdb->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, "meta", flags, &lmdb->meta);
	if (!rc)
		rc = mdb_dbi_open(txn, "blocks", flags, &lmdb->blocks);
	if (!rc)
		rc = lmdb_meta_get(lmdb, txn, "version", &version);
	if (!rc && !version && create) {
		version = STORE_VERSION;
		rc = lmdb_meta_put(lmdb, txn, "version", version);
	}
	if (!rc && version != STORE_VERSION) {
		log_error("store", "%s has layout version %llu; this program knows version %d only",
			  lmdb->path, (unsigned long long)version, STORE_VERSION);
		rc = EIO;
	}
	if (!rc)
		return mdb_txn_commit(txn); /* keeps the handles of the tables */
	mdb_txn_abort(txn);
	return rc;
}

/* A new file's name is durable only when its directory is. */
static void sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (fsync(fd))
		log_warn("store", "cannot sync %s: %s", dir, err_text(errno));
	close(fd);
}

static int open_store(struct store_lmdb *lmdb, const struct store_config *config)
{
	uint64_t map_bytes = config->map_bytes ? config->map_bytes : MAP_BYTES_DEFAULT;
	int rc = open_env(lmdb, map_bytes, config->no_sync);

	while (rc == ENOMEM && map_bytes / 4 >= MAP_BYTES_MIN) {
		map_bytes /= 4; /* a limited address space: RLIMIT_AS, Valgrind, small hosts */
		rc = open_env(lmdb, map_bytes, config->no_sync);
	}
	if (rc)
		return rc;
	int dead = 0;

	mdb_reader_check(lmdb->env, &dead);
	if (dead)
		log_info("store", "cleared %d readers of dead processes", dead);
	rc = open_tables(lmdb, false);
	if (rc != MDB_NOTFOUND)
		return rc;
	rc = open_tables(lmdb, true);
	if (!rc && !config->no_sync)
		sync_dir(lmdb->path);
	return rc;
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
	.delete = lmdb_delete,
	.stat = lmdb_stat,
	.each = lmdb_each,
	.sweep = lmdb_sweep,
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
	lmdb->quota_bytes = config->quota_bytes;
	memcpy(lmdb->path, dir, len + 1);
	pthread_mutex_init(&lmdb->writing, NULL);
	pthread_rwlock_init(&lmdb->map, NULL);

	int rc = open_store(lmdb, config);

	if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
		log_error("store", "%s is not a store", dir);
	int err = lmdb_err(rc);

	if (!err)
		err = queue_new(lmdb_commit, lmdb, &lmdb->queue);
	if (err) {
		close_env(lmdb);
		return err;
	}
	*out = &lmdb->store;
	return 0;
}

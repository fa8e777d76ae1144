/* Transactions and records over LMDB. LMDB's codes become ours in db_err(), and its table handles
 * are opened here under rules that let several threads and processes work at once (see struct
 * db). Every value carries a checksum, which reads verify. Any thread; a transaction stays on
 * one. */
#include "net/db/db_private.h"

#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/db/db_writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DB_READERS_CHECKED 64		/* writes from one look for readers that died to the next */
#define ROOM_BYTES ((uint64_t)12 << 20) /* less: the map grows before the next write */
#define GROW_BYTES ((uint64_t)32 << 20)
#define MAP_WAIT_MS 200 /* for other transactions of this process to end */
#define PAGE_HEAD 16	/* LMDB's: u64 number, u16, u16 flags, u32 pages */
#define PAGE_KINDS 15u
#define PAGE_OVERFLOW 4u

/* The one place where LMDB's codes become ours. */
int db_err(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case EDQUOT:
		return -ENOSPC;
	case MDB_READERS_FULL:
	case MDB_DBS_FULL:
		return -EAGAIN;
	case MDB_MAP_RESIZED:
		return -ESTALE; /* txn_begin() takes it in */
	case MDB_BAD_VALSIZE:
		return -EINVAL;
	default: /* corrupt, foreign version, our misuse: nothing a caller could tell apart */
		return rc > 0 ? -rc : -EIO;
	}
}

static MDB_val val_of(struct bytes in)
{
	return (MDB_val){ .mv_size = in.len, .mv_data = (void *)in.at };
}

static struct bytes bytes_of_val(MDB_val val)
{
	return bytes_of(val.mv_data, val.mv_size);
}

static const struct table *table_find(const struct db *db, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(db->tables[i].name, name) == 0)
			return &db->tables[i];
	}
	return NULL;
}

static int begin_reading(struct db *db, MDB_txn **out)
{
	int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, out);

	if (rc == MDB_READERS_FULL) {
		mdb_reader_check(db->env, NULL); /* killed processes leave their slots taken */
		rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, out);
	}
	return db_err(rc);
}

/* Opens the table called name behind the others; *at is where. */
static int table_open(struct db *db, MDB_txn *txn, struct bytes name, unsigned int flags, size_t at)
{
	if (at == DB_TABLES)
		return -EAGAIN;
	if (name.len > DB_TABLE_NAME_MAX)
		return -EIO; /* not a table of ours */
	struct table *table = &db->tables[at];

	memcpy(table->name, name.at, name.len);
	table->name[name.len] = '\0';
	return db_err(mdb_dbi_open(txn, table->name, flags, &table->dbi));
}

/* The lock is held. Opens what is in the main database and not yet in tables[]. */
static int open_missing(struct db *db)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val key, val;
	size_t count = db->count;
	char name[DB_TABLE_NAME_MAX + 1];
	int err = begin_reading(db, &txn);

	if (err)
		return err;
	err = db_err(mdb_cursor_open(txn, db->main, &cursor));
	if (err) {
		mdb_txn_abort(txn);
		return err;
	}
	while (!err && !(err = db_err(mdb_cursor_get(cursor, &key, &val, MDB_NEXT)))) {
		if (key.mv_size > DB_TABLE_NAME_MAX) {
			err = -EIO;
			break;
		}
		memcpy(name, key.mv_data, key.mv_size);
		name[key.mv_size] = '\0';
		if (table_find(db, count, name))
			continue;
		err = table_open(db, txn, bytes_str(name), 0, count);
		count += !err;
	}
	mdb_cursor_close(cursor);
	if (err != -ENOENT) {
		mdb_txn_abort(txn);
		return err;
	}
	err = db_err(mdb_txn_commit(txn)); /* this is what keeps the handles */
	if (!err)
		db->count = count;
	return err;
}

/* The lock is held. Whether all tables txn can see were open when it began with count of them. */
static int knows_all(struct db *db, MDB_txn *txn, size_t count, bool *knows, size_t *tables)
{
	MDB_stat stat = { 0 };
	int err = db_err(mdb_stat(txn, db->main, &stat));

	*tables = stat.ms_entries;
	*knows = !err && db->count == count && stat.ms_entries <= count;
	return err;
}

/* Where address space is limited the map is small at first, and grows before it is full. While this
 * thread also reads, the map cannot be moved, and writing goes on as long as there is room. */
static void make_room(struct db *db)
{
	MDB_envinfo info;
	MDB_stat stat;

	lmdb_map_hold(&db->map);
	mdb_env_info(db->env, &info);
	mdb_env_stat(db->env, &stat);
	lmdb_map_release(&db->map);
	uint64_t used = (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize,
		 more = info.me_mapsize + GROW_BYTES;

	if (info.me_mapsize < db->map_bytes && info.me_mapsize < used + ROOM_BYTES)
		lmdb_map_move(&db->map, db->env, more < db->map_bytes ? more : db->map_bytes,
			      MAP_WAIT_MS);
}

/* The map is held when it is 0. -ESTALE: another process made the map larger. */
static int begin_once(struct db *db, bool write, MDB_txn **txn, size_t *count)
{
	for (;;) {
		bool knows = false;
		size_t tables;
		int err;

		pthread_mutex_lock(&db->lock);
		*count = db->count;
		if (!write) {
			err = begin_reading(db, txn);
		} else {
			/* Waits for other writers: not with the lock in hand. */
			pthread_mutex_unlock(&db->lock);
			if (atomic_fetch_add(&db->writes, 1) % DB_READERS_CHECKED == 0)
				mdb_reader_check(db->env,
						 NULL); /* they hold pages that were freed */
			err = db_err(mdb_txn_begin(db->env, NULL, 0, txn));
			pthread_mutex_lock(&db->lock);
		}
		if (!err) {
			err = knows_all(db, *txn, *count, &knows, &tables);
			if (!knows)
				mdb_txn_abort(*txn);
			if (!knows && !err)
				err = open_missing(db);
			if (!knows && !err && db->count < tables)
				err = -EIO; /* not so many, whatever it says */
		}
		pthread_mutex_unlock(&db->lock);
		if (err || knows)
			return err;
	}
}

static int txn_begin(struct db *db, bool write, MDB_txn **txn, size_t *count)
{
	int err;

	if (write)
		make_room(db);
	for (;;) {
		lmdb_map_hold(&db->map);
		err = begin_once(db, write, txn, count);
		if (!err)
			return 0;
		lmdb_map_release(&db->map);
		if (err != -ESTALE)
			return err;
		err = lmdb_map_move(&db->map, db->env, 0, MAP_WAIT_MS);
		if (err)
			return err == -ETIMEDOUT ? -EAGAIN : err;
	}
}

static struct db_txn *txn_new(struct db *db, MDB_txn *begun, bool write, size_t count)
{
	struct db_txn *txn = xnew(struct db_txn);

	*txn = (struct db_txn){ .db = db, .txn = begun, .write = write, .count = count };
	atomic_fetch_add(&db->txns, 1);
	return txn;
}

int db_begin(struct db *db, bool write, struct db_txn **out)
{
	MDB_txn *txn;
	size_t count;
	int err = write && db->read_only ? -EROFS : txn_begin(db, write, &txn, &count);

	*out = err ? NULL : txn_new(db, txn, write, count);
	return err;
}

int db_begin_blind(struct db *db, struct db_txn **out)
{
	MDB_txn *txn;

	lmdb_map_hold(&db->map);
	int err = db_err(mdb_txn_begin(db->env, NULL, 0, &txn));

	if (err)
		lmdb_map_release(&db->map);
	*out = err ? NULL : txn_new(db, txn, true, 0);
	return err;
}

void db_abort(struct db_txn *txn)
{
	if (!txn)
		return;
	mdb_txn_abort(txn->txn);
	lmdb_map_release(&txn->db->map);
	atomic_fetch_sub(&txn->db->txns, 1);
	free(txn);
}

int db_commit(struct db_txn *txn)
{
	struct db *db = txn->db;
	int err = txn->err;

	if (err || !txn->write) {
		db_abort(txn);
		return err;
	}
	/* With new tables nobody may begin before they are known: see struct db. */
	if (txn->created)
		pthread_mutex_lock(&db->lock);
	err = db_err(mdb_txn_commit(txn->txn));
	if (txn->created) {
		if (!err)
			db->count = txn->count;
		pthread_mutex_unlock(&db->lock);
	}
	lmdb_map_release(&db->map);
	atomic_fetch_sub(&db->txns, 1);
	free(txn);
	return err;
}

static bool key_ok(struct bytes key)
{
	return key.len > 0 && key.len <= DB_KEY_MAX;
}

/* Cuts the sum off. False: damaged. */
static bool is_whole(const struct db_txn *txn, const char *table, struct bytes key,
		     struct bytes *value)
{
	if (db_record_take(txn->db, table, key, value))
		return true;
	log_error("db", "a record is damaged table=%s: `dagfs repo verify` repairs what can be",
		  table);
	*value = (struct bytes){ 0 };
	return false;
}

int db_get(struct db_txn *txn, const char *table, struct bytes key, struct bytes *value)
{
	const struct table *found = table_find(txn->db, txn->count, table);
	MDB_val k = val_of(key), v;

	*value = (struct bytes){ 0 };
	if (!key_ok(key))
		return -EINVAL;
	if (!found)
		return -ENOENT;
	int err = db_err(mdb_get(txn->txn, found->dbi, &k, &v));

	if (err)
		return err;
	*value = bytes_of_val(v);
	return is_whole(txn, table, key, value) ? 0 : -EIO;
}

/* A large value has pages of its own, and LMDB frees as many as their head says: is that rotten,
 * those of others too. */
static int check_head(struct db_txn *txn, MDB_dbi table, struct bytes key)
{
	MDB_val k = val_of(key), v;
	MDB_stat stat;
	uint32_t pages;

	if (mdb_get(txn->txn, table, &k, &v) || mdb_stat(txn->txn, table, &stat) ||
	    v.mv_size < stat.ms_psize / 2)
		return 0;
	const uint8_t *head = (const uint8_t *)v.mv_data - PAGE_HEAD;

	memcpy(&pages, head + 12, sizeof pages);
	size_t least = (v.mv_size + PAGE_HEAD + stat.ms_psize - 1) /
		       stat.ms_psize; /* more where a larger one was */

	if ((head[10] & PAGE_KINDS) == PAGE_OVERFLOW && pages >= least &&
	    pages <= 2 + (DB_VALUE_MAX + DB_TAIL_MAX) / stat.ms_psize)
		return 0;
	log_error("db", "a page is damaged: `dagfs repo verify` saves what is whole");
	return -EIO;
}

/* Puts a value with its tail. The table is created by its first record, behind those that all can
 * use. */
static int record_put(struct db_txn *txn, const char *name, struct bytes key, struct bytes value)
{
	const struct table *table = table_find(txn->db, txn->count, name);
	MDB_val k = val_of(key), v = { .mv_size = value.len + db_tail_len(name) };
	int bad = table ? check_head(txn, table->dbi, key) : 0;

	if (bad)
		return bad;
	if (!table) {
		int err = table_open(txn->db, txn->txn, bytes_str(name), MDB_CREATE, txn->count);

		if (err)
			return err;
		table = &txn->db->tables[txn->count++];
		txn->created++;
	}
	int rc = mdb_put(txn->txn, table->dbi, &k, &v, MDB_RESERVE);

	if (rc)
		return db_err(rc);
	if (value.len)
		memcpy(v.mv_data, value.at, value.len);
	db_tail_write(name, key, v.mv_data, value.len);
	return 0;
}

int db_put(struct db_txn *txn, const char *table, struct bytes key, struct bytes value)
{
	assert(txn->write && strlen(table) <= DB_TABLE_NAME_MAX);
	if (!key_ok(key))
		return -EINVAL;
	if (value.len > DB_VALUE_MAX)
		return -EMSGSIZE;
	if (txn->err)
		return txn->err;
	return txn->err = record_put(txn, table, key, value);
}

int db_del(struct db_txn *txn, const char *table, struct bytes key)
{
	const struct table *found = table_find(txn->db, txn->count, table);
	MDB_val k = val_of(key);

	assert(txn->write);
	if (!key_ok(key))
		return -EINVAL;
	if (txn->err)
		return txn->err;
	if (!found)
		return -ENOENT;
	int err = check_head(txn, found->dbi, key);

	if (!err)
		err = db_err(mdb_del(txn->txn, found->dbi, &k, NULL));
	if (err && err != -ENOENT)
		txn->err = err;
	return err;
}

uint64_t db_count(struct db_txn *txn, const char *table)
{
	const struct table *found = table_find(txn->db, txn->count, table);
	MDB_stat stat;

	if (!found || mdb_stat(txn->txn, found->dbi, &stat))
		return 0;
	return stat.ms_entries;
}

/* The next after the key that was just shown. In a write transaction each() may have put and
 * deleted what it liked, this key included: look it up anew. */
static int db_step(struct db_txn *txn, MDB_cursor *cursor, struct bytes shown, MDB_val *k,
		   MDB_val *v)
{
	if (!txn->write)
		return mdb_cursor_get(cursor, k, v, MDB_NEXT);
	*k = val_of(shown);
	int rc = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);

	if (!rc && bytes_equal(bytes_of_val(*k), shown))
		rc = mdb_cursor_get(cursor, k, v, MDB_NEXT);
	return rc;
}

int db_each_raw(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
		db_each_fn *each, void *ctx)
{
	const struct table *found = table_find(txn->db, txn->count, table);
	struct bytes start = bytes_cmp(from, prefix) > 0 ? from : prefix;
	uint8_t shown[DB_KEY_MAX];
	MDB_val k = val_of(start), v;
	MDB_cursor *cursor;

	if (!found)
		return 0;
	if (start.len > DB_KEY_MAX)
		return -EINVAL;
	int rc = mdb_cursor_open(txn->txn, found->dbi, &cursor);
	int stopped = 0;

	if (rc)
		return db_err(rc);
	rc = mdb_cursor_get(cursor, &k, &v, start.len ? MDB_SET_RANGE : MDB_FIRST);
	while (!rc && bytes_start_with(bytes_of_val(k), prefix)) {
		size_t len = k.mv_size;

		memcpy(shown, k.mv_data, len);
		stopped = each(ctx, bytes_of(shown, len), bytes_of_val(v));
		if (stopped)
			break;
		rc = db_step(txn, cursor, bytes_of(shown, len), &k, &v);
		if (!rc && bytes_cmp(bytes_of_val(k), bytes_of(shown, len)) <= 0)
			rc = MDB_CORRUPTED; /* it might go on for ever */
	}
	mdb_cursor_close(cursor);
	if (stopped)
		return stopped;
	return rc == MDB_NOTFOUND ? 0 : db_err(rc);
}

struct each {
	struct db_txn *txn;
	const char *table;
	db_each_fn *each;
	void *ctx;
	bool damaged;
};

static int show_whole(void *ctx, struct bytes key, struct bytes value)
{
	struct each *each = ctx;

	if (is_whole(each->txn, each->table, key, &value))
		return each->each(each->ctx, key, value);
	each->damaged = true;
	return 0;
}

int db_each(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
	    db_each_fn *each, void *ctx)
{
	struct each whole = { txn, table, each, ctx, false };
	int err = db_each_raw(txn, table, prefix, from, show_whole, &whole);

	return !err && whole.damaged ? -EIO : err;
}

static int record_post(struct db *db, const char *table, struct bytes key, struct bytes value,
		       bool hint)
{
	assert(strlen(table) <= DB_TABLE_NAME_MAX);
	if (!key_ok(key))
		return -EINVAL;
	if (value.len > DB_VALUE_MAX)
		return -EMSGSIZE;
	if (db->read_only)
		return -EROFS;
	return db_writer_post(db->writer, table, key, value, hint);
}

int db_post(struct db *db, const char *table, struct bytes key, struct bytes value)
{
	return record_post(db, table, key, value, false);
}

int db_post_hint(struct db *db, const char *table, struct bytes key, struct bytes value)
{
	return record_post(db, table, key, value, true);
}

int db_flush(struct db *db)
{
	return db_writer_flush(db->writer);
}

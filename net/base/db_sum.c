#include "net/base/db_private.h"

#include "net/base/log.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

uint64_t db_sum(struct bytes key, struct bytes value)
{
	return XXH3_64bits_withSeed(value.at, value.len, XXH3_64bits(key.at, key.len));
}

void db_sum_write(uint8_t *at, uint64_t sum)
{
	for (unsigned i = 0; i < DB_SUM_LEN; i++)
		at[i] = (uint8_t)(sum >> 8 * i);
}

bool db_sum_take(struct bytes key, struct bytes *value)
{
	struct cursor c;

	if (value->len < DB_SUM_LEN)
		return false;
	value->len -= DB_SUM_LEN;
	c = cursor_over(bytes_of(value->at + value->len, DB_SUM_LEN));
	return cursor_le64(&c) == db_sum(key, *value);
}

/* ---- a db of a version before there were sums ---- */

struct summing {
	struct db_txn *txn;
	const char *table;
};

static int add_sum(void *ctx, struct bytes key, struct bytes value)
{
	struct summing *summing = ctx;
	struct buf copy = { 0 }; /* putting moves what is lent */

	buf_add(&copy, value);
	int err = db_put(summing->txn, summing->table, key, buf_bytes(&copy));

	buf_release(&copy);
	return err;
}

static bool has_sums(struct db_txn *txn)
{
	for (size_t i = 0; i < txn->count; i++)
		if (!strcmp(txn->db->tables[i].name, DB_SUMS))
			return true;
	return false;
}

static int add_sums(struct db_txn *txn)
{
	struct bytes none = { 0 };
	int err = 0;

	for (size_t i = 0; i < txn->count && !err; i++) {
		struct summing summing = { txn, txn->db->tables[i].name };

		err = db_each_raw(txn, summing.table, none, none, add_sum, &summing);
	}
	return err ? err : db_put(txn, DB_SUMS, bytes_str("version"), bytes_str("1"));
}

int db_sum_begin(struct db *db)
{
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	if (err)
		return err;
	bool done = has_sums(txn);

	db_abort(txn);
	db->plain = !done && db->read_only;
	if (done || db->read_only)
		return 0;
	err = db_begin(db, true, &txn);
	if (!err && !has_sums(txn))
		err = add_sums(txn);
	else if (!err)
		done = true;
	if (!err && !done)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

/* ---- looking at all ---- */

struct check {
	struct db_txn *txn;
	const char *table;
	db_damaged_fn *damaged;
	void *ctx;
	uint64_t count;
};

static int check_one(void *ctx, struct bytes key, struct bytes value)
{
	struct check *check = ctx;
	bool write = check->txn->write;

	if (check->txn->db->plain || db_sum_take(key, &value))
		return 0;
	check->count++;
	int err = write ? db_del(check->txn, check->table, key) : 0;

	if (!err && strcmp(check->table, DB_SUMS))
		err = check->damaged(check->ctx, write ? check->txn : NULL, check->table, key);
	return err;
}

int db_check(struct db *db, db_damaged_fn *damaged, void *ctx, uint64_t *count)
{
	struct check check = { .damaged = damaged, .ctx = ctx };
	struct bytes none = { 0 };
	int err = db_begin(db, !db->read_only, &check.txn);

	*count = 0;
	if (err)
		return err;
	for (size_t i = 0, tables = check.txn->count; i < tables && !err; i++) {
		check.table = db->tables[i].name;
		err = db_each_raw(check.txn, check.table, none, none, check_one, &check);
	}
	*count = check.count;
	if (!err && check.count && !db->read_only)
		return db_commit(check.txn);
	db_abort(check.txn);
	return err;
}

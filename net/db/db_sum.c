/* The bytes behind each value: the table's name and a checksum of all. By them a record proves
 * that it is whole and where it belongs, even when it is found outside of any tree. db_check()
 * looks at every record. Any thread. */
#include "net/db/db_private.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

static uint64_t sum_of(struct bytes key, struct bytes record)
{
	return XXH3_64bits_withSeed(record.at, record.len, XXH3_64bits(key.at, key.len));
}

/* Cuts the sum off. False: it is wrong. */
static bool take_sum(struct bytes key, struct bytes *record)
{
	struct cursor c;

	if (record->len < DB_SUM_LEN)
		return false;
	record->len -= DB_SUM_LEN;
	c = cursor_over(bytes_of(record->at + record->len, DB_SUM_LEN));
	return cursor_le64(&c) == sum_of(key, *record);
}

size_t db_tail_len(const char *table)
{
	return strlen(table) + 1 + DB_SUM_LEN;
}

void db_tail_write(const char *table, struct bytes key, uint8_t *record, size_t value_len)
{
	size_t len = strlen(table), at = value_len;

	memcpy(record + at, table, len);
	at += len;
	record[at++] = (uint8_t)len;
	uint64_t sum = sum_of(key, bytes_of(record, at));

	for (unsigned i = 0; i < DB_SUM_LEN; i++)
		record[at + i] = (uint8_t)(sum >> 8 * i);
}

bool db_tail_take(struct bytes key, struct bytes *record, struct bytes *table)
{
	if (!take_sum(key, record) || !record->len)
		return false;
	size_t len = record->at[--record->len];

	if (!len || len > record->len || len > DB_TABLE_NAME_MAX)
		return false;
	record->len -= len;
	*table = bytes_of(record->at + record->len, len);
	return true;
}

bool db_record_take(const struct db *db, const char *name, struct bytes key, struct bytes *record)
{
	struct bytes table;

	switch (db->layout) {
	case DB_LAYOUT_PLAIN:
		return true;
	case DB_LAYOUT_SUMS:
		return take_sum(key, record);
	default:
		return db_tail_take(key, record, &table) && bytes_equal(table, bytes_str(name));
	}
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

	if (db_record_take(check->txn->db, check->table, key, &value))
		return 0;
	check->count++;
	int err = write ? db_del(check->txn, check->table, key) : 0;

	if (!err && strcmp(check->table, DB_LAYOUT))
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

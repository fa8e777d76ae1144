#include "net/base/alloc.h"
#include "net/db/db.h"
#include "tests/vector.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MAP_BYTES (64u << 20)

static int open_db(void **state)
{
	return db_open_temp((struct db **)state);
}

static int close_db(void **state)
{
	db_close(*state);
	return 0;
}

static void put_one(struct db *db, const char *table, const char *key, const char *value)
{
	struct db_txn *txn;

	assert_int_equal(db_begin(db, true, &txn), 0);
	assert_int_equal(db_put(txn, table, bytes_str(key), bytes_str(value)), 0);
	assert_int_equal(db_commit(txn), 0);
}

static void assert_value(struct db *db, const char *table, const char *key, const char *expected)
{
	struct db_txn *txn;
	struct bytes value;

	assert_int_equal(db_begin(db, false, &txn), 0);
	int err = db_get(txn, table, bytes_str(key), &value);

	assert_int_equal(err, expected ? 0 : -ENOENT);
	if (expected)
		assert_bytes_equal(value, bytes_str(expected));
	db_abort(txn);
}

static void missing_table_is_empty(void **state)
{
	struct db_txn *txn;
	struct bytes value;

	for (int write = 0; write < 2; write++) {
		assert_int_equal(db_begin(*state, write, &txn), 0);
		assert_int_equal(db_get(txn, "pins", bytes_str("a"), &value), -ENOENT);
		assert_int_equal(db_count(txn, "pins"), 0);
		if (write)
			assert_int_equal(db_del(txn, "pins", bytes_str("a")), -ENOENT);
		db_abort(txn);
	}
	db_abort(NULL);
}

static void put_get_delete(void **state)
{
	struct db *db = *state;
	struct db_txn *txn;

	put_one(db, "pins", "a", "1");
	put_one(db, "pins", "b", "");
	put_one(db, "pins", "a", "2");
	put_one(db, "names", "a", "other");
	assert_value(db, "pins", "a", "2");
	assert_value(db, "pins", "b", "");
	assert_value(db, "names", "a", "other");
	assert_int_equal(db_begin(db, true, &txn), 0);
	assert_int_equal(db_count(txn, "pins"), 2);
	assert_int_equal(db_del(txn, "pins", bytes_str("a")), 0);
	assert_int_equal(db_del(txn, "pins", bytes_str("a")), -ENOENT);
	assert_int_equal(db_count(txn, "pins"), 1);
	assert_int_equal(db_commit(txn), 0);
	assert_value(db, "pins", "a", NULL);
}

/* A table that an aborted transaction made does not exist, and can be made again. */
static void abort_drops_records_and_tables(void **state)
{
	struct db *db = *state;
	struct db_txn *txn;

	put_one(db, "kept", "k", "v");
	assert_int_equal(db_begin(db, true, &txn), 0);
	assert_int_equal(db_put(txn, "one", bytes_str("a"), bytes_str("1")), 0);
	assert_int_equal(db_put(txn, "kept", bytes_str("k"), bytes_str("w")), 0);
	assert_value(db, "kept", "k", "v");
	db_abort(txn);
	assert_value(db, "one", "a", NULL);
	put_one(db, "two", "b", "2");
	assert_value(db, "one", "a", NULL);
	put_one(db, "one", "c", "3");
	assert_value(db, "one", "c", "3");
	assert_value(db, "two", "b", "2");
	assert_value(db, "kept", "k", "v");
}

static void reader_keeps_its_snapshot(void **state)
{
	struct db *db = *state;
	struct db_txn *old;
	struct bytes value;

	put_one(db, "pins", "a", "1");
	assert_int_equal(db_begin(db, false, &old), 0);
	put_one(db, "pins", "a", "2");
	put_one(db, "later", "a", "x");
	assert_int_equal(db_get(old, "pins", bytes_str("a"), &value), 0);
	assert_bytes_equal(value, bytes_str("1"));
	assert_int_equal(db_get(old, "later", bytes_str("a"), &value), -ENOENT);
	assert_value(db, "pins", "a", "2");
	db_abort(old);
}

static void limits_of_keys_and_values(void **state)
{
	static uint8_t big[DB_VALUE_MAX + 1];
	struct db_txn *txn;
	struct bytes value;

	assert_int_equal(db_begin(*state, true, &txn), 0);
	assert_int_equal(db_put(txn, "t", bytes_of(big, 512), bytes_str("v")), -EINVAL);
	assert_int_equal(db_put(txn, "t", bytes_of(big, 0), bytes_str("v")), -EINVAL);
	assert_int_equal(db_put(txn, "t", bytes_str("k"), bytes_of(big, sizeof big)), -EMSGSIZE);
	assert_int_equal(db_put(txn, "t", bytes_of(big, 511), bytes_of(big, sizeof big - 1)), 0);
	assert_int_equal(db_commit(txn), 0);
	assert_int_equal(db_begin(*state, false, &txn), 0);
	assert_int_equal(db_get(txn, "t", bytes_of(big, 511), &value), 0);
	assert_int_equal(value.len, DB_VALUE_MAX);
	assert_int_equal(db_get(txn, "t", bytes_of(big, 512), &value), -EINVAL);
	db_abort(txn);
}

static void table_limit(void **state)
{
	struct db_txn *txn;
	char name[16];

	for (int i = 0; i < DB_TABLES_MAX; i++) {
		snprintf(name, sizeof name, "t%d", i);
		put_one(*state, name, "k", name);
	}
	assert_int_equal(db_begin(*state, true, &txn), 0);
	assert_int_equal(db_put(txn, "more", bytes_str("k"), bytes_str("v")), -EAGAIN);
	assert_int_equal(db_commit(txn), -EAGAIN);
	assert_value(*state, "t31", "k", "t31");
}

static void full_map_says_so_and_writes_nothing(void **state)
{
	static uint8_t big[DB_VALUE_MAX];
	struct db_txn *txn;
	int err = 0;

	put_one(*state, "t", "before", "1");
	assert_int_equal(db_begin(*state, true, &txn), 0);
	for (uint32_t i = 0; i < 300 && !err; i++)
		err = db_put(txn, "t", bytes_of(&i, sizeof i), bytes_of(big, sizeof big));
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(db_commit(txn), -ENOSPC);
	assert_int_equal(db_begin(*state, false, &txn), 0);
	assert_int_equal(db_count(txn, "t"), 1);
	db_abort(txn);
	put_one(*state, "t", "after", "2");
}

struct walk {
	struct db_txn *txn; /* delete what is seen */
	struct buf keys;
	int left;
};

static int on_each(void *ctx, struct bytes key, struct bytes value)
{
	struct walk *walk = ctx;

	buf_add(&walk->keys, key);
	buf_add(&walk->keys, value);
	if (walk->txn)
		assert_int_equal(db_del(walk->txn, "t", key), 0);
	return --walk->left ? 0 : 77;
}

static void assert_walk(struct db *db, const char *prefix, const char *from, int left,
			const char *expected)
{
	struct walk walk = { .left = left };
	struct db_txn *txn;

	assert_int_equal(db_begin(db, false, &txn), 0);
	int got = db_each(txn, "t", bytes_str(prefix), bytes_str(from), on_each, &walk);

	assert_int_equal(got, walk.left ? 0 : 77);
	assert_bytes_equal(buf_bytes(&walk.keys), bytes_str(expected));
	buf_release(&walk.keys);
	db_abort(txn);
}

static void each_walks_a_prefix(void **state)
{
	assert_walk(*state, "", "", -1, "");
	put_one(*state, "t", "b2", "-");
	put_one(*state, "t", "a1", "-");
	put_one(*state, "t", "b", "-");
	put_one(*state, "t", "b1", "-");
	put_one(*state, "t", "c1", "-");
	assert_walk(*state, "", "", -1, "a1-b-b1-b2-c1-");
	assert_walk(*state, "b", "", -1, "b-b1-b2-");
	assert_walk(*state, "b", "b1", -1, "b1-b2-");
	assert_walk(*state, "b", "b10", -1, "b2-");
	assert_walk(*state, "b", "a", -1, "b-b1-b2-");
	assert_walk(*state, "b", "c", -1, "");
	assert_walk(*state, "b", "", 2, "b-b1-");
	assert_walk(*state, "d", "", -1, "");
}

static void each_may_delete_what_it_shows(void **state)
{
	struct walk walk = { .left = -1 };
	char key[16];

	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof key, "%c%03d", i % 2 ? 'a' : 'b', i);
		put_one(*state, "t", key, "");
	}
	assert_int_equal(db_begin(*state, true, &walk.txn), 0);
	assert_int_equal(
		db_each(walk.txn, "t", bytes_str("b"), (struct bytes){ 0 }, on_each, &walk), 0);
	assert_int_equal(walk.keys.len, 250 * 4);
	assert_int_equal(db_count(walk.txn, "t"), 250);
	assert_int_equal(db_commit(walk.txn), 0);
	buf_release(&walk.keys);
}

static void posted_records_arrive_in_order(void **state)
{
	struct db *db = *state;
	char key[16];
	struct db_txn *txn;

	assert_int_equal(db_flush(db), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "%d", i);
		assert_int_equal(db_post(db, "t", bytes_str(key), bytes_str("old")), 0);
		assert_int_equal(db_post(db, "t", bytes_str(key), bytes_str(key)), 0);
		if (i % 2)
			assert_int_equal(db_post(db, "t", bytes_str(key), (struct bytes){ 0 }), 0);
	}
	assert_int_equal(db_post(db, "t", bytes_str("absent"), (struct bytes){ 0 }), 0);
	assert_int_equal(db_post(db, "t", bytes_str("empty"), bytes_str("")), 0);
	assert_int_equal(db_post(db, "t", bytes_str(""), bytes_str("")), -EINVAL);
	assert_int_equal(db_flush(db), 0);
	assert_int_equal(db_begin(db, false, &txn), 0);
	assert_int_equal(db_count(txn, "t"), 501);
	db_abort(txn);
	assert_value(db, "t", "998", "998");
	assert_value(db, "t", "999", NULL);
	assert_value(db, "t", "empty", "");
}

/* While a write transaction is held the queue can only grow: it ends at its limits. */
static void posts_are_bounded(void **state)
{
	static uint8_t big[DB_VALUE_MAX];
	struct db *db = *state;
	struct db_txn *txn;
	int count = 0, err;

	assert_int_equal(db_begin(db, true, &txn), 0);
	while (!(err = db_post(db, "t", bytes_str("k"), bytes_of(big, sizeof big))))
		count++;
	assert_int_equal(err, -EAGAIN);
	assert_in_range(count, DB_POSTED_BYTES_MAX / DB_VALUE_MAX - 1,
			2 * DB_POSTED_BYTES_MAX / DB_VALUE_MAX);
	db_abort(txn);
	assert_int_equal(db_flush(db), 0);
	assert_int_equal(db_begin(db, true, &txn), 0);
	for (count = 0; !(err = db_post(db, "t", bytes_str("k"), bytes_str("v"))); count++)
		;
	assert_int_equal(err, -EAGAIN);
	assert_in_range(count, DB_POSTED_MAX, 2 * DB_POSTED_MAX);
	db_abort(txn);
	assert_int_equal(db_flush(db), 0);
	assert_value(db, "t", "k", "v");
}

static void *hammer(void *ctx)
{
	struct db *db = ctx;
	char name[16];

	/* All threads make the same tables, and read what is or is not there yet. */
	for (int i = 0; i < 20; i++) {
		struct db_txn *txn;
		struct bytes value;

		snprintf(name, sizeof name, "t%d", i);
		assert_int_equal(db_begin(db, false, &txn), 0);
		int err = db_get(txn, name, bytes_str("k"), &value);

		assert_true(err == 0 || err == -ENOENT);
		db_abort(txn);
		assert_int_equal(db_begin(db, true, &txn), 0);
		assert_int_equal(db_put(txn, name, bytes_str("k"), bytes_str(name)), 0);
		if (i % 3)
			assert_int_equal(db_commit(txn), 0);
		else
			db_abort(txn);
	}
	return NULL;
}

static void threads_may_all_begin(void **state)
{
	pthread_t threads[4];
	char name[16];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, *state), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "t%d", i);
		assert_value(*state, name, "k", i % 3 ? name : NULL);
	}
}

/* The other process: makes tables of its own and returns 0 when it sees the first one's. */
static int other_process(const char *dir)
{
	struct db *db;
	struct db_txn *txn;
	struct bytes value;
	int failed = db_open(dir, MAP_BYTES, &db);

	if (failed)
		return 1;
	failed = db_begin(db, true, &txn);
	failed = failed || db_get(txn, "ours", bytes_str("k"), &value);
	failed = failed || db_put(txn, "theirs", bytes_str("k"), bytes_str("v"));
	failed = failed || db_put(txn, "theirs2", bytes_str("k"), bytes_str("v"));
	failed = failed || db_commit(txn);
	db_close(db);
	return failed;
}

/* Tables that another process makes while we are open appear, beside our own new ones. */
static void two_processes_share_a_db(void **state)
{
	const char *base = getenv("TMPDIR");
	char *dir = xasprintf("%s/dagfs-test-XXXXXX", base && *base ? base : "/tmp");
	char *command;
	struct db *db;
	struct stat stat_of;
	int go[2], status;
	char byte;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe(go), 0);
	pid_t child = fork(); /* before anything is open: an environment does not survive it */

	if (child == 0)
		_exit(read(go[0], &byte, 1) == 1 ? other_process(dir) : 2);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	put_one(db, "ours", "k", "v");
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	put_one(db, "ours2", "k", "w");
	assert_value(db, "theirs", "k", "v");
	assert_value(db, "theirs2", "k", "v");
	assert_value(db, "ours2", "k", "w");
	db_close(db);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_value(db, "theirs2", "k", "v");
	assert_value(db, "ours", "k", "v");
	db_close(db);
	assert_int_equal(stat(dir, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0700);
	command = xasprintf("rm -r '%s'", dir);
	assert_int_equal(system(command), 0);
	free(command);
	free(dir);
	close(go[0]);
	close(go[1]);
}

/* ---- damage ---- */

static int damaged(void *ctx, struct db_txn *txn, const char *table, struct bytes key)
{
	char *seen = ctx;

	assert_string_equal(table, "t");
	strncat(seen, (const char *)key.at, key.len);
	return key.at[0] == 'b' ? db_put(txn, table, key, bytes_str("again")) : 0;
}

static int collect(void *ctx, struct bytes key, struct bytes value)
{
	(void)value;
	strncat(ctx, (const char *)key.at, key.len);
	return 0;
}

/* Overwrites every copy of a text in a file. */
static void spoil(const char *file, const char *text, const char *noise)
{
	FILE *at = fopen(file, "r+b");
	struct stat info;

	assert_non_null(at);
	assert_int_equal(fstat(fileno(at), &info), 0);
	char *all = xcalloc(1, (size_t)info.st_size);

	assert_int_equal(fread(all, 1, (size_t)info.st_size, at), info.st_size);
	for (char *found = all;
	     (found = memmem(found, (size_t)(all + info.st_size - found), text, strlen(text)));)
		memcpy(found, noise, strlen(text));
	rewind(at);
	assert_int_equal(fwrite(all, 1, (size_t)info.st_size, at), info.st_size);
	fclose(at);
	free(all);
}

struct place {
	char *dir, *file, *remove;
};

static struct place place_new(void)
{
	const char *base = getenv("TMPDIR");
	struct place place;

	place.dir = xasprintf("%s/dagfs-test-XXXXXX", base && *base ? base : "/tmp");
	assert_non_null(mkdtemp(place.dir));
	place.file = xasprintf("%s/data.mdb", place.dir);
	place.remove = xasprintf("rm -r '%s'", place.dir);
	return place;
}

static void place_free(struct place place)
{
	assert_int_equal(system(place.remove), 0);
	free(place.remove);
	free(place.file);
	free(place.dir);
}

/* Of a value, a key and a sum: seen, passed over, and removed or replaced. */
static void damaged_records_are_seen(void **state)
{
	struct place place = place_new();
	char seen[32] = "", keys[32] = "";
	struct bytes value, none = { 0 };
	struct db_txn *txn;
	struct db *db;
	uint64_t count;

	(void)state;
	assert_int_equal(db_open(place.dir, MAP_BYTES, &db), 0);
	put_one(db, "t", "a", "value-of-a");
	put_one(db, "t", "b", "value-of-b");
	put_one(db, "t", "c-key", "");
	put_one(db, "t", "d", "value-of-d");
	db_close(db);
	spoil(place.file, "value-of-b", "value-0f-b");
	spoil(place.file, "value-of-d", "Value-of-d");
	spoil(place.file, "c-key", "c-kex");
	assert_int_equal(db_open(place.dir, MAP_BYTES, &db), 0);
	assert_value(db, "t", "a", "value-of-a");
	assert_int_equal(db_begin(db, false, &txn), 0);
	assert_int_equal(db_get(txn, "t", bytes_str("b"), &value), -EIO);
	assert_int_equal(value.len, 0);
	assert_int_equal(db_each(txn, "t", none, none, collect, keys), -EIO);
	assert_string_equal(keys, "a");
	db_abort(txn);
	assert_int_equal(db_check(db, damaged, seen, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(seen, "bc-kexd");
	assert_value(db, "t", "b", "again");
	assert_value(db, "t", "d", NULL);
	assert_int_equal(db_check(db, damaged, seen, &count), 0);
	assert_int_equal(count, 0);
	db_close(db);
	place_free(place);
}

/* Records of a version that wrote no sums get them at the first opening. */
static void old_records_get_sums(void **state)
{
	struct place place = place_new();
	MDB_val key = { 1, "k" }, value = { 0 };
	char numbers[16], seen[8] = "";
	uint64_t count;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi table;
	struct db *db;

	(void)state;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
	assert_int_equal(mdb_env_open(env, place.dir, MDB_NOTLS, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "empty", MDB_CREATE, &table), 0);
	assert_int_equal(mdb_put(txn, table, &key, &value, 0), 0);
	assert_int_equal(mdb_dbi_open(txn, "t", MDB_CREATE, &table), 0);
	for (unsigned i = 0; i < 1000; i++) {
		int len = snprintf(numbers, sizeof numbers, "n%u", i);
		MDB_val number = { (size_t)len, numbers };

		assert_int_equal(mdb_put(txn, table, &number, &number, 0), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(db_open(place.dir, MAP_BYTES, &db), 0);
		assert_value(db, "empty", "k", "");
		assert_value(db, "t", "n0", "n0");
		assert_value(db, "t", "n999", "n999");
		assert_int_equal(db_check(db, damaged, seen, &count), 0);
		assert_int_equal(count, 0);
		db_close(db);
	}
	place_free(place);
}

static void read_for_ever(const char *dir, int go, int ready)
{
	struct db_txn *txn;
	struct bytes value;
	struct db *db;
	char byte;

	if (read(go, &byte, 1) != 1 || db_open(dir, MAP_BYTES, &db) || db_begin(db, false, &txn) ||
	    db_get(txn, "t", bytes_str("k"), &value) || write(ready, "x", 1) != 1)
		_exit(2);
	for (;;)
		pause();
}

/* Bytes of the file that so many commits of the same record take. */
static off_t growth(struct db *db, const char *file, unsigned commits)
{
	struct stat before, after;

	assert_int_equal(stat(file, &before), 0);
	for (unsigned i = 0; i < commits; i++)
		put_one(db, "t", "k", i % 2 ? "v" : "w");
	assert_int_equal(stat(file, &after), 0);
	return after.st_size - before.st_size;
}

/* Its process was killed in the middle of a read: soon the pages it held are used again. */
static void a_reader_that_died_holds_no_pages(void **state)
{
	const char *base = getenv("TMPDIR");
	char *dir = xasprintf("%s/dagfs-test-XXXXXX", base && *base ? base : "/tmp");
	char *file, *command;
	struct db *db;
	int go[2], ready[2];
	char byte;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork(); /* before anything is open */

	if (child == 0)
		read_for_ever(dir, go[0], ready[1]);
	file = xasprintf("%s/data.mdb", dir);
	command = xasprintf("rm -r '%s'", dir);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	put_one(db, "t", "k", "v");
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(growth(db, file, 200) >= 200 * 4096);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	growth(db, file, 100);
	assert_true(growth(db, file, 200) < 100 * 4096);
	db_close(db);
	assert_int_equal(system(command), 0);
	free(command);
	free(file);
	free(dir);
	for (unsigned i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
}

static void bad_places_are_errors(void **state)
{
	struct db *db;

	(void)state;
	assert_int_equal(db_open("/nonexistent/dir", MAP_BYTES, &db), -ENOENT);
	assert_null(db);
	assert_true(db_open("/dev/null", MAP_BYTES, &db) < 0);
	db_close(NULL);
}

#define with_db(test) cmocka_unit_test_setup_teardown(test, open_db, close_db)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_db(missing_table_is_empty),
		with_db(put_get_delete),
		with_db(abort_drops_records_and_tables),
		with_db(reader_keeps_its_snapshot),
		with_db(limits_of_keys_and_values),
		with_db(table_limit),
		with_db(full_map_says_so_and_writes_nothing),
		with_db(each_walks_a_prefix),
		with_db(each_may_delete_what_it_shows),
		with_db(posted_records_arrive_in_order),
		with_db(posts_are_bounded),
		with_db(threads_may_all_begin),
		cmocka_unit_test(two_processes_share_a_db),
		cmocka_unit_test(a_reader_that_died_holds_no_pages),
		cmocka_unit_test(damaged_records_are_seen),
		cmocka_unit_test(old_records_get_sums),
		cmocka_unit_test(bad_places_are_errors),
	};
	return cmocka_run_group_tests_name("net/db", tests, NULL, NULL);
}

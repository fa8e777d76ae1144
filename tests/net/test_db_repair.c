/* A db whose pages are damaged: no signal, no hang, no record that was not written, and what is
 * whole is saved. */
#include "net/base/alloc.h"
#include "net/base/random.h"
#include "net/db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#define MAP_BYTES (64u << 20)
#define PAGE 4096
#define RECORDS 600
#define ROUNDS 50
#define BRANCH 1
#define LEAF 2
#define OVERFLOW 4
#define META 8

static const char *const tables[] = { "pins", "peers" };

static char *root, *dir, *file, *mark;

static int setup(void **state)
{
	const char *base = getenv("TMPDIR");

	(void)state;
	root = xasprintf("%s/dagfs-test-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(root))
		return -1;
	dir = xasprintf("%s/records", root);
	file = xasprintf("%s/data.mdb", dir);
	mark = xasprintf("%s/" DB_SUSPECT, dir);
	return 0;
}

static int teardown(void **state)
{
	char *command = xasprintf("rm -r '%s'", root);

	(void)state;
	assert_int_equal(system(command), 0);
	free(command);
	free(mark);
	free(file);
	free(dir);
	free(root);
	return 0;
}

/* What the record must hold follows from its number: some have pages of their own. */
static struct bytes value_of(unsigned table, unsigned i, uint8_t *at)
{
	size_t len = i % 40 == 7 ? 9000 + i : 20 + i % 60;

	for (size_t n = 0; n < len; n++)
		at[n] = (uint8_t)(n * 31 + i * 7 + table);
	return bytes_of(at, len);
}

static struct bytes key_of(unsigned i, char key[static 32])
{
	snprintf(key, 32, "key-%05u-%u", i * 37 % RECORDS, i);
	return bytes_str(key);
}

/* Every tenth is deleted later: its old places must not count. */
static bool is_there(unsigned i)
{
	return i % 10 != 0;
}

static void fill(void)
{
	uint8_t value[PAGE * 4];
	char key[32];
	struct db_txn *txn;
	struct db *db;

	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	for (unsigned i = 0; i < 2 * RECORDS; i += 50) {
		assert_int_equal(db_begin(db, true, &txn), 0);
		for (unsigned n = i; n < i + 50; n++) {
			unsigned number = n % RECORDS;

			for (unsigned t = 0; t < ARRAY_LEN(tables); t++)
				if (n < RECORDS)
					assert_int_equal(db_put(txn, tables[t], key_of(number, key),
								value_of(t, number, value)),
							 0);
				else if (!is_there(number))
					assert_int_equal(
						db_del(txn, tables[t], key_of(number, key)), 0);
		}
		assert_int_equal(db_commit(txn), 0);
	}
	db_close(db);
}

struct found {
	unsigned table, count;
	bool old; /* records that were deleted may be there */
};

static int look(void *ctx, struct bytes key, struct bytes value)
{
	struct found *found = ctx;
	uint8_t expected[PAGE * 4];
	char text[32], again[32];
	unsigned i = 0;

	snprintf(text, sizeof text, "%.*s", (int)key.len, (const char *)key.at);
	assert_int_equal(sscanf(text, "key-%*u-%u", &i), 1);
	assert_true(bytes_equal(key_of(i, again), key));
	assert_true(found->old || is_there(i));
	assert_true(bytes_equal(value, value_of(found->table, i, expected)));
	found->count++;
	return 0;
}

#define GOOD (ARRAY_LEN(tables) * (RECORDS - RECORDS / 10))

/* How many there are; all are what was written. */
static unsigned count_good(struct db *db, bool old)
{
	struct bytes none = { 0 };
	struct db_txn *txn;
	unsigned count = 0;

	assert_int_equal(db_begin(db, false, &txn), 0);
	for (unsigned t = 0; t < ARRAY_LEN(tables); t++) {
		struct found found = { .table = t, .old = old };
		int err = db_each(txn, tables[t], none, none, look, &found);

		assert_true(!err || err == -EIO);
		count += found.count;
	}
	db_abort(txn);
	return count;
}

static int open_file(void)
{
	int fd = open(file, O_RDWR);

	assert_true(fd >= 0);
	return fd;
}

/* The n-th page of these flags; -1: there is none. */
static off_t find_page(int fd, unsigned flags, unsigned n)
{
	uint8_t head[16];

	for (off_t i = 0; pread(fd, head, sizeof head, i * PAGE) == sizeof head; i++)
		if (head[10] == flags && !head[11] && (head[0] | head[1] << 8) == (i & 0xffff) &&
		    n-- == 0)
			return i;
	return -1;
}

static void noise(int fd, struct random *random, off_t page, size_t at, size_t len)
{
	uint8_t bytes[PAGE];

	random_fill(random, bytes, len);
	assert_int_equal(pwrite(fd, bytes, len, page * PAGE + (off_t)at), len);
}

static void suspect(void)
{
	int fd = open(mark, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void copy_to_try(void)
{
	char *command = xasprintf("rm -rf '%s' '%s'.damaged-* && cp -r '%s/good' '%s'", dir, dir,
				  root, dir);

	assert_int_equal(system(command), 0);
	free(command);
}

static void keep_good(void)
{
	char *command = xasprintf("cp -r '%s' '%s/good'", dir, root);

	fill();
	assert_int_equal(system(command), 0);
	free(command);
}

static void undamaged_db_passes_the_check(void **state)
{
	struct db_salvage salvage;
	struct db *db;

	(void)state;
	fill();
	suspect();
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_int_equal(access(mark, F_OK), -1);
	assert_int_equal(count_good(db, false), GOOD);
	assert_int_equal(db_check_pages(db), 0);
	assert_false(db_salvaged(db, &salvage));
	db_close(db);
}

/* Pages that lead to records, gone for certain: all of them, and the first two. */
static void nothing_is_lost_with(unsigned flags)
{
	struct db_salvage salvage = { 0 };
	struct random random = random_seeded(7);
	struct db *db;
	off_t page;

	fill();
	int fd = open_file();

	for (unsigned n = 0; flags == META ? n < 2 : (page = find_page(fd, flags, 0)) >= 0; n++)
		noise(fd, &random, flags == META ? n : page, 0, PAGE);
	close(fd);
	suspect();
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_int_equal(access(mark, F_OK), -1);
	assert_true(db_salvaged(db, &salvage));
	/* Without the first pages nobody knows which others are free. */
	assert_int_equal(salvage.sure, flags != META);
	assert_int_equal(salvage.lost, 0);
	if (flags == META)
		assert_true(salvage.saved >= GOOD);
	else
		assert_int_equal(salvage.saved, GOOD);
	assert_true(count_good(db, flags == META) >= GOOD);
	assert_int_equal(db_salvage_told(db), 0);
	assert_false(db_salvaged(db, &salvage));
	assert_int_equal(db_check_pages(db), 0);
	db_close(db);
	char *aside = xasprintf("%s.damaged-1/data.mdb", dir);

	assert_int_equal(access(aside, F_OK), 0);
	free(aside);
}

static void nothing_is_lost_with_branches(void **state)
{
	(void)state;
	nothing_is_lost_with(BRANCH);
}

static void nothing_is_lost_with_first_pages(void **state)
{
	(void)state;
	nothing_is_lost_with(META);
}

/* A check of one that is open; the next opening saves. */
static void check_of_an_open_db_finds_damage(void **state)
{
	struct db_salvage salvage = { 0 };
	struct random random = random_seeded(3);
	struct db *db;

	(void)state;
	fill();
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	int fd = open_file();
	off_t page = find_page(fd, BRANCH, 0);

	while (page >= 0) {
		noise(fd, &random, page, 8, 64);
		page = find_page(fd, BRANCH, 0);
	}
	close(fd);
	assert_int_equal(db_check_pages(db), -EIO);
	assert_int_equal(access(mark, F_OK), 0);
	db_close(db);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_true(db_salvaged(db, &salvage) && salvage.saved == GOOD && salvage.sure &&
		    !salvage.lost);
	assert_int_equal(count_good(db, false), GOOD);
	db_close(db);
}

/* The head of a large value tells LMDB how many pages to free. */
static void damaged_head_of_a_large_value_frees_no_pages(void **state)
{
	uint8_t wrong[4] = { 9, 9, 9, 0 };
	struct db_salvage salvage = { 0 };
	struct db_txn *txn;
	struct db *db;
	char key[32];
	off_t page;
	int err = 0;

	(void)state;
	fill();
	int fd = open_file();

	for (unsigned n = 0; (page = find_page(fd, OVERFLOW, n)) >= 0; n++)
		assert_int_equal(pwrite(fd, wrong, 4, page * PAGE + 12), 4);
	close(fd);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_int_equal(count_good(db, false), GOOD);
	assert_int_equal(db_begin(db, true, &txn), 0);
	err = db_put(txn, "pins", key_of(7, key), bytes_str("small"));
	assert_int_equal(err, -EIO);
	assert_int_equal(db_commit(txn), -EIO);
	assert_int_equal(db_begin(db, true, &txn), 0);
	assert_int_equal(db_del(txn, "pins", key_of(47, key)), -EIO);
	db_abort(txn);
	assert_int_equal(db_check_pages(db), -EIO);
	db_close(db);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_true(db_salvaged(db, &salvage) && salvage.sure && !salvage.lost);
	assert_int_equal(count_good(db, false), GOOD);
	db_close(db);
}

static int ignore(void *ctx, struct db_txn *txn, const char *table, struct bytes key)
{
	(void)ctx;
	(void)txn;
	(void)table;
	(void)key;
	return 0;
}

/* Noise in pages of every kind: in a process of its own, which ends by itself. */
static void try_one(unsigned round)
{
	static const unsigned kinds[] = { META, BRANCH, LEAF, OVERFLOW };
	struct db_salvage salvage = { .sure = true };
	struct random random = random_seeded(round + 1);
	struct db *db;

	int fd = open_file();

	for (unsigned n = 0; n <= round % 4; n++) {
		unsigned flags = kinds[(round + n) % ARRAY_LEN(kinds)], count = 0;
		bool whole = random_below(&random, 2);

		while (find_page(fd, flags, count) >= 0)
			count++;
		if (!count)
			continue;
		off_t page = find_page(fd, flags, (unsigned)random_below(&random, count));
		size_t at = whole ? 0 : (size_t)random_below(&random, PAGE - 64);

		noise(fd, &random, page, at, whole ? PAGE : 64);
	}
	close(fd);
	suspect();
	alarm(60); /* instead of hanging */
	int err = db_open(dir, MAP_BYTES, &db);

	if (err)
		_exit(-err);
	db_salvaged(db, &salvage);
	unsigned good = count_good(db, !salvage.sure);
	uint64_t damaged = 0;

	if (db_check_pages(db) || db_check(db, ignore, NULL, &damaged))
		_exit(3);
	/* What was not saved is told of. */
	if (salvage.sure && good + salvage.lost + damaged < GOOD)
		_exit(4);
	db_close(db);
	_exit(0);
}

static void damaged_copies(void **state)
{
	(void)state;
	keep_good();
	for (unsigned round = 0; round < ROUNDS; round++) {
		int status;

		copy_to_try();
		pid_t child = fork();

		if (child == 0)
			try_one(round);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status)
			print_error("round %u: %x\n", round, (unsigned)status);
		assert_int_equal(status, 0);
	}
}

/* ---- older versions ---- */

/* As a version wrote it that knew no sums, or sums alone. */
static void fill_old(bool sums)
{
	char text[32];
	uint8_t value[PAGE * 4 + 8];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi table;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
	assert_int_equal(mdb_env_set_mapsize(env, MAP_BYTES), 0);
	assert_int_equal(mdb_env_open(env, dir, MDB_NOTLS, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	for (unsigned t = 0; t < ARRAY_LEN(tables); t++) {
		assert_int_equal(mdb_dbi_open(txn, tables[t], MDB_CREATE, &table), 0);
		for (unsigned i = 0; i < RECORDS; i++) {
			struct bytes key = key_of(i, text), data = value_of(t, i, value);
			uint64_t sum = XXH3_64bits_withSeed(data.at, data.len,
							    XXH3_64bits(key.at, key.len));

			if (!is_there(i))
				continue;
			for (unsigned n = 0; n < 8; n++)
				value[data.len + n] = (uint8_t)(sum >> 8 * n);
			MDB_val k = { key.len, (void *)key.at },
				v = { data.len + (sums ? 8 : 0), value };

			assert_int_equal(mdb_put(txn, table, &k, &v, 0), 0);
		}
	}
	if (sums)
		assert_int_equal(mdb_dbi_open(txn, "sums", MDB_CREATE, &table), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void taken_in(bool sums)
{
	uint64_t damaged;
	struct db *db;

	fill_old(sums);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
		assert_int_equal(count_good(db, false), GOOD);
		assert_int_equal(db_check(db, ignore, NULL, &damaged), 0);
		assert_int_equal(damaged, 0);
		assert_int_equal(db_check_pages(db), 0);
		db_close(db);
	}
}

static void db_without_sums_is_converted(void **state)
{
	(void)state;
	taken_in(false);
}

static void db_with_sums_is_converted(void **state)
{
	(void)state;
	taken_in(true);
}

static void hold(int ready)
{
	MDB_env *env;

	if (mdb_env_create(&env) || mdb_env_open(env, dir, MDB_NOTLS, 0600) ||
	    write(ready, "x", 1) != 1)
		_exit(2);
	for (;;)
		pause();
}

/* It would go on with records it does not know. */
static void old_db_is_not_converted_while_an_older_program_has_it_open(void **state)
{
	int ready[2];
	struct db *db;
	char byte;

	(void)state;
	fill_old(false);
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();

	if (child == 0)
		hold(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), -EBUSY);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_int_equal(count_good(db, false), GOOD);
	db_close(db);
	close(ready[0]);
	close(ready[1]);
}

static void open_as_a_child(void)
{
	struct db *db;

	int err = db_open(dir, MAP_BYTES, &db);

	_exit(err ? -err : count_good(db, false) != GOOD);
}

/* Killed anywhere, or several at once: all is there. */
static void killed_conversion_loses_nothing(void **state)
{
	struct db *db;

	(void)state;
	fill_old(false);
	for (unsigned i = 0; i < 20; i++) {
		pid_t child = fork();

		if (child == 0)
			open_as_a_child();
		usleep(i * 500);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
	}
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_int_equal(count_good(db, false), GOOD);
	db_close(db);
}

static void old_db_is_converted_once_by_many_processes(void **state)
{
	pid_t children[4];
	int status, worst = 0;

	(void)state;
	fill_old(true);
	for (unsigned i = 0; i < ARRAY_LEN(children); i++) {
		children[i] = fork();
		if (!children[i])
			open_as_a_child();
	}
	for (unsigned i = 0; i < ARRAY_LEN(children); i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		worst = status ? status : worst;
	}
	assert_int_equal(worst, 0);
}

/* What a later version has made of it this one leaves alone. */
static void db_of_a_newer_version_is_refused(void **state)
{
	struct db_txn *txn;
	struct db *db;

	(void)state;
	fill();
	assert_int_equal(db_open(dir, MAP_BYTES, &db), 0);
	assert_int_equal(db_begin(db, true, &txn), 0);
	assert_int_equal(db_put(txn, "layout-3", bytes_str("k"), bytes_str("v")), 0);
	assert_int_equal(db_commit(txn), 0);
	db_close(db);
	assert_int_equal(db_open(dir, MAP_BYTES, &db), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(undamaged_db_passes_the_check, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_lost_with_branches, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_lost_with_first_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(check_of_an_open_db_finds_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_head_of_a_large_value_frees_no_pages, setup,
						teardown),
		cmocka_unit_test_setup_teardown(damaged_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(db_without_sums_is_converted, setup, teardown),
		cmocka_unit_test_setup_teardown(db_with_sums_is_converted, setup, teardown),
		cmocka_unit_test_setup_teardown(
			old_db_is_not_converted_while_an_older_program_has_it_open, setup,
			teardown),
		cmocka_unit_test_setup_teardown(killed_conversion_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(old_db_is_converted_once_by_many_processes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(db_of_a_newer_version_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("net/db_repair", tests, NULL, NULL);
}

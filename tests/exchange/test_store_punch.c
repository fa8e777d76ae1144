/* Free pages of a generation given back to the disk: none that anybody can still read. */
#include "exchange/store/store_lmdb.h"
#include "tests/exchange/store_helper.h"

#include <sys/stat.h>

#define BLOCKS 32
#define BLOCK_BYTES 200000
#define MAP_BYTES (64u << 20)

static struct gen *gen;

static struct bytes key_of(unsigned *number)
{
	return bytes_of(number, sizeof *number);
}

static void add_some(unsigned from, unsigned to)
{
	static uint8_t data[BLOCK_BYTES];
	MDB_txn *txn;

	assert_int_equal(gen_write_begin(gen, &txn), 0);
	for (unsigned i = from; i < to; i++) {
		MDB_val record = { .mv_size = sizeof data, .mv_data = data };

		memset(data, (int)i, sizeof data);
		assert_int_equal(gen_add(gen, txn, key_of(&i), &record), 0);
	}
	assert_int_equal(gen_write_end(gen, txn, 0), 0);
}

static void delete_even(void)
{
	MDB_txn *txn;

	assert_int_equal(gen_write_begin(gen, &txn), 0);
	for (unsigned i = 0; i < BLOCKS; i += 2)
		assert_int_equal(lmdb_delete_in(gen, txn, key_of(&i)), 0);
	assert_int_equal(gen_write_end(gen, txn, 0), 0);
}

static void touch_twice(void)
{
	for (unsigned i = 0; i < 2; i++) {
		MDB_txn *txn;

		assert_int_equal(gen_write_begin(gen, &txn), 0);
		assert_int_equal(gen_write_end(gen, txn, gen_meta_put(gen, txn, "closed", i)), 0);
	}
}

static void check(MDB_txn *txn, unsigned step)
{
	for (unsigned i = step - 1; i < BLOCKS; i += step) {
		MDB_val key = val_of(key_of(&i)), record;

		assert_int_equal(mdb_get(txn, gen->blocks, &key, &record), 0);
		assert_int_equal(record.mv_size, BLOCK_BYTES);
		for (size_t at = 0; at < record.mv_size; at += 1000)
			assert_int_equal(((uint8_t *)record.mv_data)[at], i);
	}
}

static int setup(void **state)
{
	const struct gen_config config = { .map_bytes = MAP_BYTES, .create = true };
	char dir[64];

	(void)state;
	if (mkdir(scratch_dir(dir), 0700))
		return -1;
	return gen_open(dir, GEN_KEPT, 1, &config, &gen);
}

static int teardown(void **state)
{
	(void)state;
	gen_unref(gen);
	scratch_remove();
	return 0;
}

static void free_pages_become_holes(void **state)
{
	MDB_txn *txn = NULL;
	struct gen_stat before, after;
	uint64_t freed;

	(void)state;
	add_some(0, BLOCKS);
	assert_int_equal(gen_punch(gen, &freed), 0);
	assert_int_equal(freed, 0);
	assert_int_equal(gen_stat(gen, &before), 0);
	delete_even();
	touch_twice();
	assert_int_equal(gen_punch(gen, &freed), 0);
	assert_true(freed >= BLOCKS / 2 * BLOCK_BYTES);
	assert_int_equal(gen_stat(gen, &after), 0);
	assert_true(after.disk_bytes + freed <= before.disk_bytes + (1 << 20));
	assert_int_equal(gen_read_start(gen, &txn), 0);
	check(txn, 2);
	gen_read_stop(gen, txn);
	/* The holes are written to again. */
	add_some(BLOCKS, BLOCKS + 10);
	assert_int_equal(mdb_txn_renew(txn), 0);
	check(txn, 2);
	mdb_txn_abort(txn);
}

static void pages_of_an_open_snapshot_stay(void **state)
{
	MDB_txn *txn = NULL;
	uint64_t freed;

	(void)state;
	add_some(0, BLOCKS);
	assert_int_equal(gen_read_start(gen, &txn), 0);
	delete_even();
	touch_twice();
	assert_int_equal(gen_punch(gen, &freed), 0);
	assert_int_equal(freed, 0);
	check(txn, 1);
	gen_read_stop(gen, txn);
	mdb_txn_abort(txn);
	assert_int_equal(gen_punch(gen, &freed), 0);
	assert_true(freed >= BLOCKS / 2 * BLOCK_BYTES);
}

static void what_was_freed_just_now_stays_for_a_power_cut(void **state)
{
	uint64_t freed;

	(void)state;
	add_some(0, BLOCKS);
	delete_even();
	assert_int_equal(gen_punch(gen, &freed), 0);
	assert_int_equal(freed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(free_pages_become_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_of_an_open_snapshot_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_freed_just_now_stays_for_a_power_cut,
						setup, teardown),
	};

	return cmocka_run_group_tests_name("exchange/store_punch", tests, NULL, NULL);
}

#include "net/db/lmdb_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

struct rig {
	char dir[48];
	MDB_env *env;
	struct lmdb_map map;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof *rig);

	snprintf(rig->dir, sizeof rig->dir, "/tmp/dagfs-test-map.XXXXXX");
	if (!mkdtemp(rig->dir) || mdb_env_create(&rig->env) || mdb_env_set_mapsize(rig->env, MIB) ||
	    mdb_env_open(rig->env, rig->dir, MDB_NOTLS | MDB_NOSYNC, 0600))
		return -1;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	char file[80];

	mdb_env_close(rig->env);
	snprintf(file, sizeof file, "%s/data.mdb", rig->dir);
	unlink(file);
	snprintf(file, sizeof file, "%s/lock.mdb", rig->dir);
	unlink(file);
	rmdir(rig->dir);
	free(rig);
	return 0;
}

static uint64_t size_of(struct rig *rig)
{
	MDB_envinfo info;

	assert_int_equal(mdb_env_info(rig->env, &info), 0);
	return info.me_mapsize;
}

static int put(struct rig *rig, size_t bytes)
{
	MDB_val key = { 3, "key" }, val = { bytes, NULL };
	MDB_txn *txn;
	MDB_dbi dbi;

	lmdb_map_hold(&rig->map);
	assert_int_equal(mdb_txn_begin(rig->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	int rc = mdb_put(txn, dbi, &key, &val, MDB_RESERVE);

	if (!rc)
		memset(val.mv_data, 1, bytes);
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	lmdb_map_release(&rig->map);
	return rc;
}

static void full_map_has_room_after_it_moved(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(put(rig, 2 * MIB), MDB_MAP_FULL);
	assert_int_equal(lmdb_map_move(&rig->map, rig->env, 4 * MIB, 10), 0);
	assert_int_equal(size_of(rig), 4 * MIB);
	assert_int_equal(put(rig, 2 * MIB), 0);
	/* Never less than what is used. */
	assert_int_equal(lmdb_map_move(&rig->map, rig->env, 1, 10), 0);
	assert_true(size_of(rig) >= 2 * MIB);
}

static void held_map_stays_where_it_is(void **state)
{
	struct rig *rig = *state;

	lmdb_map_hold(&rig->map);
	lmdb_map_hold(&rig->map);
	lmdb_map_release(&rig->map);
	assert_int_equal(lmdb_map_move(&rig->map, rig->env, 4 * MIB, 10), -ETIMEDOUT);
	assert_int_equal(size_of(rig), MIB);
	lmdb_map_release(&rig->map);
	assert_int_equal(lmdb_map_move(&rig->map, rig->env, 4 * MIB, 10), 0);
}

static void growing_beyond_the_address_space_changes_nothing(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(put(rig, 1000), 0);
	assert_int_equal(lmdb_map_move(&rig->map, rig->env, (uint64_t)1 << 50, 10), -ENOMEM);
	assert_int_equal(size_of(rig), MIB);
	assert_int_equal(put(rig, 1000), 0);
}

static void sizes_to_try_become_smaller_and_end(void **state)
{
	uint64_t bytes = 0, before = UINT64_MAX;
	unsigned count = 0;

	(void)state;
	while ((bytes = lmdb_map_next(bytes))) {
		assert_true(bytes < before && count++ < 40);
		before = bytes;
	}
	assert_true(before <= 8 * MIB);
	assert_int_equal(lmdb_map_first(MIB), MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(full_map_has_room_after_it_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(held_map_stays_where_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(growing_beyond_the_address_space_changes_nothing,
						setup, teardown),
		cmocka_unit_test(sizes_to_try_become_smaller_and_end),
	};

	return cmocka_run_group_tests_name("net/lmdb_map", tests, NULL, NULL);
}

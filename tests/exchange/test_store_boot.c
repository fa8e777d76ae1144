/* After a power cut: what is kept stays; of the cache, what nobody waited for the disk with goes,
 * whole generations at a time, and nothing of it is ever read. */
#include "exchange/store/store.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#define BLOCK_BYTES 50000
#define BOOT_AT                                                                                    \
	48 /* struct store_shared: magic 8, version 4, bell 4, list 8, epoch 8, floors 8, number   \
	      4, boot */

static const struct store_config config = { .generation_bytes = 1u << 20 };

static int clean(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}

static struct store *open_at(const char *dir)
{
	struct store *store;

	assert_int_equal(store_open_lmdb(dir, &config, &store), 0);
	return store;
}

static struct store *open_store(void)
{
	char dir[64];

	return open_at(scratch_dir(dir));
}

static void put(struct store *store, uint64_t number, unsigned flags)
{
	struct block *block = numbered(number, BLOCK_BYTES);

	assert_int_equal(store_put(store, block, STORE_WAIT | flags, NULL, NULL), 0);
	block_unref(block);
}

static bool holds(struct store *store, uint64_t number)
{
	struct block *block = numbered(number, BLOCK_BYTES);
	bool there = store_has(store, cid_hash_bytes(&block->cid));

	block_unref(block);
	return there;
}

/* As if the system had been started since: the boot id noted in the store's state is another one.
 */
static void start_system_anew(void)
{
	char dir[64], file[128];

	snprintf(file, sizeof file, "%s/state", scratch_dir(dir));
	int fd = open(file, O_RDWR | O_CLOEXEC);
	uint8_t other[4] = { 0xde, 0xad, 0xbe, 0xef };

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, other, sizeof other, BOOT_AT), sizeof other);
	close(fd);
}

/* A process that dies without closing the store: blocks 1.. are cached, 101.. kept and synced. */
static void die_writing(void)
{
	char dir[64];

	scratch_dir(dir); /* of this process, for the child too */
	pid_t child = fork();

	if (child == 0) {
		struct store *store = open_at(dir);

		for (uint64_t i = 1; i <= 5; i++) {
			put(store, i, 0);
			put(store, 100 + i, STORE_KEEP);
		}
		_exit(store_sync(store) ? 1 : 0);
	}
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_dead_process_loses_nothing(void **state)
{
	(void)state;
	die_writing();
	struct store *store = open_store();

	for (uint64_t i = 1; i <= 5; i++) {
		assert_true(holds(store, i));
		assert_true(holds(store, 100 + i));
	}
	store_close(store);
}

static void a_power_cut_drops_what_was_not_settled(void **state)
{
	(void)state;
	die_writing();
	start_system_anew();
	struct store *store = open_store();

	for (uint64_t i = 1; i <= 5; i++) {
		assert_false(holds(store, i));
		assert_true(holds(store, 100 + i));
	}
	put(store, 1, 0);
	assert_int_equal(store_sync(store), 0);
	assert_true(holds(store, 1));
	store_close(store);
}

static void cache_closed_properly_survives_a_power_cut(void **state)
{
	(void)state;
	struct store *store = open_store();

	put(store, 1, 0);
	store_close(store);
	start_system_anew();
	store = open_store();
	assert_true(holds(store, 1));
	store_close(store);
	/* Not written since: settled still. */
	start_system_anew();
	store = open_store();
	assert_true(holds(store, 1));
	store_close(store);
}

/* Only the newest generation is at risk: those full were settled when they were closed. */
static void full_generations_survive_a_power_cut(void **state)
{
	(void)state;
	unsigned there = 0;
	char dir[64];

	scratch_dir(dir); /* of this process, for the child too */
	pid_t child = fork();

	if (child == 0) {
		struct store *store = open_at(dir);

		for (uint64_t i = 1; i <= 100; i++)
			put(store, i, 0);
		_exit(store_sync(store) ? 1 : 0);
	}
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	start_system_anew();
	struct store *store = open_store();

	for (uint64_t i = 1; i <= 100; i++)
		there += holds(store, i);
	assert_in_range(there, 40, 99);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_dead_process_loses_nothing, clean, clean),
		cmocka_unit_test_setup_teardown(a_power_cut_drops_what_was_not_settled, clean,
						clean),
		cmocka_unit_test_setup_teardown(cache_closed_properly_survives_a_power_cut, clean,
						clean),
		cmocka_unit_test_setup_teardown(full_generations_survive_a_power_cut, clean, clean),
	};

	return cmocka_run_group_tests_name("exchange/store_boot", tests, NULL, NULL);
}

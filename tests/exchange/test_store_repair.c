/* Damaged pages of a generation: seen, set aside, and what lies whole in it is saved. */
#include "exchange/store/store.h"
#include "net/db/lmdb_pages.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BLOCKS 300
#define PAGE 4096
#define MAP_BYTES (64u << 20)

static const struct store_config quick = { .map_bytes = MAP_BYTES, .no_sync = true };

static int clean(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}

static size_t size_of(uint64_t i)
{
	return i % 3 ? 40 + i * 7 : 5000 + i;
}

static void fill(unsigned flags)
{
	struct store *store = scratch_store(&quick);

	for (uint64_t i = 0; i < BLOCKS; i++) {
		struct block *block = numbered(i, size_of(i));

		assert_int_equal(store_put(store, block, flags | STORE_WAIT, NULL, NULL), 0);
		if (i % 50 == 0)
			assert_int_equal(store_sync(store), 0);
		block_unref(block);
	}
	assert_int_equal(store_sync(store), 0);
	for (uint64_t i = 0; i < BLOCKS; i += 10) { /* free pages too */
		struct block *block = numbered(i, size_of(i));

		assert_int_equal(store_delete(store, cid_hash_bytes(&block->cid)), 0);
		block_unref(block);
	}
	store_close(store);
}

static void put_one(struct store *store, uint64_t i)
{
	struct block *block = numbered(i, 1000);

	assert_int_equal(store_put(store, block, STORE_KEEP | STORE_WAIT, NULL, NULL), 0);
	assert_int_equal(store_sync(store), 0);
	block_unref(block);
}

static int keep_nothing(void *ctx, struct bytes multihash)
{
	(void)ctx;
	(void)multihash;
	return 0;
}

/* How many are there; those that are, are right. */
static unsigned count_good(struct store *store)
{
	unsigned good = 0;

	for (uint64_t i = 0; i < BLOCKS; i++) {
		struct block *block = numbered(i, size_of(i)), *found;

		if (i % 10 && !store_get(store, &block->cid, &found)) {
			assert_true(bytes_equal(found->data, block->data));
			block_unref(found);
			good++;
		}
		block_unref(block);
	}
	return good;
}

#define GOOD (BLOCKS - BLOCKS / 10)

static int open_file(const char *class)
{
	char dir[64], file[128];

	snprintf(file, sizeof file, "%s/%s-000001/data.mdb", scratch_dir(dir), class);
	int fd = open(file, O_RDWR);

	assert_true(fd >= 0);
	return fd;
}

/* Number of the n-th page of these flags; 0: there is none. */
static off_t find_page(int fd, unsigned flags, unsigned n)
{
	uint8_t head[16];

	for (off_t i = 2; pread(fd, head, sizeof head, i * PAGE) == sizeof head; i++)
		if (head[10] == flags && !head[11] && head[0] == (i & 0xff) && n-- == 0)
			return i;
	return 0;
}

static void overwrite(int fd, off_t page, size_t at, size_t len)
{
	uint8_t noise[PAGE];

	for (size_t i = 0; i < len; i++)
		noise[i] = (uint8_t)(i * 151 + 77);
	assert_int_equal(pwrite(fd, noise, len, page * PAGE + (off_t)at), len);
}

/* All of them, those of the tree too. */
static void overwrite_branches(int fd, size_t at, size_t len)
{
	off_t page;
	unsigned count = 0;

	while ((page = find_page(fd, 1, 0))) {
		overwrite(fd, page, at, len);
		count++;
	}
	assert_true(count > 0);
}

static void undamaged_file_passes_the_check(void **state)
{
	(void)state;
	fill(STORE_KEEP);
	int fd = open_file("kept");

	assert_int_equal(lmdb_pages_check(fd, "kept", false), 0);
	close(fd);
}

static int count(void *ctx, const struct lmdb_found *found)
{
	*(unsigned *)ctx += found->key.len == 34 && found->value.len >= 48;
	return 0;
}

/* Whatever is overwritten, alone or whole, the walk ends, and what it says is right or an error. */
static void overwritten_pages_never_crash_the_check(void **state)
{
	static const unsigned kinds[] = { 1, 2 };
	uint8_t before[PAGE];

	(void)state;
	fill(STORE_KEEP);
	int fd = open_file("kept");
	struct lmdb_tally tally;
	off_t page;

	for (unsigned kind = 0; kind < ARRAY_LEN(kinds); kind++)
		for (unsigned n = 0; (page = find_page(fd, kinds[kind], n)) && n < 40; n++)
			for (size_t at = 0; at < 32; at += 2) {
				unsigned seen = 0;

				assert_int_equal(pread(fd, before, PAGE, page * PAGE), PAGE);
				overwrite(fd, page, at, at ? 2 : PAGE);
				int err = lmdb_pages_check(fd, "damaged on purpose", false);

				assert_true(err == 0 || err == -EIO);
				assert_int_equal(
					lmdb_pages_salvage(fd, UINT32_MAX, count, &seen, &tally),
					0);
				assert_true(seen > 0);
				assert_int_equal(pwrite(fd, before, PAGE, page * PAGE), PAGE);
			}
	assert_int_equal(lmdb_pages_check(fd, "kept", false), 0);
	close(fd);
}

/* A branch is of the tree for certain: all blocks are still there. */
static void nothing_is_lost_with_a_branch(void **state)
{
	uint64_t saved;

	(void)state;
	fill(STORE_KEEP);
	int fd = open_file("kept");

	overwrite_branches(fd, 0, PAGE);
	close(fd);
	char dir[64], file[128];

	snprintf(file, sizeof file, "%s/%s", scratch_dir(dir), STORE_SUSPECT);
	fd = open(file, O_CREAT | O_WRONLY, 0600);
	close(fd);
	struct store *store = scratch_store(&quick);

	assert_int_equal(access(file, F_OK), -1);
	assert_true(count_good(store) == GOOD);
	assert_true(store_lost(store, false));
	assert_false(store_lost(store, true));
	assert_int_equal(store_check(store, &saved), 0);
	store_close(store);
}

static void a_check_sets_aside_and_saves(void **state)
{
	uint64_t saved;

	(void)state;
	fill(STORE_KEEP);
	struct store *store = scratch_store(&quick);

	assert_int_equal(store_check(store, &saved), 0);
	int fd = open_file("kept");

	overwrite_branches(fd, 8, 200);
	close(fd);
	assert_int_equal(store_check(store, &saved), 1);
	assert_true(saved >= GOOD);
	assert_int_equal(count_good(store), GOOD);
	assert_int_equal(store_check(store, &saved), 0);
	store_close(store);
}

/* Both first pages gone: LMDB has no beginning, but the blocks lie there. */
static void blocks_are_saved_when_both_first_pages_are_gone(void **state)
{
	(void)state;
	fill(STORE_KEEP);
	int fd = open_file("kept");

	overwrite(fd, 0, 0, PAGE);
	overwrite(fd, 1, 0, PAGE);
	close(fd);
	struct store *store = scratch_store(&quick);

	assert_int_equal(count_good(store), GOOD);
	store_close(store);
}

static void damaged_cache_is_dropped(void **state)
{
	(void)state;
	fill(0);
	int fd = open_file("cache");

	overwrite(fd, 0, 0, PAGE);
	close(fd);
	struct store *store = scratch_store(&quick);

	assert_int_equal(count_good(store), 0);
	assert_false(store_lost(store, false));
	store_close(store);
}

static void check_state_is_healed(const char *noise, size_t len)
{
	char dir[64], file[96];

	snprintf(file, sizeof file, "%s/state", scratch_dir(dir));
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fwrite(noise, 1, len, out);
	fclose(out);
	struct store *store = scratch_store(&quick);

	assert_int_equal(count_good(store), GOOD);
	put_one(store, BLOCKS + len);
	store_close(store);
	store = scratch_store(&quick);
	assert_int_equal(count_good(store), GOOD);
	store_close(store);
}

static void damaged_state_is_made_anew(void **state)
{
	(void)state;
	fill(STORE_KEEP);
	check_state_is_healed("", 0);
	check_state_is_healed("noise that is too short", 23);
	check_state_is_healed("noise that is as long as a whole one, and a little longer than it",
			      65);
}

/* What another process has open while it is healed. */
static void healed_state_stays_shared(void **state)
{
	char dir[64], file[96];

	(void)state;
	fill(STORE_KEEP);
	snprintf(file, sizeof file, "%s/state", scratch_dir(dir));
	struct store *before = scratch_store(&quick);
	int fd = open(file, O_WRONLY);

	assert_int_equal(pwrite(fd, "noise", 5, 0), 5);
	close(fd);
	pid_t child = fork();

	if (child == 0)
		execl("/proc/self/exe", "healer", dir, NULL);
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	struct block *block = numbered(BLOCKS + 1, 1000);

	assert_true(store_has(before, cid_hash_bytes(&block->cid)));
	block_unref(block);
	store_close(before);
}

static void check_missing_data(bool cut)
{
	char dir[64], file[96];

	fill(STORE_KEEP);
	snprintf(file, sizeof file, "%s/kept-000001/data.mdb", scratch_dir(dir));
	assert_int_equal(cut ? truncate(file, 0) : unlink(file), 0);
	struct store *store = scratch_store(&quick);

	assert_int_equal(count_good(store), 0);
	assert_true(store_lost(store, false));
	put_one(store, 1);
	store_close(store);
	scratch_remove();
}

static void missing_or_empty_data_loses_its_blocks_alone(void **state)
{
	(void)state;
	check_missing_data(false);
	check_missing_data(true);
}

/* Another store lies where this one was. */
static void moved_store_leaves_the_other_alone(void **state)
{
	char dir[64], moved[96];
	struct store *store, *other;
	const struct store_sweep_fns none = { .keep = keep_nothing };
	uint64_t removed, freed;

	(void)state;
	fill(STORE_KEEP);
	store = scratch_store(&quick);
	snprintf(moved, sizeof moved, "%s-moved", scratch_dir(dir));
	assert_int_equal(rename(dir, moved), 0);
	other = scratch_store(&quick);
	put_one(other, 7);
	assert_int_equal(store_sweep(store, &none, NULL, &removed, &freed), -ESTALE);
	assert_int_equal(count_good(store), GOOD);
	struct block *block = numbered(7, 1000);

	assert_true(store_has(other, cid_hash_bytes(&block->cid)));
	block_unref(block);
	store_close(other);
	store_close(store);
	scratch_remove();
	assert_int_equal(rename(moved, dir), 0);
}

static int heal(const char *dir)
{
	struct store *store;

	if (store_open_lmdb(dir, &quick, &store))
		return 1;
	struct block *block = numbered(BLOCKS + 1, 1000);
	int err = store_put(store, block, STORE_KEEP | STORE_WAIT, NULL, NULL);

	if (!err)
		err = store_sync(store);
	block_unref(block);
	store_close(store);
	return err != 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[0], "healer"))
		return heal(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(undamaged_file_passes_the_check, clean),
		cmocka_unit_test_teardown(overwritten_pages_never_crash_the_check, clean),
		cmocka_unit_test_teardown(nothing_is_lost_with_a_branch, clean),
		cmocka_unit_test_teardown(a_check_sets_aside_and_saves, clean),
		cmocka_unit_test_teardown(blocks_are_saved_when_both_first_pages_are_gone, clean),
		cmocka_unit_test_teardown(damaged_cache_is_dropped, clean),
		cmocka_unit_test_teardown(damaged_state_is_made_anew, clean),
		cmocka_unit_test_teardown(healed_state_stays_shared, clean),
		cmocka_unit_test_teardown(missing_or_empty_data_loses_its_blocks_alone, clean),
		cmocka_unit_test_teardown(moved_store_leaves_the_other_alone, clean),
	};

	return cmocka_run_group_tests_name("exchange/store_repair", tests, NULL, NULL);
}

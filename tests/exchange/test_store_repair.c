/* Damaged pages of a generation: seen, set aside, and what lies whole in it is saved. */
#include "exchange/store/store.h"
#include "net/db/lmdb_pages.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

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

static void a_good_file_passes(void **state)
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
static void no_page_is_believed(void **state)
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
				assert_int_equal(lmdb_pages_salvage(fd, UINT32_MAX, count, &seen, &tally), 0);
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
static void without_first_pages(void **state)
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

static void a_damaged_cache_goes(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_good_file_passes, clean),
		cmocka_unit_test_teardown(no_page_is_believed, clean),
		cmocka_unit_test_teardown(nothing_is_lost_with_a_branch, clean),
		cmocka_unit_test_teardown(a_check_sets_aside_and_saves, clean),
		cmocka_unit_test_teardown(without_first_pages, clean),
		cmocka_unit_test_teardown(a_damaged_cache_goes, clean),
	};

	return cmocka_run_group_tests_name("exchange/store_repair", tests, NULL, NULL);
}

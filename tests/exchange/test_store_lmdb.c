/* The store on disk: threads, processes that die, full maps and rotten bytes. */
#include "exchange/store/store.h"
#include "net/base/wait.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MAP_BYTES (256u << 20)

static const struct store_config config = { .map_bytes = MAP_BYTES };
static const struct store_config quick = { .map_bytes = MAP_BYTES, .no_sync = true };

static int clean(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}

static bool holds(struct store *store, const struct block *block)
{
	struct block *found;

	if (store_get(store, &block->cid, &found))
		return false;
	bool equal = bytes_equal(found->data, block->data);

	block_unref(found);
	return equal;
}

static void put_synced(struct store *store, struct block *block)
{
	assert_int_equal(store_put(store, block, STORE_WAIT, NULL, NULL), 0);
	assert_int_equal(store_sync(store), 0);
}

static void block_is_there_after_reopening(void **state)
{
	struct block *block = numbered(1, 100000);
	struct store *store = scratch_store(&config);
	struct store_stat stat_out;
	char dir[64];
	struct stat on_disk;

	(void)state;
	assert_int_equal(store_put(store, block, 0, NULL, NULL), 0);
	store_close(store); /* waits for what is queued */
	store = scratch_store(&config);
	assert_true(holds(store, block));
	assert_int_equal(store_stat(store, &stat_out), 0);
	assert_int_equal(stat_out.blocks, 1);
	assert_int_equal(stat_out.bytes, 100000);
	assert_true(stat_out.disk_bytes >= 100000);
	assert_string_equal(stat_out.path, scratch_dir(dir));
	assert_int_equal(stat(dir, &on_disk), 0);
	assert_int_equal(on_disk.st_mode & 0777, 0700);
	store_close(store);
	block_unref(block);
}

/* Another layout must be refused, not guessed at. */
static void an_unknown_version_is_refused(void **state)
{
	struct store *store = scratch_store(&quick);
	uint32_t version = 2, found = 0;
	char dir[64], file[96];

	(void)state;
	store_close(store);
	snprintf(file, sizeof file, "%s/state", scratch_dir(dir));
	int fd = open(file, O_RDWR);

	/* This one is known, and becomes the newest. */
	assert_int_equal(pwrite(fd, &version, sizeof version, 8), sizeof version);
	assert_int_equal(store_open_lmdb(dir, &quick, &store), 0);
	store_close(store);
	assert_int_equal(pread(fd, &found, sizeof found, 8), sizeof found);
	assert_int_equal(found, 3);
	version = 4;
	assert_int_equal(pwrite(fd, &version, sizeof version, 8), sizeof version);
	close(fd);
	assert_int_equal(store_open_lmdb(dir, &quick, &store), -EIO);
}

static void foreign_file_is_refused(void **state)
{
	struct store *store;
	char dir[64], file[96];

	(void)state;
	assert_int_equal(mkdir(scratch_dir(dir), 0700), 0);
	snprintf(file, sizeof file, "%s/data.mdb", dir);
	int fd = open(file, O_CREAT | O_WRONLY, 0600);

	for (int i = 0; i < 4096; i++)
		assert_int_equal(write(fd, "no store", 8), 8);
	close(fd);
	assert_int_equal(store_open_lmdb(dir, &quick, &store), -EIO);
}

/* ---- rot ---- */

/* Flips a bit in the middle of the block's bytes in this file, if they are there. */
static bool rot_in(const char *file, const struct block *block)
{
	int fd = open(file, O_RDWR);
	struct stat on_disk;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &on_disk), 0);
	uint8_t *whole = malloc((size_t)on_disk.st_size);

	assert_int_equal(pread(fd, whole, (size_t)on_disk.st_size, 0), on_disk.st_size);
	uint8_t *at = memmem(whole, (size_t)on_disk.st_size, block->data.at, block->data.len);

	if (at) {
		at[block->data.len / 2] ^= 1;
		assert_int_equal(pwrite(fd, at, block->data.len, at - whole), block->data.len);
	}
	free(whole);
	close(fd);
	return at;
}

/* In the first generation that has it. The store is closed. */
static void rot(const struct block *block)
{
	char dir[64], pattern[96];
	bool done = false;
	glob_t files;

	snprintf(pattern, sizeof pattern, "%s/*-*/data.mdb", scratch_dir(dir));
	assert_int_equal(glob(pattern, 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc && !done; i++)
		done = rot_in(files.gl_pathv[i], block);
	globfree(&files);
	assert_true(done);
}

static void rotten_bytes_are_seen_and_healed(void **state)
{
	static const size_t lens[] = { 300, 5000, 300000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct block *block = numbered(i, lens[i]), *found;
		struct store *store = scratch_store(&quick);
		struct store_stat stat_out;
		struct store_read read;
		struct bytes data;

		put_synced(store, block);
		assert_true(holds(store, block));
		store_close(store);
		rot(block);
		store = scratch_store(&quick);
		assert_int_equal(store_get(store, &block->cid, &found), -EIO);
		assert_int_equal(store_read_begin(store, &read), 0);
		assert_int_equal(store_read_get(&read, cid_hash_bytes(&block->cid), &data), -EIO);
		store_read_end(&read);
		assert_true(store_has(store, cid_hash_bytes(&block->cid)));

		assert_int_equal(store_put(store, block, STORE_VERIFY, NULL, NULL), 0);
		assert_int_equal(store_sync(store), 0);
		assert_true(holds(store, block));
		assert_int_equal(store_stat(store, &stat_out), 0);
		/* The damaged record is left where it is, behind the good one, until a sweep. */
		assert_int_equal(stat_out.blocks, 2);
		assert_int_equal(stat_out.bytes, 2 * lens[i]);
		store_close(store);
		block_unref(block);
		scratch_remove();
	}
}

/* ---- full ---- */

#define FREED 26 /* blocks deleted: LMDB needs them in one piece, and room in between */

/* A map of 8 MiB takes some blocks of 256 KiB and refuses the rest, keeps what it took, takes a
 * small one that still fits, and takes all again when room was made. */
static void a_full_map_loses_nothing(void **state)
{
	struct store *store =
		scratch_store(&(struct store_config){ .map_bytes = 8u << 20, .no_sync = true });
	struct block *blocks[40], *small = numbered(99, 100);
	int queued = 0, stored = 0, err = 0;
	struct store_stat stat_out;

	(void)state;
	for (int i = 0; i < 40; i++) {
		blocks[i] = numbered((unsigned)i, 256u << 10);
		if (!err)
			err = store_put(store, blocks[i], STORE_WAIT, NULL, NULL);
		if (!err)
			queued++;
		if (i == 20 && !err)
			err = store_put(store, small, STORE_WAIT, NULL, NULL);
	}
	assert_int_equal(store_sync(store), -ENOSPC);
	assert_int_equal(store_put(store, blocks[39], 0, NULL, NULL), -ENOSPC);
	assert_int_equal(store_stat(store, &stat_out), 0);
	assert_true(stat_out.blocks >= 20 && stat_out.blocks < 40);
	for (int i = 0; i < queued; i++)
		assert_true(holds(store, blocks[i])); /* on disk, or still in memory */

	/* Fetched blocks are verified and told, full or not. */
	assert_int_equal(store_put(store, blocks[39], STORE_VERIFY, NULL, NULL), 0);
	assert_int_equal(store_sync(store), -ENOSPC);

	for (int i = 0; i < queued; i++) /* more is freed than is stuck */
		if (i < FREED)
			assert_int_equal(store_delete(store, cid_hash_bytes(&blocks[i]->cid)), 0);
	while (store_sync(store) == -ENOSPC && stored++ < 100)
		nap_ms(10);
	for (int i = FREED; i < queued; i++)
		assert_true(holds(store, blocks[i]));
	assert_true(holds(store, small));
	put_synced(store, blocks[0]);
	store_close(store);

	store = scratch_store(&(struct store_config){ .map_bytes = 8u << 20, .no_sync = true });
	assert_true(holds(store, blocks[0]));
	for (int i = FREED; i < queued; i++)
		assert_true(holds(store, blocks[i]));
	store_close(store);
	for (int i = 0; i < 40; i++)
		block_unref(blocks[i]);
	block_unref(small);
}

/* ---- threads ---- */

#define THREADS 8
#define PER_THREAD 150

struct crowd {
	struct store *store;
	atomic_int next, verified;
	atomic_bool stop;
};

static void on_verified(void *ctx, int err, struct block *block)
{
	struct crowd *crowd = ctx;

	assert_int_equal(err, 0);
	assert_true(store_has(crowd->store, cid_hash_bytes(&block->cid)));
	atomic_fetch_add(&crowd->verified, 1);
}

static void *run_writer(void *ctx)
{
	struct crowd *crowd = ctx;
	int base = atomic_fetch_add(&crowd->next, PER_THREAD);

	for (int i = base; i < base + PER_THREAD; i++) {
		struct block *block = numbered((unsigned)i, 100 + 100u * (unsigned)(i % 200));

		assert_int_equal(store_put(crowd->store, block,
					   STORE_WAIT | (i % 2 ? STORE_VERIFY : 0),
					   i % 2 ? on_verified : NULL, crowd),
				 0);
		if (i % 2 == 0)
			assert_true(holds(crowd->store, block));
		if (i % 50 == 49) {
			assert_int_equal(store_sync(crowd->store), 0);
			assert_true(holds(crowd->store, block));
		}
		block_unref(block);
	}
	return NULL;
}

static void *run_reader(void *ctx)
{
	struct crowd *crowd = ctx;

	while (!atomic_load(&crowd->stop)) {
		struct store_read read;

		assert_int_equal(store_read_begin(crowd->store, &read), 0);
		for (unsigned i = 0; i < 20; i++) {
			struct block *block = numbered(i * 7, 100 + 100u * (i * 7 % 200));
			struct bytes data;
			int err = store_read_get(&read, cid_hash_bytes(&block->cid), &data);

			if (!err)
				assert_true(bytes_equal(data, block->data));
			else
				assert_int_equal(err, -ENOENT);
			block_unref(block);
		}
		store_read_end(&read);
	}
	return NULL;
}

static void threads_read_and_write_side_by_side(void **state)
{
	struct crowd crowd = { .store = scratch_store(&quick) };
	pthread_t writers[THREADS], readers[THREADS];
	struct store_stat stat_out;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, run_reader, &crowd), 0);
		assert_int_equal(pthread_create(&writers[i], NULL, run_writer, &crowd), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&crowd.stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(crowd.verified, THREADS * PER_THREAD / 2);
	assert_int_equal(store_sync(crowd.store), 0);
	assert_int_equal(store_stat(crowd.store, &stat_out), 0);
	assert_int_equal(stat_out.blocks, THREADS * PER_THREAD);
	store_close(crowd.store);
}

static void full_queue_refuses_with_eagain(void **state)
{
	struct store *store = scratch_store(&quick);
	atomic_int seen = 0;
	int err = 0;

	(void)state;
	for (unsigned i = 0; i < 60 && !err; i++) {
		struct block *block = numbered(i, 3u << 20);

		err = store_put(store, block, STORE_VERIFY, NULL, NULL);
		seen += !err;
		block_unref(block);
	}
	assert_true(err == 0 || err == -EAGAIN); /* the disk may be faster than we hash */
	assert_int_equal(store_sync(store), 0);
	struct store_stat stat_out;

	assert_int_equal(store_stat(store, &stat_out), 0);
	assert_int_equal(stat_out.blocks, seen);
	store_close(store);
}

/* ---- processes ---- */

/* Puts numbered blocks, syncs, tells the number through fd, for ever. */
static void run_writing_child(int fd, uint64_t first)
{
	struct store *store;
	char dir[64];

	snprintf(dir, sizeof dir, "%s", getenv("STORE_TEST_DIR"));
	if (store_open_lmdb(dir, &config, &store))
		_exit(3);
	for (uint64_t i = first;; i++) {
		struct block *block = numbered(i, 1000 + i * 7919 % 60000);

		if (store_put(store, block, STORE_WAIT, NULL, NULL))
			_exit(4);
		block_unref(block);
		if (i % 3 == 2 && (store_sync(store) || write(fd, &i, sizeof i) != sizeof i))
			_exit(5);
	}
}

/* Is in the middle of a read of that block, for ever. */
static void run_reading_child(int fd, uint64_t number)
{
	struct block *block = numbered(number, 100);
	struct store_read read;
	struct store *store;
	struct bytes data;

	if (store_open_lmdb(getenv("STORE_TEST_DIR"), &quick, &store) ||
	    store_read_begin(store, &read) ||
	    store_read_get(&read, cid_hash_bytes(&block->cid), &data))
		_exit(3);
	if (write(fd, &number, sizeof number) != sizeof number)
		_exit(5);
	for (;;)
		pause();
}

/* A child is executed anew: an environment must not be used after fork(). */
static pid_t start_program(const char *name, uint64_t first, int *from)
{
	char fd[16], number[32], dir[64];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	snprintf(fd, sizeof fd, "%d", ends[1]);
	snprintf(number, sizeof number, "%llu", (unsigned long long)first);
	setenv("STORE_TEST_DIR", scratch_dir(dir), 1);
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", name, fd, number, (char *)NULL);
		_exit(9);
	}
	close(ends[1]);
	*from = ends[0];
	return pid;
}

static pid_t start_child(uint64_t first, int *from)
{
	return start_program("writer", first, from);
}

/* The last number that was acknowledged, after the child has died. */
static uint64_t last_told(int from, uint64_t before)
{
	uint64_t last = before, number;

	while (read(from, &number, sizeof number) == sizeof number)
		last = number;
	close(from);
	return last;
}

static void check_numbered(struct store *store, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++) {
		struct block *block = numbered(i, 1000 + i * 7919 % 60000);

		assert_true(holds(store, block));
		block_unref(block);
	}
}

static void kill_nine_loses_nothing_acknowledged(void **state)
{
	uint64_t next = 0;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		int from;
		uint64_t number;
		pid_t pid = start_child(next, &from);

		/* Until it has acknowledged something, and then a moment that differs. */
		assert_int_equal(read(from, &number, sizeof number), sizeof number);
		nap_ms(round * 37 % 23);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		uint64_t last = last_told(from, number);
		struct store *store = scratch_store(&config);

		check_numbered(store, next, last);
		next = last + 1;
		store_close(store);
	}
}

static void processes_share_a_store(void **state)
{
	struct store *store = scratch_store(&config);
	uint64_t numbers[2];
	int from[2];
	pid_t pids[2] = { start_child(1000, &from[0]), start_child(5000, &from[1]) };

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		struct block *block = numbered(i, 20000);

		put_synced(store, block);
		assert_true(holds(store, block));
		block_unref(block);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read(from[i], &numbers[i], 8), 8);
		kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
		numbers[i] = last_told(from[i], numbers[i]);
	}
	check_numbered(store, 1000, numbers[0]);
	check_numbered(store, 5000, numbers[1]);
	store_close(store);
}

/* A process with a larger map has written beyond ours: we take the new size in. */
static void map_grown_by_another_process_is_taken_in(void **state)
{
	struct store_config small_map = { .map_bytes = 4u << 20, .no_sync = true };
	struct store *store = scratch_store(&small_map);
	struct block *block = numbered(1, 1000), *more = numbered(2, 1000);
	int from;
	uint64_t number, last = 0;

	(void)state;
	put_synced(store, block);
	pid_t pid = start_child(0, &from);

	while (last < 400) { /* some 12 MB */
		assert_int_equal(read(from, &number, sizeof number), sizeof number);
		last = number;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	last = last_told(from, last);
	assert_true(holds(store, block));
	check_numbered(store, 0, last);
	put_synced(store, more);
	assert_true(holds(store, more));
	store_close(store);
	block_unref(block);
	block_unref(more);
}

/* Pages that so many commits of one small block each take from the disk. */
static uint64_t pages_of(struct store *store, uint64_t *next, unsigned commits)
{
	struct store_stat before, after;

	assert_int_equal(store_stat(store, &before), 0);
	for (unsigned i = 0; i < commits; i++) {
		struct block *block = numbered((*next)++, 100);

		put_synced(store, block);
		block_unref(block);
	}
	assert_int_equal(store_stat(store, &after), 0);
	return (after.disk_bytes - before.disk_bytes) / 4096;
}

/* Whoever reads keeps all pages from being used again that were freed since it began. That must end
 * with its process, also when it could not say so, and while nobody opens the store anew. */
static void a_reader_that_died_holds_no_pages(void **state)
{
	struct store *store = scratch_store(&quick);
	uint64_t next = 0, number;
	int from;

	(void)state;
	pages_of(store, &next, 200);
	pid_t pid = start_program("reader", 0, &from);

	assert_int_equal(read(from, &number, sizeof number), sizeof number);
	uint64_t held = pages_of(store, &next, 200);

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(from);
	pages_of(store, &next, 100);
	uint64_t after = pages_of(store, &next, 200);

	assert_true(held >= 600); /* a commit takes three pages at least */
	assert_true(after < 200);
	store_close(store);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(block_is_there_after_reopening, clean),
		cmocka_unit_test_teardown(an_unknown_version_is_refused, clean),
		cmocka_unit_test_teardown(foreign_file_is_refused, clean),
		cmocka_unit_test_teardown(rotten_bytes_are_seen_and_healed, clean),
		cmocka_unit_test_teardown(a_full_map_loses_nothing, clean),
		cmocka_unit_test_teardown(threads_read_and_write_side_by_side, clean),
		cmocka_unit_test_teardown(full_queue_refuses_with_eagain, clean),
		cmocka_unit_test_teardown(kill_nine_loses_nothing_acknowledged, clean),
		cmocka_unit_test_teardown(processes_share_a_store, clean),
		cmocka_unit_test_teardown(map_grown_by_another_process_is_taken_in, clean),
		cmocka_unit_test_teardown(a_reader_that_died_holds_no_pages, clean),
	};

	if (argc == 3 && !strcmp(argv[0], "reader"))
		run_reading_child(atoi(argv[1]), strtoull(argv[2], NULL, 10));
	else if (argc == 3)
		run_writing_child(atoi(argv[1]), strtoull(argv[2], NULL, 10));
	return cmocka_run_group_tests_name("exchange/store_lmdb", tests, NULL, NULL);
}

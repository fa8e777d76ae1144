/* Generations: what is cached goes by quota, what is garbage by sweeping, what is kept stays; old
 * layouts, damaged files, processes that die. */
#include "exchange/store/store.h"
#include "net/base/map.h"
#include "net/base/wait.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <xxhash.h>

#define MIB (1u << 20)
#define BLOCK_BYTES 50000

static const struct store_config quick = { .generation_bytes = MIB, .no_sync = true };
static const struct store_config synced = { .generation_bytes = MIB };
static const struct store_config limited = { .generation_bytes = MIB,
					     .quota_bytes = 8 * MIB,
					     .no_sync = true };

static int clean(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}

static bool holds(struct store *store, uint64_t number)
{
	struct block *block = numbered(number, BLOCK_BYTES), *found;
	bool equal = false;

	if (!store_get(store, &block->cid, &found)) {
		equal = bytes_equal(found->data, block->data);
		block_unref(found);
		assert_true(equal);
	}
	block_unref(block);
	return equal;
}

static void put(struct store *store, uint64_t number, unsigned flags)
{
	struct block *block = numbered(number, BLOCK_BYTES);

	assert_int_equal(store_put(store, block, STORE_WAIT | flags, NULL, NULL), 0);
	block_unref(block);
}

static void put_many(struct store *store, uint64_t from, uint64_t to, unsigned flags)
{
	for (uint64_t i = from; i < to; i++)
		put(store, i, flags);
	assert_int_equal(store_sync(store), 0);
}

static int keep_number(struct store *store, uint64_t number)
{
	struct block *block = numbered(number, BLOCK_BYTES);
	int err = store_keep(store, cid_hash_bytes(&block->cid));

	block_unref(block);
	return err;
}

static size_t count_paths(const char *rest)
{
	char dir[64], pattern[128];
	glob_t files;
	size_t count = 0;

	snprintf(pattern, sizeof pattern, "%s/%s", scratch_dir(dir), rest);
	if (!glob(pattern, 0, NULL, &files)) {
		count = files.gl_pathc;
		globfree(&files);
	}
	return count;
}

static uint64_t cached_bytes(struct store *store)
{
	struct store_stat stat;

	assert_int_equal(store_stat(store, &stat), 0);
	return stat.cache_disk_bytes;
}

/* ---- quota ---- */

static void the_quota_evicts_what_is_old_and_unread(void **state)
{
	struct store *store = scratch_store(&limited);

	(void)state;
	put_many(store, 0, 20, STORE_KEEP);
	put_many(store, 1000, 1010, 0);
	for (unsigned round = 0; round < 60; round++) {
		for (uint64_t i = 1000; i < 1003; i++) /* read again and again */
			assert_true(holds(store, i));
		put_many(store, 2000 + 20 * round, 2020 + 20 * round, 0);
		for (int i = 0; i < 2000 && cached_bytes(store) > limited.quota_bytes; i++)
			nap_ms(1);
		assert_true(cached_bytes(store) <= limited.quota_bytes + 2 * MIB);
	}
	for (uint64_t i = 0; i < 20; i++)
		assert_true(holds(store, i));
	assert_false(holds(store, 1009));
	assert_false(holds(store, 2000));
	assert_true(holds(store, 2000 + 20 * 60 - 1));
	store_close(store);
	assert_int_equal(count_paths("dead-*"), 0);
}

static void what_is_kept_from_the_cache_stays(void **state)
{
	struct store *store = scratch_store(&limited);

	(void)state;
	assert_int_equal(keep_number(store, 1), -ENOENT);
	put_many(store, 0, 10, 0);
	assert_int_equal(keep_number(store, 1), 0); /* stored */
	put(store, 100, 0);
	assert_int_equal(keep_number(store, 100), 0); /* maybe queued */
	assert_int_equal(keep_number(store, 1), 0);
	for (uint64_t i = 1000; i < 2000; i += 100)
		put_many(store, i, i + 100, 0);
	for (int i = 0; i < 5000 && holds(store, 2); i++)
		nap_ms(1);
	assert_true(holds(store, 1));
	assert_true(holds(store, 100));
	store_close(store);
	store = scratch_store(&limited);
	assert_true(holds(store, 1));
	assert_true(holds(store, 100));
	store_close(store);
}

/* ---- sweeping ---- */

struct chosen {
	struct map keep;
	unsigned asked, stop_after;
};

static void choose(struct chosen *chosen, uint64_t number)
{
	struct block *block = numbered(number, BLOCK_BYTES);

	map_set(&chosen->keep, cid_hash_bytes(&block->cid), chosen);
	block_unref(block);
}

static int keep_chosen(void *ctx, struct bytes multihash)
{
	struct chosen *chosen = ctx;

	if (chosen->stop_after && ++chosen->asked > chosen->stop_after)
		return -EINTR;
	return map_get(&chosen->keep, multihash) != NULL;
}

static const struct store_sweep_fns fns = { .keep = keep_chosen };

static void a_sweep_gives_space_back(void **state)
{
	struct store *store = scratch_store(&quick);
	struct chosen chosen = { 0 };
	struct store_stat before, after;
	uint64_t removed, freed;

	(void)state;
	put_many(store, 0, 100, STORE_KEEP);
	put_many(store, 100, 200, 0);
	for (uint64_t i = 0; i < 200; i += 10)
		choose(&chosen, i);
	assert_int_equal(store_stat(store, &before), 0);
	assert_int_equal(store_sweep(store, &fns, &chosen, &removed, &freed), 0);
	assert_int_equal(removed, 180);
	assert_int_equal(freed, 180 * BLOCK_BYTES);
	assert_int_equal(store_stat(store, &after), 0);
	assert_int_equal(after.blocks, 20);
	assert_int_equal(after.kept_blocks, 10);
	assert_int_equal(after.bytes, 20 * BLOCK_BYTES);
	assert_true(after.disk_bytes * 4 < before.disk_bytes);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(holds(store, i), i % 10 == 0);

	/* Nothing to remove: nothing is touched. */
	size_t gens = count_paths("kept-*");

	assert_int_equal(store_sweep(store, &fns, &chosen, &removed, &freed), 0);
	assert_int_equal(removed, 0);
	assert_true(count_paths("kept-*") <= gens + 1);
	store_close(store);
	map_release(&chosen.keep);
}

static void what_is_put_during_a_sweep_stays(void **state)
{
	struct store *store = scratch_store(&quick);
	struct chosen none = { 0 };
	uint64_t removed, freed, epoch = store_epoch(store);

	(void)state;
	put_many(store, 0, 60, STORE_KEEP);
	put_many(store, 60, 90, 0);
	assert_int_equal(store_sweep_begin(store), 0);
	assert_true(store_epoch(store) != epoch);
	put_many(store, 5, 10, STORE_KEEP);  /* stored before */
	put_many(store, 70, 75, STORE_KEEP); /* cached before */
	put_many(store, 80, 85, 0);
	put_many(store, 200, 205, STORE_KEEP); /* new */
	assert_int_equal(keep_number(store, 20), 0);
	assert_int_equal(keep_number(store, 65), 0);
	put(store, 300, STORE_KEEP); /* maybe queued */
	assert_int_equal(store_sweep(store, &fns, &none, &removed, &freed), 0);
	store_sweep_end(store);
	assert_int_equal(removed, 90 - 17);
	for (uint64_t i = 0; i < 400; i++) {
		bool stays = (i >= 5 && i < 10) || (i >= 70 && i < 75) || (i >= 80 && i < 85) ||
			     (i >= 200 && i < 205) || i == 20 || i == 65 || i == 300;

		assert_int_equal(holds(store, i), stays);
	}
	store_close(store);
}

static void an_interrupted_sweep_loses_nothing(void **state)
{
	struct chosen chosen = { 0 };
	uint64_t removed, freed;

	(void)state;
	for (uint64_t i = 0; i < 100; i += 3)
		choose(&chosen, i);
	for (unsigned stop = 1; stop < 200; stop += 23) {
		struct store *store = scratch_store(&quick);

		put_many(store, 0, 100, STORE_KEEP);
		chosen.asked = 0;
		chosen.stop_after = stop;
		int err = store_sweep(store, &fns, &chosen, &removed, &freed);

		assert_true(err == -EINTR || err == 0);
		for (uint64_t i = 0; i < 100; i += 3)
			assert_true(holds(store, i));
		store_close(store);
	}
	map_release(&chosen.keep);
}

static void an_open_read_goes_on(void **state)
{
	struct store *store = scratch_store(&quick);
	struct block *block = numbered(7, BLOCK_BYTES), *later = numbered(8, BLOCK_BYTES);
	struct chosen none = { 0 };
	struct store_read read;
	struct bytes data, more;
	uint64_t removed, freed;

	(void)state;
	put_many(store, 0, 60, STORE_KEEP);
	assert_int_equal(store_read_begin(store, &read), 0);
	assert_int_equal(store_read_get(&read, cid_hash_bytes(&block->cid), &data), 0);
	assert_int_equal(store_sweep(store, &fns, &none, &removed, &freed), 0);
	assert_int_equal(removed, 60);
	assert_true(bytes_equal(data, block->data));
	assert_int_equal(store_read_get(&read, cid_hash_bytes(&later->cid), &more), 0);
	assert_true(bytes_equal(more, later->data));
	store_read_end(&read);
	assert_int_equal(store_read_begin(store, &read), 0);
	assert_int_equal(store_read_get(&read, cid_hash_bytes(&block->cid), &data), -ENOENT);
	store_read_end(&read);
	store_close(store);
	block_unref(block);
	block_unref(later);
}

/* ---- layouts and damage ---- */

static void old_put(MDB_env *env, uint64_t number)
{
	struct block *block = numbered(number, BLOCK_BYTES);
	struct bytes multihash = cid_hash_bytes(&block->cid);
	uint64_t sum = XXH3_64bits(block->data.at, block->data.len);
	struct buf record = { 0 };
	MDB_txn *txn;
	MDB_dbi blocks;

	buf_add_le64(&record, sum);
	buf_add(&record, block->data);
	MDB_val key = { multihash.len, (void *)multihash.at }, data = { record.len, record.at };

	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "blocks", MDB_CREATE, &blocks), 0);
	assert_int_equal(mdb_put(txn, blocks, &key, &data, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	buf_release(&record);
	block_unref(block);
}

/* A store as version 1 made it; closed: its taking in has begun. */
static void make_old_of(unsigned char version, unsigned char closed)
{
	unsigned char number[8] = { version }, flag[8] = { closed };
	MDB_val key = { 7, (void *)"version" }, value = { 8, number };
	MDB_val closed_key = { 6, (void *)"closed" }, closed_value = { 8, flag };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;
	char dir[64];

	mkdir(scratch_dir(dir), 0700);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", MDB_CREATE, &meta), 0);
	assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	assert_int_equal(mdb_put(txn, meta, &closed_key, &closed_value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	for (uint64_t i = 0; i < 10; i++)
		old_put(env, i);
	mdb_env_close(env);
}

static void make_old(unsigned char version)
{
	make_old_of(version, 0);
}

static void check_taken_in(void)
{
	struct store *store = scratch_store(&quick);

	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 10; i++)
			assert_true(holds(store, i));
		put_many(store, 100, 110, STORE_KEEP);
		store_close(store);
		store = scratch_store(&quick);
	}
	store_close(store);
	assert_int_equal(count_paths("data.mdb"), 0);
	assert_int_equal(count_paths("taken-*"), 0);
	assert_int_equal(count_paths("kept-*"), 2); /* the old one is not added to */
	scratch_remove();
}

static void version_1_is_taken_in(void **state)
{
	char dir[64], from[96], to[96];

	(void)state;
	make_old(1);
	check_taken_in();

	/* Stopped after the first step. */
	make_old(1);
	snprintf(to, sizeof to, "%s/taken-000001", scratch_dir(dir));
	assert_int_equal(mkdir(to, 0700), 0);
	check_taken_in();

	make_old(1);
	assert_int_equal(mkdir(to, 0700), 0);
	snprintf(from, sizeof from, "%s/lock.mdb", dir);
	snprintf(to, sizeof to, "%s/taken-000001/lock.mdb", dir);
	assert_int_equal(rename(from, to), 0);
	check_taken_in();

	/* Stopped before the last. */
	make_old_of(1, 1);
	snprintf(to, sizeof to, "%s/taken-000001", dir);
	assert_int_equal(mkdir(to, 0700), 0);
	snprintf(from, sizeof from, "%s/data.mdb", dir);
	snprintf(to, sizeof to, "%s/taken-000001/data.mdb", dir);
	assert_int_equal(rename(from, to), 0);
	check_taken_in();
}

static void newer_versions_are_refused(void **state)
{
	struct store *store;
	char dir[64];

	(void)state;
	make_old(9);
	assert_int_equal(store_open_lmdb(scratch_dir(dir), &quick, &store), -EIO);
	assert_int_equal(count_paths("data.mdb"), 1);
}

/* Cut anywhere: what is whole is there, and it is known when something is not. */
static void a_file_cut_off_gives_what_is_whole(void **state)
{
	(void)state;
	for (unsigned cut = 0; cut < 24; cut++) {
		struct store *store = scratch_store(&quick);
		char dir[64], file[128];
		struct stat on_disk;
		unsigned there = 0;

		put_many(store, 0, 10, STORE_KEEP);
		store_close(store);
		snprintf(file, sizeof file, "%s/kept-000001/data.mdb", scratch_dir(dir));
		assert_int_equal(stat(file, &on_disk), 0);
		assert_int_equal(truncate(file, on_disk.st_size * cut / 24 + cut % 3), 0);
		store = scratch_store(&quick);
		for (uint64_t i = 0; i < 10; i++)
			there += holds(store, i);
		assert_true(there == 10 || store_lost(store, false));
		put_many(store, 0, 10, STORE_KEEP);
		assert_true(holds(store, 0) && holds(store, 9));
		assert_false(store_lost(store, true));
		store_close(store);
		scratch_remove();
	}
}

static void leftovers_are_removed(void **state)
{
	struct store *store = scratch_store(&quick);
	char dir[64], path[128];

	(void)state;
	put_many(store, 0, 3, STORE_KEEP);
	store_close(store);
	snprintf(path, sizeof path, "%s/new-000044", scratch_dir(dir));
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/kept-000001", dir);
	store = scratch_store(&quick);
	assert_int_equal(count_paths("new-*"), 0);
	assert_true(holds(store, 2));
	store_close(store);
}

/* Where a directory cannot be renamed a mark tells that it is out: a process died after it made
 * that. */
static void marked_generation_is_gone(void **state)
{
	struct store *store = scratch_store(&quick);
	char dir[64], path[128];

	(void)state;
	put_many(store, 0, 3, STORE_KEEP);
	store_close(store);
	snprintf(path, sizeof path, "%s/dead-000001", scratch_dir(dir));
	assert_int_equal(mkdir(path, 0700), 0);
	store = scratch_store(&quick);
	assert_false(holds(store, 2));
	assert_int_equal(count_paths("dead-*"), 0);
	assert_int_equal(count_paths("kept-*"), 0);
	store_close(store);
}

/* ---- processes ---- */

/* Of the blocks below, which are kept and never swept. */
static int is_odd(void *ctx, struct bytes multihash)
{
	(void)ctx;
	return multihash.at[multihash.len - 1] & 1;
}

/* Keeps odd ones and puts others to be swept or evicted; tells what is kept and synced. */
static void run_putting_child(int fd, uint64_t first)
{
	const struct store_config config = { .generation_bytes = MIB, .quota_bytes = 4 * MIB };
	struct store *store;

	if (store_open_lmdb(getenv("STORE_TEST_DIR"), &config, &store))
		_exit(3);
	for (uint64_t i = first;; i++) {
		struct block *block = numbered(i, BLOCK_BYTES);
		bool keep = is_odd(NULL, cid_hash_bytes(&block->cid)) || i % 2;

		if (store_put(store, block, STORE_WAIT | (keep ? STORE_KEEP : 0), NULL, NULL))
			_exit(4);
		block_unref(block);
		if (i % 8 == 7 && (store_sync(store) || write(fd, &i, sizeof i) != sizeof i))
			_exit(5);
	}
}

static bool dies_naming; /* this process, right after it has named a generation */

/* The store's, too. */
int rename(const char *from, const char *to)
{
	int failed = renameat(AT_FDCWD, from, AT_FDCWD, to);

	if (dies_naming && strstr(to, "/kept-"))
		_exit(0);
	return failed;
}

static void run_naming_child(uint64_t first)
{
	dies_naming = true;
	run_putting_child(open("/dev/null", O_WRONLY), first);
}

/* Sweeps for ever; tells each time. */
static void run_sweeping_child(int fd)
{
	const struct store_sweep_fns odd = { .keep = is_odd };
	struct store *store;
	uint64_t removed, freed;

	if (store_open_lmdb(getenv("STORE_TEST_DIR"), &synced, &store))
		_exit(3);
	for (;;)
		if (store_sweep(store, &odd, NULL, &removed, &freed) ||
		    write(fd, &removed, sizeof removed) != sizeof removed)
			_exit(4);
}

/* A child is executed anew: an environment must not be used after fork(). */
static pid_t start_child(const char *what, uint64_t first, int *from)
{
	char fd[16], number[32], dir[64];
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	int out = dup(ends[1]);

	snprintf(fd, sizeof fd, "%d", out);
	snprintf(number, sizeof number, "%llu", (unsigned long long)first);
	setenv("STORE_TEST_DIR", scratch_dir(dir), 1);
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "child", what, fd, number, (char *)NULL);
		_exit(9);
	}
	close(out);
	close(ends[1]);
	*from = ends[0];
	return pid;
}

static uint64_t kill_child(pid_t pid, int from)
{
	uint64_t last = 0, number;
	int status;

	assert_int_equal(read(from, &number, sizeof number), sizeof number);
	last = number;
	nap_ms(5 + (unsigned)pid * 37 % 41);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(from, &number, sizeof number) == sizeof number)
		last = number;
	close(from);
	return last;
}

static void check_odd(struct store *store, uint64_t first, uint64_t last)
{
	for (uint64_t n = first; n <= last; n++) {
		struct block *block = numbered(n, BLOCK_BYTES);

		if (is_odd(NULL, cid_hash_bytes(&block->cid)))
			assert_true(store_has(store, cid_hash_bytes(&block->cid)));
		block_unref(block);
	}
}

static void killed_beside_sweeps_nothing_kept_is_lost(void **state)
{
	enum { ROUNDS = 8 };
	uint64_t told[2 * ROUNDS];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		int from[3];
		uint64_t first = 1000 * round;
		pid_t pids[3] = { start_child("put", first, &from[0]),
				  start_child("put", first + 20000, &from[1]),
				  start_child("sweep", 0, &from[2]) };

		for (unsigned i = 0; i < 3; i++) {
			uint64_t last = kill_child(pids[(i + round) % 3], from[(i + round) % 3]);

			if ((i + round) % 3 < 2)
				told[2 * round + (i + round) % 3] = last;
		}
		struct store *store = scratch_store(&synced);

		for (unsigned r = 0; r <= round; r++)
			for (unsigned i = 0; i < 2; i++)
				check_odd(store, 1000 * r + 20000 * i, told[2 * r + i]);
		store_close(store);
	}
}

static void generation_renamed_by_a_process_that_died_is_seen(void **state)
{
	struct store *store = scratch_store(&synced);
	int from, status;

	(void)state;
	put_many(store, 0, 4, STORE_KEEP);
	pid_t pid = start_child("name", 1000, &from);

	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(from);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	put_many(store, 4, 8, STORE_KEEP); /* to the generation that it made */
	assert_int_equal(count_paths("kept-*"), 2);
	for (uint64_t i = 0; i < 8; i++)
		assert_true(holds(store, i));
	store_close(store);
}

/* Threads that put, keep, read and delete beside one that sweeps. */
struct crowd {
	struct store *store;
	struct chosen chosen;
	atomic_bool stop;
	atomic_uint next;
};

static void *run_crowd(void *ctx)
{
	struct crowd *crowd = ctx;
	uint64_t base = 1000 * (uint64_t)atomic_fetch_add(&crowd->next, 1);

	for (uint64_t i = base; i < base + 120; i++) {
		put(crowd->store, i, i % 4 < 2 ? STORE_KEEP : 0);
		if (i % 4 == 0)
			assert_true(holds(crowd->store, i));
		if (i % 4 == 2) {
			int err = keep_number(crowd->store, i - 1);

			if (err && err != -ENOENT)
				fprintf(stderr, "keep: %s\n", strerror(-err));
			assert_true(err == 0 || err == -ENOENT);
		}
		if (i % 16 == 15) {
			struct block *block = numbered(i - 2, BLOCK_BYTES);
			int err = store_delete(crowd->store, cid_hash_bytes(&block->cid));

			if (err && err != -ENOENT)
				fprintf(stderr, "delete: %s\n", strerror(-err));
			assert_true(err == 0 || err == -ENOENT);
			block_unref(block);
		}
	}
	return NULL;
}

static void *run_sweeper(void *ctx)
{
	struct crowd *crowd = ctx;
	uint64_t removed, freed;

	while (!atomic_load(&crowd->stop)) {
		int err = store_sweep(crowd->store, &fns, &crowd->chosen, &removed, &freed);

		if (err)
			fprintf(stderr, "sweep: %s\n", strerror(-err));
		assert_int_equal(err, 0);
	}
	return NULL;
}

static void threads_go_on_beside_sweeps(void **state)
{
	enum { THREADS = 4 };
	struct crowd crowd = { .store = scratch_store(&limited) };
	pthread_t threads[THREADS], sweeper;

	(void)state;
	for (uint64_t i = 0; i < THREADS; i++)
		for (uint64_t n = 0; n < 120; n += 4)
			choose(&crowd.chosen, 1000 * i + n);
	assert_int_equal(pthread_create(&sweeper, NULL, run_sweeper, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_crowd, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&crowd.stop, true);
	pthread_join(sweeper, NULL);
	assert_int_equal(store_sync(crowd.store), 0);
	for (uint64_t i = 0; i < THREADS; i++)
		for (uint64_t n = 0; n < 120; n += 4)
			assert_true(holds(crowd.store, 1000 * i + n));
	store_close(crowd.store);
	map_release(&crowd.chosen.keep);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_quota_evicts_what_is_old_and_unread, clean),
		cmocka_unit_test_teardown(what_is_kept_from_the_cache_stays, clean),
		cmocka_unit_test_teardown(a_sweep_gives_space_back, clean),
		cmocka_unit_test_teardown(what_is_put_during_a_sweep_stays, clean),
		cmocka_unit_test_teardown(an_interrupted_sweep_loses_nothing, clean),
		cmocka_unit_test_teardown(an_open_read_goes_on, clean),
		cmocka_unit_test_teardown(version_1_is_taken_in, clean),
		cmocka_unit_test_teardown(newer_versions_are_refused, clean),
		cmocka_unit_test_teardown(a_file_cut_off_gives_what_is_whole, clean),
		cmocka_unit_test_teardown(leftovers_are_removed, clean),
		cmocka_unit_test_teardown(marked_generation_is_gone, clean),
		cmocka_unit_test_teardown(threads_go_on_beside_sweeps, clean),
		cmocka_unit_test_teardown(killed_beside_sweeps_nothing_kept_is_lost, clean),
		cmocka_unit_test_teardown(generation_renamed_by_a_process_that_died_is_seen, clean),
	};

	if (argc == 4 && !strcmp(argv[1], "put"))
		run_putting_child(atoi(argv[2]), strtoull(argv[3], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "name"))
		run_naming_child(strtoull(argv[3], NULL, 10));
	if (argc == 4)
		run_sweeping_child(atoi(argv[2]));
	return cmocka_run_group_tests_name("exchange/store_generations", tests, NULL, NULL);
}

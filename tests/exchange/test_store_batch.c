/* Batches: each writer has its own error, and no collection takes what an open batch holds. */
#include "exchange/store/store_queue.h"
#include "net/base/map.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define SMALL 1000
#define LARGE 100000
#define PUTS 200

static const struct store_config quick = { .no_sync = true };

static int clean(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}

static bool holds(struct store *store, uint64_t number)
{
	struct block *block = numbered(number, SMALL);
	bool has = store_has(store, cid_hash_bytes(&block->cid));

	block_unref(block);
	return has;
}

static void put(struct store *store, uint64_t number, unsigned flags)
{
	struct block *block = numbered(number, SMALL);

	assert_int_equal(store_put(store, block, flags, NULL, NULL), 0);
	assert_int_equal(store_sync(store), 0);
	block_unref(block);
}

static int batch_put(struct store_batch *batch, uint64_t number, size_t len)
{
	struct block *block = numbered(number, len);
	int err = store_batch_put(batch, block);

	block_unref(block);
	return err;
}

static int batch_keep(struct store_batch *batch, uint64_t number)
{
	struct block *block = numbered(number, SMALL);
	int err = store_batch_keep(batch, cid_hash_bytes(&block->cid));

	block_unref(block);
	return err;
}

static size_t lease_files(void)
{
	char dir[64], pattern[128];
	glob_t files;
	size_t count = 0;

	snprintf(pattern, sizeof pattern, "%s/lease-*", scratch_dir(dir));
	if (!glob(pattern, 0, NULL, &files)) {
		count = files.gl_pathc;
		globfree(&files);
	}
	return count;
}

/* ---- errors: of the queue, over a disk that refuses large blocks ---- */

static int refuse_large(void *ctx, struct queue_item **items, size_t count, size_t *fits)
{
	(void)fits;
	atomic_fetch_add((atomic_int *)ctx, 1);
	for (size_t i = 0; i < count; i++)
		if (items[i]->block->data.len == LARGE)
			return -ENOSPC;
	return 0;
}

struct writer {
	struct store_queue *queue;
	struct queue_batch batch;
	pthread_t thread;
	uint64_t first;
	size_t len;
	int put_err, commit_err;
};

static void *run_writer(void *ctx)
{
	struct writer *writer = ctx;

	queue_batch_init(&writer->batch);
	for (uint64_t i = 0; i < PUTS && !writer->put_err; i++) {
		struct block *block = numbered(writer->first + i, writer->len);

		writer->put_err = queue_batch_put(writer->queue, &writer->batch, block);
		block_unref(block);
	}
	writer->commit_err = queue_batch_commit(writer->queue, &writer->batch);
	return NULL;
}

static void each_of_two_writers_gets_its_own_error(void **state)
{
	atomic_int commits = 0;
	struct store_queue *queue;
	struct writer writers[2] = { { .first = 0, .len = LARGE },
				     { .first = 1000, .len = SMALL } };

	(void)state;
	assert_int_equal(queue_new(refuse_large, &commits, &queue), 0);
	for (int i = 0; i < 2; i++) {
		writers[i].queue = queue;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]),
				 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i].thread, NULL);
	assert_int_equal(writers[0].commit_err, -ENOSPC);
	assert_true(writers[0].put_err == 0 || writers[0].put_err == -ENOSPC);
	assert_int_equal(writers[1].put_err, 0);
	assert_int_equal(writers[1].commit_err, 0);
	/* And again: nothing of the first was told to the second. */
	assert_int_equal(queue_batch_commit(queue, &writers[0].batch), -ENOSPC);
	assert_int_equal(queue_batch_commit(queue, &writers[1].batch), 0);
	for (int i = 0; i < 2; i++)
		queue_batch_end(queue, &writers[i].batch);
	queue_free(queue);
}

static void a_failed_batch_that_ends_leaves_nothing_queued(void **state)
{
	atomic_int commits = 0;
	struct store_queue *queue;
	struct queue_batch failing, other;
	struct block *large = numbered(1, LARGE), *small = numbered(2, SMALL);

	(void)state;
	assert_int_equal(queue_new(refuse_large, &commits, &queue), 0);
	queue_batch_init(&failing);
	queue_batch_init(&other);
	assert_int_equal(queue_batch_put(queue, &failing, large), 0);
	assert_int_equal(queue_batch_put(queue, &other, large), 0);
	assert_int_equal(queue_batch_commit(queue, &failing), -ENOSPC);
	assert_int_equal(queue_batch_put(queue, &failing, small), -ENOSPC);
	queue_batch_end(queue, &failing);
	/* The other one's copy is still there. */
	struct block *found = queue_find(queue, cid_hash_bytes(&large->cid));

	assert_non_null(found);
	block_unref(found);
	assert_int_equal(queue_batch_commit(queue, &other), -ENOSPC);
	queue_batch_end(queue, &other);
	assert_null(queue_find(queue, cid_hash_bytes(&large->cid)));
	assert_int_equal(queue_put(queue, small, STORE_WAIT, NULL, NULL), 0);
	assert_int_equal(queue_sync(queue), 0);
	block_unref(large);
	block_unref(small);
	queue_free(queue);
}

static void a_full_map_is_told_to_whom_it_concerns(void **state)
{
	struct store *store =
		scratch_store(&(struct store_config){ .map_bytes = 8u << 20, .no_sync = true });
	struct store_batch *large = store_batch_begin(store), *small = store_batch_begin(store);
	int err = 0;

	(void)state;
	/* Four fit, and leave room for a small one; the others do not. */
	for (uint64_t i = 0; i < 8 && !err; i++)
		err = batch_put(large, i, 1900000);
	assert_true(err == 0 || err == -ENOSPC);
	assert_int_equal(store_batch_commit(large), -ENOSPC);
	assert_int_equal(batch_put(small, 99, 100), 0);
	assert_int_equal(store_batch_commit(small), 0);
	assert_int_equal(batch_put(large, 41, 100), -ENOSPC);
	store_batch_end(large);
	assert_int_equal(store_sync(store), 0);
	store_batch_end(small);
	store_close(store);
}

static void what_is_kept_is_waited_for(void **state)
{
	struct store *store = scratch_store(&quick);
	struct store_batch *batch = store_batch_begin(store);
	struct store_stat stat;

	(void)state;
	assert_int_equal(batch_keep(batch, 1), -ENOENT);
	put(store, 1, 0);
	assert_int_equal(batch_keep(batch, 1), 0); /* stored */
	for (uint64_t i = 2; i < 20; i++) {
		struct block *block = numbered(i, SMALL);

		assert_int_equal(store_put(store, block, STORE_VERIFY, NULL, NULL), 0);
		while (store_batch_keep(batch, cid_hash_bytes(&block->cid)) ==
		       -ENOENT) /* not verified yet */
			nap_ms(1);
		block_unref(block);
	}
	assert_int_equal(store_batch_commit(batch), 0);
	assert_int_equal(store_stat(store, &stat), 0);
	assert_int_equal(stat.kept_blocks, 19);
	store_batch_end(batch);
	store_close(store);
}

/* ---- leases ---- */

static int keep_nothing(void *ctx, struct bytes multihash)
{
	(void)ctx;
	(void)multihash;
	return 0;
}

static const struct store_sweep_fns fns = { .keep = keep_nothing };

static uint64_t sweep(struct store *store)
{
	uint64_t removed, freed;

	assert_int_equal(store_sweep(store, &fns, NULL, &removed, &freed), 0);
	return removed;
}

static void check_lease(struct store *store)
{
	struct store_batch *batch = store_batch_begin(store);

	put(store, 1, STORE_WAIT | STORE_KEEP);
	put(store, 2, STORE_WAIT);
	put(store, 3, STORE_WAIT | STORE_KEEP);
	assert_int_equal(batch_put(batch, 1, SMALL), 0); /* was stored before */
	assert_int_equal(batch_keep(batch, 2), 0);
	assert_int_equal(batch_put(batch, 4, SMALL), 0);
	assert_int_equal(sweep(store), 1);
	assert_int_equal(store_batch_commit(batch), 0);
	assert_int_equal(sweep(store), 0);
	assert_true(holds(store, 1) && holds(store, 2) && holds(store, 4));
	assert_false(holds(store, 3));

	/* What ends while it is swept may be recorded as a root too late to be marked. */
	put(store, 3, STORE_WAIT | STORE_KEEP);
	assert_int_equal(store_sweep_begin(store), 0);
	store_batch_end(batch);
	assert_int_equal(sweep(store), 1);
	store_sweep_end(store);
	assert_true(holds(store, 1) && holds(store, 2) && holds(store, 4));
	assert_int_equal(sweep(store), 3);
	assert_false(holds(store, 1) || holds(store, 2) || holds(store, 4));
	store_close(store);
}

static void an_open_batch_holds_its_blocks_on_disk(void **state)
{
	(void)state;
	check_lease(scratch_store(&quick));
	assert_int_equal(lease_files(), 0);
}

static void an_open_batch_holds_its_blocks_in_memory(void **state)
{
	(void)state;
	check_lease(store_new_memory());
}

/* A process with an open batch, which says so and waits to be killed. */
static pid_t hold_elsewhere(const char *dir, int *out)
{
	int says[2];

	assert_int_equal(pipe(says), 0);
	pid_t pid = fork();

	if (pid) {
		close(says[1]);
		*out = says[0];
		return pid;
	}
	struct store *store;
	bool ok = !store_open_lmdb(dir, &quick, &store);
	struct store_batch *batch = ok ? store_batch_begin(store) : NULL;

	ok = ok && !batch_put(batch, 1, SMALL) && !batch_put(batch, 2, SMALL) &&
	     !store_batch_commit(batch);
	if (write(says[1], ok ? "y" : "n", 1) == 1)
		for (;;)
			pause();
	_exit(1);
}

static void a_batch_holds_against_another_process_until_it_is_killed(void **state)
{
	char dir[64], said = 0;
	int from;
	/* Processes fork before they open the store. */
	pid_t pid = hold_elsewhere(scratch_dir(dir), &from);
	struct store *store = scratch_store(&quick);

	(void)state;
	assert_int_equal(read(from, &said, 1), 1);
	assert_int_equal(said, 'y');
	put(store, 3, STORE_WAIT | STORE_KEEP);
	assert_int_equal(sweep(store), 1);
	assert_true(holds(store, 1) && holds(store, 2));
	assert_int_equal(lease_files(), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(from);
	assert_int_equal(sweep(store), 2);
	assert_false(holds(store, 1) || holds(store, 2));
	assert_int_equal(lease_files(), 0);
	store_close(store);
}

/* A file among the leases that is no lease of anybody, or one that was cut. */
static void odd_lease_files_do_no_harm(void **state)
{
	struct store *store = scratch_store(&quick);
	char dir[64], path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/lease-000007", scratch_dir(dir));
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs("12345678abc", file) < 0, 0);
	assert_int_equal(fclose(file), 0);
	put(store, 1, STORE_WAIT | STORE_KEEP);
	assert_int_equal(sweep(store), 1);
	assert_int_equal(lease_files(), 0);
	store_close(store);
}

#define CLEAN(test) cmocka_unit_test_setup_teardown(test, clean, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN(each_of_two_writers_gets_its_own_error),
		CLEAN(a_failed_batch_that_ends_leaves_nothing_queued),
		CLEAN(a_full_map_is_told_to_whom_it_concerns),
		CLEAN(what_is_kept_is_waited_for),
		CLEAN(an_open_batch_holds_its_blocks_on_disk),
		CLEAN(an_open_batch_holds_its_blocks_in_memory),
		CLEAN(a_batch_holds_against_another_process_until_it_is_killed),
		CLEAN(odd_lease_files_do_no_harm),
	};

	return cmocka_run_group_tests_name("exchange/store batches", tests, NULL, NULL);
}

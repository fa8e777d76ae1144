/* How the queue groups blocks, with a commit that only counts. */
#include "exchange/store/store_queue.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define BLOCK_BYTES (100u << 10)
#define BLOCKS 64u
#define MIB ((size_t)1 << 20)
#define DEADLINE_S 60

struct disk {
	sem_t go; /* the first commit waits for it */
	size_t batches, blocks, largest;
};

static int commit(void *ctx, struct queue_item **items, size_t count, size_t *fits)
{
	struct disk *disk = ctx;
	struct timespec end;
	size_t bytes = 0;

	(void)fits;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += DEADLINE_S;
	if (!disk->batches++ && sem_timedwait(&disk->go, &end))
		return -EIO;
	for (size_t i = 0; i < count; i++) {
		bytes += items[i]->block->data.len;
		assert_true(items[i]->keep == items[0]->keep);
	}
	disk->blocks += count;
	disk->largest = bytes > disk->largest ? bytes : disk->largest;
	return 0;
}

static struct block *make(unsigned number, size_t len)
{
	struct buf data = { 0 };
	struct cid cid;

	memset(buf_reserve(&data, len), (int)number, len);
	data.len = len;
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, buf_bytes(&data)), 0);
	return block_take(&cid, &data);
}

/* Puts blocks while the first commit waits, lets it go, and waits for all. */
static void put_all(struct disk *disk, unsigned flags, size_t len, unsigned count)
{
	struct store_queue *queue;

	assert_int_equal(sem_init(&disk->go, 0, 0), 0);
	assert_int_equal(queue_new(commit, disk, &queue), 0);
	for (unsigned i = 0; i < count; i++) {
		struct block *block = make(i, len);

		assert_int_equal(queue_put(queue, block, flags, NULL, NULL), 0);
		block_unref(block);
	}
	sem_post(&disk->go);
	assert_int_equal(queue_sync(queue), 0);
	queue_free(queue);
	sem_destroy(&disk->go);
	assert_int_equal(disk->blocks, count);
}

static void what_is_cached_goes_in_small_transactions(void **state)
{
	struct disk disk = { 0 };

	(void)state;
	put_all(&disk, STORE_WAIT, BLOCK_BYTES, BLOCKS);
	assert_true(disk.largest <= MIB);
	assert_true(disk.largest > MIB / 2);
}

static void what_is_kept_waits_for_the_disk_seldom(void **state)
{
	struct disk disk = { 0 };

	(void)state;
	put_all(&disk, STORE_WAIT | STORE_KEEP, BLOCK_BYTES, BLOCKS);
	assert_true(disk.largest > 3 * MIB); /* all that came meanwhile */
	assert_true(disk.largest <= 16 * MIB);
}

static void a_block_larger_than_a_transaction_goes_alone(void **state)
{
	struct disk disk = { 0 };

	(void)state;
	put_all(&disk, STORE_WAIT, 2 * MIB, 4);
	assert_int_equal(disk.largest, 2 * MIB);
	assert_int_equal(disk.batches, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_cached_goes_in_small_transactions),
		cmocka_unit_test(what_is_kept_waits_for_the_disk_seldom),
		cmocka_unit_test(a_block_larger_than_a_transaction_goes_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

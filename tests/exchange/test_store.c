/* What store.h promises, of both stores. Disks, processes and threads: test_store_lmdb.c. */
#include "exchange/store/store.h"
#include "net/base/alloc.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <string.h>

static struct store *memory_store(void)
{
	return store_new_memory();
}

static struct store *disk_store(void)
{
	return scratch_store(&(struct store_config){ .map_bytes = 64u << 20, .no_sync = true });
}

static int setup_memory(void **state)
{
	*state = memory_store();
	return 0;
}

static int setup_disk(void **state)
{
	*state = disk_store();
	return 0;
}

static int teardown(void **state)
{
	store_close(*state);
	scratch_remove();
	return 0;
}

static void what_is_put_is_found(void **state)
{
	struct store *store = *state;
	struct block *block = numbered(1, 1000), *found;
	size_t size;

	assert_int_equal(store_get(store, &block->cid, &found), -ENOENT);
	assert_false(store_has(store, cid_hash_bytes(&block->cid)));
	assert_int_equal(store_put(store, block, 0, NULL, NULL), 0);
	for (int round = 0; round < 2; round++) { /* queued or not, then on disk */
		assert_int_equal(store_get(store, &block->cid, &found), 0);
		assert_true(bytes_equal(found->data, block->data));
		assert_true(cid_equal(&found->cid, &block->cid));
		block_unref(found);
		assert_int_equal(store_size(store, cid_hash_bytes(&block->cid), &size), 0);
		assert_int_equal(size, 1000);
		assert_int_equal(store_sync(store), 0);
	}
	block_unref(block);
}

static void the_multihash_names_the_block(void **state)
{
	struct store *store = *state;
	struct block *block = numbered(2, 50), *found;
	struct cid other;

	assert_int_equal(cid_make(&other, 1, CODEC_DAG_PB, cid_hash_bytes(&block->cid)), 0);
	assert_int_equal(store_put(store, block, 0, NULL, NULL), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_get(store, &other, &found), 0);
		assert_true(cid_equal(&found->cid, &other));
		assert_true(bytes_equal(found->data, block->data));
		block_unref(found);
		assert_int_equal(store_sync(store), 0);
	}
	block_unref(block);
}

static void a_read_lends_many_blocks(void **state)
{
	struct store *store = *state;
	struct block *blocks[40];
	struct bytes data[40];
	struct store_read read;

	for (unsigned i = 0; i < 40; i++) {
		blocks[i] = numbered(i, 3000 * i);
		assert_int_equal(store_put(store, blocks[i], 0, NULL, NULL), 0);
	}
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(store_read_begin(store, &read), 0);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(store_read_get(&read, cid_hash_bytes(&blocks[i]->cid), &data[i]),
				 0);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(store_delete(store, cid_hash_bytes(&blocks[i]->cid)), 0);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(bytes_equal(data[i], blocks[i]->data));
		block_unref(blocks[i]);
	}
	assert_int_equal(store_read_get(&read, bytes_str("no such"), &data[0]), -ENOENT);
	store_read_end(&read);
}

struct verdict {
	atomic_int calls, err;
	struct block *seen;
};

static void on_verified(void *ctx, int err, struct block *block)
{
	struct verdict *verdict = ctx;

	verdict->seen = block;
	atomic_store(&verdict->err, err);
	atomic_fetch_add(&verdict->calls, 1);
}

static void verified_blocks_are_told_and_wrong_ones_dropped(void **state)
{
	struct store *store = *state;
	struct block *good = numbered(3, 200);
	struct block *bad = block_copy(&good->cid, bytes_str("something else"));
	struct verdict verdict = { 0 };
	struct block *found;

	assert_int_equal(store_put(store, bad, STORE_VERIFY, on_verified, &verdict), 0);
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(verdict.calls, 1);
	assert_int_equal(verdict.err, -EBADMSG);
	assert_false(store_has(store, cid_hash_bytes(&good->cid)));

	assert_int_equal(store_put(store, good, STORE_VERIFY, on_verified, &verdict), 0);
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(verdict.calls, 2);
	assert_int_equal(verdict.err, 0);
	assert_ptr_equal(verdict.seen, good);
	assert_int_equal(store_get(store, &good->cid, &found), 0);
	assert_true(bytes_equal(found->data, good->data));
	block_unref(found);
	block_unref(good);
	block_unref(bad);
}

static void limits_of_size(void **state)
{
	struct store *store = *state;
	struct block *most = numbered(4, BLOCK_MAX), *more = numbered(5, BLOCK_MAX + 1);
	struct block *none = numbered(0, 0), *found;

	assert_int_equal(store_put(store, more, 0, NULL, NULL), -EMSGSIZE);
	assert_int_equal(store_put(store, most, STORE_WAIT, NULL, NULL), 0);
	assert_int_equal(store_put(store, none, STORE_WAIT, NULL, NULL), 0);
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(store_get(store, &most->cid, &found), 0);
	assert_true(bytes_equal(found->data, most->data));
	block_unref(found);
	assert_int_equal(store_get(store, &none->cid, &found), 0);
	assert_int_equal(found->data.len, 0);
	block_unref(found);
	block_unref(most);
	block_unref(more);
	block_unref(none);
}

static void identity_needs_no_store(void **state)
{
	struct store *store = *state;
	struct verdict verdict = { 0 };
	struct store_stat stat;
	struct block *found;
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_str("me")), 0);
	assert_int_equal(store_get(store, &cid, &found), 0);
	assert_true(bytes_equal(found->data, bytes_str("me")));
	assert_int_equal(store_put(store, found, STORE_VERIFY, on_verified, &verdict), 0);
	assert_int_equal(verdict.calls, 1);
	block_unref(found);
	assert_int_equal(store_stat(store, &stat), 0);
	assert_int_equal(stat.blocks, 0);
}

static void deleting_is_exact(void **state)
{
	struct store *store = *state;
	struct block *gone = numbered(6, 5000), *stays = numbered(7, 5000);
	struct store_stat stat;

	assert_int_equal(store_put(store, gone, 0, NULL, NULL), 0);
	assert_int_equal(store_put(store, stays, 0, NULL, NULL), 0);
	assert_int_equal(store_delete(store, cid_hash_bytes(&gone->cid)), 0); /* maybe queued */
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(store_delete(store, cid_hash_bytes(&gone->cid)), -ENOENT);
	assert_false(store_has(store, cid_hash_bytes(&gone->cid)));
	assert_true(store_has(store, cid_hash_bytes(&stays->cid)));
	assert_int_equal(store_stat(store, &stat), 0);
	assert_int_equal(stat.blocks, 1);
	assert_int_equal(stat.bytes, 5000);
	block_unref(gone);
	block_unref(stays);
}

static void putting_twice_counts_once(void **state)
{
	struct store *store = *state;
	struct block *block = numbered(8, 777);
	struct store_stat stat;

	for (int i = 0; i < 5; i++) {
		assert_int_equal(store_put(store, block, i % 2 ? STORE_VERIFY : 0, NULL, NULL), 0);
		if (i == 2)
			assert_int_equal(store_sync(store), 0);
	}
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(store_stat(store, &stat), 0);
	assert_int_equal(stat.blocks, 1);
	assert_int_equal(stat.bytes, 777);
	block_unref(block);
}

struct walk {
	struct buf last;
	unsigned count, stop_at;
};

static int on_each(void *ctx, struct bytes multihash, struct bytes data)
{
	struct walk *walk = ctx;
	struct multihash hash;

	assert_true(bytes_cmp(buf_bytes(&walk->last), multihash) < 0);
	assert_int_equal(multihash_decode(&hash, multihash), multihash.len);
	assert_int_equal(multihash_verify(&hash, data), 0);
	buf_clear(&walk->last);
	buf_add(&walk->last, multihash);
	walk->count++;
	return walk->count == walk->stop_at ? 7 : 0;
}

/* Keeps those whose digest's last bit is set. */
static int keep_odd(void *ctx, struct bytes multihash)
{
	(void)ctx;
	return multihash.at[multihash.len - 1] & 1;
}

static void count_gone(void *ctx, struct bytes multihash, size_t len)
{
	assert_false(keep_odd(NULL, multihash));
	assert_true(len >= 40);
	++*(unsigned *)ctx;
}

static void walking_and_sweeping(void **state)
{
	struct store *store = *state;
	struct walk walk = { 0 };
	uint64_t removed, freed, odd = 0, odd_bytes = 0, bytes = 0;
	struct store_stat stat;

	for (unsigned i = 0; i < 3000; i++) {
		struct block *block = numbered(i, 40 + i);

		odd += keep_odd(NULL, cid_hash_bytes(&block->cid));
		odd_bytes += keep_odd(NULL, cid_hash_bytes(&block->cid)) ? 40 + i : 0;
		bytes += 40 + i;
		assert_int_equal(store_put(store, block, STORE_WAIT, NULL, NULL), 0);
		block_unref(block);
	}
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(store_each(store, on_each, &walk), 0);
	assert_int_equal(walk.count, 3000);
	walk.count = 0;
	walk.stop_at = 100;
	buf_clear(&walk.last);
	assert_int_equal(store_each(store, on_each, &walk), 7);
	assert_int_equal(walk.count, 100);

	const struct store_sweep_fns fns = { .keep = keep_odd, .gone = count_gone };
	uint64_t epoch = store_epoch(store);
	unsigned gone = 0;

	assert_int_equal(store_sweep(store, &fns, &gone, &removed, &freed), 0);
	assert_true(store_epoch(store) != epoch);
	assert_int_equal(gone, removed);
	assert_int_equal(removed, 3000 - odd);
	assert_int_equal(freed, bytes - odd_bytes);
	assert_int_equal(store_stat(store, &stat), 0);
	assert_int_equal(stat.blocks, odd);
	assert_int_equal(stat.bytes, odd_bytes);
	walk.count = walk.stop_at = 0;
	buf_clear(&walk.last);
	assert_int_equal(store_each(store, on_each, &walk), 0);
	assert_int_equal(walk.count, odd);
	buf_release(&walk.last);
}

static void on_room(void *ctx)
{
	atomic_fetch_add((atomic_int *)ctx, 1);
}

static void room_is_told_once(void **state)
{
	struct store *store = *state;
	struct block *block = numbered(9, 10);
	atomic_int told = 0;

	store_when_room(store, on_room, &told);
	for (int i = 0; i < 5000 && !atomic_load(&told); i++)
		nap_ms(1);
	assert_int_equal(told, 1);
	assert_int_equal(store_put(store, block, 0, NULL, NULL), 0);
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(told, 1);
	block_unref(block);
}

#define OF(kind, test)                                                                             \
	{                                                                                          \
		.name = #test " (" #kind ")", .test_func = test, .setup_func = setup_##kind,       \
		.teardown_func = teardown                                                          \
	}
#define BOTH(test) OF(memory, test), OF(disk, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_is_put_is_found),
		BOTH(the_multihash_names_the_block),
		BOTH(a_read_lends_many_blocks),
		BOTH(verified_blocks_are_told_and_wrong_ones_dropped),
		BOTH(limits_of_size),
		BOTH(identity_needs_no_store),
		BOTH(deleting_is_exact),
		BOTH(putting_twice_counts_once),
		BOTH(walking_and_sweeping),
		BOTH(room_is_told_once),
	};

	return cmocka_run_group_tests_name("exchange/store", tests, NULL, NULL);
}

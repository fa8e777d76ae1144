/* struct blocks over the store in memory, or on disk where bytes rot, and a scripted fetcher. */
#include "exchange/exchange.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>

struct script {
	struct fetcher fetcher;
	struct block *has; /* what peers have */
	int err;	   /* what every fetch says */
	unsigned opened, closed, fetched, told;
	size_t prefetched;
	struct cid first_prefetched;
};

static struct script *script_of(struct fetcher *fetcher)
{
	return container_of(fetcher, struct script, fetcher);
}

static void *script_open(struct fetcher *fetcher)
{
	script_of(fetcher)->opened++;
	return fetcher;
}

static void script_close(struct fetcher *fetcher, void *session)
{
	assert_ptr_equal(session, fetcher);
	script_of(fetcher)->closed++;
}

static int script_fetch(struct fetcher *fetcher, void *session, const struct cid *cid,
			struct wait *wait, struct block **out)
{
	struct script *script = script_of(fetcher);

	(void)wait;
	assert_ptr_equal(session, fetcher);
	script->fetched++;
	if (script->err)
		return script->err;
	assert_true(cid_equal(cid, &script->has->cid));
	*out = block_ref(script->has);
	return 0;
}

static void script_prefetch(struct fetcher *fetcher, void *session, const struct cid *cids,
			    size_t count)
{
	struct script *script = script_of(fetcher);

	assert_ptr_equal(session, fetcher);
	script->prefetched = count;
	script->first_prefetched = cids[0];
}

static void script_have(struct fetcher *fetcher, const struct cid *cids, size_t count)
{
	(void)cids;
	script_of(fetcher)->told += (unsigned)count;
}

static const struct fetcher_ops script_ops = {
	.open = script_open,
	.close = script_close,
	.fetch = script_fetch,
	.prefetch = script_prefetch,
	.have = script_have,
};

struct fixture {
	struct store *store;
	struct script script;
	struct blocks *blocks;
	struct wait wait;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->store = store_new_memory();
	f->script.fetcher.ops = &script_ops;
	f->blocks = blocks_new(f->store, &f->script.fetcher);
	wait_init(&f->wait);
	wait_start(&f->wait, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	blocks_free(f->blocks);
	assert_int_equal(f->script.opened, f->script.closed);
	store_close(f->store);
	wait_release(&f->wait);
	free(f);
	scratch_remove();
	return 0;
}

static void what_is_stored_is_not_fetched(void **state)
{
	struct fixture *f = *state;
	struct block *block = numbered(1, 100), *found;

	assert_int_equal(blocks_put(f->blocks, block), 0);
	assert_int_equal(f->script.told, 1);
	assert_true(blocks_has(f->blocks, &block->cid));
	assert_int_equal(blocks_get(f->blocks, &block->cid, &f->wait, &found), 0);
	assert_true(bytes_equal(found->data, block->data));
	assert_int_equal(f->script.opened, 0);
	block_unref(found);
	block_unref(block);
}

static void a_miss_is_fetched_in_one_session(void **state)
{
	struct fixture *f = *state;
	struct block *block = numbered(2, 100), *found;

	f->script.has = block;
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(blocks_get(f->blocks, &block->cid, &f->wait, &found), 0);
		assert_ptr_equal(found, block);
		block_unref(found);
		assert_int_equal(f->script.fetched, i);
		assert_int_equal(f->script.opened, 1);
	}
	block_unref(block);
}

static void errors_tell_the_truth(void **state)
{
	static const int errors[] = { -ETIMEDOUT, -EINTR, -EHOSTUNREACH, -ECANCELED };
	struct fixture *f = *state;
	struct block *block = numbered(3, 100), *found;
	struct blocks *offline;

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		f->script.err = errors[i];
		assert_int_equal(blocks_get(f->blocks, &block->cid, &f->wait, &found), errors[i]);
	}
	offline = blocks_new(f->store, NULL);
	assert_int_equal(blocks_get(offline, &block->cid, &f->wait, &found), -EHOSTUNREACH);
	exchange_prefetch(offline, &block->cid, 1);
	assert_int_equal(blocks_put(offline, block), 0);
	assert_int_equal(blocks_get(offline, &block->cid, &f->wait, &found), 0);
	block_unref(found);
	blocks_free(offline);
	block_unref(block);
}

static void some_blocks_are_everywhere(void **state)
{
	struct fixture *f = *state;
	struct block *found;
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_str("here")), 0);
	assert_true(blocks_has(f->blocks, &cid));
	assert_int_equal(blocks_get(f->blocks, &cid, &f->wait, &found), 0);
	assert_true(bytes_equal(found->data, bytes_str("here")));
	block_unref(found);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("")), 0);
	assert_true(blocks_has(f->blocks, &cid));
	assert_int_equal(blocks_get(f->blocks, &cid, &f->wait, &found), 0);
	assert_int_equal(found->data.len, 0);
	assert_true(cid_equal(&found->cid, &cid));
	block_unref(found);
	assert_int_equal(f->script.opened, 0);
}

static void a_weak_hash_is_never_asked_for(void **state)
{
	struct fixture *f = *state;
	struct buf hash = { 0 };
	struct block *found;
	struct cid cid;

	multihash_encode(&hash, HASH_MURMUR3_X64_64, bytes_str("8 bytes!"));
	assert_int_equal(cid_make(&cid, 1, CODEC_RAW, buf_bytes(&hash)), 0);
	assert_int_equal(blocks_get(f->blocks, &cid, &f->wait, &found), -EBADMSG);
	exchange_prefetch(f->blocks, &cid, 1);
	assert_int_equal(f->script.opened, 0);
	buf_release(&hash);
}

static void prefetching_skips_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct cid *cids = xcalloc(EXCHANGE_PREFETCH_MAX + 1, sizeof *cids);

	for (unsigned i = 0; i <= EXCHANGE_PREFETCH_MAX; i++) {
		struct block *block = numbered(i, 10);

		cids[i] = block->cid;
		if (i < 5)
			assert_int_equal(blocks_put(f->blocks, block), 0);
		block_unref(block);
	}
	exchange_prefetch(f->blocks, cids, 5);
	assert_int_equal(f->script.opened, 0);
	exchange_prefetch(f->blocks, cids, EXCHANGE_PREFETCH_MAX + 1);
	assert_int_equal(f->script.prefetched, EXCHANGE_PREFETCH_MAX - 5);
	assert_true(cid_equal(&f->script.first_prefetched, &cids[5]));
	exchange_prefetch(f->blocks, cids, 0);
	free(cids);
}

/* A store with a block whose bytes were changed behind its back. */
static struct store *rotten_store(struct block *block)
{
	const struct store_config config = { .map_bytes = 16u << 20, .no_sync = true };
	struct store *store = scratch_store(&config);
	char dir[64], file[96];
	uint8_t page[65536];
	size_t len;

	assert_int_equal(store_put(store, block, 0, NULL, NULL), 0);
	store_close(store);
	snprintf(file, sizeof file, "%s/cache-000001/data.mdb", scratch_dir(dir));
	FILE *data = fopen(file, "r+");

	assert_non_null(data);
	len = fread(page, 1, sizeof page, data);
	uint8_t *at = memmem(page, len, block->data.at, block->data.len);

	assert_non_null(at);
	fseek(data, at - page, SEEK_SET);
	assert_int_equal(fwrite("X", 1, 1, data), 1);
	fclose(data);
	return scratch_store(&config);
}

static void rot_is_healed_from_peers(void **state)
{
	struct fixture *f = *state;
	struct block *block = numbered(4, 100), *found;
	struct blocks *blocks, *offline;
	struct store *store = rotten_store(block);

	blocks = blocks_new(store, &f->script.fetcher);
	offline = blocks_new(store, NULL);
	assert_int_equal(blocks_get(offline, &block->cid, &f->wait, &found), -EIO);
	f->script.err = -ETIMEDOUT;
	assert_int_equal(blocks_get(blocks, &block->cid, &f->wait, &found), -EIO);
	f->script.err = -EINTR;
	assert_int_equal(blocks_get(blocks, &block->cid, &f->wait, &found), -EINTR);
	f->script.err = 0;
	f->script.has = block;
	assert_int_equal(blocks_get(blocks, &block->cid, &f->wait, &found), 0);
	block_unref(found);
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(blocks_get(offline, &block->cid, &f->wait, &found), 0);
	assert_true(bytes_equal(found->data, block->data));
	block_unref(found);
	blocks_free(blocks);
	blocks_free(offline);
	store_close(store);
	block_unref(block);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(what_is_stored_is_not_fetched),  WITH(a_miss_is_fetched_in_one_session),
		WITH(errors_tell_the_truth),	      WITH(some_blocks_are_everywhere),
		WITH(a_weak_hash_is_never_asked_for), WITH(prefetching_skips_what_is_there),
		WITH(rot_is_healed_from_peers),
	};

	return cmocka_run_group_tests_name("exchange/blocks", tests, NULL, NULL);
}

/* exchange/blocks_ops.h: a second maker of sources. It keeps blocks in memory with their bytes
 * masked, as a sealing one will; import, reading, views and walks run on it unchanged. */
#include "dag/file.h"
#include "dag/import.h"
#include "exchange/blocks_ops.h"
#include "net/base/map.h"
#include "tests/dag/fake.h"
#include "tests/dag/import_data.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MASK 0x5a
#define LENT_MAX 128
#define FILE_LEN 50000

struct masked {
	struct blocks blocks;
	struct map kept; /* multihash -> struct buf, masked */
	unsigned gets, batches;
};

/* What views lend until they end. */
struct lent {
	struct buf at[LENT_MAX];
	size_t count;
};

static struct masked *masked_of(struct blocks *blocks)
{
	return container_of(blocks, struct masked, blocks);
}

static void mask(struct buf *out, struct bytes in)
{
	buf_add(out, in);
	for (size_t i = 0; i < out->len; i++)
		out->at[i] ^= MASK;
}

static void masked_free(struct blocks *blocks)
{
	struct masked *masked = masked_of(blocks);
	struct bytes key;
	size_t at = 0;
	void *value;

	while (map_next(&masked->kept, &at, &key, &value)) {
		buf_release(value);
		free(value);
	}
	map_release(&masked->kept);
	free(masked);
}

static int masked_get_stored(struct blocks *blocks, const struct cid *cid, struct block **out)
{
	struct buf *kept = map_get(&masked_of(blocks)->kept, cid_hash_bytes(cid));
	struct buf plain = { 0 };

	if (!kept)
		return -ENOENT;
	masked_of(blocks)->gets++;
	mask(&plain, buf_bytes(kept));
	*out = block_take(cid, &plain);
	return 0;
}

static int masked_get(struct blocks *blocks, const struct cid *cid, struct wait *wait,
		      struct block **out)
{
	int err = masked_get_stored(blocks, cid, out);

	(void)wait;
	return err == -ENOENT ? -EHOSTUNREACH : err;
}

static bool masked_has(struct blocks *blocks, const struct cid *cid)
{
	return map_get(&masked_of(blocks)->kept, cid_hash_bytes(cid)) != NULL;
}

static int masked_size(struct blocks *blocks, const struct cid *cid, size_t *size)
{
	struct buf *kept = map_get(&masked_of(blocks)->kept, cid_hash_bytes(cid));

	if (!kept)
		return -ENOENT;
	*size = kept->len;
	return 0;
}

static int masked_read_begin(struct blocks *blocks, struct blocks_read *read)
{
	(void)blocks;
	read->state = xnew(struct lent);
	return 0;
}

static int masked_read_get(struct blocks_read *read, const struct cid *cid, struct bytes *data)
{
	struct buf *kept = map_get(&masked_of(read->blocks)->kept, cid_hash_bytes(cid));
	struct lent *lent = read->state;
	struct buf *plain = &lent->at[lent->count];

	if (!kept)
		return -ENOENT;
	assert_true(lent->count < LENT_MAX);
	lent->count++;
	mask(plain, buf_bytes(kept));
	*data = buf_bytes(plain);
	return 0;
}

static void masked_read_end(struct blocks_read *read)
{
	struct lent *lent = read->state;

	for (size_t i = 0; i < lent->count; i++)
		buf_release(&lent->at[i]);
	free(lent);
}

static int masked_put(struct blocks *blocks, struct block *block)
{
	struct buf *kept = xnew(struct buf), *before;

	mask(kept, block->data);
	before = map_set(&masked_of(blocks)->kept, cid_hash_bytes(&block->cid), kept);
	if (before) {
		buf_release(before);
		free(before);
	}
	return 0;
}

static int masked_keep(struct blocks *blocks, const struct cid *cid, const struct block *block)
{
	(void)block;
	return masked_has(blocks, cid) ? 0 : -ENOENT;
}

static void masked_batch_begin(struct blocks *blocks)
{
	masked_of(blocks)->batches++;
}

static void masked_batch_end(struct blocks *blocks)
{
	masked_of(blocks)->batches--;
}

static int masked_sync(struct blocks *blocks)
{
	(void)blocks;
	return 0;
}

static uint64_t masked_epoch(struct blocks *blocks)
{
	(void)blocks;
	return 0;
}

static const struct blocks_ops masked_ops = {
	.free = masked_free,
	.get = masked_get,
	.get_stored = masked_get_stored,
	.has = masked_has,
	.size = masked_size,
	.read_begin = masked_read_begin,
	.read_get = masked_read_get,
	.read_end = masked_read_end,
	.put = masked_put,
	.keep = masked_keep,
	.batch_begin = masked_batch_begin,
	.batch_end = masked_batch_end,
	.sync = masked_sync,
	.epoch = masked_epoch,
};

static struct blocks *masked_new(void)
{
	struct masked *masked = xnew(struct masked);

	masked->blocks.ops = &masked_ops;
	return &masked->blocks;
}

/* ---- what dag does with it ---- */

static void import_into(struct blocks *blocks, struct bytes data, struct wait *wait,
			struct cid *root)
{
	struct import_config config;
	uint64_t size;
	int fd = memfd_create("source", MFD_CLOEXEC);

	assert_int_equal(import_profile(&config, "unixfs-v1-2025"), 0);
	strcpy(config.chunker, "size-1000");
	assert_int_equal(write(fd, data.at, data.len), data.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(import_fd(blocks, fd, &config, wait, root, &size), 0);
	close(fd);
}

struct room {
	struct blocks *blocks;
	struct wait wait;
	struct buf data;
	struct cid root;
};

static int room_open(void **state)
{
	struct room *room = xnew(struct room);

	room->blocks = masked_new();
	assert_int_equal(wait_init(&room->wait), 0);
	wait_start(&room->wait, 0);
	import_data(&room->data, "splitmix64", FILE_LEN);
	import_into(room->blocks, buf_bytes(&room->data), &room->wait, &room->root);
	*state = room;
	return 0;
}

static int room_close(void **state)
{
	struct room *room = *state;

	blocks_free(room->blocks);
	wait_release(&room->wait);
	buf_release(&room->data);
	free(room);
	return 0;
}

static void import_gives_the_cid_of_the_plain_source_and_masks_what_it_keeps(void **state)
{
	struct room *room = *state;
	struct store *store = store_new_memory();
	struct blocks *plain = blocks_new(store, NULL);
	struct masked *masked = masked_of(room->blocks);
	struct bytes key;
	struct cid root;
	size_t at = 0;
	void *value;

	import_into(plain, buf_bytes(&room->data), &room->wait, &root);
	assert_true(cid_equal(&root, &room->root));
	while (map_next(&masked->kept, &at, &key, &value)) {
		struct buf *kept = value;

		assert_null(memmem(room->data.at, room->data.len, kept->at, kept->len));
	}
	assert_int_equal(masked->batches, 0);
	blocks_free(plain);
	store_close(store);
}

static void file_is_read_and_viewed_whole(void **state)
{
	struct room *room = *state;
	uint8_t *text = xcalloc(1, FILE_LEN);
	struct file_view view;
	struct file *file;

	assert_int_equal(file_open(room->blocks, &room->root, &room->wait, &file), 0);
	assert_int_equal(file_read(file, 0, text, FILE_LEN, &room->wait), FILE_LEN);
	assert_memory_equal(text, room->data.at, FILE_LEN);
	memset(text, 0, FILE_LEN);
	assert_int_equal(file_view(file, 777, 5000, &room->wait, &view), 0);
	assert_int_equal(file_view_copy(&view, text), 5000);
	file_view_release(&view);
	assert_memory_equal(text, room->data.at + 777, 5000);
	file_close(file);
	free(text);
}

static int count_block(void *ctx, const struct block *block, unsigned depth)
{
	(void)block;
	(void)depth;
	++*(unsigned *)ctx;
	return 0;
}

static void walk_meets_every_block_that_the_import_put(void **state)
{
	struct room *room = *state;
	struct dag_walk_config config = { .skip_seen = true };
	unsigned count = 0;

	assert_int_equal(dag_walk(room->blocks, &room->root, &config, &room->wait, 1000,
				  count_block, NULL, &count),
			 0);
	assert_int_equal(count, masked_of(room->blocks)->kept.count);
	assert_true(masked_of(room->blocks)->gets >= count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			import_gives_the_cid_of_the_plain_source_and_masks_what_it_keeps, room_open,
			room_close),
		cmocka_unit_test_setup_teardown(file_is_read_and_viewed_whole, room_open,
						room_close),
		cmocka_unit_test_setup_teardown(walk_meets_every_block_that_the_import_put,
						room_open, room_close),
	};

	return cmocka_run_group_tests_name("dag over another source", tests, NULL, NULL);
}

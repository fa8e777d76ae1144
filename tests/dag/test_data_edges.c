/* dag/tree/data*.c at their edges: no room, no blocks, sizes at their limits, other layouts,
 * damaged records, what copies and seals leave in memory. */
#include "tests/dag/data_disk.h"
#include "tests/dag/import_room.h"

#include "tests/dag/import_data.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define MIB (1u << 20)

static struct data_config config_of(struct room *room, struct data_budget *budget)
{
	struct data_config config;

	data_config_init(&config);
	config.blocks = room->blocks;
	config.budget = budget;
	return config;
}

static struct cid imported(struct room *room, struct bytes data)
{
	int fd = memfd_create("data", MFD_CLOEXEC);
	uint64_t size;
	struct cid root;

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data.at, data.len, 0), data.len);
	assert_int_equal(import_fd(room->blocks, fd, &room->config, &room->wait, &root, &size), 0);
	close(fd);
	return root;
}

static struct cid committed(struct room *room, struct data *data, uint64_t generation)
{
	struct data_snapshot *snapshot;
	struct data_cut cut;
	struct cid root;

	if (data_cut(data, generation, &snapshot, &cut))
		data_cut_done(data, &cut, true);
	assert_int_equal(data_snapshot_root(snapshot, room->blocks, &room->wait, &root, NULL, NULL),
			 0);
	data_rebase(data, snapshot, &root);
	data_snapshot_free(snapshot);
	return root;
}

static void expect_bytes(struct room *room, struct data *data, struct bytes bytes)
{
	uint8_t *got = xcalloc(1, bytes.len + 1);

	assert_int_equal(data_size(data), bytes.len);
	assert_int_equal(data_read(data, 0, got, bytes.len + 1, &room->wait), bytes.len);
	assert_memory_equal(got, bytes.at, bytes.len);
	free(got);
}

/* ---- room ---- */

struct cutter {
	struct disk disk;
	struct data *data;
	unsigned calls;
};

static void cut_and_shed(void *ctx)
{
	struct cutter *cutter = ctx;
	struct data_cut cut;

	cutter->calls++;
	if (data_cut(cutter->data, 1, NULL, &cut)) {
		disk_write(&cutter->disk, &cut);
		data_cut_done(cutter->data, &cut, true);
	}
	data_shed(cutter->data, MIB);
}

static void writer_over_the_budget_goes_on_after_a_cut(void **state)
{
	struct room *room = *state;
	struct cutter cutter = { 0 };
	struct data_budget *budget = data_budget_new(MIB, cut_and_shed, &cutter);
	struct data_config config = config_of(room, budget);
	struct buf bytes = { 0 };
	struct cid root;

	disk_init(&cutter.disk, &config);
	cutter.data = disk_open(&cutter.disk);
	import_data(&bytes, "splitmix64", 8 * MIB + 5);
	for (size_t at = 0; at < bytes.len; at += 100000) {
		size_t len = bytes.len - at < 100000 ? bytes.len - at : 100000;

		assert_int_equal(
			data_write(cutter.data, at, bytes_of(bytes.at + at, len), &room->wait), 0);
		assert_true(data_budget_used(budget) <= MIB);
	}
	assert_true(cutter.calls >= 8);
	expect_bytes(room, cutter.data, buf_bytes(&bytes));
	struct cid expected = imported(room, buf_bytes(&bytes));

	root = committed(room, cutter.data, 2);
	assert_true(cid_equal(&root, &expected));
	assert_int_equal(data_bytes(cutter.data), 0);
	data_free(cutter.data);
	disk_release(&cutter.disk);
	data_budget_free(budget);
	buf_release(&bytes);
}

static void *cancel_soon(void *wait)
{
	usleep(20000);
	wait_cancel(wait);
	return NULL;
}

static void writer_that_waits_for_room_can_be_interrupted(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(2 * DATA_GRAIN, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct data *data = data_new(&config, NULL, 0);
	struct buf bytes = { 0 };
	pthread_t thread;

	import_data(&bytes, "mod251", DATA_GRAIN);
	assert_int_equal(data_write(data, 0, buf_bytes(&bytes), &room->wait), 0);
	wait_start(&room->wait, 0);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &room->wait), 0);
	assert_int_equal(data_write(data, 10, bytes_of(bytes.at, 100), &room->wait), -EINTR);
	assert_int_equal(pthread_join(thread, NULL), 0);
	wait_start(&room->wait, 1);
	assert_int_equal(data_write(data, 10, bytes_of(bytes.at, 100), &room->wait), -ETIMEDOUT);
	wait_start(&room->wait, 0);
	expect_bytes(room, data, buf_bytes(&bytes));
	data_free(data);
	data_budget_free(budget);
	buf_release(&bytes);
}

/* ---- blocks that are missing ---- */

static void write_that_must_read_a_missing_base_changes_nothing(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct buf bytes = { 0 };
	uint8_t byte;

	import_data(&bytes, "splitmix64", 3 * MIB);
	struct cid root = imported(room, buf_bytes(&bytes));
	struct file_chunks *chunks = file_chunks_new(room->blocks, &config.edit, &root, bytes.len);
	struct cid leaf;

	assert_int_equal(file_chunk(chunks, 1, &room->wait, &leaf, NULL), 0);
	file_chunks_free(chunks);
	assert_int_equal(store_delete(room->store, cid_hash_bytes(&leaf)), 0);

	struct data *data = data_new(&config, &root, bytes.len);

	/* Nothing needs to be read for a stretch, nor for more that touches it. */
	assert_int_equal(data_write(data, MIB + 100, bytes_str("new"), &room->wait), 0);
	assert_int_equal(data_write(data, MIB + 103, bytes_str("more"), &room->wait), 0);
	assert_int_equal(data_write(data, MIB + 10, bytes_str("gap"), &room->wait), -EHOSTUNREACH);
	assert_int_equal(data_read(data, MIB + 100, &byte, 1, &room->wait), 1);
	assert_int_equal(byte, 'n');
	assert_int_equal(data_read(data, MIB + 10, &byte, 1, &room->wait), -EHOSTUNREACH);
	assert_int_equal(data_seal(data, DATA_SEAL_ALL, &room->wait), -EHOSTUNREACH);
	/* What covers the chunk needs nothing. */
	memcpy(bytes.at + MIB, bytes.at, MIB);
	assert_int_equal(data_write(data, MIB, bytes_of(bytes.at, MIB), &room->wait), 0);
	assert_int_equal(data_seal(data, DATA_SEAL_ALL, &room->wait), 0);
	expect_bytes(room, data, buf_bytes(&bytes));
	data_free(data);
	data_budget_free(budget);
	buf_release(&bytes);
}

static void base_of_another_size_than_told_is_eio(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct cid root = imported(room, bytes_str("hello"));
	struct data *data = data_new(&config, &root, 6);
	uint8_t byte;

	assert_int_equal(data_read(data, 0, &byte, 1, &room->wait), -EIO);
	data_free(data);
	data_budget_free(budget);
}

/* ---- sizes ---- */

static void sizes_over_8_tib_are_efbig(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct data *data = data_new(&config, NULL, 0);
	struct bytes byte = bytes_str("x");
	uint8_t *much = xcalloc(1, DATA_WRITE_MAX + 1);
	uint64_t at;

	assert_int_equal(data_truncate(data, DATA_SIZE_MAX + 1), -EFBIG);
	assert_int_equal(data_write(data, DATA_SIZE_MAX, byte, &room->wait), -EFBIG);
	assert_int_equal(data_write(data, UINT64_MAX, byte, &room->wait), -EFBIG);
	assert_int_equal(data_zero(data, DATA_SIZE_MAX - 1, 2, &room->wait), -EFBIG);
	assert_int_equal(data_zero(data, 1, UINT64_MAX, &room->wait), -EFBIG);
	assert_int_equal(data_copy(data, 0, data, DATA_SIZE_MAX, 1, &room->wait), -EFBIG);
	assert_int_equal(data_write(data, 0, bytes_of(much, DATA_WRITE_MAX + 1), &room->wait),
			 -EINVAL);
	assert_int_equal(data_size(data), 0);
	assert_false(data_is_dirty(data));
	assert_int_equal(data_write(data, DATA_SIZE_MAX - 1, byte, &room->wait), 0);
	assert_int_equal(data_size(data), DATA_SIZE_MAX);
	assert_int_equal(data_append(data, byte, &room->wait, &at), -EFBIG);
	free(much);
	data_free(data);
	data_budget_free(budget);
}

static void hole_of_8_tib_is_cheap(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct data *data = data_new(&config, NULL, 0);
	struct store_stat stat;
	int64_t place;

	assert_int_equal(data_truncate(data, DATA_SIZE_MAX), 0);
	assert_int_equal(data_write(data, DATA_SIZE_MAX / 2, bytes_str("x"), &room->wait), 0);
	assert_int_equal(data_held(data), 1);
	for (unsigned round = 0; round < 2; round++) {
		place = data_seek(data, 0, SEEK_DATA, &room->wait);
		assert_true(place == (int64_t)(DATA_SIZE_MAX / 2));
		place = data_seek(data, (uint64_t)place, SEEK_HOLE, &room->wait);
		assert_true(place == (int64_t)(DATA_SIZE_MAX / 2 + (round ? MIB : 1)));
		assert_int_equal(data_seek(data, (uint64_t)place, SEEK_DATA, &room->wait), -ENXIO);
		committed(room, data, round + 1);
	}
	assert_int_equal(store_stat(room->store, &stat), 0);
	assert_true(stat.blocks < 10);
	assert_int_equal(data_punch(data, 0, UINT64_MAX, &room->wait), 0);
	assert_int_equal(data_seek(data, 0, SEEK_DATA, &room->wait), -ENXIO);
	assert_int_equal(data_held(data), 0);
	data_free(data);
	data_budget_free(budget);
}

static void files_of_default_layout_have_the_roots_of_add(void **state)
{
	static const size_t sizes[] = { 0,   1,	      DATA_GRAIN - 1, DATA_GRAIN, MIB - 1,
					MIB, MIB + 1, 2 * MIB,	      5000000,	  3 * MIB + 1 };
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct data *data = data_new(&config, NULL, 0);
	struct buf bytes = { 0 };
	uint64_t generation = 0;

	import_data(&bytes, "splitmix64", 6 * MIB);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct bytes part = bytes_of(bytes.at + i, sizes[i]);
		struct cid expected = imported(room, part), root;

		assert_int_equal(data_truncate(data, sizes[i]), 0);
		assert_int_equal(data_write(data, 0, part, &room->wait), 0);
		if (i % 2)
			assert_int_equal(data_seal(data, DATA_SEAL_ALL, &room->wait), 0);
		root = committed(room, data, ++generation);
		assert_true(cid_equal(&root, &expected));
	}
	data_free(data);
	data_budget_free(budget);
	buf_release(&bytes);
}

/* ---- other layouts ---- */

static void file_of_another_layout_is_cut_anew(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct buf bytes = { 0 };

	import_data(&bytes, "splitmix64", 3 * MIB + 77);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(import_profile(&room->config, "unixfs-v0-2015"), 0);
		room->config.layout = i & 1 ? LAYOUT_TRICKLE : LAYOUT_BALANCED;
		if (i & 2)
			strcpy(room->config.chunker, "buzhash");
		struct cid base = imported(room, buf_bytes(&bytes)), root;
		struct data *data = data_new(&config, &base, bytes.len);

		/* As long as nothing changed it stays as it is. */
		root = committed(room, data, 1);
		assert_true(cid_equal(&root, &base));
		assert_int_equal(data_write(data, MIB + 5, bytes_str("changed"), &room->wait), 0);
		memcpy(bytes.at + MIB + 5, "changed", 7);
		bytes.at[3 * MIB] ^= 1;
		assert_int_equal(
			data_write(data, 3 * MIB, bytes_of(bytes.at + 3 * MIB, 1), &room->wait), 0);
		root = committed(room, data, 2);
		assert_int_equal(import_profile(&room->config, "unixfs-v1-2025"), 0);
		base = imported(room, buf_bytes(&bytes));
		assert_true(cid_equal(&root, &base));
		expect_bytes(room, data, buf_bytes(&bytes));
		data_free(data);
	}
	data_budget_free(budget);
	buf_release(&bytes);
}

/* ---- memory and blocks ---- */

static void sealed_chunk_keeps_its_block_until_the_cut_is_written(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct data *data = data_new(&config, NULL, 0);
	struct data_cut cut;
	struct buf bytes = { 0 };

	import_data(&bytes, "splitmix64", 2 * MIB + MIB / 2);
	assert_int_equal(data_write(data, 0, bytes_of(bytes.at, MIB - 1), &room->wait), 0);
	assert_false(data_has_full(data));
	assert_int_equal(data_write(data, MIB - 1,
				    bytes_of(bytes.at + MIB - 1, bytes.len - MIB + 1), &room->wait),
			 0);
	assert_true(data_has_full(data));
	assert_int_equal(data_seal(data, DATA_SEAL_FULL, &room->wait), 0);
	assert_false(data_has_full(data));
	assert_int_equal(data_bytes(data), bytes.len);
	for (unsigned written = 0; written < 2; written++) {
		assert_true(data_cut(data, 1, NULL, &cut));
		assert_int_equal(cut.count, 2 + 8);
		assert_int_equal(cut.items[0].kind, DATA_LEAF);
		assert_int_equal(cut.items[1].kind, DATA_LEAF);
		assert_int_equal(cut.items[1].len, MIB);
		assert_memory_equal(cut.items[1].block->data.at, bytes.at + MIB, MIB);
		assert_int_equal(cut.bytes, MIB / 2);
		data_cut_done(data, &cut, written);
		assert_int_equal(data_bytes(data), written ? MIB / 2 : bytes.len);
	}
	assert_false(data_cut(data, 1, NULL, &cut));
	data_free(data);
	data_budget_free(budget);
	buf_release(&bytes);
}

static void chunk_that_was_written_meanwhile_is_not_filled(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct data *data = data_new(&config, NULL, 0);
	uint8_t *bytes = xcalloc(1, MIB);
	uint64_t mark, chunk = 0;
	struct cid cid;

	assert_int_equal(data_write(data, 5, bytes_str("first"), &room->wait), 0);
	assert_true(data_next(data, DATA_SEAL_ALL, &chunk));
	assert_int_equal(chunk, 0);
	assert_int_equal(data_fill(data, 0, bytes, &room->wait, &mark), 10);
	assert_int_equal(data_write(data, 5, bytes_str("again"), &room->wait), 0);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(bytes, 10)), 0);
	struct block *block = block_copy(&cid, bytes_of(bytes, 10));

	assert_false(data_filled(data, 0, mark, block));
	assert_int_equal(data_read(data, 5, bytes, 5, &room->wait), 5);
	assert_memory_equal(bytes, "again", 5);
	assert_int_equal(data_fill(data, 1, bytes, &room->wait, &mark), -ENOENT);
	block_unref(block);
	free(bytes);
	data_free(data);
	data_budget_free(budget);
}

static void copies_of_whole_chunks_need_no_memory(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct buf bytes = { 0 };

	import_data(&bytes, "splitmix64", 3 * MIB + 100);
	struct cid base = imported(room, buf_bytes(&bytes)), root;
	struct data *from = data_new(&config, &base, bytes.len);
	struct data *to = data_new(&config, NULL, 0);

	assert_int_equal(data_copy(from, 0, to, 0, UINT64_MAX, &room->wait), bytes.len);
	assert_int_equal(data_bytes(to), 0);
	root = committed(room, to, 1);
	assert_true(cid_equal(&root, &base));
	/* Within the file, behind its end: chunks; then not in step: bytes. */
	assert_int_equal(data_copy(to, 0, to, 4 * MIB, 2 * MIB, &room->wait), 2 * MIB);
	assert_int_equal(data_bytes(to), 0);
	assert_int_equal(data_copy(to, 0, to, 7 * MIB + 1, MIB, &room->wait), MIB);
	assert_true(data_bytes(to) >= MIB);
	assert_int_equal(data_copy(to, 0, to, 10, 20, &room->wait), -EINVAL);
	assert_int_equal(data_copy(from, bytes.len, to, 0, 1, &room->wait), 0);
	data_free(from);
	data_free(to);
	data_budget_free(budget);
	buf_release(&bytes);
}

/* ---- records that cannot be ---- */

static int load_nothing(void *ctx, uint64_t generation, uint32_t grain, uint32_t from, uint8_t *at,
			size_t len)
{
	(void)ctx;
	(void)generation;
	(void)grain;
	(void)from;
	(void)at;
	(void)len;
	return -ENOENT;
}

static void damaged_records_are_refused(void **state)
{
	struct room *room = *state;
	struct data_budget *budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	struct data_config config = config_of(room, budget);
	struct cid raw, node;

	config.load = load_nothing;
	struct data *data = data_new(&config, NULL, 0);

	assert_int_equal(cid_of_data(&raw, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("x")), 0);
	assert_int_equal(cid_of_data(&node, 1, CODEC_DAG_PB, HASH_SHA2_256, bytes_str("x")), 0);
	assert_int_equal(data_load_size(data, 1, 11, 10), -EBADMSG);
	assert_int_equal(data_load_size(data, 1, 0, DATA_SIZE_MAX + 1), -EBADMSG);
	assert_int_equal(data_load_size(data, 2, 0, 2 * MIB + 5), 0);
	assert_int_equal(data_load_size(data, 1, 0, 2 * MIB + 5), -EBADMSG);
	assert_int_equal(data_load_leaf(data, 0, 0, NULL, 0), -EBADMSG);
	assert_int_equal(data_load_leaf(data, 0, 1, &node, 1), -EBADMSG);
	assert_int_equal(data_load_leaf(data, 0, 1, &raw, MIB + 1), -EBADMSG);
	assert_int_equal(data_load_leaf(data, 0, 1, &raw, 0), -EBADMSG);
	assert_int_equal(data_load_leaf(data, 0, 2, &raw, 1), -EBADMSG);
	assert_int_equal(data_load_leaf(data, 2, 1, &raw, 6), -EBADMSG);
	assert_int_equal(data_load_leaf(data, 3, 1, &raw, 1), -EBADMSG);
	assert_int_equal(data_load_span(data, 2, 0, 0, 0), -EBADMSG);
	assert_int_equal(data_load_span(data, 2, 0, DATA_GRAIN, 1), -EBADMSG);
	assert_int_equal(data_load_span(data, 2, 0, 1, DATA_GRAIN), -EBADMSG);
	assert_int_equal(data_load_span(data, 2, 32, 0, 6), -EBADMSG);
	assert_int_equal(data_load_span(data, 2, UINT32_MAX, 0, 6), -EBADMSG);
	/* A record that is gone: no bytes can be shown, and no write that needs them goes. */
	assert_int_equal(data_load_span(data, 2, 0, 10, 10), 0);
	uint8_t bytes[10];

	assert_int_equal(data_read(data, 10, bytes, 10, &room->wait), -EIO);
	assert_int_equal(data_write(data, 15, bytes_str("x"), &room->wait), -EIO);
	assert_int_equal(data_write(data, 10, bytes_str("0123456789"), &room->wait), 0);
	assert_int_equal(data_read(data, 10, bytes, 10, &room->wait), 10);
	/* In a run of zeros it is loaded at once. */
	assert_int_equal(data_load_leaf(data, 1, UINT32_MAX, NULL, 0), 0);
	assert_int_equal(data_load_span(data, 2, 16, 10, 10), -ENOENT);
	data_free(data);
	data_budget_free(budget);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(writer_over_the_budget_goes_on_after_a_cut),
		IN_ROOM(writer_that_waits_for_room_can_be_interrupted),
		IN_ROOM(write_that_must_read_a_missing_base_changes_nothing),
		IN_ROOM(base_of_another_size_than_told_is_eio),
		IN_ROOM(sizes_over_8_tib_are_efbig),
		IN_ROOM(hole_of_8_tib_is_cheap),
		IN_ROOM(files_of_default_layout_have_the_roots_of_add),
		IN_ROOM(file_of_another_layout_is_cut_anew),
		IN_ROOM(sealed_chunk_keeps_its_block_until_the_cut_is_written),
		IN_ROOM(chunk_that_was_written_meanwhile_is_not_filled),
		IN_ROOM(copies_of_whole_chunks_need_no_memory),
		IN_ROOM(damaged_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

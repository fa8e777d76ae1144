/* dag/tree/file_edit.c, file_chunks.c: roots of edited files are those of importing the same bytes,
 * for any size, chunk and width; and cost no more than what changed. */
#include "dag/tree/file_edit.h"

#include "dag/file.h"
#include "tests/dag/import_data.h"
#include "tests/dag/import_room.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define MIB (1u << 20)

/* A file as bytes, and what changed since its last root. */
struct model {
	struct file_edit_config config;
	struct buf data;
	struct cid root;
	uint64_t old_size;
	bool *changed; /* of each chunk */
	size_t changed_cap;
	struct file_change *changes;
};

static uint64_t seed = 1;

static uint64_t roll(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % below;
}

static struct cid imported(struct room *room, const struct file_edit_config *config,
			   struct bytes data, uint64_t *tree_size)
{
	int fd = memfd_create("edit", MFD_CLOEXEC);
	struct cid root;

	assert_true(fd >= 0);
	for (size_t at = 0; at < data.len;) {
		ssize_t put = write(fd, data.at + at, data.len - at);

		assert_true(put > 0);
		at += (size_t)put;
	}
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	snprintf(room->config.chunker, sizeof(room->config.chunker), "size-%u", config->chunk);
	room->config.links_max = config->width;
	room->config.hash_code = config->hash_code;
	assert_int_equal(import_fd(room->blocks, fd, &room->config, &room->wait, &root, tree_size),
			 0);
	close(fd);
	return root;
}

static uint64_t chunks_of(const struct model *model, uint64_t size)
{
	return (size + model->config.chunk - 1) / model->config.chunk;
}

/* Bytes [from, to) are not what they were. */
static void touch(struct model *model, uint64_t from, uint64_t to)
{
	size_t need = (size_t)chunks_of(model, to) + 1;

	if (need > model->changed_cap) {
		model->changed = xrealloc(model->changed, need);
		memset(model->changed + model->changed_cap, 0, need - model->changed_cap);
		model->changed_cap = need;
	}
	for (uint64_t at = from / model->config.chunk; at < chunks_of(model, to); at++)
		model->changed[at] = true;
}

static void resize(struct model *model, size_t size)
{
	size_t before = model->data.len;

	if (size > before)
		memset(buf_reserve(&model->data, size - before), 0, size - before);
	model->data.len = size;
	/* The old file has other bytes where this one is a hole now. */
	if (before < size && before < model->old_size)
		touch(model, before, size < model->old_size ? size : model->old_size);
	/* The chunks with the old end and with the new one are not as long as they were. */
	if (before && before % model->config.chunk)
		touch(model, before - 1, before);
	if (size && size != before)
		touch(model, size - 1, size);
}

static void put_bytes(struct model *model, size_t at, size_t len)
{
	uint8_t *to;

	if (at + len > model->data.len)
		resize(model, at + len);
	to = model->data.at + at;
	if (roll(4) == 0)
		memset(to, 0, len);
	else
		for (size_t i = 0; i < len; i++)
			to[i] = (uint8_t)roll(256);
	touch(model, at, at + len);
}

static bool all_zero(struct bytes data)
{
	for (size_t i = 0; i < data.len; i++)
		if (data.at[i])
			return false;
	return true;
}

/* Changes for what was touched; zeros as runs, or now and then as blocks. */
static size_t collect(struct room *room, struct model *model)
{
	uint64_t count = chunks_of(model, model->data.len), chunk = model->config.chunk;
	size_t used = 0;

	model->changes = xrealloc(model->changes, (count + 1) * sizeof(*model->changes));
	for (uint64_t i = 0; i < count && i < model->changed_cap; i++) {
		size_t left = model->data.len - i * chunk;
		struct bytes data =
			bytes_of(model->data.at + i * chunk, left < chunk ? left : chunk);
		struct file_change *before = used ? &model->changes[used - 1] : NULL;

		if (!model->changed[i])
			continue;
		if (all_zero(data) && roll(8)) {
			if (before && !cid_is_set(&before->cid) &&
			    before->chunk + before->count == i)
				before->count++;
			else
				model->changes[used++] =
					(struct file_change){ .chunk = i, .count = 1 };
			continue;
		}
		struct cid cid;

		assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, model->config.hash_code, data), 0);
		struct block *block = block_copy(&cid, data);

		assert_int_equal(blocks_put(room->blocks, block), 0);
		block_unref(block);
		model->changes[used++] = (struct file_change){ .chunk = i, .count = 1, .cid = cid };
	}
	return used;
}

static void check_edit(struct room *room, struct model *model)
{
	struct file_edit edit = { .old = cid_is_set(&model->root) ? &model->root : NULL,
				  .old_size = model->old_size,
				  .size = model->data.len,
				  .count = collect(room, model) };
	uint64_t size, expected_size;
	struct cid root, expected;

	edit.changes = model->changes;
	assert_int_equal(
		file_edit_make(room->blocks, &model->config, &edit, &room->wait, &root, &size), 0);
	expected = imported(room, &model->config, buf_bytes(&model->data), &expected_size);
	assert_true(cid_equal(&root, &expected));
	assert_int_equal(size, expected_size);
	assert_int_equal(
		file_edit_fits(room->blocks, &model->config, &root, model->data.len, &room->wait),
		1);
	model->root = root;
	model->old_size = model->data.len;
	if (model->changed)
		memset(model->changed, 0, model->changed_cap);
}

static void check_chunks(struct room *room, struct model *model)
{
	struct file_chunks *chunks =
		file_chunks_new(room->blocks, &model->config, &model->root, model->data.len);
	uint64_t count = chunks_of(model, model->data.len), chunk = model->config.chunk;

	for (unsigned i = 0; i < 20 && count; i++) {
		uint64_t index = roll(count), run = 0, found;
		size_t left = model->data.len - index * chunk;
		struct bytes data =
			bytes_of(model->data.at + index * chunk, left < chunk ? left : chunk);
		struct cid cid;
		uint32_t len;

		assert_int_equal(file_chunk(chunks, index, &room->wait, &cid, &len), 0);
		assert_int_equal(len, data.len);
		assert_int_equal(cid_verify(&cid, data), 0);
		bool zeros = all_zero(data);

		while (index + run < count) {
			uint64_t from = (index + run) * chunk;

			left = model->data.len - from;
			if (all_zero(bytes_of(model->data.at + from,
					      left < chunk ? left : chunk)) != zeros)
				break;
			run++;
		}
		assert_int_equal(file_chunks_run(chunks, index, zeros, &room->wait, &found), 0);
		assert_int_equal(found, run);
		assert_int_equal(file_chunks_run(chunks, index, !zeros, &room->wait, &found), 0);
		assert_int_equal(found, 0);
	}
	file_chunks_free(chunks);
}

static void model_release(struct model *model)
{
	buf_release(&model->data);
	free(model->changed);
	free(model->changes);
	*model = (struct model){ 0 };
}

static void edit_at_random(struct room *room, struct model *model, size_t size_max)
{
	for (uint64_t steps = 1 + roll(3); steps; steps--) {
		size_t size = model->data.len;

		switch (roll(6)) {
		case 0: /* anywhere, also behind the end */
			put_bytes(model, roll(size_max), 1 + roll(size_max / 8));
			break;
		case 1:
			resize(model, roll(size_max));
			break;
		case 2: /* to a boundary, or next to it */
			size = roll(chunks_of(model, size_max)) * model->config.chunk + roll(3);
			resize(model, size ? size - 1 : 0);
			break;
		case 3: /* append */
			put_bytes(model, size < size_max ? size : 0, 1 + roll(50));
			break;
		default:
			put_bytes(model, size ? roll(size) : 0, 1 + roll(40));
		}
	}
	check_edit(room, model);
}

static void edited_roots_are_those_of_importing(void **state)
{
	static const struct {
		uint32_t chunk, width;
		size_t size_max;
		unsigned edits;
	} cases[] = {
		{ 16, 2, 700, 600 }, { 16, 3, 1500, 600 },    { 1, 2, 60, 300 },
		{ 7, 5, 2000, 300 }, { 64, 4, 9000, 200 },    { 100, 1024, 3000, 100 },
		{ 16, 7, 64, 200 },  { 20, 1024, 60000, 40 },
	};
	struct room *room = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct model model = { 0 };

		file_edit_config_init(&model.config);
		model.config.chunk = cases[i].chunk;
		model.config.width = cases[i].width;
		for (unsigned edit = 0; edit < cases[i].edits; edit++) {
			edit_at_random(room, &model, cases[i].size_max);
			if (edit % 10 == 0)
				check_chunks(room, &model);
		}
		model_release(&model);
	}
}

static void default_layout_gives_the_roots_of_add(void **state)
{
	struct room *room = *state;
	struct model model = { 0 };

	file_edit_config_init(&model.config);
	for (unsigned edit = 0; edit < 12; edit++)
		edit_at_random(room, &model, 5 * MIB);
	check_chunks(room, &model);
	model_release(&model);
}

static void other_hash_functions_name_all_nodes(void **state)
{
	struct room *room = *state;
	struct model model = { 0 };

	file_edit_config_init(&model.config);
	model.config.hash_code = HASH_BLAKE3;
	model.config.chunk = 50;
	model.config.width = 3;
	for (unsigned edit = 0; edit < 30; edit++)
		edit_at_random(room, &model, 2000);
	model_release(&model);
}

static uint64_t stored(const struct room *room)
{
	struct store_stat stat;

	assert_int_equal(store_stat(room->store, &stat), 0);
	return stat.blocks;
}

/* 8 TiB: one zero chunk, a node for each of two levels, the root. */
static void hole_of_8_tib_takes_four_blocks(void **state)
{
	struct room *room = *state;
	struct file_edit edit = { .size = UINT64_C(8) << 40 };
	struct file_change change = { .chunk = 5000000, .count = 1 };
	struct file_edit_config config;
	struct file_chunks *chunks;
	struct file *file;
	struct cid root, other;
	uint64_t run;
	uint8_t byte = 1;

	file_edit_config_init(&config);
	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &root, NULL), 0);
	assert_int_equal(stored(room), 4);
	assert_int_equal(file_open(room->blocks, &root, &room->wait, &file), 0);
	assert_int_equal(file_size(file), edit.size);
	assert_int_equal(file_read(file, edit.size - 1, &byte, 1, &room->wait), 1);
	assert_int_equal(byte, 0);
	file_close(file);

	/* One byte in the middle: its chunk, and a node a level. */
	assert_int_equal(cid_of_data(&change.cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("")), 0);
	edit.old = &root;
	edit.old_size = edit.size;
	edit.changes = &change;
	edit.count = 1;
	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &other, NULL),
			 0);
	assert_int_equal(stored(room), 7);
	chunks = file_chunks_new(room->blocks, &config, &other, edit.size);
	assert_int_equal(file_chunks_run(chunks, 0, true, &room->wait, &run), 0);
	assert_int_equal(run, 5000000);
	assert_int_equal(file_chunks_run(chunks, 5000000, false, &room->wait, &run), 0);
	assert_int_equal(run, 1);
	assert_int_equal(file_chunks_run(chunks, 5000001, true, &room->wait, &run), 0);
	assert_int_equal(run, 8 * MIB - 5000001);
	file_chunks_free(chunks);

	/* Back to the hole: nothing new. */
	change.cid = (struct cid){ 0 };
	edit.old = &other;
	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &other, NULL),
			 0);
	assert_true(cid_equal(&root, &other));
	assert_int_equal(stored(room), 7);
}

static void change_of_one_chunk_puts_one_path(void **state)
{
	struct room *room = *state;
	struct file_edit_config config = { .chunk = 10, .width = 4, .hash_code = HASH_SHA2_256 };
	struct file_change change = { .chunk = 100, .count = 1 };
	struct buf data = { 0 };
	struct cid root, other;
	uint64_t size;

	import_data(&data, "splitmix64", 10240);
	root = imported(room, &config, buf_bytes(&data), &size);
	assert_int_equal(
		cid_of_data(&change.cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("0123456789")), 0);
	struct file_edit edit = {
		.old = &root, .old_size = data.len, .size = data.len, .changes = &change, .count = 1
	};
	uint64_t before = stored(room);

	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &other, NULL),
			 0);
	assert_int_equal(stored(room), before + 5); /* 4^5 chunks */
	buf_release(&data);
}

/* ---- other layouts ---- */

static void only_our_layout_fits(void **state)
{
	struct room *room = *state;
	struct file_edit_config config = { .chunk = 100, .width = 4, .hash_code = HASH_SHA2_256 };
	struct file_edit_config other = config;
	static const size_t sizes[] = { 0, 1, 99, 100, 101, 400, 401, 5000 };
	struct cid root;
	struct buf data = { 0 };
	uint64_t size;

	import_data(&data, "mod251", 5000);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct bytes bytes = bytes_of(data.at, sizes[i]);

		root = imported(room, &config, bytes, &size);
		assert_int_equal(
			file_edit_fits(room->blocks, &config, &root, sizes[i], &room->wait), 1);
		/* Told a wrong size. */
		if (sizes[i] > 1)
			assert_int_equal(file_edit_fits(room->blocks, &config, &root,
							sizes[i] + 100, &room->wait),
					 0);
		room->config.raw_leaves = false;
		root = imported(room, &config, bytes, &size);
		assert_int_equal(
			file_edit_fits(room->blocks, &config, &root, sizes[i], &room->wait), 0);
		room->config.cid_version = 0;
		root = imported(room, &config, bytes, &size);
		assert_int_equal(
			file_edit_fits(room->blocks, &config, &root, sizes[i], &room->wait), 0);
		room->config.raw_leaves = true;
		room->config.cid_version = 1;
		if (sizes[i] <= 400)
			continue;
		room->config.layout = LAYOUT_TRICKLE;
		root = imported(room, &config, bytes, &size);
		assert_int_equal(
			file_edit_fits(room->blocks, &config, &root, sizes[i], &room->wait), 0);
		room->config.layout = LAYOUT_BALANCED;
		other.width = 5;
		root = imported(room, &other, bytes, &size);
		assert_int_equal(
			file_edit_fits(room->blocks, &config, &root, sizes[i], &room->wait), 0);
		other = config;
		other.chunk = 200;
		root = imported(room, &other, bytes, &size);
		assert_int_equal(
			file_edit_fits(room->blocks, &config, &root, sizes[i], &room->wait), 0);
		other = config;
	}
	buf_release(&data);
}

static void recut_files_have_the_roots_of_importing(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 101, 400, 1999, 5000 };
	struct file_edit_config config = { .chunk = 100, .width = 4, .hash_code = HASH_SHA2_256 };
	struct file_edit_config other = { .chunk = 33, .width = 3, .hash_code = HASH_SHA2_256 };
	struct room *room = *state;
	struct buf data = { 0 };

	import_data(&data, "splitmix64", 5000);
	for (size_t i = 0; i < ARRAY_LEN(sizes) * 2; i++) {
		struct bytes bytes = bytes_of(data.at, sizes[i / 2]);
		struct cid old, root, expected;
		uint64_t size, recut_size;

		room->config.layout = i % 2 ? LAYOUT_TRICKLE : LAYOUT_BALANCED;
		room->config.raw_leaves = false;
		old = imported(room, &other, bytes, &size);
		room->config.layout = LAYOUT_BALANCED;
		room->config.raw_leaves = true;
		expected = imported(room, &config, bytes, &size);
		assert_int_equal(
			file_recut(room->blocks, &config, &old, &room->wait, &root, &recut_size),
			0);
		assert_true(cid_equal(&root, &expected));
		assert_int_equal(recut_size, bytes.len);
	}
	buf_release(&data);
}

/* ---- what is not as it says ---- */

static void missing_node_of_the_old_file_fails(void **state)
{
	struct room *room = *state;
	struct file_edit_config config = { .chunk = 10, .width = 4, .hash_code = HASH_SHA2_256 };
	struct buf data = { 0 };
	struct cid root, made;
	uint64_t size;

	import_data(&data, "mod251", 1000);
	root = imported(room, &config, buf_bytes(&data), &size);
	struct file_edit edit = { .old = &root, .old_size = 1000, .size = 500 };

	assert_int_equal(store_delete(room->store, cid_hash_bytes(&root)), 0);
	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &made, NULL),
			 -EHOSTUNREACH);
	assert_int_equal(file_edit_fits(room->blocks, &config, &root, 1000, &room->wait),
			 -EHOSTUNREACH);
	buf_release(&data);
}

static void node_of_another_shape_is_refused(void **state)
{
	struct room *room = *state;
	struct file_edit_config config = { .chunk = 10, .width = 4, .hash_code = HASH_SHA2_256 };
	struct file_edit_config other = { .chunk = 10, .width = 5, .hash_code = HASH_SHA2_256 };
	struct buf data = { 0 };
	struct cid root, made;
	uint64_t size;

	import_data(&data, "mod251", 1000);
	root = imported(room, &other, buf_bytes(&data), &size);
	struct file_edit edit = { .old = &root, .old_size = 1000, .size = 500 };

	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &made, NULL),
			 -EBADMSG);
	buf_release(&data);
}

static void files_of_too_many_chunks_are_refused(void **state)
{
	struct room *room = *state;
	struct file_edit_config config = { .chunk = 1, .width = 2, .hash_code = HASH_SHA2_256 };
	struct file_edit edit = { .size = FILE_EDIT_CHUNKS_MAX };
	struct cid root;

	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &root, NULL), 0);
	edit.size++;
	assert_int_equal(file_edit_make(room->blocks, &config, &edit, &room->wait, &root, NULL),
			 -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(edited_roots_are_those_of_importing),
		IN_ROOM(default_layout_gives_the_roots_of_add),
		IN_ROOM(other_hash_functions_name_all_nodes),
		IN_ROOM(hole_of_8_tib_takes_four_blocks),
		IN_ROOM(change_of_one_chunk_puts_one_path),
		IN_ROOM(only_our_layout_fits),
		IN_ROOM(recut_files_have_the_roots_of_importing),
		IN_ROOM(missing_node_of_the_old_file_fails),
		IN_ROOM(node_of_another_shape_is_refused),
		IN_ROOM(files_of_too_many_chunks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

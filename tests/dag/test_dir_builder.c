/* dag/import/dir_builder.c and hamt_write.c: directories as boxo makes them. */
#include "dag/import.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct room {
	struct store *store;
	struct blocks *blocks;
	struct import_config config;
};

static void room_open(struct room *room, const char *profile)
{
	room->store = store_new_memory();
	room->blocks = blocks_new(room->store, NULL);
	assert_int_equal(import_profile(&room->config, profile), 0);
}

static void room_close(struct room *room)
{
	blocks_free(room->blocks);
	store_close(room->store);
}

static const char *finish(struct dir_builder *dir, char text[static CID_TEXT_MAX], uint64_t *size)
{
	struct cid cid;

	assert_int_equal(dir_builder_finish(dir, 0, false, 0, 0, &cid, size), 0);
	return cid_text(&cid, text);
}

static void add_raw(struct dir_builder *dir, const char *name)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str(name)), 0);
	assert_int_equal(dir_builder_add(dir, bytes_str(name), &cid, strlen(name)), 0);
}

static void check_block(const struct room *room, const char *cid_text_form, const json_t *vector)
{
	struct buf expected = { 0 };
	struct block *block;
	struct cid cid;

	if (!json_object_get(vector, "block_hex"))
		return;
	vector_hex(&expected, vector, "block_hex");
	assert_int_equal(cid_from_text(&cid, cid_text_form), 0);
	assert_int_equal(store_get(room->store, &cid, &block), 0);
	assert_bytes_equal(block->data, buf_bytes(&expected));
	block_unref(block);
	buf_release(&expected);
}

static void hamt_case(struct room *room, const json_t *vector)
{
	const json_t *entries = json_object_get(vector, "entries");
	bool removing = json_is_string(entries);
	int count = removing ? 1000 : (int)json_integer_value(entries);
	char name[32], text[CID_TEXT_MAX];
	struct dir_builder *dir;
	uint64_t size;

	room->config.cid_version =
		(unsigned)json_integer_value(json_object_get(vector, "cid_version"));
	room->config.hamt_fanout = (unsigned)json_integer_value(json_object_get(vector, "fanout"));
	room->config.hamt_threshold = 0;
	dir = dir_builder_new(room->blocks, &room->config);
	for (int i = count - 1; i >= 0; i--) {
		snprintf(name, sizeof(name), "file-%d", i);
		add_raw(dir, name);
	}
	for (int i = 0; removing && i < 990; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		assert_int_equal(dir_builder_remove(dir, bytes_str(name)), 0);
		assert_int_equal(dir_builder_remove(dir, bytes_str(name)), -ENOENT);
	}
	finish(dir, text, &size);
	assert_string_equal(text, vector_text(vector, "cid"));
	if (!removing)
		assert_int_equal(size, json_integer_value(json_object_get(vector, "tsize")));
	check_block(room, text, vector);
	dir_builder_free(dir);
}

static void shards_are_boxos(void **state)
{
	json_t *file = vector_json("hamt.json");
	struct room room;
	json_t *vector;
	size_t i;

	(void)state;
	room_open(&room, "unixfs-v1-2025");
	json_array_foreach(json_object_get(file, "vectors"), i, vector)
		hamt_case(&room, vector);
	assert_true(i > 0);
	room_close(&room);
	json_decref(file);
}

/* The file "x" as the profile imports it. */
static void leaf_of_profile(const struct import_config *config, struct cid *cid, uint64_t *size)
{
	struct buf block = { 0 };

	if (config->raw_leaves)
		buf_add_str(&block, "x");
	else
		hex_decode(&block, "0a0708021201781801");
	*size = block.len;
	assert_int_equal(cid_of_data(cid, config->cid_version,
				     config->raw_leaves ? CODEC_RAW : CODEC_DAG_PB, HASH_SHA2_256,
				     buf_bytes(&block)),
			 0);
	buf_release(&block);
}

static void threshold_case(const json_t *vector)
{
	size_t count = (size_t)json_integer_value(json_object_get(vector, "entries"));
	const json_t *last_len = json_object_get(vector, "last_name_len");
	char name[101], text[CID_TEXT_MAX];
	struct dir_builder *dir;
	struct room room;
	struct block *block;
	struct cid leaf, root;
	uint64_t size;

	room_open(&room, vector_text(vector, "profile"));
	leaf_of_profile(&room.config, &leaf, &size);
	dir = dir_builder_new(room.blocks, &room.config);
	for (size_t i = 0; i < count; i++) {
		size_t len = 100;
		int used = snprintf(name, sizeof(name), "entry-%04zu", i);

		memset(name + used, '_', sizeof(name) - (size_t)used);
		if (last_len && i == count - 1)
			len = (size_t)json_integer_value(last_len);
		assert_int_equal(dir_builder_add(dir, bytes_of(name, len), &leaf, size), 0);
	}
	finish(dir, text, &size);
	assert_string_equal(text, vector_text(vector, "cid"));
	assert_int_equal(cid_from_text(&root, text), 0);
	assert_int_equal(store_get(room.store, &root, &block), 0);
	assert_int_equal(block->data.len,
			 json_integer_value(json_object_get(vector, "root_block_size")));
	block_unref(block);
	dir_builder_free(dir);
	room_close(&room);
}

static void threshold_is_boxos(void **state)
{
	json_t *file = vector_json("dir-threshold.json");
	json_t *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(file, "vectors"), i, vector)
		threshold_case(vector);
	assert_true(i > 0);
	json_decref(file);
}

/* Over the threshold and back under it: as if it never had been over. */
static void removal_goes_back_to_basic(void **state)
{
	char name[300], before[CID_TEXT_MAX], after[CID_TEXT_MAX];
	struct dir_builder *dir;
	struct room room;
	uint64_t size, size_after;

	(void)state;
	room_open(&room, "unixfs-v1-2025");
	dir = dir_builder_new(room.blocks, &room.config);
	add_raw(dir, "a");
	add_raw(dir, "b");
	finish(dir, before, &size);
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof(name), "%060d", i);
		add_raw(dir, name);
	}
	finish(dir, after, &size_after);
	assert_string_not_equal(before, after);
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof(name), "%060d", i);
		assert_int_equal(dir_builder_remove(dir, bytes_str(name)), 0);
	}
	add_raw(dir, "a"); /* replaces itself */
	finish(dir, after, &size_after);
	assert_string_equal(before, after);
	assert_int_equal(size, size_after);
	dir_builder_free(dir);
	room_close(&room);
}

static void names_are_judged(void **state)
{
	char longest[257];
	struct dir_builder *dir;
	struct room room;
	struct cid cid;

	(void)state;
	memset(longest, 'n', sizeof(longest));
	room_open(&room, "unixfs-v1-2025");
	dir = dir_builder_new(room.blocks, &room.config);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(NULL, 0)), 0);
	assert_int_equal(dir_builder_add(dir, bytes_str(""), &cid, 0), -EINVAL);
	assert_int_equal(dir_builder_add(dir, bytes_str("."), &cid, 0), -EINVAL);
	assert_int_equal(dir_builder_add(dir, bytes_str(".."), &cid, 0), -EINVAL);
	assert_int_equal(dir_builder_add(dir, bytes_str("a/b"), &cid, 0), -EINVAL);
	assert_int_equal(dir_builder_add(dir, bytes_of("a\0b", 3), &cid, 0), -EINVAL);
	assert_int_equal(dir_builder_add(dir, bytes_of(longest, 256), &cid, 0), -EINVAL);
	assert_int_equal(dir_builder_add(dir, bytes_of(longest, 255), &cid, 0), 0);
	assert_int_equal(dir_builder_add(dir, bytes_str("..."), &cid, 0), 0);
	dir_builder_free(dir);
	room_close(&room);
}

/* Of unixfs-dirs.json the directories; its files and symlinks are in test_import.c. */
static void basic_case(const json_t *vector)
{
	static const char *const names[] = { "b.txt", "a.txt", "Z", "é", "aa", "a" };
	const char *desc = vector_text(vector, "desc");
	bool has_metadata = strstr(desc, "mtime") != NULL;
	char text[CID_TEXT_MAX];
	struct dir_builder *dir;
	struct room room;
	struct cid cid;
	uint64_t size;

	room_open(&room, strstr(desc, "dir v0") ? "unixfs-v0-2015" : "unixfs-v1-2025");
	dir = dir_builder_new(room.blocks, &room.config);
	for (size_t i = 0; strstr(desc, "entries") && i < ARRAY_LEN(names); i++) {
		struct buf leaf = { 0 };

		buf_printf(&leaf, "content of %s", names[i]);
		if (!room.config.raw_leaves) { /* as a dag-pb leaf */
			struct buf wrapped = { 0 };

			buf_printf(&wrapped, "\n%c\b\002\022%c%.*s\030%c", (int)leaf.len + 6,
				   (int)leaf.len, (int)leaf.len, (char *)leaf.at, (int)leaf.len);
			buf_release(&leaf);
			leaf = wrapped;
		}
		assert_int_equal(cid_of_data(&cid, room.config.cid_version,
					     room.config.raw_leaves ? CODEC_RAW : CODEC_DAG_PB,
					     HASH_SHA2_256, buf_bytes(&leaf)),
				 0);
		assert_int_equal(dir_builder_add(dir, bytes_str(names[i]), &cid, leaf.len), 0);
		buf_release(&leaf);
	}
	assert_int_equal(dir_builder_finish(dir, has_metadata ? 0755 : 0, has_metadata, 1700000000,
					    123456789, &cid, &size),
			 0);
	assert_string_equal(cid_text(&cid, text), vector_text(vector, "cid"));
	assert_int_equal(size, json_integer_value(json_object_get(vector, "tsize")));
	check_block(&room, text, vector);
	dir_builder_free(dir);
	room_close(&room);
}

static void basic_directories_are_boxos(void **state)
{
	json_t *file = vector_json("unixfs-dirs.json");
	size_t i, done = 0;
	json_t *vector;

	(void)state;
	json_array_foreach(json_object_get(file, "vectors"), i, vector) {
		const char *desc = vector_text(vector, "desc");

		if (strncmp(desc, "empty dir", 9) != 0 && strncmp(desc, "dir v", 5) != 0)
			continue;
		basic_case(vector);
		done++;
	}
	assert_int_equal(done, 6);
	json_decref(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic_directories_are_boxos),
		cmocka_unit_test(shards_are_boxos),
		cmocka_unit_test(threshold_is_boxos),
		cmocka_unit_test(removal_goes_back_to_basic),
		cmocka_unit_test(names_are_judged),
	};

	return cmocka_run_group_tests_name("dag/dir_builder", tests, NULL, NULL);
}

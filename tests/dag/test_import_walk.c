/* dag/import/import_walk.c: trees of files as Kubo adds them, what is refused, what goes wrong on
 * the way.
 */
#include "net/base/err.h"
#include "tests/dag/import_data.h"
#include "tests/dag/import_room.h"
#include "tests/vector.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void on_done(void *ctx, const struct import_event *event)
{
	struct room *room = ctx;

	buf_printf(&room->events, "%s %llu;", event->path, (unsigned long long)event->bytes);
}

static void trees_are_kubos(void **state)
{
	static const char *const names[] = { "b.txt", "a.txt", "Z", "é", "aa", "a" };
	struct room *room = *state;
	char text[CID_TEXT_MAX], content[64];
	uint64_t size;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(content, sizeof(content), "content of %s", names[i]);
		room_put_file(room, names[i], bytes_str(content));
	}
	room_put_file(room, ".hidden", bytes_str("not seen"));
	room->config.on_done = on_done;
	room->config.ctx = room;
	assert_int_equal(room_import(room, "", text, &size, NULL), 0);
	assert_string_equal(text, "bafybeihhlrfuoiddrxyg736a3qrbq2ksluafoabbohe5tofjmaxxfobabi");
	assert_int_equal(size, 366);
	buf_add_u8(&room->events, '\0');
	assert_string_equal(
		(char *)room->events.at,
		"top/Z 12;top/a 12;top/a.txt 16;top/aa 13;top/b.txt 16;top/é 13;top 82;");
	assert_int_equal(import_profile(&room->config, "unixfs-v0-2015"), 0);
	assert_int_equal(room_import(room, "", text, &size, NULL), 0);
	assert_string_equal(text, "Qma62e5gimAi12svdgySEzoqFvTz5tYFjR1KNk8BbZMVXS");
	assert_int_equal(size, 402);
	room->config.hidden = true;
	assert_int_equal(room_import(room, "", text, &size, NULL), 0);
	assert_string_not_equal(text, "Qma62e5gimAi12svdgySEzoqFvTz5tYFjR1KNk8BbZMVXS");
}

static void symlinks_are_kept_or_followed(void **state)
{
	struct room *room = *state;
	char text[CID_TEXT_MAX], followed[CID_TEXT_MAX];
	uint64_t size;
	char *failed;

	room_put_link(room, "link", "../target/file");
	assert_int_equal(room_import(room, "/link", text, &size, NULL), 0);
	assert_string_equal(text, "bafybeifg2tvh54lkii5v2jsbubbq3u72ltrcxgipvv4vtsaya4xmltbari");
	assert_int_equal(size, 20);
	room->config.follow_symlinks = true;
	assert_int_equal(room_import(room, "/link", text, &size, &failed), -ENOENT);
	assert_non_null(strstr(failed, "/link"));
	free(failed);

	room_put_dir(room, "d");
	room_put_file(room, "d/f", bytes_str("hello world"));
	room_put_link(room, "d/g", "f");
	room_put_dir(room, "e");
	room_put_file(room, "e/f", bytes_str("hello world"));
	room_put_file(room, "e/g", bytes_str("hello world"));
	assert_int_equal(room_import(room, "/d", followed, &size, NULL), 0);
	assert_int_equal(room_import(room, "/e", text, &size, NULL), 0);
	assert_string_equal(text, followed);
	room_put_link(room, "d/h", "../d");
	assert_int_equal(room_import(room, "/d", text, &size, &failed), -ELOOP);
	assert_non_null(strstr(failed, "/d/h"));
	free(failed);
	room->config.follow_symlinks = false;
	assert_int_equal(room_import(room, "/d", text, &size, NULL), 0);
}

/* A file of many leaves has its metadata in the root and nowhere else, in either layout. */
static void metadata_is_in_the_root(void **state)
{
	static const struct timespec times[2] = { { 0 }, { 1700000000, 123456789 } };
	struct room *room = *state;
	char *path = xasprintf("%s/f", room->dir);
	char text[CID_TEXT_MAX], plain_text[CID_TEXT_MAX];

	room_put_file(room, "f", bytes_str("hello world"));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	room->config.raw_leaves = false;
	strcpy(room->config.chunker, "size-4");
	for (int i = 0; i < 2; i++) {
		struct buf expected = { 0 };
		struct block *block, *plain;
		uint64_t size, plain_size;
		struct cid cid;

		room->config.layout = i ? LAYOUT_TRICKLE : LAYOUT_BALANCED;
		room->config.preserve_mtime = false;
		assert_int_equal(room_import(room, "/f", plain_text, &plain_size, NULL), 0);
		room->config.preserve_mtime = true;
		assert_int_equal(room_import(room, "/f", text, &size, NULL), 0);
		assert_int_equal(cid_from_text(&cid, plain_text), 0);
		assert_int_equal(store_get(room->store, &cid, &plain), 0);
		assert_int_equal(cid_from_text(&cid, text), 0);
		assert_int_equal(store_get(room->store, &cid, &block), 0);
		assert_int_equal(size, plain_size + 13);
		hex_decode(&expected, "420b0880e2cfaa061515cd5b07");
		assert_int_equal(block->data.len, plain->data.len + expected.len);
		assert_bytes_equal(bytes_skip(block->data, plain->data.len), buf_bytes(&expected));
		block_unref(block);
		block_unref(plain);
		buf_release(&expected);
	}
	free(path);
}

static const json_t *described(const json_t *file, const char *desc)
{
	json_t *vector;
	size_t i;

	json_array_foreach(json_object_get(file, "vectors"), i, vector)
		if (strcmp(vector_text(vector, "desc"), desc) == 0)
			return vector;
	fail_msg("no vector \"%s\"", desc);
	return NULL;
}

/* Of unixfs-dirs.json the files and symlinks; its directories are in test_dir_builder.c. */
static void nodes_are_boxos(void **state)
{
	static const struct {
		const char *desc;
		unsigned mode; /* 0: no metadata */
		struct timespec mtime;
	} cases[] = {
		{ "symlink v%u -> ../target/file", 0, { 0 } },
		{ "file 'hello world' v%u", 0, { 0 } },
		{ "file 'hello world' v%u dag-pb leaf, mode 0644, mtime 1700000000.123456789",
		  0644,
		  { 1700000000, 123456789 } },
		{ "file 'hello world' v%u dag-pb leaf, mode 04755 (setuid), mtime -1 s no nanos",
		  04755,
		  { -1, 0 } },
	};
	json_t *file = vector_json("unixfs-dirs.json");
	struct room *room = *state;
	char desc[128], text[CID_TEXT_MAX];
	char *path = xasprintf("%s/f", room->dir);
	uint64_t size;

	room_put_link(room, "link", "../target/file");
	room_put_file(room, "f", bytes_str("hello world"));
	for (unsigned i = 0; i < ARRAY_LEN(cases) * 2; i++) {
		struct timespec times[2] = { cases[i / 2].mtime, cases[i / 2].mtime };
		bool keep = cases[i / 2].mode != 0;

		assert_int_equal(
			import_profile(&room->config, i % 2 ? "unixfs-v1-2025" : "unixfs-v0-2015"),
			0);
		room->config.preserve_mode = room->config.preserve_mtime = keep;
		assert_int_equal(keep ? chmod(path, cases[i / 2].mode) : 0, 0);
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		assert_int_equal(room_import(room, i / 2 ? "/f" : "/link", text, &size, NULL), 0);
		snprintf(desc, sizeof(desc), cases[i / 2].desc, i % 2);
		assert_string_equal(text, vector_text(described(file, desc), "cid"));
		assert_int_equal(
			size, json_integer_value(json_object_get(described(file, desc), "tsize")));
	}
	free(path);
	json_decref(file);
}

static void special_files_are_refused(void **state)
{
	struct room *room = *state;
	char text[CID_TEXT_MAX];
	uint64_t size;
	char *failed, *path = xasprintf("%s/a/pipe", room->dir);

	room_put_dir(room, "a");
	room_put_file(room, "a/before", bytes_str("x"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(room_import(room, "", text, &size, &failed), -ENOTSUP);
	assert_string_equal(failed, path);
	free(failed);
	assert_int_equal(room_import(room, "/none", text, &size, &failed), -ENOENT);
	assert_non_null(strstr(failed, "/none"));
	free(failed);
	free(path);
}

/* Deeper than directories are kept open, and longer than a path may be. */
static void deep_trees(void **state)
{
	struct room *room = *state;
	char text[CID_TEXT_MAX], name[201];
	uint64_t size;
	char *failed;
	int dir = open(room->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int depth = 1; depth < 1000; depth++) {
		int below, file = openat(dir, "z", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		assert_true(file >= 0);
		close(file);
		assert_int_equal(mkdirat(dir, name, 0755), 0);
		below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		close(dir);
		dir = below;
	}
	assert_int_equal(room_import(room, "", text, &size, NULL), 0);
	assert_int_equal(mkdirat(dir, name, 0755), 0);
	close(dir);
	assert_int_equal(room_import(room, "", text, &size, &failed), -E2BIG);
	assert_int_equal(strlen(failed), strlen(room->dir) + 1000 * 201);
	free(failed);
}

static void large_directories_become_hamts(void **state)
{
	struct room *room = *state;
	char name[16], text[CID_TEXT_MAX], removed[CID_TEXT_MAX];
	struct dir_builder *dir = dir_builder_new(room->blocks, &room->config);
	struct cid cid;
	uint64_t size, built_size;

	for (int i = 0; i < 6000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		room_put_file(room, name, bytes_str(name));
		assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str(name)),
				 0);
		assert_int_equal(dir_builder_add(dir, bytes_str(name), &cid, strlen(name)), 0);
	}
	assert_int_equal(room_import(room, "", text, &size, NULL), 0);
	assert_int_equal(dir_builder_finish(dir, 0, false, 0, 0, &cid, &built_size), 0);
	assert_string_equal(text, cid_text(&cid, removed));
	assert_int_equal(size, built_size);
	dir_builder_free(dir);
}

static void cancel_after(void *ctx, uint64_t bytes)
{
	struct room *room = ctx;

	(void)bytes;
	wait_cancel(&room->wait);
}

static void append_more(void *ctx, uint64_t bytes)
{
	struct room *room = ctx;

	(void)bytes;
	room->config.on_bytes = NULL;
	room_put_file(room, "f", bytes_str("changed while it is read"));
}

static void interruption_and_change_end_it(void **state)
{
	struct room *room = *state;
	struct buf data = { 0 };
	char text[CID_TEXT_MAX];
	uint64_t size;
	char *failed;

	import_data(&data, "mod251", 3 << 20);
	room_put_file(room, "f", buf_bytes(&data));
	room->config.ctx = room;
	room->config.on_bytes = cancel_after;
	assert_int_equal(room_import(room, "", text, &size, &failed), -EINTR);
	free(failed);
	wait_start(&room->wait, 0);
	room->config.on_bytes = append_more;
	assert_int_equal(room_import(room, "", text, &size, &failed), -ESTALE);
	assert_non_null(strstr(failed, "/f"));
	free(failed);
	buf_release(&data);
}

static void change_attributes(void *ctx, uint64_t bytes)
{
	struct room *room = ctx;
	char *path = xasprintf("%s/f", room->dir), *other = xasprintf("%s-link", room->dir);

	(void)bytes;
	if (access(path, F_OK) == 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 },
			  NULL); /* a tick of its clock */
		assert_int_equal(chmod(path, 0600), 0);
		assert_int_equal(link(path, other), 0);
		assert_int_equal(unlink(path), 0);
		unlink(other);
	}
	free(other);
	free(path);
}

static void attributes_may_change_while_it_is_read(void **state)
{
	struct room *room = *state;
	struct buf data = { 0 };
	char text[CID_TEXT_MAX], again[CID_TEXT_MAX];
	uint64_t size;

	import_data(&data, "mod251", 3 << 20);
	room_put_file(room, "f", buf_bytes(&data));
	assert_int_equal(room_import(room, "", text, &size, NULL), 0);
	room->config.ctx = room;
	room->config.on_bytes = change_attributes;
	assert_int_equal(room_import(room, "", again, &size, NULL), 0);
	assert_string_equal(again, text);
	buf_release(&data);
}

static void remove_next(void *ctx, uint64_t bytes)
{
	struct room *room = ctx;
	char *path = xasprintf("%s/g", room->dir);

	(void)bytes;
	unlink(path);
	free(path);
}

static void vanished_files_are_told(void **state)
{
	struct room *room = *state;
	char text[CID_TEXT_MAX];
	uint64_t size;
	char *failed;

	room_put_file(room, "f", bytes_str("there"));
	room_put_file(room, "g", bytes_str("soon not"));
	room->config.ctx = room;
	room->config.on_bytes = remove_next;
	assert_int_equal(room_import(room, "", text, &size, &failed), -ENOENT);
	assert_non_null(strstr(failed, "/g"));
	free(failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(trees_are_kubos),
		IN_ROOM(symlinks_are_kept_or_followed),
		IN_ROOM(metadata_is_in_the_root),
		IN_ROOM(nodes_are_boxos),
		IN_ROOM(special_files_are_refused),
		IN_ROOM(deep_trees),
		IN_ROOM(large_directories_become_hamts),
		IN_ROOM(interruption_and_change_end_it),
		IN_ROOM(attributes_may_change_while_it_is_read),
		IN_ROOM(vanished_files_are_told),
	};

	return cmocka_run_group_tests_name("dag/import_walk", tests, NULL, NULL);
}

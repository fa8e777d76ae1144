/* dag/import.c and its parts: CIDs as boxo and Kubo make them, trees of files, errors. Vectors of
 * more than DATA_MAX bytes (two of unixfs-files.json, 1 GiB) are left out: `make bench` imports as
 * much. */
#include "dag/chunker.h"
#include "dag/import.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "tests/dag/import_data.h"
#include "tests/vector.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA_MAX (64u << 20)
#define STORED_MAX (4u << 20) /* larger ones are only hashed */

struct room {
	struct store *store;
	struct blocks blocks;
	struct import_config config;
	struct wait wait;
	char dir[64];
	struct buf events;
};

static int room_open(void **state)
{
	struct room *room = xnew(struct room);

	room->store = store_new_memory();
	blocks_init(&room->blocks, room->store, NULL);
	assert_int_equal(import_profile(&room->config, "unixfs-v1-2025"), 0);
	assert_int_equal(wait_init(&room->wait), 0);
	wait_start(&room->wait, 0);
	strcpy(room->dir, "/tmp/dagfs-import-XXXXXX");
	assert_non_null(mkdtemp(room->dir));
	*state = room;
	return 0;
}

static int room_close(void **state)
{
	struct room *room = *state;
	char *command = xasprintf("rm -rf %s", room->dir);

	assert_int_equal(system(command), 0);
	free(command);
	wait_release(&room->wait);
	blocks_release(&room->blocks);
	store_close(room->store);
	buf_release(&room->events);
	free(room);
	return 0;
}

static int memory_file(struct bytes data)
{
	int fd = memfd_create("import", MFD_CLOEXEC);

	assert_true(fd >= 0);
	while (data.len > 0) {
		ssize_t put = write(fd, data.at, data.len);

		assert_true(put > 0);
		data = bytes_skip(data, (size_t)put);
	}
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static const char *import_bytes(struct room *room, struct bytes data,
				char text[static CID_TEXT_MAX], uint64_t *size)
{
	int fd = memory_file(data);
	struct cid cid;
	int err = import_fd(&room->blocks, fd, &room->config, &room->wait, &cid, size);

	close(fd);
	assert_int_equal(err, 0);
	return cid_text(&cid, text);
}

static void check_root(const struct room *room, const char *text, const json_t *vector)
{
	struct buf expected = { 0 };
	struct block *block;
	struct cid cid;

	vector_hex(&expected, vector, "root_block_hex");
	assert_int_equal(cid_from_text(&cid, text), 0);
	assert_int_equal(store_get(room->store, &cid, &block), 0);
	assert_bytes_equal(block->data, buf_bytes(&expected));
	block_unref(block);
	buf_release(&expected);
}

static void file_case(struct room *room, const json_t *vector, struct bytes data)
{
	struct import_config *config = &room->config;
	char text[CID_TEXT_MAX];
	uint64_t size;

	config->cid_version = (unsigned)json_integer_value(json_object_get(vector, "cid_version"));
	config->raw_leaves = json_is_true(json_object_get(vector, "raw_leaves"));
	config->links_max = (unsigned)json_integer_value(json_object_get(vector, "max_links"));
	strcpy(config->chunker, vector_text(vector, "chunker"));
	config->layout = strcmp(vector_text(vector, "layout"), "trickle") == 0 ? LAYOUT_TRICKLE
									       : LAYOUT_BALANCED;
	config->only_hash = data.len > STORED_MAX;
	import_bytes(room, data, text, &size);
	assert_string_equal(text, vector_text(vector, "cid"));
	assert_int_equal(size, json_integer_value(json_object_get(vector, "dag_size_tsize")));
	if (!config->only_hash && json_object_get(vector, "root_block_hex"))
		check_root(room, text, vector);
}

static void files_are_kubos(void **state)
{
	static const char *const kinds[] = { "zero", "mod251", "splitmix64" };
	json_t *file = vector_json("unixfs-files.json");
	size_t done = 0, left_out = 0, i;
	json_t *vector;

	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
		struct buf data = { 0 };

		import_data(&data, kinds[kind], DATA_MAX);
		json_array_foreach(json_object_get(file, "vectors"), i, vector)
		{
			size_t size = (size_t)json_integer_value(json_object_get(vector, "size"));

			if (strcmp(vector_text(vector, "data"), kinds[kind]) != 0)
				continue;
			if (size > DATA_MAX) {
				left_out++;
				continue;
			}
			file_case(*state, vector, bytes_of(data.at, size));
			done++;
		}
		buf_release(&data);
	}
	assert_int_equal(done, 179);
	assert_int_equal(left_out, 2);
	json_decref(file);
}

static void chunked_files_are_kubos(void **state)
{
	json_t *file = vector_json("chunkers.json");
	struct room *room = *state;
	char text[CID_TEXT_MAX];
	json_t *vector;
	uint64_t size;
	size_t i;

	room->config.links_max = 174;
	json_array_foreach(json_object_get(file, "vectors"), i, vector)
	{
		struct buf data = { 0 };

		import_data(&data, vector_text(vector, "data"),
			    (size_t)json_integer_value(json_object_get(vector, "size")));
		strcpy(room->config.chunker, vector_text(vector, "chunker"));
		import_bytes(room, buf_bytes(&data), text, &size);
		assert_string_equal(text, vector_text(vector, "root_cid_v1_raw_174"));
		buf_release(&data);
	}
	json_decref(file);
}

/* Of ipip499.json only "hello world" has its input stated; the other inputs of that shape are in
 * unixfs-files.json. */
static void profiles_are_the_proposals(void **state)
{
	json_t *file = vector_json("ipip499.json");
	json_t *profiles = json_object_get(file, "profiles"), *list;
	struct room *room = *state;
	const char *name;
	char text[CID_TEXT_MAX];
	uint64_t size;

	json_object_foreach(profiles, name, list)
	{
		assert_int_equal(import_profile(&room->config, name), 0);
		import_bytes(room, bytes_str("hello world"), text, &size);
		assert_string_equal(text, vector_text(json_array_get(list, 0), "cid"));
	}
	assert_int_equal(import_profile(&room->config, "other"), -ENOENT);
	json_decref(file);
}

static void configs_are_judged(void **state)
{
	struct room *room = *state;
	struct import_config good = room->config, bad;
	const char *why;

	assert_int_equal(import_config_check(&good, &why), 0);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		bad = good;                                                                        \
		change;                                                                            \
		why = NULL;                                                                        \
		assert_int_equal(import_config_check(&bad, &why), -EINVAL);                        \
		assert_non_null(why);                                                              \
	} while (0)
	REFUSED(bad.cid_version = 2);
	REFUSED(bad.hash_code = HASH_IDENTITY);
	REFUSED(bad.hash_code = 0x123456);
	REFUSED(bad.cid_version = 0; bad.hash_code = HASH_BLAKE3);
	REFUSED(bad.links_max = 1);
	REFUSED(bad.links_max = 8193);
	REFUSED(bad.hamt_fanout = 100);
	REFUSED(bad.threads = IMPORT_THREADS_MAX + 1);
	REFUSED(strcpy(bad.chunker, "size-0"));
	REFUSED(memset(bad.chunker, 'x', sizeof(bad.chunker)));
#undef REFUSED
}

/* The number of threads, the speed of the source and its kind change nothing. */
struct feeder {
	int fd;
	struct bytes data;
};

static void *feed(void *arg)
{
	struct feeder *feeder = arg;
	struct bytes rest = feeder->data;

	for (size_t step = 1; rest.len > 0; step = step * 3 % 100003) {
		ssize_t put = write(feeder->fd, rest.at, step < rest.len ? step : rest.len);

		assert(put > 0);
		rest = bytes_skip(rest, (size_t)put);
	}
	close(feeder->fd);
	return NULL;
}

static void pipes_are_as_files(void **state)
{
	static const char *const chunkers[] = { "size-100000", "buzhash", "rabin-18-2500-33333" };
	struct room *room = *state;
	struct buf data = { 0 };
	char expected[CID_TEXT_MAX], text[CID_TEXT_MAX];
	uint64_t size, piped_size;

	import_data(&data, "splitmix64", 3000001);
	for (size_t i = 0; i < ARRAY_LEN(chunkers) * 2; i++) {
		struct feeder feeder = { .data = buf_bytes(&data) };
		pthread_t thread;
		struct cid cid;
		int fds[2];

		strcpy(room->config.chunker, chunkers[i / 2]);
		room->config.raw_leaves = i % 2;
		room->config.threads = 1;
		import_bytes(room, buf_bytes(&data), expected, &size);
		room->config.threads = 5;
		assert_int_equal(pipe(fds), 0);
		feeder.fd = fds[1];
		assert_int_equal(pthread_create(&thread, NULL, feed, &feeder), 0);
		assert_int_equal(import_fd(&room->blocks, fds[0], &room->config, &room->wait, &cid,
					   &piped_size),
				 0);
		pthread_join(thread, NULL);
		close(fds[0]);
		assert_string_equal(cid_text(&cid, text), expected);
		assert_int_equal(size, piped_size);
	}
	buf_release(&data);
}

/* ---- trees ---- */

static void put_file(const struct room *room, const char *name, struct bytes data)
{
	char *path = xasprintf("%s/%s", room->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data.at, data.len), data.len);
	close(fd);
	free(path);
}

static void put_dir(const struct room *room, const char *name)
{
	char *path = xasprintf("%s/%s", room->dir, name);

	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
}

static void put_link(const struct room *room, const char *name, const char *target)
{
	char *path = xasprintf("%s/%s", room->dir, name);

	assert_int_equal(symlink(target, path), 0);
	free(path);
}

static void on_done(void *ctx, const struct import_event *event)
{
	struct room *room = ctx;

	buf_printf(&room->events, "%s %llu;", event->path, (unsigned long long)event->bytes);
}

static int import_dir(struct room *room, const char *below, char text[static CID_TEXT_MAX],
		      uint64_t *size, char **failed)
{
	char *path = xasprintf("%s%s", room->dir, below);
	struct cid cid = { 0 };
	int err = import_path(&room->blocks, path, "top", &room->config, &room->wait, &cid, size,
			      failed);

	if (!err)
		cid_text(&cid, text);
	free(path);
	return err;
}

static void trees_are_kubos(void **state)
{
	static const char *const names[] = { "b.txt", "a.txt", "Z", "é", "aa", "a" };
	struct room *room = *state;
	char text[CID_TEXT_MAX], content[64];
	uint64_t size;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(content, sizeof(content), "content of %s", names[i]);
		put_file(room, names[i], bytes_str(content));
	}
	put_file(room, ".hidden", bytes_str("not seen"));
	room->config.on_done = on_done;
	room->config.ctx = room;
	assert_int_equal(import_dir(room, "", text, &size, NULL), 0);
	assert_string_equal(text, "bafybeihhlrfuoiddrxyg736a3qrbq2ksluafoabbohe5tofjmaxxfobabi");
	assert_int_equal(size, 366);
	buf_add_u8(&room->events, '\0');
	assert_string_equal(
		(char *)room->events.at,
		"top/Z 12;top/a 12;top/a.txt 16;top/aa 13;top/b.txt 16;top/é 13;top 82;");
	assert_int_equal(import_profile(&room->config, "unixfs-v0-2015"), 0);
	assert_int_equal(import_dir(room, "", text, &size, NULL), 0);
	assert_string_equal(text, "Qma62e5gimAi12svdgySEzoqFvTz5tYFjR1KNk8BbZMVXS");
	assert_int_equal(size, 402);
	room->config.hidden = true;
	assert_int_equal(import_dir(room, "", text, &size, NULL), 0);
	assert_string_not_equal(text, "Qma62e5gimAi12svdgySEzoqFvTz5tYFjR1KNk8BbZMVXS");
}

static void symlinks_are_kept_or_followed(void **state)
{
	struct room *room = *state;
	char text[CID_TEXT_MAX], followed[CID_TEXT_MAX];
	uint64_t size;
	char *failed;

	put_link(room, "link", "../target/file");
	assert_int_equal(import_dir(room, "/link", text, &size, NULL), 0);
	assert_string_equal(text, "bafybeifg2tvh54lkii5v2jsbubbq3u72ltrcxgipvv4vtsaya4xmltbari");
	assert_int_equal(size, 20);
	room->config.follow_symlinks = true;
	assert_int_equal(import_dir(room, "/link", text, &size, &failed), -ENOENT);
	assert_non_null(strstr(failed, "/link"));
	free(failed);

	put_dir(room, "d");
	put_file(room, "d/f", bytes_str("hello world"));
	put_link(room, "d/g", "f");
	put_dir(room, "e");
	put_file(room, "e/f", bytes_str("hello world"));
	put_file(room, "e/g", bytes_str("hello world"));
	assert_int_equal(import_dir(room, "/d", followed, &size, NULL), 0);
	assert_int_equal(import_dir(room, "/e", text, &size, NULL), 0);
	assert_string_equal(text, followed);
	put_link(room, "d/h", "../d");
	assert_int_equal(import_dir(room, "/d", text, &size, &failed), -ELOOP);
	assert_non_null(strstr(failed, "/d/h"));
	free(failed);
	room->config.follow_symlinks = false;
	assert_int_equal(import_dir(room, "/d", text, &size, NULL), 0);
}

/* A file of many leaves has its metadata in the root and nowhere else, in either layout. */
static void metadata_is_in_the_root(void **state)
{
	static const struct timespec times[2] = { { 0 }, { 1700000000, 123456789 } };
	struct room *room = *state;
	char *path = xasprintf("%s/f", room->dir);
	char text[CID_TEXT_MAX], plain_text[CID_TEXT_MAX];

	put_file(room, "f", bytes_str("hello world"));
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
		assert_int_equal(import_dir(room, "/f", plain_text, &plain_size, NULL), 0);
		room->config.preserve_mtime = true;
		assert_int_equal(import_dir(room, "/f", text, &size, NULL), 0);
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

	json_array_foreach(json_object_get(file, "vectors"), i,
			   vector) if (strcmp(vector_text(vector, "desc"), desc) ==
				       0) return vector;
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

	put_link(room, "link", "../target/file");
	put_file(room, "f", bytes_str("hello world"));
	for (unsigned i = 0; i < ARRAY_LEN(cases) * 2; i++) {
		struct timespec times[2] = { cases[i / 2].mtime, cases[i / 2].mtime };
		bool keep = cases[i / 2].mode != 0;

		assert_int_equal(
			import_profile(&room->config, i % 2 ? "unixfs-v1-2025" : "unixfs-v0-2015"),
			0);
		room->config.preserve_mode = room->config.preserve_mtime = keep;
		assert_int_equal(keep ? chmod(path, cases[i / 2].mode) : 0, 0);
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		assert_int_equal(import_dir(room, i / 2 ? "/f" : "/link", text, &size, NULL), 0);
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

	put_dir(room, "a");
	put_file(room, "a/before", bytes_str("x"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(import_dir(room, "", text, &size, &failed), -ENOTSUP);
	assert_string_equal(failed, path);
	free(failed);
	assert_int_equal(import_dir(room, "/none", text, &size, &failed), -ENOENT);
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
	assert_int_equal(import_dir(room, "", text, &size, NULL), 0);
	assert_int_equal(mkdirat(dir, name, 0755), 0);
	close(dir);
	assert_int_equal(import_dir(room, "", text, &size, &failed), -ELOOP);
	assert_int_equal(strlen(failed), strlen(room->dir) + 1000 * 201);
	free(failed);
}

static void large_directories_become_hamts(void **state)
{
	struct room *room = *state;
	char name[16], text[CID_TEXT_MAX], removed[CID_TEXT_MAX];
	struct dir_builder *dir = dir_builder_new(&room->blocks, &room->config);
	struct cid cid;
	uint64_t size, built_size;

	for (int i = 0; i < 6000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put_file(room, name, bytes_str(name));
		assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str(name)),
				 0);
		assert_int_equal(dir_builder_add(dir, bytes_str(name), &cid, strlen(name)), 0);
	}
	assert_int_equal(import_dir(room, "", text, &size, NULL), 0);
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
	put_file(room, "f", bytes_str("changed while it is read"));
}

static void interruption_and_change_end_it(void **state)
{
	struct room *room = *state;
	struct buf data = { 0 };
	char text[CID_TEXT_MAX];
	uint64_t size;
	char *failed;

	import_data(&data, "mod251", 3 << 20);
	put_file(room, "f", buf_bytes(&data));
	room->config.ctx = room;
	room->config.on_bytes = cancel_after;
	assert_int_equal(import_dir(room, "", text, &size, &failed), -EINTR);
	free(failed);
	wait_start(&room->wait, 0);
	room->config.on_bytes = append_more;
	assert_int_equal(import_dir(room, "", text, &size, &failed), -ESTALE);
	assert_non_null(strstr(failed, "/f"));
	free(failed);
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

	put_file(room, "f", bytes_str("there"));
	put_file(room, "g", bytes_str("soon not"));
	room->config.ctx = room;
	room->config.on_bytes = remove_next;
	assert_int_equal(import_dir(room, "", text, &size, &failed), -ENOENT);
	assert_non_null(strstr(failed, "/g"));
	free(failed);
}

/* A user's interruption also ends the wait for a pipe that says nothing. */
static void *cancel_soon(void *arg)
{
	usleep(20000);
	wait_cancel(arg);
	return NULL;
}

static void silent_pipes_can_be_left(void **state)
{
	struct room *room = *state;
	pthread_t thread;
	struct cid cid;
	uint64_t size;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &room->wait), 0);
	assert_int_equal(import_fd(&room->blocks, fds[0], &room->config, &room->wait, &cid, &size),
			 -EINTR);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(configs_are_judged),
		IN_ROOM(profiles_are_the_proposals),
		IN_ROOM(files_are_kubos),
		IN_ROOM(chunked_files_are_kubos),
		IN_ROOM(pipes_are_as_files),
		IN_ROOM(trees_are_kubos),
		IN_ROOM(symlinks_are_kept_or_followed),
		IN_ROOM(metadata_is_in_the_root),
		IN_ROOM(nodes_are_boxos),
		IN_ROOM(special_files_are_refused),
		IN_ROOM(deep_trees),
		IN_ROOM(large_directories_become_hamts),
		IN_ROOM(interruption_and_change_end_it),
		IN_ROOM(vanished_files_are_told),
		IN_ROOM(silent_pipes_can_be_left),
	};

	return cmocka_run_group_tests_name("dag/import", tests, NULL, NULL);
}

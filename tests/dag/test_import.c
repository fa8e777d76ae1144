/* dag/import/import.c, import_read.c, the layouts: CIDs as boxo and Kubo make them. Vectors of
 * more than DATA_MAX bytes (two of unixfs-files.json, 1 GiB) are left out: `make bench` imports as
 * much. */
#include "dag/import/chunker.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "tests/dag/import_data.h"
#include "tests/dag/import_room.h"
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
	int err = import_fd(room->blocks, fd, &room->config, &room->wait, &cid, size);

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
		json_array_foreach(json_object_get(file, "vectors"), i, vector) {
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
	json_array_foreach(json_object_get(file, "vectors"), i, vector) {
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

	json_object_foreach(profiles, name, list) {
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
	REFUSED(bad.inline_max = IMPORT_INLINE_MAX + 1);
	REFUSED(bad.mode = 010000);
	REFUSED(bad.mtime_nanos = 1000000000);
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
		assert_int_equal(import_fd(room->blocks, fds[0], &room->config, &room->wait, &cid,
					   &piped_size),
				 0);
		pthread_join(thread, NULL);
		close(fds[0]);
		assert_string_equal(cid_text(&cid, text), expected);
		assert_int_equal(size, piped_size);
	}
	buf_release(&data);
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
	assert_int_equal(import_fd(room->blocks, fds[0], &room->config, &room->wait, &cid, &size),
			 -EINTR);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(configs_are_judged), IN_ROOM(profiles_are_the_proposals),
		IN_ROOM(files_are_kubos),    IN_ROOM(chunked_files_are_kubos),
		IN_ROOM(pipes_are_as_files), IN_ROOM(silent_pipes_can_be_left),
	};

	return cmocka_run_group_tests_name("dag/import", tests, NULL, NULL);
}

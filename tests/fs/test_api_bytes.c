/* Calls that yield bytes, take inputs or tell progress: from a face of the tests and from the
 * command line, given up in the middle, timed out, and with a face that takes no more. */
#include "tests/fs/api_face.h"

#include <sys/file.h>
#include <sys/mman.h>

#define ABSENT "bafkreihy2hxszqmnqfrh3grrteznw2bhyvyj55j4jajqxhuky5ioqwe4ny"
#define LARGE_BYTES ((5u << 20) + 1) /* several pieces of cat, the last of one byte */
#define DIR_ENTRIES 600		     /* more than two batches of ls */

/* A file of the test's folder with bytes that repeat nowhere. */
static char *make_file(struct face *face, const char *name, size_t len)
{
	char *path = xasprintf("%s/%s", face->dir, name);
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	for (size_t i = 0; i < len; i++)
		fputc((int)((uint32_t)i * 2654435761u >> 24), out);
	fclose(out);
	return path;
}

/* The program's output for words, as text without its line's end. */
static char *program_text(struct face *face, const char *words)
{
	struct buf out = { 0 };

	run_program(face, words, &out);
	assert_true(out.len > 0);
	out.len--;
	return buf_take_text(&out);
}

/* Adds a file of so many bytes, or for 0 an empty one: its CID. */
static char *added(struct face *face, const char *name, size_t len)
{
	char *path = make_file(face, name, len), *words = xasprintf("add -Q %s", path);
	char *cid = program_text(face, words);

	free(words);
	free(path);
	return cid;
}

/* A directory whose files have one byte each. */
static char *added_dir(struct face *face)
{
	char *dir = xasprintf("%s/tree", face->dir), *words = xasprintf("add -rQ %s", dir), *cid;

	assert_int_equal(mkdir(dir, 0700), 0);
	for (unsigned i = 0; i < DIR_ENTRIES; i++) {
		char *name = xasprintf("tree/%u", i);

		free(make_file(face, name, i % 2));
		free(name);
	}
	cid = program_text(face, words);
	free(words);
	free(dir);
	return cid;
}

static void assert_bytes_as_program(struct face *face, const char *words)
{
	struct buf out = { 0 };

	run_program(face, words, &out);
	assert_int_equal(out.len, face->bytes.len);
	if (out.len)
		assert_memory_equal(out.at, face->bytes.at, out.len);
	buf_release(&out);
}

static void bytes_are_what_the_command_line_writes(void **state)
{
	static const char *const calls[] = { "cat", "block get", "dag get", "dag export" };
	struct face *face = *state;
	char *large = added(face, "large", LARGE_BYTES), *none = added(face, "none", 0),
	     *one = added(face, "one", 1), *words;

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		words = xasprintf("%s %s", calls[i], large);
		assert_int_equal(run(face, calls[i], json_pack("{s:[s]}", "arg", large)), 0);
		assert_true(face->bytes.len > 0);
		assert_int_equal(json_array_size(face->items), 0);
		assert_bytes_as_program(face, words);
		free(words);
	}
	assert_int_equal(run(face, "cat", json_pack("{s:[s]}", "arg", none)), 0);
	assert_int_equal(face->bytes.len, 0);
	assert_int_equal(run(face, "cat",
			     json_pack("{s:[s,s,s,s], s:i, s:i}", "arg", none, large, none, one,
				       "offset", LARGE_BYTES - 2, "length", 3)),
			 0);
	assert_int_equal(face->bytes.len, 3);
	words = xasprintf("cat -o %u -l 3 %s %s %s %s", LARGE_BYTES - 2, none, large, none, one);
	assert_bytes_as_program(face, words);
	free(words);
	free(one);
	free(none);
	free(large);
}

static void a_face_that_takes_no_more_ends_the_call(void **state)
{
	static const char *const calls[] = { "cat", "dag export", "block get", "dag get" };
	struct face *face = *state;
	char *large = added(face, "large", LARGE_BYTES);
	struct api_sink deaf = sink;
	json_t *args = json_pack("{s:[s]}", "arg", large);
	char *why;

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		face->pieces_max = i < 2 ? 2 : 0;
		if (i >= 2) {
			assert_int_equal(run(face, calls[i], json_deep_copy(args)), 0);
			continue;
		}
		assert_int_equal(run(face, calls[i], json_deep_copy(args)), -EPIPE);
		assert_int_equal(face->pieces, 3); /* none is tried after the one refused */
	}
	deaf.bytes = NULL;
	face->ends = 0;
	face->call = (struct api_call){
		.row = api_row("cat"), .args = args, .host = &face->host, .sink = &deaf
	};
	assert_int_equal(api_check(face->call.row, args, &why), 0);
	api_run(&face->call, false);
	assert_int_equal(face->ends, 1);
	assert_int_equal(face->err, -ENOTSUP);
	json_decref(args);
	free(large);
}

static void a_call_given_up_in_the_middle_is_interrupted(void **state)
{
	struct face *face = *state;
	char *large = added(face, "large", LARGE_BYTES), *dir = added_dir(face);

	face->cancel_after = 2;
	assert_int_equal(run(face, "cat", json_pack("{s:[s]}", "arg", large)), -EINTR);
	assert_int_equal(face->pieces, 2);
	assert_int_equal(run(face, "dag export", json_pack("{s:[s]}", "arg", large)), -EINTR);
	assert_int_equal(face->pieces, 3); /* with the data of the block begun */
	assert_int_equal(run(face, "ls", json_pack("{s:[s]}", "arg", dir)), -EINTR);
	assert_false(face->call.complete);
	face->cancel_after = 1;
	assert_int_equal(run(face, "pin ls", json_object()), -EINTR);
	assert_int_equal(json_array_size(face->items), 1);
	free(dir);
	free(large);
}

/* ---- blocks that nobody gives ---- */

static void *open_nothing(struct fetcher *fetcher)
{
	return fetcher;
}

static void close_nothing(struct fetcher *fetcher, void *session)
{
	(void)fetcher;
	(void)session;
}

static int fetch_never(struct fetcher *fetcher, void *session, const struct cid *cid,
		       struct wait *wait, struct block **out)
{
	int err = 0;

	(void)fetcher;
	(void)session;
	(void)cid;
	(void)out;
	while (!err)
		err = wait_sleep(wait);
	return err;
}

static void ask_nothing(struct fetcher *fetcher, void *session, const struct cid *cids,
			size_t count)
{
	(void)fetcher;
	(void)session;
	(void)cids;
	(void)count;
}

static struct fetcher *silent_fetcher(struct api_host *host)
{
	static const struct fetcher_ops ops = { .open = open_nothing,
						.close = close_nothing,
						.fetch = fetch_never,
						.prefetch = ask_nothing };
	static struct fetcher silent = { &ops };

	(void)host;
	return &silent;
}

static void a_block_that_nobody_gives_is_waited_for_until_the_timeout(void **state)
{
	static const char *const calls[] = { "cat",	"ls",	    "block get",  "block stat",
					     "dag get", "dag stat", "dag export", "pin add" };
	struct face *face = *state;

	face->host.fetcher = silent_fetcher;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		assert_int_equal(run(face, calls[i],
				     json_pack("{s:[s], s:i}", "arg", ABSENT, "timeout", 20)),
				 -ETIMEDOUT);
		assert_int_equal(face->bytes.len, 0);
	}
	face->host.fetcher = NULL;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(run(face, calls[i], json_pack("{s:[s]}", "arg", ABSENT)),
				 -EHOSTUNREACH);
}

/* ---- ls ---- */

static void batches_of_links_go_on_with_one_object(void **state)
{
	struct face *face = *state;
	char *dir = added_dir(face), *words = xasprintf("ls %s", dir);
	json_t *links, *item;
	size_t i;

	assert_int_equal(run(face, "ls", json_pack("{s:[s]}", "arg", dir)), 0);
	assert_true(json_array_size(face->items) > 3);
	links = json_array();
	json_array_foreach(face->items, i, item) {
		assert_true(!i == !!json_object_get(item, "Hash"));
		json_array_extend(links, json_object_get(item, "Links"));
	}
	assert_int_equal(json_array_size(links), DIR_ENTRIES);
	assert_same_as_program(
		face, words,
		json_pack("[{s:[{s:s, s:o}]}]", "Objects", "Hash", dir, "Links", links));
	free(words);
	/* what ends with an error shows nothing as JSON */
	words = xasprintf("ls %s %s", dir, ABSENT);
	assert_int_equal(run(face, "ls", json_pack("{s:[s, s]}", "arg", dir, ABSENT)),
			 -EHOSTUNREACH);
	assert_same_as_program(face, words, json_array());
	free(words);
	free(dir);
}

/* ---- inputs ---- */

static int input_of(const char *text, size_t len)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, len), (ssize_t)len);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void inputs_come_from_the_face(void **state)
{
	static const char value[] = "{\"a\":[1,2]}";
	struct face *face = *state;
	char *file = make_file(face, "value", 0), *words = xasprintf("block put %s", file);
	FILE *out = fopen(file, "w");

	fputs(value, out);
	fclose(out);
	face->inputs[0] = input_of(value, strlen(value));
	face->inputs[1] = input_of("", 0);
	face->input_count = 2;
	assert_int_equal(run(face, "block put", json_object()), 0);
	assert_int_equal(json_array_size(face->items), 2);
	assert_int_equal(face->provided, 2);
	assert_int_equal(fcntl(face->inputs[0], F_GETFD), -1);
	json_array_remove(face->items, 1);
	assert_same_as_program(face, words, json_copy(face->items));
	free(words);
	words = xasprintf("dag put %s", file);
	face->inputs[0] = input_of(value, strlen(value));
	face->input_count = 1;
	assert_int_equal(run(face, "dag put", json_object()), 0);
	assert_same_as_program(face, words, json_copy(face->items));
	face->input_count = 0;
	assert_int_equal(run(face, "block put", json_object()), 0);
	assert_int_equal(json_array_size(face->items), 0);
	free(words);
	free(file);
}

static void inputs_that_fail_end_the_call(void **state)
{
	static const char *const calls[] = { "block put", "dag put", "dag import" };
	struct face *face = *state;
	char *large = make_file(face, "large", BLOCK_CREATE_MAX + 1);

	face->input_count = 1;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		face->inputs[0] = -EACCES;
		assert_int_equal(run(face, calls[i], json_object()), -EACCES);
		assert_non_null(strstr(face->message, "input: "));
		face->inputs[0] = input_of("junk", 4);
		if (i)
			assert_int_not_equal(run(face, calls[i], json_object()), 0);
		else
			close(face->inputs[0]);
		assert_int_equal(fcntl(face->inputs[0], F_GETFD), -1);
		assert_int_equal(json_array_size(face->items), 0);
	}
	face->inputs[0] = open(large, O_RDONLY | O_CLOEXEC);
	assert_int_equal(run(face, "block put", json_object()), -EMSGSIZE);
	free(large);
}

static void an_archive_goes_out_and_comes_in(void **state)
{
	struct face *face = *state;
	char *large = added(face, "large", LARGE_BYTES);
	const json_t *stats;

	assert_int_equal(run(face, "dag export", json_pack("{s:[s]}", "arg", large)), 0);
	assert_true(face->steps > 0);
	face->inputs[0] = input_of((const char *)face->bytes.at, face->bytes.len);
	face->input_count = 1;
	assert_int_equal(run(face, "dag import", json_pack("{s:b}", "stats", 1)), 0);
	assert_true(face->steps > 0);
	assert_int_equal(json_array_size(face->items), 2);
	assert_string_equal(
		api_member(json_object_get(json_object_get(json_array_get(face->items, 0), "Root"),
					   "Cid"),
			   "/"),
		large);
	stats = json_object_get(json_array_get(face->items, 1), "Stats");
	assert_true(api_number(stats, "BlockBytesCount") > LARGE_BYTES);
	free(large);
}

/* ---- pins ---- */

static void pins_change_what_is_announced(void **state)
{
	struct face *face = *state;
	char *one = added(face, "one", 1), *large = added(face, "large", LARGE_BYTES);

	assert_int_equal(run(face, "pin rm", json_pack("{s:[s, s]}", "arg", one, ABSENT)), -ENOENT);
	assert_int_equal(json_array_size(face->items), 1); /* what was done is told */
	assert_int_equal(face->withdrawn, 1);
	assert_int_equal(run(face, "pin add", json_pack("{s:[s]}", "arg", one)), 0);
	assert_int_equal(face->provided, 1);
	assert_true(face->steps > 0);
	assert_int_equal(run(face, "pin rm", json_pack("{s:[s]}", "arg", large)), 0);
	assert_int_equal(run(face, "pin update", json_pack("{s:[s, s]}", "arg", one, large)), 0);
	assert_int_equal(face->provided, 1);
	assert_int_equal(face->withdrawn, 1);
	assert_int_equal(run(face, "pin verify", json_pack("{s:b}", "verbose", 1)), 0);
	assert_same_as_program(face, "pin verify -v", json_copy(face->items));
	assert_int_equal(run(face, "repo gc", json_object()), 0);
	assert_true(json_array_size(face->items) > 0); /* the one that is pinned no more */
	assert_int_equal(run(face, "repo verify", json_object()), 0);
	assert_same_as_program(face, "repo verify", json_copy(face->items));
	free(large);
	free(one);
}

static void a_collection_that_waits_for_another_can_be_given_up(void **state)
{
	struct face *face = *state;
	char *turn = xasprintf("%s/gc.turn", face->path);
	int fd = open(turn, O_RDWR | O_CLOEXEC);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	face->cancel_waits = 2;
	assert_int_equal(run(face, "repo gc", json_object()), -EINTR);
	face->cancel_waits = 0;
	close(fd);
	assert_int_equal(run(face, "repo gc", json_object()), 0);
	free(turn);
}

/* ---- add ---- */

static void what_is_added_is_what_the_command_line_tells(void **state)
{
	struct face *face = *state;
	char *dir = xasprintf("%s/tree", face->dir), *words = xasprintf("add -r %s", dir);

	free(added_dir(face));
	face->host.own_files = true;
	assert_int_equal(run(face, "add", json_pack("{s:[s], s:b}", "arg", dir, "recursive", 1)),
			 0);
	assert_int_equal(json_array_size(face->items), DIR_ENTRIES + 1);
	assert_int_equal(face->provided, 1);
	assert_true(face->steps > 0);
	assert_same_as_program(face, words, json_copy(face->items));
	assert_int_equal(
		run(face, "add",
		    json_pack("{s:[s], s:b, s:b}", "arg", dir, "recursive", 1, "quieter", 1)),
		0);
	assert_int_equal(json_array_size(face->items), 1);
	assert_int_equal(run(face, "add", json_pack("{s:[s]}", "arg", dir)), -EISDIR);
	assert_int_equal(run(face, "add", json_pack("{s:[s], s:s}", "arg", dir, "chunker", "frob")),
			 API_USAGE);
	face->cancel_waits = 1;
	assert_int_equal(
		run(face, "add",
		    json_pack("{s:[s], s:b, s:b}", "arg", dir, "recursive", 1, "cache", 0)),
		-EINTR);
	assert_int_equal(face->provided, 0);
	free(words);
	free(dir);
}

/* A face of others brings what is added, and names no file of this machine. */
static void files_of_this_machine_are_for_those_who_own_them(void **state)
{
	struct face *face = *state;
	char *file = make_file(face, "one", 1);

	assert_int_equal(run(face, "add", json_pack("{s:[s]}", "arg", file)), -EACCES);
	assert_int_equal(run(face, "add", json_pack("{s:s}", "ignore-rules-path", "/etc/passwd")),
			 -EACCES);
	face->inputs[0] = input_of("a", 1);
	face->inputs[1] = input_of("", 0);
	face->input_count = 2;
	assert_int_equal(run(face, "add", json_pack("{s:b}", "wrap-with-directory", 1)), 0);
	assert_int_equal(json_array_size(face->items), 3);
	assert_int_equal(face->provided, 1);
	face->inputs[0] = -EIO;
	assert_int_equal(run(face, "add", json_object()), -EIO);
	free(file);
}

/* ---- config ---- */

static void the_configuration_is_shown_and_set(void **state)
{
	struct face *face = *state;

	assert_int_equal(run(face, "config", json_object()), 0);
	assert_bytes_as_program(face, "config");
	assert_int_equal(
		run(face, "config", json_pack("{s:[s, s]}", "arg", "Mounts.Timeout", "7s")), 0);
	assert_int_equal(run(face, "config", json_pack("{s:[s]}", "arg", "Mounts.Timeout")), 0);
	assert_string_equal(api_member(json_array_get(face->items, 0), "Value"), "7s");
	assert_same_as_program(face, "config Mounts.Timeout", json_copy(face->items));
	assert_int_equal(run(face, "config", json_pack("{s:[s]}", "arg", "Frob")), -ENOENT);
	assert_int_not_equal(
		run(face, "config", json_pack("{s:[s, s]}", "arg", "Mounts.Timeout", "soon")), 0);
	assert_non_null(strstr(face->message, "Mounts.Timeout"));
	assert_int_equal(
		run(face, "config", json_pack("{s:[s], s:b}", "arg", "Mounts.Timeout", "unset", 1)),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_are_what_the_command_line_writes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_face_that_takes_no_more_ends_the_call, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_call_given_up_in_the_middle_is_interrupted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_block_that_nobody_gives_is_waited_for_until_the_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(batches_of_links_go_on_with_one_object, setup,
						teardown),
		cmocka_unit_test_setup_teardown(inputs_come_from_the_face, setup, teardown),
		cmocka_unit_test_setup_teardown(inputs_that_fail_end_the_call, setup, teardown),
		cmocka_unit_test_setup_teardown(an_archive_goes_out_and_comes_in, setup, teardown),
		cmocka_unit_test_setup_teardown(pins_change_what_is_announced, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_added_is_what_the_command_line_tells, setup,
						teardown),
		cmocka_unit_test_setup_teardown(files_of_this_machine_are_for_those_who_own_them,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_configuration_is_shown_and_set, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_collection_that_waits_for_another_can_be_given_up,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

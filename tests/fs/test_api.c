/* The table of calls, its arguments, and a face of its own: rows run in this process, and what they
 * yield is what the program prints as JSON. */
#include "tests/fs/api_face.h"

/* ---- the table ---- */

static void every_row_can_run_and_be_found(void **state)
{
	(void)state;
	for (const struct api_row *const *at = api_rows; *at; at++) {
		char *path = xstrdup((*at)->command.name), *blank;

		assert_true((*at)->run || (*at)->run_daemon);
		assert_null((*at)->command.run);
		assert_true(!(*at)->head == !(*at)->tail);
		assert_ptr_equal(api_row((*at)->command.name), *at);
		while ((blank = strchr(path, ' ')))
			*blank = '/';
		assert_ptr_equal(api_row(path), *at);
		free(path);
	}
	assert_null(api_row("swarm"));
	assert_null(api_row("swarm peers x"));
	assert_null(api_row(""));
}

static int check(const char *name, const char *args, const char *want)
{
	json_t *given = json_loads(args, 0, NULL);
	char *why;
	int err = api_check(api_row(name), given, &why);

	if (want)
		assert_string_equal(why, want);
	else
		assert_null(why);
	free(why);
	json_decref(given);
	return err;
}

static void arguments_are_checked_and_filled_in(void **state)
{
	json_t *args =
		json_pack("{s:[s]}", "arg", "12D3KooWRw8bXmn2pJNp3qpUSFv9E6h4zRVHds1ehidR57M22pcF");
	char *why;

	(void)state;
	assert_int_equal(api_check(api_row("ping"), args, &why), 0);
	assert_int_equal(api_int(args, "count"), 10);
	assert_int_equal(api_int(args, "timeout"), 30000);
	json_decref(args);
	assert_int_equal(check("ping", "{}", "too few arguments: ping PEER"), -EINVAL);
	assert_int_equal(check("ping", "{\"arg\":[\"frob\"]}", "'frob' is not a peer's id"),
			 -EBADMSG);
	assert_int_equal(
		check("ping", "{\"arg\":[\"frob\"],\"count\":0}", "--count must be 1 or more"),
		-EINVAL);
	assert_int_equal(check("ping", "{\"arg\":\"frob\"}", "arguments must be texts"), -EINVAL);
	assert_int_equal(check("ping", "{\"arg\":[\"x\",\"y\"]}", "too many arguments: ping PEER"),
			 -EINVAL);
	assert_int_equal(check("routing findprovs", "{\"arg\":[\"b\\u001b[1m\"]}",
			       "'b\\x1b[1m' is not a CID"),
			 -EBADMSG);
	assert_int_equal(check("pin/ls", "{\"type\":\"frob\"}",
			       "--type must be all, direct, recursive or indirect"),
			 -EINVAL);
	assert_int_equal(check("pin/ls", "{\"type\":1}", "option 'type' is of another type"),
			 -EINVAL);
	assert_int_equal(check("pin/ls", "{\"frob\":1}", "there is no option 'frob'"), -EINVAL);
	assert_int_equal(check("pin/ls", "{\"quiet\":true,\"cid-base\":\"z\"}", NULL), 0);
}

static void texts_become_values_of_their_kind(void **state)
{
	static const struct option_spec flag = { .name = "f", .kind = OPTION_FLAG };
	static const struct option_spec number = { .name = "n", .kind = OPTION_INT };
	static const struct option_spec size = { .name = "s", .kind = OPTION_SIZE };
	static const struct option_spec time = { .name = "t", .kind = OPTION_DURATION };
	json_t *value;

	(void)state;
	value = api_value(&flag, "true");
	assert_true(json_is_true(value));
	assert_null(api_value(&flag, "yes"));
	value = api_value(&number, "-7");
	assert_int_equal(json_integer_value(value), -7);
	json_decref(value);
	assert_null(api_value(&number, "7x"));
	assert_null(api_value(&number, ""));
	assert_null(api_value(&number, "99999999999999999999"));
	value = api_value(&size, "2KiB");
	assert_int_equal(json_integer_value(value), 2048);
	json_decref(value);
	value = api_value(&time, "1m");
	assert_int_equal(json_integer_value(value), 60000);
	json_decref(value);
	assert_null(api_value(&time, "soon"));
}

static struct cid store_text(struct repo *repo, const char *text)
{
	struct block *block;
	struct cid cid;
	struct buf data = { 0 };

	buf_add_str(&data, text);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, buf_bytes(&data)), 0);
	block = block_take(&cid, &data);
	assert_int_equal(store_put(repo->store, block, STORE_KEEP | STORE_WAIT, NULL, NULL), 0);
	block_unref(block);
	assert_int_equal(store_sync(repo->store), 0);
	return cid;
}

static void items_are_what_the_command_line_prints(void **state)
{
	static const char *const alike[] = { "version", "id", "repo stat" };
	struct face *face = *state;
	struct cid cid = store_text(face->host.repo, "hello");
	char text[CID_TEXT_MAX], words[CID_TEXT_MAX + 32];

	for (size_t i = 0; i < ARRAY_LEN(alike); i++) {
		assert_int_equal(run(face, alike[i], json_object()), 0);
		assert_int_equal(json_array_size(face->items), 1);
		assert_same_as_program(face, alike[i], json_copy(face->items));
	}
	cid_text(&cid, text);
	assert_int_equal(run(face, "block/stat", json_pack("{s:[s]}", "arg", text)), 0);
	snprintf(words, sizeof(words), "block stat %s", text);
	assert_same_as_program(face, words, json_copy(face->items));
	snprintf(words, sizeof(words), "--cid-base=base58btc block stat %s", text);
	assert_int_equal(
		run(face, "block stat", json_pack("{s:[s], s:s}", "arg", text, "cid-base", "z")),
		0);
	assert_same_as_program(face, words, json_copy(face->items));
}

static void items_of_a_list_become_one_object(void **state)
{
	struct face *face = *state;
	struct cid cid = store_text(face->host.repo, "pinned");
	char text[CID_TEXT_MAX];
	struct blocks *blocks;

	assert_int_equal(run(face, "pin ls", json_object()), 0);
	assert_int_equal(json_array_size(face->items), 0);
	assert_same_as_program(face, "pin ls", json_pack("[{s:{}}]", "Keys"));
	blocks = api_blocks(&face->call, false);
	assert_int_equal(pin_add(face->host.repo->db, blocks, &cid, PIN_RECURSIVE, "name",
				 begin_wait(&face->host, 0), 0, NULL, NULL),
			 0);
	blocks_free(blocks);
	assert_int_equal(run(face, "pin ls", json_pack("{s:b}", "stream", 1)), 0);
	assert_int_equal(json_array_size(face->items), 1);
	assert_same_as_program(face, "pin ls --stream", json_copy(face->items));
	assert_same_as_program(face, "pin ls",
			       json_pack("[{s:{s:{s:s, s:s}}}]", "Keys", cid_text(&cid, text),
					 "Type", "recursive", "Name", "name"));
}

static void some_may_fail_and_the_call_goes_on(void **state)
{
	struct face *face = *state;
	struct cid cid = store_text(face->host.repo, "removed");
	char text[CID_TEXT_MAX];

	cid_text(&cid, text);
	assert_int_equal(run(face, "block rm", json_pack("{s:[s, s]}", "arg", "frob", text)),
			 API_SOME_FAILED);
	assert_int_equal(face->troubles, 1);
	assert_string_equal(face->message, "'frob' is not a CID");
	assert_int_equal(json_array_size(face->items), 1);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(face->items, 0), "Hash")), text);
	assert_false(store_has(face->host.repo->store, cid_hash_bytes(&cid)));
}

/* A block has one place, whatever CIDs name it. */
static void pinned_blocks_are_not_removed_by_another_cid(void **state)
{
	struct face *face = *state;
	struct repo *repo = face->host.repo;
	struct blocks *blocks = blocks_new(repo->store, NULL);
	struct dir_builder *dir;
	struct import_config config;
	char raw_text[CID_TEXT_MAX], leaf_text[CID_TEXT_MAX];
	struct cid leaf = store_text(repo, "a leaf"), top, raw;
	uint64_t size;

	assert_int_equal(import_profile(&config, "unixfs-v0-2015"), 0);
	dir = dir_builder_new(blocks, &config);
	assert_int_equal(dir_builder_add(dir, bytes_str("leaf"), &leaf, 6), 0);
	assert_int_equal(dir_builder_finish(dir, 0, false, 0, 0, &top, &size), 0);
	dir_builder_free(dir);
	assert_int_equal(blocks_sync(blocks), 0);
	assert_int_equal(top.version, 0);
	assert_int_equal(pin_add(repo->db, blocks, &top, PIN_RECURSIVE, "",
				 begin_wait(&face->host, 0), 0, NULL, NULL),
			 0);
	assert_int_equal(cid_make(&raw, 1, CODEC_RAW, cid_hash_bytes(&top)), 0);
	cid_text(&raw, raw_text);
	cid_text(&leaf, leaf_text);
	assert_int_equal(run(face, "block rm", json_pack("{s:[s, s]}", "arg", raw_text, leaf_text)),
			 API_SOME_FAILED);
	assert_int_equal(face->troubles, 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(face->items, 0), "Error")),
		"pinned: recursive");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(face->items, 1), "Error")),
		"pinned: indirect");
	assert_true(store_has(repo->store, cid_hash_bytes(&top)));
	assert_true(store_has(repo->store, cid_hash_bytes(&leaf)));
	assert_int_equal(pin_rm(repo->db, &top, PIN_RECURSIVE), 0);
	assert_int_equal(run(face, "block rm", json_pack("{s:[s, s]}", "arg", raw_text, leaf_text)),
			 0);
	assert_false(store_has(repo->store, cid_hash_bytes(&top)));
	assert_false(store_has(repo->store, cid_hash_bytes(&leaf)));
	blocks_free(blocks);
}

static void failed_calls_tell_why(void **state)
{
	static const char peer[] = "12D3KooWRw8bXmn2pJNp3qpUSFv9E6h4zRVHds1ehidR57M22pcF";
	static const char absent[] = "bafkreihy2hxszqmnqfrh3grrteznw2bhyvyj55j4jajqxhuky5ioqwe4ny";
	struct face *face = *state;

	assert_int_equal(run(face, "id", json_pack("{s:[s]}", "arg", peer)), -ENOLINK);
	assert_int_equal(run(face, "block stat", json_pack("{s:[s]}", "arg", absent)),
			 -EHOSTUNREACH);
	assert_non_null(strstr(face->message, absent));
	assert_int_equal(run(face, "pin ls", json_pack("{s:[s]}", "arg", absent)), -ENOENT);
	assert_non_null(strstr(face->message, "is not pinned"));
	/* a face of others does not let them ask about files here */
	assert_int_equal(run(face, "pin ls", json_pack("{s:[s]}", "arg", "/etc/passwd")), -EINVAL);
	assert_null(strstr(face->message, "mount"));
	face->host.own_files = true;
	assert_int_equal(run(face, "pin ls", json_pack("{s:[s]}", "arg", "/etc/passwd")), -EINVAL);
	assert_string_equal(face->message, "'/etc/passwd' is not in a dagfs mount");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_can_run_and_be_found),
		cmocka_unit_test(arguments_are_checked_and_filled_in),
		cmocka_unit_test(texts_become_values_of_their_kind),
		cmocka_unit_test_setup_teardown(items_are_what_the_command_line_prints, setup,
						teardown),
		cmocka_unit_test_setup_teardown(items_of_a_list_become_one_object, setup, teardown),
		cmocka_unit_test_setup_teardown(some_may_fail_and_the_call_goes_on, setup,
						teardown),
		cmocka_unit_test_setup_teardown(pinned_blocks_are_not_removed_by_another_cid, setup,
						teardown),
		cmocka_unit_test_setup_teardown(failed_calls_tell_why, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

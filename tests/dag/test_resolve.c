#include "tests/dag/fake.h"

#include <stdio.h>

static void roots_of_paths(void **state)
{
	static const char cid_of_empty[] =
		"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
	static const char *good[][2] = {
		{ "%s", "" },
		{ "%s/", "" },
		{ "%s/a/b", "/a/b" },
		{ "/ipfs/%s", "" },
		{ "/ipfs/%s/a", "/a" },
		{ "ipfs://%s/a", "/a" },
		{ "ipfs://%s", "" },
		/* cleaned as Go's path.Clean() does */
		{ "%s/sub/../a", "/a" },
		{ "%s/./a/.//b/.", "/a/b" },
		{ "//ipfs///%s//a/", "/a" },
		{ "%s/a/../..", NULL },
		{ "%s/../%s/a", "/a" },
		{ "/ipfs/x/../%s/a", "/a" },
		{ "/../../ipfs/%s/a/...", "/a/..." },
		{ "/x/../ipfs/%s/..a/b..", "/..a/b.." },
		{ "ipfs://%s/a/../b", "/b" },
		{ "../ipfs/%s/a", "/a" },
		{ "/ipfs/%s/../../../ipfs/%s", "" },
	};
	static const char *bad[] = {
		"",	    "/",	"/ipfs",   "/ipfs/", "/ipns/example.org",
		"ipfs://",  "/ipfs//x", "notacid", "a/b",    "/etc/passwd",
		"ipns://x", "/ipfsx/y", "..",	   ".",	     "/ipfs/..",
	};
	struct dag_path parsed;
	struct cid want;
	const char *why;

	(void)state;
	assert_int_equal(cid_from_text(&want, cid_of_empty), 0);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct buf path = { 0 };

		for (const char *at = good[i][0]; *at; at++) {
			if (at[0] == '%' && at[1] == 's') {
				buf_add_str(&path, cid_of_empty);
				at++;
			} else {
				buf_add_u8(&path, (uint8_t)*at);
			}
		}
		char *text = buf_take_text(&path);

		assert_int_equal(dag_path_parse(text, &parsed, &why), good[i][1] ? 0 : -EINVAL);
		if (good[i][1]) {
			assert_true(cid_equal(&parsed.root, &want));
			assert_string_equal(parsed.rest, good[i][1]);
		}
		free(text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(dag_path_parse(bad[i], &parsed, &why), -EINVAL);
		assert_non_null(why);
	}
	char *longest = xcalloc(1, DAG_PATH_MAX + 2);

	memset(longest, 'a', DAG_PATH_MAX + 1);
	memcpy(longest, cid_of_empty, strlen(cid_of_empty));
	longest[strlen(cid_of_empty)] = '/';
	assert_int_equal(dag_path_parse(longest, &parsed, &why), -EINVAL);
	longest[DAG_PATH_MAX] = '\0';
	assert_int_equal(dag_path_parse(longest, &parsed, &why), 0);
	free(longest);
}

/* root/sub/file */
static struct cid small_tree(struct fake *fake, struct cid *sub, struct cid *file)
{
	struct fake_child child = { .name = "file", .size = 5 };

	*file = child.cid = fake_put(fake, CODEC_RAW, bytes_str("hello"));
	*sub = fake_dir(fake, &child, 1);
	child = (struct fake_child){ *sub, "sub", 60 };
	return fake_dir(fake, &child, 1);
}

static void names_lead_down(void **state)
{
	struct fake *fake = fake_new();
	struct cid sub, file, out, root = small_tree(fake, &sub, &file);
	char path[DAG_PATH_MAX], text[CID_TEXT_MAX];
	size_t len;

	(void)state;
	const struct {
		const char *rest;
		int err;
		size_t resolved;
		const struct cid *at;
	} cases[] = {
		{ "", 0, 0, &root },
		{ "/", 0, 0, &root },
		{ "sub", 0, 3, &sub },
		{ "/sub/", 0, 4, &sub },
		{ "/sub//file", 0, 10, &file },
		{ "sub/file/", 0, 8, &file },
		{ "/nope/x", -ENOENT, 0, &root },
		{ "/sub/nope", -ENOENT, 4, &sub },
		{ "/sub/file/x", -ENOTDIR, 9, &file },
		{ "/sub/..", -ENOENT, 4, &sub },
		{ "./sub", -ENOENT, 0, &root },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
			dag_resolve(fake->blocks, &root, cases[i].rest, &fake->wait, &out, &len),
			cases[i].err);
		assert_int_equal(len, cases[i].resolved);
		assert_true(cid_equal(&out, cases[i].at));
	}
	snprintf(path, sizeof(path), "/ipfs/%s/sub/file", cid_text(&root, text));
	assert_int_equal(dag_resolve_path(fake->blocks, path, &fake->wait, &out), 0);
	assert_true(cid_equal(&out, &file));
	assert_int_equal(dag_resolve_path(fake->blocks, "junk", &fake->wait, &out), -EINVAL);
	fake_free(fake);
}

static void paths_are_limited(void **state)
{
	struct fake *fake = fake_new();
	struct cid out, cid = fake_dir(fake, NULL, 0);
	char path[2 * DAG_PATH_PARTS_MAX + 3] = { 0 }, name[258] = { 0 };

	(void)state;
	for (int i = 0; i < DAG_PATH_PARTS_MAX + 1; i++) {
		struct fake_child child = { cid, "a", 1 };

		cid = fake_dir(fake, &child, 1);
		memcpy(path + 2 * i, "/a", 2);
	}
	assert_int_equal(dag_resolve(fake->blocks, &cid, path, &fake->wait, &out, NULL),
			 -ENAMETOOLONG);
	assert_int_equal(dag_resolve(fake->blocks, &cid, path + 2, &fake->wait, &out, NULL), 0);
	memset(name, 'n', 256);
	assert_int_equal(dag_resolve(fake->blocks, &cid, name, &fake->wait, &out, NULL),
			 -ENAMETOOLONG);
	assert_int_equal(dag_resolve(fake->blocks, &cid, name + 1, &fake->wait, &out, NULL),
			 -ENOENT);
	fake_free(fake);
}

static void stat_of(struct fake *fake, const struct cid *cid, struct dag_stat *stat)
{
	assert_int_equal(dag_stat(fake->blocks, cid, &fake->wait, stat), 0);
}

static void stat_tells_type_and_sizes(void **state)
{
	struct fake *fake = fake_new();
	struct cid sub, file, root = small_tree(fake, &sub, &file);
	struct dag_stat stat;
	json_t *json = vector_json("unixfs-dirs.json");
	const json_t *entry;
	size_t i;

	(void)state;
	for (int again = 0; again < 2; again++) { /* fetched, then stored */
		stat_of(fake, &file, &stat);
		assert_int_equal(stat.type, DAG_FILE);
		assert_int_equal(stat.size, 5);
		assert_int_equal(stat.tree_size, 5);
		assert_int_equal(stat.block_size, 5);
	}
	stat_of(fake, &root, &stat);
	assert_int_equal(stat.type, DAG_DIRECTORY);
	assert_int_equal(stat.size, 0);
	assert_int_equal(stat.links, 1);
	assert_int_equal(stat.tree_size, stat.block_size + 60);
	json_array_foreach(json_object_get(json, "vectors"), i, entry) {
		const char *desc = vector_text(entry, "desc");
		struct buf block = { 0 };
		struct cid cid;

		vector_hex(&block, entry, "block_hex");
		cid_from_text(&cid, vector_text(entry, "cid"));
		struct block *held = block_take(&cid, &block);

		assert_int_equal(dag_stat_block(held, &stat), 0);
		assert_int_equal(stat.tree_size,
				 json_integer_value(json_object_get(entry, "tsize")));
		assert_int_equal(stat.has_mtime, strstr(desc, "mtime") != NULL);
		if (strstr(desc, "setuid")) {
			assert_int_equal(stat.mode, 04755);
			assert_int_equal(stat.mtime, -1);
		}
		if (strstr(desc, "zero bytes"))
			assert_int_equal(stat.type, DAG_OTHER);
		block_unref(held);
	}
	json_decref(json);
	fake_free(fake);
}

static void symlink_targets_are_read_up_to_the_limit(void **state)
{
	struct fake *fake = fake_new();
	struct unixfs link = { .type = UNIXFS_SYMLINK,
			       .has_data = true,
			       .data = bytes_str("../target/file") };
	char *longest = xcalloc(1, DAG_SYMLINK_MAX + 1);
	struct buf target = { 0 };
	struct dag_stat stat;

	(void)state;
	memset(longest, 'x', DAG_SYMLINK_MAX + 1);
	struct cid cid = fake_node(fake, NULL, 0, &link);

	assert_int_equal(dag_readlink(fake->blocks, &cid, &fake->wait, &target), 0);
	assert_bytes_equal(buf_bytes(&target), link.data);
	stat_of(fake, &cid, &stat);
	assert_int_equal(stat.type, DAG_SYMLINK);
	assert_int_equal(stat.size, 14);
	link.data = bytes_of(longest, DAG_SYMLINK_MAX);
	cid = fake_node(fake, NULL, 0, &link);
	assert_int_equal(dag_readlink(fake->blocks, &cid, &fake->wait, &target), 0);
	link.data = bytes_of(longest, DAG_SYMLINK_MAX + 1);
	cid = fake_node(fake, NULL, 0, &link);
	assert_int_equal(dag_readlink(fake->blocks, &cid, &fake->wait, &target), -EBADMSG);
	link.data = bytes_of("a\0b", 3);
	cid = fake_node(fake, NULL, 0, &link);
	assert_int_equal(dag_readlink(fake->blocks, &cid, &fake->wait, &target), -EBADMSG);
	cid = fake_dir(fake, NULL, 0);
	assert_int_equal(dag_readlink(fake->blocks, &cid, &fake->wait, &target), -EINVAL);
	cid = fake_put(fake, CODEC_RAW, bytes_str("x"));
	assert_int_equal(dag_readlink(fake->blocks, &cid, &fake->wait, &target), -EINVAL);
	buf_release(&target);
	free(longest);
	fake_free(fake);
}

/* Trees of the gateway's own tests, read whole. */
static void conformance_trees(void **state)
{
	struct fake *fake = fake_new();
	struct cid out, root;
	struct dag_stat stat;
	struct buf target = { 0 };

	(void)state;
	root = fake_load_car(fake, "spec-car/gwc__path_gateway_unixfs__symlink.car");
	assert_int_equal(dag_resolve(fake->blocks, &root, "bar", &fake->wait, &out, NULL), 0);
	assert_int_equal(dag_readlink(fake->blocks, &out, &fake->wait, &target), 0);
	assert_bytes_equal(buf_bytes(&target), bytes_str("foo"));
	buf_release(&target);
	root = fake_load_car(
		fake, "spec-car/gwc__trustless_gateway_car__subdir-with-mixed-block-files.car");
	assert_int_equal(
		dag_resolve(fake->blocks, &root, "subdir/ascii.txt", &fake->wait, &out, NULL), 0);
	stat_of(fake, &out, &stat);
	assert_int_equal(stat.type, DAG_FILE);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_of_paths),
		cmocka_unit_test(names_lead_down),
		cmocka_unit_test(paths_are_limited),
		cmocka_unit_test(stat_tells_type_and_sizes),
		cmocka_unit_test(symlink_targets_are_read_up_to_the_limit),
		cmocka_unit_test(conformance_trees),
	};
	return cmocka_run_group_tests_name("dag/resolve", tests, NULL, NULL);
}

#include "dag/ipld/ipld_pb.h"
#include "tests/dag/ipld_check.h"

/* ipld/codec-fixtures: one value in several codecs; the name of a file is its CID. */

static void block_of(struct buf *out, const json_t *file, struct cid *cid)
{
	const char *text = json_string_value(json_object_get(file, "utf8"));

	if (text)
		buf_add_str(out, text);
	else
		vector_hex(out, file, "hex");
	assert_int_equal(cid_from_text(cid, vector_text(file, "cid")), 0);
	assert_int_equal(cid_verify(cid, buf_bytes(out)), 0);
}

/* Decoded from one codec, written in every other: the same bytes. */
static void one_into_all(const char *name, const json_t *from, json_t *all)
{
	struct ipld tree = { 0 };
	struct buf in = { 0 };
	struct cid cid;
	const char *codec;
	json_t *file;

	block_of(&in, from, &cid);
	if (ipld_decode_strict(&tree, cid.codec, buf_bytes(&in)))
		fail_msg("%s: refused", name);
	json_object_foreach(all, codec, file) {
		struct buf want = { 0 }, out = { 0 };

		block_of(&want, file, &cid);
		assert_int_equal(cid.codec, ipld_codec(codec));
		if (ipld_encode(&tree, tree.nodes, cid.codec, &out))
			fail_msg("%s: not written as %s", name, codec);
		if (!bytes_equal(buf_bytes(&out), buf_bytes(&want)))
			fail_msg("%s: %s differs: %s", name, codec, buf_take_text(&out));
		buf_release(&want);
		buf_release(&out);
	}
	ipld_release(&tree);
	buf_release(&in);
}

static void fixtures_in_all_codecs(void **state)
{
	json_t *json = vector_json("dagcbor-dagjson-dagpb-fixtures.json"), *fixture, *file;
	const char *codec;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "fixtures"), i, fixture) {
		json_t *files = json_object_get(fixture, "files");

		json_object_foreach(files, codec, file)
			one_into_all(vector_text(fixture, "name"), file, files);
	}
	assert_int_equal(i, 108);
	json_decref(json);
}

static void refuse(uint64_t codec, const json_t *entry)
{
	struct ipld tree = { 0 };
	struct buf in = { 0 };

	vector_hex(&in, entry, "hex");
	if (ipld_decode(&tree, codec, buf_bytes(&in)) != -EBADMSG)
		fail_msg("accepted: %s", vector_text(entry, "name"));
	buf_release(&in);
}

static void refuse_form(uint64_t codec, const json_t *entry)
{
	char *text = json_dumps(json_object_get(entry, "dag-json"),
				JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	struct ipld tree = { 0 };
	struct buf out = { 0 };

	assert_int_equal(dagjson_decode(&tree, bytes_str(text), 0), 0);
	if (ipld_encode(&tree, tree.nodes, codec, &out) != -EINVAL)
		fail_msg("written: %s", vector_text(entry, "name"));
	free(text);
	ipld_release(&tree);
	buf_release(&out);
}

static void negative_fixtures(void **state)
{
	json_t *json = vector_json("codec-negative.json"), *entries, *entry;
	const char *name;
	size_t i, count = 0;

	(void)state;
	json_object_foreach(json_object_get(json, "files"), name, entries) {
		char *codec_name = strndup(name, strcspn(name, "/"));
		uint64_t codec = ipld_codec(codec_name);

		assert_true(codec != 0);
		json_array_foreach(entries, i, entry) {
			count++;
			if (json_object_get(entry, "hex"))
				refuse(codec, entry);
			else
				refuse_form(codec, entry);
		}
		free(codec_name);
	}
	assert_true(count >= 89);
	json_decref(json);
}

static void walk(const char *path, int want_err, const char *want_link, size_t want_used)
{
	static const char text[] =
		"{\"a\":[{\"b\":{\"/\":\"bafkqabiaaebagba\"}},7],\"10\":{},\"\":1}";
	struct cid link, want;
	size_t used;

	assert_int_equal(ipld_walk_path(bytes_str(text), CODEC_DAG_JSON, path, &link, &used),
			 want_err);
	assert_int_equal(used, want_used);
	assert_int_equal(cid_is_set(&link), want_link != NULL);
	if (want_link) {
		assert_int_equal(cid_from_text(&want, want_link), 0);
		assert_true(cid_equal(&link, &want));
	}
}

static void paths_through_a_block(void **state)
{
	struct cid link;
	size_t used;

	(void)state;
	walk("", 0, NULL, 0);
	walk("/", 0, NULL, 0);
	walk("/a", 0, NULL, 2);
	walk("/a/0", 0, NULL, 4);
	walk("/a/1", 0, NULL, 4);
	walk("/10", 0, NULL, 3);
	walk("/a/0/b", 0, "bafkqabiaaebagba", 6);
	walk("a//0/b/c/d", 0, "bafkqabiaaebagba", 6);
	walk("/x", -ENOENT, NULL, 0);
	walk("/a/2", -ENOENT, NULL, 2);
	walk("/a/00", -ENOENT, NULL, 2);
	walk("/a/-1", -ENOENT, NULL, 2);
	walk("/a/4294967296", -ENOENT, NULL, 2);
	walk("/a/1/x", -ENOTDIR, NULL, 4);
	/* A block that is nothing but a link. */
	assert_int_equal(ipld_walk_path(bytes_str("{\"/\":\"bafkqaaa\"}"), CODEC_DAG_JSON, "/x",
					&link, &used),
			 0);
	assert_true(cid_is_set(&link));
	assert_int_equal(used, 0);
}

static void large_maps_are_sorted(void **state)
{
	struct ipld tree = { 0 }, again = { 0 };
	struct buf in = { 0 }, out = { 0 };
	uint32_t x = 1;

	(void)state;
	buf_add_u8(&in, '{');
	for (int i = 0; i < 5000; i++) {
		x = x * 1664525u + 1013904223u;
		buf_printf(&in, "%s\"%x\":[%d]", i ? "," : "", x, i);
	}
	buf_add_u8(&in, '}');
	assert_int_equal(dagjson_decode(&tree, buf_bytes(&in), 0), 0);
	assert_int_equal(cbor_encode(&tree, tree.nodes, 0, &out), 0);
	assert_int_equal(cbor_decode(&again, buf_bytes(&out), CBOR_STRICT), 0);
	assert_int_equal(again.count, tree.count);
	ipld_release(&tree);
	ipld_release(&again);
	/* One key a second time. */
	in.len--;
	buf_printf(&in, ",\"%x\":0}", x);
	assert_int_equal(dagjson_decode(&tree, buf_bytes(&in), 0), -EBADMSG);
	buf_release(&in);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixtures_in_all_codecs),
		cmocka_unit_test(negative_fixtures),
		cmocka_unit_test(paths_through_a_block),
		cmocka_unit_test(large_maps_are_sorted),
	};
	return cmocka_run_group_tests_name("dag/ipld", tests, NULL, NULL);
}

#include "dag/hamt.h"

#include "tests/dag/fake.h"

#include <stdio.h>

static void shapes_follow_from_the_fanout(void **state)
{
	static const uint64_t bad[] = { 0, 1, 4, 7, 12, 24, 257, 2048, 1u << 31, 1ull << 63 };
	static const struct hamt_shape good[] = {
		{ 8, 3, 1, 21 },  { 16, 4, 1, 16 }, { 32, 5, 2, 12 },	{ 64, 6, 2, 10 },
		{ 256, 8, 2, 8 }, { 512, 9, 3, 7 }, { 1024, 10, 3, 6 },
	};
	struct hamt_shape shape;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(hamt_shape(&shape, bad[i]), -EBADMSG);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(hamt_shape(&shape, good[i].fanout), 0);
		assert_memory_equal(&shape, &good[i], sizeof(shape));
	}
}

static void hashes_lead_as_in_boxo(void **state)
{
	json_t *json = vector_json("hamt.json");
	const json_t *entry, *want;
	struct hamt_shape shape;
	size_t i, level;

	(void)state;
	assert_int_equal(hamt_shape(&shape, 256), 0);
	json_array_foreach(json_object_get(json, "murmur3"), i, entry) {
		uint64_t hash = hamt_hash(bytes_str(vector_text(entry, "name")));
		char hex[17];

		snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)hash);
		assert_string_equal(hex, vector_text(entry, "murmur3_x64_64_be_hex"));
		json_array_foreach(json_object_get(entry, "indices_fanout256"), level, want)
			assert_int_equal(hamt_index(&shape, hash, (unsigned)level),
					 json_integer_value(want));
		assert_true(hamt_index(&shape, hash, 7) >= 0);
		assert_int_equal(hamt_index(&shape, hash, 8), -1);
	}
	json_decref(json);
}

static void narrow_and_wide_levels_span_bytes(void **state)
{
	struct hamt_shape shape;
	uint64_t hash = 0xf123456789abcdefu;

	(void)state;
	hamt_shape(&shape, 8);
	assert_int_equal(hamt_index(&shape, hash, 0), 7);
	assert_int_equal(hamt_index(&shape, hash, 1), 4); /* 1111 0001 0010: 111 100 010 010 */
	assert_int_equal(hamt_index(&shape, hash, 20), 7);
	assert_int_equal(hamt_index(&shape, hash, 21), -1);
	hamt_shape(&shape, 1024);
	assert_int_equal(hamt_index(&shape, hash, 0), 0x3c4);
	assert_int_equal(hamt_index(&shape, hash, 5), (hash >> 4) & 1023);
	assert_int_equal(hamt_index(&shape, hash, 6), -1);
}

static void prefixes_name_their_bucket(void **state)
{
	struct hamt_shape shape;
	char text[HAMT_PREFIX_MAX + 1];

	(void)state;
	for (unsigned fanout = 8; fanout <= 1024; fanout *= 2) {
		hamt_shape(&shape, fanout);
		for (unsigned i = 0; i < fanout; i++) {
			hamt_prefix(&shape, i, text);
			assert_int_equal(strlen(text), shape.prefix_len);
			assert_int_equal(hamt_prefix_index(&shape, bytes_str(text)), i);
		}
	}
	hamt_shape(&shape, 256);
	hamt_prefix(&shape, 0xa, text);
	assert_string_equal(text, "0A");
	assert_int_equal(hamt_prefix_index(&shape, bytes_str("0Aname")), 10);
	assert_int_equal(hamt_prefix_index(&shape, bytes_str("0aname")), -1);
	assert_int_equal(hamt_prefix_index(&shape, bytes_str("0")), -1);
	assert_int_equal(hamt_prefix_index(&shape, bytes_str("")), -1);
	assert_int_equal(hamt_prefix_index(&shape, bytes_str("-1")), -1);
	hamt_shape(&shape, 8);
	assert_int_equal(hamt_prefix_index(&shape, bytes_str("8x")), -1);
}

static void bitmaps_round_trip(void **state)
{
	struct hamt_shape shape;
	struct hamt_bitmap map = { 0 }, again;
	struct buf out = { 0 }, want = { 0 };

	(void)state;
	hamt_shape(&shape, 256);
	hamt_bitmap_encode(&out, &map);
	assert_int_equal(out.len, 0);
	hamt_bitmap_set(&map, 0x9e, true);
	hamt_bitmap_set(&map, 3, true);
	hamt_bitmap_set(&map, 3, false);
	hamt_bitmap_encode(&out, &map);
	hex_decode(&want, "40 00000000000000000000000000000000000000");
	assert_bytes_equal(buf_bytes(&out), buf_bytes(&want));
	assert_int_equal(hamt_bitmap_decode(&again, &shape, buf_bytes(&out)), 0);
	assert_true(hamt_bitmap_get(&again, 0x9e));
	assert_int_equal(hamt_bitmap_count(&again), 1);
	buf_clear(&out);
	for (int i = 0; i < 32; i++)
		buf_add_u8(&out, 0xff);
	assert_int_equal(hamt_bitmap_decode(&again, &shape, buf_bytes(&out)), 0);
	assert_int_equal(hamt_bitmap_count(&again), 256);
	buf_add_u8(&out, 0);
	assert_int_equal(hamt_bitmap_decode(&again, &shape, buf_bytes(&out)), -EBADMSG);
	buf_release(&out);
	buf_release(&want);
}

static void roots_of_boxo_decode(void **state)
{
	json_t *json = vector_json("hamt.json");
	const json_t *entry;
	size_t i, count = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "vectors"), i, entry) {
		struct hamt_shard shard;
		struct buf block = { 0 };

		if (!json_object_get(entry, "block_hex"))
			continue;
		vector_hex(&block, entry, "block_hex");
		assert_int_equal(hamt_shard_decode(&shard, buf_bytes(&block)), 0);
		assert_int_equal(shard.shape.fanout,
				 json_integer_value(json_object_get(entry, "fanout")));
		assert_int_equal(shard.node.link_count,
				 json_integer_value(json_object_get(entry, "root_links")));
		for (size_t k = 0; k < shard.node.link_count; k++)
			assert_int_equal(hamt_shard_find(&shard, shard.index[k]), k);
		hamt_shard_release(&shard);
		buf_release(&block);
		count++;
	}
	assert_true(count > 30);
	json_decref(json);
}

struct crafted {
	const char *names[3];
	size_t links;
	const char *bitmap;
	uint64_t hash_type, fanout;
	enum unixfs_type type;
};

static int decode_crafted(const struct crafted *c)
{
	struct buf block = { 0 }, data = { 0 }, bitmap = { 0 };
	struct hamt_shard shard;
	struct cid cid;

	cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("x"));
	for (size_t i = 0; i < c->links; i++)
		dagpb_put_link(&block, cid_bytes(&cid), bytes_str(c->names[i]), 1);
	hex_decode(&bitmap, c->bitmap);
	struct unixfs unixfs = {
		.type = c->type,
		.has_data = bitmap.len > 0,
		.data = buf_bytes(&bitmap),
		.hash_type = c->hash_type,
		.fanout = c->fanout,
	};
	unixfs_encode(&data, &unixfs);
	dagpb_put_data(&block, buf_bytes(&data));
	int err = hamt_shard_decode(&shard, buf_bytes(&block));

	hamt_shard_release(&shard);
	buf_release(&block);
	buf_release(&data);
	buf_release(&bitmap);
	return err;
}

static void crafted_shards_are_refused(void **state)
{
	const enum unixfs_type shard = UNIXFS_HAMT_SHARD;
	const struct {
		int err;
		struct crafted c;
	} cases[] = {
		{ 0, { { "00a", "02b" }, 2, "05", 0x22, 256, shard } },
		{ 0, { { 0 }, 0, "", 0x22, 256, shard } },
		{ 0, { { "00a", "02b" }, 2, "000005", 0x22, 256, shard } },
		{ -ENOTDIR, { { 0 }, 0, "", 0, 0, UNIXFS_FILE } },
		{ -EBADMSG, { { "00a", "02b" }, 2, "05", 0x12, 256, shard } },
		{ -EBADMSG, { { "00a", "02b" }, 2, "05", 0, 256, shard } },
		{ -EBADMSG, { { "00a", "02b" }, 2, "05", 0x22, 0, shard } },
		{ -EBADMSG, { { "00a", "02b" }, 2, "05", 0x22, 7, shard } },
		{ -EBADMSG, { { "00a", "02b" }, 2, "05", 0x22, 1ull << 63, shard } },
		{ -EBADMSG, { { "00a", "02b" }, 2, "07", 0x22, 256, shard } }, /* popcount */
		{ -EBADMSG, { { "00a", "02b" }, 2, "01", 0x22, 256, shard } },
		{ -EBADMSG, { { "00a", "02b" }, 2, "06", 0x22, 256, shard } }, /* another bucket */
		{ -EBADMSG, { { "02b", "00a" }, 2, "05", 0x22, 256, shard } }, /* order */
		{ -EBADMSG,
		  { { "00a", "00b" }, 2, "03", 0x22, 256, shard } },	     /* one bucket twice */
		{ -EBADMSG, { { "0", "02b" }, 2, "05", 0x22, 256, shard } }, /* width */
		{ -EBADMSG, { { "0ab" }, 1, "0400", 0x22, 256, shard } },    /* case */
		{ -EBADMSG, { { "0a", "1b" }, 2, "0003", 0x22, 8, shard } }, /* too wide */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(decode_crafted(&cases[i].c), cases[i].err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_follow_from_the_fanout),
		cmocka_unit_test(hashes_lead_as_in_boxo),
		cmocka_unit_test(narrow_and_wide_levels_span_bytes),
		cmocka_unit_test(prefixes_name_their_bucket),
		cmocka_unit_test(bitmaps_round_trip),
		cmocka_unit_test(roots_of_boxo_decode),
		cmocka_unit_test(crafted_shards_are_refused),
	};
	return cmocka_run_group_tests_name("dag/hamt", tests, NULL, NULL);
}

#include "tests/dag/fake.h"

static int decode_hex(struct unixfs *node, const char *hex)
{
	static struct buf data; /* outlives the borrowing node */

	buf_clear(&data);
	buf_reserve(&data, 1);
	hex_decode(&data, hex);
	int err = unixfs_decode(node, buf_bytes(&data));

	if (!hex[0])
		buf_release(&data);
	return err;
}

static void vectors_round_trip(void **state)
{
	json_t *json = vector_json("unixfs-dirs.json");
	const json_t *entry;
	size_t i, count = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "vectors"), i, entry) {
		struct buf block = { 0 }, again = { 0 };
		struct dagpb pb;
		struct unixfs node;
		struct cid cid;

		assert_int_equal(cid_from_text(&cid, vector_text(entry, "cid")), 0);
		vector_hex(&block, entry, "block_hex");
		assert_int_equal(cid_verify(&cid, buf_bytes(&block)), 0);
		if (cid.codec == CODEC_DAG_PB && block.len) {
			assert_int_equal(dagpb_decode(&pb, buf_bytes(&block)), 0);
			assert_int_equal(unixfs_decode(&node, pb.data), 0);
			unixfs_encode(&again, &node);
			assert_bytes_equal(buf_bytes(&again), pb.data);
			unixfs_release(&node);
			dagpb_release(&pb);
			count++;
		}
		buf_release(&block);
		buf_release(&again);
	}
	assert_int_equal(count, 14);
	json_decref(json);
}

static void times_and_modes(void **state)
{
	struct unixfs node;

	(void)state;
	assert_int_equal(decode_hex(&node, "080138ed03420b0880e2cfaa061515cd5b07"), 0);
	assert_int_equal(node.mode, 0755);
	assert_true(node.has_mtime);
	assert_int_equal(node.mtime, 1700000000);
	assert_int_equal(node.mtime_nanos, 123456789);
	assert_int_equal(decode_hex(&node, "0802420b08ffffffffffffffffff01"), 0);
	assert_int_equal(node.mtime, -1);
	/* nanos 0, 1 000 000 000, and no seconds */
	assert_int_equal(decode_hex(&node, "0802 4207 0801 1500000000"), -EBADMSG);
	assert_int_equal(decode_hex(&node, "0802 4207 0801 1500ca9a3b"), -EBADMSG);
	assert_int_equal(decode_hex(&node, "0802 4207 0801 15ffc99a3b"), 0);
	assert_int_equal(decode_hex(&node, "0802 4205 1501000000"), -EBADMSG);
}

static void malformed_is_refused(void **state)
{
	struct unixfs node;

	(void)state;
	assert_int_equal(decode_hex(&node, ""), -EBADMSG); /* no type */
	assert_int_equal(decode_hex(&node, "1800"), -EBADMSG);
	assert_int_equal(decode_hex(&node, "0806"), -EBADMSG);	    /* unknown type */
	assert_int_equal(decode_hex(&node, "0a00"), -EBADMSG);	    /* type as bytes */
	assert_int_equal(decode_hex(&node, "0802 1000"), -EBADMSG); /* data as varint */
	assert_int_equal(decode_hex(&node, "0802 12ff01"), -EBADMSG);
	assert_int_equal(decode_hex(&node, "0802 2001 22ff01"), -EBADMSG); /* packed, too short */
	assert_null(node.blocksizes);
	assert_int_equal(decode_hex(&node, "0802 4b4c"), -EBADMSG); /* groups */
	assert_int_equal(decode_hex(&node, "0802 7a03616263"), 0);  /* unknown field */
}

static void packed_and_unpacked_are_the_same(void **state)
{
	struct unixfs node;

	(void)state;
	assert_int_equal(decode_hex(&node, "0802 1806 2001 2203020380 01"), -EBADMSG);
	assert_int_equal(decode_hex(&node, "0802 1806 2001 22020203"), 0);
	assert_int_equal(node.blocksize_count, 3);
	assert_int_equal(node.blocksizes[2], 3);
	uint64_t size;

	assert_int_equal(unixfs_file_size(&node, 3, &size), 0);
	assert_int_equal(size, 6);
	assert_int_equal(unixfs_file_size(&node, 2, &size), -EBADMSG);
	node.filesize = 7;
	assert_int_equal(unixfs_file_size(&node, 3, &size), -EBADMSG);
	node.has_filesize = false;
	node.blocksizes[0] = INT64_MAX - 5;
	assert_int_equal(unixfs_file_size(&node, 3, &size), 0);
	node.blocksizes[0]++;
	assert_int_equal(unixfs_file_size(&node, 3, &size), -EBADMSG);
	node.blocksizes[0] = UINT64_MAX;
	assert_int_equal(unixfs_file_size(&node, 3, &size), -EBADMSG);
	unixfs_release(&node);
}

static void blocksizes_are_limited(void **state)
{
	struct buf data = { 0 };
	struct unixfs node;

	(void)state;
	hex_decode(&data, "0802");
	for (unsigned i = 0; i < 65536; i++)
		hex_decode(&data, "2001");
	assert_int_equal(unixfs_decode(&node, buf_bytes(&data)), 0);
	assert_int_equal(node.blocksize_count, 65536);
	unixfs_release(&node);
	hex_decode(&data, "2001");
	assert_int_equal(unixfs_decode(&node, buf_bytes(&data)), -EBADMSG);
	buf_release(&data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_round_trip),
		cmocka_unit_test(times_and_modes),
		cmocka_unit_test(malformed_is_refused),
		cmocka_unit_test(packed_and_unpacked_are_the_same),
		cmocka_unit_test(blocksizes_are_limited),
	};
	return cmocka_run_group_tests_name("dag/unixfs", tests, NULL, NULL);
}

#include "tests/dag/fake.h"

/* Re-encodes what was decoded; equal bytes when the block was written as Kubo writes. */
static void reencode(const struct dagpb *node, struct buf *out)
{
	for (size_t i = 0; i < node->link_count; i++) {
		struct dagpb_link link;

		dagpb_link(node, i, &link);
		size_t before = out->len;

		dagpb_put_link(out, cid_bytes(&link.cid), link.name, link.tsize);
		assert_int_equal(out->len - before,
				 dagpb_link_len(link.cid.len, link.name.len, link.tsize));
	}
	if (node->has_data)
		dagpb_put_data(out, node->data);
}

static void check_fixture(const json_t *fixture, unsigned *exact)
{
	struct buf block = { 0 }, again = { 0 };
	struct dagpb node, second;
	struct cid cid;

	vector_hex(&block, fixture, "hex");
	assert_int_equal(cid_from_text(&cid, vector_text(fixture, "cid")), 0);
	assert_int_equal(cid_verify(&cid, buf_bytes(&block)), 0);
	assert_int_equal(dagpb_decode(&node, buf_bytes(&block)), 0);
	reencode(&node, &again);
	*exact += bytes_equal(buf_bytes(&block), buf_bytes(&again));
	assert_int_equal(dagpb_decode(&second, buf_bytes(&again)), 0);
	assert_int_equal(second.link_count, node.link_count);
	assert_true(second.has_data == node.has_data);
	assert_bytes_equal(second.data, node.data);
	dagpb_release(&node);
	dagpb_release(&second);
	buf_release(&block);
	buf_release(&again);
}

static void fixtures_round_trip(void **state)
{
	json_t *json = vector_json("dagcbor-dagjson-dagpb-fixtures.json");
	const json_t *entry;
	unsigned count = 0, exact = 0;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "fixtures"), i, entry) {
		const json_t *pb = json_object_get(json_object_get(entry, "files"), "dag-pb");

		if (!pb)
			continue;
		check_fixture(pb, &exact);
		count++;
	}
	assert_int_equal(count, 17);
	assert_true(exact >= 8); /* the others leave names or sizes out */
	json_decref(json);
}

static void negative_fixtures_are_refused(void **state)
{
	json_t *json = vector_json("codec-negative.json");
	const json_t *cases =
		json_object_get(json_object_get(json, "files"), "dag-pb/decode/edges.json");
	const json_t *entry;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(cases), 9);
	json_array_foreach(cases, i, entry) {
		struct buf block = { 0 };
		struct dagpb node;

		vector_hex(&block, entry, "hex");
		assert_int_equal(dagpb_decode(&node, buf_bytes(&block)), -EBADMSG);
		assert_null(node.links);
		buf_release(&block);
	}
	json_decref(json);
}

static int decode_hex(const char *hex)
{
	struct buf block = { 0 };
	struct dagpb node;

	hex_decode(&block, hex);
	int err = dagpb_decode(&node, buf_bytes(&block));

	dagpb_release(&node);
	buf_release(&block);
	return err;
}

static void nodes_that_are_not_strict_are_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_hex(""), 0);
	assert_int_equal(decode_hex("0a00"), 0);
	assert_int_equal(decode_hex("0a00 120b 0a09015500050001020304"), 0); /* data first */
	assert_int_equal(decode_hex("0a00 0a00"), -EBADMSG);
	assert_int_equal(decode_hex("1800"), -EBADMSG);	   /* unknown field */
	assert_int_equal(decode_hex("0800"), -EBADMSG);	   /* data as varint */
	assert_int_equal(decode_hex("1000"), -EBADMSG);	   /* link as varint */
	assert_int_equal(decode_hex("130b"), -EBADMSG);	   /* group */
	assert_int_equal(decode_hex("0a05 00"), -EBADMSG); /* too short */
	assert_int_equal(decode_hex("0aff ff ff ff 0f"), -EBADMSG);
	/* name before hash, hash twice, bytes behind the CID, a fourth field */
	assert_int_equal(decode_hex("120d 1200 0a09015500050001020304"), -EBADMSG);
	assert_int_equal(decode_hex("1216 0a09015500050001020304 0a09015500050001020304"),
			 -EBADMSG);
	assert_int_equal(decode_hex("120c 0a0a01550005000102030400"), -EBADMSG);
	assert_int_equal(decode_hex("120d 0a09015500050001020304 2000"), -EBADMSG);
	assert_int_equal(decode_hex("120d 0a09015500050001020304 1a00"), -EBADMSG);
}

static void truncation_is_refused(void **state)
{
	struct buf block = { 0 };

	(void)state;
	hex_decode(&block, "120f 0a09015500050001020304 1200 1805 0a03010203");
	block.at[1] = 0x0f;
	for (size_t len = 1; len < block.len; len++) {
		struct dagpb node;
		int err = dagpb_decode(&node, bytes_of(block.at, len));

		/* Whole after the link, or whole. */
		assert_true(err == -EBADMSG || len == 17);
		dagpb_release(&node);
	}
	buf_release(&block);
}

static void links_are_limited(void **state)
{
	struct buf block = { 0 };
	struct dagpb node;

	(void)state;
	for (size_t i = 0; i < DAGPB_LINKS_MAX; i++)
		hex_decode(&block, "12060a0401550000");
	assert_int_equal(dagpb_decode(&node, buf_bytes(&block)), 0);
	assert_int_equal(node.link_count, DAGPB_LINKS_MAX);
	dagpb_release(&node);
	hex_decode(&block, "12060a0401550000");
	assert_int_equal(dagpb_decode(&node, buf_bytes(&block)), -EBADMSG);
	buf_release(&block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixtures_round_trip),
		cmocka_unit_test(negative_fixtures_are_refused),
		cmocka_unit_test(nodes_that_are_not_strict_are_refused),
		cmocka_unit_test(truncation_is_refused),
		cmocka_unit_test(links_are_limited),
	};
	return cmocka_run_group_tests_name("dag/dagpb", tests, NULL, NULL);
}

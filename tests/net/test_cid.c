/* net/wire/cid.c: vectors of go-cid, truncation, limits, versions. */
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/cid.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_text(const struct cid *cid, const char *expected)
{
	char text[CID_TEXT_MAX];

	assert_string_equal(cid_text(cid, text), expected);
}

static void check_versions(const struct cid *cid, const json_t *vector)
{
	char text[CID_TEXT_MAX];
	struct cid v1, back;
	const char *as_v1 = json_string_value(json_object_get(vector, "as_v1"));

	assert_int_equal(cid_to_version(cid, 1, &v1), 0);
	if (as_v1)
		check_text(&v1, as_v1);
	assert_int_equal(cid_text_base(cid, 'k', text), 0);
	assert_string_equal(text, vector_text(vector, "as_v1_base36"));
	if (cid->codec == CODEC_DAG_PB) {
		assert_int_equal(cid_to_version(&v1, 0, &back), 0);
		assert_int_equal(back.version, 0);
		assert_bytes_equal(cid_hash_bytes(&back), cid_hash_bytes(cid));
	} else {
		assert_int_equal(cid_to_version(&v1, 0, &back), -EINVAL);
	}
}

static void vectors_round_trip(void **state)
{
	json_t *json = vector_json("formats.json"), *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "cid"), i, vector) {
		struct buf raw = { 0 };
		struct cid cid, again;

		vector_hex(&raw, vector, "binary_hex");
		assert_int_equal(cid_from_text(&cid, vector_text(vector, "string")), 0);
		assert_bytes_equal(cid_bytes(&cid), buf_bytes(&raw));
		assert_int_equal(cid.version,
				 json_integer_value(json_object_get(vector, "version")));
		assert_true(cid.codec == strtoull(vector_text(vector, "codec"), NULL, 0));
		assert_true(cid_hash(&cid).code ==
			    strtoull(vector_text(vector, "mh_code"), NULL, 0));
		assert_int_equal(cid_hash(&cid).digest.len,
				 json_integer_value(json_object_get(vector, "mh_len")));
		check_text(&cid, vector_text(vector, "canonical"));
		check_versions(&cid, vector);
		assert_int_equal(cid_allowed(&cid), 0);

		for (size_t len = 0; len < raw.len; len++) {
			assert_int_equal(cid_decode(&again, bytes_of(raw.at, len)), 0);
			assert_int_equal(cid_from_bytes(&again, bytes_of(raw.at, len)), -EBADMSG);
		}
		buf_add_u8(&raw, 0);
		assert_int_equal(cid_decode(&again, buf_bytes(&raw)), raw.len - 1);
		assert_true(cid_equal(&cid, &again));
		assert_int_equal(cid_from_bytes(&again, buf_bytes(&raw)), -EBADMSG);
		buf_release(&raw);
	}
	json_decref(json);
}

static void edge_cases_are_judged_as_go_does(void **state)
{
	json_t *json = vector_json("formats.json"), *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "cid_edge"), i, vector) {
		const char *text = vector_text(vector, "string");
		const json_t *accepted = json_object_get(vector, "go_cid_accepts_as");
		struct cid cid;

		assert_int_equal(cid_from_text(&cid, text), accepted ? 0 : -EBADMSG);
		if (accepted)
			check_text(&cid, json_string_value(accepted));
	}
	json_decref(json);
}

static void empty_data_has_known_cids(void **state)
{
	struct cid cid;

	(void)state;
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, (struct bytes){ 0 }), 0);
	check_text(&cid, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
	assert_int_equal(cid_verify(&cid, (struct bytes){ 0 }), 0);
	assert_int_equal(cid_verify(&cid, bytes_str("x")), -EBADMSG);
	assert_int_equal(cid_of_data(&cid, 0, CODEC_DAG_PB, HASH_SHA2_256, (struct bytes){ 0 }), 0);
	check_text(&cid, "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n");
	assert_int_equal(
		cid_of_data(&cid, 0, CODEC_DAG_PB, HASH_SHA2_256, bytes_str("\x0a\x02\x08\x01")),
		0);
	check_text(&cid, "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
}

static void identity_cids_carry_up_to_128_bytes(void **state)
{
	uint8_t data[MULTIHASH_DIGEST_MAX + 1] = { 1 };
	char text[CID_TEXT_MAX];
	struct cid cid = { 0 }, again;

	(void)state;
	assert_false(cid_is_set(&cid) || cid_is_identity(&cid));
	assert_int_equal(cid_identity_data(&cid).len, 0);
	assert_int_equal(cid_allowed(&cid), -EBADMSG);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_of(data, 128)), 0);
	assert_true(cid_is_identity(&cid));
	assert_bytes_equal(cid_identity_data(&cid), bytes_of(data, 128));
	assert_int_equal(cid_allowed(&cid), 0);
	assert_int_equal(cid_verify(&cid, bytes_of(data, 128)), 0);
	assert_int_equal(cid_verify(&cid, bytes_of(data, 127)), -EBADMSG);
	assert_int_equal(cid_text_base(&cid, 'f', text), 0);
	assert_int_equal(cid_from_text(&again, text), 0);
	assert_true(cid_equal(&cid, &again));
	assert_int_equal(cid_text_base(&cid, '0', text), -EINVAL); /* too long */
	assert_int_equal(cid_text_base(&cid, 'x', text), -EINVAL);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_of(data, 129)),
			 -EINVAL);
}

static int binary(const char *hex)
{
	struct buf raw = { 0 };
	struct cid cid;
	ssize_t used;

	hex_decode(&raw, hex);
	used = cid_decode(&cid, buf_bytes(&raw));
	buf_release(&raw);
	return (int)used;
}

static void malformed_cids_are_refused(void **state)
{
	(void)state;
	assert_int_equal(binary(""), 0);
	assert_int_equal(binary("12"), 0);
	assert_int_equal(binary("1221"), -EBADMSG); /* version 18 */
	assert_int_equal(binary("00"), -EBADMSG);
	assert_int_equal(binary("02551200"), -EBADMSG);
	assert_int_equal(binary("8100551200"), -EBADMSG); /* over-long version */
	assert_int_equal(binary("01d50000"), -EBADMSG);	  /* over-long codec */
	assert_int_equal(binary("0155008101"), -EBADMSG); /* digest of 129 */
	assert_int_equal(binary("01551200"), 4);	  /* parses, but: */
}

static void hashes_not_allowed_are_refused(void **state)
{
	struct cid cid;

	(void)state;
	assert_int_equal(cid_from_bytes(&cid, bytes_of("\x01\x55\x12\x00", 4)), 0);
	assert_int_equal(cid_allowed(&cid), -EBADMSG);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_MURMUR3_X64_64, bytes_str("x")), 0);
	assert_int_equal(cid_allowed(&cid), -EBADMSG);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, 0xd5, bytes_str("x")), -ENOTSUP);
	assert_int_equal(cid_of_data(&cid, 0, CODEC_RAW, HASH_SHA2_256, bytes_str("x")), -EINVAL);
	assert_int_equal(cid_make(&cid, 2, CODEC_RAW, bytes_of("\x00\x00", 2)), -EINVAL);
	assert_int_equal(cid_make(&cid, 1, CODEC_RAW, bytes_of("\x00\x01", 2)), -EBADMSG);
	assert_int_equal(cid_make(&cid, 1, UINT64_MAX, bytes_of("\x00\x00", 2)), -EINVAL);
}

static void text_limits(void **state)
{
	char text[600];
	struct cid cid;

	(void)state;
	memset(text, '1', sizeof(text));
	text[0] = 'z';
	text[513] = 0;
	assert_int_equal(cid_from_text(&cid, text), -EBADMSG);
	assert_int_equal(cid_from_text_bytes(&cid, (struct bytes){ 0 }), -EBADMSG);
	assert_int_equal(cid_from_text(&cid, "Qm"), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_round_trip),
		cmocka_unit_test(edge_cases_are_judged_as_go_does),
		cmocka_unit_test(empty_data_has_known_cids),
		cmocka_unit_test(identity_cids_carry_up_to_128_bytes),
		cmocka_unit_test(malformed_cids_are_refused),
		cmocka_unit_test(hashes_not_allowed_are_refused),
		cmocka_unit_test(text_limits),
	};

	return cmocka_run_group_tests_name("net/cid", tests, NULL, NULL);
}

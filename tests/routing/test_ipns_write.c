/* Name records that we make: boxo's bytes, round trips with every kind of key, the field of a
 * commit, bounds. */
#include "routing/record/ipns_write.h"

#include "routing/record/ipns.h"
#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EOL_S 4102444800 /* 2100 */

static struct private_key *key_of_seed(uint8_t byte)
{
	struct identity *identity;
	struct private_key *key;
	struct buf proto = { 0 };
	uint8_t seed[32];
	int err;

	memset(seed, byte, sizeof(seed));
	identity = identity_from_seed(seed);
	identity_encode(identity, &proto);
	key = private_key_decode(buf_bytes(&proto), &err);
	assert_non_null(key);
	private_wipe(&proto);
	identity_free(identity);
	return key;
}

static void boxos_bytes_are_made(void **state)
{
	json_t *json = vector_json("ipns.json"), *vector;
	struct private_key *key = key_of_seed(1);
	size_t i, made = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "vectors"), i, vector) {
		struct buf want = { 0 }, got = { 0 };
		struct ipns_content content = { 0 };

		if (!json_object_get(vector, "eol"))
			continue;
		content.value = bytes_str(vector_text(vector, "value"));
		content.sequence =
			(uint64_t)json_integer_value(json_object_get(vector, "sequence"));
		content.ttl_ns = (uint64_t)json_integer_value(json_object_get(vector, "ttl_ns"));
		content.without_v1 = strncmp(vector_text(vector, "desc"), "V2", 2) == 0;
		assert_int_equal(eol_parse(&content.eol, bytes_str(vector_text(vector, "eol"))), 0);
		vector_hex(&want, vector, "record_hex");
		assert_int_equal(ipns_write(&content, key, &got), 0);
		assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
		buf_release(&want);
		buf_release(&got);
		made++;
	}
	assert_int_equal(made, 3);
	private_key_free(key);
	json_decref(json);
}

static void round_trip(const struct private_key *key, const struct ipns_content *content)
{
	struct buf out = { 0 }, again = { 0 };
	struct ipns_record record;
	struct peer_id name;

	peer_id_of_key(&name, private_key_public(key));
	assert_int_equal(ipns_write(content, key, &out), 0);
	assert_int_equal(ipns_write(content, key, &again), 0);
	assert_bytes_equal(buf_bytes(&out), buf_bytes(&again));
	assert_int_equal(ipns_decode(&record, buf_bytes(&out)), 0);
	assert_int_equal(ipns_verify(&record, &name), 0);
	assert_bytes_equal(record.value, content->value);
	assert_bytes_equal(record.commit, content->commit);
	assert_int_equal(record.sequence, content->sequence);
	assert_int_equal(record.ttl_ns, content->ttl_ns);
	assert_int_equal(eol_cmp(&record.eol, &content->eol), 0);
	assert_int_equal(record.has_v1, !content->without_v1);
	/* A name that is a hash needs the key beside it, another one does not. */
	assert_int_equal(record.public_key.len > 0, private_key_type(key) == KEY_RSA);
	buf_release(&out);
	buf_release(&again);
}

static void records_come_back_as_they_were_made(void **state)
{
	static const uint64_t numbers[] = { 0,	      1,     23,    24,		255,
					    256,      65535, 65536, 4294967295, 4294967296ull,
					    INT64_MAX };
	struct private_key *keys[2] = { key_of_seed(7) };
	int err;

	(void)state;
	keys[1] = private_key_new(KEY_RSA, 2048, &err);
	assert_non_null(keys[1]);
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
			for (int with = 0; with < 4; with++) {
				struct ipns_content content = {
					.value = bytes_str(with & 1 ? "/ipns/example.org/a b"
								    : "/ipfs/bafkqaaa"),
					.eol = { .s = EOL_S, .ns = (uint32_t)i * 1000 },
					.sequence = numbers[i],
					.ttl_ns = numbers[10 - i],
					.without_v1 = with & 1,
				};

				if (with & 2)
					content.commit = bytes_str("\x01\x71\x12\x20 commit");
				round_trip(keys[k], &content);
			}
	private_key_free(keys[0]);
	private_key_free(keys[1]);
}

/* Five known fields and ours, shorter keys first: what is decoded strictly is written so. */
static void commit_is_signed_between_value_and_sequence(void **state)
{
	struct private_key *key = key_of_seed(1);
	struct ipns_content content = { .value = bytes_str("/ipfs/bafkqaaa"),
					.eol = { .s = EOL_S },
					.commit = bytes_str("\x01\x71") };
	struct buf out = { 0 };
	struct ipns_record record;

	(void)state;
	assert_int_equal(ipns_write(&content, key, &out), 0);
	assert_int_equal(ipns_decode(&record, buf_bytes(&out)), 0);
	assert_int_equal(record.document.at[0], 0xa6);
	assert_non_null(memmem(record.document.at, record.document.len,
			       "/ipfs/bafkqaaa\x66_dagfs\x42\x01\x71\x68Sequence", 33));
	buf_release(&out);
	private_key_free(key);
}

static void what_no_reader_takes_is_not_made(void **state)
{
	struct private_key *key = key_of_seed(1);
	struct ipns_content good = { .value = bytes_str("/ipfs/bafkqaaa"), .eol = { .s = EOL_S } },
			    bad = good;
	struct buf out = { 0 }, large = { 0 };

	(void)state;
	buf_add_str(&out, "kept");
	bad.sequence = (uint64_t)INT64_MAX + 1;
	assert_int_equal(ipns_write(&bad, key, &out), -EINVAL);
	bad = good;
	bad.ttl_ns = UINT64_MAX;
	assert_int_equal(ipns_write(&bad, key, &out), -EINVAL);
	bad = good;
	bad.eol.s = 253402300800; /* the year 10000 */
	assert_int_equal(ipns_write(&bad, key, &out), -EINVAL);
	bad.eol.s = INT64_MAX;
	assert_int_equal(ipns_write(&bad, key, &out), -EINVAL);
	bad.eol.s = INT64_MIN;
	assert_int_equal(ipns_write(&bad, key, &out), -EINVAL);
	for (size_t len = 4800; len < 10500; len += 1) {
		struct ipns_record record;
		int err;

		memset(buf_reserve(&large, len - large.len), 'x', len - large.len);
		large.len = len;
		bad = good;
		bad.value = buf_bytes(&large);
		err = ipns_write(&bad, key, &out);
		if (err) {
			assert_int_equal(err, -EMSGSIZE);
			break;
		}
		assert_int_equal(ipns_decode(&record, bytes_skip(buf_bytes(&out), 4)), 0);
		out.len = 4;
	}
	assert_bytes_equal(buf_bytes(&out), bytes_str("kept"));
	assert_true(large.len < 5200); /* the value is there twice */
	buf_release(&out);
	buf_release(&large);
	private_key_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boxos_bytes_are_made),
		cmocka_unit_test(records_come_back_as_they_were_made),
		cmocka_unit_test(commit_is_signed_between_value_and_sequence),
		cmocka_unit_test(what_no_reader_takes_is_not_made),
	};

	return cmocka_run_group_tests_name("routing/ipns_write", tests, NULL, NULL);
}

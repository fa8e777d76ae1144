/* Ed25519 as Project Wycheproof tests it (tests/README.md, row 16): what is valid verifies, what is
 * not does not. None of its 151 cases is left out; keys of small order, which libsodium refuses
 * whatever they sign, are not among its valid ones (tests/net/test_advisories.c has them). */
#include "net/wire/key.h"
#include "net/wire/pb.h"
#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TESTS 151

static void key_of(struct public_key *key, const json_t *group)
{
	struct buf raw = { 0 }, proto = { 0 };

	vector_hex(&raw, group, "pk");
	pb_put_u64(&proto, 1, KEY_ED25519);
	pb_put_bytes(&proto, 2, buf_bytes(&raw));
	assert_int_equal(public_key_decode(key, buf_bytes(&proto)), 0);
	buf_release(&raw);
	buf_release(&proto);
}

static void check(const struct public_key *key, const json_t *test)
{
	struct buf message = { 0 }, signature = { 0 };
	bool valid = strcmp(vector_text(test, "result"), "valid") == 0;
	int err;

	vector_hex(&message, test, "msg");
	vector_hex(&signature, test, "sig");
	err = public_key_verify(key, buf_bytes(&message), buf_bytes(&signature));
	if (err != (valid ? 0 : -EKEYREJECTED))
		fail_msg("tcId %lld: err %d",
			 (long long)json_integer_value(json_object_get(test, "id")), err);
	buf_release(&message);
	buf_release(&signature);
}

static void every_case_is_judged_right(void **state)
{
	json_t *json = vector_json("ed25519-wycheproof.json"), *group, *test;
	size_t g, t, count = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "groups"), g, group) {
		struct public_key key;

		key_of(&key, group);
		json_array_foreach(json_object_get(group, "tests"), t, test) {
			check(&key, test);
			count++;
		}
	}
	assert_int_equal(count, TESTS);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_case_is_judged_right) };

	return cmocka_run_group_tests_name("net/wycheproof", tests, NULL, NULL);
}

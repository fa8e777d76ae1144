/* net/wire/private_key.c: keys of names, in both forms, and what is refused. */
#include "net/wire/private_key.h"

#include "net/base/alloc.h"
#include "net/wire/pb.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void signature_is_checked_by_the_public_key(struct private_key *key)
{
	struct bytes message = bytes_str("a message");
	struct buf signature = { 0 };

	assert_int_equal(private_key_sign(key, message, &signature), 0);
	assert_int_equal(public_key_verify(private_key_public(key), message, buf_bytes(&signature)),
			 0);
	signature.at[7] ^= 1;
	assert_int_equal(public_key_verify(private_key_public(key), message, buf_bytes(&signature)),
			 -EKEYREJECTED);
	buf_release(&signature);
}

static struct private_key *again(const struct private_key *key, bool pem)
{
	struct private_key *out;
	struct buf data = { 0 };
	int err;

	assert_int_equal(pem ? private_key_encode_pem(key, &data) : private_key_encode(key, &data),
			 0);
	assert_in_range(data.len, 1, PRIVATE_KEY_MAX);
	out = pem ? private_key_decode_pem(buf_bytes(&data), &err)
		  : private_key_decode(buf_bytes(&data), &err);
	private_wipe(&data);
	assert_non_null(out);
	return out;
}

static void check(enum key_type type, unsigned bits)
{
	int err;
	struct private_key *key = private_key_new(type, bits, &err);

	assert_non_null(key);
	assert_int_equal(private_key_type(key), type);
	signature_is_checked_by_the_public_key(key);
	for (int pem = 0; pem < 2; pem++) {
		struct private_key *same = again(key, pem);

		assert_true(bytes_equal(public_key_proto(private_key_public(key)),
					public_key_proto(private_key_public(same))));
		signature_is_checked_by_the_public_key(same);
		private_key_free(same);
	}
	private_key_free(key);
}

static void keys_survive_both_forms(void **state)
{
	(void)state;
	check(KEY_ED25519, 0);
	check(KEY_RSA, 2048);
	check(KEY_RSA, 3072);
}

static void identity_and_private_key_read_each_other(void **state)
{
	struct identity *identity = identity_new();
	struct buf proto = { 0 }, back = { 0 };
	struct private_key *key;
	int err;

	(void)state;
	identity_encode(identity, &proto);
	key = private_key_decode(buf_bytes(&proto), &err);
	assert_non_null(key);
	assert_true(bytes_equal(public_key_proto(identity_public(identity)),
				public_key_proto(private_key_public(key))));
	assert_int_equal(private_key_encode(key, &back), 0);
	assert_true(bytes_equal(buf_bytes(&proto), buf_bytes(&back)));
	/* A public half of another key would give the secret away. */
	proto.at[proto.len - 1] ^= 1;
	assert_null(private_key_decode(buf_bytes(&proto), &err));
	assert_int_equal(err, -EBADMSG);
	private_wipe(&proto);
	private_wipe(&back);
	private_key_free(key);
	identity_free(identity);
}

static int decode_error(unsigned type, struct bytes data)
{
	struct buf proto = { 0 };
	int err;

	pb_put_u64(&proto, 1, type);
	pb_put_bytes(&proto, 2, data);
	assert_null(private_key_decode(buf_bytes(&proto), &err));
	buf_release(&proto);
	return err;
}

static void what_is_no_key_is_refused(void **state)
{
	uint8_t bytes[PRIVATE_KEY_MAX + 1] = { 0 };
	int err;

	(void)state;
	assert_null(private_key_decode(bytes_of(NULL, 0), &err));
	assert_int_equal(err, -EBADMSG);
	assert_null(private_key_decode(bytes_of(bytes, sizeof bytes), &err));
	assert_int_equal(err, -EBADMSG);
	assert_null(private_key_decode_pem(bytes_str("-----BEGIN PRIVATE KEY-----\n"), &err));
	assert_int_equal(err, -EBADMSG);
	assert_null(private_key_decode_pem(bytes_of(bytes, sizeof bytes), &err));
	assert_int_equal(decode_error(KEY_ED25519, bytes_of(bytes, 63)), -EBADMSG);
	assert_int_equal(decode_error(KEY_ED25519, bytes_of(bytes, 64)), -EBADMSG);
	assert_int_equal(decode_error(KEY_RSA, bytes_of(bytes, 600)), -EBADMSG);
	assert_int_equal(decode_error(KEY_ECDSA, bytes_of(bytes, 64)), -ENOTSUP);
	assert_int_equal(decode_error(77, bytes_of(bytes, 64)), -EBADMSG);
	assert_null(private_key_new(KEY_RSA, 1024, &err));
	assert_int_equal(err, -EINVAL);
	assert_null(private_key_new(KEY_RSA, 8200, &err));
	assert_null(private_key_new(KEY_SECP256K1, 0, &err));
	assert_int_equal(err, -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_survive_both_forms),
		cmocka_unit_test(identity_and_private_key_read_each_other),
		cmocka_unit_test(what_is_no_key_is_refused),
	};

	return cmocka_run_group_tests_name("net/private_key", tests, NULL, NULL);
}

/* RSA keys outside of the limits are refused before anything is computed (tests/README.md, row 15).
 * Not timed: all that OpenSSL could begin with stands here in its place, and counts. */
#include "net/base/alloc.h"
#include "net/wire/key.h"
#include "net/wire/pb.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODULUS_MAX 1024 /* bytes: 8192 bits */

static unsigned calls;

/* The linker takes these before libcrypto's: net/wire/key.c calls them. */
EVP_PKEY *d2i_PUBKEY(EVP_PKEY **key, const unsigned char **at, long len)
{
	(void)key;
	(void)at;
	(void)len;
	calls++;
	return NULL;
}

EVP_PKEY_CTX *EVP_PKEY_CTX_new_from_name(OSSL_LIB_CTX *lib, const char *name, const char *query)
{
	(void)lib;
	(void)name;
	(void)query;
	calls++;
	return NULL;
}

/* tag | length, in as few bytes as it takes | value */
static void der(struct buf *out, uint8_t tag, struct bytes value)
{
	unsigned more = value.len < 0x80 ? 0 : value.len < 0x100 ? 1 : value.len < 0x10000 ? 2 : 3;

	buf_add_u8(out, tag);
	if (more > 0)
		buf_add_u8(out, (uint8_t)(0x80 | more));
	else
		buf_add_u8(out, (uint8_t)value.len);
	while (more-- > 0)
		buf_add_u8(out, (uint8_t)(value.len >> 8 * more));
	buf_add(out, value);
}

/* The protobuf of a key with a modulus of so many bytes, the first of them top, and this exponent.
 */
static void make(struct buf *proto, size_t len, uint8_t top, struct bytes exponent)
{
	static const uint8_t algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
					     0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
	struct buf number = { 0 }, pair = { 0 }, bits = { 0 }, key = { 0 };

	if (top & 0x80)
		buf_add_u8(&number, 0);
	memset(buf_reserve(&number, len), 0xff, len);
	number.at[number.len] = top;
	number.len += len;
	der(&pair, 0x02, buf_bytes(&number));
	der(&pair, 0x02, exponent);
	buf_add_u8(&bits, 0);
	der(&bits, 0x30, buf_bytes(&pair));
	buf_clear(&pair);
	buf_add(&pair, bytes_of(algorithm, sizeof(algorithm)));
	der(&pair, 0x03, buf_bytes(&bits));
	der(&key, 0x30, buf_bytes(&pair));
	pb_put_u64(proto, 1, KEY_RSA);
	pb_put_bytes(proto, 2, buf_bytes(&key));
	buf_release(&number);
	buf_release(&pair);
	buf_release(&bits);
	buf_release(&key);
}

static const struct bytes f4 = { (const uint8_t *)"\x01\x00\x01", 3 };

static int decode(struct public_key *key, size_t len, uint8_t top, struct bytes exponent)
{
	struct buf proto = { 0 };
	int err;

	make(&proto, len, top, exponent);
	calls = 0;
	err = public_key_decode(key, buf_bytes(&proto));
	buf_release(&proto);
	return err;
}

static void sizes_are_judged_by_their_bytes(void **state)
{
	static const size_t over[] = { 1025, 1100, 2048, 2400, 2560, 4096, 65535, 65536, 1u << 20 };
	struct public_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(over); i++) {
		assert_true(decode(&key, over[i], 0x01, f4) < 0);
		assert_true(decode(&key, over[i], 0xff, f4) < 0);
		assert_int_equal(calls, 0);
	}
	assert_int_equal(decode(&key, MODULUS_MAX + 1, 0x01, f4), -EKEYREJECTED); /* 8193 bits */
	assert_int_equal(decode(&key, 256, 0x7f, f4), -EKEYREJECTED);		  /* 2047 */
	assert_int_equal(calls, 0);
}

/* A large exponent makes a verification as dear as a signature. */
static void exponents_are_judged_by_their_bytes(void **state)
{
	uint8_t exponent[MODULUS_MAX];
	struct public_key key;

	(void)state;
	memset(exponent, 0x7f, sizeof(exponent));
	for (size_t len = 5; len <= sizeof(exponent); len += 7) {
		assert_int_equal(decode(&key, 256, 0xff, bytes_of(exponent, len)), -EKEYREJECTED);
		assert_int_equal(calls, 0);
	}
}

/* The counter counts: within the limits the decoder still computes nothing, and verifying begins
 * with a call. */
static void good_keys_reach_openssl(void **state)
{
	const uint8_t signature[MODULUS_MAX] = { 1 };
	struct public_key key;

	(void)state;
	assert_int_equal(decode(&key, MODULUS_MAX, 0xff, f4), 0);
	assert_int_equal(calls, 0);
	assert_int_equal(
		public_key_verify(&key, bytes_str("m"), bytes_of(signature, sizeof(signature))),
		-EKEYREJECTED);
	assert_int_equal(calls, 1);
	/* A signature longer than any is none. */
	assert_int_equal(
		public_key_verify(&key, bytes_str("m"), bytes_of(signature, SIGNATURE_MAX + 1)),
		-EKEYREJECTED);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_judged_by_their_bytes),
		cmocka_unit_test(exponents_are_judged_by_their_bytes),
		cmocka_unit_test(good_keys_reach_openssl),
	};

	return cmocka_run_group_tests_name("net/key_refusal", tests, NULL, NULL);
}

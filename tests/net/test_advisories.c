/* Signatures and keys as the advisories of this field found them mishandled (tests/README.md, rows
 * 15 and 16). */
#include "net/identify/identify_msg.h"
#include "net/wire/key.h"
#include "net/wire/pb.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t seed[32] = { 7 };

/* CVE-2019-15545: whichever bit is wrong, in the signature, the message or the key. */
static void any_flipped_bit_breaks_a_signature(void **state)
{
	struct identity *identity = identity_from_seed(seed);
	struct public_key key = *identity_public(identity);
	uint8_t message[40] = "to be signed", signature[64];

	(void)state;
	identity_sign(identity, bytes_of(message, sizeof(message)), signature);
	for (unsigned bit = 0; bit < 8 * (sizeof(signature) + sizeof(message) + 32); bit++) {
		unsigned at = bit / 8;
		uint8_t *byte = at < 64	   ? &signature[at]
				: at < 104 ? &message[at - 64]
					   : &key.proto[key.data_at + at - 104];

		*byte ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(public_key_verify(&key, bytes_of(message, sizeof(message)),
						   bytes_of(signature, sizeof(signature))),
				 -EKEYREJECTED);
		*byte ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(public_key_verify(&key, bytes_of(message, sizeof(message)),
					   bytes_of(signature, sizeof(signature))),
			 0);
	for (size_t len = 0; len < 64; len++)
		assert_int_equal(public_key_verify(&key, bytes_of(message, sizeof(message)),
						   bytes_of(signature, len)),
				 -EKEYREJECTED);
	identity_free(identity);
}

/* S + L signs the same in arithmetic, and is another spelling: refused. */
static void signatures_have_one_spelling(void **state)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a,       0x63,
					   0x12, 0x58, 0xd6, 0x9c, 0xf7,       0xa2,
					   0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
	struct identity *identity = identity_from_seed(seed);
	uint8_t signature[64];
	unsigned carry = 0;

	(void)state;
	identity_sign(identity, bytes_str("m"), signature);
	for (size_t i = 0; i < 32; i++) {
		carry += signature[32 + i] + order[i];
		signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(public_key_verify(identity_public(identity), bytes_str("m"),
					   bytes_of(signature, sizeof(signature))),
			 -EKEYREJECTED);
	identity_free(identity);
}

/* Keys of small order, for which one signature fits many messages: R = key, S = 0. */
static void small_order_keys_sign_nothing(void **state)
{
	static const uint8_t points[][32] = {
		{ 1 },
		{ 0 },
		{ 0xec, [1 ... 30] = 0xff, [31] = 0x7f },
		{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
		  0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
		  0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		struct public_key key;
		struct buf proto = { 0 };
		uint8_t signature[64] = { 0 };

		pb_put_u64(&proto, 1, KEY_ED25519);
		pb_put_bytes(&proto, 2, bytes_of(points[i], 32));
		memcpy(signature, points[i], 32);
		if (public_key_decode(&key, buf_bytes(&proto)) == 0)
			for (char m = 0; m < 64; m++)
				assert_int_equal(public_key_verify(&key, bytes_of(&m, 1),
								   bytes_of(signature, 64)),
						 -EKEYREJECTED);
		buf_release(&proto);
	}
}

/* The same in envelopes and peer records: no byte of them is without a meaning. */
static void any_flipped_bit_breaks_a_peer_record(void **state)
{
	struct identity *identity = identity_from_seed(seed);
	struct peer_id self;
	struct multiaddr addr, got[4];
	struct buf record = { 0 };
	uint64_t seq;
	size_t count;

	(void)state;
	peer_id_of_identity(&self, identity);
	assert_int_equal(multiaddr_from_text(&addr, "/ip4/192.0.2.1/tcp/4001"), 0);
	identify_record_seal(&record, identity, 5, &addr, 1);
	assert_int_equal(identify_record_open(buf_bytes(&record), &self, &seq, got, 4, &count), 0);
	for (size_t bit = 0; bit < 8 * record.len; bit++) {
		record.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(identify_record_open(buf_bytes(&record), &self, &seq, got, 4, &count) <
			    0);
		record.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_release(&record);
	identity_free(identity);
}

/* CVE-2023-39533: neither bits nor bytes beyond the limits reach any arithmetic. */
static void der(struct buf *out, uint8_t tag, struct bytes value)
{
	buf_add_u8(out, tag);
	buf_add_u8(out, value.len >> 16 ? 0x83 : 0x82);
	if (value.len >> 16)
		buf_add_u8(out, (uint8_t)(value.len >> 16));
	buf_add_be16(out, (uint16_t)value.len);
	buf_add(out, value);
}

static void huge_rsa_keys_are_refused(void **state)
{
	static const unsigned bits[] = { 8193, 16384, 65536, 1u << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++) {
		struct buf number = { 0 }, pair = { 0 }, all = { 0 }, key = { 0 }, proto = { 0 };
		struct public_key decoded;
		size_t len = (bits[i] + 7) / 8;

		buf_add_u8(&number, 0);
		memset(buf_reserve(&number, len), 0xff, len);
		number.len += len;
		der(&pair, 0x02, buf_bytes(&number));
		buf_add(&pair, bytes_of("\x02\x03\x01\x00\x01", 5));
		buf_add_u8(&all, 0);
		der(&all, 0x30, buf_bytes(&pair));
		buf_clear(&pair);
		buf_add(&pair,
			bytes_of("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
				 15));
		der(&pair, 0x03, buf_bytes(&all));
		der(&key, 0x30, buf_bytes(&pair));
		pb_put_u64(&proto, 1, KEY_RSA);
		pb_put_bytes(&proto, 2, buf_bytes(&key));
		assert_true(public_key_decode(&decoded, buf_bytes(&proto)) < 0);
		buf_release(&number);
		buf_release(&pair);
		buf_release(&all);
		buf_release(&key);
		buf_release(&proto);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_flipped_bit_breaks_a_signature),
		cmocka_unit_test(signatures_have_one_spelling),
		cmocka_unit_test(small_order_keys_sign_nothing),
		cmocka_unit_test(any_flipped_bit_breaks_a_peer_record),
		cmocka_unit_test(huge_rsa_keys_are_refused),
	};

	return cmocka_run_group_tests_name("net/advisories", tests, NULL, NULL);
}

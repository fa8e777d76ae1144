/* net/wire/{key,identity,peer_id}.c: keys and ids made by go-libp2p, limits of RSA, one spelling
 * only. */
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/key.h"
#include "net/wire/pb.h"
#include "tests/vector.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char self_text[] = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

static int decode(struct public_key *key, unsigned type, struct bytes data)
{
	struct buf proto = { 0 };
	int err;

	pb_put_u64(&proto, 1, type);
	pb_put_bytes(&proto, 2, data);
	err = public_key_decode(key, buf_bytes(&proto));
	buf_release(&proto);
	return err;
}

static void check_key(const json_t *vector, const char *signature_name)
{
	struct bytes message = bytes_str(vector_text(vector, "message_utf8"));
	struct buf raw = { 0 }, signature = { 0 }, id_raw = { 0 };
	struct public_key key, inside;
	struct peer_id id, again;
	char text[PEER_ID_TEXT_MAX];

	vector_hex(&raw, vector, "public_protobuf_hex");
	vector_hex(&signature, vector, signature_name);
	vector_hex(&id_raw, vector, "peer_id_hex");
	assert_int_equal(public_key_decode(&key, buf_bytes(&raw)), 0);
	assert_bytes_equal(public_key_proto(&key), buf_bytes(&raw));
	assert_int_equal(public_key_verify(&key, message, buf_bytes(&signature)), 0);
	assert_int_equal(public_key_verify(&key, bytes_skip(message, 1), buf_bytes(&signature)),
			 -EKEYREJECTED);
	assert_int_equal(
		public_key_verify(&key, message, bytes_of(signature.at, signature.len - 1)),
		-EKEYREJECTED);
	assert_int_equal(public_key_verify(&key, message, (struct bytes){ 0 }), -EKEYREJECTED);
	signature.at[signature.len / 2] ^= 1;
	assert_int_equal(public_key_verify(&key, message, buf_bytes(&signature)), -EKEYREJECTED);

	peer_id_of_key(&id, &key);
	assert_bytes_equal(peer_id_bytes(&id), buf_bytes(&id_raw));
	assert_string_equal(peer_id_text(&id, text), vector_text(vector, "peer_id"));
	assert_int_equal(peer_id_from_text(&again, text), 0);
	assert_true(peer_id_equal(&id, &again));
	if (raw.len <= 42) {
		assert_int_equal(peer_id_key(&id, &inside), 0);
		assert_bytes_equal(public_key_proto(&inside), buf_bytes(&raw));
	} else {
		assert_int_equal(peer_id_key(&id, &inside), -ENOENT);
	}
	for (size_t len = 0; len < raw.len; len++)
		assert_int_equal(public_key_decode(&inside, bytes_of(raw.at, len)), -EBADMSG);
	buf_release(&raw);
	buf_release(&signature);
	buf_release(&id_raw);
}

static void vectors(void **state)
{
	json_t *json = vector_json("peerid.json"), *rsa = vector_json("peerid-rsa.json"), *vector;
	size_t i;

	(void)state;
	check_key(rsa, "signature_pkcs1v15_sha256_hex");
	json_array_foreach(json_object_get(json, "vectors"), i, vector) {
		struct peer_id id, again;

		check_key(vector, "signature_hex");
		assert_int_equal(peer_id_from_text(&id, vector_text(vector, "peer_id")), 0);
		assert_int_equal(peer_id_from_text(&again, vector_text(vector, "cid_base32")), 0);
		assert_true(peer_id_equal(&id, &again));
		assert_int_equal(peer_id_from_text(&again, vector_text(vector, "cid_base36")), 0);
		assert_true(peer_id_equal(&id, &again));
	}
	json_decref(json);
	json_decref(rsa);
}

/* Our own keys: decoded, encoded again, signing as go-libp2p does. */
static void identities(void **state)
{
	json_t *json = vector_json("peerid.json"), *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "vectors"), i, vector) {
		struct buf raw = { 0 }, again = { 0 }, expected = { 0 };
		uint8_t signature[64];
		struct peer_id id;
		char text[PEER_ID_TEXT_MAX];
		int err;

		vector_hex(&raw, vector, "private_protobuf_hex");
		struct identity *identity = identity_decode(buf_bytes(&raw), &err);
		if (strcmp(vector_text(vector, "type"), "Ed25519") != 0) {
			assert_null(identity);
			assert_int_equal(err, -ENOTSUP);
			buf_release(&raw);
			continue;
		}
		assert_non_null(identity);
		identity_encode(identity, &again);
		assert_bytes_equal(buf_bytes(&again), buf_bytes(&raw));
		peer_id_of_identity(&id, identity);
		assert_string_equal(peer_id_text(&id, text), vector_text(vector, "peer_id"));
		vector_hex(&expected, vector, "signature_hex");
		identity_sign(identity, bytes_str(vector_text(vector, "message_utf8")), signature);
		assert_bytes_equal(bytes_of(signature, 64), buf_bytes(&expected));
		identity_free(identity);
		buf_release(&raw);
		buf_release(&again);
		buf_release(&expected);
	}
	json_decref(json);
}

static void private_keys(void **state)
{
	uint8_t seed[32], data[96];
	struct buf raw = { 0 };
	struct identity *identity;
	int err;

	(void)state;
	memset(seed, 1, sizeof(seed));
	identity = identity_from_seed(seed);
	identity_encode(identity, &raw);
	identity_free(identity);
	for (size_t len = 0; len < raw.len; len++)
		assert_null(identity_decode(bytes_of(raw.at, len), &err));
	assert_int_equal(err, -EBADMSG);

	/* The old form repeats the public key. */
	memcpy(data, raw.at + 4, 64);
	memcpy(data + 64, raw.at + 36, 32);
	buf_clear(&raw);
	pb_put_u64(&raw, 1, KEY_ED25519);
	pb_put_bytes(&raw, 2, bytes_of(data, 96));
	identity = identity_decode(buf_bytes(&raw), &err);
	assert_non_null(identity);
	assert_int_equal(err, 0);
	identity_free(identity);
	raw.at[raw.len - 1] ^= 1;
	assert_null(identity_decode(buf_bytes(&raw), &err));

	/* A public half of another seed. */
	buf_clear(&raw);
	data[63] ^= 1;
	pb_put_u64(&raw, 1, KEY_ED25519);
	pb_put_bytes(&raw, 2, bytes_of(data, 64));
	assert_null(identity_decode(buf_bytes(&raw), &err));
	assert_int_equal(err, -EBADMSG);
	buf_release(&raw);
	identity_free(NULL);
}

static void fresh(void **state)
{
	struct identity *a = identity_new(), *b = identity_new();
	uint8_t signature[64];

	(void)state;
	assert_true(bytes_cmp(public_key_proto(identity_public(a)),
			      public_key_proto(identity_public(b))) != 0);
	identity_sign(a, bytes_str("m"), signature);
	assert_int_equal(
		public_key_verify(identity_public(a), bytes_str("m"), bytes_of(signature, 64)), 0);
	assert_int_equal(
		public_key_verify(identity_public(b), bytes_str("m"), bytes_of(signature, 64)),
		-EKEYREJECTED);
	identity_free(a);
	identity_free(b);
}

static void der(struct buf *out, uint8_t tag, struct bytes value)
{
	buf_add_u8(out, tag);
	if (value.len >= 256) {
		buf_add_u8(out, 0x82);
		buf_add_be16(out, (uint16_t)value.len);
	} else {
		if (value.len >= 128)
			buf_add_u8(out, 0x81);
		buf_add_u8(out, (uint8_t)value.len);
	}
	buf_add(out, value);
}

static void der_positive(struct buf *out, struct bytes value)
{
	struct buf padded = { 0 };

	if (value.at[0] & 0x80)
		buf_add_u8(&padded, 0);
	buf_add(&padded, value);
	der(out, 0x02, buf_bytes(&padded));
	buf_release(&padded);
}

/* A modulus of that many ones. */
static int decode_rsa(unsigned bits, struct bytes exponent, bool even)
{
	struct buf modulus = { 0 }, pair = { 0 }, inner = { 0 }, all = { 0 }, out = { 0 };
	struct public_key key;
	int err;

	if (bits % 8)
		buf_add_u8(&modulus, (uint8_t)((1 << bits % 8) - 1));
	for (unsigned i = 0; i < bits / 8; i++)
		buf_add_u8(&modulus, 0xff);
	modulus.at[modulus.len - 1] = even ? 0xfe : 0xff;
	der_positive(&pair, buf_bytes(&modulus));
	der_positive(&pair, exponent);
	buf_add_u8(&inner, 0);
	der(&inner, 0x30, buf_bytes(&pair));
	hex_decode(&all, "300d06092a864886f70d0101010500");
	der(&all, 0x03, buf_bytes(&inner));
	der(&out, 0x30, buf_bytes(&all));
	err = decode(&key, KEY_RSA, buf_bytes(&out));
	if (err == 0)
		assert_bytes_equal(bytes_skip(public_key_proto(&key), key.data_at),
				   buf_bytes(&out));
	buf_release(&modulus);
	buf_release(&pair);
	buf_release(&inner);
	buf_release(&all);
	buf_release(&out);
	return err;
}

static void rsa_limits(void **state)
{
	struct bytes f4 = bytes_of("\x01\x00\x01", 3);

	(void)state;
	assert_int_equal(decode_rsa(2048, f4, false), 0);
	assert_int_equal(decode_rsa(2047, f4, false), -EKEYREJECTED);
	assert_int_equal(decode_rsa(2049, f4, false), 0);
	assert_int_equal(decode_rsa(8192, f4, false), 0);
	assert_int_equal(decode_rsa(8193, f4, false), -EKEYREJECTED);
	assert_int_equal(decode_rsa(2048, f4, true), -EKEYREJECTED);
	assert_int_equal(decode_rsa(2048, bytes_of("\x01", 1), false), -EKEYREJECTED);
	assert_int_equal(decode_rsa(2048, bytes_of("\x02", 1), false), -EKEYREJECTED);
	assert_int_equal(decode_rsa(2048, bytes_of("\x03", 1), false), 0);
	assert_int_equal(decode_rsa(2048, bytes_of("\x7f\xff\xff\xff", 4), false), 0);
	assert_int_equal(decode_rsa(2048, bytes_of("\x80\x00\x00\x01", 4), false), -EKEYREJECTED);
	assert_int_equal(decode_rsa(2048, bytes_of("\x01\x00\x00\x00\x01", 5), false),
			 -EKEYREJECTED);
	assert_int_equal(decode_rsa(2048, bytes_of("\x00\x03", 2), false), -EBADMSG);
	assert_int_equal(decode_rsa(20480, f4, false), -EBADMSG); /* over PUBLIC_KEY_MAX */
}

/* Any byte of the RSA key's frame changed makes another key or none, never a second spelling. */
static void rsa_one_spelling(void **state)
{
	json_t *json = vector_json("peerid-rsa.json");
	struct buf raw = { 0 };
	struct public_key key;

	(void)state;
	vector_hex(&raw, json, "public_protobuf_hex");
	for (size_t i = 5; i < 38; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			raw.at[i] ^= (uint8_t)(1 << bit);
			if (public_key_decode(&key, buf_bytes(&raw)) == 0)
				assert_bytes_equal(public_key_proto(&key), buf_bytes(&raw));
			raw.at[i] ^= (uint8_t)(1 << bit);
		}
	}
	buf_add_u8(&raw, 0);
	assert_int_equal(public_key_decode(&key, buf_bytes(&raw)), -EBADMSG);
	buf_release(&raw);
	json_decref(json);
}

static void check_curve(const char *curve, int expected)
{
	EVP_PKEY *pkey = EVP_EC_gen(curve);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[SIGNATURE_MAX], *data = NULL;
	size_t signature_len = sizeof(signature);
	struct public_key key;
	int len = i2d_PUBKEY(pkey, &data);

	assert_int_equal(decode(&key, KEY_ECDSA, bytes_of(data, (size_t)len)), expected);
	if (expected == 0) {
		EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL);
		EVP_DigestSign(ctx, signature, &signature_len, (const uint8_t *)"m", 1);
		assert_int_equal(
			public_key_verify(&key, bytes_str("m"), bytes_of(signature, signature_len)),
			0);
		data[len - 1] ^= 1; /* not on the curve any more */
		assert_int_equal(decode(&key, KEY_ECDSA, bytes_of(data, (size_t)len)), -EBADMSG);
	}
	OPENSSL_free(data);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
}

static void curves(void **state)
{
	(void)state;
	check_curve("P-224", 0);
	check_curve("P-256", 0);
	check_curve("P-384", 0);
	check_curve("P-521", 0);
	check_curve("secp256k1", -EBADMSG); /* has a type of its own */
}

static void secp256k1(void **state)
{
	struct public_key compressed, full;
	EVP_PKEY *pkey = EVP_EC_gen("secp256k1");
	uint8_t point[65], small[33];
	size_t len;

	(void)state;
	assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, "encoded-pub-key", point, 65, &len),
			 1);
	assert_int_equal(len, 65);
	small[0] = (uint8_t)(2 + point[64] % 2);
	memcpy(small + 1, point + 1, 32);
	assert_int_equal(decode(&full, KEY_SECP256K1, bytes_of(point, 65)), 0);
	assert_int_equal(decode(&compressed, KEY_SECP256K1, bytes_of(small, 33)), 0);
	assert_bytes_equal(public_key_proto(&full), public_key_proto(&compressed));
	assert_int_equal(full.len, 37);
	point[64] ^= 1;
	assert_int_equal(decode(&full, KEY_SECP256K1, bytes_of(point, 65)), -EBADMSG);
	small[0] = 4;
	assert_int_equal(decode(&full, KEY_SECP256K1, bytes_of(small, 33)), -EBADMSG);
	assert_int_equal(decode(&full, KEY_SECP256K1, bytes_of(point, 64)), -EBADMSG);
	EVP_PKEY_free(pkey);
}

static void malformed(void **state)
{
	static const uint8_t zeros[40];
	struct public_key key;
	struct buf raw = { 0 };

	(void)state;
	assert_int_equal(decode(&key, KEY_ED25519, bytes_of(zeros, 31)), -EBADMSG);
	assert_int_equal(decode(&key, KEY_ED25519, bytes_of(zeros, 33)), -EBADMSG);
	assert_int_equal(decode(&key, 4, bytes_of(zeros, 32)), -EBADMSG);
	assert_int_equal(public_key_decode(&key, bytes_of("\x08\x01", 2)), -EBADMSG);
	pb_put_bytes(&raw, 2, bytes_of(zeros, 32));
	assert_int_equal(public_key_decode(&key, buf_bytes(&raw)), -EBADMSG); /* no type */
	/* Unknown fields, another order, over-long varints: the canonical form comes out. */
	pb_put_str(&raw, 9, "ignored");
	buf_add(&raw, bytes_of("\x08\x81\x00", 3));
	assert_int_equal(public_key_decode(&key, buf_bytes(&raw)), 0);
	assert_int_equal(key.len, 36);
	assert_memory_equal(key.proto, "\x08\x01\x12\x20", 4);
	buf_release(&raw);
}

static int id_of_hex(const char *hex)
{
	struct buf raw = { 0 };
	struct peer_id id;
	int err;

	hex_decode(&raw, hex);
	err = peer_id_from_bytes(&id, buf_bytes(&raw));
	buf_release(&raw);
	return err;
}

static void peer_ids(void **state)
{
	uint8_t raw[50] = { 0x00, 42 };
	struct peer_id id;

	(void)state;
	assert_int_equal(peer_id_from_bytes(&id, bytes_of(raw, 44)), 0);
	raw[1] = 43;
	assert_int_equal(peer_id_from_bytes(&id, bytes_of(raw, 45)), -EBADMSG);
	assert_int_equal(id_of_hex(""), -EBADMSG);
	assert_int_equal(id_of_hex("1214ffffffffffffffffffffffffffffffffffffffff"), -EBADMSG);
	assert_int_equal(id_of_hex("11140beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"), -EBADMSG);
	assert_int_equal(id_of_hex("00020801ff"), -EBADMSG); /* a byte too many */
	assert_int_equal(peer_id_from_text(&id, ""), -EBADMSG);
	assert_int_equal(peer_id_from_text(&id, "1"), -EBADMSG);
	assert_int_equal(peer_id_from_text(&id, "invalid"), -EBADMSG);
	assert_int_equal(peer_id_from_text(&id,
					   "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66w"
					   "of36n5e"),
			 -EBADMSG); /* not a key's CID */
	assert_int_equal(peer_id_from_text(&id, self_text), 0);
	assert_true(peer_id_is_set(&id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),	cmocka_unit_test(identities),
		cmocka_unit_test(private_keys), cmocka_unit_test(fresh),
		cmocka_unit_test(rsa_limits),	cmocka_unit_test(rsa_one_spelling),
		cmocka_unit_test(curves),	cmocka_unit_test(secp256k1),
		cmocka_unit_test(malformed),	cmocka_unit_test(peer_ids),
	};

	return cmocka_run_group_tests_name("net/key", tests, NULL, NULL);
}

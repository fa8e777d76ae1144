/* Public keys. What becomes a peer id must have one spelling only, so the DER of RSA and ECDSA
 * keys is read strictly here: what is accepted is canonical already, and OpenSSL sees nothing
 * else. Pure; any thread. */
#include "net/wire/key.h"

#include "net/base/alloc.h"
#include "net/wire/der.h"
#include "net/wire/pb.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <string.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_MIN 3
#define RSA_EXPONENT_MAX INT32_MAX
#define SECP256K1_LEN 33
#define SECP256K1_FULL_LEN 65

/* A positive integer without its sign byte. */
static bool der_take_positive(struct bytes *in, struct bytes *value)
{
	if (!der_take(in, DER_INTEGER, value) || value->len == 0 || value->at[0] & 0x80)
		return false;
	if (value->at[0] != 0)
		return true;
	*value = bytes_skip(*value, 1);
	/* Zero itself, or a sign byte that was not needed. */
	return value->len > 0 && value->at[0] & 0x80;
}

/* SEQUENCE { SEQUENCE { rsaEncryption, NULL }, BIT STRING { SEQUENCE { n, e } } } */
static int rsa_check(struct bytes der)
{
	static const uint8_t algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
					     0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
	const struct bytes expected = bytes_of(algorithm, sizeof(algorithm));
	struct bytes outer, bits, pair, n, e;
	uint64_t exponent = 0;

	if (!der_take(&der, DER_SEQUENCE, &outer) || der.len > 0 ||
	    !bytes_start_with(outer, expected))
		return -EBADMSG;
	outer = bytes_skip(outer, expected.len);
	if (!der_take(&outer, DER_BITS, &bits) || outer.len > 0 || bits.len < 1 || bits.at[0] != 0)
		return -EBADMSG;
	bits = bytes_skip(bits, 1);
	if (!der_take(&bits, DER_SEQUENCE, &pair) || bits.len > 0 ||
	    !der_take_positive(&pair, &n) || !der_take_positive(&pair, &e) || pair.len > 0)
		return -EBADMSG;

	size_t modulus_bits = n.len * 8;

	for (uint8_t top = n.at[0]; !(top & 0x80); top = (uint8_t)(top << 1))
		modulus_bits--;
	if (modulus_bits < RSA_BITS_MIN || modulus_bits > RSA_BITS_MAX || n.at[n.len - 1] % 2 == 0)
		return -EKEYREJECTED;
	if (e.len > sizeof(uint32_t))
		return -EKEYREJECTED;
	for (size_t i = 0; i < e.len; i++)
		exponent = exponent << 8 | e.at[i];
	if (exponent < RSA_EXPONENT_MIN || exponent > RSA_EXPONENT_MAX || exponent % 2 == 0)
		return -EKEYREJECTED;
	return 0;
}

/* SEQUENCE { SEQUENCE { ecPublicKey, curve }, BIT STRING { 04 | x | y } } has one form for each
 * curve: these bytes, then the point. */
static int ecdsa_check(struct bytes der)
{
	/* clang-format off */
	static const struct {
		uint8_t prefix[27], prefix_len, len;
	} curves[] = {
		{ "\x30\x4e\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x21"
		  "\x03\x3a\x00\x04", 24, 80 }, /* P-224 */
		{ "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d"
		  "\x03\x01\x07\x03\x42\x00\x04", 27, 91 }, /* P-256 */
		{ "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"
		  "\x03\x62\x00\x04", 24, 120 }, /* P-384 */
		{ "\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00"
		  "\x23\x03\x81\x86\x00\x04", 26, 158 }, /* P-521 */
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		if (der.len == curves[i].len &&
		    bytes_start_with(der, bytes_of(curves[i].prefix, curves[i].prefix_len)))
			return 0;
	return -EBADMSG;
}

static EVP_PKEY *secp256k1_key(struct bytes point)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, "secp256k1", 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point.at,
						  point.len),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* For the types that OpenSSL verifies. NULL when it does not take the key: the point is not on its
 * curve. */
static EVP_PKEY *openssl_key(enum key_type type, struct bytes data)
{
	const uint8_t *at = data.at;

	if (type == KEY_SECP256K1)
		return secp256k1_key(data);
	return d2i_PUBKEY(NULL, &at, (long)data.len);
}

static bool on_curve(enum key_type type, struct bytes data)
{
	EVP_PKEY *key = openssl_key(type, data);

	EVP_PKEY_free(key);
	return key != NULL;
}

static void key_set(struct public_key *key, enum key_type type, struct bytes data)
{
	struct buf out = { 0 };

	pb_put_u64(&out, 1, type);
	pb_put_bytes(&out, 2, data);
	assert(out.len <= PUBLIC_KEY_MAX);
	*key = (struct public_key){ .type = type,
				    .len = (uint16_t)out.len,
				    .data_at = (uint16_t)(out.len - data.len) };
	memcpy(key->proto, out.at, out.len);
	buf_release(&out);
}

static int set_secp256k1(struct public_key *key, struct bytes data)
{
	uint8_t compressed[SECP256K1_LEN];

	if (data.len != SECP256K1_LEN && data.len != SECP256K1_FULL_LEN)
		return -EBADMSG;
	if (!on_curve(KEY_SECP256K1, data))
		return -EBADMSG;
	if (data.len == SECP256K1_FULL_LEN) {
		compressed[0] = (uint8_t)(2 + data.at[SECP256K1_FULL_LEN - 1] % 2);
		memcpy(compressed + 1, data.at + 1, SECP256K1_LEN - 1);
		data = bytes_of(compressed, sizeof(compressed));
	}
	key_set(key, KEY_SECP256K1, data);
	return 0;
}

/* Checks the key material by its type and keeps the canonical protobuf. */
static int check_and_set(struct public_key *key, uint64_t type, struct bytes data)
{
	int err = 0;

	switch (type) {
	case KEY_ED25519:
		err = data.len == crypto_sign_PUBLICKEYBYTES ? 0 : -EBADMSG;
		break;
	case KEY_SECP256K1:
		return set_secp256k1(key, data);
	case KEY_RSA:
		err = rsa_check(data);
		break;
	case KEY_ECDSA:
		err = ecdsa_check(data);
		if (err == 0 && !on_curve(KEY_ECDSA, data))
			err = -EBADMSG;
		break;
	default:
		err = -EBADMSG;
	}
	if (err == 0)
		key_set(key, (enum key_type)type, data);
	return err;
}

int public_key_decode(struct public_key *key, struct bytes proto)
{
	struct pb_reader r = pb_over(proto);
	struct pb_field field;
	bool has_type = false, has_data = false;
	uint64_t type = 0;
	struct bytes data = { 0 };

	if (proto.len > PUBLIC_KEY_MAX)
		return -EBADMSG;
	while (pb_next(&r, &field)) {
		if (field.number == 1) {
			type = pb_u64(&field);
			has_type = true;
		} else if (field.number == 2) {
			data = pb_bytes(&field);
			has_data = true;
		}
	}
	if (r.bad || !has_type || !has_data)
		return -EBADMSG;
	return check_and_set(key, type, data);
}

struct bytes public_key_proto(const struct public_key *key)
{
	return bytes_of(key->proto, key->len);
}

static bool openssl_verify(const struct public_key *key, struct bytes data, struct bytes message,
			   struct bytes signature)
{
	EVP_PKEY *pkey = openssl_key(key->type, data);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	/* RSA's default padding is PKCS#1 v1.5, which is the one that libp2p uses. */
	bool good =
		pkey && ctx &&
		EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) == 1 &&
		EVP_DigestVerify(ctx, signature.at, signature.len, message.at, message.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return good;
}

int public_key_verify(const struct public_key *key, struct bytes message, struct bytes signature)
{
	struct bytes data = bytes_skip(public_key_proto(key), key->data_at);
	bool good;

	if (signature.len == 0 || signature.len > SIGNATURE_MAX)
		return -EKEYREJECTED;
	if (key->type == KEY_ED25519)
		good = signature.len == crypto_sign_BYTES &&
		       crypto_sign_verify_detached(signature.at, message.at, message.len,
						   data.at) == 0;
	else
		good = openssl_verify(key, data, message, signature);
	return good ? 0 : -EKEYREJECTED;
}

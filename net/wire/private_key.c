/* Private keys by OpenSSL. The public half is worked out once and checked as that of a stranger is:
 * a key that others would refuse is refused here. */
#include "net/wire/private_key.h"

#include "net/base/alloc.h"
#include "net/wire/pb.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define SEED_LEN 32
#define ED25519_LEN 32 /* of the public half */

struct private_key {
	EVP_PKEY *pkey;
	struct public_key public;
};

void private_wipe(struct buf *buf)
{
	if (buf->at)
		OPENSSL_cleanse(buf->at, buf->len);
	buf_release(buf);
}

void private_key_free(struct private_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

/* The data of the public key's protobuf, appended. */
static int put_public(const EVP_PKEY *pkey, struct buf *out)
{
	uint8_t raw[ED25519_LEN], *der = NULL;
	size_t raw_len = sizeof(raw);
	int len;

	if (EVP_PKEY_id(pkey) == EVP_PKEY_ED25519) {
		if (EVP_PKEY_get_raw_public_key(pkey, raw, &raw_len) != 1)
			return -ENOMEM;
		buf_add(out, bytes_of(raw, raw_len));
		return 0;
	}
	len = i2d_PUBKEY(pkey, &der);
	if (len <= 0)
		return -ENOMEM;
	buf_add(out, bytes_of(der, (size_t)len));
	OPENSSL_free(der);
	return 0;
}

/* Takes pkey, which may be NULL: failed tells why. */
static struct private_key *key_of(EVP_PKEY *pkey, int failed, int *err)
{
	struct private_key *key;
	struct buf data = { 0 }, proto = { 0 };
	int id = pkey ? EVP_PKEY_id(pkey) : 0;

	*err = pkey ? 0 : failed;
	if (pkey && id != EVP_PKEY_ED25519 && id != EVP_PKEY_RSA)
		*err = -ENOTSUP;
	if (*err) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	key = xnew(struct private_key);
	key->pkey = pkey;
	*err = put_public(pkey, &data);
	pb_put_u64(&proto, 1, id == EVP_PKEY_RSA ? KEY_RSA : KEY_ED25519);
	pb_put_bytes(&proto, 2, buf_bytes(&data));
	if (!*err)
		*err = public_key_decode(&key->public, buf_bytes(&proto));
	buf_release(&data);
	buf_release(&proto);
	if (!*err)
		return key;
	private_key_free(key);
	return NULL;
}

struct private_key *private_key_new(enum key_type type, unsigned bits, int *err)
{
	if (type == KEY_ED25519)
		return key_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), -ENOMEM, err);
	*err = type == KEY_RSA ? -EINVAL : -ENOTSUP;
	if (type != KEY_RSA || bits < 2048 || bits > 8192)
		return NULL;
	return key_of(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits), -ENOMEM, err);
}

/* seed | public, and in old files public once more: they must belong together, because signing with
 * another public half gives the seed away. */
static struct private_key *decode_ed25519(struct bytes data, int *err)
{
	struct bytes public = bytes_skip(data, SEED_LEN);
	struct private_key *key;
	struct bytes own;

	*err = -EBADMSG;
	if (data.len != SEED_LEN + ED25519_LEN && data.len != SEED_LEN + 2 * ED25519_LEN)
		return NULL;
	key = key_of(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, data.at, SEED_LEN),
		     -EBADMSG, err);
	if (!key)
		return NULL;
	own = bytes_of(key->public.proto + key->public.data_at, ED25519_LEN);
	for (size_t at = 0; at < public.len; at += ED25519_LEN)
		if (memcmp(public.at + at, own.at, own.len) != 0)
			*err = -EBADMSG;
	if (!*err)
		return key;
	private_key_free(key);
	return NULL;
}

/* PKCS#1, all of it. */
static struct private_key *decode_rsa(struct bytes data, int *err)
{
	const uint8_t *at = data.at;
	EVP_PKEY *pkey = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &at, (long)data.len);

	if (pkey && at != data.at + data.len) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return key_of(pkey, -EBADMSG, err);
}

struct private_key *private_key_decode(struct bytes proto, int *err)
{
	struct pb_reader r = pb_over(proto);
	struct pb_field field;
	bool has_type = false;
	uint64_t type = 0;
	struct bytes data = { 0 };

	*err = -EBADMSG;
	if (proto.len > PRIVATE_KEY_MAX)
		return NULL;
	while (pb_next(&r, &field)) {
		if (field.number == 1) {
			type = pb_u64(&field);
			has_type = true;
		} else if (field.number == 2) {
			data = pb_bytes(&field);
		}
	}
	if (r.bad || !has_type || data.len == 0)
		return NULL;
	if (type == KEY_ED25519)
		return decode_ed25519(data, err);
	if (type == KEY_RSA)
		return decode_rsa(data, err);
	if (type <= KEY_ECDSA)
		*err = -ENOTSUP;
	return NULL;
}

static int no_password(char *out, int size, int writing, void *ctx)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

struct private_key *private_key_decode_pem(struct bytes text, int *err)
{
	BIO *bio;
	EVP_PKEY *pkey;

	*err = -EBADMSG;
	if (text.len == 0 || text.len > PRIVATE_KEY_MAX)
		return NULL;
	bio = BIO_new_mem_buf(text.at, (int)text.len);
	pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	BIO_free(bio);
	return key_of(pkey, -EBADMSG, err);
}

enum key_type private_key_type(const struct private_key *key)
{
	return key->public.type;
}

const struct public_key *private_key_public(const struct private_key *key)
{
	return &key->public;
}

/* The data of the private key's protobuf, appended. */
static int put_private(const struct private_key *key, struct buf *out)
{
	uint8_t seed[SEED_LEN], *der = NULL;
	size_t seed_len = sizeof(seed);
	int len;

	if (key->public.type == KEY_ED25519) {
		if (EVP_PKEY_get_raw_private_key(key->pkey, seed, &seed_len) != 1)
			return -ENOMEM;
		buf_add(out, bytes_of(seed, seed_len));
		buf_add(out, bytes_of(key->public.proto + key->public.data_at, ED25519_LEN));
		OPENSSL_cleanse(seed, sizeof(seed));
		return 0;
	}
	len = i2d_PrivateKey(key->pkey, &der);
	if (len <= 0)
		return -ENOMEM;
	buf_add(out, bytes_of(der, (size_t)len));
	OPENSSL_clear_free(der, (size_t)len);
	return 0;
}

int private_key_encode(const struct private_key *key, struct buf *out)
{
	struct buf data = { 0 };
	int err = put_private(key, &data);

	if (!err) {
		pb_put_u64(out, 1, key->public.type);
		pb_put_bytes(out, 2, buf_bytes(&data));
	}
	private_wipe(&data);
	return err;
}

int private_key_encode_pem(const struct private_key *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	int err = bio && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL)
			  ? 0
			  : -ENOMEM;
	char *at;
	long len = err ? 0 : BIO_get_mem_data(bio, &at);

	if (len > 0)
		buf_add(out, bytes_of(at, (size_t)len));
	BIO_free(bio);
	return err;
}

int private_key_sign(const struct private_key *key, struct bytes message, struct buf *out)
{
	/* RSA's default padding is PKCS#1 v1.5, which is the one that libp2p uses. */
	const char *digest = key->public.type == KEY_RSA ? "SHA256" : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[SIGNATURE_MAX];
	size_t len = sizeof(signature);
	bool ok = ctx &&
		  EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key->pkey, NULL) == 1 &&
		  EVP_DigestSign(ctx, signature, &len, message.at, message.len) == 1;

	EVP_MD_CTX_free(ctx);
	if (ok)
		buf_add(out, bytes_of(signature, len));
	return ok ? 0 : -ENOMEM;
}

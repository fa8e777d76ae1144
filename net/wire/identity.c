/* Our own Ed25519 key pair: making, reading, writing and signing, by libsodium. The secret key is
 * wiped before its memory is freed. Any thread. */
#include "net/base/alloc.h"
#include "net/wire/key.h"
#include "net/wire/pb.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_LEN crypto_sign_SECRETKEYBYTES /* seed | public key */
#define PUBLIC_LEN crypto_sign_PUBLICKEYBYTES
#define SEED_LEN crypto_sign_SEEDBYTES

struct identity {
	uint8_t secret[SECRET_LEN];
	struct public_key public;
};

struct identity *identity_from_seed(const uint8_t seed[static SEED_LEN])
{
	struct identity *identity = xnew(struct identity);
	uint8_t public[PUBLIC_LEN];
	struct buf proto = { 0 };
	int err = sodium_init();

	assert(err >= 0);
	crypto_sign_seed_keypair(public, identity->secret, seed);
	pb_put_u64(&proto, 1, KEY_ED25519);
	pb_put_bytes(&proto, 2, bytes_of(public, sizeof(public)));
	err = public_key_decode(&identity->public, buf_bytes(&proto));
	assert(err == 0);
	buf_release(&proto);
	return identity;
}

struct identity *identity_new(void)
{
	uint8_t seed[SEED_LEN];
	struct identity *identity;
	int err = sodium_init();

	assert(err >= 0);
	randombytes_buf(seed, sizeof(seed));
	identity = identity_from_seed(seed);
	sodium_memzero(seed, sizeof(seed));
	return identity;
}

/* seed | public, and in old files public once more. */
static struct identity *from_data(struct bytes data)
{
	struct identity *identity;
	struct bytes public = bytes_skip(data, SEED_LEN);

	if (data.len == SECRET_LEN + PUBLIC_LEN) {
		if (sodium_memcmp(public.at, public.at + PUBLIC_LEN, PUBLIC_LEN) != 0)
			return NULL;
	} else if (data.len != SECRET_LEN) {
		return NULL;
	}
	identity = identity_from_seed(data.at);
	/* Signing with a public half that is not the seed's own gives the seed away. */
	if (sodium_memcmp(public.at, identity->secret + SEED_LEN, PUBLIC_LEN) == 0)
		return identity;
	identity_free(identity);
	return NULL;
}

struct identity *identity_decode(struct bytes proto, int *err)
{
	struct pb_reader r = pb_over(proto);
	struct pb_field field;
	bool has_type = false, has_data = false;
	uint64_t type = 0;
	struct bytes data = { 0 };
	struct identity *identity;

	while (pb_next(&r, &field)) {
		if (field.number == 1) {
			type = pb_u64(&field);
			has_type = true;
		} else if (field.number == 2) {
			data = pb_bytes(&field);
			has_data = true;
		}
	}
	*err = -EBADMSG;
	if (r.bad || !has_type || !has_data || type > KEY_ECDSA)
		return NULL;
	if (type != KEY_ED25519) {
		*err = -ENOTSUP;
		return NULL;
	}
	identity = from_data(data);
	if (identity)
		*err = 0;
	return identity;
}

void identity_encode(const struct identity *identity, struct buf *out)
{
	pb_put_u64(out, 1, KEY_ED25519);
	pb_put_bytes(out, 2, bytes_of(identity->secret, SECRET_LEN));
}

void identity_free(struct identity *identity)
{
	if (!identity)
		return;
	sodium_memzero(identity->secret, sizeof(identity->secret));
	free(identity);
}

const struct public_key *identity_public(const struct identity *identity)
{
	return &identity->public;
}

void identity_sign(const struct identity *identity, struct bytes message,
		   uint8_t signature[static crypto_sign_BYTES])
{
	crypto_sign_detached(signature, NULL, message.at, message.len, identity->secret);
}

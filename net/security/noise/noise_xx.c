/* The XX handshake of the Noise specification, with any prologue and payload. Pure; randomness is
 * an argument. */
/* XX:	1 ->  e
 *	2 <-  e, ee, s, es
 *	3 ->  s, se
 * A table of tokens drives both sides; "es" and "se" differ only in whose secret is the static one.
 */
#include "net/security/noise/noise_private.h"

#include "net/base/err.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define MESSAGES 3

static const char protocol_name[NOISE_KEY_LEN + 1] = "Noise_XX_25519_ChaChaPoly_SHA256";

enum token { END, E, S, EE, ES, SE };

static const enum token pattern[MESSAGES][5] = {
	{ E, END },
	{ E, EE, S, ES, END },
	{ S, SE, END },
};

static void mix_hash(struct noise_xx *xx, struct bytes data)
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, xx->hash, sizeof xx->hash);
	crypto_hash_sha256_update(&state, data.at, data.len);
	crypto_hash_sha256_final(&state, xx->hash);
}

static void hmac(uint8_t out[static NOISE_KEY_LEN], const uint8_t key[static NOISE_KEY_LEN],
		 struct bytes a, uint8_t b)
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, NOISE_KEY_LEN);
	crypto_auth_hmacsha256_update(&state, a.at, a.len);
	if (b)
		crypto_auth_hmacsha256_update(&state, &b, 1);
	crypto_auth_hmacsha256_final(&state, out);
}

/* HKDF with two outputs. one and chain may be the same. */
static void hkdf(const uint8_t chain[static NOISE_KEY_LEN], struct bytes input,
		 uint8_t one[static NOISE_KEY_LEN], uint8_t two[static NOISE_KEY_LEN])
{
	uint8_t temp[NOISE_KEY_LEN];

	hmac(temp, chain, input, 0);
	hmac(one, temp, (struct bytes){ 0 }, 1);
	hmac(two, temp, bytes_of(one, NOISE_KEY_LEN), 2);
	sodium_memzero(temp, sizeof temp);
}

static int mix_dh(struct noise_xx *xx, const uint8_t *secret, const uint8_t *theirs)
{
	uint8_t shared[NOISE_KEY_LEN];

	if (crypto_scalarmult(shared, secret, theirs)) /* all zero: a point of small order */
		return -EBADMSG;
	hkdf(xx->chain, bytes_of(shared, sizeof shared), xx->chain, xx->key);
	sodium_memzero(shared, sizeof shared);
	xx->keyed = true;
	xx->nonce = 0;
	return 0;
}

static void next_nonce(struct noise_xx *xx, uint8_t nonce[static 12])
{
	memset(nonce, 0, 12);
	nonce[4] = (uint8_t)xx->nonce++; /* never more than two under one key */
}

static void encrypt_and_hash(struct noise_xx *xx, struct bytes plain, struct buf *out)
{
	uint8_t *at = buf_reserve(out, plain.len + NOISE_TAG_LEN);
	size_t len = plain.len;
	uint8_t nonce[12];

	if (!xx->keyed) {
		buf_add(out, plain);
	} else {
		next_nonce(xx, nonce);
		crypto_aead_chacha20poly1305_ietf_encrypt(at, NULL, plain.at, plain.len, xx->hash,
							  sizeof xx->hash, NULL, nonce, xx->key);
		len += NOISE_TAG_LEN;
		out->len += len;
	}
	mix_hash(xx, bytes_of(at, len));
}

static int decrypt_and_hash(struct noise_xx *xx, struct bytes in, struct buf *out)
{
	uint8_t nonce[12];

	if (!xx->keyed) {
		buf_add(out, in);
	} else {
		if (in.len < NOISE_TAG_LEN)
			return -EBADMSG;
		uint8_t *at = buf_reserve(out, in.len - NOISE_TAG_LEN);

		next_nonce(xx, nonce);
		if (crypto_aead_chacha20poly1305_ietf_decrypt(at, NULL, NULL, in.at, in.len,
							      xx->hash, sizeof xx->hash, nonce,
							      xx->key))
			return -EBADMSG;
		out->len += in.len - NOISE_TAG_LEN;
	}
	mix_hash(xx, in);
	return 0;
}

static int mix_token(struct noise_xx *xx, enum token token)
{
	switch (token) {
	case EE:
		return mix_dh(xx, xx->e, xx->re);
	case ES:
		return xx->initiator ? mix_dh(xx, xx->e, xx->rs) : mix_dh(xx, xx->s, xx->re);
	default:
		return xx->initiator ? mix_dh(xx, xx->s, xx->re) : mix_dh(xx, xx->e, xx->rs);
	}
}

void noise_xx_init(struct noise_xx *xx, bool initiator, struct bytes prologue,
		   const uint8_t s[static NOISE_KEY_LEN], const uint8_t e[static NOISE_KEY_LEN])
{
	*xx = (struct noise_xx){ .initiator = initiator };
	/* The name is exactly as long as the hash: it is not hashed. */
	memcpy(xx->hash, protocol_name, sizeof xx->hash);
	memcpy(xx->chain, protocol_name, sizeof xx->chain);
	mix_hash(xx, prologue);
	memcpy(xx->s, s, sizeof xx->s);
	memcpy(xx->e, e, sizeof xx->e);
	crypto_scalarmult_base(xx->s_pub, xx->s);
	crypto_scalarmult_base(xx->e_pub, xx->e);
}

int noise_xx_write(struct noise_xx *xx, struct bytes payload, struct buf *out)
{
	const enum token *token = pattern[xx->message++];

	assert(xx->message <= MESSAGES && xx->initiator == (xx->message & 1));
	for (; *token != END; token++) {
		if (*token == E) {
			buf_add(out, bytes_of(xx->e_pub, sizeof xx->e_pub));
			mix_hash(xx, bytes_of(xx->e_pub, sizeof xx->e_pub));
		} else if (*token == S) {
			encrypt_and_hash(xx, bytes_of(xx->s_pub, sizeof xx->s_pub), out);
		} else if (mix_token(xx, *token)) {
			return -EBADMSG;
		}
	}
	encrypt_and_hash(xx, payload, out);
	return 0;
}

static int read_static(struct noise_xx *xx, struct cursor *c)
{
	struct bytes sealed = cursor_take(c, NOISE_KEY_LEN + NOISE_TAG_LEN);
	struct buf key = { 0 };
	int err = c->bad ? -EBADMSG : decrypt_and_hash(xx, sealed, &key);

	if (!err)
		memcpy(xx->rs, key.at, sizeof xx->rs);
	buf_release(&key);
	return err;
}

int noise_xx_read(struct noise_xx *xx, struct bytes message, struct buf *payload)
{
	const enum token *token = pattern[xx->message++];
	struct cursor c = cursor_over(message);
	int err = 0;

	assert(xx->message <= MESSAGES && xx->initiator != (xx->message & 1));
	for (; *token != END && !err; token++) {
		if (*token == E) {
			struct bytes key = cursor_take(&c, NOISE_KEY_LEN);

			if (c.bad)
				return -EBADMSG;
			memcpy(xx->re, key.at, sizeof xx->re);
			mix_hash(xx, key);
		} else {
			err = *token == S ? read_static(xx, &c) : mix_token(xx, *token);
		}
	}
	return err ? err : decrypt_and_hash(xx, cursor_take(&c, cursor_left(&c)), payload);
}

void noise_xx_split(const struct noise_xx *xx, uint8_t send[static NOISE_KEY_LEN],
		    uint8_t recv[static NOISE_KEY_LEN])
{
	assert(xx->message == MESSAGES);
	if (xx->initiator)
		hkdf(xx->chain, (struct bytes){ 0 }, send, recv);
	else
		hkdf(xx->chain, (struct bytes){ 0 }, recv, send);
}

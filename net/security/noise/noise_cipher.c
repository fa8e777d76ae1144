/* One direction of a Noise session: ChaCha20-Poly1305 by OpenSSL, which is twice as fast as
 * libsodium's on the machines measured. The nonce counts frames and never repeats. One thread. */
#include "net/security/noise/noise_private.h"

#include "net/base/err.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>

#define NONCE_LEN 12

/* OpenSSL fails here only when it is out of memory or built without the cipher. */
static void cipher_must(int ok)
{
	assert(ok == 1);
	(void)ok;
}

void noise_cipher_init(struct noise_cipher *cipher, bool seals,
		       const uint8_t key[static NOISE_KEY_LEN])
{
	cipher->evp = EVP_CIPHER_CTX_new();
	cipher->seals = seals;
	cipher->nonce = 0;
	cipher_must(cipher->evp != NULL);
	cipher_must(
		EVP_CipherInit_ex(cipher->evp, EVP_chacha20_poly1305(), NULL, key, NULL, seals));
}

void noise_cipher_release(struct noise_cipher *cipher)
{
	EVP_CIPHER_CTX_free(cipher->evp);
	*cipher = (struct noise_cipher){ 0 };
}

void noise_cipher_begin(struct noise_cipher *cipher)
{
	uint8_t nonce[NONCE_LEN] = { 0 }; /* 4 zeros, then the counter, little-endian */

	assert(cipher->nonce < UINT64_MAX);
	for (unsigned i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(cipher->nonce >> (8 * i));
	cipher_must(EVP_CipherInit_ex(cipher->evp, NULL, NULL, NULL, nonce, cipher->seals));
}

void noise_cipher_add(struct noise_cipher *cipher, uint8_t *out, struct bytes plain)
{
	int len;

	assert(plain.len <= INT_MAX);
	cipher_must(EVP_EncryptUpdate(cipher->evp, out, &len, plain.at, (int)plain.len));
}

void noise_cipher_end(struct noise_cipher *cipher, uint8_t tag[static NOISE_TAG_LEN])
{
	int len;

	cipher_must(EVP_EncryptFinal_ex(cipher->evp, tag, &len));
	cipher_must(EVP_CIPHER_CTX_ctrl(cipher->evp, EVP_CTRL_AEAD_GET_TAG, NOISE_TAG_LEN, tag));
	cipher->nonce++;
}

int noise_cipher_open(struct noise_cipher *cipher, uint8_t *at, size_t len)
{
	int out;

	if (cipher->nonce == UINT64_MAX)
		return -EBADMSG;
	noise_cipher_begin(cipher);
	cipher_must(
		EVP_CIPHER_CTX_ctrl(cipher->evp, EVP_CTRL_AEAD_SET_TAG, NOISE_TAG_LEN, at + len));
	if (len)
		cipher_must(EVP_DecryptUpdate(cipher->evp, at, &out, at, (int)len));
	if (EVP_DecryptFinal_ex(cipher->evp, at + len, &out) != 1)
		return -EBADMSG;
	cipher->nonce++;
	return 0;
}

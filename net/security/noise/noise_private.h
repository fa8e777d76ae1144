/* What the files of noise share. Private.
 *
 *   noise.c         the libp2p session: framing, payloads, identities, the choice of the muxer
 *   noise_xx.c      the XX pattern with any prologue and payload
 *   noise_cipher.c  one direction after the handshake */
#ifndef NET_NOISE_PRIVATE_H
#define NET_NOISE_PRIVATE_H

#include "net/security/noise.h"

#define NOISE_KEY_LEN 32
#define NOISE_TAG_LEN 16

/* One side of Noise_XX_25519_ChaChaPoly_SHA256 (Noise specification, sections 5 to 7.5). */
struct noise_xx {
	bool initiator;
	bool keyed;	  /* a cipher key has been mixed in */
	unsigned message; /* messages done, of 3 */
	uint64_t nonce;
	uint8_t key[NOISE_KEY_LEN], chain[NOISE_KEY_LEN], hash[NOISE_KEY_LEN];
	uint8_t s[NOISE_KEY_LEN], e[NOISE_KEY_LEN]; /* our secrets */
	uint8_t s_pub[NOISE_KEY_LEN], e_pub[NOISE_KEY_LEN];
	uint8_t rs[NOISE_KEY_LEN], re[NOISE_KEY_LEN]; /* the other side's public keys */
};

void noise_xx_init(struct noise_xx *xx, bool initiator, struct bytes prologue,
		   const uint8_t s[static NOISE_KEY_LEN], const uint8_t e[static NOISE_KEY_LEN]);
/* Appends our next message (without length prefix). -EBADMSG: the other side's key is of small
 * order. */
int noise_xx_write(struct noise_xx *xx, struct bytes payload, struct buf *out);
/* Reads the other side's next message; its payload is appended. -EBADMSG. */
int noise_xx_read(struct noise_xx *xx, struct bytes message, struct buf *payload);
/* After message 3: the keys of the two directions. */
void noise_xx_split(const struct noise_xx *xx, uint8_t send[static NOISE_KEY_LEN],
		    uint8_t recv[static NOISE_KEY_LEN]);

/* One direction: keyed once, a fresh nonce for each frame. */
struct noise_cipher {
	struct evp_cipher_ctx_st *evp;
	bool seals;
	uint64_t nonce; /* of the next frame; UINT64_MAX is never used */
};

void noise_cipher_init(struct noise_cipher *cipher, bool seals,
		       const uint8_t key[static NOISE_KEY_LEN]);
void noise_cipher_release(struct noise_cipher *cipher);
/* Start a frame, encrypt piece after piece into out, then the tag. */
void noise_cipher_begin(struct noise_cipher *cipher);
void noise_cipher_add(struct noise_cipher *cipher, uint8_t *out, struct bytes plain);
void noise_cipher_end(struct noise_cipher *cipher, uint8_t tag[static NOISE_TAG_LEN]);
/* Decrypt len bytes (tag behind them) in place. -EBADMSG: the nonce stays. */
int noise_cipher_open(struct noise_cipher *cipher, uint8_t *at, size_t len);

/* A session as the door knows it; here for tests that look at nonces. */
struct noise_cipher *noise_cipher_of(struct noise *noise, bool sending);

#endif

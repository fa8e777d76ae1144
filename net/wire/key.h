/* Identity keys, signatures and peer ids (wire/formats section 7). We sign with Ed25519 and verify
 * Ed25519, RSA (2048..8192 bits), ECDSA and secp256k1. Pure; any thread. */
#ifndef NET_WIRE_KEY_H
#define NET_WIRE_KEY_H

#include "net/base/bytes.h"

enum key_type { KEY_RSA = 0, KEY_ED25519 = 1, KEY_SECP256K1 = 2, KEY_ECDSA = 3 };

#define PUBLIC_KEY_MAX 2560 /* of the protobuf */
#define SIGNATURE_MAX 1024  /* RSA-8192 */

/* A public key as its protobuf, canonical. Checked when decoded. */
struct public_key {
	enum key_type type;
	uint16_t len;	  /* of proto */
	uint16_t data_at; /* key material is proto[data_at..len) */
	uint8_t proto[PUBLIC_KEY_MAX];
};

/* -EBADMSG malformed; -EKEYREJECTED outside the limits (RSA bits, exponent). */
int public_key_decode(struct public_key *key, struct bytes proto);
struct bytes public_key_proto(const struct public_key *key);
/* 0, or -EKEYREJECTED when the signature is not key's over message. */
int public_key_verify(const struct public_key *key, struct bytes message, struct bytes signature);

/* Our own identity: an Ed25519 key pair; libsodium's secret key kept whole. */
struct identity;
/* From the kernel's randomness, or (tests) from a seed. */
struct identity *identity_new(void);
struct identity *identity_from_seed(const uint8_t seed[static 32]);
/* PrivateKey protobuf, as in a Kubo keystore file. NULL and *err = -EBADMSG / -ENOTSUP (not
 * Ed25519). */
struct identity *identity_decode(struct bytes proto, int *err);
void identity_encode(const struct identity *identity, struct buf *out);
/* Wipes the secret. NULL is ignored. */
void identity_free(struct identity *identity);
const struct public_key *identity_public(const struct identity *identity);
void identity_sign(const struct identity *identity, struct bytes message,
		   uint8_t signature[static 64]);

/* A peer id: multihash of the public key's protobuf. A value type. Zero is "none". */
#define PEER_ID_MAX 48
#define PEER_ID_TEXT_MAX 100

struct peer_id {
	uint8_t len;
	uint8_t bytes[PEER_ID_MAX];
};

static inline struct bytes peer_id_bytes(const struct peer_id *id)
{
	return bytes_of(id->bytes, id->len);
}

static inline bool peer_id_is_set(const struct peer_id *id)
{
	return id->len != 0;
}

void peer_id_of_key(struct peer_id *id, const struct public_key *key);
void peer_id_of_identity(struct peer_id *id, const struct identity *identity);
bool peer_id_equal(const struct peer_id *a, const struct peer_id *b);
/* sha2-256/32 or identity (digest <= 42) multihash, the whole of in. -EBADMSG. */
int peer_id_from_bytes(struct peer_id *id, struct bytes in);
/* base58btc multihash (1..., Qm...) or CIDv1 with codec libp2p-key. -EBADMSG. */
int peer_id_from_text(struct peer_id *id, const char *text);
/* base58btc, as Kubo prints; returns out. */
const char *peer_id_text(const struct peer_id *id, char out[static PEER_ID_TEXT_MAX]);
/* The key inside an identity id; -ENOENT when the id is a hash. */
int peer_id_key(const struct peer_id *id, struct public_key *key);

/* Signed envelopes (RFC 0002; wire/formats section 8). */
#define ENVELOPE_MAX 8192
/* Signs payload and appends the envelope's protobuf. */
void envelope_seal(struct buf *out, const struct identity *identity, const char *domain,
		   struct bytes payload_type, struct bytes payload);
/* Opens and verifies; *payload borrows from in. -EBADMSG, -EKEYREJECTED. */
int envelope_open(struct bytes in, const char *domain, struct bytes payload_type,
		  struct public_key *signer, struct bytes *payload);
/* The same, if only peer `by` may have signed. Another signer is refused before the signature is
 * verified, which may be expensive. */
int envelope_open_by(struct bytes in, const char *domain, struct bytes payload_type,
		     const struct peer_id *by, struct bytes *payload);

#endif

/* The libp2p certificate (wire/transport section 3): self-signed, with an extension in which the
 * identity key signs the certificate's key. TLS over TCP and QUIC share it. Any thread. */
#ifndef NET_TLS_CERT_H
#define NET_TLS_CERT_H

#include "net/wire/key.h"

#define CERT_DER_MAX 16384 /* bytes; an RSA-8192 identity needs 3 KiB */

/* A certificate of ours and its ECDSA P-256 key, as DER (X.509; PKCS #8). Zero is empty. */
struct cert {
	struct buf der;
	struct buf key;
};

/* A new key, valid from an hour before now_s (Unix seconds) for a hundred years. -EIO: OpenSSL
 * failed. */
int cert_make(struct cert *cert, const struct identity *identity, int64_t now_s);
/* Wipes the key. */
void cert_release(struct cert *cert);

/* Whether der is a valid certificate at now_s; then *key is the identity key of its owner. One
 * valid certificate, self-signed, with the libp2p extension and no unknown critical one. -EBADMSG:
 * malformed or too long; -EKEYREJECTED: dates, signature or identity do not hold. */
int cert_verify(struct bytes der, int64_t now_s, struct public_key *key);

#endif

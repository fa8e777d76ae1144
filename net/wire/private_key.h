/* Private keys of names: Ed25519 and RSA (2048..8192 bits), made, read, written and signed with
 * (wire/formats section 7). The identity of a node is key.h's. Pure; any thread.
 *
 * Secrets are wiped when a key is freed; whoever holds an encoded one wipes it with
 * private_wipe(). */
#ifndef NET_WIRE_PRIVATE_KEY_H
#define NET_WIRE_PRIVATE_KEY_H

#include "net/wire/key.h"

#define PRIVATE_KEY_MAX 8192 /* bytes of an encoded one: RSA-8192 in PEM */

struct private_key;

/* type KEY_ED25519 (bits is not looked at) or KEY_RSA. NULL and *err: -ENOTSUP another type;
 * -EINVAL bits outside the limits; -ENOMEM. RSA of many bits takes seconds. */
struct private_key *private_key_new(enum key_type type, unsigned bits, int *err);
/* The PrivateKey protobuf of a Kubo keystore file. NULL and *err: -EBADMSG malformed; -ENOTSUP
 * another type; -EKEYREJECTED RSA outside the limits. */
struct private_key *private_key_decode(struct bytes proto, int *err);
/* PKCS#8 in PEM, without a password. Errors as above. */
struct private_key *private_key_decode_pem(struct bytes text, int *err);
/* NULL is ignored. */
void private_key_free(struct private_key *key);

enum key_type private_key_type(const struct private_key *key);
/* Lives as long as key. */
const struct public_key *private_key_public(const struct private_key *key);
/* Append the forms that are decoded above. 0 or -ENOMEM. */
int private_key_encode(const struct private_key *key, struct buf *out);
int private_key_encode_pem(const struct private_key *key, struct buf *out);
/* Appends key's signature over message, as public_key_verify() checks it. 0 or -ENOMEM. */
int private_key_sign(const struct private_key *key, struct bytes message, struct buf *out);
/* Overwrites what buf holds and releases it. */
void private_wipe(struct buf *buf);

#endif

/* Multihash: uv(code) | uv(digest length) | digest (wire/formats section 2). Pure; any thread. */
#ifndef NET_WIRE_MULTIHASH_H
#define NET_WIRE_MULTIHASH_H

#include "net/base/bytes.h"

#define MULTIHASH_DIGEST_MAX 128
#define MULTIHASH_MAX (MULTIHASH_DIGEST_MAX + 5)

enum hash_code {
	HASH_IDENTITY = 0x00,
	HASH_SHA1 = 0x11,
	HASH_SHA2_256 = 0x12,
	HASH_SHA2_512 = 0x13,
	HASH_SHA3_512 = 0x14,
	HASH_SHA3_384 = 0x15,
	HASH_SHA3_256 = 0x16,
	HASH_SHA3_224 = 0x17,
	HASH_BLAKE3 = 0x1e,
	HASH_MURMUR3_X64_64 = 0x22,
	HASH_DBL_SHA2_256 = 0x56,
	HASH_BLAKE2B_MIN = 0xb201, /* blake2b of n bytes is 0xb200 + n, n = 1..64 */
	HASH_BLAKE2B_256 = 0xb220,
	HASH_BLAKE2S_256 = 0xb260,
	HASH_LIBP2P_MAX = 0xffffff,
};

/* A view of a parsed multihash. */
struct multihash {
	uint64_t code;
	struct bytes digest;
};

/* From the front of in. Bytes used, 0 need more, -EBADMSG (bad varint, digest >
 * MULTIHASH_DIGEST_MAX). */
ssize_t multihash_decode(struct multihash *hash, struct bytes in);
void multihash_encode(struct buf *out, uint64_t code, struct bytes digest);

/* 0 when content may be named by this hash: a function on the allow-list, digest 20..128 bytes
 * (identity: 0..128). -EBADMSG otherwise ("insecure or unknown hash function, or digest too short
 * or long"). */
int multihash_allowed(const struct multihash *hash);
/* The name of a hash function ("sha2-256"), NULL if unknown; and the code of a name, or -ENOENT. */
const char *hash_name(uint64_t code);
int64_t hash_by_name(const char *name);

/* digest = the function over data, cut to digest_len (<= native length; identity: data itself, at
 * most MULTIHASH_DIGEST_MAX). Native length or -ENOTSUP (a hash function we do not have), -EINVAL
 * (digest_len too long). sha1, sha2-256/512, sha3-*, blake2b-*, blake2s-256, dbl-sha2-256, blake3,
 * identity. SHA-256 goes at the speed of OpenSSL. */
ssize_t hash_digest(uint64_t code, struct bytes data, uint8_t out[static MULTIHASH_DIGEST_MAX],
		    size_t digest_len);
/* Native digest length of a function (identity: MULTIHASH_DIGEST_MAX, the most it may be), or
 * -ENOTSUP. */
ssize_t hash_native_len(uint64_t code);
/* 0 when hash names data; -EBADMSG when it does not; -ENOTSUP. */
int multihash_verify(const struct multihash *hash, struct bytes data);

/* SHA-256 in one call: the hot path. */
void sha256(uint8_t out[static 32], struct bytes data);
/* MurmurHash3_x64_128 with seed 0, first 64 bits (HAMT, wire/dag section 4). */
uint64_t murmur3_x64_64(struct bytes data);

#endif

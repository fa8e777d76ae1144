/* Content identifiers (wire/formats section 5). A value type: copy freely. Pure; any thread. */
#ifndef NET_WIRE_CID_H
#define NET_WIRE_CID_H

#include "net/wire/multihash.h"

#define CID_MAX 168	 /* binary; Bitswap's limit */
#define CID_TEXT_MAX 360 /* any of our bases, with NUL */

enum codec {
	CODEC_RAW = 0x55,
	CODEC_DAG_PB = 0x70,
	CODEC_DAG_CBOR = 0x71,
	CODEC_LIBP2P_KEY = 0x72,
	CODEC_DAG_JSON = 0x0129,
	CODEC_CBOR = 0x51,
	CODEC_JSON = 0x0200,
};

/* Zero-initialised is "no cid" (cid_is_set() false). bytes[0..len) is the binary form as it was
 * given. */
struct cid {
	uint8_t version; /* 0 or 1 */
	uint8_t len;
	uint8_t hash_at; /* where the multihash begins in bytes */
	uint64_t codec;
	uint8_t bytes[CID_MAX];
};

static inline bool cid_is_set(const struct cid *cid)
{
	return cid->len != 0;
}

static inline struct bytes cid_bytes(const struct cid *cid)
{
	return bytes_of(cid->bytes, cid->len);
}

/* The multihash: what names the block in the store, in wantlists and in provider records. */
static inline struct bytes cid_hash_bytes(const struct cid *cid)
{
	return bytes_of(cid->bytes + cid->hash_at, (size_t)(cid->len - cid->hash_at));
}

struct multihash cid_hash(const struct cid *cid);
bool cid_equal(const struct cid *a, const struct cid *b);
bool cid_is_identity(const struct cid *cid);
/* The block an identity CID carries, borrowed from cid; empty otherwise. */
struct bytes cid_identity_data(const struct cid *cid);

/* From the front of in: bytes used, 0 need more, -EBADMSG. Parses; does not judge the hash
 * function. */
ssize_t cid_decode(struct cid *cid, struct bytes in);
/* The whole of in must be one CID. 0 or -EBADMSG. */
int cid_from_bytes(struct cid *cid, struct bytes in);
/* Text in any multibase, or 46 characters Qm.... 0 or -EBADMSG. */
int cid_from_text(struct cid *cid, const char *text);
int cid_from_text_bytes(struct cid *cid, struct bytes text);
/* v0: base58btc (codec dag-pb, sha2-256/32 only); v1: multibase. -EINVAL when v0 cannot express it.
 */
int cid_make(struct cid *cid, unsigned version, uint64_t codec, struct bytes multihash);
/* Hash data and name it. -ENOTSUP for an unknown function. */
int cid_of_data(struct cid *cid, unsigned version, uint64_t codec, uint64_t hash_code,
		struct bytes data);
/* v0 prints base58btc, v1 base32; returns out. */
const char *cid_text(const struct cid *cid, char out[static CID_TEXT_MAX]);
/* In this base; a v0 CID in a base other than base58btc is printed as v1. -EINVAL unknown base. */
int cid_text_base(const struct cid *cid, char base, char out[static CID_TEXT_MAX]);
/* The same block under the other version; -EINVAL when v0 cannot express it. */
int cid_to_version(const struct cid *cid, unsigned version, struct cid *out);
/* 0 if blocks of this CID may be fetched and stored: its hash function and digest length are
 * allowed. -EBADMSG otherwise. */
int cid_allowed(const struct cid *cid);
/* 0 when data hashes to cid, -EBADMSG when not. */
int cid_verify(const struct cid *cid, struct bytes data);

#endif

/* Content identifiers: binary, text and hashing. Both versions are kept in their binary form,
 * with the place of the multihash noted, so that comparing and looking up need no parsing. Pure;
 * any thread. */
#include "net/wire/cid.h"

#include "net/wire/multibase.h"
#include "net/wire/varint.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* v0: 12 20 | 32 bytes of SHA-256; the codec is dag-pb without saying so
 * v1: uv(1) | uv(codec) | uv(hash code) | uv(digest length) | digest
 */
#define V0_LEN 34
#define V0_TEXT_LEN 46
#define TEXT_IN_MAX 512

static bool is_v0_hash(struct bytes hash)
{
	return hash.len == V0_LEN && hash.at[0] == HASH_SHA2_256 && hash.at[1] == 32;
}

static void cid_set(struct cid *cid, unsigned version, uint64_t codec, size_t hash_at,
		    struct bytes raw)
{
	*cid = (struct cid){ .version = (uint8_t)version,
			     .codec = codec,
			     .hash_at = (uint8_t)hash_at,
			     .len = (uint8_t)raw.len };
	memcpy(cid->bytes, raw.at, raw.len);
}

static ssize_t decode_v1(struct cid *cid, struct bytes in)
{
	struct multihash hash;
	uint64_t version, codec;
	ssize_t used = uvarint_decode(&version, in);
	size_t at;

	if (used <= 0)
		return used;
	if (version != 1)
		return -EBADMSG;
	at = (size_t)used;
	used = uvarint_decode(&codec, bytes_skip(in, at));
	if (used <= 0)
		return used;
	at += (size_t)used;
	used = multihash_decode(&hash, bytes_skip(in, at));
	if (used <= 0)
		return used;
	if (at + (size_t)used > CID_MAX)
		return -EBADMSG;
	cid_set(cid, 1, codec, at, bytes_of(in.at, at + (size_t)used));
	return (ssize_t)cid->len;
}

ssize_t cid_decode(struct cid *cid, struct bytes in)
{
	if (in.len == 0 || (in.len == 1 && in.at[0] == HASH_SHA2_256))
		return 0;
	if (in.at[0] != HASH_SHA2_256 || in.at[1] != 32)
		return decode_v1(cid, in);
	if (in.len < V0_LEN)
		return 0;
	cid_set(cid, 0, CODEC_DAG_PB, 0, bytes_of(in.at, V0_LEN));
	return V0_LEN;
}

int cid_from_bytes(struct cid *cid, struct bytes in)
{
	struct cid found;
	ssize_t used = cid_decode(&found, in);

	if (used <= 0 || (size_t)used != in.len)
		return -EBADMSG;
	*cid = found;
	return 0;
}

int cid_from_text_bytes(struct cid *cid, struct bytes text)
{
	struct buf raw = { 0 };
	int err;

	if (text.len < 2 || text.len > TEXT_IN_MAX)
		return -EBADMSG;
	if (text.len == V0_TEXT_LEN && text.at[0] == 'Q' && text.at[1] == 'm') {
		err = base_decode(&raw, BASE58BTC, text);
		if (err == 0 && !is_v0_hash(buf_bytes(&raw)))
			err = -EBADMSG;
	} else {
		err = multibase_decode(&raw, text, NULL);
	}
	if (err == 0)
		err = cid_from_bytes(cid, buf_bytes(&raw));
	buf_release(&raw);
	return err < 0 ? -EBADMSG : 0;
}

int cid_from_text(struct cid *cid, const char *text)
{
	return cid_from_text_bytes(cid, bytes_str(text));
}

int cid_make(struct cid *cid, unsigned version, uint64_t codec, struct bytes multihash)
{
	uint8_t raw[CID_MAX];
	struct multihash hash;
	ssize_t used = multihash_decode(&hash, multihash);
	size_t len = 0;

	if (used <= 0 || (size_t)used != multihash.len)
		return -EBADMSG;
	if (version > 1 || codec >> 63 != 0)
		return -EINVAL;
	if (version == 0) {
		if (codec != CODEC_DAG_PB || !is_v0_hash(multihash))
			return -EINVAL;
		cid_set(cid, 0, codec, 0, multihash);
		return 0;
	}
	len += uvarint_encode(raw, version);
	len += uvarint_encode(raw + len, codec);
	if (len + multihash.len > CID_MAX)
		return -EINVAL;
	memcpy(raw + len, multihash.at, multihash.len);
	cid_set(cid, 1, codec, len, bytes_of(raw, len + multihash.len));
	return 0;
}

int cid_of_data(struct cid *cid, unsigned version, uint64_t codec, uint64_t hash_code,
		struct bytes data)
{
	uint8_t digest[MULTIHASH_DIGEST_MAX], hash[2 * UVARINT_MAX_LEN + MULTIHASH_DIGEST_MAX];
	ssize_t native = hash_native_len(hash_code);
	size_t len = hash_code == HASH_IDENTITY ? data.len : (size_t)native, head;

	if (native < 0)
		return (int)native;
	native = hash_digest(hash_code, data, digest, len);
	if (native < 0)
		return (int)native;
	head = uvarint_encode(hash, hash_code);
	head += uvarint_encode(hash + head, len);
	memcpy(hash + head, digest, len);
	return cid_make(cid, version, codec, bytes_of(hash, head + len));
}

struct multihash cid_hash(const struct cid *cid)
{
	struct multihash hash = { 0 };
	ssize_t used = multihash_decode(&hash, cid_hash_bytes(cid));

	assert(used > 0);
	return hash;
}

bool cid_equal(const struct cid *a, const struct cid *b)
{
	return bytes_equal(cid_bytes(a), cid_bytes(b));
}

bool cid_is_identity(const struct cid *cid)
{
	return cid_is_set(cid) && cid->bytes[cid->hash_at] == HASH_IDENTITY;
}

struct bytes cid_identity_data(const struct cid *cid)
{
	return cid_is_identity(cid) ? cid_hash(cid).digest : (struct bytes){ 0 };
}

int cid_text_base(const struct cid *cid, char base, char out[static CID_TEXT_MAX])
{
	struct buf text = { 0 };
	struct cid v1;
	int err;

	assert(cid_is_set(cid));
	if (cid->version == 0 && base == BASE58BTC) {
		err = base_encode(&text, base, cid_bytes(cid));
	} else {
		err = cid_to_version(cid, 1, &v1);
		assert(err == 0);
		err = multibase_encode(&text, base, cid_bytes(&v1));
	}
	/* Binary digits of a long identity CID: no one prints those. */
	if (err == 0 && text.len >= CID_TEXT_MAX)
		err = -EINVAL;
	if (err == 0) {
		memcpy(out, text.at, text.len);
		out[text.len] = 0;
	}
	buf_release(&text);
	return err < 0 ? -EINVAL : 0;
}

const char *cid_text(const struct cid *cid, char out[static CID_TEXT_MAX])
{
	int err = cid_text_base(cid, cid->version == 0 ? BASE58BTC : BASE32, out);

	assert(err == 0);
	return out;
}

int cid_to_version(const struct cid *cid, unsigned version, struct cid *out)
{
	struct cid from = *cid;

	if (from.version == version) {
		*out = from;
		return 0;
	}
	return cid_make(out, version, from.codec, cid_hash_bytes(&from));
}

int cid_allowed(const struct cid *cid)
{
	struct multihash hash;

	if (!cid_is_set(cid))
		return -EBADMSG;
	hash = cid_hash(cid);
	return multihash_allowed(&hash);
}

int cid_verify(const struct cid *cid, struct bytes data)
{
	struct multihash hash = cid_hash(cid);

	return multihash_verify(&hash, data) < 0 ? -EBADMSG : 0;
}

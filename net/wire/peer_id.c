/* Peer ids: the multihash of a public key. Short keys stand in the id whole (identity hash),
 * longer ones as SHA-256. Pure; any thread. */
#include "net/wire/cid.h"
#include "net/wire/key.h"
#include "net/wire/multibase.h"
#include "net/wire/multihash.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* multihash of the key's protobuf: identity when that is at most 42 bytes, else SHA-256. */
#define INLINE_KEY_MAX 42
#define SHA256_LEN 32

static void peer_id_set(struct peer_id *id, uint64_t code, struct bytes digest)
{
	struct buf raw = { 0 };

	multihash_encode(&raw, code, digest);
	assert(raw.len <= PEER_ID_MAX);
	*id = (struct peer_id){ .len = (uint8_t)raw.len };
	memcpy(id->bytes, raw.at, raw.len);
	buf_release(&raw);
}

void peer_id_of_key(struct peer_id *id, const struct public_key *key)
{
	struct bytes proto = public_key_proto(key);
	uint8_t digest[SHA256_LEN];

	if (proto.len <= INLINE_KEY_MAX) {
		peer_id_set(id, HASH_IDENTITY, proto);
		return;
	}
	sha256(digest, proto);
	peer_id_set(id, HASH_SHA2_256, bytes_of(digest, sizeof(digest)));
}

void peer_id_of_identity(struct peer_id *id, const struct identity *identity)
{
	peer_id_of_key(id, identity_public(identity));
}

bool peer_id_equal(const struct peer_id *a, const struct peer_id *b)
{
	return bytes_equal(peer_id_bytes(a), peer_id_bytes(b));
}

int peer_id_from_bytes(struct peer_id *id, struct bytes in)
{
	struct multihash hash;
	ssize_t used = multihash_decode(&hash, in);
	bool sound;

	if (used <= 0 || (size_t)used != in.len)
		return -EBADMSG;
	sound = (hash.code == HASH_SHA2_256 && hash.digest.len == SHA256_LEN) ||
		(hash.code == HASH_IDENTITY && hash.digest.len <= INLINE_KEY_MAX);
	if (!sound)
		return -EBADMSG;
	*id = (struct peer_id){ .len = (uint8_t)in.len };
	memcpy(id->bytes, in.at, in.len);
	return 0;
}

static int from_base58(struct peer_id *id, struct bytes text)
{
	struct buf raw = { 0 };
	int err = base_decode(&raw, BASE58BTC, text);

	err = err < 0 ? -EBADMSG : peer_id_from_bytes(id, buf_bytes(&raw));
	buf_release(&raw);
	return err;
}

int peer_id_from_text(struct peer_id *id, const char *text)
{
	struct bytes in = bytes_str(text);
	struct cid cid;

	if (in.len > CID_TEXT_MAX)
		return -EBADMSG;
	if (text[0] == '1' || (text[0] == 'Q' && text[1] == 'm'))
		return from_base58(id, in);
	if (cid_from_text_bytes(&cid, in) < 0 || cid.codec != CODEC_LIBP2P_KEY)
		return -EBADMSG;
	return peer_id_from_bytes(id, cid_hash_bytes(&cid));
}

const char *peer_id_text(const struct peer_id *id, char out[static PEER_ID_TEXT_MAX])
{
	struct buf text = { 0 };
	int err = base_encode(&text, BASE58BTC, peer_id_bytes(id));

	assert(err == 0 && text.len < PEER_ID_TEXT_MAX);
	if (text.len > 0)
		memcpy(out, text.at, text.len);
	out[text.len] = 0;
	buf_release(&text);
	return out;
}

int peer_id_key(const struct peer_id *id, struct public_key *key)
{
	struct multihash hash;

	if (multihash_decode(&hash, peer_id_bytes(id)) <= 0 || hash.code != HASH_IDENTITY)
		return -ENOENT;
	return public_key_decode(key, hash.digest);
}

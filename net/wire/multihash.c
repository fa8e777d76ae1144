/* Multihashes: decoding, encoding, and the list of hash functions and digest lengths by which
 * content may be named. Pure; any thread. */
#include "net/wire/multihash.h"

#include "net/wire/varint.h"

#include <errno.h>

#define CONTENT_DIGEST_MIN 20

ssize_t multihash_decode(struct multihash *hash, struct bytes in)
{
	uint64_t code, len;
	ssize_t code_len = uvarint_decode(&code, in);

	if (code_len <= 0)
		return code_len;

	ssize_t len_len = uvarint_decode(&len, bytes_skip(in, (size_t)code_len));

	if (len_len <= 0)
		return len_len;
	if (len > MULTIHASH_DIGEST_MAX)
		return -EBADMSG;

	size_t head = (size_t)(code_len + len_len);

	if (in.len - head < len)
		return 0;
	hash->code = code;
	hash->digest = bytes_of(in.at + head, (size_t)len);
	return (ssize_t)(head + len);
}

void multihash_encode(struct buf *out, uint64_t code, struct bytes digest)
{
	buf_add_uvarint(out, code);
	buf_add_uvarint(out, digest.len);
	buf_add(out, digest);
}

int multihash_allowed(const struct multihash *hash)
{
	if (hash->digest.len > MULTIHASH_DIGEST_MAX)
		return -EBADMSG;
	if (hash->code == HASH_IDENTITY)
		return 0;
	if (hash->code == HASH_MURMUR3_X64_64 || hash->digest.len < CONTENT_DIGEST_MIN)
		return -EBADMSG;
	/* A function that cannot produce the digest can never verify it. */
	if (hash_native_len(hash->code) < (ssize_t)hash->digest.len)
		return -EBADMSG;
	return 0;
}

int multihash_verify(const struct multihash *hash, struct bytes data)
{
	uint8_t digest[MULTIHASH_DIGEST_MAX];
	ssize_t err;

	if (hash->code == HASH_IDENTITY)
		return bytes_equal(hash->digest, data) ? 0 : -EBADMSG;
	err = hash_digest(hash->code, data, digest, hash->digest.len);
	if (err == -EINVAL) /* longer than the function's output: names nothing */
		return -EBADMSG;
	if (err < 0)
		return (int)err;
	return bytes_equal(bytes_of(digest, hash->digest.len), hash->digest) ? 0 : -EBADMSG;
}

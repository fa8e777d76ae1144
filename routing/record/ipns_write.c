/* Name records, written. The document is DAG-CBOR with its keys in canonical order; the protobuf
 * around it repeats it for readers of the first signature. Pure; any thread. */
#include "routing/record/ipns_write.h"

#include "net/wire/pb.h"
#include "routing/record/ipns.h"

#include <errno.h>

/*
 * 1 value   2 signatureV1 over value | validity | "EOL"   3 validityType 0   4 validity
 * 5 sequence   6 ttl   7 pubKey   8 signatureV2 over "ipns-signature:" | data   9 data
 *
 * 1 to 6 are there together or not at all, and zeros are written.
 */
enum { MAJOR_UINT = 0, MAJOR_BYTES = 2, MAJOR_TEXT = 3, MAJOR_MAP = 5 };

/* A head of CBOR, in its shortest form. */
static void put_head(struct buf *out, unsigned major, uint64_t number)
{
	unsigned info = number < 24	       ? (unsigned)number
			: number <= UINT8_MAX  ? 24
			: number <= UINT16_MAX ? 25
			: number <= UINT32_MAX ? 26
					       : 27;

	buf_add_u8(out, (uint8_t)(major << 5 | info));
	for (unsigned bytes = info < 24 ? 0 : 1u << (info - 24); bytes-- > 0;)
		buf_add_u8(out, (uint8_t)(number >> 8 * bytes));
}

static void put_key(struct buf *out, const char *name)
{
	put_head(out, MAJOR_TEXT, bytes_str(name).len);
	buf_add_str(out, name);
}

static void put_number(struct buf *out, const char *name, uint64_t number)
{
	put_key(out, name);
	put_head(out, MAJOR_UINT, number);
}

static void put_bytes(struct buf *out, const char *name, struct bytes bytes)
{
	put_key(out, name);
	put_head(out, MAJOR_BYTES, bytes.len);
	buf_add(out, bytes);
}

/* Shorter keys first, then by their bytes. */
static void put_document(struct buf *out, const struct ipns_content *content, struct bytes eol)
{
	bool has_commit = content->commit.len > 0;

	put_head(out, MAJOR_MAP, has_commit ? 6 : 5);
	put_number(out, "TTL", content->ttl_ns);
	put_bytes(out, "Value", content->value);
	if (has_commit)
		put_bytes(out, IPNS_COMMIT_FIELD, content->commit);
	put_number(out, "Sequence", content->sequence);
	put_bytes(out, "Validity", eol);
	put_number(out, "ValidityType", IPNS_END_OF_LIFE);
}

static int sign(const struct private_key *key, struct bytes a, struct bytes b, struct bytes c,
		struct buf *signature)
{
	struct buf message = { 0 };
	int err;

	buf_add(&message, a);
	buf_add(&message, b);
	buf_add(&message, c);
	err = private_key_sign(key, buf_bytes(&message), signature);
	buf_release(&message);
	return err;
}

static int put_v1(struct buf *out, const struct ipns_content *content, struct bytes eol,
		  const struct private_key *key)
{
	struct buf signature = { 0 };
	int err = sign(key, content->value, eol, bytes_str("EOL"), &signature);

	pb_put_bytes(out, 1, content->value);
	pb_put_bytes(out, 2, buf_bytes(&signature));
	pb_put_u64(out, 3, IPNS_END_OF_LIFE);
	pb_put_bytes(out, 4, eol);
	pb_put_u64(out, 5, content->sequence);
	pb_put_u64(out, 6, content->ttl_ns);
	buf_release(&signature);
	return err;
}

static void put_public_key(struct buf *out, const struct private_key *key)
{
	const struct public_key *public = private_key_public(key);
	struct public_key found;
	struct peer_id name;

	peer_id_of_key(&name, public);
	if (peer_id_key(&name, &found))
		pb_put_bytes(out, 7, public_key_proto(public));
}

int ipns_write(const struct ipns_content *content, const struct private_key *key, struct buf *out)
{
	struct buf document = { 0 }, signature = { 0 };
	char text[EOL_TEXT_MAX];
	size_t begin = out->len;
	struct bytes eol;
	int err = 0;

	if (content->sequence > INT64_MAX || content->ttl_ns > INT64_MAX ||
	    !eol_text(&content->eol, text))
		return -EINVAL;
	if (content->value.len > IPNS_RECORD_MAX || content->commit.len > IPNS_RECORD_MAX)
		return -EMSGSIZE;
	eol = bytes_str(text);
	put_document(&document, content, eol);
	err = sign(key, bytes_str(IPNS_SIGNED_PREFIX), buf_bytes(&document), bytes_of(NULL, 0),
		   &signature);
	if (!err && !content->without_v1)
		err = put_v1(out, content, eol, key);
	put_public_key(out, key);
	pb_put_bytes(out, 8, buf_bytes(&signature));
	pb_put_bytes(out, 9, buf_bytes(&document));
	if (!err && out->len - begin > IPNS_RECORD_MAX)
		err = -EMSGSIZE;
	if (err)
		out->len = begin;
	buf_release(&document);
	buf_release(&signature);
	return err;
}

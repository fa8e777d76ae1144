/* The codec of Bitswap messages, all versions. A message is checked as a whole and then walked;
 * blocks are not copied out of it. Pure; any thread. */
#include "exchange/bitswap/msg.h"

#include "net/wire/pb.h"
#include "net/wire/varint.h"

#include <errno.h>
#include <string.h>

/* Message    1 wantlist  2 blocks: repeated bytes (1.0)  3 payload: repeated Block (1.1)
 *            4 blockPresences: repeated (1.2)  5 pendingBytes: int32 (1.2)
 * Wantlist   1 entries: repeated Entry  2 full: bool
 * Entry      1 cid  2 priority: int32  3 cancel: bool  4 wantType: 0 block, 1 have
 *            5 sendDontHave: bool
 * Block      1 prefix  2 data
 * Presence   1 cid  2 type: 0 have, 1 do not have
 * prefix     uv(version) | uv(codec) | uv(hash code) | uv(digest length) */
#define PREFIX_MAX (4 * UVARINT_MAX_LEN)
#define WANTLIST_EMPTY_LEN 2

const char *const bitswap_protocols[BITSWAP_PROTOCOLS] = {
	"/ipfs/bitswap/1.2.0",
	"/ipfs/bitswap/1.1.0",
	"/ipfs/bitswap/1.0.0",
	"/ipfs/bitswap",
};

enum bitswap_version bitswap_msg_version(const char *protocol)
{
	static const enum bitswap_version versions[BITSWAP_PROTOCOLS] = { BITSWAP_1_2, BITSWAP_1_1,
									  BITSWAP_1_0,
									  BITSWAP_1_0 };

	for (size_t i = 0; protocol && i < BITSWAP_PROTOCOLS; i++)
		if (strcmp(protocol, bitswap_protocols[i]) == 0)
			return versions[i];
	return BITSWAP_UNKNOWN;
}

/* Version, codec, hash and a digest of the length it says: a CID to Go, though longer than we take.
 */
static bool is_long_cid(struct bytes in)
{
	struct cursor c = cursor_over(in);

	if (cursor_uvarint(&c) != 1)
		return false;
	cursor_uvarint(&c);
	cursor_uvarint(&c);
	uint64_t len = cursor_uvarint(&c);

	return !c.bad && len > MULTIHASH_DIGEST_MAX && len == cursor_left(&c);
}

/* 0 with cid set, or unset when it is one to pass over; -EBADMSG. */
static int read_cid(struct bytes in, struct cid *cid)
{
	if (cid_from_bytes(cid, in) == 0)
		return 0;
	memset(cid, 0, sizeof(*cid));
	return is_long_cid(in) ? 0 : -EBADMSG;
}

static int read_entry(struct bytes in, struct bitswap_entry *entry)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	struct bytes cid = { 0 };

	memset(entry, 0, sizeof(*entry));
	while (pb_next(&r, &f)) {
		switch (f.number) {
		case 1:
			cid = pb_bytes(&f);
			break;
		case 2:
			entry->priority = (int32_t)(uint32_t)pb_u64(&f);
			break;
		case 3:
			entry->cancel = pb_bool(&f);
			break;
		case 4:
			entry->have = pb_u64(&f) == 1;
			break;
		case 5:
			entry->send_dont_have = pb_bool(&f);
			break;
		}
	}
	return r.bad ? -EBADMSG : read_cid(cid, &entry->cid);
}

static int read_presence(struct bytes in, struct cid *cid, bool *have)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	struct bytes name = { 0 };
	uint64_t type = 0;

	while (pb_next(&r, &f)) {
		if (f.number == 1)
			name = pb_bytes(&f);
		else if (f.number == 2)
			type = pb_u64(&f);
	}
	*have = type == 0;
	return r.bad ? -EBADMSG : read_cid(name, cid);
}

static int read_prefix(struct bytes in, struct bitswap_prefix *prefix)
{
	struct cursor c = cursor_over(in);
	uint64_t version = cursor_uvarint(&c);

	prefix->version = (uint8_t)version;
	prefix->codec = cursor_uvarint(&c);
	prefix->hash_code = cursor_uvarint(&c);
	uint64_t len = cursor_uvarint(&c);
	ssize_t native = hash_native_len(prefix->hash_code);

	if (c.bad || version > 1 || native < 0 || len > (uint64_t)native)
		return -EBADMSG;
	prefix->digest_len = (size_t)len;
	if (version == 0 &&
	    (prefix->codec != CODEC_DAG_PB || prefix->hash_code != HASH_SHA2_256 || len != 32))
		return -EBADMSG;
	return 0;
}

static int read_block(struct bytes in, struct bitswap_prefix *prefix, struct bytes *data)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	struct bytes head = { 0 };

	*data = (struct bytes){ 0 };
	while (pb_next(&r, &f)) {
		if (f.number == 1)
			head = pb_bytes(&f);
		else if (f.number == 2)
			*data = pb_bytes(&f);
	}
	return r.bad ? -EBADMSG : read_prefix(head, prefix);
}

/* One pass serves checking (visitor NULL) and visiting. */
struct walk {
	const struct bitswap_visitor *visitor;
	void *ctx;
	struct bitswap_summary summary;
};

static int walk_wantlist(struct walk *walk, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	struct bitswap_entry entry;

	while (pb_next(&r, &f)) {
		if (f.number == 2)
			walk->summary.full = pb_bool(&f);
		if (f.number != 1)
			continue;
		int err = read_entry(pb_bytes(&f), &entry);

		if (err || r.bad)
			return -EBADMSG;
		if (!cid_is_set(&entry.cid))
			continue;
		if (entry.cancel)
			walk->summary.cancels++;
		else
			walk->summary.wants++;
		if (walk->visitor && walk->visitor->on_entry)
			walk->visitor->on_entry(walk->ctx, &entry);
	}
	return r.bad ? -EBADMSG : 0;
}

static void visit_block(struct walk *walk, const struct bitswap_prefix *prefix, struct bytes data)
{
	walk->summary.blocks++;
	if (walk->visitor && walk->visitor->on_block)
		walk->visitor->on_block(walk->ctx, prefix, data);
}

static int walk_presence(struct walk *walk, struct bytes in)
{
	struct cid cid;
	bool have;

	if (read_presence(in, &cid, &have))
		return -EBADMSG;
	if (!cid_is_set(&cid))
		return 0;
	walk->summary.presences++;
	if (walk->visitor && walk->visitor->on_presence)
		walk->visitor->on_presence(walk->ctx, &cid, have);
	return 0;
}

static int walk_message(struct walk *walk, struct bytes message)
{
	static const struct bitswap_prefix v0 = { 0, CODEC_DAG_PB, HASH_SHA2_256, 32 };
	struct pb_reader r = pb_over(message);
	struct pb_field f;
	struct bitswap_prefix prefix;
	struct bytes data;
	int err = 0;

	while (!err && pb_next(&r, &f)) {
		switch (f.number) {
		case 1:
			err = walk_wantlist(walk, pb_bytes(&f));
			break;
		case 2:
			data = pb_bytes(&f);
			if (!r.bad)
				visit_block(walk, &v0, data);
			break;
		case 3:
			err = read_block(pb_bytes(&f), &prefix, &data);
			if (!err && !r.bad)
				visit_block(walk, &prefix, data);
			break;
		case 4:
			err = walk_presence(walk, pb_bytes(&f));
			break;
		case 5:
			walk->summary.pending_bytes = (int32_t)(uint32_t)pb_u64(&f);
			break;
		}
	}
	return r.bad ? -EBADMSG : err;
}

int bitswap_msg_check(struct bytes message, struct bitswap_summary *summary)
{
	struct walk walk = { 0 };
	int err = walk_message(&walk, message);

	*summary = walk.summary;
	return err;
}

void bitswap_msg_walk(struct bytes message, const struct bitswap_visitor *visitor, void *ctx)
{
	struct walk walk = { .visitor = visitor, .ctx = ctx };

	walk_message(&walk, message);
}

int bitswap_msg_name(const struct bitswap_prefix *prefix, struct bytes data, struct cid *cid)
{
	uint8_t digest[MULTIHASH_DIGEST_MAX];
	uint8_t head[2 * UVARINT_MAX_LEN + MULTIHASH_DIGEST_MAX];
	size_t len;

	if (prefix->hash_code == HASH_IDENTITY && data.len != prefix->digest_len)
		return -EBADMSG;
	if (hash_digest(prefix->hash_code, data, digest, prefix->digest_len) < 0)
		return -EBADMSG;
	len = uvarint_encode(head, prefix->hash_code);
	len += uvarint_encode(head + len, prefix->digest_len);
	memcpy(head + len, digest, prefix->digest_len);
	len += prefix->digest_len;
	return cid_make(cid, prefix->version, prefix->codec, bytes_of(head, len)) ? -EBADMSG : 0;
}

void bitswap_msg_add_entry(struct buf *entries, const struct bitswap_entry *entry)
{
	struct bytes cid = cid_bytes(&entry->cid);
	bool want = !entry->cancel;
	size_t len = pb_len_bytes(1, cid.len);

	if (want && entry->priority)
		len += pb_len_u64(2, (uint64_t)(int64_t)entry->priority);
	len += entry->cancel ? pb_len_u64(3, 1) : 0;
	len += want && entry->have ? pb_len_u64(4, 1) : 0;
	len += want && entry->send_dont_have ? pb_len_u64(5, 1) : 0;

	pb_put_head(entries, 1, len);
	pb_put_bytes(entries, 1, cid);
	if (want && entry->priority)
		pb_put_u64(entries, 2, (uint64_t)(int64_t)entry->priority);
	if (entry->cancel)
		pb_put_u64(entries, 3, 1);
	if (want && entry->have)
		pb_put_u64(entries, 4, 1);
	if (want && entry->send_dont_have)
		pb_put_u64(entries, 5, 1);
}

void bitswap_msg_add_wantlist(struct buf *out, struct bytes entries, bool full)
{
	size_t len = entries.len + (full ? pb_len_u64(2, 1) : 0);

	buf_add_uvarint(out, pb_len_bytes(1, len));
	pb_put_head(out, 1, len);
	buf_add(out, entries);
	if (full)
		pb_put_u64(out, 2, 1);
}

void bitswap_msg_add_presence(struct buf *presences, const struct cid *cid, bool have)
{
	struct bytes name = cid_bytes(cid);

	pb_put_head(presences, 4, pb_len_bytes(1, name.len) + (have ? 0 : pb_len_u64(2, 1)));
	pb_put_bytes(presences, 1, name);
	if (!have)
		pb_put_u64(presences, 2, 1);
}

static size_t put_prefix(uint8_t out[static PREFIX_MAX], const struct cid *cid)
{
	struct multihash hash = cid_hash(cid);
	size_t len = uvarint_encode(out, cid->version);

	len += uvarint_encode(out + len, cid->codec);
	len += uvarint_encode(out + len, hash.code);
	return len + uvarint_encode(out + len, hash.digest.len);
}

size_t bitswap_msg_block_len(enum bitswap_version version, const struct cid *cid, size_t len)
{
	uint8_t prefix[PREFIX_MAX];

	if (version == BITSWAP_1_0)
		return pb_len_bytes(2, len);
	return pb_len_bytes(3, pb_len_bytes(1, put_prefix(prefix, cid)) + pb_len_bytes(2, len));
}

void bitswap_msg_add_block(struct buf *out, enum bitswap_version version, const struct cid *cid,
			   struct bytes data)
{
	uint8_t prefix[PREFIX_MAX];

	if (version == BITSWAP_1_0) {
		pb_put_bytes(out, 2, data);
		return;
	}
	struct bytes head = bytes_of(prefix, put_prefix(prefix, cid));

	pb_put_head(out, 3, pb_len_bytes(1, head.len) + pb_len_bytes(2, data.len));
	pb_put_bytes(out, 1, head);
	pb_put_bytes(out, 2, data);
}

void bitswap_msg_add_response(struct buf *out, enum bitswap_version version, struct bytes presences,
			      int32_t pending_bytes, size_t blocks_len)
{
	bool news = version == BITSWAP_1_2;
	size_t len = WANTLIST_EMPTY_LEN + blocks_len;

	if (news)
		len += presences.len + (pending_bytes ? pb_len_u64(5, (uint64_t)pending_bytes) : 0);
	buf_reserve(out, UVARINT_MAX_LEN + len);
	buf_add_uvarint(out, len);
	pb_put_bytes(out, 1, bytes_of(NULL, 0));
	if (!news)
		return;
	buf_add(out, presences);
	if (pending_bytes)
		pb_put_u64(out, 5, (uint64_t)pending_bytes);
}

/* Bitswap messages, all versions of the ladder (wire/exchange section 1). Pure; any thread.
 *
 * A message is never turned into a structure: it is checked as a whole, then walked by a visitor,
 * so that what a peer sends costs no memory beside its own bytes. */
#ifndef EXCHANGE_BITSWAP_MSG_H
#define EXCHANGE_BITSWAP_MSG_H

#include "net/wire/cid.h"

#define BITSWAP_MESSAGE_MAX (4u << 20) /* go-msgio's limit: above it the stream is reset */

/* What a stream's protocol name means. */
enum bitswap_version {
	BITSWAP_UNKNOWN,
	BITSWAP_1_0, /* "/ipfs/bitswap" and 1.0.0: field `blocks`, every block is a CIDv0 */
	BITSWAP_1_1, /* prefixes, so any CID; no HAVE or DONT_HAVE */
	BITSWAP_1_2,
};

#define BITSWAP_PROTOCOLS 4
/* The ladder, best first. */
extern const char *const bitswap_protocols[BITSWAP_PROTOCOLS];
enum bitswap_version bitswap_msg_version(const char *protocol);

struct bitswap_entry {
	struct cid cid;
	int32_t priority; /* higher first */
	bool cancel;
	bool have; /* want-have, else want-block */
	bool send_dont_have;
};

/* A CID without its digest: how a block is to be hashed. */
struct bitswap_prefix {
	uint8_t version;
	uint64_t codec, hash_code;
	size_t digest_len;
};

/* What a message holds. */
struct bitswap_summary {
	size_t wants, cancels, blocks, presences;
	bool full;
	int32_t pending_bytes;
};

/* Members may be NULL. CIDs over CID_MAX bytes are left out. data borrows from the message. */
struct bitswap_visitor {
	void (*on_entry)(void *ctx, const struct bitswap_entry *entry);
	void (*on_block)(void *ctx, const struct bitswap_prefix *prefix, struct bytes data);
	void (*on_presence)(void *ctx, const struct cid *cid, bool have);
};

/* 0 and *summary; -EBADMSG when anything in it is malformed, names no CID, or has a prefix of an
 * unknown hash: then nothing of the message counts and its stream is to be reset. */
int bitswap_msg_check(struct bytes message, struct bitswap_summary *summary);
/* Visit a message that bitswap_msg_check() accepted, in wire order. */
void bitswap_msg_walk(struct bytes message, const struct bitswap_visitor *visitor, void *ctx);

/* The CID of data under prefix: hashes. 0, -EBADMSG when the two do not fit (identity of another
 * length). */
int bitswap_msg_name(const struct bitswap_prefix *prefix, struct bytes data, struct cid *cid);

/* ---- writing: parts are collected, then framed ---- */

/* Append one element of Wantlist.entries. A cancel has neither type nor priority on the wire. */
void bitswap_msg_add_entry(struct buf *entries, const struct bitswap_entry *entry);
/* Append uv(len) | message of these entries. */
void bitswap_msg_add_wantlist(struct buf *out, struct bytes entries, bool full);

/* Append one block presence (BITSWAP_1_2). */
void bitswap_msg_add_presence(struct buf *presences, const struct cid *cid, bool have);
/* Append one block in the form of this version; its length is bitswap_msg_block_len(). */
void bitswap_msg_add_block(struct buf *out, enum bitswap_version version, const struct cid *cid,
			   struct bytes data);
size_t bitswap_msg_block_len(enum bitswap_version version, const struct cid *cid, size_t len);
/* Append the start of a response: uv(len), then the empty wantlist Go expects, presences and
 * pendingBytes (both only for BITSWAP_1_2). blocks_len bytes of blocks must follow. */
void bitswap_msg_add_response(struct buf *out, enum bitswap_version version, struct bytes presences,
			      int32_t pending_bytes, size_t blocks_len);

#endif

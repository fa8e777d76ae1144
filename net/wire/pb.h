/* Protobuf: zero-copy reader and writer of the wire format. Groups (types 3, 4) and types 6, 7 and
 * field number 0 are refused; unknown fields are the caller's to ignore. No recursion. Pure; any
 * thread.
 *
 *	struct pb_reader r = pb_over(message);
 *	struct pb_field f;
 *	while (pb_next(&r, &f))
 *		switch (f.number) { case 1: ... pb_u64(&f) ... pb_bytes(&f) ... }
 *	if (r.bad) return -EBADMSG;
 */
#ifndef NET_WIRE_PB_H
#define NET_WIRE_PB_H

#include "net/base/bytes.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_reader {
	struct cursor c;
	bool bad;
};

struct pb_field {
	uint32_t number;
	enum pb_type type;
	uint64_t value;	    /* of varints and fixed */
	struct bytes bytes; /* of PB_BYTES, borrowed */
	struct pb_reader *reader;
};

struct pb_reader pb_over(struct bytes message);
/* Next field; false at the end or when the bytes are bad (then r->bad). */
bool pb_next(struct pb_reader *r, struct pb_field *field);
/* The value as that type; a field of another wire type makes the reader bad and yields 0/empty. */
uint64_t pb_u64(struct pb_field *field);
bool pb_bool(struct pb_field *field);
struct bytes pb_bytes(struct pb_field *field);
uint32_t pb_fixed32(struct pb_field *field);
/* A repeated integer that may be packed: calls add(ctx, value) for each. add returns false to
 * refuse. */
bool pb_repeated(struct pb_field *field, bool (*add)(void *ctx, uint64_t value), void *ctx);
/* Protobuf varint: up to 10 bytes, over-long accepted. Bytes used, 0 need more, -EBADMSG. */
ssize_t pb_varint_decode(uint64_t *value, struct bytes in);

/* Writers emit canonical (minimal) varints, always, even for zero or empty values. */
void pb_put_u64(struct buf *out, uint32_t number, uint64_t value);
void pb_put_bytes(struct buf *out, uint32_t number, struct bytes value);
void pb_put_str(struct buf *out, uint32_t number, const char *text);
void pb_put_fixed32(struct buf *out, uint32_t number, uint32_t value);
/* Tag and length of a nested message whose length is known; its bytes follow. */
void pb_put_head(struct buf *out, uint32_t number, size_t len);
size_t pb_len_u64(uint32_t number, uint64_t value);
size_t pb_len_bytes(uint32_t number, size_t len);

#endif

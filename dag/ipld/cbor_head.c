/* The heads of CBOR items: type and argument, read strictly (shortest form) and written. Pure;
 * any thread. */
/* A head:
 *   major  3 bits: 0 uint  1 negative  2 bytes  3 text  4 array of n  5 map of n pairs  6 tag
 *          7 false, true, null, floats
 *   info   5 bits: 0..23 the argument itself; 24, 25, 26, 27: it follows in 1, 2, 4, 8 bytes */
#include "dag/ipld/cbor_head.h"

#include "net/base/err.h"

bool cbor_head_read(struct cursor *c, struct cbor_head *head)
{
	uint8_t first = cursor_u8(c);

	head->major = first >> 5;
	head->info = first & 31;
	switch (head->info) {
	case 24:
		head->arg = cursor_u8(c);
		head->shortest = head->arg >= 24;
		break;
	case 25:
		head->arg = cursor_be16(c);
		head->shortest = head->arg > UINT8_MAX;
		break;
	case 26:
		head->arg = cursor_be32(c);
		head->shortest = head->arg > UINT16_MAX;
		break;
	case 27:
		head->arg = cursor_be64(c);
		head->shortest = head->arg > UINT32_MAX;
		break;
	default:
		head->arg = head->info;
		head->shortest = true;
		return !c->bad && head->info < 24;
	}
	if (head->major == CBOR_SIMPLE)
		head->shortest = true;
	return !c->bad;
}

bool cbor_simple_allowed(const struct cbor_head *head)
{
	return (head->info >= CBOR_FALSE && head->info <= CBOR_NULL) ||
	       (head->info >= CBOR_FLOAT16 && head->info <= CBOR_FLOAT64);
}

int cbor_link_read(struct cursor *c, bool shortest, struct cid *cid)
{
	struct cbor_head head;

	if (!cbor_head_read(c, &head) || head.major != CBOR_BYTES || head.arg > cursor_left(c) ||
	    (shortest && !head.shortest))
		return -EBADMSG;
	struct bytes in = cursor_take(c, (size_t)head.arg);

	if (in.len < 1 || in.at[0] != 0)
		return -EBADMSG;
	return cid_from_bytes(cid, bytes_skip(in, 1));
}

void cbor_head_put(struct buf *out, enum cbor_major major, uint64_t arg)
{
	uint8_t top = (uint8_t)(major << 5);

	if (arg < 24) {
		buf_add_u8(out, (uint8_t)(top | arg));
	} else if (arg <= UINT8_MAX) {
		buf_add_u8(out, top | 24);
		buf_add_u8(out, (uint8_t)arg);
	} else if (arg <= UINT16_MAX) {
		buf_add_u8(out, top | 25);
		buf_add_be16(out, (uint16_t)arg);
	} else if (arg <= UINT32_MAX) {
		buf_add_u8(out, top | 26);
		buf_add_be32(out, (uint32_t)arg);
	} else {
		buf_add_u8(out, top | 27);
		buf_add_be32(out, (uint32_t)(arg >> 32));
		buf_add_be32(out, (uint32_t)arg);
	}
}

void cbor_link_put(struct buf *out, struct bytes cid)
{
	cbor_head_put(out, CBOR_TAG, CBOR_TAG_CID);
	cbor_head_put(out, CBOR_BYTES, cid.len + 1);
	buf_add_u8(out, 0);
	buf_add(out, cid);
}

/* head: 3 bits major, 5 bits info (0..23 the argument itself; 24, 25, 26, 27: 1, 2, 4, 8 bytes
 * follow) 0 uint  1 negative  2 bytes  3 text  4 array of n  5 map of n pairs  6 tag  7 false,
 * true, null, floats */
#include "dag/cbor_links.h"

#include "net/base/err.h"

enum { UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };
enum { TAG_CID = 42, SIMPLE_FALSE = 20, SIMPLE_NULL = 22, INFO_FLOAT16 = 25, INFO_FLOAT64 = 27 };

struct head {
	unsigned major, info;
	uint64_t arg;
};

static bool read_head(struct cursor *c, struct head *head)
{
	uint8_t first = cursor_u8(c);

	head->major = first >> 5;
	head->info = first & 31;
	switch (head->info) {
	case 24:
		head->arg = cursor_u8(c);
		break;
	case 25:
		head->arg = cursor_be16(c);
		break;
	case 26:
		head->arg = cursor_be32(c);
		break;
	case 27:
		head->arg = cursor_be64(c);
		break;
	default:
		head->arg = head->info;
		return !c->bad && head->info < 24;
	}
	return !c->bad;
}

/* The byte string below tag 42: 00, then the CID. */
static int read_link(struct cursor *c, struct cid *cid)
{
	struct head head;

	if (!read_head(c, &head) || head.major != BYTES || head.arg > cursor_left(c))
		return -EBADMSG;
	struct bytes in = cursor_take(c, (size_t)head.arg);

	if (in.len < 1 || in.at[0] != 0)
		return -EBADMSG;
	return cid_from_bytes(cid, bytes_skip(in, 1));
}

static bool simple_allowed(const struct head *head)
{
	return (head->info >= SIMPLE_FALSE && head->info <= SIMPLE_NULL) ||
	       (head->info >= INFO_FLOAT16 && head->info <= INFO_FLOAT64);
}

/* What follows the head of a string, number or link. */
static int read_scalar(struct cursor *c, const struct head *head,
		       int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	struct cid cid;

	switch (head->major) {
	case BYTES:
	case TEXT:
		if (head->arg > cursor_left(c))
			return -EBADMSG;
		cursor_take(c, (size_t)head->arg);
		return 0;
	case TAG:
		if (head->arg != TAG_CID || read_link(c, &cid))
			return -EBADMSG;
		return each(ctx, &cid);
	case SIMPLE:
		return simple_allowed(head) ? 0 : -EBADMSG;
	default:
		return 0;
	}
}

int cbor_links(struct bytes block, int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	struct {
		uint64_t left; /* items to come; in a map keys and values alike */
		bool map;
	} stack[CBOR_DEPTH_MAX];
	struct cursor c = cursor_over(block);
	unsigned depth = 0;

	do {
		bool key = depth && stack[depth - 1].map && stack[depth - 1].left % 2 == 0;
		struct head head;

		if (!read_head(&c, &head) || (key && head.major != TEXT))
			return -EBADMSG;
		if (depth)
			stack[depth - 1].left--;
		if (head.major == ARRAY || head.major == MAP) {
			/* Every item needs a byte: a count beyond that is a lie. */
			if (depth == CBOR_DEPTH_MAX || head.arg > cursor_left(&c))
				return -EBADMSG;
			stack[depth].map = head.major == MAP;
			stack[depth++].left = head.major == MAP ? head.arg * 2 : head.arg;
		} else {
			int err = read_scalar(&c, &head, each, ctx);

			if (err)
				return err;
		}
		while (depth && stack[depth - 1].left == 0)
			depth--;
	} while (depth);
	return cursor_left(&c) ? -EBADMSG : 0;
}

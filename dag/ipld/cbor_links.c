/* The links of a CBOR block, without building a tree: one pass over the heads, with containers
 * counted down on a stack. Pure; any thread. */
#include "dag/ipld/cbor_links.h"

#include "dag/ipld/cbor_head.h"
#include "net/base/err.h"

/* What follows the head of a string, number or link. */
static int read_scalar(struct cursor *c, const struct cbor_head *head,
		       int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	struct cid cid;

	switch (head->major) {
	case CBOR_BYTES:
	case CBOR_TEXT:
		if (head->arg > cursor_left(c))
			return -EBADMSG;
		cursor_take(c, (size_t)head->arg);
		return 0;
	case CBOR_TAG:
		if (head->arg != CBOR_TAG_CID || cbor_link_read(c, false, &cid))
			return -EBADMSG;
		return each(ctx, &cid);
	case CBOR_SIMPLE:
		return cbor_simple_allowed(head) ? 0 : -EBADMSG;
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
		struct cbor_head head;

		if (!cbor_head_read(&c, &head) || (key && head.major != CBOR_TEXT))
			return -EBADMSG;
		if (depth)
			stack[depth - 1].left--;
		if (head.major == CBOR_ARRAY || head.major == CBOR_MAP) {
			/* Every item needs a byte: a greater count is false. */
			if (depth == CBOR_DEPTH_MAX || head.arg > cursor_left(&c))
				return -EBADMSG;
			stack[depth].map = head.major == CBOR_MAP;
			stack[depth++].left = head.major == CBOR_MAP ? head.arg * 2 : head.arg;
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

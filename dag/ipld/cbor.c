/* DAG-CBOR to and from trees. One loop each way, with containers on a stack instead of recursion,
 * so that deep nesting costs no C stack. Pure; any thread. */
#include "dag/ipld/cbor.h"

#include "dag/ipld/cbor_head.h"
#include "net/base/err.h"

#include <math.h>
#include <string.h>

enum { HALF_MANTISSA_BITS = 10, HALF_EXPONENT_MAX = 31, HALF_BIAS = 15 };

struct decoder {
	struct ipld *tree;
	struct cursor c;
	unsigned flags;
	unsigned depth;
	struct {
		size_t index;
		uint64_t left; /* items to come; in a map keys and values alike */
		uint32_t count;
		bool map;
		struct bytes last; /* key, borrowed from the block */
	} stack[IPLD_DEPTH_MAX];
};

int cbor_key_order(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return bytes_cmp(a, b);
}

static double half_to_double(uint16_t half)
{
	int exponent = (half >> HALF_MANTISSA_BITS) & HALF_EXPONENT_MAX;
	double value = half & ((1 << HALF_MANTISSA_BITS) - 1);

	if (exponent == HALF_EXPONENT_MAX)
		return HUGE_VAL;
	if (exponent)
		value = ldexp(value + (1 << HALF_MANTISSA_BITS),
			      exponent - HALF_BIAS - HALF_MANTISSA_BITS);
	else
		value = ldexp(value, 1 - HALF_BIAS - HALF_MANTISSA_BITS);
	return half & 0x8000 ? -value : value;
}

static double float_of(const struct cbor_head *head)
{
	uint32_t bits = (uint32_t)head->arg;
	double value;
	float single;

	switch (head->info) {
	case CBOR_FLOAT16:
		return half_to_double((uint16_t)head->arg);
	case CBOR_FLOAT32:
		memcpy(&single, &bits, sizeof(single));
		return single;
	default:
		memcpy(&value, &head->arg, sizeof(value));
		return value;
	}
}

static int read_simple(struct decoder *d, const struct cbor_head *head)
{
	struct ipld_node node = { .kind = IPLD_NULL };

	if (!cbor_simple_allowed(head))
		return -EBADMSG;
	if (head->info == CBOR_FALSE || head->info == CBOR_TRUE) {
		node.kind = IPLD_BOOL;
		node.yes = head->info == CBOR_TRUE;
	} else if (head->info != CBOR_NULL) {
		node.kind = IPLD_FLOAT;
		node.real = float_of(head);
		if (!isfinite(node.real) ||
		    ((d->flags & CBOR_STRICT) && head->info != CBOR_FLOAT64))
			return -EBADMSG;
	}
	return ipld_put(d->tree, node);
}

static int read_string(struct decoder *d, const struct cbor_head *head, bool key)
{
	bool strict = d->flags & CBOR_STRICT;
	struct bytes text;

	if (head->arg > cursor_left(&d->c))
		return -EBADMSG;
	text = cursor_take(&d->c, (size_t)head->arg);
	if (head->major == CBOR_BYTES)
		return ipld_put_text(d->tree, IPLD_BYTES, text);
	if (strict && !ipld_utf8(text))
		return -EBADMSG;
	if (key) {
		struct bytes *last = &d->stack[d->depth - 1].last;

		if (strict && d->stack[d->depth - 1].count && cbor_key_order(*last, text) >= 0)
			return -EBADMSG;
		*last = text;
		d->stack[d->depth - 1].count++;
	}
	return ipld_put_text(d->tree, IPLD_TEXT, text);
}

static int read_tag(struct decoder *d, const struct cbor_head *head)
{
	struct cid cid;

	if (head->arg != CBOR_TAG_CID || (d->flags & CBOR_NO_LINKS) ||
	    cbor_link_read(&d->c, d->flags & CBOR_STRICT, &cid))
		return -EBADMSG;
	return ipld_put_text(d->tree, IPLD_LINK, cid_bytes(&cid));
}

/* Every item needs a byte: a count beyond what is left is false. */
static int read_container(struct decoder *d, const struct cbor_head *head)
{
	bool map = head->major == CBOR_MAP;
	ssize_t index;

	if (d->depth == IPLD_DEPTH_MAX || head->arg > cursor_left(&d->c) / (map ? 2 : 1))
		return -EBADMSG;
	index = ipld_open(d->tree, map ? IPLD_MAP : IPLD_LIST);
	if (index < 0)
		return (int)index;
	d->stack[d->depth].index = (size_t)index;
	d->stack[d->depth].left = map ? head->arg * 2 : head->arg;
	d->stack[d->depth].count = map ? 0 : (uint32_t)head->arg;
	d->stack[d->depth++].map = map;
	return 0;
}

static int read_item(struct decoder *d)
{
	bool key = d->depth && d->stack[d->depth - 1].map && d->stack[d->depth - 1].left % 2 == 0;
	struct cbor_head head;

	if (!cbor_head_read(&d->c, &head) || (key && head.major != CBOR_TEXT) ||
	    ((d->flags & CBOR_STRICT) && !head.shortest))
		return -EBADMSG;
	if (d->depth)
		d->stack[d->depth - 1].left--;
	switch (head.major) {
	case CBOR_UINT:
	case CBOR_NEGATIVE:
		return ipld_put(d->tree,
				(struct ipld_node){ .kind = IPLD_INT,
						    .negative = head.major == CBOR_NEGATIVE,
						    .number = head.arg });
	case CBOR_BYTES:
	case CBOR_TEXT:
		return read_string(d, &head, key);
	case CBOR_TAG:
		return read_tag(d, &head);
	case CBOR_SIMPLE:
		return read_simple(d, &head);
	default:
		return read_container(d, &head);
	}
}

int cbor_decode(struct ipld *tree, struct bytes block, unsigned flags)
{
	struct decoder d = { .tree = tree, .c = cursor_over(block), .flags = flags };
	int err;

	do {
		err = read_item(&d);
		while (!err && d.depth && d.stack[d.depth - 1].left == 0) {
			d.depth--;
			err = ipld_close(tree, d.stack[d.depth].index, d.stack[d.depth].count);
		}
	} while (!err && d.depth);
	if (!err && cursor_left(&d.c))
		err = -EBADMSG;
	if (err)
		ipld_release(tree);
	return err;
}

/* ---- encoding ---- */

static void put_float(struct buf *out, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	buf_add_u8(out, (uint8_t)(CBOR_SIMPLE << 5 | CBOR_FLOAT64));
	buf_add_be32(out, (uint32_t)(bits >> 32));
	buf_add_be32(out, (uint32_t)bits);
}

static void put_string(struct buf *out, const struct ipld *tree, const struct ipld_node *node)
{
	struct bytes text = ipld_text(tree, node);

	if (node->kind == IPLD_LINK) {
		cbor_link_put(out, text);
		return;
	}
	cbor_head_put(out, node->kind == IPLD_TEXT ? CBOR_TEXT : CBOR_BYTES, text.len);
	buf_add(out, text);
}

static void put_node(struct buf *out, const struct ipld *tree, const struct ipld_node *node)
{
	switch ((enum ipld_kind)node->kind) {
	case IPLD_NULL:
		cbor_head_put(out, CBOR_SIMPLE, CBOR_NULL);
		break;
	case IPLD_BOOL:
		cbor_head_put(out, CBOR_SIMPLE, node->yes ? CBOR_TRUE : CBOR_FALSE);
		break;
	case IPLD_INT:
		cbor_head_put(out, node->negative ? CBOR_NEGATIVE : CBOR_UINT, node->number);
		break;
	case IPLD_FLOAT:
		put_float(out, node->real);
		break;
	case IPLD_TEXT:
	case IPLD_BYTES:
	case IPLD_LINK:
		put_string(out, tree, node);
		break;
	case IPLD_LIST:
		cbor_head_put(out, CBOR_ARRAY, node->count);
		break;
	case IPLD_MAP:
		cbor_head_put(out, CBOR_MAP, node->count);
		break;
	}
}

int cbor_encode(const struct ipld *tree, const struct ipld_node *node, unsigned flags,
		struct buf *out)
{
	struct ipld_walk walk = { .tree = tree, .root = node, .order = cbor_key_order };
	struct ipld_event event;
	int err = 0;

	while (!err && ipld_next(&walk, &event)) {
		if (event.node->kind == IPLD_LINK && (flags & CBOR_NO_LINKS))
			err = -EINVAL;
		else if (event.node->kind == IPLD_TEXT && (flags & CBOR_STRICT) &&
			 !ipld_utf8(ipld_text(tree, event.node)))
			err = -EINVAL;
		else if (!event.close)
			put_node(out, tree, event.node);
	}
	ipld_walk_release(&walk);
	return err;
}

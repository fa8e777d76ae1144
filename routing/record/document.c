/* A strict reader of the DAG-CBOR maps inside name records. Only the fields at the top are told
 * to the caller; what is nested below them is checked and passed over. Depth and lengths are
 * bounded. Pure; any thread. */
#include "routing/record/document.h"

#include "net/wire/cid.h"

#include <errno.h>

/* An item begins with one byte, major * 32 + info; info 24..27: the number follows in 1, 2, 4 or 8
 * bytes, big-endian. */
enum {
	MAJOR_UINT,
	MAJOR_NEGATIVE,
	MAJOR_BYTES,
	MAJOR_TEXT,
	MAJOR_LIST,
	MAJOR_MAP,
	MAJOR_TAG,
	MAJOR_SIMPLE
};
enum { INFO_8 = 24, INFO_16, INFO_32, INFO_64 };

#define TAG_LINK 42
#define SIMPLE_FALSE 20
#define SIMPLE_NULL 22
#define FLOAT_EXPONENT 0x7ff

struct head {
	unsigned major, info;
	uint64_t number;
};

static void read_value(struct cursor *c, unsigned depth, struct document_value *value);

/* The head of a CBOR item, only in its shortest form. */
static struct head read_head(struct cursor *c)
{
	uint8_t first = cursor_u8(c);
	struct head head = { .major = first >> 5, .info = first & 31 };
	uint64_t least = 0;

	switch (head.info) {
	case INFO_8:
		head.number = cursor_u8(c);
		least = 24;
		break;
	case INFO_16:
		head.number = cursor_be16(c);
		least = 1u << 8;
		break;
	case INFO_32:
		head.number = cursor_be32(c);
		least = 1u << 16;
		break;
	case INFO_64:
		head.number = cursor_be64(c);
		least = 1ull << 32;
		break;
	default:
		head.number = head.info;
		if (head.info > INFO_64)
			c->bad = true;
	}
	/* The bytes of a float are no number. */
	if (head.major != MAJOR_SIMPLE && head.number < least)
		c->bad = true;
	return head;
}

static struct bytes document_take(struct cursor *c, uint64_t len)
{
	if (len > cursor_left(c)) {
		c->bad = true;
		return bytes_of(NULL, 0);
	}
	return cursor_take(c, (size_t)len);
}

static int key_order(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return bytes_cmp(a, b);
}

/* The fields of a map whose head was read. */
static int read_fields(struct cursor *c, uint64_t count, unsigned depth, document_field_fn *each,
		       void *ctx)
{
	struct bytes last = { 0 };
	int err = 0;

	for (uint64_t i = 0; i < count && !c->bad && !err; i++) {
		struct head head = read_head(c);
		struct document_value value = { .kind = DOCUMENT_OTHER };
		struct bytes key = document_take(c, head.number);

		if (head.major != MAJOR_TEXT || (i > 0 && key_order(last, key) >= 0))
			c->bad = true;
		last = key;
		read_value(c, depth, &value);
		if (!c->bad && each)
			err = each(ctx, key, &value);
	}
	return err;
}

static void read_link(struct cursor *c, uint64_t tag)
{
	struct head head = read_head(c);
	struct bytes bytes = document_take(c, head.number);
	struct cid cid;

	if (tag != TAG_LINK || head.major != MAJOR_BYTES || bytes.len == 0 || bytes.at[0] != 0 ||
	    cid_from_bytes(&cid, bytes_skip(bytes, 1)))
		c->bad = true;
}

static void check_simple(struct cursor *c, const struct head *head)
{
	bool plain = head->info >= SIMPLE_FALSE && head->info <= SIMPLE_NULL;
	bool finite =
		head->info == INFO_64 && (head->number >> 52 & FLOAT_EXPONENT) != FLOAT_EXPONENT;

	if (!plain && !finite)
		c->bad = true;
}

static void read_list(struct cursor *c, uint64_t count, unsigned depth)
{
	struct document_value value;

	for (uint64_t i = 0; i < count && !c->bad; i++)
		read_value(c, depth, &value);
}

/* Reads one item and what is nested in it. Only the kinds that a caller may want are told. */
static void read_value(struct cursor *c, unsigned depth, struct document_value *value)
{
	struct head head = read_head(c);
	bool nested = head.major == MAJOR_LIST || head.major == MAJOR_MAP;

	*value = (struct document_value){ .kind = DOCUMENT_OTHER, .number = head.number };
	if (c->bad || (nested && depth == 0)) {
		c->bad = true;
		return;
	}
	switch (head.major) {
	case MAJOR_UINT:
		value->kind = DOCUMENT_UINT;
		break;
	case MAJOR_NEGATIVE:
		value->kind = DOCUMENT_NEGATIVE;
		break;
	case MAJOR_BYTES:
	case MAJOR_TEXT:
		value->kind = head.major == MAJOR_BYTES ? DOCUMENT_BYTES : DOCUMENT_TEXT;
		value->bytes = document_take(c, head.number);
		break;
	case MAJOR_LIST:
		read_list(c, head.number, depth - 1);
		break;
	case MAJOR_MAP:
		read_fields(c, head.number, depth - 1, NULL, NULL);
		break;
	case MAJOR_TAG:
		read_link(c, head.number);
		break;
	default:
		check_simple(c, &head);
	}
}

int document_each(struct bytes in, document_field_fn *each, void *ctx)
{
	struct cursor c = cursor_over(in);
	struct head head = read_head(&c);
	int err;

	if (c.bad || head.major != MAJOR_MAP)
		return -EBADMSG;
	err = read_fields(&c, head.number, DOCUMENT_DEPTH_MAX, each, ctx);
	if (err)
		return err;
	return c.bad || cursor_left(&c) > 0 ? -EBADMSG : 0;
}

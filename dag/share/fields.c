/* Fields of canonical DAG-CBOR without a tree: each read takes one head, judges type and form, and
 * fails through the cursor. Pure; any thread. */
#include "dag/share/fields.h"

#include "dag/ipld/cbor_head.h"
#include "dag/ipld/ipld.h"

#include <string.h>

#define PEN_LEN 8

/* ---- reading ---- */

/* The argument of a head of this type; 0 and bad for any other. */
static uint64_t take_head(struct cursor *c, enum cbor_major major)
{
	struct cbor_head head;

	if (c->bad)
		return 0;
	if (!cbor_head_read(c, &head) || head.major != major || !head.shortest) {
		c->bad = true;
		return 0;
	}
	return head.arg;
}

/* The type of the next item, or -1. */
static int next_major(const struct cursor *c)
{
	return c->bad || c->at == c->end ? -1 : c->at[0] >> 5;
}

uint64_t field_uint(struct cursor *c)
{
	return take_head(c, CBOR_UINT);
}

uint64_t field_uint_to(struct cursor *c, uint64_t limit)
{
	uint64_t value = field_uint(c);

	if (value > limit) {
		c->bad = true;
		return 0;
	}
	return value;
}

int64_t field_int(struct cursor *c)
{
	bool negative = next_major(c) == CBOR_NEGATIVE;
	uint64_t value = take_head(c, negative ? CBOR_NEGATIVE : CBOR_UINT);

	if (value > INT64_MAX) {
		c->bad = true;
		return 0;
	}
	return negative ? -1 - (int64_t)value : (int64_t)value;
}

static struct bytes take_string(struct cursor *c, enum cbor_major major)
{
	uint64_t len = take_head(c, major);

	if (len > cursor_left(c))
		c->bad = true;
	return c->bad ? bytes_of(NULL, 0) : cursor_take(c, (size_t)len);
}

struct bytes field_bytes(struct cursor *c)
{
	return take_string(c, CBOR_BYTES);
}

struct bytes field_text(struct cursor *c)
{
	struct bytes text = take_string(c, CBOR_TEXT);

	if (!ipld_utf8(text))
		c->bad = true;
	return text;
}

size_t field_list(struct cursor *c)
{
	uint64_t count = take_head(c, CBOR_ARRAY);

	if (count > cursor_left(c))
		c->bad = true;
	return c->bad ? 0 : (size_t)count;
}

void field_list_of(struct cursor *c, size_t count)
{
	if (field_list(c) != count)
		c->bad = true;
}

size_t field_map(struct cursor *c)
{
	uint64_t count = take_head(c, CBOR_MAP);

	if (count > cursor_left(c) / 2)
		c->bad = true;
	return c->bad ? 0 : (size_t)count;
}

void field_key(struct cursor *c, const char *key)
{
	if (!bytes_equal(take_string(c, CBOR_TEXT), bytes_str(key)))
		c->bad = true;
}

bool field_null(struct cursor *c)
{
	if (c->bad || c->at == c->end || c->at[0] != (CBOR_SIMPLE << 5 | CBOR_NULL))
		return false;
	cursor_u8(c);
	return true;
}

void field_link(struct cursor *c, struct cid *cid)
{
	*cid = (struct cid){ 0 };
	if (take_head(c, CBOR_TAG) != CBOR_TAG_CID || c->bad)
		c->bad = true;
	else if (cbor_link_read(c, true, cid) || cid_allowed(cid))
		c->bad = true;
	if (c->bad)
		*cid = (struct cid){ 0 };
}

void field_node_link(struct cursor *c, struct cid *cid)
{
	field_link(c, cid);
	if (!field_is_node_cid(cid)) {
		c->bad = true;
		*cid = (struct cid){ 0 };
	}
}

uint64_t field_pen(struct cursor *c)
{
	struct bytes pen = field_bytes(c);
	struct cursor in = cursor_over(pen);

	if (pen.len != PEN_LEN)
		c->bad = true;
	return c->bad ? 0 : cursor_be64(&in);
}

/* ---- writing ---- */

void field_put_uint(struct buf *out, uint64_t value)
{
	cbor_head_put(out, CBOR_UINT, value);
}

void field_put_int(struct buf *out, int64_t value)
{
	if (value < 0)
		cbor_head_put(out, CBOR_NEGATIVE, (uint64_t)(-1 - value));
	else
		cbor_head_put(out, CBOR_UINT, (uint64_t)value);
}

void field_put_bytes(struct buf *out, struct bytes bytes)
{
	cbor_head_put(out, CBOR_BYTES, bytes.len);
	buf_add(out, bytes);
}

void field_put_text(struct buf *out, struct bytes text)
{
	cbor_head_put(out, CBOR_TEXT, text.len);
	buf_add(out, text);
}

void field_put_list(struct buf *out, size_t count)
{
	cbor_head_put(out, CBOR_ARRAY, count);
}

void field_put_map(struct buf *out, size_t count)
{
	cbor_head_put(out, CBOR_MAP, count);
}

void field_put_key(struct buf *out, const char *key)
{
	field_put_text(out, bytes_str(key));
}

void field_put_null(struct buf *out)
{
	cbor_head_put(out, CBOR_SIMPLE, CBOR_NULL);
}

void field_put_link(struct buf *out, const struct cid *cid)
{
	if (cid_is_set(cid))
		cbor_link_put(out, cid_bytes(cid));
	else
		field_put_null(out);
}

bool field_is_node_cid(const struct cid *cid)
{
	struct multihash hash;

	if (!cid_is_set(cid) || cid->version != 1 || cid->codec != CODEC_DAG_CBOR)
		return false;
	hash = cid_hash(cid);
	return hash.code == HASH_SHA2_256 && hash.digest.len == 32;
}

void field_put_pen(struct buf *out, uint64_t pen)
{
	cbor_head_put(out, CBOR_BYTES, PEN_LEN);
	buf_add_be32(out, (uint32_t)(pen >> 32));
	buf_add_be32(out, (uint32_t)pen);
}

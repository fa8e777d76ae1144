/* Borrowed, owned and read-through byte strings. All reads and writes of wire bytes go through
 * them, so bounds are checked here, once. A cursor never moves past its end. Pure; any thread. */
#include "net/base/bytes.h"

#include "net/base/alloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN 64
#define CURSOR_UVARINT_MAX_LEN 9 /* 63 bits: the multiformats limit */

struct bytes bytes_str(const char *text)
{
	return bytes_of(text, strlen(text));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

int bytes_cmp(struct bytes a, struct bytes b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter ? memcmp(a.at, b.at, shorter) : 0;

	if (order)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

bool bytes_start_with(struct bytes a, struct bytes prefix)
{
	return a.len >= prefix.len && bytes_equal(bytes_of(a.at, prefix.len), prefix);
}

struct bytes bytes_skip(struct bytes a, size_t len)
{
	if (len > a.len)
		len = a.len;
	/* NULL + 0 is undefined too. */
	return bytes_of(len ? a.at + len : a.at, a.len - len);
}

uint8_t *buf_reserve(struct buf *buf, size_t len)
{
	assert(len <= SIZE_MAX / 2 - buf->len);
	if (!buf->at || buf->cap - buf->len < len) {
		size_t cap = buf->cap < BUF_CAP_MIN ? BUF_CAP_MIN : buf->cap * 2;

		if (cap < buf->len + len)
			cap = buf->len + len;
		buf->at = xrealloc(buf->at, cap);
		buf->cap = cap;
	}
	return buf->at + buf->len;
}

void buf_add(struct buf *buf, struct bytes more)
{
	if (!more.len)
		return;
	memcpy(buf_reserve(buf, more.len), more.at, more.len);
	buf->len += more.len;
}

void buf_add_u8(struct buf *buf, uint8_t value)
{
	*buf_reserve(buf, 1) = value;
	buf->len++;
}

void buf_add_str(struct buf *buf, const char *text)
{
	buf_add(buf, bytes_str(text));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args, again;

	va_start(args, fmt);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);

	assert(len >= 0); /* only a bad conversion in our own fmt can fail */
	vsnprintf((char *)buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, fmt, again);
	buf->len += (size_t)len; /* the NUL stays outside */
	va_end(again);
	va_end(args);
}

void buf_add_be16(struct buf *buf, uint16_t value)
{
	buf_add_u8(buf, (uint8_t)(value >> 8));
	buf_add_u8(buf, (uint8_t)value);
}

void buf_add_be32(struct buf *buf, uint32_t value)
{
	buf_add_be16(buf, (uint16_t)(value >> 16));
	buf_add_be16(buf, (uint16_t)value);
}

void buf_add_le64(struct buf *buf, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		buf_add_u8(buf, (uint8_t)(value >> (8 * i)));
}

void buf_consume(struct buf *buf, size_t len)
{
	assert(len <= buf->len);
	buf->len -= len;
	if (len && buf->len)
		memmove(buf->at, buf->at + len, buf->len);
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
}

void buf_release(struct buf *buf)
{
	free(buf->at);
	*buf = (struct buf){ 0 };
}

char *buf_take_text(struct buf *buf)
{
	buf_add_u8(buf, '\0');
	char *text = (char *)buf->at;

	*buf = (struct buf){ 0 };
	return text;
}

struct cursor cursor_over(struct bytes in)
{
	return (struct cursor){ .at = in.at, .end = in.len ? in.at + in.len : in.at };
}

size_t cursor_left(const struct cursor *c)
{
	return c->bad || !c->at ? 0 : (size_t)(c->end - c->at);
}

struct bytes cursor_take(struct cursor *c, size_t len)
{
	if (c->bad || cursor_left(c) < len) {
		c->bad = true;
		return (struct bytes){ 0 };
	}
	struct bytes taken = bytes_of(c->at, len);

	if (len)
		c->at += len;
	return taken;
}

static uint64_t take_be(struct cursor *c, size_t len)
{
	struct bytes in = cursor_take(c, len);
	uint64_t value = 0;

	for (size_t i = 0; i < in.len; i++)
		value = value << 8 | in.at[i];
	return value;
}

static uint64_t take_le(struct cursor *c, size_t len)
{
	struct bytes in = cursor_take(c, len);
	uint64_t value = 0;

	for (size_t i = in.len; i-- > 0;)
		value = value << 8 | in.at[i];
	return value;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)take_be(c, 1);
}

uint16_t cursor_be16(struct cursor *c)
{
	return (uint16_t)take_be(c, 2);
}

uint32_t cursor_be32(struct cursor *c)
{
	return (uint32_t)take_be(c, 4);
}

uint32_t cursor_le32(struct cursor *c)
{
	return (uint32_t)take_le(c, 4);
}

uint64_t cursor_be64(struct cursor *c)
{
	return take_be(c, 8);
}

uint64_t cursor_le64(struct cursor *c)
{
	return take_le(c, 8);
}

uint64_t cursor_uvarint(struct cursor *c)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < CURSOR_UVARINT_MAX_LEN; i++) {
		uint8_t byte = cursor_u8(c);

		if (c->bad)
			return 0;
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		if (byte == 0 && i > 0)
			break; /* a shorter form exists: not minimal */
		return value;
	}
	c->bad = true;
	return 0;
}

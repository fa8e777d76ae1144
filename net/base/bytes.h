/* Byte strings. bytes borrows, buf owns, cursor reads without overrunning. Pure; any thread. */
#ifndef NET_BASE_BYTES_H
#define NET_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A borrowed view: valid as long as what it points into. {NULL, 0} is empty. */
struct bytes {
	const uint8_t *at;
	size_t len;
};

static inline struct bytes bytes_of(const void *at, size_t len)
{
	return (struct bytes){ .at = at, .len = len };
}

/* The characters of text, without its NUL. */
struct bytes bytes_str(const char *text);
bool bytes_equal(struct bytes a, struct bytes b);
/* memcmp order, the shorter first when one is a prefix of the other. */
int bytes_cmp(struct bytes a, struct bytes b);
bool bytes_start_with(struct bytes a, struct bytes prefix);
/* a without its first len bytes (all of them when shorter). */
struct bytes bytes_skip(struct bytes a, size_t len);

/* An owned, growing byte string. Zero-initialised is empty and valid. Release with buf_release().
 * Lack of memory ends the process, so the caller bounds what a peer can add. */
struct buf {
	uint8_t *at;
	size_t len, cap;
};

static inline struct bytes buf_bytes(const struct buf *buf)
{
	return (struct bytes){ .at = buf->at, .len = buf->len };
}

/* Room for len more bytes behind the present ones; returns where they go (len is not changed). */
uint8_t *buf_reserve(struct buf *buf, size_t len);
/* more does not point into buf itself, which may move. */
void buf_add(struct buf *buf, struct bytes more);
void buf_add_u8(struct buf *buf, uint8_t value);
void buf_add_str(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_add_be16(struct buf *buf, uint16_t value);
void buf_add_be32(struct buf *buf, uint32_t value);
void buf_add_le64(struct buf *buf, uint64_t value);
/* Drop the first len bytes; the rest moves to the front. */
void buf_consume(struct buf *buf, size_t len);
/* Empty, memory kept. */
void buf_clear(struct buf *buf);
/* Free; the buf is empty and valid again. */
void buf_release(struct buf *buf);
/* NUL-terminated text of the contents; the buf gives its memory away and is empty. Free with
 * free(). */
char *buf_take_text(struct buf *buf);

/* Reads straight through borrowed bytes. The first failure sets bad, sticks, and all later reads
 * yield zero or empty: a decoder reads everything and checks bad once. */
struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

struct cursor cursor_over(struct bytes in);
size_t cursor_left(const struct cursor *c);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_be16(struct cursor *c);
uint32_t cursor_be32(struct cursor *c);
uint32_t cursor_le32(struct cursor *c);
uint64_t cursor_be64(struct cursor *c);
uint64_t cursor_le64(struct cursor *c);
/* multiformats unsigned varint: minimal, at most 9 bytes. */
uint64_t cursor_uvarint(struct cursor *c);
/* len bytes, borrowed from the input. */
struct bytes cursor_take(struct cursor *c, size_t len);

#endif

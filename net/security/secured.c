/* Frames of a secured connection: each is decrypted where it lies; only one that arrives in pieces
 * is gathered in raw first. Loop thread. */
#include "net/security/secured.h"

#include <assert.h>

void secured_release(struct secured *secured)
{
	secure_free(secured->secure);
	conn_close(secured->conn);
	buf_release(&secured->raw);
	buf_release(&secured->plain);
	*secured = (struct secured){ 0 };
}

int secured_seal(struct secured *secured, const struct bytes *parts, size_t count, struct buf *out)
{
	return secured->secure->ops->seal(secured->secure, parts, count, out);
}

/* Whole frames of [at, at+len), in place. Bytes used, or the error. */
static ssize_t open_frames(struct secured *secured, uint8_t *at, size_t len,
			   secured_plain_fn *plain, void *ctx)
{
	struct secure *secure = secured->secure;
	size_t used = 0;

	while (used < len) {
		struct bytes text;
		ssize_t n = secure->ops->open(secure, at + used, len - used, &text);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		used += (size_t)n;
		int err = text.len > 0 ? plain(ctx, text) : 0;
		if (err)
			return err;
	}
	return (ssize_t)used;
}

static size_t frame_lacks(const struct secured *secured)
{
	return secured->secure->ops->lacks(secured->secure, buf_bytes(&secured->raw));
}

/* Fill up the frame begun earlier from the new bytes: only that one frame is copied. */
static ssize_t complete_frame(struct secured *secured, uint8_t *at, size_t len,
			      secured_plain_fn *plain, void *ctx)
{
	struct buf *raw = &secured->raw;
	size_t used = 0;

	while (used < len && raw->len > 0) {
		size_t more = frame_lacks(secured);

		if (more > len - used)
			more = len - used;
		buf_add(raw, bytes_of(at + used, more));
		used += more;
		if (frame_lacks(secured) > 0)
			continue;
		ssize_t n = open_frames(secured, raw->at, raw->len, plain, ctx);
		if (n < 0)
			return n;
		assert(n > 0); /* what lacks() calls whole, open() takes */
		buf_consume(raw, (size_t)n);
	}
	return (ssize_t)used;
}

int secured_open(struct secured *secured, uint8_t *at, size_t len, secured_plain_fn *plain,
		 void *ctx)
{
	ssize_t used = complete_frame(secured, at, len, plain, ctx);

	if (used < 0)
		return (int)used;
	at += used;
	len -= (size_t)used;
	used = open_frames(secured, at, len, plain, ctx);
	if (used < 0)
		return (int)used;
	buf_add(&secured->raw, bytes_of(at + used, len - (size_t)used));
	return 0;
}

int secured_open_raw(struct secured *secured, secured_plain_fn *plain, void *ctx)
{
	ssize_t used = open_frames(secured, secured->raw.at, secured->raw.len, plain, ctx);

	if (used < 0)
		return (int)used;
	buf_consume(&secured->raw, (size_t)used);
	return 0;
}

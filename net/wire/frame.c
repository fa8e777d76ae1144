/* Reads length-prefixed messages from pieces of any size. Memory for a message grows with the
 * bytes that have arrived, and not with the length that the prefix claims. Pure; any thread. */
#include "net/wire/frame.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/varint.h"

#include <string.h>

#define GROW_MIN (64 * 1024) /* reserved on the prefix's word alone */
#define GROW_FACTOR 8	     /* beyond that: so many times what has arrived */
#define KEEP_MAX (64 * 1024) /* memory kept between messages */

/* One byte of prefix. 1 when the length is known, 0 to go on, -EBADMSG, -EMSGSIZE. */
static int head_byte(struct frame_reader *reader, uint8_t byte, size_t max)
{
	reader->head[reader->head_len++] = byte;
	ssize_t used = uvarint_decode(&reader->need, bytes_of(reader->head, reader->head_len));

	if (used < 0)
		return (int)used;
	if (used == 0)
		return reader->head_len < UVARINT_MAX_LEN ? 0 : -EBADMSG;
	if (reader->need > max)
		return -EMSGSIZE;
	reader->head_len = 0;
	reader->in_message = true;
	return 1;
}

/* Room for more bytes, growing in steps that a peer must pay for with data. */
static void make_room(struct frame_reader *reader, size_t more)
{
	struct buf *part = &reader->part;
	size_t want = (part->len + more) * GROW_FACTOR;

	if (part->cap - part->len >= more)
		return;
	if (want < GROW_MIN)
		want = GROW_MIN;
	if (want > reader->need)
		want = reader->need;
	part->at = xrealloc(part->at, want);
	part->cap = want;
}

static int message_done(struct frame_reader *reader, frame_fn *on_message, void *ctx)
{
	reader->in_message = false;
	int err = on_message(ctx, &reader->part);

	if (reader->part.cap > KEEP_MAX)
		buf_release(&reader->part);
	buf_clear(&reader->part);
	return err;
}

int frame_reader_feed(struct frame_reader *reader, struct bytes in, size_t max,
		      frame_fn *on_message, void *ctx)
{
	while (in.len || (reader->in_message && reader->part.len == reader->need)) {
		int err;

		if (!reader->in_message) {
			err = head_byte(reader, in.at[0], max);
			in = bytes_skip(in, 1);
			if (err < 0)
				return err;
			continue;
		}
		size_t len = reader->need - reader->part.len;

		if (len > in.len)
			len = in.len;
		if (len) {
			make_room(reader, len);
			memcpy(reader->part.at + reader->part.len, in.at, len);
			reader->part.len += len;
			in = bytes_skip(in, len);
		}
		if (reader->part.len < reader->need)
			continue;
		err = message_done(reader, on_message, ctx);
		if (err)
			return err;
	}
	return 0;
}

bool frame_reader_idle(const struct frame_reader *reader)
{
	return !reader->in_message && reader->head_len == 0;
}

void frame_reader_release(struct frame_reader *reader)
{
	buf_release(&reader->part);
	*reader = (struct frame_reader){ 0 };
}

void frame_add(struct buf *out, struct bytes message)
{
	buf_reserve(out, UVARINT_MAX_LEN + message.len);
	buf_add_uvarint(out, message.len);
	buf_add(out, message);
}

/* The frames of the control socket, encoded and taken from pieces. A bad head is refused before its
 * body is awaited. Pure; any thread. */
/* offset len
 *   0     4   length of the body, big-endian, at most CONTROL_FRAME_MAX
 *   4     4   request id
 *   8     1   kind
 *   9     .   body
 */
#include "fs/control/control_frame.h"

#include "net/base/err.h"

ssize_t control_frame_decode(struct control_frame *frame, struct bytes in)
{
	struct cursor c = cursor_over(in);
	uint32_t len;
	uint8_t kind;

	if (in.len < CONTROL_HEAD_LEN)
		return 0;
	len = cursor_be32(&c);
	frame->id = cursor_be32(&c);
	kind = cursor_u8(&c);
	if (len > CONTROL_FRAME_MAX || kind < CONTROL_CALL || kind > CONTROL_TROUBLE)
		return -EBADMSG;
	if (cursor_left(&c) < len)
		return 0;
	frame->kind = kind;
	frame->body = cursor_take(&c, len);
	return CONTROL_HEAD_LEN + (ssize_t)len;
}

static void put_be32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

void control_head_encode(uint8_t head[static CONTROL_HEAD_LEN], uint32_t id, enum control_kind kind,
			 size_t body_len)
{
	put_be32(head, (uint32_t)body_len);
	put_be32(head + 4, id);
	head[8] = (uint8_t)kind;
}

void control_frame_encode(struct buf *out, uint32_t id, enum control_kind kind, struct bytes body)
{
	uint8_t head[CONTROL_HEAD_LEN];

	control_head_encode(head, id, kind, body.len);
	buf_add(out, bytes_of(head, sizeof(head)));
	buf_add(out, body);
}

int control_fetch_decode(struct control_fetch *fetch, struct bytes body)
{
	struct cursor c = cursor_over(body);

	fetch->session = cursor_be32(&c);
	fetch->ms = cursor_be32(&c);
	if (c.bad)
		return -EBADMSG;
	return cid_from_bytes(&fetch->cid, cursor_take(&c, cursor_left(&c)));
}

void control_fetch_encode(struct buf *out, const struct control_fetch *fetch)
{
	buf_add_be32(out, fetch->session);
	buf_add_be32(out, fetch->ms);
	buf_add(out, cid_bytes(&fetch->cid));
}

void control_fail_encode(struct buf *out, int err, const struct wait_tried *tried)
{
	buf_add_be32(out, (uint32_t)-err);
	if (!tried->told)
		return;
	buf_add_be32(out, tried->asked);
	buf_add_be32(out, tried->known);
	buf_add_be32(out, tried->providers);
}

int control_fail_decode(struct bytes body, struct wait_tried *tried)
{
	struct cursor c = cursor_over(body);
	uint32_t number = cursor_be32(&c);

	tried->asked = cursor_be32(&c);
	tried->known = cursor_be32(&c);
	tried->providers = cursor_be32(&c);
	tried->told = !c.bad;
	return body.len >= 4 && number > 0 && number < 4096 ? -(int)number : -EIO;
}

bool control_cid_next(struct cursor *c, struct cid *cid)
{
	uint8_t len;

	if (c->bad || !cursor_left(c))
		return false;
	len = cursor_u8(c);
	if (cid_from_bytes(cid, cursor_take(c, len)))
		c->bad = true;
	return !c->bad;
}

void control_cid_encode(struct buf *out, const struct cid *cid)
{
	buf_add_u8(out, cid->len);
	buf_add(out, cid_bytes(cid));
}

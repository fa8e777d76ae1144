/* The frames of the control socket (fs/control.h), both ways. Pure; any thread. */
#ifndef FS_CONTROL_FRAME_H
#define FS_CONTROL_FRAME_H

#include "fs/control.h"

#define CONTROL_HEAD_LEN 9
#define CONTROL_NO_DEADLINE UINT32_MAX /* the ms of a FETCH without a deadline */

struct control_frame {
	uint32_t id;
	enum control_kind kind;
	struct bytes body; /* borrowed */
};

struct control_fetch {
	uint32_t session, ms;
	struct cid cid;
};

/* From the front of in: bytes used, 0 need more, -EBADMSG (too long, unknown kind). The head alone
 * is enough to refuse. */
ssize_t control_frame_decode(struct control_frame *frame, struct bytes in);
void control_head_encode(uint8_t head[static CONTROL_HEAD_LEN], uint32_t id, enum control_kind kind,
			 size_t body_len);
void control_frame_encode(struct buf *out, uint32_t id, enum control_kind kind, struct bytes body);

/* Bodies. 0 or -EBADMSG; the whole of body must be used. */
int control_fetch_decode(struct control_fetch *fetch, struct bytes body);
void control_fetch_encode(struct buf *out, const struct control_fetch *fetch);
/* FAIL: err is negative; what was tried is told or not. An errno that is none decodes as -EIO. */
void control_fail_encode(struct buf *out, int err, const struct wait_tried *tried);
int control_fail_decode(struct bytes body, struct wait_tried *tried);
/* { u8 len, cid }...: false at the end; c->bad when the rest is malformed. */
bool control_cid_next(struct cursor *c, struct cid *cid);
void control_cid_encode(struct buf *out, const struct cid *cid);

#endif

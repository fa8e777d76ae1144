/* Reader of length-prefixed messages (uv(len) | message) that arrive in pieces: Bitswap, Kademlia,
 * identify. Memory grows with what has arrived, not with what the prefix promises. */
#ifndef NET_WIRE_FRAME_H
#define NET_WIRE_FRAME_H

#include "net/base/bytes.h"

/* Zero-initialised is valid; release with frame_reader_release(). */
struct frame_reader {
	struct buf part;  /* the message so far */
	uint64_t need;	  /* its length */
	uint8_t head[10]; /* length prefix so far */
	uint8_t head_len;
	bool in_message;
};

/* One whole message. The callee may take message->at (leaving the buf empty) to keep the memory.
 * Non-zero stops the feed and is returned by it. */
typedef int frame_fn(void *ctx, struct buf *message);

/* Feed what arrived; calls on_message for each whole message, in order. A message longer than max
 * fails with -EMSGSIZE, a bad prefix with -EBADMSG: then the stream is to be reset. The reader must
 * not be released from inside on_message. */
int frame_reader_feed(struct frame_reader *reader, struct bytes in, size_t max,
		      frame_fn *on_message, void *ctx);
/* True between messages: an end of stream here is clean. */
bool frame_reader_idle(const struct frame_reader *reader);
void frame_reader_release(struct frame_reader *reader);

/* Append uv(len) | message to out. */
void frame_add(struct buf *out, struct bytes message);

#endif

/* A connection whose peer is proven: a byte pipe and the channel that secures it. Loop thread only.
 */
#ifndef NET_SECURED_H
#define NET_SECURED_H

#include "net/channel.h"
#include "net/security/secure.h"

/* Zero is empty; release with secured_release(). Owns conn and secure. */
struct secured {
	struct conn *conn;
	struct secure *secure; /* NULL only before the handshake begins */
	struct peer_id peer;
	struct buf raw;	  /* received, not decrypted yet */
	struct buf plain; /* decrypted, not given to the muxer yet */
	uint64_t bytes_in, bytes_out;
	bool outbound;
};

/* Closes the connection and frees what it holds. */
void secured_release(struct secured *secured);
/* Encrypts the parts, appended to out. Needs a complete handshake. -EOVERFLOW. */
int secured_seal(struct secured *secured, const struct bytes *parts, size_t count, struct buf *out);
/* Decrypts [at, at + len) behind what raw holds and hands each piece of plain text to plain(ctx,
 * bytes); a rest is kept in raw. Stops at the first non-zero return and returns it. -EBADMSG: the
 * connection is dead. */
typedef int secured_plain_fn(void *ctx, struct bytes plain);
int secured_open(struct secured *secured, uint8_t *at, size_t len, secured_plain_fn *plain,
		 void *ctx);
/* Decrypts the whole frames at the front of raw, as secured_open() does. */
int secured_open_raw(struct secured *secured, secured_plain_fn *plain, void *ctx);

#endif

/* From a raw connection to a secured, multiplexed one (wire/transport sections 0 to 2):
 * multistream(/noise) -> Noise XX -> yamux by early negotiation, or multistream inside. Loop thread
 * only. */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

#include "net/base/loop.h"
#include "net/base/random.h"
#include "net/transport/conn.h"
#include "net/security/noise.h"

#define UPGRADE_TIMEOUT_MS 15000
#define UPGRADE_RAW_MAX (2 * 65537u) /* bytes not understood yet: one frame and what came with it */

/* A connection with a proven peer. Zero is empty; release with secured_release(). */
struct secured {
	struct conn *conn;
	struct noise *noise; /* NULL: the transport proves identities itself */
	struct peer_id peer;
	struct buf raw;	  /* received, not decrypted yet */
	struct buf plain; /* decrypted, belongs to yamux */
	uint64_t bytes_in, bytes_out;
	bool outbound;
};

/* Closes the connection. */
void secured_release(struct secured *secured);
/* Encrypt (when there is Noise) the parts into out. */
int secured_seal(struct secured *secured, const struct bytes *parts, size_t count, struct buf *out);
/* Decrypt [at, at+len) behind what raw holds and hand each piece of plain text to plain(ctx,
 * bytes); a rest is kept in raw. Stops at the first non-zero return and returns it. -EBADMSG: the
 * session is dead. */
typedef int secured_plain_fn(void *ctx, struct bytes plain);
int secured_open(struct secured *secured, uint8_t *at, size_t len, secured_plain_fn *plain,
		 void *ctx);

struct upgrade;
/* err 0: the callee owns *secured and moves it away; it sets the conn's events before it returns.
 */
typedef void upgrade_done_fn(void *ctx, int err, struct secured *secured);

/* Takes conn. expected: who must answer (dialler), NULL: anyone. identity and random are borrowed.
 * done runs once, later. -ETIMEDOUT after UPGRADE_TIMEOUT_MS, -EKEYREJECTED, -EPROTONOSUPPORT,
 * -EBADMSG, -EPROTO, -ECONNRESET. */
struct upgrade *upgrade_start(struct loop *loop, struct conn *conn, bool outbound,
			      const struct identity *identity, const struct peer_id *expected,
			      struct random *random, upgrade_done_fn *done, void *ctx);
/* Nothing was received yet. */
bool upgrade_is_silent(const struct upgrade *upgrade);
/* done will not run; the connection closes. NULL is ignored. */
void upgrade_cancel(struct upgrade *upgrade);

#endif

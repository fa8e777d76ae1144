/* From a raw connection to a secured one whose muxer is settled (wire/transport sections 0 to 3):
 * multistream over the securities, the handshake, then the muxer by early negotiation or by multistream
 * inside. Loop thread only. */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

#include "net/base/loop.h"
#include "net/security/secured.h"

#define UPGRADE_TIMEOUT_MS 15000
#define UPGRADE_RAW_MAX (2 * 65537u) /* bytes not understood yet: one frame and what came with it */

struct upgrade;
/* err 0: the callee owns *secured and moves it away; it sets the conn's events before it returns. -EKEYREJECTED:
 * only secured->peer is set, to whom the other says to be (perhaps nobody). Other errors: NULL. */
typedef void upgrade_done_fn(void *ctx, int err, struct secured *secured);

/* Takes conn. securities: those we offer, in order of preference (at most SECURITIES_MAX), borrowed until
 * done. expected: who must answer (dialler), NULL: anyone. done runs once, later. -ETIMEDOUT after
 * UPGRADE_TIMEOUT_MS, -EKEYREJECTED, -EPROTONOSUPPORT (no security or muxer in common), -EBADMSG,
 * -EPROTO, -ECONNRESET. */
struct upgrade *upgrade_start(struct loop *loop, struct conn *conn, bool outbound,
			      struct security *const *securities, size_t security_count,
			      const struct peer_id *expected, upgrade_done_fn *done, void *ctx);
/* Nothing was received yet. */
bool upgrade_is_silent(const struct upgrade *upgrade);
/* done will not run; the connection closes. NULL is ignored. */
void upgrade_cancel(struct upgrade *upgrade);

#endif

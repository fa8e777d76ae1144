/* From a raw connection to a session (wire/transport sections 0 to 3):
 * multistream over the securities, the handshake, then the muxer by early negotiation or by
 * multistream inside. Loop thread only. */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

#include "net/base/loop.h"
#include "net/security/secured.h"
#include "net/session/session.h"

#define UPGRADE_TIMEOUT_MS 15000
#define UPGRADE_RAW_MAX                                                                            \
	(2 * 65537u) /* bytes not understood yet: one frame and what came with it                  \
		      */

/* What all upgrades of a swarm share; borrowed until they are done. */
struct upgrade_config {
	struct loop *loop;
	struct security *securities[SECURITIES_MAX]; /* those we offer, in order of preference */
	size_t security_count;
	struct session_config session;
};

struct upgrade;
/* err 0: the callee owns session and calls its start(). After -EKEYREJECTED, answered is the
 * identity that the other side claimed, if it did; otherwise it is NULL. */
typedef void upgrade_done_fn(void *ctx, int err, struct session *session,
			     const struct peer_id *answered);

/* Takes conn. expected: the peer that must answer; NULL: any peer. done runs once, later.
 * -ETIMEDOUT after UPGRADE_TIMEOUT_MS, -EKEYREJECTED, -EPROTONOSUPPORT (no security or muxer in
 * common), -EBADMSG, -EPROTO, -ECONNRESET. */
struct upgrade *upgrade_start(const struct upgrade_config *config, struct conn *conn, bool outbound,
			      const struct peer_id *expected, upgrade_done_fn *done, void *ctx);
/* Whether nothing was received yet. */
bool upgrade_is_silent(const struct upgrade *upgrade);
/* done will not run; the connection closes. NULL is ignored. */
void upgrade_cancel(struct upgrade *upgrade);

#endif

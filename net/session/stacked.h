/* A session of yamux over a secured byte pipe. Loop thread only. */
#ifndef NET_STACKED_H
#define NET_STACKED_H

#include "net/security/secured.h"
#include "net/session/session.h"

/* Takes what *secured holds; its handshake is complete and the muxer is chosen. Borrows loop.
 * security: its name, for display; static. */
struct session *stacked_new(struct loop *loop, struct secured *secured, const char *security,
			    const struct session_config *config);

#endif

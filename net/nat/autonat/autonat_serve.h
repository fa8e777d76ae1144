/* The server's side of AutoNAT v2 (wire/nat). Pure: takes bytes and the result of a dial; gives
 * bytes, and asks for a dial.
 *
 * Only public addresses are dialled. For an address with another IP than the asker's, the asker
 * first sends as many bytes as the dial costs the other side. */
#ifndef NET_AUTONAT_SERVE_H
#define NET_AUTONAT_SERVE_H

#include "net/base/random.h"
#include "net/nat/autonat/autonat_limit.h"
#include "net/nat/autonat/autonat_msg.h"
#include "net/wire/frame.h"
#include "net/wire/multiaddr_scope.h"

#define AUTONAT_DIAL_WAIT_MS 3000 /* at most, at random, before we dial somebody else's address */
#define AUTONAT_PIECE_MIN 100	  /* smaller pieces are refused, since they only cost us time */

enum autonat_serve_state {
	SERVE_REQUEST,	/* waits for the request */
	SERVE_DATA,	/* waits for data_left bytes */
	SERVE_DIAL,	/* the caller dials addr after wait_ms, then calls autonat_serve_dialed() */
	SERVE_ANSWERED, /* the answer was appended: the stream may end */
};

/* Release with autonat_serve_release(). */
struct autonat_serve {
	struct frame_reader reader;
	struct peer_id peer;
	struct multiaddr from; /* where the asker is */
	bool local;	       /* for tests: addresses that are not public are allowed */
	struct random *random;
	struct autonat_limit *data_limit;
	enum autonat_serve_state state;
	struct multiaddr addr; /* to dial, without /p2p */
	uint32_t index;
	uint64_t nonce;
	size_t data_left;
	uint64_t wait_ms;
};

/* Takes bytes from the asker and appends what is to be sent to out. The caller looks at state
 * afterwards. -EBADMSG, -EMSGSIZE, -EPROTO: reset the stream. */
int autonat_serve_feed(struct autonat_serve *serve, struct bytes in, uint64_t now_ms,
		       struct buf *out);
/* In SERVE_DIAL: takes the result of the dial. */
void autonat_serve_dialed(struct autonat_serve *serve, enum autonat_dial status, struct buf *out);
/* In SERVE_DIAL: it cannot be tried. */
void autonat_serve_refuse(struct autonat_serve *serve, struct buf *out);
void autonat_serve_release(struct autonat_serve *serve);

/* The addresses of a v1 request that may be dialled: the asker's IP address with the ports of the
 * request. Returns how many; at most AUTONAT_V1_ADDRS_MAX. */
size_t autonat_serve_v1_addrs(const struct autonat_v1_msg *msg, const struct multiaddr *from,
			      bool local, struct multiaddr addrs[static AUTONAT_V1_ADDRS_MAX]);

#endif

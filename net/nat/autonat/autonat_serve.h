/* One request that we answer, the server's side of AutoNAT v2 (wire/nat). Pure: bytes and the fate of
 * a dial in, bytes and the wish to dial out.
 *
 * Nobody makes us dial an address that is not public, nor one whose IP address is not his own before
 * he has sent us as many bytes as the dial costs its victim. */
#ifndef NET_AUTONAT_SERVE_H
#define NET_AUTONAT_SERVE_H

#include "net/wire/multiaddr_scope.h"
#include "net/nat/autonat/autonat_limit.h"
#include "net/nat/autonat/autonat_msg.h"
#include "net/base/random.h"
#include "net/wire/frame.h"

#define AUTONAT_DIAL_WAIT_MS 3000 /* at most, at random, before we dial somebody else's address */
#define AUTONAT_PIECE_MIN 100	  /* smaller ones are there to keep us busy */

enum autonat_serve_state {
	SERVE_REQUEST,  /* the request is awaited */
	SERVE_DATA,     /* data_left bytes are */
	SERVE_DIAL,     /* dial addr, wait_ms from now; then call autonat_serve_dialed() */
	SERVE_ANSWERED, /* the answer was added: the stream may end */
};

/* Release with autonat_serve_release(). */
struct autonat_serve {
	struct frame_reader reader;
	struct peer_id peer;
	struct multiaddr from;	      /* where the asker is */
	bool local;		      /* tests: addresses that are not public do as well */
	struct random *random;
	struct autonat_limit *data_limit;
	enum autonat_serve_state state;
	struct multiaddr addr; /* to dial, without /p2p */
	uint32_t index;
	uint64_t nonce;
	size_t data_left;
	uint64_t wait_ms;
};

/* Bytes from the asker; what is to be sent is added to out. Look at state afterwards. -EBADMSG,
 * -EMSGSIZE, -EPROTO: reset the stream. */
int autonat_serve_feed(struct autonat_serve *serve, struct bytes in, uint64_t now_ms,
		       struct buf *out);
/* In SERVE_DIAL: how it went. */
void autonat_serve_dialed(struct autonat_serve *serve, enum autonat_dial status, struct buf *out);
/* In SERVE_DIAL: it cannot be tried. */
void autonat_serve_refuse(struct autonat_serve *serve, struct buf *out);
void autonat_serve_release(struct autonat_serve *serve);

/* Which addresses of a v1 request may be dialled: where the asker is, with the ports he names. At most
 * AUTONAT_V1_ADDRS_MAX; 0: none. */
size_t autonat_serve_v1_addrs(const struct autonat_v1_msg *msg, const struct multiaddr *from,
			      bool local, struct multiaddr addrs[static AUTONAT_V1_ADDRS_MAX]);

#endif

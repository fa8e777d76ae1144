/* One question to a server, the asker's side of AutoNAT v2 (wire/nat): a request, perhaps the data
 * that the dial costs us, the response, and on a connection of its own the nonce that proves it.
 * Pure: bytes in, bytes out. */
#ifndef NET_AUTONAT_PROBE_H
#define NET_AUTONAT_PROBE_H

#include "net/nat/autonat/autonat_msg.h"
#include "net/nat/autonat/autonat_track.h"
#include "net/wire/frame.h"

enum autonat_probe_state {
	PROBE_OPEN,    /* the response is awaited */
	PROBE_NONCE,   /* it says that we were reached; the nonce is not here yet */
	PROBE_GOOD,    /* addrs[index] was reached */
	PROBE_BAD,     /* it was not */
	PROBE_REFUSED, /* the server dials none of them */
	PROBE_NOTHING, /* the server is busy, or talks nonsense */
};

/* Release with autonat_probe_release(). */
struct autonat_probe {
	struct frame_reader reader;
	struct multiaddr addrs[AUTONAT_ASK_MAX];
	bool bound[AUTONAT_ASK_MAX]; /* the dial-back must come to this very address */
	size_t count;
	uint64_t nonce;
	bool data_sent;
	bool dialed; /* the nonce has come, to `local` */
	struct multiaddr local;
	uint32_t index;
	enum autonat_probe_state state;
};

/* addrs and bound were filled in, one at least; the request is added to out. nonce is random. */
void autonat_probe_start(struct autonat_probe *probe, uint64_t nonce, struct buf *out);
/* Bytes from the server; what is to be sent is added to out. Look at state afterwards. -EBADMSG,
 * -EMSGSIZE, -EPROTO: reset the stream, the state is PROBE_NOTHING. */
int autonat_probe_feed(struct autonat_probe *probe, struct bytes in, struct buf *out);
/* A nonce came in on a connection to local. False when it is not ours, or came before. */
bool autonat_probe_dialed(struct autonat_probe *probe, uint64_t nonce,
			  const struct multiaddr *local);
void autonat_probe_release(struct autonat_probe *probe);

#endif

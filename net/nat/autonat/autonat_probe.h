/* The asker's side of AutoNAT v2 (wire/nat): a request, the data that the server may want for its
 * dial, the response, and the nonce that proves the dial, which comes on another connection. Pure:
 * bytes in, bytes out. */
#ifndef NET_AUTONAT_PROBE_H
#define NET_AUTONAT_PROBE_H

#include "net/nat/autonat/autonat_msg.h"
#include "net/nat/autonat/autonat_track.h"
#include "net/wire/frame.h"

enum autonat_probe_state {
	PROBE_OPEN,    /* waits for the response */
	PROBE_NONCE,   /* the server says that it reached us; waits for the nonce */
	PROBE_GOOD,    /* addrs[index] was reached */
	PROBE_BAD,     /* it was not */
	PROBE_REFUSED, /* the server dials none of them */
	PROBE_NOTHING, /* no result: the server is busy, or its answers are wrong */
};

/* Release with autonat_probe_release(). */
struct autonat_probe {
	struct frame_reader reader;
	struct multiaddr addrs[AUTONAT_ASK_MAX];
	bool bound[AUTONAT_ASK_MAX]; /* the dial-back must come to this very address */
	size_t count;
	uint64_t nonce;
	bool data_sent;
	bool dialed; /* the nonce has come, on a connection to `local` */
	struct multiaddr local;
	uint32_t index;
	enum autonat_probe_state state;
};

/* Appends the request to out. addrs and bound are filled in, at least one. nonce is random. */
void autonat_probe_start(struct autonat_probe *probe, uint64_t nonce, struct buf *out);
/* Takes bytes from the server and appends what is to be sent to out. The caller looks at state
 * afterwards. -EBADMSG, -EMSGSIZE, -EPROTO: the state is PROBE_NOTHING, and the stream is to be
 * reset. */
int autonat_probe_feed(struct autonat_probe *probe, struct bytes in, struct buf *out);
/* Takes a nonce that came on a connection to local. False: it is not ours, or came before. */
bool autonat_probe_dialed(struct autonat_probe *probe, uint64_t nonce,
			  const struct multiaddr *local);
void autonat_probe_release(struct autonat_probe *probe);

#endif

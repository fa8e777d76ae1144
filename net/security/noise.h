/* Noise_XX_25519_ChaChaPoly_SHA256 with the libp2p payload (wire/transport section 2). Sans-io:
 * bytes in, bytes out; randomness injected. One thread at a time. After an error the session is
 * dead: close the connection. */
#ifndef NET_NOISE_H
#define NET_NOISE_H

#include "net/base/bytes.h"
#include "net/base/random.h"
#include "net/wire/key.h"

#define NOISE_FRAME_MAX 65535 /* after the length prefix */
#define NOISE_PLAIN_MAX (65535 - 16)
#define NOISE_OVERHEAD (2 + 16)
#define NOISE_PAYLOAD_MAX 4096
#define NOISE_MUXERS_MAX 100

struct noise;

/* initiator: the dialler. expected: the peer that must answer (zero: any peer). muxers: our list,
 * for early negotiation, in order of preference; borrowed for the life of the session. identity is
 * borrowed. */
struct noise *noise_new(bool initiator, const struct identity *identity,
			const struct peer_id *expected, const char *const *muxers,
			size_t muxer_count, struct random *random);
void noise_free(struct noise *noise);

/* What to send first (initiator: message 1; responder: nothing), appended to out. */
void noise_start(struct noise *noise, struct buf *out);
/* Feed handshake bytes; used = how many were consumed (frames are whole or not at all); answers go
 * to out. 1 when the handshake is complete, 0 to go on, -EBADMSG, -EKEYREJECTED (identity or
 * signature). */
int noise_handshake(struct noise *noise, struct bytes in, size_t *used, struct buf *out);

/* After completion. */
const struct peer_id *noise_peer(const struct noise *noise);
/* The muxer agreed on in the handshake, NULL when multistream must settle it. */
const char *noise_muxer(const struct noise *noise);

/* Encrypt the concatenation of parts into as few frames as fit, appended to out. No copy of the
 * plain text is made. -EOVERFLOW when the nonce is used up. */
int noise_seal(struct noise *noise, const struct bytes *parts, size_t count, struct buf *out);
/* Decrypt the first whole frame of [at, at+len) in place. Bytes used and *plain (borrowed from at,
 * may be empty); 0 when more is needed; -EBADMSG (the session is dead, state unchanged). */
ssize_t noise_open(struct noise *noise, uint8_t *at, size_t len, struct bytes *plain);

#endif

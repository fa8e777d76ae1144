/* The interface for securing connections: a security makes one secure channel for each connection.
 *
 *   struct security  a way to secure connections, with what it needs (identity, certificate)
 *   struct secure    one connection's handshake, then its keys
 *
 * Sans-io: bytes in, bytes out. A security is used by one thread. After an error a secure channel
 * is dead: close the connection. wire/transport sections 2 and 3. */
#ifndef NET_SECURE_H
#define NET_SECURE_H

#include "net/base/bytes.h"
#include "net/base/random.h"
#include "net/wire/key.h"

#define SECURITIES_MAX 4 /* of one swarm */

struct secure;
struct security;

struct secure_ops {
	/* Feeds handshake bytes; *used is how many were consumed, whole messages only. Answers are
	 * appended to out. The first call, with no bytes, lets the dialler begin. 1: complete; 0:
	 * go on; -EBADMSG, -EKEYREJECTED (another identity than expected, or a bad signature),
	 * -EPROTO. */
	int (*handshake)(struct secure *secure, struct bytes in, size_t *used, struct buf *out);
	/* Encrypts the parts one after the other, appended to out. -EOVERFLOW: the keys are used
	 * up. */
	int (*seal)(struct secure *secure, const struct bytes *parts, size_t count,
		    struct buf *out);
	/* How many bytes a frame that begins with begun still lacks; 0: it is whole, or there are
	 * no frames. Of a frame whose length is not known yet: what its header lacks. */
	size_t (*lacks)(const struct secure *secure, struct bytes begun);
	/* Decrypts the first whole frame of [at, at + len) in place. Returns the bytes used, with
	 * *plain borrowed from at (it may be empty); 0: more is needed; -EBADMSG. */
	ssize_t (*open)(struct secure *secure, uint8_t *at, size_t len, struct bytes *plain);
	/* The proven peer, after completion. After -EKEYREJECTED: the identity that the other side
	 * claimed, or zero. */
	const struct peer_id *(*peer)(const struct secure *secure);
	/* The muxer that the handshake agreed on, after completion; NULL: multistream must settle
	 * it. */
	const char *(*muxer)(const struct secure *secure);
	void (*free)(struct secure *secure);
};

/* Embedded first in what start() returns. */
struct secure {
	const struct secure_ops *ops;
};

struct security_ops {
	const char *name; /* in multistream: "/noise" */
	/* Begins a handshake. expected: the peer that must answer; zero: any peer. muxers: ours, in
	 * order of preference, borrowed for the life of the channel. Never NULL. */
	struct secure *(*start)(struct security *security, bool dialler,
				const struct peer_id *expected, const char *const *muxers,
				size_t muxer_count);
	void (*free)(struct security *security);
};

/* Embedded first in what a maker below returns. */
struct security {
	const struct security_ops *ops;
};

/* Noise XX with the libp2p payload. Borrows identity and random for its life. */
struct security *security_noise_new(const struct identity *identity, struct random *random);

/* TLS 1.3 with the libp2p certificate, which is made here and signed by identity. NULL: OpenSSL
 * failed. */
struct security *security_tls_new(const struct identity *identity);

/* The securities of a swarm by default, in order of preference. Returns how many; the caller frees
 * them. */
size_t securities_default(struct security *out[static SECURITIES_MAX],
			  const struct identity *identity, struct random *random);

/* NULL is ignored. */
static inline void security_free(struct security *security)
{
	if (security)
		security->ops->free(security);
}

/* A channel that encrypts nothing, over a transport that has proven peer by itself. It is complete
 * from the start. Nothing else may use it. */
struct secure *secure_none_new(const struct peer_id *peer);

/* NULL is ignored. */
static inline void secure_free(struct secure *secure)
{
	if (secure)
		secure->ops->free(secure);
}

#endif

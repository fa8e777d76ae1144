/* Noise as one of the securities: what net/security/secure.h asks for, over noise.h. Each session
 * has a static key of its own, signed by the identity. Loop thread. */
#include "net/base/alloc.h"
#include "net/security/noise.h"
#include "net/security/secure.h"

#include <stdlib.h>

#define PREFIX_LEN 2 /* of a frame: its length, big-endian */

struct noise_security {
	struct security base;
	const struct identity *identity;
	struct random *random;
};

struct noise_channel {
	struct secure base;
	struct noise *noise;
	bool started;
};

static struct noise *noise_of(const struct secure *secure)
{
	return ((const struct noise_channel *)secure)->noise;
}

static int channel_handshake(struct secure *secure, struct bytes in, size_t *used, struct buf *out)
{
	struct noise_channel *channel = (struct noise_channel *)secure;

	if (!channel->started)
		noise_start(channel->noise, out);
	channel->started = true;
	return noise_handshake(channel->noise, in, used, out);
}

static int channel_seal(struct secure *secure, const struct bytes *parts, size_t count,
			struct buf *out)
{
	return noise_seal(noise_of(secure), parts, count, out);
}

static size_t channel_lacks(const struct secure *secure, struct bytes begun)
{
	size_t whole = PREFIX_LEN;

	(void)secure;
	if (begun.len >= PREFIX_LEN)
		whole += (size_t)begun.at[0] << 8 | begun.at[1];
	return whole > begun.len ? whole - begun.len : 0;
}

static ssize_t channel_open(struct secure *secure, uint8_t *at, size_t len, struct bytes *plain)
{
	return noise_open(noise_of(secure), at, len, plain);
}

static const struct peer_id *channel_peer(const struct secure *secure)
{
	return noise_peer(noise_of(secure));
}

static const char *channel_muxer(const struct secure *secure)
{
	return noise_muxer(noise_of(secure));
}

static void channel_free(struct secure *secure)
{
	noise_free(noise_of(secure));
	free((struct noise_channel *)secure);
}

static const struct secure_ops channel_ops = {
	.handshake = channel_handshake,
	.seal = channel_seal,
	.lacks = channel_lacks,
	.open = channel_open,
	.peer = channel_peer,
	.muxer = channel_muxer,
	.free = channel_free,
};

static struct secure *noise_security_start(struct security *security, bool dialler,
					   const struct peer_id *expected,
					   const char *const *muxers, size_t muxer_count)
{
	struct noise_security *own = (struct noise_security *)security;
	struct noise_channel *channel = xnew(struct noise_channel);

	channel->base.ops = &channel_ops;
	channel->noise =
		noise_new(dialler, own->identity, expected, muxers, muxer_count, own->random);
	return &channel->base;
}

static void noise_security_free(struct security *security)
{
	free((struct noise_security *)security);
}

static const struct security_ops noise_security_ops = {
	.name = "/noise",
	.start = noise_security_start,
	.free = noise_security_free,
};

struct security *security_noise_new(const struct identity *identity, struct random *random)
{
	struct noise_security *own = xnew(struct noise_security);

	own->base.ops = &noise_security_ops;
	own->identity = identity;
	own->random = random;
	return &own->base;
}

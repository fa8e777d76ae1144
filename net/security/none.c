/* No encryption at all, said explicitly: for transports that prove identities by themselves. What
 * is sealed is what was given. Any one thread. */
#include "net/base/alloc.h"
#include "net/security/secure.h"

#include <stdlib.h>

struct none {
	struct secure base;
	struct peer_id peer;
};

static int none_handshake(struct secure *secure, struct bytes in, size_t *used, struct buf *out)
{
	(void)secure;
	(void)in;
	(void)out;
	*used = 0;
	return 1;
}

static int none_seal(struct secure *secure, const struct bytes *parts, size_t count,
		     struct buf *out)
{
	(void)secure;
	for (size_t i = 0; i < count; i++)
		buf_add(out, parts[i]);
	return 0;
}

static size_t none_lacks(const struct secure *secure, struct bytes begun)
{
	(void)secure;
	(void)begun;
	return 0;
}

static ssize_t none_open(struct secure *secure, uint8_t *at, size_t len, struct bytes *plain)
{
	(void)secure;
	*plain = bytes_of(at, len);
	return (ssize_t)len;
}

static const struct peer_id *none_peer(const struct secure *secure)
{
	return &((const struct none *)secure)->peer;
}

static const char *none_muxer(const struct secure *secure)
{
	(void)secure;
	return NULL;
}

static void none_free(struct secure *secure)
{
	free((struct none *)secure);
}

static const struct secure_ops none_ops = {
	.handshake = none_handshake,
	.seal = none_seal,
	.lacks = none_lacks,
	.open = none_open,
	.peer = none_peer,
	.muxer = none_muxer,
	.free = none_free,
};

struct secure *secure_none_new(const struct peer_id *peer)
{
	struct none *none = xnew(struct none);

	none->base.ops = &none_ops;
	none->peer = *peer;
	return &none->base;
}

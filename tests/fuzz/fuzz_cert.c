/* Certificates of peers: whatever comes, a verdict; and the whole handshake of a listener over the
 * bytes. */
#include "net/security/secure.h"
#include "net/security/tls/cert.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void handshake(struct bytes in)
{
	static struct identity *identity;
	static struct security *security;
	static const uint8_t seed[32] = { 1 };
	const struct peer_id anyone = { 0 };
	struct buf out = { 0 };
	size_t used;

	if (!identity) {
		identity = identity_from_seed(seed);
		security = security_tls_new(identity);
	}
	struct secure *secure = security->ops->start(security, false, &anyone, NULL, 0);

	assert(secure->ops->handshake(secure, in, &used, &out) != 1);
	assert(used <= in.len);
	secure_free(secure);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct public_key key;

	cert_verify(bytes_of(at, len), 1800000000, &key);
	handshake(bytes_of(at, len));
	return 0;
}

/* Which securities a swarm offers if its configuration does not say: all that can be made, in order
 * of preference. Loop thread. */
#include "net/base/log.h"
#include "net/security/secure.h"

size_t securities_default(struct security *out[static SECURITIES_MAX],
			  const struct identity *identity, struct random *random)
{
	size_t count = 0;

	out[count++] = security_noise_new(identity, random);
	out[count] = security_tls_new(identity);
	if (out[count])
		count++;
	else
		log_warn("net", "no TLS: OpenSSL cannot make a certificate");
	return count;
}

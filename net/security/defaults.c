/* Which securities a swarm offers if its configuration does not say. Loop thread. */
#include "net/security/secure.h"

size_t securities_default(struct security *out[static SECURITIES_MAX],
			  const struct identity *identity, struct random *random)
{
	size_t count = 0;

	out[count++] = security_noise_new(identity, random);
	return count;
}

/* Where the rooms of net are put together: a swarm, and the protocols that every peer expects of
 * it. Loop thread. */
#include "net/identify/identify.h"
#include "net/ping/ping.h"
#include "net/swarm/swarm.h"

struct swarm *swarm_new(struct loop *loop, struct random *random, const struct identity *identity,
			struct db *db, const struct swarm_config *config)
{
	struct swarm *swarm = swarm_make(loop, random, identity, db, config);

	if (!swarm->config.bare) {
		identify_serve(swarm);
		ping_serve(swarm);
	}
	return swarm;
}

/* The peers of the table that are nearest to us: they hold the records that we hold, and searches
 * for keys near us end with them. The swarm is told, so that it trims others first. Loop thread. */
#ifndef ROUTING_KAD_NEAR_H
#define ROUTING_KAD_NEAR_H

#include "net/base/timer.h"
#include "net/wire/key.h"

#define KAD_NEAR_TAGGED_MAX 20
#define KAD_NEAR_WORTH 5 /* a swarm_tag() named as the protocol */

struct kad;

struct kad_near {
	struct peer_id peers[KAD_NEAR_TAGGED_MAX]; /* that are tagged */
	size_t count;
	struct timer look;
};

/* The table has changed: it is looked at once for all changes of a second. */
void kad_near_changed(struct kad *kad);
/* Nobody is tagged any more. */
void kad_near_release(struct kad *kad);

#endif

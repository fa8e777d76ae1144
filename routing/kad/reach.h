/* Whether others can reach us, which decides whether we serve (KAD_AUTO). In the wide network the
 * word of those who tried counts (swarm_reach(), AutoNAT). As long as there is none, and in a local
 * network: they can when one has connected to us, not through a relay, from an address that belongs
 * into this network. That holds while such a connection lives and for KAD_REACH_MS after it. Loop
 * thread only. */
#ifndef ROUTING_KAD_REACH_H
#define ROUTING_KAD_REACH_H

#include "net/base/timer.h"
#include "net/wire/key.h"

#define KAD_REACH_MS (60ull * 60 * 1000)
#define KAD_REACH_LOOK_MS (60ull * 1000)

struct kad;

struct kad_reach {
	struct timer look;
	bool reached; /* ever, in this mode */
	uint64_t seen_ms;
};

/* KAD_AUTO begins: a client, unless somebody is connected to us already. */
void kad_reach_start(struct kad *kad);
void kad_reach_stop(struct kad *kad);
/* Somebody has connected, or swarm_reach() has changed: look now. Nothing to do in another mode. */
void kad_reach_look(struct kad *kad);

#endif

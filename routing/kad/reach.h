/* Whether others can reach us, which decides whether we serve (KAD_AUTO). In the wide network
 * AutoNAT's verdict decides (swarm_reach()). While it is unknown, and in a local network, an
 * inbound connection decides: not relayed, and from an address that belongs into this network. It
 * counts while it lives and for KAD_REACH_MS after it. Loop thread only. */
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

/* KAD_AUTO begins: as a client, unless such a connection exists. */
void kad_reach_start(struct kad *kad);
void kad_reach_stop(struct kad *kad);
/* Looks again, because a peer has connected or swarm_reach() has changed. Does nothing in another
 * mode. */
void kad_reach_look(struct kad *kad);

#endif

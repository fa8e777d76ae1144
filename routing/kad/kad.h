/* What the parts of one Kademlia node share. Private to routing/kad; the door is routing/routing.h.
 * Loop thread only. */
#ifndef ROUTING_KAD_KAD_H
#define ROUTING_KAD_KAD_H

#include "routing/kad/client.h"
#include "routing/kad/near.h"
#include "routing/kad/netsize.h"
#include "routing/kad/provide.h"
#include "routing/kad/reach.h"
#include "routing/kad/server.h"
#include "routing/kad/upkeep.h"

#define KAD_QUERIES_MAX 256 /* searches in flight */
#define KAD_OWN_ADDRS_MAX 32

struct kad {
	struct router router; /* first: the door's pointer */
	struct swarm *swarm;
	struct db *db;
	struct timers *timers;
	struct random *random;
	struct kad_config config; /* no zero fields; pointers not borrowed except protocol, below */
	char protocol[SWARM_PROTOCOL_MAX];
	char peers_table[32];
	struct kad_filter filter;
	struct kad_buckets table;
	struct kad_near near;
	struct kad_netsize netsize;
	struct kad_providers providers;
	struct kad_values values;
	struct kad_client *client;
	struct kad_server_view view;
	struct kad_server *server; /* while we serve */
	struct kad_reach reach;
	struct swarm_watch watch;
	struct list queries;
	unsigned query_count;
	struct kad_upkeep upkeep;
	struct list sweeps; /* announcing many keys (provide.c) */
	unsigned sweep_count;
	void (*on_first_peer)(struct kad *kad); /* the table was empty */
	uint64_t answered_ms;			/* when anybody answered last */
	uint64_t queries_total, queries_failed;
};

static inline struct kad *kad_of(struct router *router)
{
	return container_of(router, struct kad, router);
}

/* ---- node.c ---- */

uint64_t kad_now(const struct kad *kad); /* loop clock */
uint64_t kad_wall_ms(void);
/* Our addresses that pass the filter. */
size_t kad_own_addrs(void *kad, struct multiaddr *addrs, size_t max);
/* The peer answered, or identify says that it speaks our protocol: adds it to the table if it
 * fits. */
void kad_peer_answered(struct kad *kad, const struct peer_id *peer);
/* The peer did not answer: removes it from the table, unless err is due to our own limits (-EAGAIN,
 * -ECANCELED). */
void kad_peer_failed(struct kad *kad, const struct peer_id *peer, int err);

/* The peer does not speak our protocol: removes it. */
void kad_peer_unfit(struct kad *kad, const struct peer_id *peer);

/* Begins or ends answering others. Peers learn of it by identify. */
void kad_serve(struct kad *kad, bool serve);

/* Puts the peers that the table held before, by the db, back into it. */
void kad_load_peers(struct kad *kad);

#endif

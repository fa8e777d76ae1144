/* Kademlia worlds: tables as after a long life, churn, and lookups that are measured against the
 * truth. */
#ifndef TESTS_SIM_LOOKUP_H
#define TESTS_SIM_LOOKUP_H

#include "tests/sim/world.h"

/* count nodes whose tables are already full of each other, as after a restart with saved tables. */
void lookup_populate(struct world *world, unsigned count, const struct node_config *config);

/* Over ms, share of 100 of the nodes leave, half of them without a word; for each `each` of them a
 * new one joins by its bootstrap nodes. Runs the world. Those that spare (may be NULL) names stay.
 */
struct churn {
	unsigned share, each;
	uint64_t ms;
	const struct node_config *config;
	bool (*spare)(void *ctx, const struct node *node);
	void *ctx;
};

void lookup_churn(struct world *world, const struct churn *churn);

struct lookup_sums {
	unsigned lookups;
	unsigned found;	  /* the nearest living server was among those that answered */
	uint64_t nearest; /* of the true 20 nearest, how many were */
	uint64_t hops;	  /* from a peer of the own table to the nearest that answered */
	uint64_t hops_max;
	uint64_t asked;	 /* questions sent */
	uint64_t failed; /* not answered */
	uint64_t ms;
	unsigned overdue; /* ended by their deadline */
};

/* count lookups of random keys by random nodes, a few at a time. Runs the world. */
struct lookup_sums lookup_many(struct world *world, unsigned count);

#endif

/* Peers that mean harm. Most are real swarms with handlers of their own, so what they send passes
 * yamux and multistream; a vandal writes on the naked connection. */
#ifndef TESTS_SIM_EVIL_H
#define TESTS_SIM_EVIL_H

#include "tests/sim/world.h"

enum evil_kind {
	EVIL_LIAR,   /* has every block, and sends other bytes in its place */
	EVIL_TEASE,  /* has every block, and never sends one */
	EVIL_MUTE,   /* takes streams and says nothing */
	EVIL_BABBLE, /* answers and opens streams with random bytes */
	EVIL_SYBIL,  /* Kademlia: knows nobody but the others of its kind, keeps no record */
};

struct evil;

/* config as node_new()'s: exchange and Kademlia are left out of it. */
struct evil *evil_new(struct world *world, enum evil_kind kind, const struct node_config *config);
/* Its peers in crime, all of whom it names to whoever asks. Borrowed. */
void evil_friends(struct evil *evil, struct evil *const *friends, size_t count);
struct node *evil_node(const struct evil *evil);
/* How many requests (messages, streams) it had. */
unsigned evil_asked(const struct evil *evil);
/* After its world is gone. */
void evil_free(struct evil *evil);

/* Dials and writes random bytes (or, quiet, nothing at all) until it is thrown out. */
struct vandal;
struct vandal *vandal_new(struct world *world, struct node *victim, bool quiet);
bool vandal_is_out(const struct vandal *vandal);
/* Before its world is freed. */
void vandal_free(struct vandal *vandal);

#endif

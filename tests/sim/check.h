/* The invariants of a world, checked while it runs and when it ends. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "tests/sim/world.h"

/* Every want is answered by its deadline; every table, queue and count of each node (of a slice of
 * them, when there are many) is within its limit. */
void check_world(struct world *world);
/* Everything is closed: nothing is left. */
void check_end(struct world *world);

#endif

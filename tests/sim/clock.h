/* What the code under test asks of the system and a simulation must decide: the wall clock, and the
 * randomness of hash tables. The linker puts these in the place of the real ones (--wrap, see Makefile);
 * they have no context to carry, so this is the one place of the simulator with state of its own. */
#ifndef TESTS_SIM_CLOCK_H
#define TESTS_SIM_CLOCK_H

#include "net/base/random.h"

#include <stdint.h>

/* The wall clock says start_ns from now on, and goes with *now_ms. */
void clock_set(uint64_t start_ns, const uint64_t *now_ms);

uint64_t __wrap_wallclock_ns(void);
struct random __wrap_random_system(void);

#endif

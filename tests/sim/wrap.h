/* What the code under test asks of the system, and a simulation must decide: the wall clock, and
 * the randomness of hash tables. The linker puts these in the place of the real ones (--wrap, see
 * Makefile); they have no context to carry, so this is the one place of the simulator with state of
 * its own.
 *
 * Signatures are remembered, too: every node's record is signed and checked with the same outcome
 * for each of its thousands of connections, which were a third of a run. */
#ifndef TESTS_SIM_WRAP_H
#define TESTS_SIM_WRAP_H

#include "net/base/random.h"
#include "net/wire/key.h"

/* The wall clock says start_ns from now on, and goes with *now_ms (NULL: it stands). Forgets
 * signatures. */
void wrap_start(uint64_t start_ns, const uint64_t *now_ms);

uint64_t __wrap_wallclock_ns(void);
struct random __wrap_random_system(void);
int __real_public_key_verify(const struct public_key *key, struct bytes message,
			     struct bytes signature);
int __wrap_public_key_verify(const struct public_key *key, struct bytes message,
			     struct bytes signature);
void __real_identity_sign(const struct identity *identity, struct bytes message,
			  uint8_t signature[static 64]);
void __wrap_identity_sign(const struct identity *identity, struct bytes message,
			  uint8_t signature[static 64]);

#endif

/* A run of the simulator: scenarios, what they expect, and how it went. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "tests/sim/world.h"

struct sim {
	uint64_t seed;
	unsigned nodes; /* asked for; 0: the scenario's own number */
	unsigned passed, failed;
	uint64_t trace; /* of the scenario that ended last */
	bool quiet;	/* a second run of the same: only what fails is said */
};

/* A scenario makes one world with sim_world(), lives in it, says what it expects, and ends it with
 * sim_end(), which also expects that no invariant broke and nothing was left behind. */
typedef void scenario_fn(struct sim *sim);

struct world *sim_world(struct sim *sim);
void sim_end(struct sim *sim, struct world *world);
/* One expectation, printed. Returns ok. */
bool sim_expect(struct sim *sim, bool ok, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A line for the reader. */
void sim_say(const struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline unsigned sim_nodes(const struct sim *sim, unsigned own)
{
	return sim->nodes ? sim->nodes : own;
}

/* run_bitswap.c */
scenario_fn run_one_source, run_four_sources, run_small_blocks, run_greedy, run_vanish,
	run_partition, run_loss, run_jump, run_nat;
/* run_hostile.c */
scenario_fn run_wrong_blocks, run_silent, run_garbage;
/* run_sources.c */
scenario_fn run_slow_beside_fast, run_source_returns, run_idle_crowd;
/* run_crowd.c */
scenario_fn run_crowd;
/* run_kad.c */
scenario_fn run_lookups, run_provide, run_sybils, run_split, run_mixed;
/* run_provide.c */
scenario_fn run_sweep, run_sweep_100000;

#endif

/* The simulator: runs the fixed set of scenarios, or one, from a seed. See README.md. */
#include "tests/sim/sim.h"

#include "net/base/log.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEED 20261121
#define LEAK_MAX 65536 /* bytes that libraries may keep of a run */

enum when {
	ONCE,
	TWICE, /* and again: the trace must be the same */
	ASKED, /* long: only when asked for by its name */
};

static const struct scenario {
	const char *name;
	scenario_fn *run;
	unsigned nodes; /* given to it in the fixed set; 0: its own */
	enum when when;
} scenarios[] = {
	{ "one-source", run_one_source, 0, TWICE },
	{ "four-sources", run_four_sources, 0, TWICE },
	{ "small-blocks", run_small_blocks, 0, ONCE },
	{ "greedy", run_greedy, 0, ONCE },
	{ "vanish", run_vanish, 0, TWICE },
	{ "partition", run_partition, 0, ONCE },
	{ "loss", run_loss, 0, TWICE },
	{ "jump", run_jump, 0, ONCE },
	{ "nat", run_nat, 0, ONCE },
	{ "wrong-blocks", run_wrong_blocks, 0, TWICE },
	{ "silent", run_silent, 0, ONCE },
	{ "garbage", run_garbage, 0, TWICE },
	{ "lookups", run_lookups, 100, TWICE },
	{ "lookups", run_lookups, 1000, ONCE },
	{ "lookups", run_lookups, 10000, ONCE },
	{ "provide", run_provide, 0, ONCE },
	{ "sybils", run_sybils, 0, ONCE },
	{ "split", run_split, 0, ONCE },
	{ "mixed", run_mixed, 0, TWICE },
	{ "sweep", run_sweep, 200, ONCE },
	{ "sweep-100000", run_sweep_100000, 1000, ASKED },
};

/* ---- what scenarios say ---- */

struct world *sim_world(struct sim *sim)
{
	return world_new(sim->seed);
}

bool sim_expect(struct sim *sim, bool ok, const char *fmt, ...)
{
	va_list args;

	if (ok)
		sim->passed++;
	else
		sim->failed++;
	if (ok && sim->quiet)
		return ok;
	printf("  %s ", ok ? "ok  " : "FAIL");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return ok;
}

void sim_say(const struct sim *sim, const char *fmt, ...)
{
	va_list args;

	if (sim->quiet)
		return;
	printf("       ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

void sim_end(struct sim *sim, struct world *world)
{
	double seconds = (double)(world->now_ms) / 1000;
	const struct simnet net = world->net;
	unsigned broken = 0;

	world->broken_out = &broken;
	world_free(world);
	sim->trace = net.trace;
	sim_say(sim, "%.0f virtual seconds, %llu connections, %llu segments", seconds,
		(unsigned long long)net.links, (unsigned long long)net.segments);
	sim_expect(sim, broken == 0, "invariants held, nothing left behind (%u broken)", broken);
}

/* ---- running ---- */

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void run_one(struct sim *sim, const struct scenario *scenario, unsigned nodes)
{
	double start = now_s();
	uint64_t trace;

	sim->nodes = nodes;
	sim->quiet = false;
	printf("%s%s%.0u\n", scenario->name, nodes ? " " : "", nodes);
	fflush(stdout);
	scenario->run(sim);
	trace = sim->trace;
	if (scenario->when == TWICE && nodes == scenario->nodes) {
		size_t before = allocated();

		sim->quiet = true;
		scenario->run(sim);
		sim->quiet = false;
		sim_expect(sim, sim->trace == trace, "again, with the same trace");
		sim_expect(sim, allocated() <= before + LEAK_MAX, "and no memory was lost");
	}
	printf("       trace %016llx, %.1f s\n", (unsigned long long)trace, now_s() - start);
}

static int usage(void)
{
	fprintf(stderr, "usage: sim [SEED [SCENARIO [NODES]]]\nscenarios:");
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		fprintf(stderr, " %s", scenarios[i].name);
	fprintf(stderr, "\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct sim sim = { .seed = argc > 1 && *argv[1] ? strtoull(argv[1], NULL, 0) : SEED };
	const char *only = argc > 2 && *argv[2] ? argv[2] : NULL;
	unsigned nodes = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 0;
	bool any = false;

	if (!getenv("DAGFS_LOG"))
		log_set_level("all", "error");
	printf("seed %llu\n", (unsigned long long)sim.seed);
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		if (only ? strcmp(only, scenarios[i].name) != 0 : scenarios[i].when == ASKED)
			continue;
		if (only && nodes && any)
			continue; /* of those that have one name, only the first is asked for */
		run_one(&sim, &scenarios[i], nodes ? nodes : scenarios[i].nodes);
		any = true;
	}
	if (!any)
		return usage();
	printf("%u passed, %u failed\n", sim.passed, sim.failed);
	return sim.failed ? 1 : 0;
}

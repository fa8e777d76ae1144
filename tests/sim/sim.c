/* The simulator: runs the fixed set of scenarios, or one, from a seed. See README.md. */
#include "tests/sim/sim.h"

#include "net/base/log.h"

#include <ctype.h>
#include <errno.h>
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

#define OWN 0		/* nodes that the scenario knows itself */
#define NODES_MIN 50	/* fewer are no net */
#define NODES_MAX 20000 /* beyond, addresses are no more of a /16 each */

static const struct scenario {
	const char *name;
	scenario_fn *run;
	unsigned nodes; /* given to it in the fixed set */
	bool sized;	/* takes NODES */
	enum when when;
	const char *what;
} scenarios[] = {
	{ "one-source", run_one_source, OWN, false, TWICE, "a reader, a source: its rate" },
	{ "four-sources", run_four_sources, OWN, false, TWICE,
	  "a reader, four unequal sources: the sum of their rates" },
	{ "small-blocks", run_small_blocks, OWN, false, ONCE,
	  "9 000 small blocks far away: round trips" },
	{ "greedy", run_greedy, OWN, false, ONCE, "eight readers of a source, one of them greedy" },
	{ "vanish", run_vanish, OWN, false, TWICE, "three of four sources vanish in the middle" },
	{ "partition", run_partition, OWN, false, ONCE, "the reader is cut off, then it heals" },
	{ "loss", run_loss, OWN, false, TWICE, "segments are lost and late" },
	{ "jump", run_jump, OWN, false, ONCE, "all machines sleep for an hour" },
	{ "nat", run_nat, OWN, false, ONCE, "from a source that nobody can dial" },
	{ "slow-beside-fast", run_slow_beside_fast, OWN, false, TWICE,
	  "a slow source beside a fast one, from the start and before it" },
	{ "source-returns", run_source_returns, OWN, false, ONCE,
	  "the only source goes away and comes back" },
	{ "idle-crowd", run_idle_crowd, OWN, false, ONCE,
	  "who is read from, or reads, among a hundred idle peers" },
	{ "wrong-blocks", run_wrong_blocks, OWN, false, TWICE, "among liars" },
	{ "silent", run_silent, OWN, false, ONCE, "among those who promise, or say nothing" },
	{ "garbage", run_garbage, OWN, false, TWICE, "among those who write random bytes" },
	{ "crowd", run_crowd, OWN, false, ONCE, "a node of 1 000 peers: what a block costs it" },
	{ "lookups", run_lookups, 100, true, TWICE, "200 lookups under 20 % churn" },
	{ "lookups", run_lookups, 1000, true, ONCE, "" },
	{ "lookups", run_lookups, 10000, true, ONCE, "" },
	{ "provide", run_provide, OWN, true, ONCE, "30 keys found and fetched under churn" },
	{ "sybils", run_sybils, OWN, true, ONCE, "a key found though Sybils surround it" },
	{ "split", run_split, OWN, true, ONCE, "a net in two halves, and one again" },
	{ "mixed", run_mixed, OWN, true, TWICE, "churn, NATs, loss, evil ones: all at once" },
	{ "sweep", run_sweep, 200, true, ONCE, "10 000 keys announced; churn; a day later" },
	{ "sweep-100000", run_sweep_100000, 1000, true, ASKED,
	  "100 000 keys announced; not in the fixed set" },
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
	double seconds = (double)(world->now_ms - world->start_ms) / 1000;
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

/* Of this process: what others do on the machine does not count. */
static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void run_one(struct sim *sim, const struct scenario *scenario, unsigned nodes)
{
	double start = cpu_s();
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
	printf("       trace %016llx\n", (unsigned long long)trace);
	fflush(stdout);
	/* Not there, where two runs of one seed print the same. */
	fprintf(stderr, "       %.1f s of CPU\n", cpu_s() - start);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: sim [SEED [SCENARIO [NODES]]]\n"
		"\n"
		"An empty SEED or SCENARIO is as good as none: seed %d, the fixed set.\n"
		"NODES, %d to %d, is for the scenarios with a *.\n"
		"\n",
		SEED, NODES_MIN, NODES_MAX);
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		if (*scenarios[i].what)
			fprintf(stderr, "  %-14s%c %s\n", scenarios[i].name,
				scenarios[i].sized ? '*' : ' ', scenarios[i].what);
	return 2;
}

/* The whole of text, decimal or 0x. */
static bool number(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	return isdigit((unsigned char)*text) && !*end && !errno;
}

/* What is to be run. */
struct order {
	uint64_t seed;
	const char *only; /* NULL: the fixed set */
	unsigned nodes;	  /* 0: as many as it has by itself */
};

/* The first scenario of that name; NULL: there is none. */
static const struct scenario *named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

static bool order_parse(struct order *order, int argc, char **argv)
{
	const struct scenario *scenario;
	uint64_t nodes;

	*order = (struct order){ .seed = SEED };
	if (argc > 4 || (argc > 1 && *argv[1] && !number(argv[1], &order->seed)))
		return false;
	if (argc > 2 && *argv[2])
		order->only = argv[2];
	scenario = order->only ? named(order->only) : NULL;
	if (order->only && !scenario)
		return false;
	if (argc <= 3)
		return true;
	if (!number(argv[3], &nodes) || nodes < NODES_MIN || nodes > NODES_MAX ||
	    (scenario && !scenario->sized))
		return false;
	order->nodes = (unsigned)nodes;
	return true;
}

static bool is_asked_for(const struct order *order, const struct scenario *scenario)
{
	if (order->only ? strcmp(order->only, scenario->name) != 0 : scenario->when == ASKED)
		return false;
	/* With one number of nodes those of one name are one. */
	return !order->nodes || !scenario->sized || named(scenario->name) == scenario;
}

int main(int argc, char **argv)
{
	struct order order;
	struct sim sim = { 0 };

	if (!order_parse(&order, argc, argv))
		return usage();
	if (!getenv("DAGFS_LOG"))
		log_set_level("all", "error");
	sim.seed = order.seed;
	printf("seed %llu\n", (unsigned long long)sim.seed);
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		if (is_asked_for(&order, &scenarios[i]))
			run_one(&sim, &scenarios[i],
				order.nodes && scenarios[i].sized ? order.nodes
								  : scenarios[i].nodes);
	printf("%u passed, %u failed\n", sim.passed, sim.failed);
	return sim.failed ? 1 : 0;
}

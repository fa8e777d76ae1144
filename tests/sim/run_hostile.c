/* A reader among peers that mean harm, and one that does not. */
#include "tests/sim/evil.h"
#include "tests/sim/fetch.h"
#include "tests/sim/sim.h"

#define MB 1000000u
#define EVIL 4
#define VANDALS 6

struct village {
	struct world *world;
	struct node *honest, *reader;
	struct evil *evil[EVIL];
	struct tree tree;
	struct fetch fetch;
};

/* The evil ones are nearer than the honest one. */
static void settle(struct village *village, struct sim *sim, enum evil_kind kind)
{
	struct node_config near = { .host = { .latency_ms = 5 } };
	struct node_config far = { .host = { .latency_ms = 50, .up = 4 * MB } };
	bool all = true;

	village->world = sim_world(sim);
	village->honest = node_new(village->world, &far);
	village->reader = node_new(village->world, &near);
	village->tree = tree_make(20, 256, 65536, 128, &village->honest, 1);
	for (int i = 0; i < EVIL; i++) {
		village->evil[i] = evil_new(village->world, kind, &near);
		all &= node_connect(village->reader, evil_node(village->evil[i]));
	}
	all &= node_connect(village->reader, village->honest);
	world_run(village->world, 2000);
	sim_expect(sim, all, "connected to %d evil peers and an honest one", EVIL);
}

static int is_whole(void *ctx, struct bytes multihash, struct bytes data)
{
	struct cid cid;

	(void)ctx;
	return cid_make(&cid, 1, CODEC_RAW, multihash) || cid_verify(&cid, data);
}

static void read_all(struct village *village, struct sim *sim)
{
	unsigned asked = 0;
	double seconds;

	fetch_start(&village->fetch, village->reader, &village->tree.root, 256, 120000, 0);
	world_until(village->world, &village->fetch.done, 400000);
	for (int i = 0; i < EVIL; i++)
		asked += evil_asked(village->evil[i]);
	seconds = (double)(village->fetch.end_ms - village->fetch.start_ms) / 1000;
	sim_expect(sim, asked > 0, "the evil ones were asked (%u times)", asked);
	sim_expect(sim, village->fetch.done && village->fetch.blocks == village->tree.blocks,
		   "all %zu blocks in %.1f s", village->tree.blocks, seconds);
	sim_expect(sim, seconds < 60, "in less than a minute");
	sim_expect(sim, store_each(village->reader->store, is_whole, NULL) == 0,
		   "no wrong block is in the store");
}

static void leave(struct village *village, struct sim *sim)
{
	fetch_end(&village->fetch);
	sim_end(sim, village->world);
	for (int i = 0; i < EVIL; i++)
		evil_free(village->evil[i]);
}

static void run_kind(struct sim *sim, enum evil_kind kind)
{
	struct village village;

	settle(&village, sim, kind);
	read_all(&village, sim);
	leave(&village, sim);
}

void run_wrong_blocks(struct sim *sim)
{
	run_kind(sim, EVIL_LIAR);
}

void run_silent(struct sim *sim)
{
	run_kind(sim, EVIL_TEASE);
	run_kind(sim, EVIL_MUTE);
}

/* Random bytes on streams, and on naked connections; and some that say nothing at all. */
void run_garbage(struct sim *sim)
{
	struct vandal *vandals[VANDALS];
	struct village village;
	bool out = true;

	settle(&village, sim, EVIL_BABBLE);
	for (int i = 0; i < VANDALS; i++)
		vandals[i] = vandal_new(village.world, village.reader, i % 2);
	read_all(&village, sim);
	world_run(village.world, 120000);
	for (int i = 0; i < VANDALS; i++)
		out &= vandal_is_out(vandals[i]);
	sim_expect(sim, out, "who writes garbage or nothing is thrown out");
	for (int i = 0; i < VANDALS; i++)
		vandal_free(vandals[i]);
	leave(&village, sim);
}

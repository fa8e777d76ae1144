/* Fetching trees: one source, several, many readers; sources that vanish, links that fail. */
#include "tests/sim/fetch.h"
#include "tests/sim/sim.h"

#define MB 1000000u
#define FETCH_MS 600000 /* a fetch that takes longer is lost */

static struct node *source(struct world *world, uint64_t up, unsigned latency_ms)
{
	struct node_config config = { .host = { .up = up, .latency_ms = latency_ms } };

	return node_new(world, &config);
}

static struct node *reader(struct world *world)
{
	struct node_config config = { .host = { .latency_ms = 10 } };

	return node_new(world, &config);
}

static bool connect_all(struct node *from, struct node *const *to, size_t count)
{
	bool all = true;

	for (size_t i = 0; i < count; i++)
		all &= node_connect(from, to[i]);
	world_run(from->world, 2000); /* identify */
	return all;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* How well a fetch used what its sources can send together. */
static void expect_share(struct sim *sim, const struct fetch *fetch, const struct tree *tree,
			 uint64_t rate, double least)
{
	struct exchange_stats stats;
	double share = fetch_rate(fetch) / (double)rate;

	exchange_stats(fetch->node->exchange, &stats);
	sim_expect(sim, fetch->done && fetch->blocks == tree->blocks,
		   "all %zu blocks (%.1f MB) in %.2f s", tree->blocks, (double)tree->bytes / MB,
		   (double)(fetch->end_ms - fetch->start_ms) / 1000);
	sim_expect(sim, share >= least, "%.2f of the sources' %.1f MB/s (at least %.2f)", share,
		   (double)rate / MB, least);
	sim_expect(sim, percent(stats.duplicate_bytes, tree->bytes) < 2,
		   "%.2f %% of the bytes twice (below 2 %%)",
		   percent(stats.duplicate_bytes, tree->bytes));
}

void run_one_source(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node *from = source(world, 4 * MB, 20);
	struct node *to = reader(world);
	struct tree tree = tree_make(1, 512, 65536, 128, &from, 1);
	struct fetch fetch;

	sim_expect(sim, connect_all(to, &from, 1), "connected");
	fetch_start(&fetch, to, &tree.root, 512, 60000, 0);
	world_until(world, &fetch.done, FETCH_MS);
	expect_share(sim, &fetch, &tree, 4 * MB, 0.85);
	fetch_end(&fetch);
	sim_end(sim, world);
}

void run_four_sources(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node *from[4] = { source(world, 8 * MB, 20), source(world, 4 * MB, 40),
				 source(world, 2 * MB, 15), source(world, 1 * MB, 60) };
	struct node *to = reader(world);
	struct tree tree = tree_make(2, 2048, 65536, 128, from, 4);
	struct fetch fetch;

	sim_expect(sim, connect_all(to, from, 4), "connected to four");
	fetch_start(&fetch, to, &tree.root, 512, 60000, 0);
	world_until(world, &fetch.done, FETCH_MS);
	expect_share(sim, &fetch, &tree, 15 * MB, 0.85);
	for (int i = 0; i < 4; i++) {
		struct exchange_stats stats;

		exchange_stats(from[i]->exchange, &stats);
		sim_say(sim, "source of %d MB/s sent %.1f MB", (int[]){ 8, 4, 2, 1 }[i],
			(double)stats.bytes_sent / MB);
	}
	fetch_end(&fetch);
	sim_end(sim, world);
}

/* 9 000 small blocks over a round trip of 100 ms: what counts is how often the reader has to wait.
 */
void run_small_blocks(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node_config far = { .host = { .latency_ms = 40, .up = 100 * MB } };
	struct node *from = node_new(world, &far);
	struct node *to = reader(world);
	struct tree tree = tree_make(3, 9000, 1500, 64, &from, 1);
	struct fetch fetch;
	double rounds;

	sim_expect(sim, connect_all(to, &from, 1), "connected");
	fetch_start(&fetch, to, &tree.root, 1024, 60000, 0);
	world_until(world, &fetch.done, FETCH_MS);
	rounds = (double)(fetch.end_ms - fetch.start_ms) / 100;
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks, "all %zu blocks", tree.blocks);
	sim_expect(sim, rounds < 8 * (double)tree.depth,
		   "%.1f round trips for a tree of depth %zu (below 8 times that)", rounds,
		   tree.depth);
	fetch_end(&fetch);
	sim_end(sim, world);
}

/* Eight readers of one source; the first has four sessions and asks for all it may. */
void run_greedy(struct sim *sim)
{
	enum { READERS = 8, GREEDY = 4 };
	struct world *world = sim_world(sim);
	struct node *from = source(world, 8 * MB, 20);
	struct node *to[READERS];
	struct fetch fetch[READERS + GREEDY - 1];
	uint64_t sum = 0, greedy = 0, least = UINT64_MAX;

	for (int i = 0; i < READERS; i++) {
		to[i] = reader(world);
		connect_all(to[i], &from, 1);
	}
	for (int i = 0; i < READERS + GREEDY - 1; i++) {
		bool first = i < GREEDY;
		struct tree tree = tree_make(10 + (unsigned)i, 600, 65536, 128, &from, 1);

		fetch_start(&fetch[i], to[first ? 0 : i - GREEDY + 1], &tree.root, first ? 512 : 64,
			    300000, 0);
	}
	world_run(world, 20000);
	for (int i = 0; i < READERS + GREEDY - 1; i++) {
		sum += fetch[i].bytes;
		if (i < GREEDY)
			greedy += fetch[i].bytes;
		else if (fetch[i].bytes < least)
			least = fetch[i].bytes;
	}
	sim_expect(sim, percent(greedy, sum) < 1.5 * 100 / READERS,
		   "the greedy one of %d got %.1f %% (below one and a half shares)", READERS,
		   percent(greedy, sum));
	sim_expect(sim, percent(least, sum) > 0.5 * 100 / READERS,
		   "the poorest got %.1f %% (above half a share)", percent(least, sum));
	for (int i = 0; i < READERS + GREEDY - 1; i++)
		fetch_end(&fetch[i]);
	sim_end(sim, world);
}

/* Two of four sources die without a word and one closes, in the middle. */
void run_vanish(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node *from[4] = { source(world, 4 * MB, 20), source(world, 4 * MB, 30),
				 source(world, 2 * MB, 40), source(world, 2 * MB, 25) };
	struct node *to = reader(world);
	struct tree tree = tree_make(4, 1024, 65536, 128, from, 4);
	struct fetch fetch;

	sim_expect(sim, connect_all(to, from, 4), "connected to four");
	fetch_start(&fetch, to, &tree.root, 512, 120000, 0);
	world_run(world, 2000);
	node_stop(from[0], true);
	node_stop(from[1], false);
	world_run(world, 1000);
	node_stop(from[2], true);
	world_until(world, &fetch.done, FETCH_MS);
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks,
		   "all %zu blocks in %.1f s though three of four sources vanished", tree.blocks,
		   (double)(fetch.end_ms - fetch.start_ms) / 1000);
	fetch_end(&fetch);
	sim_end(sim, world);
}

/* The reader's net is cut off for longer than its wants live; then it heals. */
void run_partition(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node *from = source(world, 2 * MB, 20);
	struct node *to = reader(world);
	struct tree tree = tree_make(5, 512, 65536, 128, &from, 1);
	struct fetch fetch;
	size_t before;

	sim_expect(sim, connect_all(to, &from, 1), "connected");
	fetch_start(&fetch, to, &tree.root, 64, 20000, 0);
	world_run(world, 3000);
	before = fetch.blocks;
	to->host->island = 1;
	simnet_rewire(&world->net);
	world_until(world, &fetch.done, 200000);
	sim_expect(sim, fetch.done && fetch.failed > 0,
		   "cut off after %zu blocks, %zu wants ended with an error in time", before,
		   fetch.failed);
	fetch_end(&fetch);
	to->host->island = 0;
	simnet_rewire(&world->net);
	world_run(world, 60000);
	sim_expect(sim, node_connect(to, from), "connected again after it healed");
	world_run(world, 2000);
	fetch_start(&fetch, to, &tree.root, 64, 20000, 0);
	world_until(world, &fetch.done, 200000);
	sim_expect(sim, fetch.blocks == tree.blocks, "all %zu blocks after it healed",
		   fetch.blocks);
	fetch_end(&fetch);
	sim_end(sim, world);
}

void run_loss(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node_config bad = {
		.host = { .up = 4 * MB, .latency_ms = 60, .jitter_ms = 40, .loss = 200 }
	};
	struct node *from[2] = { node_new(world, &bad), node_new(world, &bad) };
	struct node *to = reader(world);
	struct tree tree = tree_make(6, 512, 65536, 128, from, 2);
	struct fetch fetch;

	sim_expect(sim, connect_all(to, from, 2), "connected");
	fetch_start(&fetch, to, &tree.root, 256, 60000, 0);
	world_until(world, &fetch.done, FETCH_MS);
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks && fetch.failed == 0,
		   "all %zu blocks in %.1f s, %llu of %llu segments lost", tree.blocks,
		   (double)(fetch.end_ms - fetch.start_ms) / 1000,
		   (unsigned long long)world->net.lost, (unsigned long long)world->net.segments);
	fetch_end(&fetch);
	sim_end(sim, world);
}

/* The machine sleeps for an hour in the middle, as a laptop does. */
void run_jump(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node *from = source(world, 2 * MB, 20);
	struct node *to = reader(world);
	struct tree tree = tree_make(7, 512, 65536, 128, &from, 1);
	struct fetch fetch;

	sim_expect(sim, connect_all(to, &from, 1), "connected");
	fetch_start(&fetch, to, &tree.root, 64, 60000, 0);
	world_run(world, 3000);
	world_jump(world, 3600000);
	world_until(world, &fetch.done, 200000);
	sim_expect(sim, fetch.done, "every want was answered (%zu blocks, %zu too late)",
		   fetch.blocks, fetch.failed);
	fetch_end(&fetch);
	sim_expect(sim, node_connect(to, from), "connected after the jump");
	world_run(world, 2000);
	fetch_start(&fetch, to, &tree.root, 64, 60000, 0);
	world_until(world, &fetch.done, 200000);
	sim_expect(sim, fetch.blocks == tree.blocks, "all %zu blocks after the jump", fetch.blocks);
	fetch_end(&fetch);
	sim_end(sim, world);
}

/* Nobody can dial the reader, nor the second source: it dialled the reader's friend. */
void run_nat(struct sim *sim)
{
	struct world *world = sim_world(sim);
	struct node_config hidden = { .host = { .nat = true, .latency_ms = 20, .up = 4 * MB } };
	struct node *from = source(world, 4 * MB, 20);
	struct node *nat = node_new(world, &hidden);
	struct node *other = node_new(world, &hidden);
	struct tree tree = tree_make(8, 128, 65536, 128, &nat, 1);
	struct fetch fetch;

	sim_expect(sim, !node_connect(from, nat) && !node_connect(other, nat),
		   "a node behind a NAT cannot be dialled");
	sim_expect(sim, node_connect(nat, from), "but it dials");
	world_run(world, 2000);
	fetch_start(&fetch, from, &tree.root, 64, 60000, 0);
	world_until(world, &fetch.done, FETCH_MS);
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks,
		   "and over its own connection all %zu blocks come", tree.blocks);
	fetch_end(&fetch);
	sim_end(sim, world);
}

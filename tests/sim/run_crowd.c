/* One node among a crowd of peers that want and have blocks: what a block costs it must not grow
 * with the crowd. Counted are messages and segments, never time. */
#include "tests/sim/fetch.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <time.h>

#define CROWD 1000
#define SMALL 10 /* the crowd is compared with one so many times smaller */
#define READ_LEAVES 4000
#define SERVED_LEAVES 15
#define ASIDE 3 /* messages that a session costs with each peer, whatever it reads */
#define READ_MOST                                                                                  \
	2.0 /* a question and an answer: what is asked of many comes in small messages             \
	     */
#define FETCH_MS 600000

/* Of the node in the middle, for one block. */
struct cost {
	double read_messages, read_segments; /* when it reads */
	double served_messages, served_segments;
	double read_us, served_us; /* of the processor, for the reader of these lines alone */
};

struct count {
	struct exchange_stats stats;
	uint64_t segments;
	clock_t clock;
};

static struct count count_now(const struct node *node)
{
	struct count count = { .segments = node->world->net.segments, .clock = clock() };

	exchange_stats(node->exchange, &count.stats);
	return count;
}

static double each(uint64_t after, uint64_t before, uint64_t blocks)
{
	return blocks ? (double)(after - before) / (double)blocks : 0;
}

static double messages(const struct count *after, const struct count *before, uint64_t blocks)
{
	return each(after->stats.messages_sent + after->stats.messages_received,
		    before->stats.messages_sent + before->stats.messages_received, blocks);
}

static double us_each(const struct count *after, const struct count *before, uint64_t blocks)
{
	return blocks ? (double)(after->clock - before->clock) * 1e6 / CLOCKS_PER_SEC /
				(double)blocks
		      : 0;
}

/* Everybody has the tree. */
static void read_it(struct sim *sim, struct node *middle, struct node **crowd, unsigned n,
		    struct cost *cost)
{
	struct tree tree = tree_make(30, READ_LEAVES, 1024, 64, crowd, n);
	struct count before = count_now(middle), after;
	struct fetch fetch;

	fetch_start(&fetch, middle, &tree.root, 256, 60000, 0);
	world_until(middle->world, &fetch.done, FETCH_MS);
	after = count_now(middle);
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks,
		   "%u peers have them: all %zu blocks in %.2f s", n, tree.blocks,
		   (double)(fetch.end_ms - fetch.start_ms) / 1000);
	/* The crowd's price, not a block's: each peer is asked once, answers, and is told of the
	 * end. */
	after.stats.messages_sent -= ASIDE * n;
	after.segments -= ASIDE * n;
	cost->read_messages = messages(&after, &before, tree.blocks);
	cost->read_segments = each(after.segments, before.segments, tree.blocks);
	cost->read_us = us_each(&after, &before, tree.blocks);
	fetch_end(&fetch);
}

/* Everybody wants the tree. */
static void serve_it(struct sim *sim, struct node *middle, struct node **crowd, unsigned n,
		     struct cost *cost)
{
	struct tree tree = tree_make(31, SERVED_LEAVES, 1024, 64, &middle, 1);
	struct fetch *fetches = xcalloc(n, sizeof(*fetches));
	struct count before = count_now(middle), after;
	uint64_t sent;
	size_t whole = 0;

	for (unsigned i = 0; i < n; i++)
		fetch_start(&fetches[i], crowd[i], &tree.root, 64, 60000, 0);
	for (unsigned i = 0; i < n; i++) {
		world_until(middle->world, &fetches[i].done, FETCH_MS);
		whole += fetches[i].blocks == tree.blocks;
	}
	after = count_now(middle);
	sent = after.stats.blocks_sent - before.stats.blocks_sent;
	sim_expect(sim, whole == n, "%zu of %u peers got their %zu blocks", whole, n, tree.blocks);
	sim_expect(sim, sent == (uint64_t)n * tree.blocks, "each was sent once (%llu)",
		   (unsigned long long)sent);
	cost->served_messages = messages(&after, &before, sent);
	cost->served_segments = each(after.segments, before.segments, sent);
	cost->served_us = us_each(&after, &before, sent);
	for (unsigned i = 0; i < n; i++)
		fetch_end(&fetches[i]);
	free(fetches);
}

static struct cost live(struct sim *sim, unsigned n)
{
	struct world *world = sim_world(sim);
	struct node_config wide = { .host = { .latency_ms = 10 },
				    .low_water = 2 * n,
				    .high_water = 2 * n };
	struct node_config one = { .host = { .latency_ms = 20 } };
	struct node *middle = node_new(world, &wide);
	struct node **crowd = xcalloc(n, sizeof(struct node *));
	struct cost cost = { 0 };
	unsigned connected = 0;

	for (unsigned i = 0; i < n; i++) {
		crowd[i] = node_new(world, &one);
		connected += node_connect(crowd[i], middle);
	}
	world_run(world, 2000); /* identify */
	sim_expect(sim, connected == n, "%u of %u peers are connected to one node", connected, n);
	read_it(sim, middle, crowd, n, &cost);
	serve_it(sim, middle, crowd, n, &cost);
	sim_say(sim,
		"a block read: %.2f messages, %.2f segments, %.0f us; served: %.2f, %.2f, %.0f us",
		cost.read_messages, cost.read_segments, cost.read_us, cost.served_messages,
		cost.served_segments, cost.served_us);
	free(crowd);
	sim_end(sim, world);
	return cost;
}

static void expect_flat(struct sim *sim, const char *what, double few, double many)
{
	sim_expect(sim, many <= 1.5 * few,
		   "%s: %.2f with the whole crowd, %.2f with %u times fewer", what, many, few,
		   SMALL);
}

void run_crowd(struct sim *sim)
{
	unsigned n = sim_nodes(sim, CROWD);
	struct cost few = live(sim, n / SMALL ? n / SMALL : 1), many = live(sim, n);

	sim_expect(sim, few.read_messages <= READ_MOST && many.read_messages <= READ_MOST,
		   "messages of a block read: %.2f and %.2f (at most %.1f)", few.read_messages,
		   many.read_messages, READ_MOST);
	sim_expect(sim, few.read_segments <= 2 * READ_MOST && many.read_segments <= 2 * READ_MOST,
		   "segments of a block read: %.2f and %.2f (at most %.1f)", few.read_segments,
		   many.read_segments, 2 * READ_MOST);
	expect_flat(sim, "messages of a block served", few.served_messages, many.served_messages);
	expect_flat(sim, "segments of a block served", few.served_segments, many.served_segments);
}

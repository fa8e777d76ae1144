/* Announcing many keys: what a sweep over the key space costs, against one lookup for each key. */
#include "tests/sim/lookup.h"
#include "tests/sim/sim.h"

#include "net/swarm/swarm.h"
#include "net/wire/multihash.h"
#include "routing/kad/kad.h"

#include <stdlib.h>
#include <string.h>

#define K 20
#define HOUR_MS (3600ull * 1000)
#define FIND_MS 60000
#define SAMPLES 200
#define ALONE 1000     /* keys announced one by one, for comparison */
#define ALONE_ACTIVE 8 /* so many side by side */
#define SWEEP_MS (6 * HOUR_MS)
#define KEY_LEN 34

static struct bytes key_of(uint64_t number, uint8_t out[static KEY_LEN])
{
	out[0] = 0x12;
	out[1] = 0x20;
	sha256(out + 2, bytes_of(&number, sizeof(number)));
	return bytes_of(out, KEY_LEN);
}

/* ---- cost ---- */

struct cost {
	uint64_t links, messages, bytes, ms;
};

/* Of the whole net, but nobody else does anything. */
static struct cost cost_now(struct node *node)
{
	const struct world *world = node->world;
	struct kad_stats stats;

	kad_stats(node->kad, &stats);
	return (struct cost){ world->net.links, stats.messages_sent, world->net.bytes,
			      world->now_ms };
}

static struct cost cost_since(struct node *node, const struct cost *start)
{
	struct cost now = cost_now(node);

	return (struct cost){ now.links - start->links, now.messages - start->messages,
			      now.bytes - start->bytes, now.ms - start->ms };
}

/* Of `times` as many keys when each costs the same. */
static void say_cost(struct sim *sim, const char *how, unsigned nodes, unsigned keys,
		     const struct cost *cost, unsigned times)
{
	sim_say(sim, "| %u | %u | %s | %llu | %llu | %.1f | %llu s |", nodes, keys * times, how,
		(unsigned long long)cost->links * times, (unsigned long long)cost->messages * times,
		(double)cost->bytes * times / 1e6, (unsigned long long)cost->ms / 1000 * times);
}

/* ---- one by one ---- */

struct alone {
	struct node *node;
	unsigned started, open, failed;
	bool done;
};

static void alone_more(struct alone *alone);

static void on_alone(void *ctx, int err, unsigned count)
{
	struct alone *alone = ctx;

	(void)count;
	alone->open--;
	alone->failed += err != 0;
	alone_more(alone);
}

static void alone_more(struct alone *alone)
{
	struct world *world = alone->node->world;
	uint8_t key[KEY_LEN];

	while (alone->open < ALONE_ACTIVE && alone->started < ALONE) {
		alone->started++;
		alone->open++;
		routing_provide(alone->node->kad, key_of(UINT64_MAX - alone->started, key),
				world->now_ms + 3 * FIND_MS, on_alone, alone);
	}
	alone->done = alone->open == 0;
}

static struct cost one_by_one(struct sim *sim, struct node *node)
{
	struct alone alone = { .node = node };
	struct cost start = cost_now(node);

	alone_more(&alone);
	world_until(node->world, &alone.done, SWEEP_MS);
	sim_expect(sim, alone.done && alone.failed == 0, "%u keys announced one by one", ALONE);
	return cost_since(node, &start);
}

/* ---- all at once ---- */

static uint64_t provided(const struct node *node)
{
	struct announcer_stats stats;

	announcer_stats(node->announcer, &stats);
	return stats.announced;
}

static struct cost all_at_once(struct sim *sim, struct node *node, unsigned keys)
{
	struct cost start = cost_now(node);
	unsigned refused = 0;
	uint8_t key[KEY_LEN];

	for (unsigned i = 0; i < keys; i++)
		refused += announcer_start(node->announcer, key_of(i, key)) != 0;
	while (provided(node) < keys && node->world->now_ms - start.ms < SWEEP_MS)
		world_run(node->world, 1000);
	sim_expect(sim, refused == 0 && provided(node) >= keys, "%llu of %u keys announced",
		   (unsigned long long)provided(node), keys);
	return cost_since(node, &start);
}

/* ---- found ---- */

struct finding {
	bool done;
	unsigned count;
};

static void on_found(void *ctx, const struct peer_info *info)
{
	(void)info;
	((struct finding *)ctx)->count++;
}

static void on_found_all(void *ctx, int err, unsigned count)
{
	(void)err;
	(void)count;
	((struct finding *)ctx)->done = true;
}

static bool is_found(struct node *reader, struct bytes key)
{
	struct finding finding = { 0 };

	routing_find_providers(reader->kad, key, 1, reader->world->now_ms + FIND_MS, on_found,
			       on_found_all, &finding);
	world_until(reader->world, &finding.done, 2 * FIND_MS);
	return finding.count > 0;
}

/* Of the K nodes nearest to key, without who announces it, how many have its record. */
static unsigned holders(const struct world *world, const struct node *provider, struct bytes key)
{
	const struct node *near[K + 1];
	struct place id = place_of_key(key);
	unsigned count = 0, have = 0;
	struct peer_id who;

	for (size_t i = 0; i < world->count; i++) {
		const struct node *node = world->nodes[i];
		unsigned at = count;

		if (!node || node == provider || node->closing)
			continue;
		while (at > 0 && place_closer(&id, &node->place, &near[at - 1]->place) < 0)
			at--;
		if (at == K)
			continue;
		count += count < K;
		memmove(&near[at + 1], &near[at], (count - at - 1) * sizeof(*near));
		near[at] = node;
	}
	for (unsigned i = 0; i < count; i++)
		have += kad_providers_get(&kad_of(near[i]->kad)->providers, key, kad_wall_ms(),
					  &who, 1) == 1;
	return have;
}

/* least: of 100 records where they belong. */
static void sample(struct sim *sim, struct node *provider, unsigned keys, unsigned least)
{
	struct world *world = provider->world;
	unsigned found = 0, records = 0;
	uint8_t key[KEY_LEN];

	for (unsigned i = 0; i < SAMPLES; i++) {
		struct bytes one = key_of(random_below(&world->random, keys), key);

		records += holders(world, provider, one);
		found += is_found(world_pick(world, provider, true), one);
	}
	sim_expect(sim, found == SAMPLES, "%u of %u keys found by random nodes", found, SAMPLES);
	sim_expect(sim, records >= SAMPLES * K / 100.0 * least,
		   "%.1f %% of their 20 nearest have the record (%u %%)",
		   100.0 * records / (SAMPLES * K), least);
}

/* ---- the scenarios ---- */

static const struct node_config idle = {
	.kad = true, .no_exchange = true, .refresh_ms = 100 * HOUR_MS, .keepalive_ms = HOUR_MS
};

static struct node *populate(struct world *world, unsigned nodes)
{
	lookup_populate(world, nodes, &idle);
	return world_pick(world, NULL, true);
}

static void compare(struct sim *sim, unsigned nodes, unsigned keys)
{
	struct world *world = sim_world(sim);
	struct node *node = populate(world, nodes);
	struct cost many = all_at_once(sim, node, keys), few;

	sample(sim, node, keys, 99);
	sim_end(sim, world);
	world = sim_world(sim);
	few = one_by_one(sim, populate(world, nodes));
	sim_say(sim, "| nodes | keys | how | connections | messages | MB | time |");
	say_cost(sim, "sweep", nodes, keys, &many, 1);
	say_cost(sim, "a lookup each", nodes, ALONE, &few, 1);
	say_cost(sim, "a lookup each (extrapolated)", nodes, ALONE, &few, keys / ALONE);
	sim_expect(sim, many.links <= 3ull * nodes, "three connections to a peer at most");
	sim_expect(sim, many.messages <= (K + 2ull) * keys,
		   "not much more than the %u messages a key that tell of it", K);
	sim_end(sim, world);
}

/* A day later each key was announced again, and never many at once. */
static void a_day(struct sim *sim, unsigned nodes, unsigned keys)
{
	struct world *world = sim_world(sim);
	struct node *node = populate(world, nodes);
	uint64_t before, most = 0;
	struct cost cost;

	all_at_once(sim, node, keys);
	before = provided(node);
	cost = cost_now(node);
	for (unsigned hour = 0; hour < 25; hour++) {
		uint64_t start = provided(node);

		world_run(world, HOUR_MS);
		if (provided(node) - start > most)
			most = provided(node) - start;
	}
	cost = cost_since(node, &cost);
	say_cost(sim, "again, 25 hours", nodes, keys, &cost, 1);
	sim_expect(sim, provided(node) - before >= keys, "announced again within 25 hours: %llu",
		   (unsigned long long)(provided(node) - before));
	sim_expect(sim, most <= keys / 10, "at most %llu of them in one hour",
		   (unsigned long long)most);
	sim_end(sim, world);
}

static bool is_spared(void *ctx, const struct node *node)
{
	return node == ctx;
}

/* A fifth of those that the tables name is gone, half of them without a word. */
static void among_the_dead(struct sim *sim, unsigned nodes, unsigned keys)
{
	struct world *world = sim_world(sim);
	struct node *node = populate(world, nodes);
	struct cost cost;

	lookup_churn(world, &(struct churn){ .share = 20,
					     .each = 1,
					     .ms = 60000,
					     .config = &idle,
					     .spare = is_spared,
					     .ctx = node });
	cost = all_at_once(sim, node, keys);
	say_cost(sim, "sweep after 20 % churn", nodes, keys, &cost, 1);
	sample(sim, node, keys, 97);
	sim_end(sim, world);
}

void run_sweep(struct sim *sim)
{
	compare(sim, sim_nodes(sim, 200), 10000);
	among_the_dead(sim, sim_nodes(sim, 200), 2000);
	a_day(sim, 40, 2000);
}

void run_sweep_100000(struct sim *sim)
{
	compare(sim, sim_nodes(sim, 1000), 100000);
}

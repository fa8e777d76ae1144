/* What a reader needs of its sources when one is slow, goes away and comes back, or is not the only
 * peer there is. */
#include "tests/sim/fetch.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define MB 1000000u
#define FETCH_MS 600000
#define BLOCK (256u << 10)
#define IDENTIFY_MS 2000

static struct node *reader(struct world *world)
{
	struct node_config config = { .host = { .latency_ms = 10 } };

	return node_new(world, &config);
}

/* ---- a slow one beside a fast one ---- */

#define FAST (10 * MB)
#define SLOW (300000 / 8)
#define SLOW_MS 140
#define TAIL_LEAVES 230 /* 60 MB */
#define TAIL_MOST 1.25
#define JOIN_MS 5000

/* Seconds from when the fast one was connected. With slow, it is there from the start, and alone
 * for alone_ms. */
static double fetch_beside(struct sim *sim, bool slow, uint64_t alone_ms, size_t window)
{
	struct world *world = sim_world(sim);
	struct node_config fast = { .host = { .latency_ms = 10, .up = FAST } };
	struct node_config trickle = { .host = { .latency_ms = SLOW_MS, .up = SLOW } };
	struct node *from[2] = { node_new(world, &fast), node_new(world, &trickle) };
	struct node *to = reader(world);
	struct tree tree = tree_make(40, TAIL_LEAVES, BLOCK, 256, from, 2);
	struct exchange_stats stats;
	struct fetch fetch;
	double seconds;

	if (slow)
		node_connect(to, from[1]);
	if (!alone_ms)
		node_connect(to, from[0]);
	world_run(world, IDENTIFY_MS);
	fetch_start(&fetch, to, &tree.root, window, FETCH_MS, 0);
	world_run(world, alone_ms);
	if (alone_ms)
		node_connect(to, from[0]);
	world_until(world, &fetch.done, FETCH_MS);
	exchange_stats(to->exchange, &stats);
	seconds = (double)(fetch.end_ms - fetch.start_ms - alone_ms) / 1000;
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks && fetch.failed == 0,
		   "all %zu blocks in %.2f s", tree.blocks, seconds);
	sim_expect(sim, stats.duplicate_bytes * 100 < 3 * tree.bytes,
		   "%.2f %% of the bytes twice (below 3 %%)",
		   100.0 * (double)stats.duplicate_bytes / (double)tree.bytes);
	fetch_end(&fetch);
	sim_end(sim, world);
	return seconds;
}

void run_slow_beside_fast(struct sim *sim)
{
	static const size_t windows[] = { 16, 64, 256 };

	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		double alone = fetch_beside(sim, false, 0, windows[i]);
		double both = fetch_beside(sim, true, 0, windows[i]);
		double later = fetch_beside(sim, true, JOIN_MS, windows[i]);

		sim_expect(sim, both <= TAIL_MOST * alone,
			   "%zu wants at once, beside a slow one: %.2f of the fast one's time (at "
			   "most %.2f)",
			   windows[i], both / alone, TAIL_MOST);
		sim_expect(sim, later <= TAIL_MOST * alone,
			   "it joins the slow one later: %.2f (at most %.2f)", later / alone,
			   TAIL_MOST);
	}
}

/* ---- the only one goes away ---- */

#define GONE_MS 30000
#define BACK_MS 10000 /* after so long it must deliver again */
#define RETURN_LEAVES 400

struct absence {
	const char *what;
	bool quiet;	/* it dies without a word */
	bool bystander; /* somebody is connected who has nothing */
	bool moved;	/* it returns at another address, which routing knows */
	uint64_t gone_ms;
};

static struct node *source_at(struct world *world, const uint8_t *seed, uint32_t ip, bool kad)
{
	struct node_config config = { .host = { .latency_ms = 20, .up = 4 * MB },
				      .seed = seed,
				      .ip = ip,
				      .kad = kad,
				      .bootstrap = kad ? 3 : 0 };

	return node_new(world, &config);
}

static void live_through(struct sim *sim, const struct absence *absence)
{
	static const uint8_t seed[32] = { 7 };
	struct world *world = sim_world(sim);
	struct node_config with_kad = { .host = { .latency_ms = 10 },
					.kad = absence->moved,
					.bootstrap = 3 };
	struct node *net[8] = { 0 };
	struct fetch fetch;
	size_t before;

	for (size_t i = 0; absence->moved && i < ARRAY_LEN(net); i++)
		net[i] = node_new(world, &with_kad);
	world_run(world, absence->moved ? 20000 : 0);
	struct node *from = source_at(world, seed, 0x0b0c0d07, absence->moved);
	struct node *to = node_new(
		world,
		absence->moved ? &with_kad : &(struct node_config){ .host = { .latency_ms = 10 } });
	struct tree tree = tree_make(41, RETURN_LEAVES, 65536, 128, &from, 1);

	world_run(world, absence->moved ? 20000 : 0);
	if (absence->bystander)
		node_connect(to, reader(world));
	sim_expect(sim, node_connect(to, from), "%s: connected", absence->what);
	world_run(world, IDENTIFY_MS);
	fetch_start(&fetch, to, &tree.root, 64, 300000, 0);
	world_run(world, 2000);
	node_stop(from, absence->quiet);
	world_run(world, absence->gone_ms);
	before = fetch.blocks;
	sim_expect(sim, !fetch.done && fetch.failed == 0,
		   "after %zu blocks it is gone for %llu s: nothing failed", before,
		   (unsigned long long)absence->gone_ms / 1000);
	from = source_at(world, seed, absence->moved ? 0x0b0c0e09 : 0x0b0c0d07, absence->moved);
	tree_make(41, RETURN_LEAVES, 65536, 128, &from, 1);
	uint64_t back_ms = world->now_ms;

	for (size_t i = 0; i < BACK_MS / 100 && fetch.blocks == before && !fetch.done; i++)
		world_run(world, 100);
	sim_expect(sim, fetch.blocks > before, "it goes on %.1f s after its return (at most %u s)",
		   (double)(world->now_ms - back_ms) / 1000, BACK_MS / 1000);
	world_until(world, &fetch.done, FETCH_MS);
	sim_expect(sim, fetch.blocks == tree.blocks && fetch.failed == 0, "all %zu blocks",
		   fetch.blocks);
	fetch_end(&fetch);
	sim_end(sim, world);
}

void run_source_returns(struct sim *sim)
{
	static const struct absence absences[] = {
		{ .what = "closed", .gone_ms = GONE_MS },
		{ .what = "closed, a bystander", .bystander = true, .gone_ms = GONE_MS },
		{ .what = "closed, for long", .gone_ms = 5 * GONE_MS },
		{ .what = "without a word", .quiet = true, .gone_ms = GONE_MS },
		{ .what = "at a new address", .moved = true, .gone_ms = GONE_MS },
	};

	for (size_t i = 0; i < ARRAY_LEN(absences); i++)
		live_through(sim, &absences[i]);
}

/* ---- the one that counts among a crowd of idle ones ---- */

#define IDLE 100
#define IDLE_STREAMS 5
#define TRIM_LEAVES 230
#define TRIM_MS 120000

static const char idle_protocol[] = "/idle/1.0.0";
static const char *const idle_protocols[] = { idle_protocol };

static void accept_idle(void *ctx, struct stream *stream)
{
	static const struct stream_events nothing;

	(void)ctx;
	stream_accept(stream, &nothing, NULL);
}

static void opened_idle(void *ctx, int err, struct stream *stream, const char *protocol)
{
	(void)protocol;
	if (!err)
		accept_idle(ctx, stream);
}

/* Nobody can dial it: what is trimmed stays away. down: the busy node reads of it, else it reads of
 * the busy node. */
static void keep_among_idle(struct sim *sim, bool down)
{
	struct world *world = sim_world(sim);
	struct node_config hidden = { .host = { .latency_ms = 20, .up = 1 * MB, .nat = true } };
	struct node_config busy = { .host = { .latency_ms = 10, .up = 1 * MB } };
	struct node_config one = { .host = { .latency_ms = 30 } };
	struct node *hub = node_new(world, &busy), *peer = node_new(world, &hidden);
	struct tree tree = tree_make(42, TRIM_LEAVES, BLOCK, 256, down ? &peer : &hub, 1);
	struct fetch fetch;
	unsigned connected = 0;

	swarm_handle(hub->swarm, idle_protocol, IDLE_STREAMS, accept_idle, NULL);
	node_connect(peer, hub);
	for (unsigned i = 0; i < IDLE; i++) {
		struct node *idler = node_new(world, &one);

		connected += node_connect(idler, hub);
		for (unsigned s = 0; s < IDLE_STREAMS; s++)
			swarm_open_stream(idler->swarm, &hub->id, idle_protocols, 1,
					  world->now_ms + 5000, opened_idle, NULL);
	}
	world_run(world, IDENTIFY_MS);
	sim_expect(sim, connected == IDLE, "%u idle peers hold %u streams each", connected,
		   IDLE_STREAMS);
	fetch_start(&fetch, down ? hub : peer, &tree.root, 256, TRIM_MS, 0);
	world_until(world, &fetch.done, FETCH_MS);
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks && fetch.failed == 0,
		   "%s whoever cannot be dialled: %zu of %zu blocks in %.1f s",
		   down ? "from" : "for", fetch.blocks, tree.blocks,
		   (double)(fetch.end_ms - fetch.start_ms) / 1000);
	swarm_unhandle(hub->swarm, idle_protocol);
	fetch_end(&fetch);
	sim_end(sim, world);
}

void run_idle_crowd(struct sim *sim)
{
	keep_among_idle(sim, true);
	keep_among_idle(sim, false);
}

/* What a reader needs of its sources when one is slow, goes away and comes back, or is not the only peer there is. */
#include "tests/sim/fetch.h"
#include "tests/sim/sim.h"

#define MB 1000000u
#define FETCH_MS 600000
#define BLOCK (256u << 10)
#define IDENTIFY_MS 2000

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

/* Nobody can dial it: what is trimmed stays away. down: the busy node reads of it, else it reads of the busy node. */
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
			swarm_open_stream(idler->swarm, &hub->id, idle_protocols, 1, world->now_ms + 5000,
					  opened_idle, NULL);
	}
	world_run(world, IDENTIFY_MS);
	sim_expect(sim, connected == IDLE, "%u idle peers hold %u streams each", connected, IDLE_STREAMS);
	fetch_start(&fetch, down ? hub : peer, &tree.root, 256, TRIM_MS, 0);
	world_until(world, &fetch.done, FETCH_MS);
	sim_expect(sim, fetch.done && fetch.blocks == tree.blocks && fetch.failed == 0,
		   "%s whoever cannot be dialled: %zu of %zu blocks in %.1f s", down ? "from" : "for", fetch.blocks,
		   tree.blocks, (double)(fetch.end_ms - fetch.start_ms) / 1000);
	swarm_unhandle(hub->swarm, idle_protocol);
	fetch_end(&fetch);
	sim_end(sim, world);
}

void run_idle_crowd(struct sim *sim)
{
	keep_among_idle(sim, true);
	keep_among_idle(sim, false);
}

#include "tests/sim/world.h"

#include "routing/routing.h"
#include "tests/sim/check.h"
#include "tests/sim/wrap.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 1000000
#define EPOCH_NS 1795000000000000000ull /* some moment of 2026 */
#define CHECK_MS 1000
#define BOOTSTRAP_MAX 8
#define CLOSE_MS 60000 /* more than any close takes */

/* ---- time ---- */

static void node_free(struct node *node);

/* Nodes whose swarm has closed, outside of any callback. */
static void reap(struct world *world)
{
	while (!list_empty(&world->closed)) {
		world->closing--;
		node_free(list_first(&world->closed, struct node, closed));
	}
}

static void turn(struct world *world, uint64_t at_ms)
{
	world->now_ms = at_ms;
	loop_turn(world->loop, at_ms);
	reap(world);
}

/* One step: to the next timer or the next check, not beyond end. */
static void step(struct world *world, uint64_t end_ms)
{
	uint64_t at = timers_next(world->timers);

	if (at > world->check_ms)
		at = world->check_ms;
	if (at > end_ms)
		at = end_ms;
	turn(world, at > world->now_ms ? at : world->now_ms);
	if (world->now_ms >= world->check_ms) {
		world->check_ms = world->now_ms + CHECK_MS;
		check_world(world);
	}
}

void world_run(struct world *world, uint64_t ms)
{
	uint64_t end = world->now_ms + ms;

	while (world->now_ms < end || timers_next(world->timers) <= end)
		step(world, end);
}

bool world_until(struct world *world, const bool *flag, uint64_t ms)
{
	uint64_t end = world->now_ms + ms;

	while (!*flag && (world->now_ms < end || timers_next(world->timers) <= end))
		step(world, end);
	return *flag;
}

void world_jump(struct world *world, uint64_t ms)
{
	world->jumped_ms = ms;
	turn(world, world->now_ms + ms);
	world->jumped_ms = 0;
}

/* ---- nodes ---- */

static size_t free_slot(struct world *world)
{
	if (world->hole_count > 0)
		return world->holes[--world->hole_count];
	if (world->count == world->cap) {
		world->cap = world->cap ? world->cap * 2 : 64;
		world->nodes = xrealloc(world->nodes, world->cap * sizeof(*world->nodes));
		world->holes = xrealloc(world->holes, world->cap * sizeof(*world->holes));
	}
	return world->count++;
}

/* Public, and in a /16 of its own for the first 20 000 nodes. */
static uint32_t ip_of(size_t number)
{
	uint32_t a = 11 + number % 87, b = number / 87 % 256, c = number / (87 * 256) % 256;

	return a << 24 | b << 16 | c << 8 | 7;
}

static void make_host(struct node *node)
{
	struct host_config config = node->config.host;

	config.id = node->id;
	config.ip = node->config.ip ? node->config.ip : ip_of(node->number);
	config.session = (struct session_config){
		.stream_window_max = 16u << 20,
		.connection_window_max = 32u << 20,
		.keepalive_ms = node->config.keepalive_ms ? node->config.keepalive_ms : 30000,
	};
	if (config.latency_ms == 0)
		config.latency_ms = 5 + (unsigned)random_below(&node->random, 56);
	node->host = host_new(&node->world->net, &config);
}

static void make_swarm(struct node *node)
{
	struct world *world = node->world;
	struct transport *transports[] = { &node->host->transport };
	/* Never used, as links prove identities; without it each node would make a certificate. */
	struct security *securities[] = { security_noise_new(node->identity, &node->random) };
	struct swarm_config config = {
		.low_water = node->config.low_water,
		.high_water = node->config.high_water,
		.keepalive_ms = node->config.keepalive_ms,
		.transports = transports,
		.transport_count = ARRAY_LEN(transports),
		.securities = securities,
		.security_count = ARRAY_LEN(securities),
	};

	node->swarm = swarm_new(world->loop, &node->random, node->identity, NULL, &config);
	int err = swarm_listen(node->swarm, &node->host->addr);

	assert(!err);
	(void)err;
}

static void make_kad(struct node *node)
{
	struct multiaddr boot[BOOTSTRAP_MAX];
	struct kad_config config = {
		.protocol = "/ipfs/kad/1.0.0",
		.mode = node->config.host.nat ? KAD_CLIENT : KAD_SERVER,
		.refresh_ms = node->config.refresh_ms,
		.bootstrap = boot,
	};

	while (config.bootstrap_count < node->config.bootstrap &&
	       config.bootstrap_count < BOOTSTRAP_MAX) {
		struct node *other = world_pick(node->world, node, true);

		if (!other)
			break;
		boot[config.bootstrap_count] = node_addr(other);
		multiaddr_add_peer(&boot[config.bootstrap_count++], &other->id);
	}
	node->kad = kad_new(node->swarm, NULL, &config);
	node->announcer = announcer_new(node->kad, swarm_loop(node->swarm), NULL,
					&(struct announcer_config){ .name = "wan" });
}

struct node *node_new(struct world *world, const struct node_config *config)
{
	struct node *node = xnew(struct node);
	struct exchange_config exchange = { .verify_inline_max = BLOCK_MAX };
	uint8_t seed[32];

	node->world = world;
	node->config = config ? *config : (struct node_config){ 0 };
	node->number = world->started++;
	node->random = random_seeded(random_u64(&world->random));
	random_fill(&node->random, seed, sizeof(seed));
	node->identity = identity_from_seed(node->config.seed ? node->config.seed : seed);
	node->config.seed = NULL;
	peer_id_of_identity(&node->id, node->identity);
	node->place = place_of_key(peer_id_bytes(&node->id));
	node->started_ms = world->now_ms;
	make_host(node);
	make_swarm(node);
	if (node->config.kad)
		make_kad(node);
	if (!node->config.no_exchange) {
		exchange.provider_delay_ms = node->config.provider_delay_ms;
		node->store = store_new_memory();
		node->exchange = exchange_new(node->swarm, node->kad, node->store, &exchange);
	}
	node->slot = free_slot(world);
	world->nodes[node->slot] = node;
	return node;
}

static void on_closed(void *ctx)
{
	struct node *node = ctx;

	list_add_tail(&node->world->closed, &node->closed);
}

void node_stop(struct node *node, bool quiet)
{
	if (node->closing)
		return;
	node->closing = true;
	node->world->closing++;
	if (quiet)
		host_online(node->host, false);
	if (node->on_stop)
		node->on_stop(node->ctx);
	exchange_free(node->exchange);
	announcer_free(node->announcer);
	router_close(node->kad, NULL, NULL);
	store_close(node->store);
	node->exchange = NULL;
	node->announcer = NULL;
	node->kad = NULL;
	node->store = NULL;
	swarm_close(node->swarm, on_closed, node);
}

static void node_free(struct node *node)
{
	list_remove(&node->closed);
	swarm_free(node->swarm);
	host_free(node->host);
	identity_free(node->identity);
	node->world->nodes[node->slot] = NULL;
	node->world->holes[node->world->hole_count++] = node->slot;
	free(node);
}

struct node *world_pick(struct world *world, const struct node *except, bool kad)
{
	for (unsigned tries = 0; world->count > 0 && tries < 1000; tries++) {
		struct node *node = world->nodes[random_below(&world->random, world->count)];

		if (node && !node->closing && node != except && (!kad || node->kad) &&
		    !node->config.host.nat)
			return node;
	}
	return NULL;
}

size_t world_alive(const struct world *world)
{
	size_t alive = 0;

	for (size_t i = 0; i < world->count; i++)
		alive += world->nodes[i] && !world->nodes[i]->closing;
	return alive;
}

struct multiaddr node_addr(const struct node *node)
{
	return node->host->addr;
}

struct outcome {
	bool done;
	int err;
};

static void on_connected(void *ctx, int err)
{
	struct outcome *outcome = ctx;

	outcome->done = true;
	outcome->err = err;
}

bool node_connect(struct node *from, struct node *to)
{
	struct multiaddr addr = node_addr(to);
	struct outcome outcome = { 0 };

	swarm_connect(from->swarm, &to->id, &addr, 1, from->world->now_ms + 30000, on_connected,
		      &outcome);
	return world_until(from->world, &outcome.done, 60000) && outcome.err == 0;
}

/* ---- blocks and wants ---- */

struct block *sim_block(uint64_t number, size_t size)
{
	struct random random = random_seeded(number);
	struct buf data = { 0 };
	struct cid cid;

	random_fill(&random, buf_reserve(&data, size), size);
	data.len = size;
	memcpy(data.at, &number, sizeof(number));
	cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, buf_bytes(&data));
	return block_take(&cid, &data);
}

void node_put(struct node *node, struct block *block)
{
	int err = store_put(node->store, block, 0, NULL, NULL);

	assert(!err);
	(void)err;
}

static void on_got(void *ctx, int err, struct block *block)
{
	struct want *want = ctx;
	struct world *world = want->world;

	list_remove(&want->node);
	if (!err && (!cid_equal(&want->cid, &block->cid) || cid_verify(&want->cid, block->data)))
		world_broken(world, "a wrong block was accepted");
	simnet_trace(&world->net, 64, (uint64_t)-err, 0, cid_bytes(&want->cid));
	want->got(want->ctx, err, block);
	block_unref(block);
	free(want);
}

int want_start(struct node *node, struct exchange_session *session, const struct cid *cid,
	       uint64_t timeout_ms, void (*got)(void *ctx, int err, struct block *block), void *ctx)
{
	struct want *want = xnew(struct want);

	want->world = node->world;
	want->cid = *cid;
	want->deadline_ms = node->world->now_ms + timeout_ms;
	want->got = got;
	want->ctx = ctx;
	want->get = exchange_get(session, cid, want->deadline_ms, on_got, want);
	if (!want->get) {
		free(want);
		return -EAGAIN;
	}
	list_add_tail(&node->world->wants, &want->node);
	return 0;
}

/* ---- worlds ---- */

struct world *world_new(uint64_t seed)
{
	struct world *world = xnew(struct world);

	world->seed = seed;
	world->start_ms = world->now_ms = START_MS;
	world->check_ms = START_MS + CHECK_MS;
	wrap_start(EPOCH_NS, &world->now_ms);
	world->loop = loop_new_virtual(START_MS);
	world->timers = loop_timers(world->loop);
	world->random = random_seeded(seed);
	simnet_init(&world->net, world->loop, random_u64(&world->random));
	list_init(&world->wants);
	list_init(&world->closed);
	return world;
}

void world_free(struct world *world)
{
	bool never = false;

	for (size_t i = 0; i < world->count; i++)
		if (world->nodes[i])
			node_stop(world->nodes[i], false);
	world_until(world, &never, CLOSE_MS);
	check_end(world);
	if (world->broken_out)
		*world->broken_out = world->broken;
	simnet_release(&world->net);
	loop_free(world->loop);
	wrap_start(EPOCH_NS, NULL);
	free(world->nodes);
	free(world->holes);
	free(world);
}

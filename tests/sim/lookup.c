#include "tests/sim/lookup.h"

#include "net/swarm/swarm.h"
#include "routing/kad/kad.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define K 20
#define LOOKUP_MS 60000
#define PARALLEL 20
#define ADDR_TTL_MS (24ull * 3600 * 1000)
#define SETTLED_MS 5000 /* a node younger than this need not be known yet */

/* ---- tables ---- */

struct placed {
	struct place id;
	struct node *node;
};

static int by_place(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	return memcmp(x->id.bytes, y->id.bytes, PLACE_LEN);
}

/* The first of sorted whose leading bits are not below those of id. */
static size_t lower(const struct placed *sorted, size_t count, const struct place *id)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(sorted[middle].id.bytes, id->bytes, PLACE_LEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The range of those that share exactly `bits` leading bits with id. */
static void range(const struct placed *sorted, size_t count, const struct place *id, unsigned bits,
		  size_t *from, size_t *to)
{
	struct place low = *id, high;
	unsigned byte = bits / 8;
	uint8_t bit = (uint8_t)(0x80 >> bits % 8);

	low.bytes[byte] = (uint8_t)((low.bytes[byte] ^ bit) & ~(bit - 1));
	memset(low.bytes + byte + 1, 0, PLACE_LEN - byte - 1);
	high = low;
	high.bytes[byte] |= bit - 1;
	memset(high.bytes + byte + 1, 0xff, PLACE_LEN - byte - 1);
	*from = lower(sorted, count, &low);
	*to = lower(sorted, count, &high);
}

static void introduce(struct node *node, struct node *other)
{
	struct kad *kad = kad_of(node->kad);
	struct multiaddr addr = node_addr(other);

	if (kad_bucket_add(&kad->table, &other->id, kad_filter_group(&kad->filter, &addr, 1),
			   kad_now(kad), NULL) == 0)
		swarm_add_addr(node->swarm, &other->id, &addr, ADDR_TTL_MS);
}

/* From the far half of the space to the neighbourhood, k of each bucket. */
static void fill_table(struct node *node, const struct placed *sorted, size_t count)
{
	for (unsigned bits = 0; bits < 64; bits++) {
		size_t from, to;

		range(sorted, count, &node->place, bits, &from, &to);
		for (unsigned i = 0; i < K && from < to; i++) {
			size_t which = to - from <= K ? from + i
						      : from + (size_t)random_below(&node->random,
										    to - from);

			if (which >= to)
				break;
			introduce(node, sorted[which].node);
		}
	}
}

void lookup_populate(struct world *world, unsigned count, const struct node_config *config)
{
	struct placed *sorted = xcalloc(count, sizeof(*sorted));

	for (unsigned i = 0; i < count; i++) {
		sorted[i].node = node_new(world, config);
		sorted[i].id = sorted[i].node->place;
	}
	qsort(sorted, count, sizeof(*sorted), by_place);
	for (unsigned i = 0; i < count; i++)
		fill_table(sorted[i].node, sorted, count);
	free(sorted);
}

/* ---- churn ---- */

void lookup_churn(struct world *world, const struct churn *churn)
{
	struct node_config config = *churn->config;
	size_t count = world_alive(world) * churn->share / 100;
	uint64_t start = world->now_ms;

	config.bootstrap = 4;
	for (size_t i = 0; i < count; i++) {
		struct node *node = world_pick(world, NULL, true);

		if (node && (!churn->spare || !churn->spare(churn->ctx, node)))
			node_stop(node, i % 2);
		if (i % churn->each == 0)
			node_new(world, &config);
		if (start + churn->ms * i / count > world->now_ms)
			world_run(world, start + churn->ms * i / count - world->now_ms);
	}
	if (start + churn->ms > world->now_ms)
		world_run(world, start + churn->ms - world->now_ms);
}

/* ---- lookups ---- */

struct measured {
	struct kad_walk walk;
	struct world *world;
	struct node *node;
	struct map hops; /* peer -> how far, as a number */
	struct place target;
	uint64_t start_ms, asked, failed;
	struct lookup_sums *sums;
	unsigned *open;
	bool done, timed_out;
};

static uint64_t hops_of(struct measured *measured, const struct peer_id *peer)
{
	uintptr_t hops = (uintptr_t)map_get(&measured->hops, peer_id_bytes(peer));

	return hops ? hops : 1; /* of our own table */
}

struct naming {
	struct measured *measured;
	uint64_t hops;
};

static int name(void *ctx, const struct kad_msg_peer *peer)
{
	struct naming *naming = ctx;
	struct map *hops = &naming->measured->hops;

	if (!map_get(hops, peer_id_bytes(&peer->id)))
		map_set(hops, peer_id_bytes(&peer->id), (void *)(uintptr_t)naming->hops);
	return 0;
}

static bool on_answer(void *ctx, const struct kad_walk_answer *answer)
{
	struct measured *measured = ctx;
	struct naming naming = { measured, hops_of(measured, &answer->from) + 1 };

	kad_msg_peers(answer->message, KAD_CLOSER, name, &naming);
	return true;
}

static void on_done(void *ctx, int err)
{
	struct measured *measured = ctx;

	measured->done = true;
	measured->timed_out = err != 0;
}

/* The k nearest servers that live and are not new, by the world's own books. */
static size_t truth(const struct world *world, const struct measured *measured,
		    const struct node *nearest[K])
{
	size_t count = 0;

	for (size_t i = 0; i < world->count; i++) {
		const struct node *node = world->nodes[i];
		size_t at = count;

		if (!node || node->closing || !node->kad || node->config.host.nat ||
		    node == measured->node || node->started_ms + SETTLED_MS > measured->start_ms)
			continue;
		while (at > 0 &&
		       place_closer(&measured->target, &node->place, &nearest[at - 1]->place) < 0)
			at--;
		if (at == K)
			continue;
		if (count < K)
			count++;
		memmove(&nearest[at + 1], &nearest[at], (count - at - 1) * sizeof(*nearest));
		nearest[at] = node;
	}
	return count;
}

static bool is_among(const struct peer_id *peers, size_t count, const struct node *node)
{
	for (size_t i = 0; i < count; i++)
		if (peer_id_equal(&peers[i], &node->id))
			return true;
	return false;
}

static void settle(struct measured *measured)
{
	struct lookup_sums *sums = measured->sums;
	const struct node *nearest[K + 1];
	size_t want = truth(measured->world, measured, nearest), have = 0;
	struct peer_id answered[K];
	size_t count = kad_lookup_answerers(&measured->walk.lookup, answered, K);
	uint64_t hops = count ? hops_of(measured, &answered[0]) : 0;

	for (size_t i = 0; i < want; i++)
		have += is_among(answered, count, nearest[i]);
	for (size_t i = 0; i < measured->walk.lookup.count; i++) {
		enum kad_lookup_state state = measured->walk.lookup.peers[i].state;

		sums->asked += state != KAD_HEARD;
		sums->failed += state == KAD_UNREACHABLE;
	}
	sums->lookups++;
	sums->found += want > 0 && is_among(answered, count, nearest[0]);
	sums->nearest += have;
	sums->hops += hops;
	if (hops > sums->hops_max)
		sums->hops_max = hops;
	sums->ms += measured->world->now_ms - measured->start_ms;
	sums->overdue += measured->timed_out;
}

static void start(struct measured *measured, struct world *world, struct lookup_sums *sums)
{
	uint8_t key[34] = { 0x12, 0x20 };

	random_fill(&world->random, key + 2, sizeof(key) - 2);
	*measured = (struct measured){ .world = world, .sums = sums, .start_ms = world->now_ms };
	measured->node = world_pick(world, NULL, true);
	measured->target = place_of_key(bytes_of(key, sizeof(key)));
	kad_walk_start(&measured->walk, kad_of(measured->node->kad), KAD_FIND_NODE,
		       bytes_of(key, sizeof(key)), world->now_ms + LOOKUP_MS, on_answer, on_done,
		       measured);
}

struct lookup_sums lookup_many(struct world *world, unsigned count)
{
	struct measured *all = xcalloc(PARALLEL, sizeof(*all));
	struct lookup_sums sums = { 0 };
	unsigned started = 0, open = 0;

	do {
		for (unsigned i = 0; i < PARALLEL; i++) {
			struct measured *one = &all[i];

			if (one->world && one->done) {
				settle(one);
				kad_walk_stop(&one->walk);
				map_release(&one->hops);
				one->world = NULL;
				open--;
			}
			if (!one->world && started < count) {
				start(one, world, &sums);
				started++;
				open++;
			}
		}
		world_run(world, 50);
	} while (open > 0);
	free(all);
	return sums;
}

/* Kademlia: lookups under churn, providers, Sybils, and a net that was split. */
#include "tests/sim/evil.h"
#include "tests/sim/fetch.h"
#include "tests/sim/lookup.h"
#include "tests/sim/sim.h"

#include "net/swarm/swarm.h"
#include "routing/kad/kad.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUPS 200
#define CHURN 20 /* of 100 */
#define CHURN_MS 60000
#define FIND_MS 60000

/* A full node, with the connections of a small one: there are thousands in one process. */
static struct node_config kad_config(unsigned nodes)
{
	bool many = nodes > 2000;

	return (struct node_config){ .kad = true,
				     .refresh_ms = 3600000,
				     .low_water = many ? 8 : 32,
				     .high_water = many ? 16 : 64,
				     .keepalive_ms = many ? 60000 : 30000 };
}

/* ---- lookups ---- */

void run_lookups(struct sim *sim)
{
	unsigned nodes = sim_nodes(sim, 100);
	struct node_config config = kad_config(nodes);
	struct world *world = sim_world(sim);
	size_t before = mallinfo2().uordblks;
	struct lookup_sums sums;
	double n = LOOKUPS;

	lookup_populate(world, nodes, &config);
	world_run(world, 1000);
	sim_say(sim, "%.0f KB a node with its table full, idle",
		(double)(mallinfo2().uordblks - before) / nodes / 1000);
	/* Of thousands half is replaced, and not within one minute: who joins makes 360
	 * connections. */
	lookup_churn(world, &(struct churn){ .share = CHURN,
					     .each = nodes > 2000 ? 2 : 1,
					     .ms = nodes > 2000 ? 3 * CHURN_MS : CHURN_MS,
					     .config = &config });
	sums = lookup_many(world, LOOKUPS);
	sim_say(sim, "| nodes | nearest found | of the 20 nearest | hops (max) | log2(n) | asked | "
		     "dead | time |");
	sim_say(sim, "| %u | %.1f %% | %.1f %% | %.2f (%llu) | %.1f | %.1f | %.1f | %.2f s |",
		nodes, 100 * sums.found / n, 100 * (double)sums.nearest / n / 20,
		(double)sums.hops / n, (unsigned long long)sums.hops_max, log2(nodes),
		(double)sums.asked / n, (double)sums.failed / n, (double)sums.ms / n / 1000);
	sim_say(sim, "%.0f KB a node at the end, %u connection ends",
		(double)(mallinfo2().uordblks - before) / nodes / 1000, world->net.open_ends);
	sim_expect(sim, sums.found >= 0.95 * n, "%u of %u lookups found the nearest (95 %%)",
		   sums.found, sums.lookups);
	sim_expect(sim, (double)sums.hops / n <= log2(nodes), "mean hops are below log2(n)");
	sim_expect(sim, sums.overdue == 0, "none ran into its deadline");
	sim_end(sim, world);
}

/* ---- providers ---- */

/* Blocks provided before churn and found after it, by nodes that were told of nobody. */
struct finding {
	bool done;
	int err;
	unsigned count;
};

static void on_found(void *ctx, const struct peer_info *info)
{
	(void)info;
	((struct finding *)ctx)->count++;
}

static void on_found_all(void *ctx, int err, unsigned count)
{
	struct finding *finding = ctx;

	(void)count;
	finding->done = true;
	finding->err = err;
}

static bool provide(struct node *node, const struct cid *cid)
{
	struct finding finding = { 0 };

	routing_provide(node->kad, cid_hash_bytes(cid), node->world->now_ms + FIND_MS, on_found_all,
			&finding);
	return world_until(node->world, &finding.done, 2 * FIND_MS) && finding.err == 0;
}

static bool find(struct node *node, const struct cid *cid)
{
	struct finding finding = { 0 };

	routing_find_providers(node->kad, cid_hash_bytes(cid), 1, node->world->now_ms + FIND_MS,
			       on_found, on_found_all, &finding);
	world_until(node->world, &finding.done, 2 * FIND_MS);
	return finding.count > 0;
}

#define PROVIDERS 30

struct spared {
	struct node *nodes[PROVIDERS];
};

static bool is_spared(void *ctx, const struct node *node)
{
	const struct spared *spared = ctx;

	for (int i = 0; i < PROVIDERS; i++)
		if (spared->nodes[i] == node)
			return true;
	return false;
}

void run_provide(struct sim *sim)
{
	unsigned nodes = sim_nodes(sim, 300);
	struct node_config config = kad_config(nodes);
	struct world *world = sim_world(sim);
	struct cid cids[PROVIDERS];
	struct spared spared;
	unsigned provided = 0, found = 0, fetched = 0;

	lookup_populate(world, nodes, &config);
	for (unsigned i = 0; i < PROVIDERS; i++) {
		struct block *block = sim_block(100 + i, 4096);

		spared.nodes[i] = world_pick(world, NULL, true);
		cids[i] = block->cid;
		node_put(spared.nodes[i], block);
		block_unref(block);
		provided += provide(spared.nodes[i], &cids[i]);
	}
	sim_expect(sim, provided == PROVIDERS, "%u of %u keys provided", provided, PROVIDERS);
	lookup_churn(world, &(struct churn){ CHURN, 1, CHURN_MS, &config, is_spared, &spared });
	for (unsigned i = 0; i < PROVIDERS; i++)
		found += find(world_pick(world, spared.nodes[i], true), &cids[i]);
	sim_expect(sim, found >= PROVIDERS - 1, "%u of %u found under churn", found, PROVIDERS);
	for (unsigned i = 0; i < PROVIDERS; i++) {
		struct node *reader = world_pick(world, spared.nodes[i], true);
		struct fetch fetch;

		fetch_start(&fetch, reader, &cids[i], 1, FIND_MS, 0);
		world_until(world, &fetch.done, 2 * FIND_MS);
		fetched += fetch.blocks == 1;
		fetch_end(&fetch);
	}
	sim_expect(sim, fetched >= PROVIDERS - 1,
		   "%u of %u fetched from peers that only routing knew", fetched, PROVIDERS);
	sim_end(sim, world);
}

/* ---- Sybils near a key (advisories, row 26) ---- */

#define SYBILS 20
#define SYBILS_FEW 9  /* fewer than half of the 20 that keep a record */
#define SYBIL_BITS 11 /* they share so many with the key: nearer than any of 500 honest nodes */
#define SYBIL_CONTACTS 30
#define SYBIL_FINDERS 40
#define REFRESH_MS 60000 /* who looks around has seen all its buckets */

/* An identity near the key; draws thousands. */
static void mine(struct world *world, const struct place *near, uint8_t seed[static 32])
{
	for (;;) {
		struct identity *identity;
		struct peer_id id;
		struct place place;

		random_fill(&world->random, seed, 32);
		identity = identity_from_seed(seed);
		peer_id_of_identity(&id, identity);
		identity_free(identity);
		place = place_of_key(peer_id_bytes(&id));
		if (place_common(&place, near) >= SYBIL_BITS)
			return;
	}
}

enum record { BY_LOOKUP, BY_SWEEP, AS_VALUE };

/* What is announced and sought: a block, or the owner's public key. */
struct hidden {
	enum record how;
	struct node *owner;
	struct block *block;
	struct buf key;
};

static void hide(struct hidden *hidden, struct world *world, enum record how)
{
	*hidden = (struct hidden){ .how = how,
				   .owner = world_pick(world, NULL, true),
				   .block = sim_block(999, 4096) };
	if (how == AS_VALUE) {
		buf_add_str(&hidden->key, "/pk/");
		buf_add(&hidden->key, peer_id_bytes(&hidden->owner->id));
	} else {
		buf_add(&hidden->key, cid_hash_bytes(&hidden->block->cid));
	}
}

static void announce(const struct hidden *hidden)
{
	struct node *owner = hidden->owner;
	struct bytes value = public_key_proto(identity_public(owner->identity));
	struct finding finding = { 0 };

	if (hidden->how == BY_SWEEP) {
		announcer_start(owner->announcer, buf_bytes(&hidden->key));
		world_run(owner->world, 2 * FIND_MS);
	} else if (hidden->how == BY_LOOKUP) {
		provide(owner, &hidden->block->cid);
	} else {
		routing_put_value(owner->kad, buf_bytes(&hidden->key), value,
				  owner->world->now_ms + FIND_MS, on_found_all, &finding);
		world_until(owner->world, &finding.done, 2 * FIND_MS);
	}
}

static void on_value(void *ctx, struct bytes value)
{
	(void)value;
	((struct finding *)ctx)->count++;
}

static bool seek(const struct hidden *hidden, struct node *node)
{
	struct finding finding = { 0 };

	if (hidden->how != AS_VALUE)
		return find(node, &hidden->block->cid);
	routing_get_value(node->kad, buf_bytes(&hidden->key), 0, node->world->now_ms + FIND_MS,
			  on_value, on_found_all, &finding);
	world_until(node->world, &finding.done, 2 * FIND_MS);
	return finding.count > 0;
}

/* As a node does at its start: then it knows how large the net is. The others, who only answer,
 * need not: that would be nine tenths of the run. */
static void look_around(struct node *node)
{
	kad_upkeep_first_peer(kad_of(node->kad));
}

/* The Sybils make themselves known; the owner and those who will seek look at all their buckets. */
static void settle(const struct hidden *hidden, struct evil *const *sybils, unsigned count,
		   struct node **finders)
{
	struct world *world = hidden->owner->world;

	for (unsigned i = 0; i < count; i++) {
		evil_friends(sybils[i], sybils, count);
		for (unsigned j = 0; j < SYBIL_CONTACTS; j++)
			node_connect(evil_node(sybils[i]), world_pick(world, NULL, true));
	}
	world_run(world, 5000);
	look_around(hidden->owner);
	for (unsigned i = 0; i < SYBIL_FINDERS; i++) {
		finders[i] = world_pick(world, hidden->owner, true);
		look_around(finders[i]);
	}
	world_run(world, REFRESH_MS);
}

/* How many finders found the record among so many Sybils, all in one /16 or each in its own. */
static unsigned besiege(struct sim *sim, unsigned count, bool one_net, enum record how)
{
	unsigned nodes = sim_nodes(sim, 400), found = 0, asked = 0;
	struct node_config config = kad_config(nodes);
	struct world *world = sim_world(sim);
	struct node *finders[SYBIL_FINDERS];
	struct evil *sybils[SYBILS];
	struct hidden hidden;
	struct place key;

	lookup_populate(world, nodes, &config);
	hide(&hidden, world, how);
	key = place_of_key(buf_bytes(&hidden.key));
	for (unsigned i = 0; i < count; i++) {
		struct node_config evil = { .host = { .latency_ms = 5 } };
		uint8_t seed[32];

		mine(world, &key, seed);
		evil.seed = seed;
		evil.ip = one_net ? 121u << 24 | (i + 1) : 0;
		sybils[i] = evil_new(world, EVIL_SYBIL, &evil);
	}
	settle(&hidden, sybils, count, finders);
	announce(&hidden);
	for (unsigned i = 0; i < SYBIL_FINDERS; i++)
		found += seek(&hidden, finders[i]);
	for (unsigned i = 0; i < count; i++)
		asked += evil_asked(sybils[i]);
	sim_expect(sim, asked > 0, "the Sybils were asked (%u times)", asked);
	block_unref(hidden.block);
	buf_release(&hidden.key);
	sim_end(sim, world);
	for (unsigned i = 0; i < count; i++)
		evil_free(sybils[i]);
	return found;
}

void run_sybils(struct sim *sim)
{
	static const struct {
		const char *what;
		unsigned sybils;
		bool one_net;
		enum record how;
	} sieges[] = {
		{ "of one /16, a provider", SYBILS, true, BY_LOOKUP },
		{ "each of a /16 of its own, a provider", SYBILS_FEW, false, BY_LOOKUP },
		/* All of the 20 nearest: only a wider look finds those that keep a record. */
		{ "each of a /16 of its own, a provider", SYBILS, false, BY_LOOKUP },
		{ "each of a /16 of its own, a provider told by a sweep", SYBILS, false, BY_SWEEP },
		{ "each of a /16 of its own, a value", SYBILS, false, AS_VALUE },
	};

	for (size_t i = 0; i < ARRAY_LEN(sieges); i++) {
		unsigned found = besiege(sim, sieges[i].sybils, sieges[i].one_net, sieges[i].how);

		sim_expect(sim, found >= SYBIL_FINDERS * 9 / 10,
			   "%u of %u found what %u Sybils hide, %s", found, SYBIL_FINDERS,
			   sieges[i].sybils, sieges[i].what);
	}
}

/* ---- a net that is split ---- */

struct reaching {
	bool done;
	int err;
};

static void on_peer(void *ctx, int err, const struct peer_info *info)
{
	struct reaching *reaching = ctx;

	(void)info;
	reaching->done = true;
	reaching->err = err;
}

/* How many of count nodes of one half find the address of one of the other half. */
static unsigned across(struct world *world, unsigned count)
{
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++) {
		struct reaching reaching = { 0 };
		struct node *from = world_pick(world, NULL, true), *to;

		do
			to = world_pick(world, from, true);
		while (to->number % 2 == from->number % 2);
		routing_find_peer(from->kad, &to->id, world->now_ms + FIND_MS, on_peer, &reaching);
		world_until(world, &reaching.done, 2 * FIND_MS);
		found += reaching.err == 0;
	}
	return found;
}

static void split(struct world *world, bool apart)
{
	for (size_t i = 0; i < world->count; i++)
		if (world->nodes[i])
			world->nodes[i]->host->island = apart ? world->nodes[i]->number % 2 : 0;
	simnet_rewire(&world->net);
}

void run_split(struct sim *sim)
{
	unsigned nodes = sim_nodes(sim, 150), found;
	struct node_config config = kad_config(nodes);
	struct world *world = sim_world(sim);

	config.refresh_ms = 600000;
	config.keepalive_ms = 120000;
	config.low_water = 8;
	config.high_water = 16;
	lookup_populate(world, nodes, &config);
	world_run(world, 5000);
	split(world, true);
	world_run(world, 180000);
	split(world, false);
	world_run(world, 60000);
	found = across(world, 40);
	sim_expect(sim, found >= 38, "%u of 40 found across, a minute after 3 minutes apart",
		   found);
	split(world, true);
	world_run(world, 1500000);
	split(world, false);
	world_run(world, 60000);
	found = across(world, 40);
	sim_say(sim, "%u of 40 found across, a minute after 25 minutes apart", found);
	world_run(world, 1200000);
	found = across(world, 40);
	sim_expect(sim, found >= 38, "%u of 40 found across, 20 minutes later", found);
	sim_end(sim, world);
}

/* ---- everything at once ---- */

/* Nodes of all kinds, some behind NATs, some evil, that come and go and fetch from each other by
 * routing, over lossy links: what a replay must repeat exactly. */
void run_mixed(struct sim *sim)
{
	enum { EVIL = 6, READERS = 12 };
	unsigned nodes = sim_nodes(sim, 120), fetched = 0, waited = 0;
	struct node_config config = kad_config(nodes);
	struct world *world = sim_world(sim);
	struct evil *evil[EVIL];
	struct spared spared = { { 0 } };
	struct fetch fetch[READERS];

	config.host =
		(struct host_config){ .up = 2000000, .down = 8000000, .loss = 50, .jitter_ms = 10 };
	lookup_populate(world, nodes, &config);
	for (int i = 0; i < EVIL; i++) {
		evil[i] = evil_new(world, (enum evil_kind)(i % 4), NULL);
		node_connect(evil_node(evil[i]), world_pick(world, NULL, true));
	}
	for (int i = 0; i < READERS; i++) {
		struct node_config hidden = config;
		struct node *owner = spared.nodes[2 * i] = world_pick(world, NULL, true);
		struct tree tree = tree_make(50 + (unsigned)i, 40, 20000, 32, &owner, 1);

		provide(owner, &tree.root);
		hidden.host.nat = i % 2;
		hidden.bootstrap = 3;
		spared.nodes[2 * i + 1] = node_new(world, &hidden);
		world_run(world, 5000);
		fetch_start(&fetch[i], spared.nodes[2 * i + 1], &tree.root, 32, FIND_MS, 4);
	}
	lookup_churn(world, &(struct churn){ CHURN, 1, CHURN_MS, &config, is_spared, &spared });
	world_run(world, 3 * FIND_MS);
	for (int i = 0; i < READERS; i++) {
		waited += fetch[i].done;
		fetched += fetch[i].done && fetch[i].blocks == 43;
		fetch_end(&fetch[i]);
	}
	sim_expect(sim, waited == READERS, "%u of %u readers were answered in time", waited,
		   READERS);
	sim_expect(sim, fetched >= READERS - 1, "%u of %u have all their blocks", fetched, READERS);
	sim_end(sim, world);
	for (int i = 0; i < EVIL; i++)
		evil_free(evil[i]);
}

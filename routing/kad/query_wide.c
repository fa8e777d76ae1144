/* Wider than the k nearest: where the peers around a key are too dense, all of their region are
 * found by further walks. Loop thread.
 *
 * walk to the key -> too dense? -> [walk into a half of its region]* -> widened
 *
 * The region of b bits holds the k to 2 k peers that are to be expected around the key. Those who
 * stand right at the key hide the others from every lookup of it, but not from one of a key that is
 * drawn within the half of b + 1 bits that the key is not in, nor from those of the next two
 * halves: together 7 of 8 of the region. */
#include "routing/kad/query_private.h"

uint64_t kad_query_walk_deadline(const struct kad_query *query)
{
	uint64_t now = kad_now(query->kad);

	return query->deadline_ms > now ? now + (query->deadline_ms - now) / 3 * 2 : now;
}

static void query_wide_look(struct kad_query *query);

static void take_near(struct kad_query *query)
{
	const struct kad_lookup *lookup = &query->walk.lookup;
	struct peer_id near[KAD_K_MAX];
	size_t count = kad_lookup_closest(lookup, near, lookup->k);

	for (size_t i = 0; i < count; i++) {
		struct place id = place_of_key(peer_id_bytes(&near[i]));

		if (query->wide_walks == 0 || place_region_has(&query->wide, &id))
			kad_region_map_add(&query->near, &near[i]);
	}
}

static void on_looked(void *ctx, int err)
{
	struct kad_query *query = ctx;

	(void)err; /* out of time: those found so far count */
	take_near(query);
	kad_walk_stop(&query->walk);
	query_wide_look(query);
}

static void query_wide_look(struct kad_query *query)
{
	struct kad *kad = query->kad;
	struct place_region half = query->wide;
	uint8_t key[PLACE_DRAWN_LEN];
	uint64_t deadline_ms = kad_query_walk_deadline(query);

	if (query->wide_walks == KAD_WIDEN_WALKS_MAX || deadline_ms <= kad_now(kad)) {
		query->widened(query);
		return;
	}
	half.bits += query->wide_walks++;
	half = place_region_half(&half, true);
	place_region_draw(&half, kad->random, key); /* or as near as it gets */
	kad_walk_start(&query->walk, kad, KAD_FIND_NODE, bytes_of(key, sizeof(key)), deadline_ms,
		       NULL, on_looked, query);
}

void kad_query_widen(struct kad_query *query, int err, kad_query_widened_fn *widened)
{
	struct kad_lookup *lookup = &query->walk.lookup;
	uint64_t reach = kad_netsize_reach(&query->kad->netsize);

	take_near(query);
	if (err || !kad_netsize_is_dense(reach, kad_lookup_reach(lookup))) {
		widened(query);
		return;
	}
	query->wide = place_region_around(&lookup->target, reach);
	query->widened = widened;
	kad_walk_stop(&query->walk);
	query_wide_look(query);
}

size_t kad_query_near(const struct kad_query *query, struct peer_id out[static KAD_NEAR_MAX])
{
	for (size_t i = 0; i < query->near.count; i++)
		out[i] = query->near.peers[i].peer;
	return query->near.count;
}

void kad_query_ask_near(struct kad_query *query, enum kad_type type, kad_walk_answer_fn *on_answer,
			kad_walk_done_fn *on_done)
{
	struct kad_lookup *lookup = &query->walk.lookup;

	kad_walk_stop(&query->walk);
	kad_walk_start(&query->walk, query->kad, type, buf_bytes(&query->key), query->deadline_ms,
		       on_answer, on_done, query);
	for (size_t i = 0; i < query->near.count; i++)
		kad_lookup_seed(lookup, &query->near.peers[i].peer);
	/* The walk seeds the k nearest of the table too. */
	lookup->k = (unsigned)query->near.count + query->kad->config.k;
	lookup->follow_up = true;
}

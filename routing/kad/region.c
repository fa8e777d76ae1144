/* Regions of the key space; the set of keys that are due, sorted by their places; and the map of
 * peers known around a region, with the parts of it that are known for certain. Pure; any thread. */
#include "routing/kad/region.h"

#include "net/base/alloc.h"
#include "routing/kad/bucket.h"
#include "routing/kad/netsize.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS_MAX 16384

/* ---- regions ---- */

bool kad_region_has(const struct kad_region *region, const struct kad_id *id)
{
	return kad_id_common(&region->id, id) >= region->bits;
}

struct kad_region kad_region_half(const struct kad_region *region, bool other)
{
	struct kad_region half = *region;

	assert(region->bits < KAD_ID_BITS);
	if (other)
		half.id.bytes[half.bits / 8] ^= (uint8_t)(0x80 >> half.bits % 8);
	half.bits++;
	return half;
}

struct kad_region kad_region_around(const struct kad_id *id, uint64_t reach)
{
	assert(reach > 0);
	return (struct kad_region){ .id = *id, .bits = (unsigned)__builtin_clzll(reach) };
}

bool kad_region_draw(const struct kad_region *region, struct random *random,
		     uint8_t out[static KAD_REGION_DRAWN_LEN])
{
	uint8_t one[KAD_REGION_DRAWN_LEN] = { 0x12, 0x20 };
	unsigned best = 0;

	for (unsigned i = 0; i < DRAWS_MAX; i++) {
		struct kad_id id;
		unsigned common;

		random_fill(random, one + 2, sizeof(one) - 2);
		id = kad_id_of(bytes_of(one, sizeof(one)));
		common = kad_id_common(&region->id, &id);
		if (i == 0 || common > best) {
			best = common;
			memcpy(out, one, sizeof(one));
		}
		if (best >= region->bits)
			return true;
	}
	return false;
}

/* ---- keys ---- */

static unsigned cell_of(const struct kad_id *id)
{
	return (unsigned)id->bytes[0] << 4 | id->bytes[1] >> 4;
}

/* The cells that a region touches. */
static void cells_of(const struct kad_region *region, unsigned *first, unsigned *last)
{
	unsigned rest =
		region->bits < KAD_REGION_CELL_BITS ? KAD_REGION_CELL_BITS - region->bits : 0;

	*first = cell_of(&region->id) >> rest << rest;
	*last = *first + (1u << rest) - 1;
}

void kad_region_set_release(struct kad_region_set *set)
{
	for (unsigned c = 0; set->cells && c < KAD_REGION_CELLS; c++) {
		for (uint32_t i = 0; i < set->cells[c].count; i++)
			free(set->cells[c].keys[i]);
		free(set->cells[c].keys);
	}
	free(set->cells);
	*set = (struct kad_region_set){ 0 };
}

static struct kad_region_key *find(const struct kad_region_set *set, const struct kad_id *id,
				   struct bytes key)
{
	const struct kad_region_cell *cell = set->cells ? &set->cells[cell_of(id)] : NULL;

	for (uint32_t i = 0; cell && i < cell->count; i++)
		if (bytes_equal(kad_region_key_bytes(cell->keys[i]), key))
			return cell->keys[i];
	return NULL;
}

int kad_region_set_add(struct kad_region_set *set, struct bytes key)
{
	struct kad_id id = kad_id_of(key);
	struct kad_region_cell *cell;
	struct kad_region_key *entry;

	if (key.len == 0 || key.len > UINT8_MAX)
		return -EINVAL;
	entry = find(set, &id, key);
	if (entry) {
		bool was = !entry->gone;

		entry->gone = false;
		return was ? -EEXIST : 0;
	}
	if (set->count >= KAD_REGION_KEYS_MAX)
		return -EAGAIN;
	entry = xcalloc(1, sizeof(*entry) + key.len);
	entry->id = id;
	entry->len = (uint8_t)key.len;
	memcpy(entry->bytes, key.at, key.len);
	if (!set->cells)
		set->cells = xcalloc(KAD_REGION_CELLS, sizeof(*set->cells));
	cell = &set->cells[cell_of(&id)];
	if (cell->count == cell->cap) {
		cell->cap = cell->cap ? cell->cap * 2 : 4;
		cell->keys = xrealloc(cell->keys, cell->cap * sizeof(*cell->keys));
	}
	cell->keys[cell->count++] = entry;
	set->count++;
	return 0;
}

struct kad_region_key *kad_region_set_find(const struct kad_region_set *set, struct bytes key)
{
	struct kad_id id = kad_id_of(key);
	struct kad_region_key *entry = find(set, &id, key);

	return entry && !entry->gone ? entry : NULL;
}

void kad_region_set_drop(struct kad_region_set *set, struct kad_region_key *key)
{
	struct kad_region_cell *cell = &set->cells[cell_of(&key->id)];
	uint32_t at = 0;

	if (key->held) {
		key->gone = true;
		return;
	}
	while (cell->keys[at] != key)
		at++;
	cell->keys[at] = cell->keys[--cell->count];
	if (cell->count == 0) {
		free(cell->keys);
		*cell = (struct kad_region_cell){ 0 };
	}
	free(key);
	if (--set->count == 0)
		kad_region_set_release(set);
}

/* Returns how many it looked at. */
static size_t sift_cell(struct kad_region_set *set, unsigned c,
			bool (*keep)(void *ctx, const struct kad_region_key *key), void *ctx)
{
	size_t looked = set->cells[c].count;

	/* From the end: the last takes the place of one that goes, and the last of all takes the cells along. */
	for (size_t i = looked; i > 0; i--) {
		struct kad_region_key *key = set->cells[c].keys[i - 1];

		if (!key->gone && !keep(ctx, key))
			kad_region_set_drop(set, key);
	}
	return looked;
}

bool kad_region_set_sift(struct kad_region_set *set, unsigned *at, size_t max,
			 bool (*keep)(void *ctx, const struct kad_region_key *key), void *ctx)
{
	size_t looked = 0;

	while (set->cells && *at < KAD_REGION_CELLS && looked < max)
		looked += sift_cell(set, (*at)++, keep, ctx);
	return set->cells && *at < KAD_REGION_CELLS;
}

static bool is_free(const struct kad_region_key *key)
{
	return !key->held && !key->waits;
}

struct kad_region_key *kad_region_set_next(const struct kad_region_set *set,
					   const struct kad_region *region,
					   const struct kad_id *from)
{
	struct kad_region_key *best = NULL;
	unsigned first, last;

	cells_of(region, &first, &last);
	if (first < cell_of(from))
		first = cell_of(from);
	for (unsigned c = first; set->cells && c <= last && !best; c++) {
		const struct kad_region_cell *cell = &set->cells[c];

		for (uint32_t i = 0; i < cell->count; i++) {
			struct kad_region_key *key = cell->keys[i];

			if (is_free(key) && kad_region_has(region, &key->id) &&
			    memcmp(key->id.bytes, from->bytes, KAD_ID_LEN) >= 0 &&
			    (!best || memcmp(key->id.bytes, best->id.bytes, KAD_ID_LEN) < 0))
				best = key;
		}
	}
	return best;
}

size_t kad_region_set_take(const struct kad_region_set *set, const struct kad_region *region,
			   struct kad_region_key **out, size_t max)
{
	unsigned first, last;
	size_t count = 0;

	cells_of(region, &first, &last);
	for (unsigned c = first; set->cells && c <= last; c++) {
		const struct kad_region_cell *cell = &set->cells[c];

		for (uint32_t i = 0; i < cell->count && count < max; i++) {
			if (!is_free(cell->keys[i]) || !kad_region_has(region, &cell->keys[i]->id))
				continue;
			if (out)
				out[count] = cell->keys[i];
			count++;
		}
	}
	return count;
}

size_t kad_region_set_defer(struct kad_region_set *set, const struct kad_region *region)
{
	unsigned first, last;
	size_t count = 0;

	cells_of(region, &first, &last);
	for (unsigned c = first; set->cells && c <= last; c++) {
		for (uint32_t i = 0; i < set->cells[c].count; i++) {
			struct kad_region_key *key = set->cells[c].keys[i];

			if (!is_free(key) || !kad_region_has(region, &key->id))
				continue;
			key->waits = true;
			count++;
		}
	}
	return count;
}

void kad_region_set_retry(struct kad_region_set *set)
{
	for (unsigned c = 0; set->cells && c < KAD_REGION_CELLS; c++)
		for (uint32_t i = 0; i < set->cells[c].count; i++)
			set->cells[c].keys[i]->waits = false;
}

/* ---- peers ---- */

void kad_region_map_release(struct kad_region_map *map)
{
	free(map->peers);
	free(map->covers);
	*map = (struct kad_region_map){ 0 };
}

void kad_region_map_add(struct kad_region_map *map, const struct peer_id *peer)
{
	struct kad_region_peer entry = { kad_id_of(peer_id_bytes(peer)), *peer };
	size_t at = map->count;

	if (map->count >= KAD_REGION_PEERS_MAX)
		return;
	while (at > 0 && memcmp(map->peers[at - 1].id.bytes, entry.id.bytes, KAD_ID_LEN) > 0)
		at--;
	if (at > 0 && peer_id_equal(&map->peers[at - 1].peer, peer))
		return;
	if (map->count == map->cap) {
		map->cap = map->cap ? map->cap * 2 : 32;
		map->peers = xrealloc(map->peers, map->cap * sizeof(*map->peers));
	}
	memmove(&map->peers[at + 1], &map->peers[at], (map->count - at) * sizeof(*map->peers));
	map->peers[at] = entry;
	map->count++;
}

void kad_region_map_cover(struct kad_region_map *map, const struct kad_region *region)
{
	if (!map->covers)
		map->covers = xcalloc(KAD_REGION_COVERS_MAX, sizeof(*map->covers));
	if (map->cover_count < KAD_REGION_COVERS_MAX)
		map->covers[map->cover_count++] = *region;
}

bool kad_region_map_gap(const struct kad_region_map *map, const struct kad_region *region,
			struct kad_region *gap)
{
	struct kad_region half;
	bool inside = false;

	for (size_t i = 0; i < map->cover_count; i++) {
		const struct kad_region *cover = &map->covers[i];

		if (cover->bits <= region->bits && kad_region_has(cover, &region->id))
			return false;
		inside |= cover->bits > region->bits && kad_region_has(region, &cover->id);
	}
	if (!inside) {
		*gap = *region;
		return true;
	}
	/* The half without our place is likely the larger gap: ours was looked at first. */
	half = kad_region_half(region, true);
	if (kad_region_map_gap(map, &half, gap))
		return true;
	half = kad_region_half(region, false);
	return kad_region_map_gap(map, &half, gap);
}

/* Of those nearer to id than reach the farthest; last, when there is none. */
static size_t last_within(const struct kad_region_map *map, const struct kad_id *id, uint64_t reach,
			  size_t last)
{
	for (size_t i = 0; i < map->count; i++)
		if (kad_id_distance(id, &map->peers[i].id) < reach &&
		    kad_id_closer(id, &map->peers[i].id, &map->peers[last].id) > 0)
			last = i;
	return last;
}

size_t kad_region_map_last(const struct kad_region_map *map, const struct kad_id *id, unsigned k,
			   uint64_t reach)
{
	size_t near[KAD_K_MAX], count = 0, last;

	assert(map->count > 0 && k > 0 && k <= KAD_K_MAX);
	for (size_t i = 0; i < map->count; i++) {
		size_t at = count;

		while (at > 0 &&
		       kad_id_closer(id, &map->peers[i].id, &map->peers[near[at - 1]].id) < 0)
			at--;
		if (at == k)
			continue;
		if (count < k)
			count++;
		memmove(&near[at + 1], &near[at], (count - at - 1) * sizeof(*near));
		near[at] = i;
	}
	last = near[count - 1];
	if (count == k && kad_netsize_is_dense(reach, kad_id_distance(id, &map->peers[last].id)))
		last = last_within(map, id, reach, last);
	return last;
}

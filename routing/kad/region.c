/* Peers in order of their places, and the prefixes of the key space in which all of them are known.
 * Pure; any thread. */
#include "routing/kad/region.h"

#include "net/base/alloc.h"
#include "routing/kad/bucket.h"
#include "routing/kad/netsize.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void kad_region_map_release(struct kad_region_map *map)
{
	free(map->peers);
	free(map->covers);
	*map = (struct kad_region_map){ 0 };
}

void kad_region_map_add(struct kad_region_map *map, const struct peer_id *peer)
{
	struct kad_region_peer entry = { place_of_key(peer_id_bytes(peer)), *peer };
	size_t at = map->count;

	if (map->count >= KAD_REGION_PEERS_MAX)
		return;
	while (at > 0 && memcmp(map->peers[at - 1].id.bytes, entry.id.bytes, PLACE_LEN) > 0)
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

void kad_region_map_cover(struct kad_region_map *map, const struct place_region *region)
{
	if (!map->covers)
		map->covers = xcalloc(KAD_REGION_COVERS_MAX, sizeof(*map->covers));
	if (map->cover_count < KAD_REGION_COVERS_MAX)
		map->covers[map->cover_count++] = *region;
}

bool kad_region_map_gap(const struct kad_region_map *map, const struct place_region *region,
			struct place_region *gap)
{
	struct place_region half;
	bool inside = false;

	for (size_t i = 0; i < map->cover_count; i++) {
		const struct place_region *cover = &map->covers[i];

		if (cover->bits <= region->bits && place_region_has(cover, &region->id))
			return false;
		inside |= cover->bits > region->bits && place_region_has(region, &cover->id);
	}
	if (!inside) {
		*gap = *region;
		return true;
	}
	/* The half without our place is likely the larger gap: ours was looked at first. */
	half = place_region_half(region, true);
	if (kad_region_map_gap(map, &half, gap))
		return true;
	half = place_region_half(region, false);
	return kad_region_map_gap(map, &half, gap);
}

/* Of those nearer to id than reach the farthest; last, when there is none. */
static size_t last_within(const struct kad_region_map *map, const struct place *id, uint64_t reach,
			  size_t last)
{
	for (size_t i = 0; i < map->count; i++)
		if (place_distance(id, &map->peers[i].id) < reach &&
		    place_closer(id, &map->peers[i].id, &map->peers[last].id) > 0)
			last = i;
	return last;
}

size_t kad_region_map_last(const struct kad_region_map *map, const struct place *id, unsigned k,
			   uint64_t reach)
{
	size_t near[KAD_K_MAX], count = 0, last;

	assert(map->count > 0 && k > 0 && k <= KAD_K_MAX);
	for (size_t i = 0; i < map->count; i++) {
		size_t at = count;

		while (at > 0 &&
		       place_closer(id, &map->peers[i].id, &map->peers[near[at - 1]].id) < 0)
			at--;
		if (at == k)
			continue;
		if (count < k)
			count++;
		memmove(&near[at + 1], &near[at], (count - at - 1) * sizeof(*near));
		near[at] = i;
	}
	last = near[count - 1];
	if (count == k && kad_netsize_is_dense(reach, place_distance(id, &map->peers[last].id)))
		last = last_within(map, id, reach, last);
	return last;
}

/* What is known of the peers around the keys of a region. Pure; any thread.
 *
 * When the peers of a region are known with certainty and there are k of them or more, the k
 * nearest to each of its keys are among them: all its keys are served by one look around instead of
 * one each. */
#ifndef ROUTING_KAD_REGION_H
#define ROUTING_KAD_REGION_H

#include "net/wire/key.h"
#include "routing/place.h"

#define KAD_REGION_PEERS_MAX 512 /* known around one region; more are not taken */
#define KAD_REGION_COVERS_MAX 32

struct kad_region_peer {
	struct place id;
	struct peer_id peer;
};

/* Zeroed is empty. */
struct kad_region_map {
	struct kad_region_peer *peers; /* by id */
	size_t count, cap;
	struct place_region *covers; /* all peers of these are known */
	size_t cover_count;
};

void kad_region_map_release(struct kad_region_map *map);
void kad_region_map_add(struct kad_region_map *map, const struct peer_id *peer);
/* All peers of region are known now. */
void kad_region_map_cover(struct kad_region_map *map, const struct place_region *region);
/* True: *gap is a part of region of which nothing is known. False: all of it is known. */
bool kad_region_map_gap(const struct kad_region_map *map, const struct place_region *region,
			struct place_region *gap);
/* Of the k peers nearest to id, which is the farthest (all that are as near are among the k). The
 * map is not empty; of fewer than k it is the farthest of all. k <= 64. When the k are implausibly
 * dense for reach (netsize.h; 0: not known): of all that are nearer than it. */
size_t kad_region_map_last(const struct kad_region_map *map, const struct place *id, unsigned k,
			   uint64_t reach);

#endif

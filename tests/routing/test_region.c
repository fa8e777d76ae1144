/* What is known of the peers around a region, without a network. */
#include "routing/kad/region.h"

#include "net/base/alloc.h"
#include "net/base/random.h"
#include "tests/routing/numbered.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define K 20
#define PEERS 300

static void a_map_is_sorted_and_bounded(void **state)
{
	struct kad_region_map map = { 0 };

	(void)state;
	for (uint32_t i = 0; i < KAD_REGION_PEERS_MAX + 10; i++) {
		struct peer_id peer = peer_of(i);

		kad_region_map_add(&map, &peer);
		kad_region_map_add(&map, &peer);
	}
	assert_int_equal(map.count, KAD_REGION_PEERS_MAX);
	for (size_t i = 1; i < map.count; i++)
		assert_true(memcmp(map.peers[i - 1].id.bytes, map.peers[i].id.bytes, PLACE_LEN) <
			    0);
	kad_region_map_release(&map);
}

static void gaps_are_found_until_none_is_left(void **state)
{
	struct random random = random_seeded(2);

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct kad_region_map map = { 0 };
		struct place_region region = { .bits = (unsigned)random_below(&random, 9) }, gap;
		unsigned steps = 0;

		random_fill(&random, region.id.bytes, PLACE_LEN);
		while (kad_region_map_gap(&map, &region, &gap)) {
			struct place_region cover = gap;

			assert_true(gap.bits >= region.bits && place_region_has(&region, &gap.id));
			for (size_t i = 0; i < map.cover_count; i++) {
				assert_false(place_region_has(&gap, &map.covers[i].id));
				assert_false(place_region_has(&map.covers[i], &gap.id));
			}
			cover.bits += (unsigned)random_below(&random, 2);
			if (cover.bits > region.bits + 4)
				cover.bits = gap.bits;
			kad_region_map_cover(&map, &cover);
			assert_true(++steps <= 16);
		}
		kad_region_map_release(&map);
	}
}

/* A network that is all known, to compare with. */
struct net {
	struct kad_region_peer peers[PEERS];
};

static int by_distance(const void *a, const void *b, void *target)
{
	const struct kad_region_peer *x = a, *y = b;

	return place_closer(target, &x->id, &y->id);
}

static void sort(struct net *net, struct place target)
{
	qsort_r(net->peers, PEERS, sizeof(net->peers[0]), by_distance, &target);
}

/* As a perfect lookup: the K nearest, and what they prove. */
static struct place_region look(struct net *net, struct kad_region_map *map,
				const struct place *target)
{
	struct place_region known = { .id = *target };

	sort(net, *target);
	for (unsigned i = 0; i < K; i++)
		kad_region_map_add(map, &net->peers[i].peer);
	known.bits = place_common(target, &net->peers[K - 1].id) + 1;
	kad_region_map_cover(map, &known);
	known.bits--;
	return known;
}

static void a_known_region_knows_the_nearest_of_its_keys(void **state)
{
	struct random random = random_seeded(3);
	struct net *net = xnew(struct net);
	unsigned looks = 0, rounds = 50;

	(void)state;
	for (uint32_t i = 0; i < PEERS; i++) {
		net->peers[i].peer = peer_of(i);
		net->peers[i].id = place_of_key(peer_id_bytes(&net->peers[i].peer));
	}
	for (unsigned round = 0; round < rounds; round++) {
		struct kad_region_map map = { 0 };
		struct place_region region, gap;
		struct place id;

		random_fill(&random, id.bytes, PLACE_LEN);
		region = look(net, &map, &id);
		looks++;
		while (kad_region_map_gap(&map, &region, &gap)) {
			look(net, &map, &gap.id);
			looks++;
		}
		for (unsigned i = 0; i < 100; i++) {
			size_t last;

			do
				random_fill(&random, id.bytes, PLACE_LEN);
			while (!place_region_has(&region, &id));
			last = kad_region_map_last(&map, &id, K, 0);
			sort(net, id);
			assert_true(peer_id_equal(&map.peers[last].peer, &net->peers[K - 1].peer));
		}
		kad_region_map_release(&map);
	}
	/* A region of some 30 peers takes a few looks. */
	assert_in_range(looks, rounds, rounds * 5);
	free(net);
}

/* Peers right at a key do not push out those that would be its k nearest without them. */
static void dense_keys_reach_further(void **state)
{
	struct kad_region_map map = { 0 };
	struct place id = place_of_key(peer_id_bytes(&(struct peer_id){ .len = 34 }));
	uint64_t reach;
	size_t honest, last;

	(void)state;
	for (uint32_t i = 0; i < KAD_REGION_PEERS_MAX / 2; i++) {
		struct peer_id peer = peer_of(i);

		kad_region_map_add(&map, &peer);
	}
	reach = UINT64_MAX / map.count * K;
	honest = kad_region_map_last(&map, &id, K, reach);
	assert_int_equal(honest, kad_region_map_last(&map, &id, K, 0));
	for (unsigned i = 0; i < K;
	     i++) { /* they stand at the place itself: no hash is that good */
		map.peers[map.count - 1 - i].id = id;
		map.peers[map.count - 1 - i].id.bytes[PLACE_LEN - 1] ^= (uint8_t)i;
	}
	last = kad_region_map_last(&map, &id, K, 0);
	assert_true(place_distance(&id, &map.peers[last].id) == 0);
	last = kad_region_map_last(&map, &id, K, reach);
	assert_true(place_distance(&id, &map.peers[last].id) > reach / 2);
	assert_true(place_distance(&id, &map.peers[last].id) < reach);
	kad_region_map_release(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_is_sorted_and_bounded),
		cmocka_unit_test(gaps_are_found_until_none_is_left),
		cmocka_unit_test(a_known_region_knows_the_nearest_of_its_keys),
		cmocka_unit_test(dense_keys_reach_further),
	};

	return cmocka_run_group_tests_name("routing/region", tests, NULL, NULL);
}

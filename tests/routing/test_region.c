/* Keys by region, and what is known of the peers around: both without a network. */
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

static void halves_part_a_region(void **state)
{
	struct random random = random_seeded(1);
	struct kad_region region = { .bits = 0 };

	(void)state;
	random_fill(&random, region.id.bytes, KAD_ID_LEN);
	while (region.bits < KAD_ID_BITS) {
		struct kad_region own = kad_region_half(&region, false);
		struct kad_region other = kad_region_half(&region, true);

		assert_true(kad_region_has(&region, &own.id) && kad_region_has(&region, &other.id));
		assert_true(kad_region_has(&own, &region.id));
		assert_false(kad_region_has(&other, &region.id));
		assert_int_equal(kad_id_common(&own.id, &other.id), region.bits);
		region = own;
	}
}

static void a_set_is_walked_in_order(void **state)
{
	struct kad_region all = { 0 };
	struct kad_region_set set = { 0 };
	struct kad_region_key *key, *taken[100];
	struct kad_id from = { 0 };
	size_t seen = 0;
	uint8_t name[6];

	(void)state;
	assert_int_equal(kad_region_set_add(&set, bytes_of(NULL, 0)), -EINVAL);
	assert_null(kad_region_set_next(&set, &all, &from));
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(kad_region_set_add(&set, key_of(i, name)), 0);
	assert_int_equal(kad_region_set_add(&set, key_of(7, name)), -EEXIST);
	assert_int_equal(set.count, 100);
	while ((key = kad_region_set_next(&set, &all, &from))) {
		assert_true(memcmp(key->id.bytes, from.bytes, KAD_ID_LEN) >= 0);
		from = key->id;
		key->held = true;
		seen++;
	}
	assert_int_equal(seen, 100);
	assert_int_equal(kad_region_set_take(&set, &all, taken, 100), 0);
	/* One that is held goes when it is let go; added again before that, it stays. */
	key = kad_region_set_find(&set, key_of(7, name));
	kad_region_set_drop(&set, key);
	assert_null(kad_region_set_find(&set, key_of(7, name)));
	assert_int_equal(kad_region_set_add(&set, key_of(7, name)), 0);
	assert_ptr_equal(kad_region_set_find(&set, key_of(7, name)), key);
	key->held = false;
	kad_region_set_drop(&set, key);
	assert_null(kad_region_set_find(&set, key_of(7, name)));
	assert_int_equal(set.count, 99);
	kad_region_set_release(&set);
	kad_region_set_release(&set);
}

static void a_region_has_its_own_keys(void **state)
{
	struct kad_region all = { 0 };
	struct kad_region_set set = { 0 };
	struct kad_region_key *taken[5000];
	uint8_t name[6];

	(void)state;
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(kad_region_set_add(&set, key_of(i, name)), 0);
	for (unsigned bits = 0; bits <= KAD_ID_BITS; bits += bits < 20 ? 1 : 59) {
		struct kad_region region = { kad_id_of(key_of(77, name)), bits };
		size_t count = kad_region_set_take(&set, &region, taken, 5000), truth = 0;

		for (uint32_t i = 0; i < 5000; i++) {
			struct kad_id id = kad_id_of(key_of(i, name));

			truth += kad_region_has(&region, &id);
		}
		assert_int_equal(count, truth);
		for (size_t i = 0; i < count; i++)
			assert_true(kad_region_has(&region, &taken[i]->id));
		assert_int_equal(kad_region_set_take(&set, &region, NULL, 1), 1);
	}
	/* What waits is not taken. */
	struct kad_region half = kad_region_half(&all, false);
	size_t waiting = kad_region_set_defer(&set, &half);

	assert_in_range(waiting, 2000, 3000);
	assert_int_equal(kad_region_set_take(&set, &all, taken, 5000), 5000 - waiting);
	assert_null(kad_region_set_next(&set, &half, &half.id));
	kad_region_set_retry(&set);
	assert_int_equal(kad_region_set_take(&set, &all, taken, 5000), 5000);
	kad_region_set_release(&set);
}

static void a_set_is_bounded(void **state)
{
	struct kad_region_set set = { 0 };
	uint8_t name[6];

	(void)state;
	for (uint32_t i = 0; i < KAD_REGION_KEYS_MAX; i++)
		assert_int_equal(kad_region_set_add(&set, key_of(i, name)), 0);
	assert_int_equal(kad_region_set_add(&set, key_of(KAD_REGION_KEYS_MAX, name)), -EAGAIN);
	kad_region_set_drop(&set, kad_region_set_find(&set, key_of(3, name)));
	assert_int_equal(kad_region_set_add(&set, key_of(KAD_REGION_KEYS_MAX, name)), 0);
	kad_region_set_release(&set);
}

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
		assert_true(memcmp(map.peers[i - 1].id.bytes, map.peers[i].id.bytes, KAD_ID_LEN) <
			    0);
	kad_region_map_release(&map);
}

static void gaps_are_found_until_none_is_left(void **state)
{
	struct random random = random_seeded(2);

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct kad_region_map map = { 0 };
		struct kad_region region = { .bits = (unsigned)random_below(&random, 9) }, gap;
		unsigned steps = 0;

		random_fill(&random, region.id.bytes, KAD_ID_LEN);
		while (kad_region_map_gap(&map, &region, &gap)) {
			struct kad_region cover = gap;

			assert_true(gap.bits >= region.bits && kad_region_has(&region, &gap.id));
			for (size_t i = 0; i < map.cover_count; i++) {
				assert_false(kad_region_has(&gap, &map.covers[i].id));
				assert_false(kad_region_has(&map.covers[i], &gap.id));
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

	return kad_id_closer(target, &x->id, &y->id);
}

static void sort(struct net *net, struct kad_id target)
{
	qsort_r(net->peers, PEERS, sizeof(net->peers[0]), by_distance, &target);
}

/* As a perfect lookup: the K nearest, and what they prove. */
static struct kad_region look(struct net *net, struct kad_region_map *map,
			      const struct kad_id *target)
{
	struct kad_region known = { .id = *target };

	sort(net, *target);
	for (unsigned i = 0; i < K; i++)
		kad_region_map_add(map, &net->peers[i].peer);
	known.bits = kad_id_common(target, &net->peers[K - 1].id) + 1;
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
		net->peers[i].id = kad_id_of(peer_id_bytes(&net->peers[i].peer));
	}
	for (unsigned round = 0; round < rounds; round++) {
		struct kad_region_map map = { 0 };
		struct kad_region region, gap;
		struct kad_id id;

		random_fill(&random, id.bytes, KAD_ID_LEN);
		region = look(net, &map, &id);
		looks++;
		while (kad_region_map_gap(&map, &region, &gap)) {
			look(net, &map, &gap.id);
			looks++;
		}
		for (unsigned i = 0; i < 100; i++) {
			size_t last;

			do
				random_fill(&random, id.bytes, KAD_ID_LEN);
			while (!kad_region_has(&region, &id));
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
	struct kad_id id = kad_id_of(peer_id_bytes(&(struct peer_id){ .len = 34 }));
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
		map.peers[map.count - 1 - i].id.bytes[KAD_ID_LEN - 1] ^= (uint8_t)i;
	}
	last = kad_region_map_last(&map, &id, K, 0);
	assert_true(kad_id_distance(&id, &map.peers[last].id) == 0);
	last = kad_region_map_last(&map, &id, K, reach);
	assert_true(kad_id_distance(&id, &map.peers[last].id) > reach / 2);
	assert_true(kad_id_distance(&id, &map.peers[last].id) < reach);
	kad_region_map_release(&map);
}

static void a_key_is_drawn_within_a_region(void **state)
{
	struct random random = random_seeded(9);
	struct kad_id id = { { 0xa5, 0x5a } };
	struct kad_region region = kad_region_around(&id, UINT64_MAX >> 7);
	uint8_t key[KAD_REGION_DRAWN_LEN];

	(void)state;
	assert_int_equal(region.bits, 7);
	assert_int_equal(kad_region_around(&id, UINT64_MAX).bits, 0);
	assert_int_equal(kad_region_around(&id, 1).bits, 63);
	assert_true(kad_region_draw(&region, &random, key));
	id = kad_id_of(bytes_of(key, sizeof(key)));
	assert_true(kad_region_has(&region, &id));
	region.bits = 200;
	assert_false(kad_region_draw(&region, &random, key));
	id = kad_id_of(bytes_of(key, sizeof(key)));
	region.bits = 8;
	assert_true(kad_region_has(&region, &id)); /* near at least */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(halves_part_a_region),
		cmocka_unit_test(a_set_is_walked_in_order),
		cmocka_unit_test(a_region_has_its_own_keys),
		cmocka_unit_test(a_set_is_bounded),
		cmocka_unit_test(a_map_is_sorted_and_bounded),
		cmocka_unit_test(gaps_are_found_until_none_is_left),
		cmocka_unit_test(a_known_region_knows_the_nearest_of_its_keys),
		cmocka_unit_test(dense_keys_reach_further),
		cmocka_unit_test(a_key_is_drawn_within_a_region),
	};

	return cmocka_run_group_tests_name("routing/region", tests, NULL, NULL);
}

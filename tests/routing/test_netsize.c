/* The expected reach of k peers, measured in drawn networks, and what stands out of it. */
#include "routing/kad/netsize.h"

#include "net/base/random.h"
#include "routing/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define K 20
#define PEERS 2000
#define KEYS 600

static void too_few_samples_give_no_estimate(void **state)
{
	struct kad_netsize netsize = { 0 };

	(void)state;
	assert_int_equal(kad_netsize_reach(&netsize), 0);
	for (unsigned i = 0; i < KAD_NETSIZE_SAMPLES_MIN - 1; i++)
		kad_netsize_add(&netsize, 1000);
	assert_int_equal(kad_netsize_reach(&netsize), 0);
	assert_false(kad_netsize_is_dense(kad_netsize_reach(&netsize), 0));
	kad_netsize_add(&netsize, 1000);
	assert_int_equal(kad_netsize_reach(&netsize), 1000);
	assert_true(kad_netsize_is_dense(1000, 499));
	assert_false(kad_netsize_is_dense(1000, 500));
}

static void only_the_last_samples_count(void **state)
{
	struct kad_netsize netsize = { 0 };

	(void)state;
	for (unsigned i = 0; i < KAD_NETSIZE_SAMPLES_MAX; i++)
		kad_netsize_add(&netsize, 1000);
	/* Fewer than half cannot move it, in either direction. */
	for (unsigned i = 0; i < KAD_NETSIZE_SAMPLES_MAX / 2 - 1; i++)
		kad_netsize_add(&netsize, i % 4 ? 1 : UINT64_MAX);
	assert_int_equal(kad_netsize_reach(&netsize), 1000);
	for (unsigned i = 0; i < KAD_NETSIZE_SAMPLES_MAX; i++)
		kad_netsize_add(&netsize, 50);
	assert_int_equal(netsize.count, KAD_NETSIZE_SAMPLES_MAX);
	assert_int_equal(kad_netsize_reach(&netsize), 50);
}

/* Fewer than k peers: all of them are near any key. */
static void a_tiny_net_is_never_dense(void **state)
{
	struct kad_netsize netsize = { 0 };

	(void)state;
	for (unsigned i = 0; i < KAD_NETSIZE_SAMPLES_MAX; i++)
		kad_netsize_add(&netsize, UINT64_MAX);
	assert_false(kad_netsize_is_dense(kad_netsize_reach(&netsize), UINT64_MAX));
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The k-th nearest of the peers and so many more that share `bits` bits with the key. */
static uint64_t reach_of(struct random *random, const struct place *peers, unsigned sybils,
			 unsigned bits)
{
	static uint64_t distances[PEERS + K];
	struct place key;

	random_fill(random, key.bytes, PLACE_LEN);
	for (unsigned i = 0; i < PEERS; i++)
		distances[i] = place_distance(&key, &peers[i]);
	for (unsigned i = 0; i < sybils; i++)
		distances[PEERS + i] = random_u64(random) >> bits;
	qsort(distances, PEERS + sybils, sizeof(distances[0]), by_size);
	return distances[K - 1];
}

static void placed_peers_are_found_dense_and_random_ones_are_not(void **state)
{
	struct random random = random_seeded(5);
	struct place *peers = calloc(PEERS, sizeof(*peers));
	struct kad_netsize netsize = { 0 };
	unsigned chance = 0, caught = 0;
	uint64_t reach;

	(void)state;
	for (unsigned i = 0; i < PEERS; i++)
		random_fill(&random, peers[i].bytes, PLACE_LEN);
	for (unsigned i = 0; i < KAD_NETSIZE_SAMPLES_MAX; i++)
		kad_netsize_add(&netsize, reach_of(&random, peers, 0, 0));
	reach = kad_netsize_reach(&netsize);
	assert_in_range(reach, UINT64_MAX / PEERS * K / 10 * 8, UINT64_MAX / PEERS * K / 10 * 12);
	for (unsigned i = 0; i < KEYS; i++) {
		chance += kad_netsize_is_dense(reach, reach_of(&random, peers, 0, 0));
		caught += kad_netsize_is_dense(reach, reach_of(&random, peers, K, 9));
	}
	assert_true(chance <= KEYS / 50);
	assert_int_equal(caught, KEYS);
	free(peers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_few_samples_give_no_estimate),
		cmocka_unit_test(only_the_last_samples_count),
		cmocka_unit_test(a_tiny_net_is_never_dense),
		cmocka_unit_test(placed_peers_are_found_dense_and_random_ones_are_not),
	};

	return cmocka_run_group_tests_name("routing/netsize", tests, NULL, NULL);
}

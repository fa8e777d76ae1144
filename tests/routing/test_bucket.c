#include "routing/kad/bucket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct peer_id peer_of(uint32_t number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20 } };

	memcpy(id.bytes + 2, &number, sizeof(number));
	return id;
}

/* The number-th of those that share exactly so many bits with us. */
static struct peer_id peer_in(const struct kad_buckets *table, unsigned common, unsigned number)
{
	for (uint32_t i = 1;; i++) {
		struct peer_id peer = peer_of(i);
		struct place id = place_of_key(peer_id_bytes(&peer));

		if (place_common(&table->id, &id) == common && number-- == 0)
			return peer;
	}
}

static void buckets_split_and_fill(void **state)
{
	struct peer_id self = peer_of(0), peer;
	struct kad_buckets table;
	unsigned added = 0;

	(void)state;
	kad_bucket_init(&table, &self, 20);
	assert_int_equal(kad_bucket_add(&table, &self, 0, 1, NULL), -EINVAL);
	for (uint32_t i = 1; i <= 2000; i++) {
		peer = peer_of(i);
		added += kad_bucket_add(&table, &peer, 0, 1, NULL) == 0;
	}
	assert_int_equal(table.peers, added);
	assert_in_range(table.count, 6, 12);
	for (unsigned i = 0; i + 1 < table.count; i++) {
		assert_true(table.at[i].count <= 20);
		for (unsigned j = 0; j < table.at[i].count; j++)
			assert_int_equal(place_common(&table.id, &table.at[i].peers[j].id), i);
	}
	assert_int_equal(table.at[0].count, 20);
	peer = table.at[0].peers[3].peer;
	assert_int_equal(kad_bucket_add(&table, &peer, 0, 2, NULL), -EEXIST);
	assert_true(kad_bucket_remove(&table, &peer));
	assert_false(kad_bucket_has(&table, &peer));
	assert_false(kad_bucket_remove(&table, &peer));
	assert_int_equal(table.peers, added - 1);
	kad_bucket_release(&table);
}

static void closest_peers_agree_with_sorting_all(void **state)
{
	struct peer_id self = peer_of(0), near[KAD_K_MAX];
	struct kad_buckets table;

	(void)state;
	kad_bucket_init(&table, &self, 20);
	for (uint32_t i = 1; i <= 500; i++) {
		struct peer_id peer = peer_of(i);

		kad_bucket_add(&table, &peer, 0, 1, NULL);
	}
	for (uint32_t t = 0; t < 20; t++) {
		struct peer_id target_peer = peer_of(10000 + t);
		struct place target = place_of_key(peer_id_bytes(&target_peer)), last;

		assert_int_equal(kad_bucket_closest(&table, &target, NULL, near, 20), 20);
		last = place_of_key(peer_id_bytes(&near[19]));
		for (unsigned i = 1; i < 20; i++) {
			struct place a = place_of_key(peer_id_bytes(&near[i - 1]));
			struct place b = place_of_key(peer_id_bytes(&near[i]));

			assert_true(place_closer(&target, &a, &b) < 0);
		}
		unsigned nearer = 0;

		for (unsigned b = 0; b < table.count; b++)
			for (unsigned i = 0; i < table.at[b].count; i++)
				nearer +=
					place_closer(&target, &table.at[b].peers[i].id, &last) <= 0;
		assert_int_equal(nearer, 20);
		struct peer_id first = near[0];

		assert_int_equal(kad_bucket_closest(&table, &target, &first, near, 20), 20);
		assert_false(peer_id_equal(&near[0], &first));
	}
	kad_bucket_release(&table);
}

static void only_the_useless_are_replaced(void **state)
{
	struct peer_id self = peer_of(0), peer, old, replaced;
	struct kad_buckets table;

	(void)state;
	kad_bucket_init(&table, &self, 4);
	/* A far bucket that cannot split any more, for a nearer one is there. */
	for (unsigned i = 0; i < 4; i++) {
		peer = peer_in(&table, 0, i);
		assert_int_equal(kad_bucket_add(&table, &peer, 0, 1000 + i, NULL), 0);
	}
	peer = peer_in(&table, 3, 0);
	assert_int_equal(kad_bucket_add(&table, &peer, 0, 1000, NULL), 0);
	peer = peer_in(&table, 0, 4);
	assert_int_equal(kad_bucket_add(&table, &peer, 0, 1000 + KAD_USEFUL_MS, NULL), -EAGAIN);
	old = peer_in(&table, 0, 0);
	kad_bucket_useful(&table, &old, 5000);
	assert_int_equal(kad_bucket_add(&table, &peer, 0, 1002 + KAD_USEFUL_MS, &replaced), 0);
	old = peer_in(&table, 0, 1);
	assert_true(peer_id_equal(&replaced, &old));
	assert_int_equal(table.peers, 5);
	kad_bucket_release(&table);
}

static void one_network_gets_few_places(void **state)
{
	struct peer_id self = peer_of(0), peer;
	struct kad_buckets table;
	unsigned of_one = 0;

	(void)state;
	kad_bucket_init(&table, &self, 20);
	for (unsigned i = 0; i < KAD_GROUP_BUCKET_MAX + 1; i++) {
		peer = peer_in(&table, 0, i);
		of_one += kad_bucket_add(&table, &peer, 7, 1, NULL) == 0;
	}
	assert_int_equal(of_one, KAD_GROUP_BUCKET_MAX);
	for (uint32_t i = 1; i <= 500; i++) {
		peer = peer_of(i);
		kad_bucket_add(&table, &peer, 0, 1, NULL);
	}
	for (uint32_t i = 1000; i < 3000; i++) {
		peer = peer_of(i);
		of_one += kad_bucket_add(&table, &peer, 7, 1, NULL) == 0;
	}
	assert_int_equal(of_one, KAD_GROUP_TABLE_MAX);
	kad_bucket_release(&table);
}

static void every_bucket_comes_due_for_refresh(void **state)
{
	struct peer_id self = peer_of(0);
	struct kad_buckets table;
	unsigned index, count = 0;

	(void)state;
	kad_bucket_init(&table, &self, 2);
	for (uint32_t i = 1; i <= 50; i++) {
		struct peer_id peer = peer_of(i);

		kad_bucket_add(&table, &peer, 0, 1, NULL);
	}
	while (kad_bucket_refresh_due(&table, 100, 100, &index))
		assert_int_equal(index, count++);
	assert_int_equal(count, table.count);
	kad_bucket_release(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_split_and_fill),
		cmocka_unit_test(closest_peers_agree_with_sorting_all),
		cmocka_unit_test(only_the_useless_are_replaced),
		cmocka_unit_test(one_network_gets_few_places),
		cmocka_unit_test(every_bucket_comes_due_for_refresh),
	};

	return cmocka_run_group_tests_name("routing/bucket", tests, NULL, NULL);
}

/* What a node does by itself: values are told again, and figures say that it looked around. */
#include "net/base/wait.h"
#include "routing/kad/kad.h"
#include "tests/routing/ipns_make.h"
#include "tests/routing/kad_lab.h"

#include <errno.h>

static struct kad_stats stats_of(const struct router *router)
{
	struct kad_stats stats;

	kad_stats(router, &stats);
	return stats;
}

static struct kad_value *value_of(struct router *router, struct bytes key)
{
	return map_get(&kad_of(router)->values.keys, key);
}

static int put(struct lab *lab, struct router *router, struct bytes key, struct bytes value)
{
	struct heard heard = { 0 };

	assert_non_null(
		routing_put_value(router, key, value, lab_deadline(lab, 5000), heard_done, &heard));
	lab_until(lab, &heard.done);
	return heard.err;
}

/* Put where nobody was, and forgotten where it was put: in time both have it. */
static void values_are_told_again(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb = kad_lab_node(b, NULL);
	struct buf key = { 0 }, record = { 0 }, other = { 0 };

	(void)state;
	ipns_make(&record, 9, (struct ipns_make){ .sequence = 1 });
	assert_int_equal(put(lab, rb, ipns_key(&key, 9), buf_bytes(&record)), -EHOSTUNREACH);
	ipns_make(&other, 8, (struct ipns_make){ .sequence = 1 });
	assert_int_equal(put(lab, rb, ipns_key(&key, 8), buf_bytes(&other)), -EHOSTUNREACH);
	assert_int_equal(stats_of(rb).values, 2);
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	kad_lab_peers(lab, ra, 1);
	/* Not yet. */
	kad_upkeep_tell_again(kad_of(rb));
	lab_run(lab, 50);
	assert_int_equal(stats_of(ra).values, 0);
	value_of(rb, ipns_key(&key, 9))->due_ms = 0;
	value_of(rb, ipns_key(&key, 8))->due_ms = 0;
	kad_upkeep_tell_again(kad_of(rb));
	for (int i = 0; i < 500 && stats_of(ra).values < 2; i++)
		lab_run(lab, 10);
	assert_int_equal(stats_of(ra).values, 2);
	assert_int_equal(stats_of(ra).value_bytes, record.len + other.len);
	lab_run(lab, 50);
	assert_true(value_of(rb, ipns_key(&key, 9))->due_ms >
		    wallclock_ns() / 1000000 + KAD_VALUE_AGAIN_MS / 2);
	/* Who keeps it for us does not spread it. */
	assert_false(value_of(ra, buf_bytes(&key))->own);
	router_close(ra, NULL, NULL);
	router_close(rb, NULL, NULL);
	lab_free(lab);
	buf_release(&key);
	buf_release(&record);
	buf_release(&other);
}

/* Freed in the middle of telling: nothing is left. */
static void closing_while_a_value_is_told_leaks_nothing(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb = kad_lab_node(b, NULL);
	struct buf key = { 0 }, record = { 0 };

	(void)state;
	ipns_make(&record, 9, (struct ipns_make){ 0 });
	assert_int_equal(put(lab, rb, ipns_key(&key, 9), buf_bytes(&record)), -EHOSTUNREACH);
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	value_of(rb, buf_bytes(&key))->due_ms = 0;
	kad_upkeep_tell_again(kad_of(rb));
	assert_non_null(kad_of(rb)->upkeep.telling);
	router_close(rb, NULL, NULL);
	router_close(ra, NULL, NULL);
	lab_free(lab);
	buf_release(&key);
	buf_release(&record);
}

static void statistics_follow_refreshes_and_queries(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb = kad_lab_node(b, NULL);
	const uint8_t key[34] = { 0x12, 0x20 };
	struct heard heard = { 0 };

	(void)state;
	assert_int_equal(stats_of(rb).buckets_filled, 0);
	assert_true(stats_of(rb).refresh_age_ms == UINT64_MAX);
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	for (int i = 0; i < 500 && stats_of(rb).refreshes == 0; i++)
		lab_run(lab, 10);
	assert_true(stats_of(rb).refreshes > 0);
	assert_true(stats_of(rb).refresh_age_ms < 60000);
	assert_int_equal(stats_of(rb).refresh_failures, 0);
	assert_int_equal(stats_of(rb).buckets_filled, 1);
	assert_true(stats_of(rb).serving);
	assert_non_null(routing_provide(rb, bytes_of(key, sizeof(key)), lab_deadline(lab, 5000),
					heard_done, &heard));
	lab_until(lab, &heard.done);
	for (int i = 0; i < 500 && stats_of(ra).provider_records == 0; i++)
		lab_run(lab, 10);
	assert_int_equal(stats_of(ra).provider_records, 1);
	assert_int_equal(stats_of(ra).provider_keys, 1);
	router_close(ra, NULL, NULL);
	router_close(rb, NULL, NULL);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_told_again),
		cmocka_unit_test(closing_while_a_value_is_told_leaks_nothing),
		cmocka_unit_test(statistics_follow_refreshes_and_queries),
	};

	return cmocka_run_group_tests_name("routing/upkeep", tests, NULL, NULL);
}

/* What is announced when: moments, restarts, failures. */
#include "routing/kad/provide.h"

#include "net/db/db.h"
#include "net/base/wait.h"
#include "net/wire/multihash.h"
#include "tests/routing/kad_lab.h"

#include <errno.h>

#define INTERVAL (22ull * 3600 * 1000)
#define KEYS 300

static struct bytes key_of(uint16_t number, uint8_t out[static 34])
{
	out[0] = 0x12;
	out[1] = 0x20;
	sha256(out + 2, bytes_of(&number, sizeof(number)));
	return bytes_of(out, 34);
}

static void due_time_follows_from_the_place_of_the_key(void **state)
{
	struct random random = random_seeded(4);
	struct place id, other;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t interval = i % 2 ? INTERVAL : 1 + random_below(&random, 100000);
		uint64_t told = random_below(&random, 1ull << 42), due;

		random_fill(&random, id.bytes, PLACE_LEN);
		due = kad_provide_due_ms(&id, told, interval);
		assert_true(due > told + interval / 8);
		assert_true(due <= told + interval / 8 + interval);
		/* Announced a little early, late, or a neighbour: the same moment. */
		other = id;
		other.bytes[5] ^= 0xff;
		assert_int_equal(kad_provide_due_ms(&other, told, interval), due);
		/* And then once an interval. */
		assert_int_equal(kad_provide_due_ms(&id, due, interval), due + interval);
		assert_int_equal(kad_provide_due_ms(&id, due + interval / 2, interval),
				 due + interval);
	}
	assert_int_equal(kad_provide_due_ms(&id, UINT64_MAX, INTERVAL), UINT64_MAX);
	assert_int_equal(kad_provide_due_ms(&id, 1, UINT64_MAX), UINT64_MAX);
	assert_int_equal(kad_provide_due_ms(&id, 1, 0), UINT64_MAX);
}

static void an_interval_is_filled_evenly(void **state)
{
	unsigned hours[25] = { 0 };
	uint8_t key[34];

	(void)state;
	for (uint16_t i = 0; i < 22000; i++) {
		struct place id = place_of_key(key_of(i, key));
		uint64_t after = kad_provide_due_ms(&id, 1000 * INTERVAL, INTERVAL);

		hours[(after - 1000 * INTERVAL) / (3600 * 1000)]++;
	}
	for (unsigned hour = 3; hour < 24; hour++)
		assert_in_range(hours[hour], 700, 1300);
}

static struct kad_stats wait_provided(struct lab *lab, struct router *router, uint64_t count)
{
	struct kad_stats stats = { 0 };

	for (unsigned i = 0; i < 500 && stats.provided < count; i++) {
		lab_run(lab, 10);
		kad_stats(router, &stats);
	}
	assert_int_equal(stats.provided, count);
	return stats;
}

static void a_restart_goes_on_where_it_was(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb;
	struct kad_stats stats;
	struct db_txn *txn;
	struct buf told = { 0 };
	struct db *db;
	uint8_t key[34];

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	/* A third was announced a while ago, a third too long ago, a third never. */
	assert_int_equal(db_begin(db, true, &txn), 0);
	for (uint16_t i = 0; i < KEYS; i++) {
		uint64_t now_ms = wallclock_ns() / 1000000;

		assert_int_equal(db_put(txn, "provide", key_of(i, key), bytes_of("", 0)), 0);
		buf_clear(&told);
		buf_add_le64(&told, now_ms - (i % 3 ? INTERVAL * 9 / 8 + 1000 : INTERVAL / 10));
		if (i % 3 < 2)
			assert_int_equal(
				db_put(txn, "provided.lan", key_of(i, key), buf_bytes(&told)), 0);
	}
	assert_int_equal(db_commit(txn), 0);
	rb = kad_lab_node(b, db);
	assert_int_equal(lab_connect(lab, b, a), 0);
	stats = wait_provided(lab, rb, KEYS / 3 * 2);
	assert_int_equal(stats.provide_pending, 0);
	router_close(rb, NULL, NULL);
	assert_int_equal(db_flush(db), 0);
	rb = kad_lab_node(b, db);
	kad_lab_peers(lab, rb, 1);
	lab_run(lab, 300);
	kad_stats(rb, &stats);
	assert_int_equal(stats.provided, 0);
	assert_int_equal(stats.provide_pending, 0);
	buf_release(&told);
	router_close(rb, NULL, NULL);
	router_close(ra, NULL, NULL);
	lab_free(lab);
	db_close(db);
}

static void key_that_no_peer_took_is_announced_to_the_next_one(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct swarm *c = lab_swarm(lab, 3, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb = kad_lab_node(b, NULL);
	struct router *rc = kad_lab_node(c, NULL);
	struct kad_stats stats;
	uint8_t key[34];

	(void)state;
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	router_close(ra, NULL, NULL);
	lab_close(lab, a);
	for (uint16_t i = 0; i < KEYS; i++)
		assert_int_equal(kad_provide_start(rb, key_of(i, key)), 0);
	lab_run(lab, 300);
	kad_stats(rb, &stats);
	assert_int_equal(stats.provided, 0);
	assert_int_equal(stats.provide_pending, KEYS);
	assert_int_equal(stats.table_peers, 0);
	for (uint16_t i = 0; i < 100; i++)
		assert_int_equal(kad_provide_stop(rb, key_of(i, key)), 0);
	assert_int_equal(lab_connect(lab, b, c), 0);
	stats = wait_provided(lab, rb, KEYS - 100);
	assert_int_equal(stats.provide_pending, 0);
	kad_stats(rc, &stats);
	assert_int_equal(stats.provider_keys, KEYS - 100);
	router_close(rc, NULL, NULL);
	router_close(rb, NULL, NULL);
	lab_free(lab);
}

static void list(struct db *db, uint16_t from, uint16_t to, bool listed)
{
	struct db_txn *txn;
	uint8_t key[34];

	assert_int_equal(db_begin(db, true, &txn), 0);
	for (uint16_t i = from; i < to; i++)
		assert_int_equal(listed ? db_put(txn, "provide", key_of(i, key), bytes_of("", 0)) :
					  db_del(txn, "provide", key_of(i, key)),
				 0);
	assert_int_equal(db_commit(txn), 0);
}

static void withdrawn_key_is_not_announced(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb;
	struct kad_stats stats;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	list(db, 0, KEYS, true);
	rb = kad_lab_node(b, db);
	lab_run(lab, 300);
	kad_stats(rb, &stats);
	assert_int_equal(stats.provide_pending, KEYS);
	list(db, 100, KEYS, false); /* by another process, which tells */
	kad_provide_changed(rb);
	lab_run(lab, 300);
	kad_stats(rb, &stats);
	assert_int_equal(stats.provide_pending, 100);
	assert_int_equal(stats.provider_keys, 100);
	assert_int_equal(lab_connect(lab, b, a), 0);
	stats = wait_provided(lab, rb, 100);
	assert_int_equal(stats.provide_pending, 0);
	router_close(rb, NULL, NULL);
	router_close(ra, NULL, NULL);
	lab_free(lab);
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_time_follows_from_the_place_of_the_key),
		cmocka_unit_test(an_interval_is_filled_evenly),
		cmocka_unit_test(a_restart_goes_on_where_it_was),
		cmocka_unit_test(key_that_no_peer_took_is_announced_to_the_next_one),
		cmocka_unit_test(withdrawn_key_is_not_announced),
	};

	return cmocka_run_group_tests_name("routing/provide", tests, NULL, NULL);
}

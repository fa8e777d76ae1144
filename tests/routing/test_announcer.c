/* What is announced when: moments, restarts, failures, over Kademlia and over a router that takes
 * keys one by one. */
#include "routing/announce/announcer.h"

#include "net/base/wait.h"
#include "net/db/db.h"
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
		due = announcer_due_ms(&id, told, interval);
		assert_true(due > told + interval / 8);
		assert_true(due <= told + interval / 8 + interval);
		/* Announced a little early, late, or a neighbour: the same moment. */
		other = id;
		other.bytes[5] ^= 0xff;
		assert_int_equal(announcer_due_ms(&other, told, interval), due);
		/* And then once an interval. */
		assert_int_equal(announcer_due_ms(&id, due, interval), due + interval);
		assert_int_equal(announcer_due_ms(&id, due + interval / 2, interval),
				 due + interval);
	}
	assert_int_equal(announcer_due_ms(&id, UINT64_MAX, INTERVAL), UINT64_MAX);
	assert_int_equal(announcer_due_ms(&id, 1, UINT64_MAX), UINT64_MAX);
	assert_int_equal(announcer_due_ms(&id, 1, 0), UINT64_MAX);
}

static void an_interval_is_filled_evenly(void **state)
{
	unsigned hours[25] = { 0 };
	uint8_t key[34];

	(void)state;
	for (uint16_t i = 0; i < 22000; i++) {
		struct place id = place_of_key(key_of(i, key));
		uint64_t after = announcer_due_ms(&id, 1000 * INTERVAL, INTERVAL);

		hours[(after - 1000 * INTERVAL) / (3600 * 1000)]++;
	}
	for (unsigned hour = 3; hour < 24; hour++)
		assert_in_range(hours[hour], 700, 1300);
}

static void wait_announced(struct lab *lab, struct announcer *announcer, uint64_t count)
{
	for (unsigned i = 0; i < 500 && announced(announcer).announced < count; i++)
		lab_run(lab, 10);
	assert_int_equal(announced(announcer).announced, count);
}

static void a_restart_goes_on_where_it_was(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb;
	struct announcer *announcer;
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
	announcer = kad_lab_announcer(lab, rb, db);
	assert_int_equal(lab_connect(lab, b, a), 0);
	wait_announced(lab, announcer, KEYS / 3 * 2);
	assert_int_equal(announced(announcer).pending, 0);
	announcer_free(announcer);
	router_close(rb, NULL, NULL);
	assert_int_equal(db_flush(db), 0);
	rb = kad_lab_node(b, db);
	announcer = kad_lab_announcer(lab, rb, db);
	kad_lab_peers(lab, rb, 1);
	lab_run(lab, 300);
	assert_int_equal(announced(announcer).announced, 0);
	assert_int_equal(announced(announcer).pending, 0);
	announcer_free(announcer);
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
	struct announcer *announcer = kad_lab_announcer(lab, rb, NULL);
	struct kad_stats stats;
	uint8_t key[34];

	(void)state;
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	router_close(ra, NULL, NULL);
	lab_close(lab, a);
	for (uint16_t i = 0; i < KEYS; i++)
		assert_int_equal(announcer_start(announcer, key_of(i, key)), 0);
	lab_run(lab, 300);
	kad_stats(rb, &stats);
	assert_int_equal(announced(announcer).announced, 0);
	assert_int_equal(announced(announcer).pending, KEYS);
	assert_int_equal(stats.table_peers, 0);
	for (uint16_t i = 0; i < 100; i++)
		assert_int_equal(announcer_stop(announcer, key_of(i, key)), 0);
	assert_int_equal(lab_connect(lab, b, c), 0);
	wait_announced(lab, announcer, KEYS - 100);
	assert_int_equal(announced(announcer).pending, 0);
	kad_stats(rc, &stats);
	assert_int_equal(stats.provider_keys, KEYS - 100);
	announcer_free(announcer);
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
		assert_int_equal(listed ? db_put(txn, "provide", key_of(i, key), bytes_of("", 0))
					: db_del(txn, "provide", key_of(i, key)),
				 0);
	assert_int_equal(db_commit(txn), 0);
}

static void withdrawn_key_is_not_announced(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb;
	struct announcer *announcer;
	struct kad_stats stats;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	list(db, 0, KEYS, true);
	rb = kad_lab_node(b, db);
	announcer = kad_lab_announcer(lab, rb, db);
	lab_run(lab, 300);
	assert_int_equal(announced(announcer).pending, KEYS);
	list(db, 100, KEYS, false); /* by another process, which tells */
	announcer_changed(announcer);
	lab_run(lab, 300);
	kad_stats(rb, &stats);
	assert_int_equal(announced(announcer).pending, 100);
	assert_int_equal(stats.provider_keys, 100);
	assert_int_equal(lab_connect(lab, b, a), 0);
	wait_announced(lab, announcer, 100);
	assert_int_equal(announced(announcer).pending, 0);
	announcer_free(announcer);
	router_close(rb, NULL, NULL);
	router_close(ra, NULL, NULL);
	lab_free(lab);
	db_close(db);
}

/* ---- a router that takes keys one by one, on virtual time ---- */

#define CALLS_MAX 16

struct call {
	struct routing_query query; /* first */
	struct clerk *clerk;
	routing_done_fn *done;
	void *ctx;
	struct timer timer;
	bool running;
};

/* Answers each provide() after a while; a list of keys that it has heard is kept. */
struct clerk {
	struct router router;
	struct timers *timers;
	struct call calls[CALLS_MAX];
	unsigned open, open_most, asked, told, own;
	int err;      /* its answer */
	int unready;  /* what can_provide() says */
	bool refuses; /* starts nothing */
	uint64_t answer_ms;
};

static void clerk_cancel(struct routing_query *query)
{
	struct call *call = container_of(query, struct call, query);

	assert_true(call->running);
	call->running = false;
	call->clerk->open--;
	timer_stop(call->clerk->timers, &call->timer);
}

static void clerk_answer(void *ctx)
{
	struct call *call = ctx;
	struct clerk *clerk = call->clerk;

	call->running = false;
	clerk->open--;
	clerk->told += clerk->err == 0;
	call->done(call->ctx, clerk->err, clerk->err ? 0 : 1);
}

static struct routing_query *clerk_provide(struct router *router, struct bytes multihash,
					   uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	struct clerk *clerk = container_of(router, struct clerk, router);
	struct call *call = clerk->calls;

	assert_int_equal(multihash.len, 34);
	assert_true(deadline_ms > timers_now(clerk->timers));
	clerk->asked++;
	if (clerk->refuses)
		return NULL;
	while (call->running)
		call++;
	*call = (struct call){ .query.cancel = clerk_cancel,
			       .clerk = clerk,
			       .done = done,
			       .ctx = ctx,
			       .running = true };
	if (++clerk->open > clerk->open_most)
		clerk->open_most = clerk->open;
	timer_start(clerk->timers, &call->timer, clerk->answer_ms, clerk_answer, call);
	return &call->query;
}

static int clerk_can_provide(struct router *router)
{
	return container_of(router, struct clerk, router)->unready;
}

static void clerk_note_own(struct router *router, struct bytes multihash, bool have)
{
	struct clerk *clerk = container_of(router, struct clerk, router);

	(void)multihash;
	clerk->own += have ? 1 : -1u;
}

static void clerk_close(struct router *router, void (*done)(void *ctx), void *ctx)
{
	assert_int_equal(container_of(router, struct clerk, router)->open, 0);
	assert_null(router->watches);
	done(ctx);
}

static const struct router_ops clerk_ops = { .provide = clerk_provide,
					     .close = clerk_close,
					     .can_provide = clerk_can_provide,
					     .note_own = clerk_note_own };

/* An office with a clerk, and its clock. */
struct office {
	struct loop *loop;
	struct clerk clerk;
	struct announcer *announcer;
	uint64_t now_ms;
};

static void office_open(struct office *office)
{
	*office = (struct office){ .loop = loop_new_virtual(1000), .now_ms = 1000 };
	office->clerk.router = (struct router){ .ops = &clerk_ops, .name = "clerk" };
	office->clerk.timers = loop_timers(office->loop);
	office->clerk.answer_ms = 10;
	office->announcer = announcer_new(&office->clerk.router, office->loop, NULL,
					  &(struct announcer_config){ .name = "clerk" });
}

static void office_close(struct office *office)
{
	announcer_free(office->announcer);
	router_close(&office->clerk.router, NULL, NULL);
	loop_free(office->loop);
}

static void office_run(struct office *office, uint64_t ms)
{
	struct timers *timers = loop_timers(office->loop);
	uint64_t end_ms = office->now_ms + ms;

	while (timers_next(timers) <= end_ms) {
		if (timers_next(timers) > office->now_ms)
			office->now_ms = timers_next(timers);
		loop_turn(office->loop, office->now_ms);
	}
	office->now_ms = end_ms;
	loop_turn(office->loop, end_ms);
}

static void office_start(struct office *office, uint16_t from, uint16_t to)
{
	uint8_t key[34];

	for (uint16_t i = from; i < to; i++)
		assert_int_equal(announcer_start(office->announcer, key_of(i, key)), 0);
}

static void keys_go_one_by_one_where_the_router_takes_no_regions(void **state)
{
	struct office office;

	(void)state;
	office_open(&office);
	office_start(&office, 0, KEYS);
	assert_int_equal(office.clerk.own, KEYS);
	office_run(&office, KEYS * 10);
	assert_int_equal(office.clerk.told, KEYS);
	assert_int_equal(office.clerk.open_most, ANNOUNCE_PARTS);
	assert_int_equal(announced(office.announcer).announced, KEYS);
	assert_int_equal(announced(office.announcer).pending, 0);
	office_close(&office);
}

static void keys_that_failed_wait_and_few_are_tried_meanwhile(void **state)
{
	struct office office;

	(void)state;
	office_open(&office);
	office.clerk.err = -EHOSTUNREACH;
	office_start(&office, 0, KEYS);
	office_run(&office, 20000);
	assert_int_equal(office.clerk.asked, ANNOUNCE_PARTS);
	assert_int_equal(announced(office.announcer).pending, KEYS);
	/* After 30 s, 60 s, 120 s ... */
	office_run(&office, 200000);
	assert_int_equal(office.clerk.asked, 4 * ANNOUNCE_PARTS);
	office.clerk.err = 0;
	office_run(&office, 600000);
	assert_int_equal(office.clerk.told, KEYS);
	assert_int_equal(announced(office.announcer).pending, 0);
	office_close(&office);
}

static void nothing_is_asked_before_the_router_is_ready(void **state)
{
	struct office office;

	(void)state;
	office_open(&office);
	office.clerk.unready = -EAGAIN;
	office_start(&office, 0, 10);
	office_run(&office, 1000000);
	assert_int_equal(office.clerk.asked, 0);
	office.clerk.unready = 0;
	router_ready(&office.clerk.router);
	office_run(&office, 1000);
	assert_int_equal(office.clerk.told, 10);
	/* One that is to be asked again is. */
	office.clerk.unready = -EADDRNOTAVAIL;
	office_start(&office, 10, 20);
	office_run(&office, 1000);
	assert_int_equal(office.clerk.asked, 10);
	office.clerk.unready = 0;
	office_run(&office, 60000);
	assert_int_equal(office.clerk.told, 20);
	/* As is one that has no room for another search. */
	office.clerk.refuses = true;
	office_start(&office, 20, 21);
	office_run(&office, 1000);
	assert_int_equal(office.clerk.asked, 21);
	office.clerk.refuses = false;
	office_run(&office, 60000);
	assert_int_equal(office.clerk.told, 21);
	office_close(&office);
}

static void key_withdrawn_in_flight_is_not_announced_again(void **state)
{
	struct office office;
	uint8_t key[34];

	(void)state;
	office_open(&office);
	office_start(&office, 0, 3);
	office_run(&office, 1);
	assert_true(office.clerk.open > 0);
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(announcer_stop(office.announcer, key_of(i, key)), 0);
	assert_int_equal(office.clerk.own, 0);
	office_run(&office, 100);
	assert_int_equal(announced(office.announcer).announced, 0);
	assert_int_equal(announced(office.announcer).pending, 0);
	/* And the end may come in mid-flight. */
	office_start(&office, 0, 10);
	office_run(&office, 1);
	assert_true(office.clerk.open > 0);
	office_close(&office);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_time_follows_from_the_place_of_the_key),
		cmocka_unit_test(an_interval_is_filled_evenly),
		cmocka_unit_test(a_restart_goes_on_where_it_was),
		cmocka_unit_test(key_that_no_peer_took_is_announced_to_the_next_one),
		cmocka_unit_test(withdrawn_key_is_not_announced),
		cmocka_unit_test(keys_go_one_by_one_where_the_router_takes_no_regions),
		cmocka_unit_test(keys_that_failed_wait_and_few_are_tried_meanwhile),
		cmocka_unit_test(nothing_is_asked_before_the_router_is_ready),
		cmocka_unit_test(key_withdrawn_in_flight_is_not_announced_again),
	};

	return cmocka_run_group_tests_name("routing/announcer", tests, NULL, NULL);
}

/* What may be on its way at once, and what happens when that is full: everything waits, nothing fails. */
#include "tests/exchange/exchange_lab.h"

#include "exchange/bitswap/budget.h"

#define MIB (1u << 20)
#define PIECE (256u * 1024)
#define MESSAGE (MIB + PIECE) /* of a response, with the block that passes the mark */

static void the_sum_counts_once(void **state)
{
	struct bitswap_budget budget = { .max = 100 };

	(void)state;
	assert_true(bitswap_budget_may_ask(&budget, 1000)); /* whatever it is, one must go */
	budget.asked = 60;
	budget.hashing = 50; /* of these */
	budget.held = 20;
	assert_int_equal(bitswap_budget_used(&budget), 80);
	assert_true(bitswap_budget_may_ask(&budget, 20));
	assert_false(bitswap_budget_may_ask(&budget, 21));
	budget.asked = 0; /* more came than was expected */
	assert_int_equal(bitswap_budget_used(&budget), 70);
	bitswap_budget_note(&budget);
	budget.hashing = 0;
	bitswap_budget_note(&budget);
	assert_int_equal(budget.peak, 70);
}

static void half_is_for_each(void **state)
{
	struct bitswap_budget budget = { .max = 100, .asked = 40, .sending = 70 };

	(void)state;
	assert_true(bitswap_budget_may_ask(&budget, 10));
	assert_false(bitswap_budget_may_ask(&budget, 11));
	assert_false(bitswap_budget_may_send(&budget, 1));
	budget.sending = 30;
	assert_true(bitswap_budget_may_send(&budget, 20));
	assert_false(bitswap_budget_may_send(&budget, 21));
	budget.asked = 60;
	assert_false(bitswap_budget_may_send(&budget, 11));
}

/* Blocks from..from+count of len bytes go to all holders, and are asked for. */
static void ask_all(struct fixture *f, struct exchange_session *session, unsigned from,
		    unsigned count, size_t len, unsigned holders)
{
	for (unsigned i = from; i < from + count; i++) {
		struct block *block = numbered(i, len);

		for (unsigned n = 0; n < holders; n++)
			put(&f->nodes[n], block);
		assert_non_null(get(f, session, &block->cid));
		block_unref(block);
	}
}

static void a_reader_stays_below(void **state)
{
	struct exchange_config config = { .in_flight_max = 4 * MIB };
	struct fixture *f = start(2);

	(void)state;
	node_start(f, 2, NULL, &config);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(lab_connect(f->lab, f->nodes[2].swarm, f->nodes[i].swarm), 0);
	struct exchange_session *one = exchange_session_new(f->nodes[2].exchange);
	struct exchange_session *other = exchange_session_new(f->nodes[2].exchange);

	ask_all(f, one, 0, 128, PIECE, 2);
	ask_all(f, other, 128, 128, PIECE, 2);
	until(f, 256);
	assert_int_equal(f->got, 256);
	assert_in_range(stats(&f->nodes[2]).in_flight_peak, 2 * MIB, 4 * MIB + 2 * MESSAGE);
	assert_int_equal(stats(&f->nodes[2]).in_flight, 0);
	assert_true(stats(&f->nodes[0]).blocks_sent > 0 && stats(&f->nodes[1]).blocks_sent > 0);
	stop(f);
}

static void a_server_stays_below(void **state)
{
	struct exchange_config config = { .in_flight_max = 4 * MIB };
	struct fixture *f = xnew(struct fixture);

	(void)state;
	f->lab = lab_new();
	node_start(f, 0, NULL, &config);
	for (unsigned i = 1; i < 3; i++) {
		node_start(f, i, NULL, NULL);
		assert_int_equal(lab_connect(f->lab, f->nodes[i].swarm, f->nodes[0].swarm), 0);
		ask_all(f, exchange_session_new(f->nodes[i].exchange), i * 1000, 128, PIECE, 1);
	}
	until(f, 256);
	assert_int_equal(f->got, 256);
	assert_in_range(stats(&f->nodes[0]).in_flight_peak, PIECE, 4 * MIB + 2 * MESSAGE);
	stop(f);
}

/* Far more than the budget each, and far more than they were expected to be. */
static void big_blocks_pass_a_small_budget(void **state)
{
	struct exchange_config config = { .in_flight_max = 1 };
	struct fixture *f = xnew(struct fixture);

	(void)state;
	f->lab = lab_new();
	node_start(f, 0, NULL, &config);
	node_start(f, 1, NULL, &config);
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	ask_all(f, exchange_session_new(f->nodes[1].exchange), 0, 20, 2 * MIB, 1);
	until(f, 20);
	assert_int_equal(f->got, 20);
	stop(f);
}

/* Who ends its gets, or leaves, gives back what it had. */
static void what_ends_gives_back(void **state)
{
	struct exchange_config config = { .in_flight_max = 4 * MIB };
	struct fixture *f = start(1);

	(void)state;
	node_start(f, 1, NULL, &config);
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	for (unsigned i = 0; i < 100; i++) { /* nobody has these */
		struct block *block = numbered(i, PIECE);

		get(f, session, &block->cid);
		block_unref(block);
	}
	lab_run(f->lab, 100);
	exchange_session_free(session);
	assert_int_equal(f->failed, 100);
	assert_int_equal(stats(&f->nodes[1]).in_flight, 0);
	session = exchange_session_new(f->nodes[1].exchange);
	ask_all(f, session, 1000, 40, PIECE, 1);
	lab_run(f->lab, 20);
	swarm_disconnect(f->nodes[1].swarm, swarm_self(f->nodes[0].swarm));
	while (swarm_is_connected(f->nodes[0].swarm, swarm_self(f->nodes[1].swarm)))
		loop_run_for(f->lab->loop, 5);
	assert_int_equal(stats(&f->nodes[0]).in_flight, 0);
	stop(f);
}

/* ---- sessions ---- */

/* One more than there may be, and many more: all of them get their blocks. */
static void sessions_above_the_limit_share_one(void **state)
{
	enum { COUNT = EXCHANGE_SESSIONS_MAX + 200 };
	struct exchange_session **sessions = xcalloc(COUNT, sizeof(*sessions));
	struct fixture *f = start(2);
	struct exchange *exchange = f->nodes[1].exchange;

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		sessions[i] = exchange_session_new(exchange);
		assert_non_null(sessions[i]);
		assert_int_equal(stats(&f->nodes[1]).sessions,
				 i < EXCHANGE_SESSIONS_MAX ? i + 1 : EXCHANGE_SESSIONS_MAX);
	}
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	ask_all(f, sessions[COUNT - 1], 0, 1, 1000, 1);
	ask_all(f, sessions[COUNT - 2], 0, 1, 1000, 1);
	until(f, 2);
	assert_int_equal(f->got, 2);

	/* Two of those that share wait; the end of one is not the other's. */
	struct block *block = numbered(7, 1000);

	get(f, sessions[COUNT - 1], &block->cid);
	get(f, sessions[COUNT - 2], &block->cid);
	exchange_session_free(sessions[COUNT - 1]);
	assert_int_equal(f->failed, 1);
	put(&f->nodes[0], block);
	exchange_have(f->nodes[0].exchange, &block->cid, 1);
	until(f, 4);
	assert_int_equal(f->got, 3);
	block_unref(block);

	/* There is room again when some go, and all can go in any order. */
	exchange_session_free(sessions[0]);
	sessions[0] = exchange_session_new(exchange);
	assert_int_equal(stats(&f->nodes[1]).sessions, EXCHANGE_SESSIONS_MAX);
	for (unsigned i = 0; i < COUNT - 1; i++)
		exchange_session_free(sessions[i]);
	assert_int_equal(stats(&f->nodes[1]).sessions, 0);
	free(sessions);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sum_counts_once),
		cmocka_unit_test(half_is_for_each),
		cmocka_unit_test(a_reader_stays_below),
		cmocka_unit_test(a_server_stays_below),
		cmocka_unit_test(big_blocks_pass_a_small_budget),
		cmocka_unit_test(what_ends_gives_back),
		cmocka_unit_test(sessions_above_the_limit_share_one),
	};

	return cmocka_run_group_tests_name("exchange/budget", tests, NULL, NULL);
}

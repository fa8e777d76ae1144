/* What may be on its way at once, and what happens when that is full: everything waits, nothing
 * fails. */
#include "tests/exchange/exchange_lab.h"

#include "exchange/bitswap/engine.h"
#include "exchange/store/store_lmdb.h"
#include "exchange/store/store_queue_private.h"
#include "net/wire/varint.h"

#define MIB (1u << 20)
#define PIECE (256u * 1024)
#define MESSAGE (MIB + PIECE) /* of a response, with the block that passes the mark */

static void bytes_asked_and_arriving_count_once(void **state)
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

static void fetching_and_serving_get_half_of_the_budget_each(void **state)
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

static void connect_all(struct fixture *f)
{
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(lab_connect(f->lab, f->nodes[2].swarm, f->nodes[i].swarm), 0);
	while (stats(&f->nodes[2]).peers < 2)
		loop_run_for(f->lab->loop, 5);
}

static void fetching_stays_below_the_budget(void **state)
{
	struct exchange_config config = { .in_flight_max = 4 * MIB };
	struct fixture *f = start(2);

	(void)state;
	node_start(f, 2, NULL, &config);
	connect_all(f);
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

static void serving_stays_below_the_budget(void **state)
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
static void blocks_larger_than_the_budget_still_arrive(void **state)
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

/* ---- a disk that stands still ---- */

/* The newest generation of the cache, which nobody can write to until let_write(). */
static struct gen *hold_writer(struct store *store, MDB_txn **txn)
{
	struct block *first = numbered(1, 10);
	struct gens *gens;

	assert_int_equal(store_put(store, first, STORE_WAIT, NULL, NULL), 0);
	assert_int_equal(store_sync(store), 0);
	block_unref(first);
	assert_int_equal(store_dir_gens(lmdb_of(store), &gens), 0);
	struct gen *gen = gen_ref(gens_newest(gens, GEN_CACHE));

	gens_unref(gens);
	assert_int_equal(gen_write_begin(gen, txn), 0);
	return gen;
}

static void let_write(struct gen *gen, MDB_txn *txn)
{
	gen_write_drop(gen, txn);
	gen_unref(gen);
}

static void disk_node(struct fixture *f, unsigned i, const struct exchange_config *config)
{
	struct node *node = &f->nodes[i];

	node->swarm = lab_swarm(f->lab, (uint8_t)(i + 1), NULL, NULL);
	node->store = scratch_store(&(struct store_config){ 0 });
	node->exchange = exchange_new(node->swarm, NULL, node->store, config);
}

/* Until reading stopped, and nothing came for a while. */
static void until_still(struct fixture *f)
{
	while (!f->nodes[2].exchange->client.paused)
		loop_run_for(f->lab->loop, 5);
	for (unsigned quiet = 0, before = f->got; quiet < 100; quiet++, before = f->got) {
		loop_run_for(f->lab->loop, 5);
		if (f->got != before)
			quiet = 0;
	}
}

/* Bytes that the node was sent and has neither written nor refused. */
static uint64_t owed(struct node *node)
{
	struct bitswap_budget *budget = &node->exchange->budget;

	return budget->arriving + budget->hashing + budget->held + store_queued(node->store);
}

static void blocked_disk_stops_the_peers_that_were_asked(void **state)
{
	struct exchange_config config = { .in_flight_max = 16 * MIB };
	struct fixture *f = start(2);
	struct node *reader = &f->nodes[2];
	MDB_txn *txn;

	(void)state;
	disk_node(f, 2, &config);
	connect_all(f);
	struct gen *gen = hold_writer(reader->store, &txn);

	ask_all(f, exchange_session_new(reader->exchange), 100, 256, PIECE, 2);
	until_still(f);
	/* What the disk owes is a quarter and a block, then reading stops; what was asked is on its
	 * way. */
	assert_in_range(store_queued(reader->store), 4 * MIB, 4 * MIB + PIECE + 4096);
	assert_in_range(owed(reader), 4 * MIB, 16 * MIB + 2 * MESSAGE);
	assert_in_range(stats(reader).in_flight_peak, 4 * MIB, 16 * MIB + 2 * MESSAGE);
	assert_true(stats(&f->nodes[0]).bytes_sent + stats(&f->nodes[1]).bytes_sent <=
		    16 * MIB + 2 * MESSAGE);
	assert_int_equal(f->failed, 0);
	let_write(gen, txn);
	until(f, 256);
	assert_int_equal(f->got, 256);
	assert_int_equal(store_sync(reader->store), 0);
	while (stats(reader).in_flight) /* what was asked of both */
		loop_run_for(f->lab->loop, 5);
	stop(f);
	scratch_remove();
}

/* ---- what nobody asked for ---- */

/* A message that says it has len bytes of payload, and as much of it as is given. */
static void write_part(struct raw *raw, size_t len, size_t given)
{
	struct buf part = { 0 };

	buf_add_uvarint(&part, len);
	memset(buf_reserve(&part, given), 0, given);
	part.len += given;
	stream_write_buf(raw->stream, &part);
	buf_release(&part);
}

/* Who sends without being asked stays on it, as its window is closed with the rest. */
static void blocked_disk_stops_a_peer_that_was_not_asked(void **state)
{
	struct exchange_config config = { .in_flight_max = 8 * MIB };
	struct fixture *f = start(2);
	struct node *reader = &f->nodes[2];
	struct raw raw;
	MDB_txn *txn;

	(void)state;
	disk_node(f, 2, &config);
	connect_all(f);
	struct gen *gen = hold_writer(reader->store, &txn);

	ask_all(f, exchange_session_new(reader->exchange), 100, 64, PIECE, 1);
	until_still(f);
	uint64_t owes = owed(reader);

	raw_open(f, 1, 2, &raw, "/ipfs/bitswap/1.2.0");
	for (unsigned i = 0; i < 64; i++)
		write_part(&raw, MIB, MIB);
	until_still(f);
	assert_in_range(stream_queued(raw.stream), 63 * MIB, 64 * MIB + 1000);
	assert_in_range(owed(reader), owes, owes + MIB);
	stream_reset(raw.stream, 0);
	let_write(gen, txn);
	until(f, 64);
	assert_int_equal(f->got, 64);
	stop(f);
	scratch_remove();
}

/* Messages without an end: who has most of them loses them, and nobody else. */
static void peer_with_most_unfinished_bytes_loses_its_streams(void **state)
{
	struct exchange_config config = { .in_flight_max = MIB };
	struct fixture *f = start(2);
	const uint64_t *arriving;
	struct raw greedy[2], modest;

	(void)state;
	node_start(f, 2, NULL, &config);
	arriving = &f->nodes[2].exchange->budget.arriving;
	connect_all(f);
	for (unsigned i = 0; i < 2; i++) {
		raw_open(f, 0, 2, &greedy[i], "/ipfs/bitswap/1.2.0");
		write_part(&greedy[i], 4 * MIB, 3 * MIB);
	}
	while (*arriving < 6 * MIB)
		loop_run_for(f->lab->loop, 5);
	raw_open(f, 1, 2, &modest, "/ipfs/bitswap/1.2.0");
	write_part(&modest, 4 * MIB, 3 * MIB);
	lab_until(f->lab, &greedy[0].closed);
	lab_until(f->lab, &greedy[1].closed);
	while (*arriving < 3 * MIB)
		loop_run_for(f->lab->loop, 5);
	assert_int_equal(*arriving, 3 * MIB);
	assert_false(modest.closed);
	stream_reset(modest.stream, 0);
	stop(f);
}

/* Who ends its gets, or leaves, gives back what it had. */
static void ended_gets_and_lost_peers_give_their_budget_back(void **state)
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

static struct exchange *new_engine(struct fixture *f, unsigned i, struct store *store,
				   const struct exchange_config *config)
{
	f->nodes[i].swarm = lab_swarm(f->lab, (uint8_t)(i + 1), NULL, NULL);
	f->nodes[i].exchange = exchange_new(f->nodes[i].swarm, NULL, store, config);
	return f->nodes[i].exchange;
}

static void free_engine(struct node *node)
{
	exchange_free(node->exchange);
	node->exchange = NULL;
}

/* Of one process and over one store: each has its own limits and its own count, and the store lets
 * them have the sum of what each may owe the disk. */
static void limits_of_two_engines_are_their_own(void **state)
{
	struct exchange_config small = { .in_flight_max = 8 * MIB,
					 .wants_max = 3,
					 .sessions_max = 2 };
	struct exchange_config large = { .in_flight_max = 64 * MIB, .wants_max = 5 };
	struct fixture *f = start(0);
	struct store *store = scratch_store(&(struct store_config){ 0 });
	struct store_queue *queue = lmdb_of(store)->queue;

	(void)state;
	assert_int_equal(queue->guest_max, STORE_QUEUE_MAX);
	struct exchange *a = new_engine(f, 0, store, &small);

	assert_int_equal(queue->guest_max, 2 * MIB);
	struct exchange *b = new_engine(f, 1, store, &large);

	assert_int_equal(queue->guest_max, 18 * MIB);
	struct exchange_session *of_a = exchange_session_new(a);
	struct exchange_session *of_b = exchange_session_new(b);

	for (unsigned i = 0; i < 6; i++) {
		struct block *block = numbered(i, 100);

		assert_int_equal(get(f, of_a, &block->cid) != NULL, i < 3);
		assert_int_equal(get(f, of_b, &block->cid) != NULL, i < 5);
		block_unref(block);
	}
	for (unsigned i = 0; i < 4; i++) {
		exchange_session_new(a);
		exchange_session_new(b);
	}
	assert_int_equal(stats(&f->nodes[0]).sessions, 2);
	assert_int_equal(stats(&f->nodes[1]).sessions, 5);
	free_engine(&f->nodes[1]);
	assert_int_equal(f->failed, 5);
	assert_int_equal(queue->guest_max, 2 * MIB);
	assert_int_equal(stats(&f->nodes[0]).wants, 3);
	free_engine(&f->nodes[0]);
	assert_int_equal(queue->guest_max, STORE_QUEUE_MAX);
	stop(f);
	store_close(store);
	scratch_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_asked_and_arriving_count_once),
		cmocka_unit_test(fetching_and_serving_get_half_of_the_budget_each),
		cmocka_unit_test(fetching_stays_below_the_budget),
		cmocka_unit_test(serving_stays_below_the_budget),
		cmocka_unit_test(blocks_larger_than_the_budget_still_arrive),
		cmocka_unit_test(blocked_disk_stops_the_peers_that_were_asked),
		cmocka_unit_test(blocked_disk_stops_a_peer_that_was_not_asked),
		cmocka_unit_test(peer_with_most_unfinished_bytes_loses_its_streams),
		cmocka_unit_test(limits_of_two_engines_are_their_own),
		cmocka_unit_test(ended_gets_and_lost_peers_give_their_budget_back),
		cmocka_unit_test(sessions_above_the_limit_share_one),
	};

	return cmocka_run_group_tests_name("exchange/budget", tests, NULL, NULL);
}

/* Whole exchanges, each with a swarm and a store of its own, over 127.0.0.1. */
#include "tests/exchange/exchange_lab.h"

static void one_block_comes_over(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct block *block = numbered(1, 100000);
	struct exchange_ledger ledger;

	put(&f->nodes[0], block);
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	assert_non_null(get(f, session, &block->cid));
	assert_int_equal(f->got, 0);
	until(f, 1);
	assert_int_equal(f->got, 1);
	assert_true(store_has(f->nodes[1].store, cid_hash_bytes(&block->cid)));
	assert_int_equal(stats(&f->nodes[1]).blocks_received, 1);
	assert_int_equal(stats(&f->nodes[1]).bytes_received, 100000);
	assert_int_equal(stats(&f->nodes[1]).wants, 0);
	assert_int_equal(stats(&f->nodes[0]).blocks_sent, 1);
	assert_int_equal(
		exchange_ledger(f->nodes[1].exchange, swarm_self(f->nodes[0].swarm), &ledger), 0);
	assert_int_equal(ledger.bytes_received, 100000);
	block_unref(block);
	stop(f);
}

/* Small, large and empty, more than a peer is asked for at once; none comes twice. */
static void many_blocks_come_once(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 1024, 1025, 8192, 8193, 262144, 1 << 20, 2 << 20 };
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);
	unsigned count = 600;

	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	for (unsigned i = 0; i < count; i++) {
		size_t size = i < 40 ? sizes[i % ARRAY_LEN(sizes)] : 500 + i;
		struct block *block = numbered(i, size);

		put(&f->nodes[0], block);
		assert_non_null(get(f, session, &block->cid));
		block_unref(block);
	}
	until(f, count);
	assert_int_equal(f->got, count);
	assert_int_equal(stats(&f->nodes[1]).duplicate_blocks, 0);
	assert_int_equal(stats(&f->nodes[1]).unwanted_blocks, 0);
	stop(f);
}

/* The ledger remembers: a block that comes to be there is sent without being asked for again. */
static void block_stored_after_the_want_is_sent_without_a_new_want(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);
	struct block *block = numbered(7, 5000);
	uint64_t asked = 0;

	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	get(f, session, &block->cid);
	while (!asked) {
		loop_run_for(f->lab->loop, 5);
		asked = stats(&f->nodes[0]).messages_received;
	}
	assert_int_equal(f->got, 0);
	put(&f->nodes[0], block);
	exchange_have(f->nodes[0].exchange, &block->cid, 1);
	until(f, 1);
	assert_int_equal(f->got, 1);
	block_unref(block);
	stop(f);
}

/* c has it, a wants it, b stands between: b wants it too and passes it on. */
static void fetched_block_is_passed_on(void **state)
{
	(void)state;
	struct fixture *f = start(3);
	struct block *block = numbered(7, 50000);
	struct exchange_session *a = exchange_session_new(f->nodes[0].exchange);
	struct exchange_session *b = exchange_session_new(f->nodes[1].exchange);

	put(&f->nodes[2], block);
	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	while (!stats(&f->nodes[0]).peers || !stats(&f->nodes[1]).peers)
		loop_run_for(f->lab->loop, 5);
	get(f, a, &block->cid);
	get(f, b, &block->cid);
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[2].swarm), 0);
	until(f, 2);
	assert_int_equal(f->got, 2);
	block_unref(block);
	stop(f);
}

static void two_providers_share_the_work(void **state)
{
	(void)state;
	struct fixture *f = start(3);
	struct exchange_session *session = exchange_session_new(f->nodes[2].exchange);
	unsigned count = 120;

	assert_int_equal(lab_connect(f->lab, f->nodes[2].swarm, f->nodes[0].swarm), 0);
	assert_int_equal(lab_connect(f->lab, f->nodes[2].swarm, f->nodes[1].swarm), 0);
	while (stats(&f->nodes[2]).peers < 2)
		loop_run_for(f->lab->loop, 5);
	for (unsigned i = 0; i < count; i++) {
		struct block *block = numbered(i, 100000);

		put(&f->nodes[0], block);
		put(&f->nodes[1], block);
		get(f, session, &block->cid);
		block_unref(block);
	}
	until(f, count);
	assert_int_equal(f->got, count);
	assert_in_range(stats(&f->nodes[0]).blocks_sent, 1, count - 1);
	assert_in_range(stats(&f->nodes[1]).blocks_sent, 1, count - 1);
	/* Duplicates are rare. */
	assert_in_range(stats(&f->nodes[2]).blocks_received, count, count + count / 10);
	stop(f);
}

static void fetch_goes_on_when_a_peer_vanishes(void **state)
{
	(void)state;
	struct fixture *f = start(3);
	struct exchange_session *session = exchange_session_new(f->nodes[2].exchange);
	unsigned count = 60;

	assert_int_equal(lab_connect(f->lab, f->nodes[2].swarm, f->nodes[0].swarm), 0);
	assert_int_equal(lab_connect(f->lab, f->nodes[2].swarm, f->nodes[1].swarm), 0);
	for (unsigned i = 0; i < count; i++) {
		struct block *block = numbered(i, 200000);

		put(&f->nodes[0], block);
		put(&f->nodes[1], block);
		get(f, session, &block->cid);
		block_unref(block);
	}
	until(f, 10);
	swarm_disconnect(f->nodes[2].swarm, swarm_self(f->nodes[0].swarm));
	until(f, count);
	assert_int_equal(f->got, count);
	stop(f);
}

/* Without routing, too: somebody may connect. */
static void without_peers_a_get_waits_until_its_deadline(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[0].exchange);
	struct block *block = numbered(1, 10), *never = numbered(2, 10);

	put(&f->nodes[1], block);
	assert_non_null(exchange_get(session, &never->cid, lab_deadline(f->lab, 600), on_got, f));
	get(f, session, &block->cid);
	until(f, 1);
	assert_int_equal(f->failed, 1);
	assert_int_equal(f->err, -ETIMEDOUT);
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	until(f, 2);
	assert_int_equal(f->got, 1);
	block_unref(block);
	block_unref(never);
	stop(f);
}

/* Nobody else connects them again. */
static void the_only_source_is_dialled_again(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[0].exchange);
	struct block *first = numbered(1, 10), *second = numbered(2, 10);

	put(&f->nodes[1], first);
	put(&f->nodes[1], second);
	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	get(f, session, &first->cid);
	until(f, 1);
	swarm_disconnect(f->nodes[1].swarm, swarm_self(f->nodes[0].swarm));
	while (swarm_is_connected(f->nodes[0].swarm, swarm_self(f->nodes[1].swarm)))
		loop_run_for(f->lab->loop, 5);
	/* Nothing is dialled for as long as nothing is wanted. */
	lab_run(f->lab, 1500);
	assert_false(swarm_is_connected(f->nodes[0].swarm, swarm_self(f->nodes[1].swarm)));
	get(f, session, &second->cid);
	until(f, 2);
	assert_int_equal(f->got, 2);
	block_unref(first);
	block_unref(second);
	stop(f);
}

static void free_ends_every_get(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	for (unsigned i = 0; i < 20; i++) {
		struct block *block = numbered(i, 300000);

		put(&f->nodes[0], block);
		get(f, session, &block->cid);
		block_unref(block);
	}
	until(f, 3);
	exchange_free(f->nodes[1].exchange);
	f->nodes[1].exchange = NULL;
	assert_int_equal(f->got + f->failed, 20);
	if (f->failed)
		assert_int_equal(f->err, -ECANCELED);
	stop(f);
}

/* ---- a peer made of messages ---- */

static void until_messages(struct fixture *f, uint64_t count)
{
	uint64_t end = lab_deadline(f->lab, LAB_WAIT_MS);

	while (stats(&f->nodes[1]).messages_received < count && lab_deadline(f->lab, 0) < end)
		loop_run_for(f->lab->loop, 5);
	assert_int_equal(stats(&f->nodes[1]).messages_received, count);
}

/* GHSA-6fcr-9h9g-23fq: what nobody asked for is not kept, also while something else is wanted. */
static void unwanted_blocks_are_not_stored(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct block *wanted = numbered(1, 20);
	struct store_stat before, after;
	struct raw raw;

	exchange_free(f->nodes[0].exchange);
	f->nodes[0].exchange = NULL;
	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	get(f, session, &wanted->cid);
	store_stat(f->nodes[1].store, &before);
	raw_open(f, 0, 1, &raw, "/ipfs/bitswap/1.1.0");
	for (unsigned i = 0; i < 1000; i++) {
		struct block *block = numbered(100 + i, i < 500 ? 20 : 20000);
		struct buf out = { 0 };

		bitswap_msg_add_response(
			&out, BITSWAP_1_1, bytes_of(NULL, 0), 0,
			bitswap_msg_block_len(BITSWAP_1_1, &block->cid, block->data.len));
		bitswap_msg_add_block(&out, BITSWAP_1_1, &block->cid, block->data);
		stream_write_buf(raw.stream, &out);
		buf_release(&out);
		block_unref(block);
	}
	until_messages(f, 1000);
	while (stats(&f->nodes[1]).unwanted_blocks < 1000)
		loop_run_for(f->lab->loop, 5);
	store_stat(f->nodes[1].store, &after);
	assert_int_equal(after.blocks, before.blocks);
	assert_int_equal(f->got, 0);
	stream_reset(raw.stream, 0);
	block_unref(wanted);
	stop(f);
}

/* One bad stream is reset; the connection and other streams live. */
static void bad_message_resets_its_stream(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct raw bad, good;

	exchange_free(f->nodes[0].exchange);
	f->nodes[0].exchange = NULL;
	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	raw_open(f, 0, 1, &bad, "/ipfs/bitswap/1.2.0");
	raw_open(f, 0, 1, &good, "/ipfs/bitswap");
	stream_write(bad.stream, bytes_of("\x06\x0a\x04\x0a\x02\x0a\x00", 7)); /* missing cid */
	lab_until(f->lab, &bad.closed);
	stream_write(good.stream, bytes_of("\x04\x0a\x02\x10\x01", 5)); /* full, empty */
	until_messages(f, 1);
	assert_true(swarm_is_connected(f->nodes[0].swarm, swarm_self(f->nodes[1].swarm)));
	stream_reset(good.stream, 0);
	stop(f);
}

/* Wants go with the peer that had them. */
static void ledger_goes_with_its_peer(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct buf entries = { 0 }, out = { 0 };
	struct raw raw;

	exchange_free(f->nodes[0].exchange);
	f->nodes[0].exchange = NULL;
	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	raw_open(f, 0, 1, &raw, "/ipfs/bitswap/1.2.0");
	for (unsigned i = 0; i < 100; i++) {
		struct block *block = numbered(i, 20);
		struct bitswap_entry entry = { .cid = block->cid, .priority = 1 };

		bitswap_msg_add_entry(&entries, &entry);
		block_unref(block);
	}
	bitswap_msg_add_wantlist(&out, buf_bytes(&entries), false);
	stream_write_buf(raw.stream, &out);
	until_messages(f, 1);
	swarm_disconnect(f->nodes[0].swarm, swarm_self(f->nodes[1].swarm));
	lab_until(f->lab, &raw.closed);
	while (swarm_is_connected(f->nodes[1].swarm, swarm_self(f->nodes[0].swarm)))
		loop_run_for(f->lab->loop, 5);
	assert_int_equal(stats(&f->nodes[1]).peers, 0);
	buf_release(&entries);
	buf_release(&out);
	stop(f);
}

/* ---- other threads ---- */

static void *tell(void *ctx)
{
	struct fixture *f = ctx;

	for (unsigned i = 0; i < 50; i++) {
		struct block *block = numbered(i, 3000);

		put(&f->nodes[0], block);
		exchange_have(f->nodes[0].exchange, &block->cid, 1);
		block_unref(block);
	}
	return NULL;
}

static void have_from_another_thread(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);
	pthread_t thread;

	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	for (unsigned i = 0; i < 50; i++) {
		struct block *block = numbered(i, 3000);

		get(f, session, &block->cid);
		block_unref(block);
	}
	while (stats(&f->nodes[0]).messages_received == 0)
		loop_run_for(f->lab->loop, 5);
	assert_int_equal(pthread_create(&thread, NULL, tell, f), 0);
	until(f, 50);
	pthread_join(thread, NULL);
	assert_int_equal(f->got, 50);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_block_comes_over),
		cmocka_unit_test(many_blocks_come_once),
		cmocka_unit_test(block_stored_after_the_want_is_sent_without_a_new_want),
		cmocka_unit_test(fetched_block_is_passed_on),
		cmocka_unit_test(two_providers_share_the_work),
		cmocka_unit_test(fetch_goes_on_when_a_peer_vanishes),
		cmocka_unit_test(without_peers_a_get_waits_until_its_deadline),
		cmocka_unit_test(the_only_source_is_dialled_again),
		cmocka_unit_test(free_ends_every_get),
		cmocka_unit_test(unwanted_blocks_are_not_stored),
		cmocka_unit_test(bad_message_resets_its_stream),
		cmocka_unit_test(ledger_goes_with_its_peer),
		cmocka_unit_test(have_from_another_thread),
	};

	return cmocka_run_group_tests_name("exchange/exchange", tests, NULL, NULL);
}

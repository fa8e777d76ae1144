/* Strangers: messages that are cheap to make and dear to take, and answers that nobody takes. */
#include "tests/exchange/exchange_lab.h"

#include "exchange/bitswap/client.h"
#include "net/wire/varint.h"

#define TINY_COUNT 1000000

static void on_open(void *ctx, int err, struct stream *stream, const char *protocol)
{
	static const struct stream_events nothing = { 0 };
	struct buf *message = ctx;

	(void)protocol;
	assert_int_equal(err, 0);
	stream_accept(stream, &nothing, NULL);
	stream_write_buf(stream, message);
}

/* A million blocks of no bytes, two bytes each of the message: each would cost a hash and a look
 * into the store. */
static void unwanted_blocks_are_not_hashed(void **state)
{
	(void)state;
	struct fixture *f = start(1);
	struct swarm *stranger = lab_swarm(f->lab, 9, NULL, NULL);
	struct exchange_session *session = exchange_session_new(f->nodes[0].exchange);
	struct block *block = numbered(1, 100);
	struct buf message = { 0 };

	assert_int_equal(lab_connect(f->lab, stranger, f->nodes[0].swarm), 0);
	struct exchange_get *get =
		exchange_get(session, &block->cid, lab_deadline(f->lab, 60000), on_got, f);

	buf_add_uvarint(&message, 2 * TINY_COUNT);
	for (unsigned i = 0; i < TINY_COUNT; i++)
		buf_add_be16(&message, 0x1200); /* field 2, length 0 */
	swarm_open_stream(stranger, swarm_self(f->nodes[0].swarm), bitswap_protocols, 1,
			  lab_deadline(f->lab, 10000), on_open, &message);
	while (stats(&f->nodes[0]).messages_received == 0)
		loop_run_for(f->lab->loop, 5);
	assert_true(stats(&f->nodes[0]).unwanted_blocks == TINY_COUNT);
	assert_in_range(stats(&f->nodes[0]).blocks_received, 0, BITSWAP_UNASKED_MAX);
	if (!f->failed) /* it may know by now that the stranger serves nothing */
		exchange_get_cancel(get);
	block_unref(block);
	stop(f);
}

static void take_nothing(void *ctx, struct stream *stream)
{
	static const struct stream_events nothing = { 0 };

	(void)ctx;
	stream_accept(stream, &nothing, NULL);
	stream_pause(stream);
}

/* It wants a block larger than a window and opens none. */
static void peer_that_takes_no_bytes_is_disconnected(void **state)
{
	(void)state;
	struct exchange_config config = { .serve_stall_ms = 200 };
	struct fixture *f = start(0);

	node_start(f, 0, NULL, &config);
	struct swarm *stranger = lab_swarm(f->lab, 9, NULL, NULL);
	struct block *block = numbered(1, 1 << 20);
	struct bitswap_entry entry = { .cid = block->cid, .priority = 1 };
	struct buf entries = { 0 }, message = { 0 };
	const struct peer_id *id = swarm_self(stranger);

	swarm_handle(stranger, bitswap_protocols[0], 8, take_nothing, NULL);
	put(&f->nodes[0], block);
	bitswap_msg_add_entry(&entries, &entry);
	bitswap_msg_add_wantlist(&message, buf_bytes(&entries), false);
	assert_int_equal(lab_connect(f->lab, stranger, f->nodes[0].swarm), 0);
	swarm_open_stream(stranger, swarm_self(f->nodes[0].swarm), bitswap_protocols, 1,
			  lab_deadline(f->lab, 10000), on_open, &message);
	while (stats(&f->nodes[0]).blocks_sent == 0)
		loop_run_for(f->lab->loop, 5);
	uint64_t end = lab_deadline(f->lab, LAB_WAIT_MS);

	while (stats(&f->nodes[0]).in_flight > 0 && lab_deadline(f->lab, 0) < end)
		loop_run_for(f->lab->loop, 5);
	assert_false(swarm_is_connected(f->nodes[0].swarm, id));
	assert_int_equal(stats(&f->nodes[0]).in_flight, 0);
	buf_release(&entries);
	block_unref(block);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unwanted_blocks_are_not_hashed),
		cmocka_unit_test(peer_that_takes_no_bytes_is_disconnected),
	};

	return cmocka_run_group_tests_name("exchange/arrive", tests, NULL, NULL);
}

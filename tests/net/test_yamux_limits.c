/* net/yamux*.c: every limit at max and max + 1 (wire/security, advisories 13, 18 to 20). */
#include "tests/net/yamux_sides.h"

static void window_limit(void **state)
{
	struct side side;

	(void)state;
	server(&side);
	side.on_stream = PAUSE;
	assert_int_equal(feed_frame(&side, YAMUX_DATA, YAMUX_SYN, 1, YAMUX_WINDOW_INITIAL,
				    YAMUX_WINDOW_INITIAL, 0),
			 0);
	assert_int_equal(feed_frame(&side, YAMUX_DATA, 0, 1, 1, 1, 0), -EPROTO);
	side_release(&side);
}

static void credit_limit(void **state)
{
	struct side side;

	(void)state;
	for (uint32_t over = 0; over < 2; over++) {
		server(&side);
		feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, 0, 0);
		assert_int_equal(feed_frame(&side, YAMUX_WINDOW, 0, 1,
					    UINT32_MAX - YAMUX_WINDOW_INITIAL + over, 0, 0),
				 over ? -EPROTO : 0);
		side_release(&side);
	}
	server(&side); /* in the SYN itself */
	assert_int_equal(feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1, UINT32_MAX, 0, 0), -EPROTO);
	side_release(&side);
}

static void reset_code_is_no_credit(void **state)
{
	struct side side;

	(void)state;
	server(&side);
	feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1, UINT32_MAX - YAMUX_WINDOW_INITIAL, 0, 0);
	assert_int_equal(feed(&side, "000100080000000100001002"), 0);
	assert_int_equal(side.closed, 1);
	assert_int_equal(side.close_err, -ECONNRESET);
	assert_int_equal(yamux_stream_count(side.yamux), 0);
	side_release(&side);
}

static void churn_limit(void **state)
{
	struct side side;
	uint64_t now_us = 20000000;

	(void)state;
	server(&side);
	for (int round = 0; round < 2; round++, now_us += YAMUX_CHURN_US)
		for (uint32_t i = 0; i < YAMUX_CHURN_MAX; i++) {
			uint32_t id = 1 + 2 * i;

			assert_int_equal(
				feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, id, 0, 0, now_us), 0);
			assert_int_equal(
				feed_frame(&side, YAMUX_WINDOW, YAMUX_RST, id, 0, 0, now_us), 0);
		}
	now_us--;
	feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 5, 0, 0, now_us);
	assert_int_equal(feed_frame(&side, YAMUX_WINDOW, YAMUX_RST, 5, 0, 0, now_us), -EPROTO);
	side_release(&side);
}

static void refusals_limit(void **state)
{
	struct side side;
	uint64_t now_us = 20000000;
	int err = 0;
	unsigned i;

	(void)state;
	server(&side);
	side.refuse = true;
	for (i = 0; !err; i++)
		err = feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0, 0, now_us);
	assert_int_equal(err, -EPROTO);
	assert_int_equal(i, YAMUX_CHURN_MAX + 1);
	assert_int_equal(yamux_stream_count(side.yamux), 0);
	side_release(&side);
}

/* Streams that we reset, at once or later: those of a peer that reads its resets too. */
static void our_resets_limit(void **state)
{
	struct side side;
	struct buf out = { 0 };
	uint64_t now_us = 20000000;
	int err = 0;
	unsigned i;

	(void)state;
	server(&side);
	side.on_end = RESET;
	for (i = 0; !err && i < 10000; i++, now_us += 1000) {
		err = feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN | YAMUX_FIN, 1 + 2 * i, 0, 0,
				 now_us);
		drain_to(&side, &out, BATCH);
	}
	assert_int_equal(err, -EPROTO);
	assert_int_equal(i, YAMUX_CHURN_MAX + 1);
	side_release(&side);

	server(&side);
	for (i = 0; i <= YAMUX_CHURN_MAX; i++) {
		assert_int_equal(
			feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0, 0, now_us), 0);
		act(&side, side.last, RESET);
		drain_to(&side, &out, BATCH);
	}
	assert_int_equal(feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0, 0, now_us),
			 -EPROTO);
	buf_release(&out);
	side_release(&side);
}

/* A peer that never reads, slow enough for the churn limit: the reset queue ends it. */
static void reset_queue_limit(void **state)
{
	struct side side;
	uint64_t now_us = 20000000;
	int err = 0;
	uint32_t i;

	(void)state;
	server(&side);
	side.refuse = true;
	for (i = 0; !err && i < 10000; i++, now_us += 20000)
		err = feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0, 0, now_us);
	assert_int_equal(err, -EPROTO);
	assert_int_equal(i, YAMUX_RESETS_MAX + 1);
	side_release(&side);
}

static void empty_limit(void **state)
{
	struct side side;
	uint64_t now_us = 20000000;

	(void)state;
	server(&side);
	feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, 0, now_us);
	for (int round = 0; round < 2; round++, now_us += YAMUX_EMPTY_US)
		for (int i = 0; i < YAMUX_EMPTY_MAX; i++)
			assert_int_equal(feed_frame(&side, i & 1 ? YAMUX_DATA : YAMUX_WINDOW, 0, 1,
						    0, 0, now_us),
					 0);
	now_us--;
	assert_int_equal(feed_frame(&side, YAMUX_DATA, 0, 1, 0, 0, now_us), -EPROTO);
	side_release(&side);
}

static void ping_flood(void **state)
{
	struct side side;
	struct buf out = { 0 };

	(void)state;
	server(&side);
	for (uint32_t i = 0; i < YAMUX_PONGS_MAX; i++)
		for (int twice = 0; twice < 2; twice++)
			assert_int_equal(feed_frame(&side, YAMUX_PING, YAMUX_SYN, 0, i, 0, 0), 0);
	for (uint32_t i = 0; i < YAMUX_PONGS_LOST_MAX - 1; i++)
		assert_int_equal(feed_frame(&side, YAMUX_PING, YAMUX_SYN, 0, 100 + i, 0, 0), 0);
	drain_to(&side, &out, BATCH);
	assert_int_equal(out.len, YAMUX_PONGS_MAX * YAMUX_HEADER_LEN);
	for (uint32_t i = 0; i < YAMUX_PONGS_MAX + YAMUX_PONGS_LOST_MAX - 1; i++)
		assert_int_equal(feed_frame(&side, YAMUX_PING, YAMUX_SYN, 0, i, 0, 0), 0);
	assert_int_equal(feed_frame(&side, YAMUX_PING, YAMUX_SYN, 0, 99, 0, 0), -EPROTO);
	buf_release(&out);
	side_release(&side);
}

static void inbound_limit(void **state)
{
	struct side side;

	(void)state;
	server(&side);
	for (uint32_t i = 0; i < YAMUX_STREAMS_MAX; i++)
		feed_frame(&side, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0, 0, 0);
	discard_output(&side);
	assert_int_equal(feed(&side, "0000000100000801000000026869"), 0);
	assert_int_equal(side.opened, YAMUX_STREAMS_MAX);
	output_is(&side, "000100080000080100001002");
	assert_int_equal(side.bytes, 0);
	feed_frame(&side, YAMUX_WINDOW, YAMUX_RST, 1, 0, 0, 0);
	assert_int_equal(feed(&side, "0000000100000801000000026869"), 0);
	assert_int_equal(side.opened, YAMUX_STREAMS_MAX + 1);
	assert_int_equal(side.bytes, 2);
	side_release(&side);
}

static void outbound_limits(void **state)
{
	struct side side;
	uint32_t acked = 1;

	(void)state;
	side_init(&side, true, NULL);
	for (uint32_t i = 0; i < YAMUX_UNACKED_MAX; i++)
		assert_non_null(open_stream(&side));
	assert_null(open_stream(&side));
	for (uint32_t i = 0; i < YAMUX_STREAMS_MAX - YAMUX_UNACKED_MAX; i++, acked += 2) {
		assert_int_equal(feed_frame(&side, YAMUX_WINDOW, YAMUX_ACK, acked, 0, 0, 0), 0);
		assert_non_null(open_stream(&side));
	}
	assert_int_equal(feed_frame(&side, YAMUX_WINDOW, YAMUX_ACK, acked, 0, 0, 0), 0);
	assert_null(open_stream(&side));
	assert_int_equal(feed_frame(&side, YAMUX_WINDOW, YAMUX_RST, acked, 0, 0, 0), 0);
	assert_non_null(open_stream(&side));
	side.yamux->next_id = UINT32_MAX;
	feed_frame(&side, YAMUX_WINDOW, YAMUX_RST, 1, 0, 0, 0);
	assert_null(open_stream(&side));
	side_release(&side);
}

static void keepalive(void **state)
{
	const struct yamux_config config = { .keepalive_ms = 30000, .ping_timeout_ms = 10000 };
	struct side side;

	(void)state;
	side_init(&side, true, &config);
	output_is(&side, FIRST_PING);
	assert_int_equal(yamux_deadline(side.yamux), 10000);
	assert_int_equal(feed_at(&side, "0002000200000000 00000001", 250 * MS), 0);
	assert_int_equal(side.rtt_us, 250 * MS);
	assert_int_equal(yamux_deadline(side.yamux), 30250);
	assert_int_equal(yamux_tick(side.yamux, 30249), 0);
	assert_false(yamux_wants_send(side.yamux));
	assert_int_equal(yamux_tick(side.yamux, 30250), 0);
	output_is(&side, "0002000100000000 00000002");
	assert_int_equal(yamux_deadline(side.yamux), 40250);
	/* Anything heard is a sign of life. */
	assert_int_equal(feed_at(&side, "0002000200000000 00000001", 35000 * MS), 0);
	assert_int_equal(yamux_deadline(side.yamux), 45000);
	assert_int_equal(yamux_tick(side.yamux, 44999), 0);
	assert_int_equal(yamux_tick(side.yamux, 45000), -ETIMEDOUT);
	side_release(&side);
}

static void closed_stream_lingers_no_longer_than_its_limit(void **state)
{
	struct yamux_stream *stream;
	struct side side;
	size_t at = 0;

	(void)state;
	side_init(&side, true, NULL);
	stream = open_stream(&side);
	write_pattern(stream, &at, YAMUX_WINDOW_INITIAL + 1);
	free(yamux_stream_ctx(stream));
	yamux_stream_close(stream);
	discard_output(&side);
	assert_int_equal(feed_at(&side, "0002000200000000 00000001", 55000 * MS), 0);
	assert_int_equal(yamux_deadline(side.yamux), YAMUX_LINGER_MS);
	assert_int_equal(yamux_tick(side.yamux, YAMUX_LINGER_MS - 1), 0);
	assert_int_equal(yamux_stream_count(side.yamux), 1);
	assert_int_equal(yamux_tick(side.yamux, YAMUX_LINGER_MS), 0);
	assert_int_equal(yamux_stream_count(side.yamux), 0);
	output_is(&side, "000100080000000100000000");
	side_release(&side);
}

/* js-yamux drops the data of a frame that ends its stream. */
static void the_end_is_a_frame_of_its_own(void **state)
{
	static const char frames[] = "000100010000000100000000"
				     "000000000000000100000003"
				     "616263"
				     "000100040000000100000000";
	struct buf data = { 0 }, wire = { 0 }, want = { 0 };
	struct side side;
	struct yamux_stream *stream;

	(void)state;
	hex_decode(&want, frames);
	side_init(&side, true, NULL);
	drain_to(&side, &wire, BATCH); /* its first ping */
	buf_clear(&wire);
	stream = open_stream(&side);
	buf_add_str(&data, "abc");
	yamux_stream_write(stream, &data);
	yamux_stream_end(stream);
	drain_to(&side, &wire, BATCH);
	assert_true(bytes_equal(buf_bytes(&wire), buf_bytes(&want)));
	buf_release(&want);
	buf_release(&wire);
	side_release(&side);
}

/* A sender that may send no data still says all else, and the data waits. */
static void control_without_data(void **state)
{
	struct bytes parts[PARTS];
	struct yamux_stream *stream;
	struct buf data = { 0 };
	struct side side;
	size_t len = 0;

	(void)state;
	side_init(&side, true, NULL);
	discard_output(&side);
	stream = open_stream(&side);
	buf_add_str(&data, "hello");
	yamux_stream_write(stream, &data);
	assert_int_equal(feed(&side, "0002000100000000deadbeef"), 0);
	assert_true(yamux_data_ready(side.yamux));
	for (size_t i = 0, count = yamux_send(side.yamux, parts, PARTS, 0); i < count; i++)
		len += parts[i].len;
	assert_int_equal(len, 24); /* the ping's answer, the stream's SYN */
	assert_int_equal(yamux_send(side.yamux, parts, PARTS, 0), 0);
	assert_true(yamux_data_ready(side.yamux) && yamux_wants_send(side.yamux));
	output_is(&side, "00000000000000010000000568656c6c6f");
	assert_false(yamux_data_ready(side.yamux));
	side_release(&side);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_is_a_frame_of_its_own),
		cmocka_unit_test(window_limit),
		cmocka_unit_test(credit_limit),
		cmocka_unit_test(reset_code_is_no_credit),
		cmocka_unit_test(churn_limit),
		cmocka_unit_test(refusals_limit),
		cmocka_unit_test(our_resets_limit),
		cmocka_unit_test(reset_queue_limit),
		cmocka_unit_test(empty_limit),
		cmocka_unit_test(ping_flood),
		cmocka_unit_test(inbound_limit),
		cmocka_unit_test(outbound_limits),
		cmocka_unit_test(keepalive),
		cmocka_unit_test(closed_stream_lingers_no_longer_than_its_limit),
		cmocka_unit_test(control_without_data),
	};

	return cmocka_run_group_tests_name("net/yamux_limits", tests, NULL, NULL);
}

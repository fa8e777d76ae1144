/* net/yamux*.c: vectors, Kubo's transcript, two sessions back to back, events that close streams
 * under the session's feet. Limits are in test_yamux_limits.c. */
#include "tests/net/yamux_sides.h"

/* ---- codec and vectors ---- */

static void header_vectors(void **state)
{
	json_t *json = vector_json("yamux.json"), *row;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "vectors"), i, row) {
		bool invalid = strstr(vector_text(row, "desc"), "INVALID version") ||
			       strstr(vector_text(row, "desc"), "INVALID type");
		struct yamux_header header;
		uint8_t again[YAMUX_HEADER_LEN];
		struct buf raw = { 0 };

		vector_hex(&raw, row, "hex");
		for (size_t len = 0; len < YAMUX_HEADER_LEN; len++)
			assert_int_equal(yamux_header_decode(&header, bytes_of(raw.at, len)), 0);
		assert_int_equal(yamux_header_decode(&header, buf_bytes(&raw)),
				 invalid ? -EBADMSG : YAMUX_HEADER_LEN);
		if (!invalid) {
			yamux_header_encode(again, &header);
			assert_memory_equal(again, raw.at, YAMUX_HEADER_LEN);
		}
		buf_release(&raw);
	}
	json_decref(json);
}

static void what_we_send(void **state)
{
	struct yamux_stream *stream;
	struct buf hello = { 0 };
	struct side side;

	(void)state;
	side_init(&side, true, NULL);
	output_is(&side, FIRST_PING);
	stream = open_stream(&side);
	output_is(&side, "000100010000000100000000");
	buf_add_str(&hello, "hello");
	yamux_stream_write(stream, &hello);
	output_is(&side, "00000000000000010000000568656c6c6f");
	yamux_stream_end(stream);
	output_is(&side, "000100040000000100000000");
	free(yamux_stream_ctx(stream));
	yamux_stream_reset(stream, 0x1002);
	output_is(&side, "000100080000000100001002");
	assert_int_equal(feed(&side, "0002000100000000deadbeef"), 0);
	output_is(&side, "0002000200000000deadbeef");
	yamux_go_away(side.yamux, 0x1005);
	output_is(&side, "000300000000000000001005");
	side_release(&side);
}

static void what_kubo_sent(void **state)
{
	json_t *json = vector_json("kubo-session.json"), *row;
	struct side client, listener;
	size_t i;

	(void)state;
	side_init(&client, true, NULL);
	side_init(&listener, false, NULL);
	for (i = 0; i < 10; i++)
		open_stream(&client);
	discard_output(&client);
	json_array_foreach(json_object_get(json, "frames"), i, row) {
		bool of_kubo = vector_text(row, "dir")[0] == '<';
		struct buf raw = { 0 };

		vector_hex(&raw, row, "header_hex");
		vector_hex(&raw, row, "body_hex");
		assert_int_equal(
			yamux_recv(of_kubo ? client.yamux : listener.yamux, buf_bytes(&raw), 0), 0);
		buf_release(&raw);
	}
	assert_true(client.opened >= 1 && client.bytes > 600 && client.ended >= 1);
	assert_true(listener.opened >= 2 && listener.bytes > 100);
	side_release(&client);
	side_release(&listener);
	json_decref(json);
}

static void invalid_frames(void **state)
{
	static const struct {
		const char *hex;
		int err;
	} rows[] = {
		{ "010000000000000100000000", -EBADMSG }, /* version */
		{ "000400000000000100000000", -EBADMSG }, /* type */
		{ "000100010000000400000000", -EPROTO },  /* SYN of our parity */
		{ "000100010000000000000000", -EPROTO },  /* SYN of the session */
		{ "000000010000000100040001", -EPROTO },  /* SYN with more than the window */
		{ "000100010000000100000000000000000000000100040001",
		  -EPROTO }, /* data, likewise */
		{ "000100010000000100000000000100010000000100000000", -EPROTO },    /* SYN twice */
		{ "000100050000000100000000000000000000000100000001 61", -EPROTO }, /* after FIN */
		{ "0000000000000009ffffffff", -EPROTO }, /* a body without end, nobody's */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct side side;

		server(&side);
		assert_int_equal(feed(&side, rows[i].hex), rows[i].err);
		assert_int_equal(feed(&side, "0002000100000000deadbeef"), rows[i].err);
		assert_true(yamux_wants_send(side.yamux));
		output_is(&side, GO_AWAY_PROTOCOL);
		assert_null(open_stream(&side));
		assert_int_equal(side.bytes, 0);
		side_release(&side);
	}
}

/* The same events, wherever the input is cut. */
static void every_cut(void **state)
{
	static const char script[] =
		"000100010000000100000000 0000000000000001000000056162636465 "
		"0002000100000000deadbeef"
		"00000001000000030000000268 69 000000040000000300000001 21 "
		"0000000000000007000000047a7a7a7a"
		"000100080000000100000000 000000000000000100000003787878 000300000000000000000000";
	struct buf in = { 0 };

	(void)state;
	hex_decode(&in, script);
	for (size_t cut = 0; cut <= in.len; cut++) {
		struct side side;
		int err;

		server(&side);
		err = yamux_recv(side.yamux, bytes_of(in.at, cut), 0);
		if (!err)
			err = yamux_recv(side.yamux, bytes_skip(buf_bytes(&in), cut), 0);
		assert_int_equal(err, -ECONNRESET);
		assert_true(bytes_equal(buf_bytes(&side.got), bytes_str("abcdehi!")));
		assert_int_equal(side.opened, 2);
		assert_int_equal(side.ended, 1);
		assert_int_equal(side.closed, 1);
		side_release(&side);
	}
	buf_release(&in);
}

/* ---- two sessions ---- */

static void streams_of_both_sides_arrive_whole(void **state)
{
	struct random random = random_seeded(11);
	struct side a, b;
	uint64_t now_us = 0;
	size_t total = 0;

	(void)state;
	side_init(&a, true, NULL);
	side_init(&b, false, NULL);
	a.check = b.check = true;
	a.on_end = b.on_end = END;
	for (int i = 0; i < 12; i++) {
		struct yamux_stream *stream = open_stream(i & 1 ? &a : &b);
		size_t at = 0, pieces = random_below(&random, 60);

		for (size_t k = 0; k < pieces; k++)
			write_pattern(stream, &at, random_below(&random, k & 1 ? 200000 : 300));
		yamux_stream_end(stream);
		total += at;
	}
	settle(&a, &b, &now_us, &random);
	assert_int_equal(a.bytes + b.bytes, total);
	assert_int_equal(a.ended, 12);
	assert_int_equal(b.ended, 12);
	assert_int_equal(a.closed, 12);
	assert_int_equal(b.closed, 12);
	assert_int_equal(a.close_err, 0);
	assert_int_equal(yamux_stream_count(a.yamux) + yamux_stream_count(b.yamux), 0);
	assert_int_equal(a.yamux->granted + b.yamux->granted, 0);
	assert_true(a.rtt_us > 0 && b.rtt_us > 0);
	side_release(&a);
	side_release(&b);
}

static void stall_and_resume(void **state)
{
	struct side a, b;
	struct yamux_stream *stream;
	uint64_t now_us = 0;
	size_t at = 0;

	(void)state;
	side_init(&a, true, NULL);
	side_init(&b, false, NULL);
	b.check = true;
	b.on_stream = PAUSE;
	stream = open_stream(&a);
	write_pattern(stream, &at, 3000000);
	yamux_stream_end(stream);
	settle(&a, &b, &now_us, NULL);
	assert_int_equal(b.bytes, 0);
	assert_int_equal(yamux_stream_queued(stream), 3000000 - YAMUX_WINDOW_INITIAL);
	assert_false(yamux_wants_send(a.yamux));

	b.on_data = PAUSE; /* one slice, then again a pause */
	yamux_stream_resume(b.last);
	assert_true(b.bytes > 0 && b.bytes <= 65536);
	settle(&a, &b, &now_us, NULL);
	assert_true(b.bytes <= 65536);

	b.on_data = NOTHING;
	yamux_stream_resume(b.last);
	assert_int_equal(b.bytes, YAMUX_WINDOW_INITIAL);
	settle(&a, &b, &now_us, NULL);
	assert_int_equal(b.bytes, 3000000);
	assert_int_equal(b.ended, 1);
	side_release(&a);
	side_release(&b);
}

static void end_waits_for_resume(void **state)
{
	struct side side;

	(void)state;
	server(&side);
	side.on_stream = PAUSE;
	assert_int_equal(feed(&side, "000000050000000100000003 616263"), 0);
	assert_int_equal(side.bytes + side.ended, 0);
	yamux_stream_resume(side.last);
	assert_int_equal(side.bytes, 3);
	assert_int_equal(side.ended, 1);
	side_release(&side);
}

static void window_grows(void **state)
{
	const struct yamux_config small = { .stream_window_max = 1u << 20,
					    .connection_window_max = 1u << 20 };
	uint64_t now_us = 0;
	size_t at = 0;

	(void)state;
	for (int fast = 0; fast < 2; fast++) {
		struct side a, b;
		struct yamux_stream *one, *two;

		side_init(&a, true, NULL);
		side_init(&b, false, &small);
		settle(&a, &b, &now_us, NULL);
		b.yamux->rtt_us = fast ? 1000000 : 1;
		one = open_stream(&a);
		two = open_stream(&a);
		for (int i = 0; i < 80; i++) { /* less than one update a step */
			write_pattern(one, &at, 100000);
			write_pattern(two, &at, 100000);
			now_us += 100 * MS;
			settle(&a, &b, &now_us, NULL);
		}
		assert_int_equal(b.bytes, 80 * 200000);
		struct yamux_stream *first = yamux_find(b.yamux, 1);
		struct yamux_stream *second = yamux_find(b.yamux, 3);
		size_t granted = first->window_max + second->window_max - 2 * YAMUX_WINDOW_INITIAL;

		assert_int_equal(granted, b.yamux->granted);
		assert_int_equal(granted, fast ? 1u << 20 : 0);
		assert_true(first->window_max <= 1u << 20 && second->window_max <= 1u << 20);
		side_release(&a);
		side_release(&b);
	}
}

static void streams_send_in_turns(void **state)
{
	struct yamux_stream *one, *two;
	struct bytes parts[PARTS];
	struct side side;
	size_t at = 0;

	(void)state;
	side_init(&side, true, NULL);
	one = open_stream(&side);
	two = open_stream(&side);
	discard_output(&side);
	write_pattern(one, &at, 200000);
	write_pattern(two, &at, 200000);
	yamux_ping(side.yamux, 5);
	feed(&side, "0002000100000000deadbeef");
	size_t count = yamux_send(side.yamux, parts, PARTS, 200000);

	assert_int_equal(count, 9); /* the pong, then 4 frames */
	assert_int_equal(parts[0].at[1], YAMUX_PING);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(parts[1 + 2 * i].at[7], i & 1 ? 3 : 1);
		assert_int_equal(parts[2 + 2 * i].len, YAMUX_DATA_MAX);
	}
	side_release(&side);
}

/* With room for few parts, and with many small writes, every byte still comes out in order. */
static void few_parts_at_a_time_keep_the_order(void **state)
{
	(void)state;
	for (size_t room = 2; room < 6; room++) {
		struct side a, b;
		struct yamux_stream *stream;
		struct bytes parts[PARTS];
		size_t at = 0, count;

		side_init(&a, true, NULL);
		side_init(&b, false, NULL);
		b.check = true;
		stream = open_stream(&a);
		for (size_t i = 0; i < 300; i++)
			write_pattern(stream, &at, i % 50);
		yamux_stream_end(stream);
		while ((count = yamux_send(a.yamux, parts, room, BATCH)) > 0) {
			assert_true(count <= room);
			for (size_t i = 0; i < count; i++)
				assert_int_equal(yamux_recv(b.yamux, parts[i], 0), 0);
		}
		assert_int_equal(b.bytes, at);
		assert_int_equal(b.ended, 1);
		side_release(&a);
		side_release(&b);
	}
}

static void drain_event(void **state)
{
	struct side a, b;
	uint64_t now_us = 0;
	size_t at = 0;

	(void)state;
	side_init(&a, true, NULL);
	side_init(&b, false, NULL);
	struct yamux_stream *stream = open_stream(&a);

	write_pattern(stream, &at, YAMUX_LOW_MARK - 1);
	settle(&a, &b, &now_us, NULL);
	assert_int_equal(a.drained, 0);
	write_pattern(stream, &at, YAMUX_LOW_MARK);
	settle(&a, &b, &now_us, NULL);
	assert_int_equal(a.drained, 1);
	side_release(&a);
	side_release(&b);
}

/* ---- life and death ---- */

static void go_away(void **state)
{
	struct side side;

	(void)state;
	server(&side);
	yamux_go_away(side.yamux, 0x1005);
	output_is(&side, "000300000000000000001005");
	assert_null(open_stream(&side));
	assert_int_equal(feed(&side, "000100010000000100000000"), 0);
	output_is(&side, "000100080000000100001002");
	assert_int_equal(side.opened, 0);
	assert_int_equal(feed(&side, "000300000000000000000000"), -ECONNRESET);
	assert_false(yamux_wants_send(side.yamux));
	side_release(&side);
}

static void close_sends_what_is_queued(void **state)
{
	struct side a, b;
	uint64_t now_us = 0;
	size_t at = 0;

	(void)state;
	side_init(&a, true, NULL);
	side_init(&b, false, NULL);
	b.check = true;
	struct yamux_stream *stream = open_stream(&a);

	write_pattern(stream, &at, 1000000);
	free(yamux_stream_ctx(stream));
	yamux_stream_close(stream);
	settle(&a, &b, &now_us, NULL);
	assert_int_equal(b.bytes, 1000000);
	assert_int_equal(b.ended, 1);
	assert_int_equal(yamux_stream_count(a.yamux), 0);
	write_pattern(b.last, &at, 100); /* nobody's any more */
	settle(&a, &b, &now_us, NULL);
	assert_int_equal(a.bytes + a.closed + a.ended, 0);
	yamux_stream_end(b.last);
	settle(&a, &b, &now_us, NULL);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.close_err, 0);
	side_release(&a);
	side_release(&b);
}

static void reset_before_syn(void **state)
{
	struct side side;
	size_t at = 0;

	(void)state;
	side_init(&side, true, NULL);
	output_is(&side, FIRST_PING);
	struct yamux_stream *stream = open_stream(&side);

	write_pattern(stream, &at, 10);
	free(yamux_stream_ctx(stream));
	yamux_stream_reset(stream, 0);
	assert_false(yamux_wants_send(side.yamux));
	open_stream(&side);
	output_is(&side, "000100010000000300000000");
	side_release(&side);
}

static void refused_stream_is_reset(void **state)
{
	struct side side;

	(void)state;
	server(&side);
	side.refuse = true;
	assert_int_equal(feed(&side, "0000000100000001000000026869"), 0);
	output_is(&side, "000100080000000100001002");
	assert_int_equal(side.bytes + side.closed, 0);
	side_release(&side);
}

/* Every event does every thing to its stream; the peer goes on sending. */
static void events_that_end_streams(void **state)
{
	static const enum act acts[] = { PAUSE, BOUNCE, CLOSE, RESET, FAIL, END };
	struct random random = random_seeded(5);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(acts) * 4; i++) {
		struct side a, b;
		uint64_t now_us = 0;
		size_t at = 0;

		side_init(&a, true, NULL);
		side_init(&b, false, NULL);
		enum act *where[] = { &b.on_stream, &b.on_data, &b.on_end, &a.on_drain };

		*where[i % 4] = acts[i / 4];
		for (int n = 0; n < 3; n++) {
			struct yamux_stream *stream = open_stream(&a);

			for (int k = 0; k < 8; k++)
				write_pattern(stream, &at, 100000);
			if (where[i % 4] != &a.on_drain)
				yamux_stream_end(stream);
		}
		if (acts[i / 4] != FAIL) {
			settle(&a, &b, &now_us, &random);
		} else {
			struct buf wire = { 0 };
			int err;

			drain_to(&a, &wire, BATCH);
			err = yamux_recv(b.yamux, buf_bytes(&wire), 1);
			assert_true(err == 0 || err == -ECANCELED);
			if (!err) {
				move(&b, &a, 2, NULL);
				discard_output(&a);
			} else {
				assert_int_equal(yamux_stream_count(b.yamux), 0);
				assert_false(yamux_wants_send(b.yamux));
			}
			buf_release(&wire);
		}
		if (b.last && !b.closed && acts[i / 4] == PAUSE && where[i % 4] != &a.on_drain)
			yamux_stream_resume(b.last);
		side_release(&a);
		side_release(&b);
	}
}

/* An event that writes and sends within yamux_send(): no bytes are lost, and it does not nest
 * without end. */
static void send_inside_event(void **state)
{
	struct side a, b;
	struct buf wire = { 0 };
	size_t at = 0;

	(void)state;
	side_init(&a, true, NULL);
	side_init(&b, false, NULL);
	b.check = true;
	struct yamux_stream *stream = open_stream(&a);

	feed_frame(&a, YAMUX_WINDOW, YAMUX_ACK, 1, 100u << 20, 0, 0);
	b.yamux->config.stream_window_max = 100u << 20;
	a.on_drain = REFILL;
	a.refill_at = &at;
	a.wire = &wire;
	write_pattern(stream, &at, YAMUX_LOW_MARK);
	drain_to(&a, &wire, BATCH);
	assert_int_equal(a.drained, REFILLS + 1);
	assert_int_equal(at, (REFILLS + 1) * YAMUX_LOW_MARK);
	assert_int_equal(feed(&b, "000100010000000100000000"), 0);
	yamux_find(b.yamux, 1)->window = at;
	yamux_find(b.yamux, 1)->window_max = at;
	b.yamux->granted = at - YAMUX_WINDOW_INITIAL;
	/* Behind our ping and SYN, which the script above has said already. */
	assert_int_equal(yamux_recv(b.yamux, bytes_skip(buf_bytes(&wire), 24), 0), 0);
	assert_int_equal(b.bytes, at);
	buf_release(&wire);
	side_release(&a);
	side_release(&b);
}

static void fail_inside_fail(void **state)
{
	struct side side;

	(void)state;
	side_init(&side, true, NULL);
	side.on_close = FAIL;
	for (int i = 0; i < 5; i++)
		open_stream(&side);
	yamux_fail(side.yamux, -EPIPE);
	assert_int_equal(side.closed, 5);
	assert_int_equal(yamux_recv(side.yamux, bytes_str("x"), 0), -EPIPE);
	side_release(&side);
}

static void free_without_fail(void **state)
{
	struct yamux_stream *stream;
	struct bytes parts[PARTS];
	struct side side;
	size_t at = 0;

	(void)state;
	side_init(&side, true, NULL);
	stream = open_stream(&side);
	write_pattern(stream, &at, 100000);
	write_pattern(stream, &at, 100000);
	yamux_send(side.yamux, parts, PARTS, 150000);
	free(yamux_stream_ctx(stream));
	yamux_free(side.yamux);
	assert_int_equal(side.closed, 0);
	yamux_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_vectors),
		cmocka_unit_test(what_we_send),
		cmocka_unit_test(what_kubo_sent),
		cmocka_unit_test(invalid_frames),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(streams_of_both_sides_arrive_whole),
		cmocka_unit_test(stall_and_resume),
		cmocka_unit_test(end_waits_for_resume),
		cmocka_unit_test(window_grows),
		cmocka_unit_test(streams_send_in_turns),
		cmocka_unit_test(few_parts_at_a_time_keep_the_order),
		cmocka_unit_test(drain_event),
		cmocka_unit_test(go_away),
		cmocka_unit_test(close_sends_what_is_queued),
		cmocka_unit_test(reset_before_syn),
		cmocka_unit_test(refused_stream_is_reset),
		cmocka_unit_test(events_that_end_streams),
		cmocka_unit_test(send_inside_event),
		cmocka_unit_test(fail_inside_fail),
		cmocka_unit_test(free_without_fail),
	};

	return cmocka_run_group_tests_name("net/yamux", tests, NULL, NULL);
}

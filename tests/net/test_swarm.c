/* Swarms over real sockets on 127.0.0.1: streams, limits, ends, and peers that misbehave. */
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ECHO "/test/echo/1.0.0"

/* One end of a stream that collects what it hears. */
struct ear {
	struct stream *stream;
	struct buf heard;
	size_t bytes;
	bool opened, ended, closed, drained;
	bool echo, count_only;
	int err;
	char protocol[64];
};

static void ear_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct ear *ear = ctx;

	ear->bytes += data.len;
	if (!ear->count_only)
		buf_add(&ear->heard, data);
	if (ear->echo)
		stream_write(stream, data);
}

static void ear_end(void *ctx, struct stream *stream)
{
	struct ear *ear = ctx;

	ear->ended = true;
	if (ear->echo)
		stream_end(stream);
}

static void ear_drain(void *ctx, struct stream *stream)
{
	(void)stream;
	((struct ear *)ctx)->drained = true;
}

static void ear_close(void *ctx, struct stream *stream, int err)
{
	struct ear *ear = ctx;

	(void)stream;
	ear->closed = true;
	ear->err = err;
	ear->stream = NULL;
}

static const struct stream_events ear_events = {
	.on_data = ear_data, .on_end = ear_end, .on_drain = ear_drain, .on_close = ear_close
};

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct ear *ear = ctx;

	ear->opened = true;
	ear->err = err;
	if (err)
		return;
	ear->stream = stream;
	snprintf(ear->protocol, sizeof(ear->protocol), "%s", protocol);
	stream_accept(stream, &ear_events, ear);
}

static void on_incoming(void *ctx, struct stream *stream)
{
	struct ear *ear = ctx;

	ear->opened = true;
	ear->stream = stream;
	stream_accept(stream, &ear_events, ear);
}

static int open_to(struct lab *lab, struct swarm *from, struct swarm *to, const char *protocol,
		   struct ear *ear)
{
	const char *const protocols[] = { protocol };

	swarm_open_stream(from, swarm_self(to), protocols, 1, lab_deadline(lab, 5000), on_opened,
			  ear);
	lab_until(lab, &ear->opened);
	return ear->err;
}

static void two_swarms_exchange_a_stream(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct ear near = { 0 }, far = { .echo = true };

	(void)state;
	assert_int_equal(swarm_handle(b, ECHO, 8, on_incoming, &far), 0);
	assert_int_equal(lab_connect(lab, a, b), 0);
	assert_true(swarm_is_connected(a, swarm_self(b)));
	assert_int_equal(open_to(lab, a, b, ECHO, &near), 0);
	assert_string_equal(near.protocol, ECHO);
	stream_write(near.stream, bytes_str("hello"));
	stream_end(near.stream);
	lab_until(lab, &near.ended);
	assert_true(bytes_equal(buf_bytes(&near.heard), bytes_str("hello")));
	lab_until(lab, &near.closed);
	assert_int_equal(near.err, 0);
	buf_release(&near.heard);
	buf_release(&far.heard);
	lab_free(lab);
}

/* ---- what streams promise ---- */

static void ear_release(struct ear *ear)
{
	buf_release(&ear->heard);
}

/* Much more than every window and buffer, with the reader pausing now and then. */
static void a_big_stream_arrives_whole(void **state)
{
	enum { TOTAL = 24 << 20, PIECE = 1 << 20 };
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct ear near = { 0 }, far = { .count_only = true };
	uint8_t *piece = xcalloc(1, PIECE);
	size_t most = 0;

	(void)state;
	swarm_handle(b, ECHO, 8, on_incoming, &far);
	assert_int_equal(lab_connect(lab, a, b), 0);
	assert_int_equal(open_to(lab, a, b, ECHO, &near), 0);
	for (size_t sent = 0; sent < TOTAL; sent += PIECE) {
		stream_write(near.stream, bytes_of(piece, PIECE));
		while (stream_queued(near.stream) > STREAM_LOW_MARK)
			loop_run_for(lab_loop(lab), 5);
		if (sent == 8 * PIECE) {
			/* Nothing is delivered while paused, and the writer stalls with the window.
			 */
			stream_pause(far.stream);
			size_t before = far.bytes;

			stream_write(near.stream, bytes_of(piece, PIECE));
			sent += PIECE;
			lab_run(lab, 50);
			assert_int_equal(far.bytes, before);
			stream_resume(far.stream);
		}
		most = stream_queued(near.stream) > most ? stream_queued(near.stream) : most;
	}
	assert_true(near.drained);
	stream_end(near.stream);
	lab_until(lab, &far.ended);
	assert_int_equal(far.bytes, TOTAL);
	free(piece);
	lab_free(lab);
}

static void closing_sends_the_queue_and_calls_nobody(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct ear near = { 0 }, far = { .echo = true };

	(void)state;
	swarm_handle(b, ECHO, 8, on_incoming, &far);
	assert_int_equal(lab_connect(lab, a, b), 0);
	assert_int_equal(open_to(lab, a, b, ECHO, &near), 0);
	stream_write(near.stream, bytes_str("farewell"));
	stream_close(near.stream);
	lab_until(lab, &far.ended);
	assert_true(bytes_equal(buf_bytes(&far.heard), bytes_str("farewell")));
	lab_run(lab, 30);
	assert_false(near.closed);
	assert_int_equal(near.bytes, 0);
	ear_release(&far);
	lab_free(lab);
}

static void a_reset_is_told_to_the_other_side(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct ear near = { 0 }, far = { 0 };

	(void)state;
	swarm_handle(b, ECHO, 8, on_incoming, &far);
	assert_int_equal(lab_connect(lab, a, b), 0);
	assert_int_equal(open_to(lab, a, b, ECHO, &near), 0);
	lab_until(lab, &far.opened);
	stream_reset(far.stream, 0);
	lab_until(lab, &near.closed);
	assert_int_equal(near.err, -ECONNRESET);
	lab_free(lab);
}

static void an_unknown_protocol_is_refused(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	const char *const both[] = { "/nobody/1", ECHO };
	struct ear near = { 0 }, second = { 0 }, far = { 0 };

	(void)state;
	swarm_handle(b, ECHO, 8, on_incoming, &far);
	assert_int_equal(lab_connect(lab, a, b), 0);
	assert_int_equal(open_to(lab, a, b, "/nobody/1", &near), -EPROTONOSUPPORT);
	/* Of several, the first that the other side speaks. */
	swarm_open_stream(a, swarm_self(b), both, 2, lab_deadline(lab, 5000), on_opened, &second);
	lab_until(lab, &second.opened);
	assert_int_equal(second.err, 0);
	assert_string_equal(second.protocol, ECHO);
	lab_free(lab);
}

static void streams_per_peer_are_limited(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct ear near[3] = { 0 }, far = { 0 };

	(void)state;
	swarm_handle(b, ECHO, 2, on_incoming, &far);
	assert_int_equal(lab_connect(lab, a, b), 0);
	for (size_t i = 0; i < 3; i++)
		open_to(lab, a, b, ECHO, &near[i]);
	lab_until(lab, &near[2].closed); /* max + 1 */
	lab_run(lab, 30);
	assert_false(near[0].closed);
	assert_false(near[1].closed);
	stream_reset(near[0].stream, 0);
	lab_run(lab, 30);
	near[2] = (struct ear){ 0 };
	assert_int_equal(open_to(lab, a, b, ECHO, &near[2]), 0);
	lab_run(lab, 30);
	assert_false(near[2].closed);
	lab_free(lab);
}

/* ---- connections ---- */

struct watcher {
	struct swarm_watch watch;
	bool connected, identified, disconnected;
	unsigned count;
};

static void saw_connected(void *ctx, const struct peer_id *peer)
{
	(void)peer;
	((struct watcher *)ctx)->connected = true;
	((struct watcher *)ctx)->count++;
}

static void saw_identified(void *ctx, const struct peer_id *peer)
{
	(void)peer;
	((struct watcher *)ctx)->identified = true;
}

static void saw_disconnected(void *ctx, const struct peer_id *peer)
{
	(void)peer;
	((struct watcher *)ctx)->disconnected = true;
}

static void watch_start(struct watcher *watcher, struct swarm *swarm)
{
	*watcher = (struct watcher){ .watch = { .on_connected = saw_connected,
						.on_identified = saw_identified,
						.on_disconnected = saw_disconnected,
						.ctx = watcher } };
	swarm_watch(swarm, &watcher->watch);
}

static int look(void *ctx, const struct swarm_peer *peer)
{
	*(struct swarm_peer *)ctx = *peer;
	return 1;
}

static void watches_hear_of_connect_identify_and_disconnect(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct watcher at_a, at_b;
	struct ear near = { 0 }, far = { 0 };
	struct swarm_peer seen = { 0 };

	(void)state;
	swarm_handle(b, ECHO, 8, on_incoming, &far);
	watch_start(&at_a, a);
	watch_start(&at_b, b);
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_until(lab, &at_a.identified);
	lab_until(lab, &at_b.identified);
	lab_run(lab, 30);
	assert_true(swarm_peer_supports(a, swarm_self(b), ECHO));
	assert_false(swarm_peer_supports(b, swarm_self(a), ECHO));
	assert_int_equal(swarm_each_peer(a, look, &seen), 1);
	assert_true(seen.outbound && seen.identified);
	assert_string_equal(seen.agent, "dagfs");
	assert_true(seen.bytes_in > 300 && seen.bytes_out > 300 && seen.latency_us > 0);
	assert_true(swarm_latency_ms(a, swarm_self(b)) > 0);
	assert_true(peer_id_equal(&seen.id, swarm_self(b)));
	assert_int_equal(open_to(lab, a, b, ECHO, &near), 0); /* lazy: identify has told */
	lab_until(lab, &far.opened);
	assert_int_equal(swarm_disconnect(a, swarm_self(b)), 0);
	assert_false(swarm_is_connected(a, swarm_self(b)));
	lab_until(lab, &at_b.disconnected);
	lab_until(lab, &at_a.disconnected);
	assert_true(near.closed && far.closed);
	assert_int_equal(far.err, -EPIPE);
	assert_int_equal(swarm_disconnect(a, swarm_self(b)), -ENOENT);
	assert_int_equal(at_a.count, 1);
	swarm_unwatch(a, &at_a.watch);
	swarm_unwatch(b, &at_b.watch);
	lab_free(lab);
}

static void closing_a_swarm_ends_everything(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct ear near = { 0 }, far = { 0 }, waiting = { 0 };
	struct watcher at_b;
	const char *const protocols[] = { ECHO };
	struct peer_id stranger;

	(void)state;
	assert_int_equal(peer_id_from_text(&stranger,
					   "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"),
			 0);
	swarm_handle(b, ECHO, 8, on_incoming, &far);
	watch_start(&at_b, b);
	assert_int_equal(lab_connect(lab, a, b), 0);
	assert_int_equal(open_to(lab, a, b, ECHO, &near), 0);
	swarm_open_stream(a, &stranger, protocols, 1, lab_deadline(lab, 5000), on_opened, &waiting);
	lab_close(lab, a);
	assert_true(near.closed && waiting.opened);
	assert_int_equal(near.err, -ECANCELED);
	assert_int_equal(waiting.err, -ECANCELED);
	lab_until(lab, &at_b.disconnected);
	lab_free(lab);
}

static void one_connection_serves_both_ways(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct ear near = { 0 }, far = { 0 };
	struct watcher at_a;

	(void)state;
	watch_start(&at_a, a);
	swarm_handle(a, ECHO, 8, on_incoming, &far);
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_until(lab, &at_a.identified);
	assert_int_equal(open_to(lab, b, a, ECHO, &near), 0);
	assert_int_equal(at_a.count, 1);
	lab_free(lab);
}

struct outcome {
	bool done;
	int err;
};

static void note(void *ctx, int err)
{
	*(struct outcome *)ctx = (struct outcome){ true, err };
}

static void simultaneous_dials_lose_nothing(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr to_a = lab_addr(a), to_b = lab_addr(b);
	struct ear far_a = { .echo = true }, far_b = { .echo = true };
	struct ear near_a = { 0 }, near_b = { 0 };
	const char *const protocols[] = { ECHO };

	(void)state;
	swarm_handle(a, ECHO, 8, on_incoming, &far_a);
	swarm_handle(b, ECHO, 8, on_incoming, &far_b);
	swarm_add_addr(a, swarm_self(b), &to_b, 60000);
	swarm_add_addr(b, swarm_self(a), &to_a, 60000);
	swarm_open_stream(a, swarm_self(b), protocols, 1, lab_deadline(lab, 5000), on_opened,
			  &near_a);
	swarm_open_stream(b, swarm_self(a), protocols, 1, lab_deadline(lab, 5000), on_opened,
			  &near_b);
	lab_until(lab, &near_a.opened);
	lab_until(lab, &near_b.opened);
	assert_int_equal(near_a.err, 0);
	assert_int_equal(near_b.err, 0);
	stream_write(near_a.stream, bytes_str("from a"));
	stream_write(near_b.stream, bytes_str("from b"));
	stream_end(near_a.stream);
	stream_end(near_b.stream);
	lab_until(lab, &near_a.ended);
	lab_until(lab, &near_b.ended);
	assert_int_equal(near_a.heard.len, 6);
	assert_int_equal(near_b.heard.len, 6);
	ear_release(&near_a);
	ear_release(&near_b);
	ear_release(&far_a);
	ear_release(&far_b);
	lab_free(lab);
}

static void too_many_connections_are_trimmed(void **state)
{
	struct swarm_config config = { .low_water = 2, .high_water = 3, .grace_ms = 1 };
	struct lab *lab = lab_new();
	struct swarm *hub = lab_swarm(lab, 1, &config, NULL);
	struct swarm *leaves[5];
	size_t left = 0;

	(void)state;
	for (uint8_t i = 0; i < 5; i++)
		leaves[i] = lab_swarm(lab, (uint8_t)(10 + i), NULL, NULL);
	swarm_protect(hub, swarm_self(leaves[0]), "friend");
	swarm_tag(hub, swarm_self(leaves[1]), "useful", 10);
	for (uint8_t i = 0; i < 5; i++)
		assert_int_equal(lab_connect(lab, leaves[i], hub), 0);
	/* Whoever comes after a trim makes three, which is allowed. */
	for (unsigned waited = 0; waited < 90; waited++) {
		lab_run(lab, 100);
		left = 0;
		for (size_t i = 0; i < 5; i++)
			left += swarm_is_connected(hub, swarm_self(leaves[i]));
		if (left <= 3)
			break;
	}
	assert_in_range(left, 2, 3);
	assert_true(swarm_is_connected(hub, swarm_self(leaves[0])));
	assert_true(swarm_is_connected(hub, swarm_self(leaves[1])));
	lab_free(lab);
}

/* The hard limit: who comes later waits in the kernel's queue until there is room. */
static void the_hard_limit_holds(void **state)
{
	struct swarm_config config = { .connections_max = 2 };
	struct lab *lab = lab_new();
	struct swarm *hub = lab_swarm(lab, 1, &config, NULL);
	struct swarm *leaves[3];
	struct multiaddr addr = lab_addr(hub);
	struct outcome outcome = { 0 };

	(void)state;
	for (uint8_t i = 0; i < 3; i++)
		leaves[i] = lab_swarm(lab, (uint8_t)(10 + i), NULL, NULL);
	assert_int_equal(lab_connect(lab, leaves[0], hub), 0);
	assert_int_equal(lab_connect(lab, leaves[1], hub), 0);
	swarm_connect(leaves[2], swarm_self(hub), &addr, 1, lab_deadline(lab, 5000), note,
		      &outcome);
	lab_run(lab, 100);
	assert_false(outcome.done);
	assert_int_equal(lab_connect(lab, hub, leaves[2]), -EAGAIN); /* nor does it dial */
	swarm_disconnect(leaves[0], swarm_self(hub));
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, 0);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_swarms_exchange_a_stream),
		cmocka_unit_test(a_big_stream_arrives_whole),
		cmocka_unit_test(closing_sends_the_queue_and_calls_nobody),
		cmocka_unit_test(a_reset_is_told_to_the_other_side),
		cmocka_unit_test(an_unknown_protocol_is_refused),
		cmocka_unit_test(streams_per_peer_are_limited),
		cmocka_unit_test(watches_hear_of_connect_identify_and_disconnect),
		cmocka_unit_test(closing_a_swarm_ends_everything),
		cmocka_unit_test(one_connection_serves_both_ways),
		cmocka_unit_test(simultaneous_dials_lose_nothing),
		cmocka_unit_test(too_many_connections_are_trimmed),
		cmocka_unit_test(the_hard_limit_holds),
	};
	return cmocka_run_group_tests_name("net/swarm", tests, NULL, NULL);
}

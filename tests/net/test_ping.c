/* The ping service and its client, over real sockets. */
#include "net/ping/ping.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <string.h>

struct answer {
	bool done;
	int err;
	uint64_t rtt_us;
};

static void on_pong(void *ctx, int err, uint64_t rtt_us)
{
	*(struct answer *)ctx = (struct answer){ true, err, rtt_us };
}

static void a_ping_is_echoed(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr addr = lab_addr(b);
	struct answer answer = { 0 };

	(void)state;
	swarm_add_addr(a, swarm_self(b), &addr, 60000); /* connects first */
	for (int i = 0; i < 5; i++) {
		answer.done = false;
		swarm_ping(a, swarm_self(b), lab_deadline(lab, 5000), on_pong, &answer);
		lab_until(lab, &answer.done);
		assert_int_equal(answer.err, 0);
		assert_true(answer.rtt_us < 5000000);
	}
	lab_free(lab);
}

static void ping_of_an_unreachable_peer_fails(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct answer answer = { 0 };

	(void)state;
	swarm_ping(a, swarm_self(b), lab_deadline(lab, 5000), on_pong, &answer);
	lab_until(lab, &answer.done);
	assert_int_equal(answer.err, -EHOSTUNREACH);
	lab_free(lab);
}

/* A stream of raw bytes to the service. */
struct raw {
	struct stream *stream;
	size_t got;
	bool opened, enough, ended, closed;
	uint8_t last[PING_LEN];
};

static void raw_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct raw *raw = ctx;

	(void)stream;
	for (size_t i = 0; i < data.len; i++)
		raw->last[raw->got++ % PING_LEN] = data.at[i];
	raw->enough = raw->got >= PING_LEN;
}

static void raw_end(void *ctx, struct stream *stream)
{
	(void)stream;
	((struct raw *)ctx)->ended = true;
}

static void raw_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	((struct raw *)ctx)->closed = true;
}

static const struct stream_events raw_events = { .on_data = raw_data,
						 .on_end = raw_end,
						 .on_close = raw_close };

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct raw *raw = ctx;

	(void)protocol;
	assert_int_equal(err, 0);
	raw->opened = true;
	raw->stream = stream;
	stream_accept(stream, &raw_events, raw);
}

static void open_raw(struct lab *lab, struct swarm *from, struct swarm *to, struct raw *raw)
{
	static const char *const protocols[] = { PING_PROTOCOL };

	swarm_open_stream(from, swarm_self(to), protocols, 1, lab_deadline(lab, 5000), on_opened,
			  raw);
	lab_until(lab, &raw->opened);
}

static void pieces_are_echoed_when_whole(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct raw raw = { 0 };
	uint8_t sent[PING_LEN];

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	open_raw(lab, a, b, &raw);
	for (size_t i = 0; i < PING_LEN; i++) {
		sent[i] = (uint8_t)i;
		assert_int_equal(raw.got, 0);
		stream_write(raw.stream, bytes_of(&sent[i], 1));
		loop_run_for(lab_loop(lab), 2);
	}
	lab_until(lab, &raw.enough);
	assert_memory_equal(raw.last, sent, PING_LEN);
	stream_end(raw.stream);
	lab_until(lab, &raw.ended);
	lab_free(lab);
}

static void two_streams_per_peer(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct raw raws[PING_STREAMS_IN_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	for (size_t i = 0; i < ARRAY_LEN(raws); i++)
		open_raw(lab, a, b, &raws[i]);
	lab_until(lab, &raws[PING_STREAMS_IN_MAX].closed);
	assert_false(raws[0].closed || raws[1].closed);
	lab_free(lab);
}

/* A service that answers with other bytes. */
static void lie_data(void *ctx, struct stream *stream, struct bytes data)
{
	(void)ctx;
	(void)data;
	stream_write(stream, bytes_str("these are not the bytes you sent"));
}

static const struct stream_events lie_events = { .on_data = lie_data };

static void lie(void *ctx, struct stream *stream)
{
	stream_accept(stream, &lie_events, ctx);
}

static void a_wrong_echo_is_an_error(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct answer answer = { 0 };

	(void)state;
	swarm_unhandle(b, PING_PROTOCOL);
	assert_int_equal(swarm_handle(b, PING_PROTOCOL, 2, lie, NULL), 0);
	assert_int_equal(lab_connect(lab, a, b), 0);
	swarm_ping(a, swarm_self(b), lab_deadline(lab, 5000), on_pong, &answer);
	lab_until(lab, &answer.done);
	assert_int_equal(answer.err, -EPROTO);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ping_is_echoed),
		cmocka_unit_test(ping_of_an_unreachable_peer_fails),
		cmocka_unit_test(pieces_are_echoed_when_whole),
		cmocka_unit_test(two_streams_per_peer),
		cmocka_unit_test(a_wrong_echo_is_an_error),
	};
	return cmocka_run_group_tests_name("net/ping", tests, NULL, NULL);
}

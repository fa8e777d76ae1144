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

	swarm_open_stream(from, swarm_self(to), protocols, 1, lab_deadline(lab, 5000), on_opened, ear);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_swarms_exchange_a_stream),
	};
	return cmocka_run_group_tests_name("net/swarm", tests, NULL, NULL);
}

/* A swarm over sessions of another maker than stacked.c: without a byte pipe, a secure channel and
 * yamux. What runs on a swarm does not notice. */
#include "tests/net/direct_session.h"

struct pair {
	struct lab *lab;
	struct direct_board board;
	struct swarm *a, *b;
};

static void pair_init(struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair->lab = lab_new();
	pair->a = direct_swarm(pair->lab, &pair->board, 1);
	pair->b = direct_swarm(pair->lab, &pair->board, 2);
}

static void pair_free(struct pair *pair)
{
	lab_free(pair->lab);
}

static int look(void *ctx, const struct swarm_peer *peer)
{
	struct swarm_peer *out = ctx;

	*out = *peer;
	return 1;
}

static void on_ping(void *ctx, int err, uint64_t rtt_us)
{
	(void)rtt_us;
	lab_on_done(ctx, err);
}

static void identify_tells_protocols_and_ping_is_answered(void **state)
{
	struct swarm_peer seen = { 0 };
	struct lab_outcome ping = { 0 };
	struct pair p;

	(void)state;
	pair_init(&p);
	assert_int_equal(direct_connect(p.lab, p.a, p.b), 0);
	for (int i = 0; i < 500 && !seen.identified; i++) {
		lab_run(p.lab, 5);
		swarm_each_peer(p.a, look, &seen);
	}
	assert_true(seen.identified && seen.outbound);
	assert_true(swarm_peer_supports(p.a, swarm_self(p.b), "/ipfs/ping/1.0.0"));
	swarm_ping(p.a, swarm_self(p.b), lab_deadline(p.lab, 5000), on_ping, &ping);
	lab_until(p.lab, &ping.done);
	assert_int_equal(ping.err, 0);
	assert_int_equal(p.board.sessions, 2);
	pair_free(&p);
}

/* ---- streams ---- */

struct echo {
	struct stream *stream;
	size_t wanted, got;
	bool opened, done, ended, drained;
	int err;
};

static void server_data(void *ctx, struct stream *stream, struct bytes data)
{
	(void)ctx;
	stream_write(stream, data);
}

static void server_end(void *ctx, struct stream *stream)
{
	(void)ctx;
	stream_end(stream);
}

static const struct stream_events server_events = { .on_data = server_data, .on_end = server_end };

static void on_stream(void *ctx, struct stream *stream)
{
	stream_accept(stream, &server_events, ctx);
}

static void client_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct echo *echo = ctx;

	(void)stream;
	for (size_t i = 0; i < data.len; i++)
		assert_true(data.at[i] == (uint8_t)((echo->got + i) >> 7));
	echo->got += data.len;
	echo->done = echo->got >= echo->wanted;
}

static void client_end(void *ctx, struct stream *stream)
{
	(void)stream;
	((struct echo *)ctx)->ended = true;
}

static void client_drain(void *ctx, struct stream *stream)
{
	(void)stream;
	((struct echo *)ctx)->drained = true;
}

static void client_close(void *ctx, struct stream *stream, int err)
{
	struct echo *echo = ctx;

	(void)stream;
	echo->err = err;
	echo->stream = NULL;
}

static const struct stream_events client_events = { .on_data = client_data,
						    .on_end = client_end,
						    .on_drain = client_drain,
						    .on_close = client_close };

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct echo *echo = ctx;

	(void)protocol;
	assert_int_equal(err, 0);
	echo->opened = true;
	echo->stream = stream;
	stream_accept(stream, &client_events, echo);
}

static void open_echo(struct pair *p, struct echo *echo)
{
	static const char *const protocols[] = { "/echo/1.0.0" };

	swarm_handle(p->b, protocols[0], 64, on_stream, NULL);
	swarm_open_stream(p->a, swarm_self(p->b), protocols, 1, lab_deadline(p->lab, 10000),
			  on_opened, echo);
	lab_until(p->lab, &echo->opened);
}

static void write_text(struct echo *echo, size_t len)
{
	uint8_t *text = xcalloc(1, len);

	for (size_t i = 0; i < len; i++)
		text[i] = (uint8_t)((echo->wanted + i) >> 7);
	echo->wanted += len;
	echo->done = false;
	stream_write(echo->stream, bytes_of(text, len));
	free(text);
}

static void stream_carries_megabytes_and_its_end(void **state)
{
	struct echo echo = { 0 };
	struct pair p;

	(void)state;
	pair_init(&p);
	assert_int_equal(direct_connect(p.lab, p.a, p.b), 0);
	open_echo(&p, &echo);
	write_text(&echo, 3000000);
	lab_until(p.lab, &echo.done);
	assert_true(echo.drained);
	/* Nothing is given while it is paused, and all of it afterwards. */
	stream_pause(echo.stream);
	write_text(&echo, 70000);
	lab_run(p.lab, 20);
	assert_int_equal(echo.got, 3000000);
	stream_resume(echo.stream);
	lab_until(p.lab, &echo.done);
	stream_end(echo.stream);
	lab_until(p.lab, &echo.ended);
	lab_run(p.lab, 20);
	assert_null(echo.stream);
	assert_int_equal(echo.err, 0);
	pair_free(&p);
}

static void many_streams_share_one_session(void **state)
{
	struct echo echoes[32] = { 0 };
	struct pair p;

	(void)state;
	pair_init(&p);
	assert_int_equal(direct_connect(p.lab, p.a, p.b), 0);
	for (size_t i = 0; i < 32; i++)
		open_echo(&p, &echoes[i]);
	for (size_t i = 0; i < 32; i++)
		write_text(&echoes[i], 1000 * i + 1);
	for (size_t i = 0; i < 32; i++) {
		lab_until(p.lab, &echoes[i].done);
		if (i % 2)
			stream_reset(echoes[i].stream, 0);
		else
			stream_close(echoes[i].stream);
	}
	assert_int_equal(p.board.sessions, 2);
	pair_free(&p);
}

static void streams_end_with_the_session(void **state)
{
	struct echo echo = { 0 };
	struct peer_id other;
	struct pair p;

	(void)state;
	pair_init(&p);
	other = *swarm_self(p.b);
	assert_int_equal(direct_connect(p.lab, p.a, p.b), 0);
	open_echo(&p, &echo);
	lab_close(p.lab, p.b);
	for (int i = 0; i < 500 && swarm_is_connected(p.a, &other); i++)
		lab_run(p.lab, 5);
	assert_false(swarm_is_connected(p.a, &other));
	assert_null(echo.stream);
	assert_int_not_equal(echo.err, 0);
	pair_free(&p);
}

/* Whoever answers at an address is checked, though the transport proved it. */
static void session_of_another_peer_is_refused(void **state)
{
	struct lab_outcome outcome = { 0 };
	struct multiaddr addr;
	struct pair p;
	struct swarm *c;

	(void)state;
	pair_init(&p);
	c = direct_swarm(p.lab, &p.board, 3);
	assert_int_equal(swarm_interface_addrs(p.b, &addr, 1), 1);
	swarm_connect(p.a, swarm_self(c), &addr, 1, lab_deadline(p.lab, 5000), lab_on_done,
		      &outcome);
	lab_until(p.lab, &outcome.done);
	assert_int_equal(outcome.err, -EKEYREJECTED);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identify_tells_protocols_and_ping_is_answered),
		cmocka_unit_test(stream_carries_megabytes_and_its_end),
		cmocka_unit_test(many_streams_share_one_session),
		cmocka_unit_test(streams_end_with_the_session),
		cmocka_unit_test(session_of_another_peer_is_refused),
	};

	return cmocka_run_group_tests_name("net/session/maker", tests, NULL, NULL);
}

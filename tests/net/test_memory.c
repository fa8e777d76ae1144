/* net/transport/memory: two swarms with no socket between them; the same swarm code as over TCP. */
#include "net/transport/memory.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>

struct room {
	struct lab *lab;
	struct memory_board *board;
};

static struct room room_new(void)
{
	struct lab *lab = lab_new();

	return (struct room){ .lab = lab, .board = memory_board_new(lab->loop) };
}

static void room_free(struct room *room)
{
	struct lab *lab = room->lab;

	for (size_t i = 0; i < lab->count; i++)
		if (lab->swarms[i])
			lab_close_one(lab, i);
	memory_board_free(room->board);
	loop_free(lab->loop);
	free(lab);
}

/* Its only transport is memory. */
static struct swarm *memory_swarm(struct room *room, uint8_t number, const char *at)
{
	struct lab *lab = room->lab;
	struct transport *transports[] = { memory_new(room->board) };
	struct swarm_config config = { .transports = transports, .transport_count = 1 };
	uint8_t seed[32] = { number };
	struct multiaddr addr;

	lab->identities[lab->count] = identity_from_seed(seed);
	lab->swarms[lab->count] =
		swarm_new(lab->loop, &lab->random, lab->identities[lab->count], NULL, &config);
	assert_int_equal(multiaddr_from_text(&addr, at), 0);
	assert_int_equal(swarm_listen(lab->swarms[lab->count], &addr), 0);
	return lab->swarms[lab->count++];
}

static struct multiaddr memory_addr(struct swarm *swarm)
{
	struct multiaddr addr;

	assert_int_equal(swarm_interface_addrs(swarm, &addr, 1), 1);
	return addr;
}

static int memory_connect(struct room *room, struct swarm *from, struct swarm *to)
{
	struct multiaddr addr = memory_addr(to);
	struct lab_outcome outcome = { 0 };

	swarm_connect(from, swarm_self(to), &addr, 1, lab_deadline(room->lab, 5000), lab_on_done,
		      &outcome);
	lab_until(room->lab, &outcome.done);
	return outcome.err;
}

/* ---- an echo of a long text ---- */

struct echo {
	struct buf got;
	size_t wanted;
	bool done;
};

static void server_data(void *ctx, struct stream *stream, struct bytes data)
{
	(void)ctx;
	stream_write(stream, data);
}

static const struct stream_events server_events = { .on_data = server_data };

static void on_stream(void *ctx, struct stream *stream)
{
	stream_accept(stream, &server_events, ctx);
}

static void client_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct echo *echo = ctx;

	buf_add(&echo->got, data);
	if (echo->got.len >= echo->wanted) {
		stream_close(stream);
		echo->done = true;
	}
}

static const struct stream_events client_events = { .on_data = client_data };

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct echo *echo = ctx;
	uint8_t *text = xcalloc(1, echo->wanted);

	(void)protocol;
	assert_int_equal(err, 0);
	stream_accept(stream, &client_events, echo);
	for (size_t i = 0; i < echo->wanted; i++)
		text[i] = (uint8_t)(i >> 7);
	stream_write(stream, bytes_of(text, echo->wanted));
	free(text);
}

static void three_megabytes_are_echoed(void **state)
{
	static const char *const protocols[] = { "/echo/1.0.0" };
	struct room room = room_new();
	struct swarm *a = memory_swarm(&room, 1, "/memory/7"),
		     *b = memory_swarm(&room, 2, "/memory/0");
	struct echo echo = { .wanted = 3000000 };

	(void)state;
	assert_int_equal(swarm_handle(b, protocols[0], 4, on_stream, NULL), 0);
	assert_int_equal(memory_connect(&room, a, b), 0);
	swarm_open_stream(a, swarm_self(b), protocols, 1, lab_deadline(room.lab, 10000), on_opened,
			  &echo);
	lab_until(room.lab, &echo.done);
	for (size_t i = 0; i < echo.wanted; i++)
		assert_true(echo.got.at[i] == (uint8_t)(i >> 7));
	buf_release(&echo.got);
	room_free(&room);
}

static void number_in_use_is_refused_and_free_again_after_close(void **state)
{
	struct room room = room_new();
	struct swarm *a = memory_swarm(&room, 1, "/memory/7");
	struct transport *transports[] = { memory_new(room.board) };
	struct swarm_config config = { .transports = transports, .transport_count = 1 };
	uint8_t seed[32] = { 2 };
	struct multiaddr addr, tcp;
	struct lab *lab = room.lab;

	(void)state;
	lab->identities[lab->count] = identity_from_seed(seed);
	lab->swarms[lab->count] =
		swarm_new(lab->loop, &lab->random, lab->identities[lab->count], NULL, &config);
	assert_int_equal(multiaddr_from_text(&addr, "/memory/7"), 0);
	assert_int_equal(multiaddr_from_text(&tcp, "/ip4/127.0.0.1/tcp/0"), 0);
	assert_int_equal(swarm_listen(lab->swarms[lab->count], &addr), -EADDRINUSE);
	assert_int_equal(swarm_listen(lab->swarms[lab->count], &tcp), -ENOTSUP);
	lab_close(lab, a);
	assert_int_equal(swarm_listen(lab->swarms[lab->count], &addr), 0);
	lab->count++;
	room_free(&room);
}

static void dial_to_a_number_nobody_listens_at_is_refused(void **state)
{
	struct room room = room_new();
	struct swarm *a = memory_swarm(&room, 1, "/memory/1"),
		     *b = memory_swarm(&room, 2, "/memory/2");
	struct lab_outcome outcome = { 0 };
	struct multiaddr addr;

	(void)state;
	assert_int_equal(multiaddr_from_text(&addr, "/memory/99"), 0);
	swarm_connect(a, swarm_self(b), &addr, 1, lab_deadline(room.lab, 5000), lab_on_done,
		      &outcome);
	lab_until(room.lab, &outcome.done);
	assert_int_equal(outcome.err, -ECONNREFUSED);
	room_free(&room);
}

static void peer_that_closes_is_noticed(void **state)
{
	struct room room = room_new();
	struct swarm *a = memory_swarm(&room, 1, "/memory/1"),
		     *b = memory_swarm(&room, 2, "/memory/2");
	struct peer_id other = *swarm_self(b);

	(void)state;
	assert_int_equal(memory_connect(&room, a, b), 0);
	lab_close(room.lab, b);
	for (int i = 0; i < 500 && swarm_is_connected(a, &other); i++)
		lab_run(room.lab, 5);
	assert_false(swarm_is_connected(a, &other));
	room_free(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_megabytes_are_echoed),
		cmocka_unit_test(number_in_use_is_refused_and_free_again_after_close),
		cmocka_unit_test(dial_to_a_number_nobody_listens_at_is_refused),
		cmocka_unit_test(peer_that_closes_is_noticed),
	};

	return cmocka_run_group_tests_name("net/transport/memory", tests, NULL, NULL);
}

/* Short questions with long answers: what waits for a peer that asks and does not read is bounded.
 */
#include "net/wire/frame.h"
#include "routing/kad/msg.h"
#include "tests/routing/kad_lab.h"

#include <errno.h>
#include <stdio.h>

#define ADDRS 16
#define ANSWER_MIN 3000 /* the addresses alone */

/* A stream of raw requests to a server. */
struct asker {
	struct lab *lab;
	struct swarm *a, *b;
	struct router *server;
	struct stream *stream;
	struct frame_reader reader;
	unsigned answers;
	bool opened, closed;
	int err;
};

static int on_answer(void *ctx, struct buf *message)
{
	struct asker *asker = ctx;

	assert_true(message->len > ANSWER_MIN);
	asker->answers++;
	return 0;
}

static void on_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct asker *asker = ctx;

	(void)stream;
	assert_int_equal(
		frame_reader_feed(&asker->reader, data, KAD_RESPONSE_MAX, on_answer, asker), 0);
}

static void on_close(void *ctx, struct stream *stream, int err)
{
	struct asker *asker = ctx;

	(void)stream;
	asker->closed = true;
	asker->err = err;
}

static const struct stream_events events = { .on_data = on_data, .on_close = on_close };

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct asker *asker = ctx;

	(void)protocol;
	assert_int_equal(err, 0);
	asker->opened = true;
	asker->stream = stream;
	stream_accept(stream, &events, asker);
}

static const uint8_t key[34] = { 0x12, 0x20 };

/* b announces itself at a with addresses that make every answer long. */
static void announce(struct asker *asker)
{
	struct multiaddr addrs[ADDRS];
	struct buf request = { 0 }, framed = { 0 };

	for (unsigned i = 0; i < ADDRS; i++) {
		char text[300];

		snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u/tls/sni/%0200u", 1000 + i, i);
		assert_int_equal(multiaddr_from_text(&addrs[i], text), 0);
	}
	kad_msg_begin(&request, KAD_ADD_PROVIDER, bytes_of(key, sizeof(key)));
	assert_true(kad_msg_peer(&request, KAD_PROVIDERS, swarm_self(asker->b), addrs, ADDRS,
				 KAD_CONNECTED, KAD_OWN_MAX));
	kad_msg_end(&request);
	frame_add(&framed, buf_bytes(&request));
	stream_write_buf(asker->stream, &framed);
	buf_release(&request);
}

static void ask(struct asker *asker, unsigned times)
{
	struct buf request = { 0 }, framed = { 0 };

	kad_msg_begin(&request, KAD_GET_PROVIDERS, bytes_of(key, sizeof(key)));
	kad_msg_end(&request);
	while (times-- > 0)
		frame_add(&framed, buf_bytes(&request));
	stream_write_buf(asker->stream, &framed);
	buf_release(&request);
}

static struct asker asker_new(void)
{
	struct lab *lab = lab_new();
	struct asker asker = { .lab = lab };

	asker.a = lab_swarm(lab, 1, NULL, NULL);
	asker.b = lab_swarm(lab, 2, NULL, NULL);
	asker.server = kad_lab_node(asker.a, NULL);
	assert_int_equal(lab_connect(lab, asker.b, asker.a), 0);
	return asker;
}

static void asker_open(struct asker *asker)
{
	static const char *const protocols[] = { KAD_LAB_PROTOCOL };

	swarm_open_stream(asker->b, swarm_self(asker->a), protocols, 1,
			  lab_deadline(asker->lab, 5000), on_opened, asker);
	lab_until(asker->lab, &asker->opened);
	announce(asker);
}

static void asker_free(struct asker *asker)
{
	if (!asker->closed)
		stream_reset(asker->stream, 0);
	router_close(asker->server, NULL, NULL);
	lab_free(asker->lab);
	frame_reader_release(&asker->reader);
}

/* As many as our own client has under way on one stream. */
static void sixty_four_at_once_are_answered(void **state)
{
	struct asker asker = asker_new();

	(void)state;
	asker_open(&asker);
	ask(&asker, 64);
	for (int i = 0; i < 500 && asker.answers < 64; i++)
		lab_run(asker.lab, 10);
	assert_int_equal(asker.answers, 64);
	assert_false(asker.closed);
	asker_free(&asker);
}

static void requests_beyond_the_answer_queue_reset_the_stream(void **state)
{
	struct asker asker = asker_new();

	(void)state;
	asker_open(&asker);
	ask(&asker, 1500);
	lab_until(asker.lab, &asker.closed);
	assert_int_equal(asker.err, -ECONNRESET);
	assert_true(asker.answers < 500);
	asker_free(&asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sixty_four_at_once_are_answered),
		cmocka_unit_test(requests_beyond_the_answer_queue_reset_the_stream),
	};

	return cmocka_run_group_tests_name("routing/kad_flood", tests, NULL, NULL);
}

/* identify and identify push between swarms, and from a peer that misbehaves. */
#include "net/base/wait.h"
#include "net/identify/identify_msg.h"
#include "net/wire/frame.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID "/ipfs/id/1.0.0"
#define PUSH "/ipfs/id/push/1.0.0"

struct watcher {
	struct swarm_watch watch;
	bool identified;
};

static void saw_identified(void *ctx, const struct peer_id *peer)
{
	(void)peer;
	((struct watcher *)ctx)->identified = true;
}

static void watch_start(struct watcher *watcher, struct swarm *swarm)
{
	*watcher = (struct watcher){ .watch = { .on_identified = saw_identified, .ctx = watcher } };
	swarm_watch(swarm, &watcher->watch);
}

static void serve(void *ctx, struct stream *stream)
{
	(void)ctx;
	stream_reset(stream, 0);
}

static void each_side_learns_of_the_other(void **state)
{
	struct swarm_config config = { .agent = "tester/1.0" };
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, &config, NULL);
	struct watcher at_a, at_b;
	struct multiaddr known[4], addr = lab_addr(a);

	(void)state;
	watch_start(&at_a, a);
	watch_start(&at_b, b);
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_until(lab, &at_a.identified);
	lab_until(lab, &at_b.identified);
	assert_true(swarm_peer_supports(a, swarm_self(b), "/ipfs/ping/1.0.0"));
	assert_true(swarm_peer_supports(b, swarm_self(a), PUSH));
	/* b was dialled, and knows where a listens all the same. */
	assert_int_equal(swarm_peer_addrs(b, swarm_self(a), known, 4), 1);
	assert_true(multiaddr_equal(&known[0], &addr));
	lab_free(lab);
}

static void changes_are_pushed(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct watcher at_a;
	struct multiaddr any, known[4];

	(void)state;
	watch_start(&at_a, a);
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_until(lab, &at_a.identified);
	lab_run(lab, 200);
	at_a.identified = false;
	assert_int_equal(swarm_handle(b, "/test/new/1", 1, serve, NULL), 0);
	assert_int_equal(multiaddr_from_text(&any, "/ip4/127.0.0.1/tcp/0"), 0);
	assert_int_equal(swarm_listen(b, &any), 0);
	lab_until(lab, &at_a.identified);
	assert_true(swarm_peer_supports(a, swarm_self(b), "/test/new/1"));
	assert_int_equal(swarm_peer_addrs(a, swarm_self(b), known, 4), 2);
	at_a.identified = false;
	swarm_unhandle(b, "/test/new/1");
	lab_until(lab, &at_a.identified);
	assert_false(swarm_peer_supports(a, swarm_self(b), "/test/new/1"));
	lab_free(lab);
}

/* ---- a peer that asks once more ---- */

struct asker {
	struct timers *timers;
	struct timer turn;
	bool answered, turned, ended, ended_at_once;
};

static void heard(void *ctx, struct stream *stream, struct bytes data)
{
	struct asker *asker = ctx;

	(void)stream;
	(void)data;
	asker->answered = true;
	timer_start(asker->timers, &asker->turn, 0, lab_set_flag, &asker->turned);
}

static void heard_end(void *ctx, struct stream *stream)
{
	struct asker *asker = ctx;

	asker->ended = true;
	asker->ended_at_once = !asker->turned;
	stream_close(stream);
}

static const struct stream_events asker_events = { .on_data = heard, .on_end = heard_end };

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	(void)protocol;
	assert_int_equal(err, 0);
	stream_accept(stream, &asker_events, ctx);
}

/* Never in one read with it: js-libp2p would lose the answer. */
static void end_of_stream_comes_in_a_later_read_than_the_answer(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	for (int i = 0; i < 8; i++) {
		struct asker asker = { .timers = loop_timers(lab->loop) };
		const char *id[] = { ID };

		swarm_open_stream(a, swarm_self(b), id, 1, UINT64_MAX, on_opened, &asker);
		lab_until(lab, &asker.ended);
		assert_true(asker.answered);
		assert_false(asker.ended_at_once);
		timer_stop(asker.timers, &asker.turn);
	}
	lab_free(lab);
}

/* ---- a peer that answers identify with what it likes ---- */

struct script {
	struct buf bytes;
	bool asked, hang;
};

static const struct stream_events no_events = { 0 };

static void answer(void *ctx, struct stream *stream)
{
	struct script *script = ctx;

	script->asked = true;
	stream_accept(stream, &no_events, NULL);
	stream_write(stream, buf_bytes(&script->bytes));
	if (!script->hang)
		stream_end(stream);
}

static void start(struct lab **lab, struct swarm **a, struct swarm **b, struct script *script,
		  struct watcher *at_a)
{
	*lab = lab_new();
	*a = lab_swarm(*lab, 1, NULL, NULL);
	*b = lab_swarm(*lab, 2, NULL, NULL);
	swarm_unhandle(*b, ID);
	assert_int_equal(swarm_handle(*b, ID, 8, answer, script), 0);
	lab_run(*lab, 200); /* b's push of that change goes to nobody, as nobody is connected */
	watch_start(at_a, *a);
}

static void malformed_answers_are_dropped(void **state)
{
	static const char *const answers[] = { "", "\x05hello", "\xff\xff\xff\xff\x7f",
					       "\x64half" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct script script = { 0 };
		struct watcher at_a;
		struct lab *lab;
		struct swarm *a, *b;

		start(&lab, &a, &b, &script, &at_a);
		buf_add_str(&script.bytes, answers[i]);
		assert_int_equal(lab_connect(lab, a, b), 0);
		lab_until(lab, &script.asked);
		lab_run(lab, 30);
		assert_false(at_a.identified);
		assert_true(swarm_is_connected(a, swarm_self(b))); /* failure is tolerated */
		lab_free(lab);
		buf_release(&script.bytes);
	}
}

static void protocols_and_addresses_are_capped(void **state)
{
	struct script script = { 0 };
	struct watcher at_a;
	struct lab *lab;
	struct swarm *a, *b;
	struct multiaddr known[SWARM_PEER_ADDRS_MAX + 1];
	char text[64];

	(void)state;
	start(&lab, &a, &b, &script, &at_a);
	for (int m = 0; m < 9; m++) {
		struct buf message = { 0 };

		for (int i = 0; i < 100; i++) {
			int len = snprintf(text, sizeof(text), "/flood/%d/%d", m, i);

			buf_add_u8(&message, 0x1a);
			buf_add_u8(&message, (uint8_t)len);
			buf_add_str(&message, text);
			uint8_t addr[] = { 0x12, 8, 4, 127, 0, (uint8_t)m, (uint8_t)i, 6, 0x10, 0 };

			buf_add(&message, bytes_of(addr, sizeof(addr)));
		}
		frame_add(&script.bytes, buf_bytes(&message));
		buf_release(&message);
	}
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_until(lab, &at_a.identified);
	assert_true(swarm_peer_supports(a, swarm_self(b), "/flood/0/99"));
	assert_false(swarm_peer_supports(a, swarm_self(b), "/flood/1/0"));
	assert_true(swarm_peer_addrs(a, swarm_self(b), known, ARRAY_LEN(known)) <=
		    SWARM_PEER_ADDRS_MAX);
	lab_free(lab);
	buf_release(&script.bytes);
}

/* A record signed by somebody else tells nothing. */
static void a_strangers_record_is_ignored(void **state)
{
	uint8_t seed[32] = { 99 };
	struct identity *stranger = identity_from_seed(seed);
	struct script script = { 0 };
	struct buf message = { 0 }, record = { 0 };
	struct multiaddr planted, known[4];
	struct watcher at_a;
	struct lab *lab;
	struct swarm *a, *b;

	(void)state;
	assert_int_equal(multiaddr_from_text(&planted, "/ip4/127.0.0.66/tcp/666"), 0);
	identify_record_seal(&record, stranger, 7, &planted, 1);
	buf_add_u8(&message, 8 << 3 | 2);
	assert_true(record.len > 127);
	buf_add_u8(&message, (uint8_t)(record.len & 0x7f) | 0x80);
	buf_add_u8(&message, (uint8_t)(record.len >> 7));
	buf_add(&message, buf_bytes(&record));
	start(&lab, &a, &b, &script, &at_a);
	frame_add(&script.bytes, buf_bytes(&message));
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_until(lab, &at_a.identified);
	size_t count = swarm_peer_addrs(a, swarm_self(b), known, 4);

	for (size_t i = 0; i < count; i++)
		assert_false(multiaddr_equal(&known[i], &planted));
	lab_free(lab);
	buf_release(&script.bytes);
	buf_release(&message);
	buf_release(&record);
	identity_free(stranger);
}

static void peer_that_never_ends_its_answer_is_given_up(void **state)
{
	struct script script = { .hang = true };
	struct watcher at_a;
	struct lab *lab;
	struct swarm *a, *b;

	(void)state;
	start(&lab, &a, &b, &script, &at_a);
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_until(lab, &script.asked);
	lab_run(lab, 30);
	assert_false(at_a.identified);
	lab_free(lab); /* with the stream still open: nothing leaks */
}

/* ---- who asks and asks ---- */

struct beggar {
	unsigned answered, refused;
	bool done;
};

static void beg_data(void *ctx, struct stream *stream, struct bytes data)
{
	(void)stream;
	((struct beggar *)ctx)->answered += data.len > 0;
}

static void beg_end(void *ctx, struct stream *stream)
{
	((struct beggar *)ctx)->done = true;
	stream_close(stream);
}

static void beg_close(void *ctx, struct stream *stream, int err)
{
	struct beggar *beggar = ctx;

	(void)stream;
	beggar->refused += err != 0;
	beggar->done = true;
}

static void beg_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	static const struct stream_events events = { .on_data = beg_data,
						     .on_end = beg_end,
						     .on_close = beg_close };

	(void)protocol;
	assert_int_equal(err, 0);
	stream_accept(stream, &events, ctx);
}

/* Each answer costs us a signature and a look at all interfaces. */
static void questions_are_rated(void **state)
{
	const char *id = "/ipfs/id/1.0.0";
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct beggar beggar = { 0 };

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	for (int i = 0; i < 30; i++) {
		beggar.done = false;
		swarm_open_stream(a, swarm_self(b), &id, 1, lab_deadline(lab, 5000), beg_opened,
				  &beggar);
		lab_until(lab, &beggar.done);
	}
	assert_in_range(beggar.answered, 5, 15);
	assert_true(beggar.refused >= 15);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_side_learns_of_the_other),
		cmocka_unit_test(changes_are_pushed),
		cmocka_unit_test(end_of_stream_comes_in_a_later_read_than_the_answer),
		cmocka_unit_test(malformed_answers_are_dropped),
		cmocka_unit_test(protocols_and_addresses_are_capped),
		cmocka_unit_test(a_strangers_record_is_ignored),
		cmocka_unit_test(peer_that_never_ends_its_answer_is_given_up),
		cmocka_unit_test(questions_are_rated),
	};
	return cmocka_run_group_tests_name("net/identify", tests, NULL, NULL);
}

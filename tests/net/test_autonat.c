/* Swarms that ask each other whether they can be reached: on loopback, which counts as public here.
 */
#include "net/nat/autonat/autonat_private.h"
#include "net/nat/autonat/autonat_serve.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <stdio.h>

struct node {
	struct swarm *swarm;
	struct autonat *autonat;
	struct multiaddr addr; /* in a network of its own, 127.NUMBER.0.0/16 */
};

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

/* Where it listens in that network. */
static struct multiaddr listens(struct swarm *swarm, const char *prefix)
{
	struct multiaddr addrs[8];
	size_t count = swarm_bound_addrs(swarm, addrs, 8);
	char text[MULTIADDR_TEXT_MAX];

	for (size_t i = 0; i < count; i++)
		if (strncmp(multiaddr_text(&addrs[i], text), prefix, strlen(prefix)) == 0)
			return addrs[i];
	fail_msg("listens nowhere in %s", prefix);
	return addrs[0];
}

/* Of two addresses only the second is used. */
static struct node node_new(struct lab *lab, uint8_t number, bool serve)
{
	struct autonat_config config = { .serve = serve, .local = true };
	struct node node = { .swarm = lab_swarm(lab, number, NULL, NULL) };
	struct multiaddr addr;
	char text[64];

	snprintf(text, sizeof(text), "/ip4/127.%u.0.1/tcp/0", number);
	addr = addr_of(text);
	assert_int_equal(swarm_listen(node.swarm, &addr), 0);
	snprintf(text, sizeof(text), "/ip4/127.%u.", number);
	node.addr = listens(node.swarm, text);
	node.autonat = autonat_new(node.swarm, &config);
	return node;
}

static void node_close(struct lab *lab, struct node *node)
{
	bool closed = false;

	autonat_close(node->autonat, lab_set_flag, &closed);
	lab_until(lab, &closed);
}

static void meet(struct lab *lab, const struct node *from, const struct node *to)
{
	struct lab_outcome outcome = { 0 };

	swarm_connect(from->swarm, swarm_self(to->swarm), &to->addr, 1, lab_deadline(lab, 5000),
		      lab_on_done, &outcome);
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, 0);
}

static void await_reach(struct lab *lab, const struct node *node, enum swarm_reach reach)
{
	for (int i = 0; i < 3000 && swarm_reach(node->swarm) != reach; i++)
		lab_run(lab, 10);
	assert_int_equal(swarm_reach(node->swarm), reach);
}

/* Look now, not in a while: as soon as it knows somebody. */
static void hurry(struct lab *lab, struct node *node)
{
	struct timer *look = &node->autonat->look;

	while (!timer_running(look))
		lab_run(lab, 5);
	timer_start(loop_timers(lab_loop(lab)), look, 0, look->fn, look->ctx);
}

static void await_confirmed(struct lab *lab, const struct node *node, uint64_t count)
{
	while (node->autonat->confirmed < count)
		lab_run(lab, 5);
}

static void on_reach(void *ctx, const struct peer_id *self)
{
	(void)self;
	++*(int *)ctx;
}

/* Three networks reach us, one after the other. */
static void address_reached_by_three_networks_is_public(void **state)
{
	struct lab *lab = lab_new();
	struct node asker = node_new(lab, 9, false), servers[3];
	struct autonat_stats stats;
	int told = 0;
	struct swarm_watch watch = { .on_reach = on_reach, .ctx = &told };

	(void)state;
	swarm_watch(asker.swarm, &watch);
	for (uint8_t i = 0; i < 3; i++) {
		servers[i] = node_new(lab, i + 1, true);
		meet(lab, &asker, &servers[i]);
		if (i < 2) {
			hurry(lab, &asker);
			await_confirmed(lab, &asker, i + 1);
			assert_int_equal(swarm_reach(asker.swarm), REACH_UNKNOWN);
		}
	}
	await_reach(lab, &asker, REACH_PUBLIC);
	assert_int_equal(told, 1);
	autonat_stats(asker.autonat, &stats);
	assert_false(stats.serves);
	assert_int_equal(stats.servers, 3);
	assert_int_equal(stats.asked, 3);
	assert_int_equal(stats.confirmed, 3);
	for (size_t i = 0; i < 3; i++) {
		autonat_stats(servers[i].autonat, &stats);
		assert_int_equal(stats.served, 1);
		assert_int_equal(stats.servers, 0);
	}
	swarm_unwatch(asker.swarm, &watch);
	for (size_t i = 0; i < 3; i++)
		node_close(lab, &servers[i]);
	node_close(lab, &asker);
	lab_free(lab);
}

/* ---- a server by hand ---- */

struct talk {
	struct stream *stream;
	struct buf heard;
	bool closed, opened, ended, got;
	struct frame_reader reader;
	struct autonat_msg last;
};

static int keep(void *ctx, struct buf *message)
{
	struct talk *talk = ctx;

	buf_clear(&talk->heard);
	buf_add(&talk->heard, buf_bytes(message));
	talk->got = true;
	return 0;
}

static void talk_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct talk *talk = ctx;

	(void)stream;
	assert_int_equal(frame_reader_feed(&talk->reader, data, AUTONAT_MESSAGE_MAX, keep, talk),
			 0);
}

static void talk_end(void *ctx, struct stream *stream)
{
	(void)stream;
	((struct talk *)ctx)->ended = true;
}

static void talk_close(void *ctx, struct stream *stream, int err)
{
	struct talk *talk = ctx;

	(void)stream;
	(void)err;
	talk->closed = true;
	talk->stream = NULL;
}

static const struct stream_events talk_events = { .on_data = talk_data,
						  .on_end = talk_end,
						  .on_close = talk_close };

static void talk_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	struct talk *talk = ctx;

	(void)protocol;
	talk->opened = true;
	/* A handler that refuses resets at once: the reset may come before the answer that opens
	 * it. */
	if (err == -ECONNRESET) {
		talk->closed = true;
		return;
	}
	assert_int_equal(err, 0);
	talk->stream = stream;
	stream_accept(stream, &talk_events, talk);
}

static void talk_free(struct talk *talk)
{
	if (talk->stream)
		stream_reset(talk->stream, CODE_NONE);
	frame_reader_release(&talk->reader);
	buf_release(&talk->heard);
	*talk = (struct talk){ 0 };
}

static void open_to(struct lab *lab, struct swarm *from, struct swarm *to, const char *protocol,
		    struct talk *talk)
{
	const char *const protocols[] = { protocol };

	swarm_open_stream(from, swarm_self(to), protocols, 1, lab_deadline(lab, 5000), talk_opened,
			  talk);
	lab_until(lab, &talk->opened);
}

/* One request about addr; the answer is in talk->last. */
static void request(struct lab *lab, struct swarm *from, struct node *to,
		    const struct multiaddr *addr, struct talk *talk)
{
	struct buf out = { 0 };

	open_to(lab, from, to->swarm, AUTONAT_REQUEST_PROTOCOL, talk);
	autonat_msg_put_request(&out, addr, 1, 99);
	stream_write_buf(talk->stream, &out);
	buf_release(&out);
	lab_until(lab, &talk->got);
	assert_int_equal(autonat_msg_decode(&talk->last, buf_bytes(&talk->heard)), 0);
}

static void closed_port_is_answered_as_failed(void **state)
{
	struct lab *lab = lab_new();
	struct node server = node_new(lab, 1, true);
	struct swarm *asker = lab_swarm(lab, 7, NULL, NULL), *other = lab_swarm(lab, 8, NULL, NULL);
	struct multiaddr nobody = addr_of("/ip4/127.0.0.1/tcp/1"), addr = lab_addr(other);
	struct node from = { .swarm = asker };
	struct talk talk = { 0 };

	(void)state;
	meet(lab, &from, &server);
	request(lab, asker, &server, &nobody, &talk);
	assert_int_equal(talk.last.kind, AUTONAT_RESPONSE);
	assert_int_equal(talk.last.status, AUTONAT_OK);
	assert_int_equal(talk.last.dial_status, AUTONAT_DIAL_FAILED);
	talk_free(&talk);
	/* Or somebody else does. */
	request(lab, asker, &server, &addr, &talk);
	assert_int_equal(talk.last.dial_status, AUTONAT_DIAL_FAILED);
	talk_free(&talk);
	/* We, who have no request out and take no nonce. */
	addr = lab_addr(asker);
	request(lab, asker, &server, &addr, &talk);
	assert_int_equal(talk.last.dial_status, AUTONAT_DIAL_BACK_FAILED);
	talk_free(&talk);
	node_close(lab, &server);
	lab_free(lab);
}

/* An address that is not where we come from: the server dials after we have paid for it. */
static void dial_to_another_address_costs_the_asker_data(void **state)
{
	struct lab *lab = lab_new();
	struct node server = node_new(lab, 1, true), asker = node_new(lab, 9, false);
	struct autonat_stats stats;
	struct talk talk = { 0 };
	struct buf out = { 0 };
	size_t paid;

	(void)state;
	meet(lab, &asker, &server);
	request(lab, asker.swarm, &server, &asker.addr, &talk);
	assert_int_equal(talk.last.kind, AUTONAT_WANT_DATA);
	assert_in_range(talk.last.want, AUTONAT_DATA_MIN, AUTONAT_DATA_MAX);
	/* Whole pieces: a smaller one is taken only if it is the last. */
	paid = (talk.last.want - 1) / AUTONAT_PIECE_MAX * AUTONAT_PIECE_MAX;
	autonat_msg_put_data(&out, paid);
	stream_write_buf(talk.stream, &out);
	talk.got = false;
	lab_run(lab, AUTONAT_DIAL_WAIT_MS + 500);
	assert_false(talk.got);
	autonat_stats(server.autonat, &stats);
	assert_int_equal(stats.served, 0);
	buf_clear(&out);
	autonat_msg_put_data(&out, talk.last.want - paid);
	stream_write_buf(talk.stream, &out);
	buf_release(&out);
	lab_until(lab, &talk.got);
	assert_int_equal(autonat_msg_decode(&talk.last, buf_bytes(&talk.heard)), 0);
	assert_int_equal(talk.last.status, AUTONAT_OK);
	talk_free(&talk);
	node_close(lab, &server);
	node_close(lab, &asker);
	lab_free(lab);
}

static void stay_silent(void *ctx, struct stream *stream)
{
	static const struct stream_events silence;

	*(struct stream **)ctx = stream;
	stream_accept(stream, &silence, NULL);
}

/* A nonce from from to to; whether it was taken. */
static bool dial_back(struct lab *lab, struct swarm *from, struct node *to, uint64_t nonce)
{
	struct talk talk = { 0 };
	struct buf out = { 0 };
	bool taken;

	open_to(lab, from, to->swarm, AUTONAT_BACK_PROTOCOL, &talk);
	autonat_msg_put_back(&out, nonce);
	if (talk.stream)
		stream_write_buf(talk.stream, &out);
	buf_release(&out);
	while (!talk.got && !talk.closed)
		lab_run(lab, 5);
	taken = talk.got;
	talk_free(&talk);
	return taken;
}

/* It is asked, does not dial, and would have us believe that it did. */
static void false_answer_of_a_server_proves_nothing(void **state)
{
	struct lab *lab = lab_new();
	struct node asker = node_new(lab, 9, false), liar = { 0 }, other = { 0 };
	struct stream *asked = NULL;
	struct autonat_stats stats;
	struct buf out = { 0 };
	uint64_t nonce;

	(void)state;
	liar.swarm = lab_swarm(lab, 1, NULL, NULL);
	liar.addr = lab_addr(liar.swarm);
	other.swarm = lab_swarm(lab, 2, NULL, NULL);
	swarm_handle(liar.swarm, AUTONAT_REQUEST_PROTOCOL, 1, stay_silent, &asked);
	meet(lab, &asker, &liar);
	meet(lab, &other, &asker);
	/* Nobody was asked yet. */
	assert_false(dial_back(lab, other.swarm, &asker, 0));
	hurry(lab, &asker);
	while (!asked)
		lab_run(lab, 5);
	nonce = asker.autonat->ask->probe.nonce;
	/* The right nonce over the connection that we had opened; wrong ones over a new one. */
	assert_false(dial_back(lab, liar.swarm, &asker, nonce));
	assert_false(dial_back(lab, other.swarm, &asker, nonce + 1));
	assert_false(dial_back(lab, other.swarm, &asker, 0));
	assert_false(asker.autonat->ask->probe.dialed);
	/* The right one, to another address than that which it then names. */
	assert_true(dial_back(lab, other.swarm, &asker, nonce));
	autonat_msg_put_response(&out, AUTONAT_OK, 0, AUTONAT_DIAL_OK);
	stream_write_buf(asked, &out);
	buf_release(&out);
	while (asker.autonat->ask)
		lab_run(lab, 5);
	autonat_stats(asker.autonat, &stats);
	assert_int_equal(stats.confirmed, 0);
	assert_int_equal(asker.autonat->track.at[0].outcome_count, 0);
	node_close(lab, &asker);
	lab_free(lab);
}

/* One peer may ask so often and one thing at a time. */
static void peer_that_asks_too_often_is_refused(void **state)
{
	struct lab *lab = lab_new();
	struct node server = node_new(lab, 1, true);
	struct swarm *asker = lab_swarm(lab, 7, NULL, NULL);
	struct node from = { .swarm = asker };
	struct multiaddr nobody = addr_of("/ip4/127.0.0.1/tcp/1");
	struct talk idle = { 0 }, talk = { 0 };
	struct autonat_stats stats;

	(void)state;
	meet(lab, &from, &server);
	/* One that says nothing yet. */
	open_to(lab, asker, server.swarm, AUTONAT_REQUEST_PROTOCOL, &idle);
	request(lab, asker, &server, &nobody, &talk);
	assert_int_equal(talk.last.status, AUTONAT_E_REJECTED);
	talk_free(&talk);
	talk_free(&idle);
	lab_run(lab, 50);
	for (unsigned i = 1; i < AUTONAT_PER_PEER_MINUTE; i++) {
		request(lab, asker, &server, &nobody, &talk);
		assert_int_equal(talk.last.status, AUTONAT_OK);
		talk_free(&talk);
		lab_run(lab, 10);
	}
	request(lab, asker, &server, &nobody, &talk);
	assert_int_equal(talk.last.status, AUTONAT_E_REJECTED);
	talk_free(&talk);
	autonat_stats(server.autonat, &stats);
	assert_int_equal(stats.served, AUTONAT_PER_PEER_MINUTE - 1);
	node_close(lab, &server);
	lab_free(lab);
}

/* Loopback is not public where it matters. */
static void a_real_server_never_dials_loopback(void **state)
{
	struct lab *lab = lab_new();
	struct autonat_config config = { .serve = true };
	struct node server = { .swarm = lab_swarm(lab, 1, NULL, NULL) };
	struct swarm *asker = lab_swarm(lab, 7, NULL, NULL);
	struct node from = { .swarm = asker };
	struct multiaddr addr = lab_addr(asker);
	struct talk talk = { 0 };
	struct buf out = { 0 };
	struct autonat_v1_msg v1;

	(void)state;
	server.autonat = autonat_new(server.swarm, &config);
	server.addr = lab_addr(server.swarm);
	meet(lab, &from, &server);
	request(lab, asker, &server, &addr, &talk);
	assert_int_equal(talk.last.status, AUTONAT_E_REFUSED);
	talk_free(&talk);
	open_to(lab, asker, server.swarm, AUTONAT_V1_PROTOCOL, &talk);
	autonat_msg_put_v1_dial(&out, swarm_self(asker), &addr, 1);
	stream_write_buf(talk.stream, &out);
	lab_until(lab, &talk.got);
	assert_int_equal(autonat_msg_decode_v1(&v1, buf_bytes(&talk.heard)), 0);
	assert_int_equal(v1.status, AUTONAT_V1_E_REFUSED);
	talk_free(&talk);
	buf_release(&out);
	/* And asks nobody there. */
	assert_int_equal(server.autonat->known_count, 0);
	node_close(lab, &server);
	lab_free(lab);
}

static void version_1_is_served(void **state)
{
	struct lab *lab = lab_new();
	struct node server = node_new(lab, 1, true);
	struct swarm *asker = lab_swarm(lab, 7, NULL, NULL);
	struct node from = { .swarm = asker };
	struct multiaddr addr = lab_addr(asker);
	struct autonat_v1_msg v1;
	struct talk talk = { 0 };
	struct buf out = { 0 };

	(void)state;
	meet(lab, &from, &server);
	for (unsigned i = 0; i <= AUTONAT_V1_PER_PEER_MINUTE; i++) {
		bool mine = i % 2 == 0;

		open_to(lab, asker, server.swarm, AUTONAT_V1_PROTOCOL, &talk);
		autonat_msg_put_v1_dial(&out, swarm_self(mine ? asker : server.swarm), &addr, 1);
		stream_write_buf(talk.stream, &out);
		buf_release(&out);
		lab_until(lab, &talk.got);
		assert_int_equal(autonat_msg_decode_v1(&v1, buf_bytes(&talk.heard)), 0);
		if (i == AUTONAT_V1_PER_PEER_MINUTE)
			assert_int_equal(v1.status, AUTONAT_V1_E_REFUSED);
		else
			assert_int_equal(v1.status,
					 mine ? AUTONAT_V1_OK : AUTONAT_V1_E_BAD_REQUEST);
		if (v1.status == AUTONAT_V1_OK)
			assert_true(bytes_equal(v1.addr, multiaddr_bytes(&addr)));
		talk_free(&talk);
		lab_run(lab, 20);
	}
	node_close(lab, &server);
	lab_free(lab);
}

/* What an old server will say, at once. */
struct old {
	enum autonat_v1_status status;
	struct multiaddr addr;
};

static void answer_v1(void *ctx, struct stream *stream)
{
	static const struct stream_events silence;
	struct old *old = ctx;
	struct buf out = { 0 };

	stream_accept(stream, &silence, NULL);
	autonat_msg_put_v1_response(&out, old->status, &old->addr);
	stream_write_buf(stream, &out);
	buf_release(&out);
	stream_close(stream);
}

/* Its word counts as anybody's, about the very address alone. */
static void version_1_is_asked_where_there_is_no_other(void **state)
{
	static const struct {
		enum autonat_v1_status status;
		bool other;
		size_t good, bad;
	} cases[] = {
		{ AUTONAT_V1_OK, false, 1, 0 },		{ AUTONAT_V1_OK, true, 0, 0 },
		{ AUTONAT_V1_E_DIAL, false, 0, 1 },	{ AUTONAT_V1_E_REFUSED, false, 0, 0 },
		{ AUTONAT_V1_E_INTERNAL, false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lab *lab = lab_new();
		struct node asker = node_new(lab, 9, false), server = { 0 };
		struct old old = { .status = cases[i].status };
		const struct autonat_tracked *first = &asker.autonat->track.at[0];

		server.swarm = lab_swarm(lab, 1, NULL, NULL);
		server.addr = lab_addr(server.swarm);
		old.addr = cases[i].other ? server.addr : listens(asker.swarm, "/ip4/127.0.0.1/");
		swarm_handle(server.swarm, AUTONAT_V1_PROTOCOL, 2, answer_v1, &old);
		meet(lab, &asker, &server);
		hurry(lab, &asker);
		while (asker.autonat->asked == 0 || asker.autonat->ask)
			lab_run(lab, 5);
		assert_int_equal(asker.autonat->confirmed, cases[i].good);
		assert_int_equal(first->outcome_count, cases[i].good + cases[i].bad);
		assert_int_equal(first->refusals, cases[i].status == AUTONAT_V1_E_REFUSED);
		node_close(lab, &asker);
		lab_free(lab);
	}
}

/* Whoever ends in the middle of it leaves nothing behind (the sanitizer looks). */
static void closing_at_any_time_leaks_nothing(void **state)
{
	(void)state;
	for (uint64_t ms = 1; ms < 60; ms += 3) {
		struct lab *lab = lab_new();
		struct node asker = node_new(lab, 9, true), server = node_new(lab, 1, true);

		meet(lab, &asker, &server);
		hurry(lab, &asker);
		lab_run(lab, ms);
		node_close(lab, &server);
		node_close(lab, &asker);
		lab_free(lab);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_reached_by_three_networks_is_public),
		cmocka_unit_test(closed_port_is_answered_as_failed),
		cmocka_unit_test(dial_to_another_address_costs_the_asker_data),
		cmocka_unit_test(false_answer_of_a_server_proves_nothing),
		cmocka_unit_test(peer_that_asks_too_often_is_refused),
		cmocka_unit_test(a_real_server_never_dials_loopback),
		cmocka_unit_test(version_1_is_served),
		cmocka_unit_test(version_1_is_asked_where_there_is_no_other),
		cmocka_unit_test(closing_at_any_time_leaks_nothing),
	};

	return cmocka_run_group_tests_name("net/autonat", tests, NULL, NULL);
}

/* The server's side of AutoNAT: what it dials, for whom, how often, and what it costs the asker. */
#include "net/base/alloc.h"
#include "net/nat/autonat/autonat_serve.h"
#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ME "12D3KooWA4oibWMtVJL2VNLgPfmL9G7eDm2pBPsK65WExTF2LWaM"
#define OTHER "12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust"

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

struct room {
	struct random random;
	struct autonat_limit data_limit;
	struct autonat_serve serve;
	struct buf out;
	uint64_t now_ms;
};

static void room_clear(struct room *room)
{
	autonat_serve_release(&room->serve);
	buf_release(&room->out);
}

/* A fresh request of ME from there. */
static void room_open(struct room *room, const char *from)
{
	room_clear(room);
	room->random = random_seeded(1);
	room->serve = (struct autonat_serve){ .from = addr_of(from),
					      .random = &room->random,
					      .data_limit = &room->data_limit };
	assert_int_equal(peer_id_from_text(&room->serve.peer, ME), 0);
}

static int feed(struct room *room, struct buf *in, size_t piece)
{
	int err = 0;

	for (size_t at = 0; at < in->len && !err; at += piece)
		err = autonat_serve_feed(
			&room->serve,
			bytes_of(in->at + at, in->len - at < piece ? in->len - at : piece),
			room->now_ms, &room->out);
	buf_release(in);
	return err;
}

static int request(struct room *room, const char *const *texts, size_t count)
{
	struct multiaddr *addrs = xcalloc(count + 1, sizeof(*addrs));
	struct buf in = { 0 };

	for (size_t i = 0; i < count; i++)
		addrs[i] = addr_of(texts[i]);
	autonat_msg_put_request(&in, addrs, count, 77);
	free(addrs);
	return feed(room, &in, 1);
}

static int request_one(struct room *room, const char *from, const char *text)
{
	room_open(room, from);
	return request(room, &text, 1);
}

/* What was answered. */
static struct autonat_msg answer(struct room *room)
{
	struct autonat_msg msg;

	assert_true(room->out.len > 0);
	assert_int_equal(autonat_msg_decode(&msg, bytes_skip(buf_bytes(&room->out), 1)), 0);
	return msg;
}

static void asker_is_dialled_at_its_own_address(void **state)
{
	const char *const addrs[] = { "/ip4/10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/4001/p2p/" ME,
				      "/ip4/8.8.4.4/tcp/1" };
	struct room room = { 0 };

	(void)state;
	room_open(&room, "/ip4/8.8.8.8/tcp/50000");
	assert_int_equal(request(&room, addrs, 3), 0);
	assert_int_equal(room.serve.state, SERVE_DIAL);
	assert_int_equal(room.serve.index, 1);
	assert_int_equal(room.serve.nonce, 77);
	assert_int_equal(room.serve.wait_ms, 0);
	assert_int_equal(room.out.len, 0);
	assert_true(multiaddr_equal(&room.serve.addr,
				    &(struct multiaddr[]){ addr_of("/ip4/8.8.8.8/tcp/4001") }[0]));
	autonat_serve_dialed(&room.serve, AUTONAT_DIAL_OK, &room.out);
	assert_int_equal(room.serve.state, SERVE_ANSWERED);
	struct autonat_msg msg = answer(&room);

	assert_int_equal(msg.status, AUTONAT_OK);
	assert_int_equal(msg.dial_status, AUTONAT_DIAL_OK);
	assert_int_equal(msg.index, 1);
	room_clear(&room);
}

/* Nobody makes us look into our own house, or his. */
static void address_that_is_not_public_is_never_dialled(void **state)
{
	static const char *const froms[] = { "/ip4/8.8.8.8/tcp/5", "/ip4/127.0.0.1/tcp/5",
					     "/ip4/10.0.0.1/tcp/5", "/ip6/::1/tcp/5" };
	static const char *const addrs[] = {
		"/ip4/127.0.0.1/tcp/5",
		"/ip4/10.0.0.1/tcp/5",
		"/ip4/192.168.1.1/tcp/80",
		"/ip4/169.254.169.254/tcp/80",
		"/ip4/0.0.0.0/tcp/80",
		"/ip6/::1/tcp/5",
		"/ip6/fe80::1/tcp/5",
		"/ip6/::ffff:10.0.0.1/tcp/5",
		"/ip6/2002:a00:1::/tcp/5",
		"/ip6/64:ff9b::a00:1/tcp/5",
		"/dns4/metadata.internal/tcp/80",
		"/dnsaddr/example.com",
		"/ip4/8.8.8.8/tcp/5/p2p/" OTHER,
		"/ip4/8.8.8.8/tcp/5/ws",
		"/ip4/8.8.8.8/udp/5/quic-v1",
	};
	struct room room = { 0 };

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(froms); f++) {
		room_open(&room, froms[f]);
		assert_int_equal(request(&room, addrs, ARRAY_LEN(addrs)), 0);
		assert_int_equal(room.serve.state, SERVE_ANSWERED);
		assert_int_equal(answer(&room).status, AUTONAT_E_REFUSED);
	}
	room_clear(&room);
}

static void addresses_over_the_limit_are_ignored(void **state)
{
	struct multiaddr addrs[AUTONAT_ADDRS_MAX];
	struct buf in = { 0 }, part = { 0 };
	struct room room = { 0 };

	(void)state;
	for (size_t i = 0; i < AUTONAT_ADDRS_MAX; i++)
		addrs[i] = addr_of("/ip4/10.0.0.1/tcp/1");
	addrs[AUTONAT_ADDRS_MAX - 1] = addr_of("/ip4/8.8.8.8/tcp/1");
	room_open(&room, "/ip4/8.8.8.8/tcp/5");
	autonat_msg_put_request(&in, addrs, AUTONAT_ADDRS_MAX, 1);
	assert_int_equal(feed(&room, &in, 4096), 0);
	assert_int_equal(room.serve.state, SERVE_DIAL);
	assert_int_equal(room.serve.index, AUTONAT_ADDRS_MAX - 1);
	/* One before all of them: the good one is the 51st. 0a 08 is an address of eight bytes. */
	room_open(&room, "/ip4/8.8.8.8/tcp/5");
	hex_decode(&part, "0a08 040a000001060001");
	autonat_msg_put_request(&in, addrs, AUTONAT_ADDRS_MAX, 0);
	size_t len = AUTONAT_ADDRS_MAX * 10 + 10;

	buf_consume(&in, 5); /* lengths of two bytes, and the tag */
	struct buf message = { 0 };

	buf_add_u8(&message, 0x0a);
	buf_add_u8(&message, (uint8_t)(len & 0x7f) | 0x80);
	buf_add_u8(&message, (uint8_t)(len >> 7));
	buf_add(&message, buf_bytes(&part));
	buf_add(&message, buf_bytes(&in));
	buf_clear(&in);
	frame_add(&in, buf_bytes(&message));
	assert_int_equal(feed(&room, &in, 4096), 0);
	assert_int_equal(answer(&room).status, AUTONAT_E_REFUSED);
	buf_release(&message);
	buf_release(&part);
	room_clear(&room);
}

/* Sends data in pieces of that size; how much until a dial was granted, 0 when it never was. */
static size_t pay(struct room *room, size_t piece, int *err)
{
	size_t sent = 0;

	*err = 0;
	while (room->serve.state == SERVE_DATA && !*err && sent < 2 * AUTONAT_DATA_MAX) {
		struct buf in = { 0 };

		autonat_msg_put_data(&in, piece);
		*err = feed(room, &in, in.len);
		sent += piece;
	}
	return room->serve.state == SERVE_DIAL ? sent : 0;
}

static void dial_to_another_address_needs_data_first(void **state)
{
	struct room room = { 0 };
	int err;

	(void)state;
	for (int i = 0; i < 8; i++) {
		assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.4.4/tcp/4001"),
				 0);
		assert_int_equal(room.serve.state, SERVE_DATA);
		uint64_t want = answer(&room).want;

		assert_in_range(want, AUTONAT_DATA_MIN, AUTONAT_DATA_MAX);
		assert_in_range(room.serve.wait_ms, 0, AUTONAT_DIAL_WAIT_MS);
		size_t paid = pay(&room, 1000, &err);

		assert_int_equal(err, 0);
		assert_in_range(paid, want, want + 999);
	}
	/* Of another family, of nowhere, and through a relay: nobody knows that it is his. */
	assert_int_equal(request_one(&room, "/ip6/2a00::1/tcp/5", "/ip4/8.8.4.4/tcp/4001"), 0);
	assert_int_equal(room.serve.state, SERVE_DATA);
	assert_int_equal(request_one(&room, "/ip4/8.8.4.4/tcp/5/p2p/" OTHER "/p2p-circuit",
				     "/ip4/8.8.4.4/tcp/4001"),
			 0);
	assert_int_equal(room.serve.state, SERVE_DATA);
	assert_int_equal(request_one(&room, "/ip4/127.0.0.1/tcp/5", "/ip4/8.8.4.4/tcp/4001"), 0);
	assert_int_equal(room.serve.state, SERVE_DATA);
	room_clear(&room);
}

static void data_in_tiny_pieces_or_none_is_refused(void **state)
{
	struct room room = { 0 };
	struct buf in = { 0 };
	int err;

	(void)state;
	assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.4.4/tcp/4001"), 0);
	assert_int_equal(pay(&room, AUTONAT_PIECE_MIN - 1, &err), 0);
	assert_int_equal(err, -EPROTO);
	assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.4.4/tcp/4001"), 0);
	assert_true(pay(&room, AUTONAT_PIECE_MIN, &err) > 0);
	/* A second request instead, data without being asked, nothing at all. */
	assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.4.4/tcp/4001"), 0);
	assert_int_equal(request(&room, NULL, 0), -EPROTO);
	room_open(&room, "/ip4/8.8.8.8/tcp/5");
	autonat_msg_put_data(&in, 1000);
	assert_int_equal(feed(&room, &in, 100), -EPROTO);
	room_open(&room, "/ip4/8.8.8.8/tcp/5");
	assert_int_equal(request(&room, NULL, 0), 0);
	assert_int_equal(answer(&room).status, AUTONAT_E_REFUSED);
	/* More after the dial was granted. */
	assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.8.8/tcp/4001"), 0);
	assert_int_equal(request(&room, NULL, 0), -EPROTO);
	room_clear(&room);
}

static void dials_to_other_addresses_are_limited_per_minute(void **state)
{
	struct room room = { .now_ms = 5 };

	(void)state;
	for (unsigned i = 0; i < AUTONAT_DATA_PER_MINUTE; i++) {
		assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.4.4/tcp/1"), 0);
		assert_int_equal(room.serve.state, SERVE_DATA);
	}
	assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.4.4/tcp/1"), 0);
	assert_int_equal(answer(&room).status, AUTONAT_E_REJECTED);
	/* His own address is still fine; a minute later the others are too. */
	assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.8.8/tcp/1"), 0);
	assert_int_equal(room.serve.state, SERVE_DIAL);
	room.now_ms += 60000;
	assert_int_equal(request_one(&room, "/ip4/8.8.8.8/tcp/5", "/ip4/8.8.4.4/tcp/1"), 0);
	assert_int_equal(room.serve.state, SERVE_DATA);
	room_clear(&room);
}

static struct peer_id peer_number(uint8_t number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20, number } };

	return id;
}

static void requests_are_counted_per_peer_and_in_all(void **state)
{
	struct autonat_limit limit = { 0 };
	struct peer_id greedy = peer_number(1);
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		taken += autonat_limit_take(&limit, &greedy, AUTONAT_PER_MINUTE,
					    AUTONAT_PER_PEER_MINUTE, 1000 + i);
	assert_int_equal(taken, AUTONAT_PER_PEER_MINUTE);
	for (unsigned i = 0; i < 100; i++) {
		struct peer_id id = peer_number((uint8_t)(i + 2));

		taken += autonat_limit_take(&limit, &id, AUTONAT_PER_MINUTE,
					    AUTONAT_PER_PEER_MINUTE, 2000);
	}
	assert_int_equal(taken, AUTONAT_PER_MINUTE);
	/* The minute slides: the greedy one's first is forgotten first. */
	assert_false(autonat_limit_take(&limit, &greedy, AUTONAT_PER_MINUTE,
					AUTONAT_PER_PEER_MINUTE, 60999));
	assert_true(autonat_limit_take(&limit, &greedy, AUTONAT_PER_MINUTE, AUTONAT_PER_PEER_MINUTE,
				       61000));
	assert_false(autonat_limit_take(&limit, &greedy, AUTONAT_PER_MINUTE,
					AUTONAT_PER_PEER_MINUTE, 61000));
}

/* ---- version 1 ---- */

static void version_1_dials_the_asker_alone(void **state)
{
	static const char *const texts[] = {
		"/ip4/10.0.0.1/tcp/4001", "/ip4/8.8.4.4/tcp/4001", "/ip4/8.8.8.8/tcp/4002",
		"/ip6/2a00::1/tcp/4001",  "/ip4/1.1.1.1/tcp/0",	   "/dns4/a.example/tcp/4001",
	};
	struct multiaddr found[AUTONAT_V1_ADDRS_MAX], from = addr_of("/ip4/8.8.8.8/tcp/5");
	struct autonat_v1_msg msg = { .dial = true };
	struct multiaddr addrs[ARRAY_LEN(texts)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		addrs[i] = addr_of(texts[i]);
		msg.addrs[msg.addr_count++] = multiaddr_bytes(&addrs[i]);
	}
	msg.addrs[msg.addr_count++] = bytes_str("rubbish");
	assert_int_equal(autonat_serve_v1_addrs(&msg, &from, false, found), 2);
	assert_true(multiaddr_equal(&found[0],
				    &(struct multiaddr[]){ addr_of("/ip4/8.8.8.8/tcp/4001") }[0]));
	assert_true(multiaddr_equal(&found[1], &addrs[2]));
	from = addr_of("/ip4/192.168.0.9/tcp/5");
	assert_int_equal(autonat_serve_v1_addrs(&msg, &from, false, found), 0);
	from = addr_of("/ip4/8.8.8.8/tcp/5/p2p/" OTHER "/p2p-circuit");
	assert_int_equal(autonat_serve_v1_addrs(&msg, &from, false, found), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asker_is_dialled_at_its_own_address),
		cmocka_unit_test(address_that_is_not_public_is_never_dialled),
		cmocka_unit_test(addresses_over_the_limit_are_ignored),
		cmocka_unit_test(dial_to_another_address_needs_data_first),
		cmocka_unit_test(data_in_tiny_pieces_or_none_is_refused),
		cmocka_unit_test(dials_to_other_addresses_are_limited_per_minute),
		cmocka_unit_test(requests_are_counted_per_peer_and_in_all),
		cmocka_unit_test(version_1_dials_the_asker_alone),
	};

	return cmocka_run_group_tests_name("net/autonat_serve", tests, NULL, NULL);
}

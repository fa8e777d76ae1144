/* Dialling over real sockets: dead, wrong, silent and garbage peers, back-off, the finder, many at
 * once. */
#include "net/swarm/dial.h"
#include "net/swarm/dial_limit.h"
#include "tests/net/raw_listener.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

struct outcome {
	bool done;
	int err;
};

static void note(void *ctx, int err)
{
	*(struct outcome *)ctx = (struct outcome){ true, err };
}

static int dial(struct lab *lab, struct swarm *from, const struct peer_id *to,
		const struct multiaddr *addrs, size_t count, uint64_t timeout_ms)
{
	struct outcome outcome = { 0 };

	swarm_connect(from, to, addrs, count, lab_deadline(lab, timeout_ms), note, &outcome);
	assert_false(outcome.done); /* never before the call returns */
	lab_until(lab, &outcome.done);
	return outcome.err;
}

static int raw_connect(const struct multiaddr *addr)
{
	struct sockaddr_storage to;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(multiaddr_to_sockaddr(addr, &to), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(struct sockaddr_in)), 0);
	return fd;
}

static void refused_unknown_and_self(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr dead = dead_addr(), relayed, quic;
	struct multiaddr unusable[2];

	(void)state;
	assert_int_equal(dial(lab, a, swarm_self(b), &dead, 1, 5000), -ECONNREFUSED);
	assert_int_equal(dial(lab, a, swarm_self(b), NULL, 0, 5000), -EHOSTUNREACH);
	assert_int_equal(dial(lab, a, swarm_self(a), NULL, 0, 5000), -EINVAL);
	assert_int_equal(multiaddr_from_text(&quic, "/ip4/127.0.0.1/udp/4001/quic-v1"), 0);
	assert_int_equal(
		multiaddr_from_text(
			&relayed,
			"/ip4/127.0.0.1/tcp/4001/p2p/"
			"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit"),
		0);
	unusable[0] = quic;
	unusable[1] = relayed;
	assert_int_equal(dial(lab, a, swarm_self(b), unusable, 2, 5000), -EHOSTUNREACH);
	lab_free(lab);
}

static void another_identity_is_rejected(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct swarm *c = lab_swarm(lab, 3, NULL, NULL);
	struct multiaddr addr = lab_addr(c);
	struct multiaddr both[2] = { dead_addr(), addr };

	(void)state;
	assert_int_equal(dial(lab, a, swarm_self(b), &addr, 1, 5000), -EKEYREJECTED);
	assert_int_equal(dial(lab, a, swarm_self(b), both, 2, 5000), -EKEYREJECTED);
	assert_false(swarm_is_connected(a, swarm_self(b)));
	assert_false(swarm_is_connected(a, swarm_self(c)));
	lab_free(lab);
}

static void a_good_address_among_bad_ones_wins(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr silent, addrs[4];
	int fd = raw_listener(&silent);

	(void)state;
	addrs[0] = silent;
	addrs[1] = dead_addr();
	addrs[2] = silent; /* twice: tried once */
	addrs[3] = lab_addr(b);
	assert_int_equal(dial(lab, a, swarm_self(b), addrs, 4, 5000), 0);
	/* Connected: at once. */
	assert_int_equal(dial(lab, a, swarm_self(b), NULL, 0, 5000), 0);
	close(fd);
	lab_free(lab);
}

static void a_silent_peer_times_out_and_can_be_cancelled(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr silent;
	struct outcome outcome = { 0 };
	int fd = raw_listener(&silent);

	(void)state;
	assert_int_equal(dial(lab, a, swarm_self(b), &silent, 1, 100), -ETIMEDOUT);
	struct swarm_op *op = swarm_connect(a, swarm_self(b), &silent, 1, lab_deadline(lab, 5000),
					    note, &outcome);
	lab_run(lab, 20);
	swarm_cancel(op);
	lab_run(lab, 150);
	assert_false(outcome.done);
	swarm_cancel(NULL);
	close(fd);
	lab_free(lab);
}

/* Whatever a listener says that is not multistream ends the dial, quickly. */
static void garbage_ends_a_dial(void **state)
{
	static const char *const speeches[] = {
		"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: "
		"close\r\n\r\n400",
		"\xff\xff\xff\xff\xff\xff",
		"\x13/multistream/9.0.0\n",
		"\x13/multistream/1.0.0\n\x03na\n\x03na\n", /* to each of our securities */
		"",
	};
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(speeches); i++) {
		struct multiaddr addr;
		struct outcome outcome = { 0 };
		int listener = raw_listener(&addr);

		swarm_connect(a, swarm_self(b), &addr, 1, lab_deadline(lab, 5000), note, &outcome);
		lab_run(lab, 20);
		int fd = accept(listener, NULL, NULL);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, speeches[i], strlen(speeches[i])), strlen(speeches[i]));
		if (!*speeches[i])
			close(fd);
		lab_until(lab, &outcome.done);
		assert_true(outcome.err < 0 && outcome.err != -ETIMEDOUT);
		if (*speeches[i])
			close(fd);
		close(listener);
	}
	lab_free(lab);
}

/* 64 half-open connections, garbage among them, and an honest peer comes in when they are gone. */
static void half_open_peers_are_bounded(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr addr = lab_addr(b);
	struct outcome outcome = { 0 };
	int fds[SWARM_PENDING_IN_MAX + 4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = raw_connect(&addr);
	lab_run(lab, 50);
	swarm_connect(a, swarm_self(b), &addr, 1, lab_deadline(lab, 8000), note, &outcome);
	lab_run(lab, 100);
	assert_in_range(b->pending_count, 0,
			SWARM_PENDING_IN_MAX); /* the rest is held in the kernel's queue */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (i % 2)
			assert_int_equal(write(fds[i], "garbage\n", 8), 8);
		else
			close(fds[i]);
	}
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, 0);
	for (size_t i = 1; i < ARRAY_LEN(fds); i += 2)
		close(fds[i]);
	lab_free(lab);
}

static bool is_closed(int fd)
{
	char byte;
	ssize_t n;

	while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) > 0)
		;
	return n == 0 || errno != EAGAIN;
}

/* So many connections are taken at once, and then so many a second; the rest waits with the kernel,
 * and an honest peer behind them comes in. */
static void handshakes_are_rated(void **state)
{
	enum { MORE = 100 };
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr addr = lab_addr(b);
	struct multiaddr far;
	uint64_t start;
	int fds[MORE];
	unsigned closed = 0;

	(void)state;
	/* A far burst came just before. */
	assert_int_equal(multiaddr_from_text(&far, "/ip4/1.2.3.4/tcp/1"), 0);
	start = lab_deadline(lab, 0);
	for (unsigned i = 0; i + 1 < CONNMGR_HANDSHAKES; i++)
		connmgr_handshake(b->connmgr, &far, start);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = raw_connect(&addr);
		assert_int_equal(write(fds[i], "\xff\xff\xff\xff\xff\xff", 6), 6);
	}
	lab_run(lab, 20);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		closed += is_closed(fds[i]);
	assert_in_range(closed, 1, CONNMGR_HANDSHAKE_MS + lab_deadline(lab, 0) - start + 1);
	assert_int_equal(dial(lab, a, swarm_self(b), &addr, 1, 8000), 0);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	lab_free(lab);
}

static void failures_back_off(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr dead = dead_addr();

	(void)state;
	swarm_add_addr(a, swarm_self(b), &dead, 60000);
	assert_int_equal(dial(lab, a, swarm_self(b), NULL, 0, 5000), -ECONNREFUSED);
	assert_int_equal(dial(lab, a, swarm_self(b), NULL, 0, 5000), -EAGAIN);
	/* An explicit address is tried all the same. */
	assert_int_equal(dial(lab, a, swarm_self(b), &dead, 1, 5000), -ECONNREFUSED);
	assert_int_equal(dial_backoff_ms(0), 5000);
	assert_int_equal(dial_backoff_ms(3), 14000);
	assert_int_equal(dial_backoff_ms(1000000), 300000);
	lab_free(lab);
}

static int dial_heard(struct lab *lab, struct swarm *from, const struct peer_id *to,
		      const struct multiaddr *addr)
{
	struct outcome outcome = { 0 };

	swarm_connect_heard(from, to, addr, 1, lab_deadline(lab, 5000), note, &outcome);
	assert_false(outcome.done);
	lab_until(lab, &outcome.done);
	return outcome.err;
}

/* Addresses that others told respect back-off, and those of many peers at one IP address its limit;
 * the user's do not. */
static void heard_addresses_respect_the_limits(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr dead = dead_addr(), anywhere = { 0 };
	struct multiaddr_part tcp;

	(void)state;
	assert_int_equal(dial_heard(lab, a, swarm_self(b), &dead), -ECONNREFUSED);
	assert_int_equal(dial_heard(lab, a, swarm_self(b), &dead), -EAGAIN);
	assert_int_equal(dial(lab, a, swarm_self(b), &dead, 1, 5000), -ECONNREFUSED);

	/* 0.0.0.0 is this machine too, and not loopback. */
	assert_true(multiaddr_find(&dead, MA_TCP, &tcp));
	multiaddr_add(&anywhere, MA_IP4, bytes_of("\0\0\0\0", 4));
	multiaddr_add(&anywhere, MA_TCP, tcp.value);
	for (unsigned i = 0; i <= DIAL_PER_IP_MAX; i++) {
		struct peer_id peer = *swarm_self(b);

		peer.bytes[10] = (uint8_t)i;
		peer.bytes[11]++;
		assert_int_equal(dial_heard(lab, a, &peer, &anywhere),
				 i < DIAL_PER_IP_MAX ? -ECONNREFUSED : -EAGAIN);
	}
	assert_int_equal(dial(lab, a, swarm_self(b), &anywhere, 1, 5000), -ECONNREFUSED);
	lab_free(lab);
}

struct finder {
	struct swarm *swarm;
	struct multiaddr addr;
	unsigned asked;
	int err;
	bool at_once;
	struct peer_id wanted;
};

static void answer(struct finder *finder)
{
	struct peer_info info = { .id = finder->wanted, .addrs = &finder->addr, .addr_count = 1 };

	swarm_found(finder->swarm, &finder->wanted, finder->err, finder->err ? NULL : &info);
}

static void find(void *ctx, const struct peer_id *peer, uint64_t deadline_ms)
{
	struct finder *finder = ctx;

	assert_true(deadline_ms > 0);
	finder->asked++;
	finder->wanted = *peer;
	if (finder->at_once)
		answer(finder);
}

static void the_finder_is_asked_when_nothing_is_known(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct finder finder = { .swarm = a, .err = -ENOENT, .at_once = true };
	struct outcome outcome = { 0 };
	struct multiaddr dead = dead_addr();

	(void)state;
	swarm_set_finder(a, find, &finder);
	assert_int_equal(dial(lab, a, swarm_self(b), NULL, 0, 5000), -EHOSTUNREACH);
	assert_int_equal(dial(lab, a, swarm_self(b), &dead, 1, 5000), -ECONNREFUSED);
	assert_int_equal(finder.asked, 1); /* explicit addresses: not asked */
	finder.err = 0;
	finder.at_once = false;
	finder.addr = lab_addr(b);
	swarm_connect(a, swarm_self(b), NULL, 0, lab_deadline(lab, 5000), note, &outcome);
	lab_run(lab, 20);
	assert_int_equal(finder.asked, 2);
	assert_false(outcome.done);
	answer(&finder);
	answer(&finder); /* a second answer is nobody's */
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, 0);
	lab_free(lab);
}

static void many_wait_for_one_dial(void **state)
{
	enum { N = 50 };
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr addr = lab_addr(b);
	struct outcome outcomes[N] = { 0 };

	(void)state;
	swarm_add_addr(a, swarm_self(b), &addr, 60000);
	for (size_t i = 0; i < N; i++)
		swarm_connect(a, swarm_self(b), NULL, 0, lab_deadline(lab, 5000), note,
			      &outcomes[i]);
	for (size_t i = 0; i < N; i++) {
		lab_until(lab, &outcomes[i].done);
		assert_int_equal(outcomes[i].err, 0);
	}
	lab_free(lab);
}

static void too_many_dials_are_refused(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL);
	struct multiaddr silent;
	int fd = raw_listener(&silent);
	struct outcome outcomes[DIALS_MAX + 1] = { 0 };
	size_t refused = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		struct peer_id peer = *swarm_self(a);

		peer.bytes[peer.len - 1] ^= 1;
		peer.bytes[10] = (uint8_t)i;
		peer.bytes[11] = (uint8_t)(i >> 8);
		swarm_connect(a, &peer, &silent, 1, lab_deadline(lab, 300), note, &outcomes[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		lab_until(lab, &outcomes[i].done);
		refused += outcomes[i].err == -EAGAIN;
	}
	assert_int_equal(refused, 1);
	close(fd);
	lab_free(lab);
}

static void ranks_order_candidates(void **state)
{
	static const char *const ordered[] = { "/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1",
					       "/ip4/192.168.1.1/tcp/1", "/ip4/1.2.3.4/tcp/1" };
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL);
	struct multiaddr addr;
	int before = -1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ordered); i++) {
		assert_int_equal(multiaddr_from_text(&addr, ordered[i]), 0);
		assert_true(dial_rank(a, &addr) > before);
		before = dial_rank(a, &addr);
	}
	assert_int_equal(multiaddr_from_text(&addr, "/ip4/1.2.3.4/udp/1/quic-v1"), 0);
	assert_int_equal(dial_rank(a, &addr), -1);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_unknown_and_self),
		cmocka_unit_test(another_identity_is_rejected),
		cmocka_unit_test(a_good_address_among_bad_ones_wins),
		cmocka_unit_test(a_silent_peer_times_out_and_can_be_cancelled),
		cmocka_unit_test(garbage_ends_a_dial),
		cmocka_unit_test(half_open_peers_are_bounded),
		cmocka_unit_test(handshakes_are_rated),
		cmocka_unit_test(failures_back_off),
		cmocka_unit_test(heard_addresses_respect_the_limits),
		cmocka_unit_test(the_finder_is_asked_when_nothing_is_known),
		cmocka_unit_test(many_wait_for_one_dial),
		cmocka_unit_test(too_many_dials_are_refused),
		cmocka_unit_test(ranks_order_candidates),
	};
	return cmocka_run_group_tests_name("net/dial", tests, NULL, NULL);
}

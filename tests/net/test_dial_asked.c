/* Connecting because a person asks for it: nothing is put off, dead connections are noticed, and
 * what was tried is told. */
#include "net/swarm/swarm.h"
#include "tests/net/raw_listener.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>

static void note(void *ctx, int err)
{
	lab_on_done(ctx, err);
}

static void note_ping(void *ctx, int err, uint64_t rtt_us)
{
	(void)rtt_us;
	lab_on_done(ctx, err);
}

static int dial_known(struct lab *lab, struct swarm *from, const struct peer_id *to)
{
	struct lab_outcome outcome = { 0 };

	swarm_connect(from, to, NULL, 0, lab_deadline(lab, 5000), note, &outcome);
	lab_until(lab, &outcome.done);
	return outcome.err;
}

struct told {
	bool done;
	int err;
	struct swarm_tried tried[8];
	size_t count;
};

static void on_told(void *ctx, int err, const struct swarm_tried *tried, size_t count)
{
	struct told *told = ctx;

	assert_true(count <= ARRAY_LEN(told->tried));
	told->done = true;
	told->err = err;
	told->count = count;
	if (count > 0)
		memcpy(told->tried, tried, count * sizeof(*tried));
}

static struct told ask(struct lab *lab, struct swarm *from, const struct peer_id *to,
		       const struct multiaddr *addrs, size_t count, uint64_t timeout_ms)
{
	struct told told = { 0 };

	swarm_connect_asked(from, to, addrs, count, lab_deadline(lab, timeout_ms), on_told, &told);
	assert_false(told.done);
	lab_until(lab, &told.done);
	return told;
}

static const struct swarm_tried *told_of(const struct told *told, const struct multiaddr *addr)
{
	for (size_t i = 0; i < told->count; i++)
		if (multiaddr_equal(&told->tried[i].addr, addr))
			return &told->tried[i];
	fail_msg("nothing is told of an address");
	return NULL;
}

static void a_person_is_not_put_off_by_earlier_failures(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr dead = dead_addr();
	struct lab_outcome outcome = { 0 };

	(void)state;
	swarm_add_addr(a, swarm_self(b), &dead, 60000);
	assert_int_equal(dial_known(lab, a, swarm_self(b)), -ECONNREFUSED);
	assert_int_equal(dial_known(lab, a, swarm_self(b)), -EAGAIN);
	for (unsigned i = 0; i < 3; i++) {
		struct told told = ask(lab, a, swarm_self(b), NULL, 0, 5000);

		assert_int_equal(told.err, -ECONNREFUSED);
		assert_int_equal(told.count, 1);
		assert_int_equal(told_of(&told, &dead)->err, -ECONNREFUSED);
	}
	swarm_ping(a, swarm_self(b), lab_deadline(lab, 5000), note_ping, &outcome);
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, -ECONNREFUSED);
	assert_int_equal(dial_known(lab, a, swarm_self(b)), -EAGAIN);
	lab_free(lab);
}

static void a_person_hears_of_each_address_and_why(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct swarm *c = lab_swarm(lab, 3, NULL, NULL);
	struct multiaddr silent, quic, addrs[5];
	int fd = raw_listener(&silent);
	struct told told;

	(void)state;
	assert_int_equal(multiaddr_from_text(&quic, "/ip4/127.0.0.1/udp/4001/quic-v1"), 0);
	addrs[0] = dead_addr();
	addrs[1] = silent;
	addrs[2] = quic;
	addrs[3] = lab_addr(c);
	addrs[4] = lab_addr(a);
	told = ask(lab, a, swarm_self(b), addrs, 5, 1000);
	assert_int_equal(told.err, -ETIMEDOUT);
	assert_int_equal(told.count, 5);
	assert_int_equal(told_of(&told, &addrs[0])->err, -ECONNREFUSED);
	assert_int_equal(told_of(&told, &silent)->err, -ETIMEDOUT);
	assert_int_equal(told_of(&told, &quic)->err, -EPROTONOSUPPORT);
	assert_int_equal(told_of(&told, &addrs[3])->err, -EKEYREJECTED);
	assert_true(peer_id_equal(&told_of(&told, &addrs[3])->answered, swarm_self(c)));
	assert_true(peer_id_equal(&told_of(&told, &addrs[4])->answered, swarm_self(a)));
	close(fd);
	told = ask(lab, c, swarm_self(a), NULL, 0, 1000);
	assert_int_equal(told.err, -EHOSTUNREACH);
	assert_int_equal(told.count, 0);
	told = ask(lab, c, swarm_self(c), NULL, 0, 1000);
	assert_int_equal(told.err, -EINVAL);
	lab_free(lab);
}

/* Others dial the peer already, and one of its addresses has failed. */
static void an_address_given_to_a_dial_that_runs_is_tried_again(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr silent, addrs[2] = { dead_addr(), lab_addr(b) };
	struct lab_outcome outcome = { 0 };
	int fd = raw_listener(&silent);
	struct multiaddr first[2] = { addrs[0], silent };
	struct told told;

	(void)state;
	swarm_connect_heard(a, swarm_self(b), first, 2, lab_deadline(lab, 9000), note, &outcome);
	lab_run(lab, 200);
	assert_false(outcome.done);
	told = ask(lab, a, swarm_self(b), addrs, 1, 200);
	assert_int_equal(told.count, 2);
	assert_int_equal(told_of(&told, &addrs[0])->err, -ECONNREFUSED);
	assert_int_equal(told_of(&told, &silent)->err, -ETIMEDOUT);
	assert_int_equal(ask(lab, a, swarm_self(b), addrs, 2, 5000).err, 0);
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, 0);
	close(fd);
	lab_free(lab);
}

static struct swarm_conn *only_conn(struct swarm *swarm)
{
	assert_int_equal(swarm->conn_count, 1);
	return list_first(&swarm->conns, struct swarm_conn, node);
}

static void an_address_given_of_a_connected_peer_is_remembered(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr other = dead_addr(), known[8];
	size_t count, found = 0;

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	assert_int_equal(ask(lab, a, swarm_self(b), &other, 1, 5000).err, 0);
	only_conn(a); /* it answered: no other was made */
	count = swarm_peer_addrs(a, swarm_self(b), known, 8);
	for (size_t i = 0; i < count; i++)
		found += multiaddr_equal(&known[i], &other);
	assert_int_equal(found, 1);
	lab_free(lab);
}

/* Nobody has noticed yet that the connection is dead. */
static void a_silent_connection_is_replaced_when_a_person_asks(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr dead = dead_addr();
	struct swarm_conn *old;

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_run(lab, 100);
	old = only_conn(b);
	old->session->ops->hold(old->session, true);
	old = only_conn(a);
	/* The known address is tried beside the one given. */
	assert_int_equal(ask(lab, a, swarm_self(b), &dead, 1, 2000).err, 0);
	lab_run(lab, 50);
	assert_true(only_conn(a) != old);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_person_is_not_put_off_by_earlier_failures),
		cmocka_unit_test(a_person_hears_of_each_address_and_why),
		cmocka_unit_test(an_address_given_to_a_dial_that_runs_is_tried_again),
		cmocka_unit_test(an_address_given_of_a_connected_peer_is_remembered),
		cmocka_unit_test(a_silent_connection_is_replaced_when_a_person_asks),
	};

	return cmocka_run_group_tests_name("net/dial_asked", tests, NULL, NULL);
}

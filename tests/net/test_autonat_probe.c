/* The asker's side of AutoNAT v2, and what it does not believe. */
#include "net/nat/autonat/autonat_probe.h"
#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NONCE 77

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

/* Two addresses, the first bound, the second a translator's; the request is out. */
static struct autonat_probe asked(void)
{
	struct autonat_probe probe = { .count = 2, .bound = { true, false } };
	struct buf out = { 0 };
	struct autonat_msg msg;

	probe.addrs[0] = addr_of("/ip4/8.8.8.8/tcp/4001");
	probe.addrs[1] = addr_of("/ip4/9.9.9.9/tcp/4001");
	autonat_probe_start(&probe, NONCE, &out);
	assert_int_equal(autonat_msg_decode(&msg, bytes_skip(buf_bytes(&out), 1)), 0);
	assert_int_equal(msg.kind, AUTONAT_REQUEST);
	assert_int_equal(msg.addr_count, 2);
	assert_int_equal(msg.nonce, NONCE);
	buf_release(&out);
	return probe;
}

static int respond(struct autonat_probe *probe, int status, uint32_t index, int dial_status)
{
	struct buf in = { 0 }, out = { 0 };
	int err = 0;

	autonat_msg_put_response(&in, (enum autonat_status)status, index,
				 (enum autonat_dial)dial_status);
	for (size_t i = 0; i < in.len && !err; i++)
		err = autonat_probe_feed(probe, bytes_of(in.at + i, 1), &out);
	assert_int_equal(out.len, 0);
	buf_release(&in);
	buf_release(&out);
	return err;
}

static bool dial_back(struct autonat_probe *probe, uint64_t nonce, const char *local)
{
	struct multiaddr addr = addr_of(local);

	return autonat_probe_dialed(probe, nonce, &addr);
}

static void right_nonce_proves_the_address(void **state)
{
	struct autonat_probe probe = asked();

	(void)state;
	/* First the nonce ... */
	assert_true(dial_back(&probe, NONCE, "/ip4/8.8.8.8/tcp/4001"));
	assert_int_equal(probe.state, PROBE_OPEN);
	assert_int_equal(respond(&probe, AUTONAT_OK, 0, AUTONAT_DIAL_OK), 0);
	assert_int_equal(probe.state, PROBE_GOOD);
	assert_int_equal(probe.index, 0);
	autonat_probe_release(&probe);
	/* ... or the response. */
	probe = asked();
	assert_int_equal(respond(&probe, AUTONAT_OK, 1, AUTONAT_DIAL_OK), 0);
	assert_int_equal(probe.state, PROBE_NONCE);
	assert_true(dial_back(&probe, NONCE, "/ip4/192.168.1.2/tcp/4001"));
	assert_int_equal(probe.state, PROBE_GOOD);
	assert_int_equal(probe.index, 1);
	autonat_probe_release(&probe);
	/* The server did not hear that its dial-back came. */
	probe = asked();
	assert_true(dial_back(&probe, NONCE, "/ip4/8.8.8.8/tcp/4001"));
	assert_int_equal(respond(&probe, AUTONAT_OK, 0, AUTONAT_DIAL_BACK_FAILED), 0);
	assert_int_equal(probe.state, PROBE_GOOD);
	autonat_probe_release(&probe);
}

static void another_nonce_proves_nothing(void **state)
{
	struct autonat_probe probe = asked();

	(void)state;
	assert_false(dial_back(&probe, NONCE + 1, "/ip4/8.8.8.8/tcp/4001"));
	assert_false(dial_back(&probe, 0, "/ip4/8.8.8.8/tcp/4001"));
	assert_int_equal(respond(&probe, AUTONAT_OK, 0, AUTONAT_DIAL_OK), 0);
	assert_int_equal(probe.state, PROBE_NONCE);
	assert_false(dial_back(&probe, NONCE + 1, "/ip4/8.8.8.8/tcp/4001"));
	assert_int_equal(probe.state, PROBE_NONCE);
	/* The right one, once. */
	assert_true(dial_back(&probe, NONCE, "/ip4/8.8.8.8/tcp/4001"));
	assert_false(dial_back(&probe, NONCE, "/ip4/8.8.8.8/tcp/4001"));
	autonat_probe_release(&probe);
}

static void a_connection_to_another_address_proves_nothing(void **state)
{
	static const char *const wrong[] = { "/ip4/8.8.8.8/tcp/4002", "/ip4/10.0.0.1/tcp/4001",
					     "/ip6/2a00::1/tcp/4001" };
	struct autonat_probe probe;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		probe = asked();
		dial_back(&probe, NONCE, wrong[i]);
		assert_int_equal(respond(&probe, AUTONAT_OK, 0, AUTONAT_DIAL_OK), 0);
		assert_int_equal(probe.state, PROBE_NOTHING);
		autonat_probe_release(&probe);
	}
	/* Behind a translator at least the kind must be right. */
	probe = asked();
	dial_back(&probe, NONCE, "/ip6/2a00::1/tcp/4001");
	assert_int_equal(respond(&probe, AUTONAT_OK, 1, AUTONAT_DIAL_OK), 0);
	assert_int_equal(probe.state, PROBE_NOTHING);
	autonat_probe_release(&probe);
}

static void each_refusal_gives_its_state(void **state)
{
	static const struct {
		int status, dial_status;
		enum autonat_probe_state state;
	} cases[] = {
		{ AUTONAT_OK, AUTONAT_DIAL_FAILED, PROBE_BAD },
		{ AUTONAT_OK, AUTONAT_DIAL_BACK_FAILED, PROBE_NOTHING },
		{ AUTONAT_E_REFUSED, 0, PROBE_REFUSED },
		{ AUTONAT_E_REJECTED, 0, PROBE_NOTHING },
		{ AUTONAT_E_INTERNAL, 0, PROBE_NOTHING },
		{ 12345, 0, PROBE_NOTHING },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct autonat_probe probe = asked();

		assert_int_equal(respond(&probe, cases[i].status, 1, cases[i].dial_status), 0);
		assert_int_equal(probe.state, cases[i].state);
		autonat_probe_release(&probe);
	}
}

static void nonsense_in_a_response_ends_the_probe(void **state)
{
	static const struct {
		uint32_t index;
		int dial_status;
	} cases[] = { { 2, AUTONAT_DIAL_OK },
		      { UINT32_MAX, AUTONAT_DIAL_OK },
		      { 0, AUTONAT_DIAL_UNUSED },
		      { 0, 7 } };
	struct buf in = { 0 }, out = { 0 };
	struct autonat_probe probe;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		probe = asked();
		assert_int_equal(respond(&probe, AUTONAT_OK, cases[i].index, cases[i].dial_status),
				 -EPROTO);
		assert_int_equal(probe.state, PROBE_NOTHING);
		autonat_probe_release(&probe);
	}
	/* Our own kind of message, and one that is too long. */
	probe = asked();
	autonat_msg_put_request(&in, probe.addrs, 1, 1);
	assert_int_equal(autonat_probe_feed(&probe, buf_bytes(&in), &out), -EPROTO);
	autonat_probe_release(&probe);
	probe = asked();
	buf_clear(&in);
	hex_decode(&in, "8140");
	assert_int_equal(autonat_probe_feed(&probe, buf_bytes(&in), &out), -EMSGSIZE);
	autonat_probe_release(&probe);
	buf_release(&in);
	buf_release(&out);
}

static int want(struct autonat_probe *probe, uint32_t index, uint64_t bytes, struct buf *out)
{
	struct buf in = { 0 };
	int err;

	autonat_msg_put_want_data(&in, index, bytes);
	err = autonat_probe_feed(probe, buf_bytes(&in), out);
	buf_release(&in);
	return err;
}

static void data_is_sent_once_and_within_its_limit(void **state)
{
	struct autonat_probe probe = asked();
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(want(&probe, 1, AUTONAT_DATA_MAX, &out), 0);
	assert_in_range(out.len, AUTONAT_DATA_MAX, AUTONAT_DATA_MAX + 1000);
	assert_int_equal(respond(&probe, AUTONAT_OK, 1, AUTONAT_DIAL_FAILED), 0);
	assert_int_equal(probe.state, PROBE_BAD);
	autonat_probe_release(&probe);
	probe = asked();
	buf_clear(&out);
	assert_int_equal(want(&probe, 0, AUTONAT_DATA_MAX + 1, &out), -EPROTO);
	assert_int_equal(out.len, 0);
	autonat_probe_release(&probe);
	probe = asked();
	assert_int_equal(want(&probe, 0, 100, &out), 0);
	buf_clear(&out);
	assert_int_equal(want(&probe, 0, 100, &out), -EPROTO);
	assert_int_equal(out.len, 0);
	autonat_probe_release(&probe);
	probe = asked();
	assert_int_equal(want(&probe, 2, 100, &out), -EPROTO);
	assert_int_equal(out.len, 0);
	autonat_probe_release(&probe);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_nonce_proves_the_address),
		cmocka_unit_test(another_nonce_proves_nothing),
		cmocka_unit_test(a_connection_to_another_address_proves_nothing),
		cmocka_unit_test(each_refusal_gives_its_state),
		cmocka_unit_test(nonsense_in_a_response_ends_the_probe),
		cmocka_unit_test(data_is_sent_once_and_within_its_limit),
	};

	return cmocka_run_group_tests_name("net/autonat_probe", tests, NULL, NULL);
}

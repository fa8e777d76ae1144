/* What is known of our addresses, who may say so, and what others see us as. */
#include "net/nat/autonat/autonat_track.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

/* ---- addresses ---- */

static void only_plain_public_addresses_are_public(void **state)
{
	static const char *const good[] = { "/ip4/8.8.8.8/tcp/4001", "/ip6/2a00:1450::1/tcp/1" };
	static const char *const bad[] = {
		"/ip4/127.0.0.1/tcp/4001",
		"/ip4/10.1.2.3/tcp/4001",
		"/ip4/192.168.0.1/tcp/80",
		"/ip4/172.16.9.9/tcp/80",
		"/ip4/169.254.169.254/tcp/80",
		"/ip4/100.64.0.1/tcp/80",
		"/ip4/0.0.0.0/tcp/80",
		"/ip4/224.0.0.1/tcp/80",
		"/ip4/255.255.255.255/tcp/80",
		"/ip6/::1/tcp/80",
		"/ip6/::/tcp/80",
		"/ip6/fe80::1/tcp/80",
		"/ip6/fc00::1/tcp/80",
		"/ip6/ff02::1/tcp/80",
		"/ip6/::ffff:127.0.0.1/tcp/80",
		"/ip6/64:ff9b::7f00:1/tcp/80",
		"/ip6/2002:7f00:1::/tcp/80",
		"/ip6/2001:0:1:2:3:4:80ff:fffe/tcp/80",
		"/ip4/8.8.8.8/tcp/0",
		"/ip4/8.8.8.8/udp/4001",
		"/ip4/8.8.8.8/tcp/4001/ws",
		"/dns4/example.com/tcp/4001",
		"/dns/localhost/tcp/4001",
		"/unix/tmp/socket",
		"/ip4/8.8.8.8/tcp/1/p2p/12D3KooWA4oibWMtVJL2VNLgPfmL9G7eDm2pBPsK65WExTF2LWaM/"
		"p2p-circuit",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct multiaddr addr = addr_of(good[i]);

		assert_true(multiaddr_is_public(&addr, false));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct multiaddr addr = addr_of(bad[i]);

		if (multiaddr_is_public(&addr, false))
			fail_msg("%s", bad[i]);
	}
}

static void addresses_are_compared_and_joined(void **state)
{
	struct multiaddr a = addr_of("/ip4/8.8.8.8/tcp/1"), b = addr_of("/ip4/8.8.8.8/tcp/2"),
			 c = addr_of("/ip4/8.8.4.4/tcp/1"), six = addr_of("/ip6/2a00::1/tcp/1"),
			 ws = addr_of("/ip4/8.8.8.8/tcp/1/ws"), out;

	(void)state;
	assert_true(multiaddr_same_ip(&a, &b));
	assert_false(multiaddr_same_ip(&a, &c));
	assert_false(multiaddr_same_ip(&a, &six));
	assert_true(multiaddr_same_shape(&a, &c));
	assert_false(multiaddr_same_shape(&a, &six));
	assert_false(multiaddr_same_shape(&a, &ws));
	assert_int_equal(multiaddr_ip_with_port(&out, &c, &b), 0);
	assert_true(
		multiaddr_equal(&out, &(struct multiaddr[]){ addr_of("/ip4/8.8.4.4/tcp/2") }[0]));
	assert_int_equal(multiaddr_ip_with_port(&out, &six, &b), -ENOTSUP);
	assert_true(multiaddr_ip_group(&a) == multiaddr_ip_group(&c));
	assert_true(multiaddr_ip_site(&a) == multiaddr_ip_site(&b));
	assert_true(multiaddr_ip_site(&a) != multiaddr_ip_site(&c));
	assert_true(multiaddr_ip_group(&six) != 0);
	out = addr_of("/dns4/example.com/tcp/1");
	assert_true(multiaddr_ip_group(&out) == 0);
}

/* ---- tracking ---- */

#define HOUR_MS (3600ull * 1000)

static struct autonat_track *two_addrs(void)
{
	static struct autonat_track track;
	struct multiaddr addrs[] = { addr_of("/ip4/8.8.8.8/tcp/1"), addr_of("/ip4/8.8.8.8/tcp/2") };

	track = (struct autonat_track){ 0 };
	autonat_track_set(&track, addrs, 1, 2);
	assert_int_equal(track.count, 2);
	assert_true(track.at[0].bound);
	assert_false(track.at[1].bound);
	return &track;
}

static void note(struct autonat_track *track, uint64_t group, bool good, uint64_t now)
{
	autonat_track_note(track, &track->at[0].addr, group, good, now);
}

static void three_networks_must_agree(void **state)
{
	struct autonat_track *track = two_addrs();

	(void)state;
	note(track, 1, true, 1);
	note(track, 2, true, 2);
	/* The same ones, again and again. */
	for (uint64_t i = 0; i < 10; i++)
		note(track, 1 + i % 2, true, 3 + i);
	assert_int_equal(autonat_track_verdict(track), REACH_UNKNOWN);
	note(track, 3, true, 20);
	assert_int_equal(autonat_track_verdict(track), REACH_PUBLIC);
	/* One or two who say otherwise change nothing, three do. */
	note(track, 1, false, 30);
	note(track, 2, false, 31);
	assert_int_equal(autonat_track_verdict(track), REACH_PUBLIC);
	note(track, 3, false, 32);
	assert_int_equal(autonat_track_verdict(track), REACH_PRIVATE);
	/* Another address that can be reached is enough. */
	for (uint64_t group = 1; group <= 3; group++)
		autonat_track_note(track, &track->at[1].addr, group, true, 40);
	assert_int_equal(autonat_track_verdict(track), REACH_PUBLIC);
}

static void settled_address_is_asked_about_once_an_hour(void **state)
{
	struct autonat_track *track = two_addrs();
	const struct autonat_tracked *first = &track->at[0];

	(void)state;
	assert_int_equal(autonat_track_due_ms(first, 5), 5);
	for (uint64_t group = 1; group <= 3; group++) {
		assert_true(autonat_track_wants(first, group, 10));
		note(track, group, true, 10);
		assert_false(autonat_track_wants(first, group, 10));
	}
	assert_int_equal(autonat_track_due_ms(first, 20), 10 + AUTONAT_SETTLED_MS);
	assert_false(autonat_track_wants(first, 1, 9 + AUTONAT_REVOTE_MS));
	assert_true(autonat_track_wants(first, 1, 10 + AUTONAT_REVOTE_MS));
	/* Doubt: at once. */
	note(track, 1, false, 10 + HOUR_MS);
	assert_int_equal(autonat_track_due_ms(first, 11 + HOUR_MS), 11 + HOUR_MS);
}

static void outcomes_are_forgotten_after_hours(void **state)
{
	struct autonat_track *track = two_addrs();

	(void)state;
	for (uint64_t group = 1; group <= 3; group++)
		note(track, group, true, group);
	autonat_track_age(track, 2 + AUTONAT_OUTCOME_MS);
	assert_int_equal(track->at[0].outcome_count, 1);
	assert_int_equal(autonat_track_verdict(track), REACH_PUBLIC);
	autonat_track_age(track, 3 + AUTONAT_OUTCOME_MS);
	assert_int_equal(autonat_track_verdict(track), REACH_UNKNOWN);
}

static void address_refused_repeatedly_rests(void **state)
{
	struct autonat_track *track = two_addrs();
	struct autonat_tracked *first = &track->at[0];

	(void)state;
	for (int i = 0; i < AUTONAT_REFUSALS_MAX; i++) {
		assert_int_equal(autonat_track_due_ms(first, 100), 100);
		autonat_track_refused(track, &first->addr, 100);
	}
	assert_int_equal(autonat_track_due_ms(first, 100), 100 + AUTONAT_REST_MS);
	assert_int_equal(autonat_track_due_ms(first, 101 + AUTONAT_REST_MS), 101 + AUTONAT_REST_MS);
	assert_int_equal(autonat_track_verdict(track), REACH_UNKNOWN);
}

/* Addresses come and go; what is known of one that stays, stays. Many are cut, doubles are one. */
static void addresses_change(void **state)
{
	struct autonat_track *track = two_addrs();
	struct multiaddr addrs[AUTONAT_TRACKED_MAX + 2];
	struct multiaddr kept = track->at[0].addr;

	(void)state;
	for (uint64_t group = 1; group <= 3; group++)
		note(track, group, true, 1);
	for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
		char text[64];

		snprintf(text, sizeof(text), "/ip4/9.9.9.9/tcp/%zu", i / 2 + 1);
		addrs[i] = addr_of(text);
	}
	addrs[3] = kept;
	autonat_track_set(track, addrs, 4, ARRAY_LEN(addrs));
	assert_int_equal(track->count, ARRAY_LEN(addrs) / 2 + 1);
	assert_int_equal(autonat_track_verdict(track), REACH_PUBLIC);
	autonat_track_set(track, addrs, 0, 1);
	assert_int_equal(autonat_track_verdict(track), REACH_UNKNOWN);
	autonat_track_note(track, &kept, 1, true, 5); /* an answer that comes late */
	assert_int_equal(track->count, 1);
	for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
		char text[64];

		snprintf(text, sizeof(text), "/ip4/9.9.9.9/tcp/%zu", i + 1);
		addrs[i] = addr_of(text);
	}
	autonat_track_set(track, addrs, 0, ARRAY_LEN(addrs));
	assert_int_equal(track->count, AUTONAT_TRACKED_MAX);
}

/* ---- observed ---- */

static void observe(struct autonat_observed *observed, unsigned who, const char *seen)
{
	struct multiaddr ip = addr_of(seen), from;
	char text[64];

	snprintf(text, sizeof(text), "/ip4/9.9.%u.%u/tcp/4001", who / 256, who % 256);
	from = addr_of(text);
	autonat_observed_note(observed, &from, &ip, false);
}

static void four_observers_must_agree(void **state)
{
	struct autonat_observed observed = { 0 };
	struct multiaddr ips[AUTONAT_OBSERVED_MAX];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		observe(&observed, i, "/ip4/8.8.8.8/tcp/40001");
	for (unsigned i = 0; i < 20; i++)
		observe(&observed, 2, "/ip4/8.8.8.8/tcp/40001");
	observe(&observed, 4, "/ip4/8.8.4.4/tcp/40001");
	observe(&observed, 5, "/ip4/192.168.1.1/tcp/40001");
	assert_int_equal(observed.count, 4);
	assert_int_equal(autonat_observed_ips(&observed, ips), 0);
	observe(&observed, 6, "/ip4/8.8.8.8/tcp/50001"); /* the port is the translator's */
	assert_int_equal(autonat_observed_ips(&observed, ips), 1);
	assert_true(multiaddr_same_ip(&ips[0],
				      &(struct multiaddr[]){ addr_of("/ip4/8.8.8.8/tcp/1") }[0]));
	/* One who changes his mind takes his word back. */
	observe(&observed, 6, "/ip4/8.8.4.4/tcp/50001");
	assert_int_equal(autonat_observed_ips(&observed, ips), 0);
}

static void observers_are_bounded(void **state)
{
	struct autonat_observed observed = { 0 };
	struct multiaddr ips[AUTONAT_OBSERVED_MAX];
	char text[64];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "/ip4/8.8.8.%u/tcp/1", i % 5);
		observe(&observed, i, text);
	}
	assert_int_equal(observed.count, AUTONAT_OBSERVERS_MAX);
	assert_int_equal(autonat_observed_ips(&observed, ips), AUTONAT_OBSERVED_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_plain_public_addresses_are_public),
		cmocka_unit_test(addresses_are_compared_and_joined),
		cmocka_unit_test(three_networks_must_agree),
		cmocka_unit_test(settled_address_is_asked_about_once_an_hour),
		cmocka_unit_test(outcomes_are_forgotten_after_hours),
		cmocka_unit_test(address_refused_repeatedly_rests),
		cmocka_unit_test(addresses_change),
		cmocka_unit_test(four_observers_must_agree),
		cmocka_unit_test(observers_are_bounded),
	};

	return cmocka_run_group_tests_name("net/autonat_track", tests, NULL, NULL);
}

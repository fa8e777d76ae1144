#include "net/swarm/connmgr.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct peer_id peer(unsigned number)
{
	struct peer_id id = { .len = 4 };

	memcpy(id.bytes, &number, 4);
	return id;
}

static struct multiaddr addr(const char *text)
{
	struct multiaddr out;

	assert_int_equal(multiaddr_from_text(&out, text), 0);
	return out;
}

static void worth_is_the_sum_of_tags(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct peer_id a = peer(1);
	char tag[16];

	(void)state;
	assert_int_equal(connmgr_tag(mgr, &a, "x", 5), 0);
	assert_int_equal(connmgr_tag(mgr, &a, "y", 7), 0);
	assert_int_equal(connmgr_tag(mgr, &a, "x", 6), 0);
	assert_int_equal(connmgr_worth(mgr, &a), 13);
	assert_int_equal(connmgr_tag(mgr, &a, "x", 0), 0);
	assert_int_equal(connmgr_worth(mgr, &a), 7);
	connmgr_tag(mgr, &a, "big", INT_MAX);
	assert_int_equal(connmgr_worth(mgr, &a), INT_MAX);
	for (int i = 2; i < CONNMGR_TAGS_MAX; i++) {
		snprintf(tag, sizeof(tag), "t%d", i);
		assert_int_equal(connmgr_tag(mgr, &a, tag, 1), 0);
	}
	assert_int_equal(connmgr_tag(mgr, &a, "one more", 1), -EAGAIN);
	connmgr_free(mgr);
}

static void protection_is_counted_by_name(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct peer_id a = peer(1);

	(void)state;
	connmgr_protect(mgr, &a, "x");
	connmgr_protect(mgr, &a, "y");
	connmgr_unprotect(mgr, &a, "x");
	assert_true(connmgr_protected(mgr, &a));
	connmgr_unprotect(mgr, &a, "y");
	connmgr_unprotect(mgr, &a, "y");
	assert_false(connmgr_protected(mgr, &a));
	for (unsigned i = 0; i < CONNMGR_PEERS_MAX; i++) {
		struct peer_id p = peer(i);

		assert_int_equal(connmgr_protect(mgr, &p, "x"), 0);
	}
	a = peer(CONNMGR_PEERS_MAX);
	assert_int_equal(connmgr_protect(mgr, &a, "x"), -EAGAIN);
	connmgr_free(mgr);
}

static void trimming_spares_peers_of_worth(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct peer_id ids[6];
	struct connmgr_item items[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		ids[i] = peer(i);
		items[i] =
			(struct connmgr_item){ .peer = &ids[i], .since_ms = 100, .conn = &ids[i] };
	}
	connmgr_protect(mgr, &ids[0], "p");
	connmgr_tag(mgr, &ids[1], "t", 10);
	items[2].streams = 3;
	items[3].outbound = true;
	items[5].since_ms = 990;					  /* in its grace */
	assert_int_equal(connmgr_trim(mgr, items, 6, 3, 6, 50, 1000), 0); /* not above high */
	assert_int_equal(connmgr_trim(mgr, items, 6, 1, 5, 50, 1000), 3);
	assert_ptr_equal(items[0].conn, &ids[4]);
	assert_ptr_equal(items[1].conn, &ids[3]);
	assert_ptr_equal(items[2].conn, &ids[2]);
	/* Fewer than wanted when the rest is protected or young. */
	assert_int_equal(connmgr_trim(mgr, items, 6, 0, 1, 50, 1000), 4);
	connmgr_free(mgr);
}

/* The newcomers may not be trimmed yet: whoever could be is not trimmed in their place. */
static void crowd_in_its_grace_costs_no_older_peer(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct peer_id ids[10];
	struct connmgr_item items[10];

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		ids[i] = peer(i);
		items[i] = (struct connmgr_item){ .peer = &ids[i],
						  .since_ms = i < 2 ? 100 : 990,
						  .conn = &ids[i] };
	}
	connmgr_tag(mgr, &ids[0], "t", 20);
	assert_int_equal(connmgr_trim(mgr, items, 10, 2, 4, 50, 1000), 0);
	assert_int_equal(connmgr_trim(mgr, items, 10, 2, 4, 50, 2000), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_ptr_not_equal(items[i].conn, &ids[0]);
	connmgr_free(mgr);
}

static void protected_connections_do_not_count_against_others(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct peer_id ids[10];
	struct connmgr_item items[10];

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		ids[i] = peer(i);
		items[i] = (struct connmgr_item){ .peer = &ids[i], .conn = &ids[i] };
		if (i < 5)
			connmgr_protect(mgr, &ids[i], "p");
	}
	connmgr_tag(mgr, &ids[7], "t", 1);
	assert_int_equal(connmgr_trim(mgr, items, 10, 3, 6, 50, 1000), 2);
	assert_int_equal(connmgr_trim(mgr, items, 10, 5, 6, 50, 1000), 0);
	assert_int_equal(connmgr_trim(mgr, items, 10, 1, 6, 50, 1000), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_ptr_not_equal(items[i].conn, &ids[7]);
	connmgr_free(mgr);
}

static void tags_are_told_as_far_as_they_fit(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct peer_id a = peer(1);
	char text[SWARM_TAGS_TEXT_MAX], name[200];

	(void)state;
	assert_string_equal(connmgr_tags_text(mgr, &a, text), "");
	connmgr_tag(mgr, &a, "x", 5);
	connmgr_protect(mgr, &a, "hidden");
	connmgr_tag(mgr, &a, "y", -7);
	assert_string_equal(connmgr_tags_text(mgr, &a, text), "x=5 y=-7");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	connmgr_tag(mgr, &a, name, 1);
	name[0] = 'm';
	connmgr_tag(mgr, &a, name, 1);
	assert_int_equal(strlen(connmgr_tags_text(mgr, &a, text)),
			 strlen("x=5 y=-7 ") + sizeof(name) - 1 + 2);
	connmgr_free(mgr);
}

static void one_address_gets_eight_connections(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct multiaddr a = addr("/ip4/203.0.113.5/tcp/1"), b = addr("/ip4/203.0.113.6/tcp/1");
	struct multiaddr home = addr("/ip4/127.0.0.1/tcp/1");

	(void)state;
	for (int i = 0; i < CONNMGR_PER_IP4; i++)
		assert_int_equal(connmgr_ip_enter(mgr, &a, 1000), 0);
	assert_int_equal(connmgr_ip_enter(mgr, &a, 1000), -EAGAIN);
	assert_int_equal(connmgr_ip_enter(mgr, &b, 1000), 0);
	connmgr_ip_leave(mgr, &a);
	assert_int_equal(connmgr_ip_enter(mgr, &a, 1000), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(connmgr_ip_enter(mgr, &home, 1000), 0);
	connmgr_free(mgr);
}

static void new_connections_are_rated(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct multiaddr a = addr("/ip4/203.0.113.5/tcp/1");

	(void)state;
	for (int i = 0; i < CONNMGR_BURST_IP4; i++) {
		assert_int_equal(connmgr_ip_enter(mgr, &a, 1000), 0);
		connmgr_ip_leave(mgr, &a);
	}
	assert_int_equal(connmgr_ip_enter(mgr, &a, 1000), -EAGAIN);
	assert_int_equal(connmgr_ip_enter(mgr, &a, 1000 + CONNMGR_REFILL_IP4_MS - 1), -EAGAIN);
	assert_int_equal(connmgr_ip_enter(mgr, &a, 1000 + CONNMGR_REFILL_IP4_MS), 0);
	connmgr_free(mgr);
}

static void ip6_is_counted_by_network(void **state)
{
	struct connmgr *mgr = connmgr_new();
	char text[64];
	unsigned in = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "/ip6/2001:db8:1:%x::1/tcp/1", i);
		struct multiaddr a = addr(text);

		in += connmgr_ip_enter(mgr, &a, 1000) == 0;
	}
	assert_int_equal(in, CONNMGR_PER_IP6_56);
	for (unsigned i = 1; i < 20; i++)
		for (unsigned j = 0; j < 20; j++) {
			snprintf(text, sizeof(text), "/ip6/2001:db8:1:%x::%x/tcp/1", i << 8, j);
			struct multiaddr a = addr(text);

			in += connmgr_ip_enter(mgr, &a, 1000) == 0;
		}
	assert_int_equal(in, CONNMGR_PER_IP6_48);
	connmgr_free(mgr);
}

/* Who owns a large network dials once from each of its parts: that must not shut the door for
 * others. */
static void many_networks_of_one_owner_do_not_shut_out_others(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct multiaddr home = addr("/ip4/203.0.113.5/tcp/1"),
			 other = addr("/ip4/203.0.113.6/tcp/1");
	char text[64];

	(void)state;
	for (int i = 0; i < CONNMGR_PER_IP4; i++)
		assert_int_equal(connmgr_ip_enter(mgr, &home, 1000), 0);
	for (unsigned i = 0; i < CONNMGR_IPS_MAX; i++) {
		snprintf(text, sizeof(text), "/ip6/2001:db8:%x:%x::1/tcp/1", i >> 8,
			 i << 8 & 0xffff);
		struct multiaddr a = addr(text);

		connmgr_ip_enter(mgr, &a, 1000 + i);
		connmgr_ip_leave(mgr, &a);
	}
	assert_int_equal(connmgr_ip_enter(mgr, &other, 10000), 0);
	/* What is open is still counted. */
	assert_int_equal(connmgr_ip_enter(mgr, &home, 10000), -EAGAIN);
	connmgr_free(mgr);
}

static void handshakes_are_rated(void **state)
{
	struct connmgr *mgr = connmgr_new();
	struct multiaddr far = addr("/ip4/1.2.3.4/tcp/1"), near = addr("/ip4/127.0.0.1/tcp/1");
	uint64_t now = 1000000;
	unsigned begun = 0;

	(void)state;
	for (int burst = 0; burst < 2; burst++, now += CONNMGR_HANDSHAKES * CONNMGR_HANDSHAKE_MS)
		for (int i = 0; i < CONNMGR_HANDSHAKES; i++) {
			assert_int_equal(connmgr_handshake_wait_ms(mgr, now), 0);
			connmgr_handshake(mgr, &far, now);
		}
	now -= CONNMGR_HANDSHAKES * CONNMGR_HANDSHAKE_MS;
	assert_int_equal(connmgr_handshake_wait_ms(mgr, now), CONNMGR_HANDSHAKE_MS);
	assert_int_equal(connmgr_handshake_wait_ms(mgr, now + 1), CONNMGR_HANDSHAKE_MS - 1);
	for (uint64_t end = now + 1000; now < end; now++)
		for (; connmgr_handshake_wait_ms(mgr, now) == 0; begun++)
			connmgr_handshake(mgr, &far, now);
	assert_in_range(begun, 1000 / CONNMGR_HANDSHAKE_MS - 1, 1000 / CONNMGR_HANDSHAKE_MS);
	now += CONNMGR_HANDSHAKES * CONNMGR_HANDSHAKE_MS;
	for (begun = 0; connmgr_handshake_wait_ms(mgr, now) == 0; begun++)
		connmgr_handshake(mgr, &near, now);
	assert_in_range(
		begun, (CONNMGR_HANDSHAKES - 1) * CONNMGR_HANDSHAKE_MS / CONNMGR_HANDSHAKE_LOCAL_MS,
		CONNMGR_HANDSHAKES * CONNMGR_HANDSHAKE_MS / CONNMGR_HANDSHAKE_LOCAL_MS);
	connmgr_free(mgr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worth_is_the_sum_of_tags),
		cmocka_unit_test(protection_is_counted_by_name),
		cmocka_unit_test(trimming_spares_peers_of_worth),
		cmocka_unit_test(crowd_in_its_grace_costs_no_older_peer),
		cmocka_unit_test(protected_connections_do_not_count_against_others),
		cmocka_unit_test(tags_are_told_as_far_as_they_fit),
		cmocka_unit_test(one_address_gets_eight_connections),
		cmocka_unit_test(new_connections_are_rated),
		cmocka_unit_test(ip6_is_counted_by_network),
		cmocka_unit_test(many_networks_of_one_owner_do_not_shut_out_others),
		cmocka_unit_test(handshakes_are_rated),
	};
	return cmocka_run_group_tests_name("net/connmgr", tests, NULL, NULL);
}

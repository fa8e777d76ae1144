/* Which addresses are told: the order, the user's lists, and all of it on a swarm. */
#include "net/swarm/announce.h"

#include "tests/net/swarm_lab.h"

#include <stdio.h>

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

static void assert_addr(const struct multiaddr *addr, const char *text)
{
	char out[MULTIADDR_TEXT_MAX];

	assert_string_equal(multiaddr_text(addr, out), text);
}

static struct peer_id self_of(void)
{
	struct peer_id id;

	assert_int_equal(
		peer_id_from_text(&id, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"), 0);
	return id;
}

/* Ninety addresses, the routable ones last: the first few hold one of each kind. */
static void many_addresses_of_one_kind_do_not_hide_other_kinds(void **state)
{
	struct multiaddr *addrs = xcalloc(90, sizeof(*addrs));
	char text[100];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 80; i++) {
		snprintf(text, sizeof(text), "/ip4/10.0.%u.1/tcp/4001", i);
		addrs[n++] = addr_of(text);
	}
	addrs[n++] = addr_of("/ip4/127.0.0.1/tcp/4001");
	addrs[n++] = addr_of("/ip6/fd00::1/tcp/4001");
	addrs[n++] = addr_of("/ip4/10.0.0.1/tcp/5001");
	addrs[n++] = addr_of("/ip6/2600::1/tcp/4001");
	addrs[n++] = addr_of("/ip6/2600::2/tcp/4001");
	addrs[n++] = addr_of("/ip4/44.0.0.1/tcp/4001");
	addrs[n++] = addr_of("/ip4/44.0.0.2/tcp/4001");
	addrs[n++] = addr_of("/ip4/44.0.0.1/tcp/5001");
	announce_order(addrs, n);
	assert_addr(&addrs[0], "/ip6/2600::1/tcp/4001");
	assert_addr(&addrs[1], "/ip4/44.0.0.1/tcp/4001");
	assert_addr(&addrs[2], "/ip4/44.0.0.1/tcp/5001");
	assert_addr(&addrs[3], "/ip4/10.0.0.1/tcp/4001");
	assert_addr(&addrs[4], "/ip6/fd00::1/tcp/4001");
	assert_addr(&addrs[5], "/ip4/10.0.0.1/tcp/5001");
	assert_addr(&addrs[6], "/ip4/127.0.0.1/tcp/4001");
	assert_addr(&addrs[7], "/ip6/2600::2/tcp/4001");
	assert_addr(&addrs[8], "/ip4/44.0.0.2/tcp/4001");
	assert_addr(&addrs[9], "/ip4/10.0.1.1/tcp/4001");
	assert_addr(&addrs[n - 1], "/ip4/10.0.79.1/tcp/4001");
	free(addrs);
}

static void loopback_is_left_out_unless_there_is_nothing_else(void **state)
{
	struct multiaddr addrs[3] = { addr_of("/ip4/127.0.0.1/tcp/1"),
				      addr_of("/ip4/10.0.0.1/tcp/1"), addr_of("/ip6/::1/tcp/1") };

	(void)state;
	assert_int_equal(announce_without_loopback(addrs, 3), 1);
	assert_addr(&addrs[0], "/ip4/10.0.0.1/tcp/1");
	addrs[0] = addr_of("/ip4/127.0.0.1/tcp/1");
	assert_int_equal(announce_without_loopback(addrs, 1), 1);
	assert_int_equal(announce_without_loopback(addrs, 0), 0);
}

static void addresses_of_the_deny_list_are_never_announced(void **state)
{
	const struct multiaddr never[] = {
		addr_of("/ip4/10.0.0.0/ipcidr/8"),
		addr_of("/ip4/192.168.4.0/ipcidr/23"),
		addr_of("/ip6/fc00::/ipcidr/7"),
		addr_of("/ip4/44.0.0.1/tcp/1"),
		addr_of("/ip4/45.0.0.1/tcp/1/p2p/"
			"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"),
		addr_of("/ip4/46.0.0.0/ipcidr/40"),
	};
	struct multiaddr addrs[] = {
		addr_of("/ip4/10.200.0.1/tcp/1"),  addr_of("/ip4/192.168.5.9/tcp/1"),
		addr_of("/ip4/192.168.6.9/tcp/1"), addr_of("/ip6/fd12::1/tcp/1"),
		addr_of("/ip4/44.0.0.1/tcp/1"),	   addr_of("/ip4/44.0.0.1/tcp/2"),
		addr_of("/ip4/45.0.0.1/tcp/1"),	   addr_of("/ip4/44.0.0.1/tcp/2"),
		addr_of("/ip4/46.0.0.1/tcp/1"),
	};
	struct peer_id self = self_of();
	struct announce announce;

	(void)state;
	announce_init(&announce, NULL, 0, NULL, 0, never, ARRAY_LEN(never), &self);
	assert_int_equal(announce_filter(&announce, addrs, ARRAY_LEN(addrs)), 3);
	assert_addr(&addrs[0], "/ip4/192.168.6.9/tcp/1");
	assert_addr(&addrs[1], "/ip4/44.0.0.1/tcp/2");
	assert_addr(&addrs[2], "/ip4/46.0.0.1/tcp/1"); /* no mask has 40 bits: nothing is in it */
	announce_release(&announce);
}

static size_t told(struct swarm *swarm, struct multiaddr *addrs, size_t max)
{
	size_t count = swarm_listen_addrs(swarm, addrs, max);

	assert_true(count <= max);
	return count;
}

static void the_users_lists_decide(void **state)
{
	struct multiaddr instead = addr_of("/dns4/example.com/tcp/4001"), addrs[4];
	struct multiaddr too = addr_of("/ip4/44.0.0.1/tcp/4001");
	struct multiaddr never = addr_of("/ip4/127.0.0.0/ipcidr/8");
	struct swarm_config all = { .announce = &instead,
				    .announce_count = 1,
				    .append_announce = &too,
				    .append_announce_count = 1,
				    .no_announce = &never,
				    .no_announce_count = 1 };
	struct swarm_config append = { .append_announce = &too, .append_announce_count = 1 };
	struct swarm_config no = { .no_announce = &never, .no_announce_count = 1 };
	struct lab *lab = lab_new();
	struct swarm *swarm = lab_swarm(lab, 1, &all, NULL);

	(void)state;
	assert_int_equal(told(swarm, addrs, 4), 2);
	assert_addr(&addrs[0], "/dns4/example.com/tcp/4001");
	assert_addr(&addrs[1], "/ip4/44.0.0.1/tcp/4001");
	assert_int_equal(swarm_interface_addrs(swarm, addrs, 4), 1);
	swarm = lab_swarm(lab, 2, &append, NULL);
	assert_int_equal(told(swarm, addrs, 4), 2);
	assert_addr(&addrs[0], "/ip4/44.0.0.1/tcp/4001");
	assert_int_equal(multiaddr_scope(&addrs[1]), SCOPE_LOOPBACK);
	swarm = lab_swarm(lab, 3, &no, NULL);
	assert_int_equal(told(swarm, addrs, 4), 0);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_addresses_of_one_kind_do_not_hide_other_kinds),
		cmocka_unit_test(loopback_is_left_out_unless_there_is_nothing_else),
		cmocka_unit_test(addresses_of_the_deny_list_are_never_announced),
		cmocka_unit_test(the_users_lists_decide),
	};

	return cmocka_run_group_tests_name("net/announce", tests, NULL, NULL);
}

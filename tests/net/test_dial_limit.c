/* What is left alone, and for how long. */
#include "net/swarm/dial_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

static struct peer_id peer_of(unsigned number)
{
	struct peer_id id = { .len = 38, .bytes = { 0, 36, 8, 1, 18, 32 } };

	id.bytes[10] = (uint8_t)number;
	id.bytes[11] = (uint8_t)(number >> 8);
	return id;
}

static void failures_grow_the_wait(void **state)
{
	struct dial_limit *limit = dial_limit_new();
	struct multiaddr addr = addr_of("/ip4/1.2.3.4/tcp/1");
	struct peer_id peer = peer_of(1), other = peer_of(2);

	(void)state;
	assert_false(dial_limit_backs_off(limit, &peer, &addr, 0));
	dial_limit_failed(limit, &peer, &addr, 0);
	assert_true(dial_limit_backs_off(limit, &peer, &addr, 4999));
	assert_false(dial_limit_backs_off(limit, &other, &addr, 4999));
	assert_false(dial_limit_backs_off(limit, &peer, &addr, 5000));
	dial_limit_failed(limit, &peer, &addr, 5000);
	assert_true(dial_limit_backs_off(limit, &peer, &addr, 10999));
	assert_false(dial_limit_backs_off(limit, &peer, &addr, 11000));
	dial_limit_failed(limit, &peer, &addr, 11000);
	dial_limit_reached(limit, &peer, &addr);
	assert_false(dial_limit_backs_off(limit, &peer, &addr, 11000));
	/* The table is bounded: the newest is in it. */
	for (unsigned i = 0; i <= DIAL_BACKOFFS_MAX; i++) {
		peer = peer_of(i);
		dial_limit_failed(limit, &peer, &addr, 20000);
	}
	assert_true(dial_limit_backs_off(limit, &peer, &addr, 20000));
	dial_limit_free(limit);
}

static void fill(struct dial_limit *limit, const char *text, uint64_t now_ms)
{
	struct multiaddr addr = addr_of(text);

	for (unsigned i = 0; i < DIAL_PER_IP_MAX; i++) {
		assert_true(dial_limit_room(limit, &addr, now_ms));
		dial_limit_count(limit, &addr, now_ms);
	}
}

static bool room(struct dial_limit *limit, const char *text, uint64_t now_ms)
{
	struct multiaddr addr = addr_of(text);

	return dial_limit_room(limit, &addr, now_ms);
}

static void attempts_at_one_ip_are_limited_per_minute(void **state)
{
	struct dial_limit *limit = dial_limit_new();
	struct multiaddr addr = addr_of("/ip4/1.2.3.4/tcp/9");
	struct peer_id peer = peer_of(1);

	(void)state;
	fill(limit, "/ip4/1.2.3.4/tcp/1", 1000);
	assert_false(room(limit, "/ip4/1.2.3.4/tcp/2", 1000)); /* another port, the same machine */
	assert_true(room(limit, "/ip4/1.2.3.5/tcp/1", 1000));
	dial_limit_reached(limit, &peer, &addr); /* who was there was no victim */
	assert_true(room(limit, "/ip4/1.2.3.4/tcp/2", 1000));
	dial_limit_count(limit, &addr, 1000);
	assert_false(room(limit, "/ip4/1.2.3.4/tcp/2", 1000 + DIAL_PER_IP_MS - 1));
	assert_true(room(limit, "/ip4/1.2.3.4/tcp/2", 1000 + DIAL_PER_IP_MS));
	fill(limit, "/ip4/1.2.3.4/tcp/1", 1000 + DIAL_PER_IP_MS);

	fill(limit, "/ip6/2001:7fd::1/tcp/1", 1000);
	assert_false(room(limit, "/ip6/2001:7fd::2:1/tcp/1", 1000)); /* of one /64 */
	assert_true(room(limit, "/ip6/2001:7fd:0:1::1/tcp/1", 1000));
	fill(limit, "/ip4/127.0.0.1/tcp/1", 1000);
	assert_true(room(limit, "/ip4/127.0.0.1/tcp/1", 1000));
	dial_limit_free(limit);
}

static void the_oldest_count_makes_room(void **state)
{
	struct dial_limit *limit = dial_limit_new();
	char text[64];

	(void)state;
	fill(limit, "/ip4/1.2.3.4/tcp/1", 0);
	for (unsigned i = 1; i < DIAL_IPS_MAX; i++) {
		snprintf(text, sizeof(text), "/ip4/5.6.%u.%u/tcp/1", i >> 8, i & 255);
		struct multiaddr addr = addr_of(text);

		dial_limit_count(limit, &addr, 1);
	}
	assert_false(room(limit, "/ip4/1.2.3.4/tcp/1", 1));
	fill(limit, "/ip4/9.9.9.9/tcp/1", 1);
	assert_true(room(limit, "/ip4/1.2.3.4/tcp/1", 1));
	assert_false(room(limit, "/ip4/9.9.9.9/tcp/1", 1));
	dial_limit_free(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_grow_the_wait),
		cmocka_unit_test(attempts_at_one_ip_are_limited_per_minute),
		cmocka_unit_test(the_oldest_count_makes_room),
	};
	return cmocka_run_group_tests_name("net/dial_limit", tests, NULL, NULL);
}

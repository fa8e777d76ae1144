/* The token buckets for signatures of others' records: bursts, refills, shares, clocks. */
#include "routing/kad/check_rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1763700000000ull

static struct peer_id peer_of(uint32_t number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20 } };

	memcpy(id.bytes + 2, &number, sizeof(number));
	return id;
}

static unsigned take_all(struct kad_check_rate *rate, const struct peer_id *peer, uint64_t now_ms)
{
	unsigned count = 0;

	while (kad_check_rate_take(rate, peer, now_ms))
		count++;
	return count;
}

static void checks_are_limited_to_a_burst_and_a_rate(void **state)
{
	struct kad_check_rate rate = { 0 };
	struct peer_id peer = peer_of(1);

	(void)state;
	assert_int_equal(take_all(&rate, &peer, NOW_MS), KAD_CHECK_PEER_BURST);
	assert_int_equal(take_all(&rate, &peer, NOW_MS + KAD_CHECK_PEER_MS - 1), 0);
	assert_int_equal(take_all(&rate, &peer, NOW_MS + KAD_CHECK_PEER_MS), 1);
	assert_int_equal(take_all(&rate, &peer, NOW_MS + 6 * KAD_CHECK_PEER_MS), 5);
	/* Idle for long it is full, and no fuller. */
	assert_int_equal(take_all(&rate, &peer, 2 * NOW_MS), KAD_CHECK_PEER_BURST);
	rate = (struct kad_check_rate){ 0 };
	assert_int_equal(take_all(&rate, NULL, NOW_MS), KAD_CHECK_BURST);
	assert_int_equal(take_all(&rate, NULL, NOW_MS + 10 * KAD_CHECK_MS), 10);
	assert_int_equal(take_all(&rate, NULL, 2 * NOW_MS), KAD_CHECK_BURST);
}

static void one_peer_leaves_tokens_to_others(void **state)
{
	struct kad_check_rate rate = { 0 };
	struct peer_id one = peer_of(1), other = peer_of(2);
	unsigned taken = 0;

	(void)state;
	assert_int_equal(take_all(&rate, &one, NOW_MS), KAD_CHECK_PEER_BURST);
	assert_true(kad_check_rate_take(&rate, &other, NOW_MS));
	/* What is refused costs the peer nothing. */
	for (uint32_t i = 3; i < 1000; i++)
		taken += kad_check_rate_take(&rate, &(struct peer_id){ 2, { (uint8_t)i, i >> 8 } },
					     NOW_MS);
	assert_int_equal(taken, KAD_CHECK_BURST - KAD_CHECK_PEER_BURST - 1);
	assert_int_equal(take_all(&rate, NULL, NOW_MS), 0);
	assert_true(kad_check_rate_take(&rate, &other, NOW_MS + KAD_CHECK_MS));
}

/* Nobody is shut out until a clock that was wrong by a year is there again. */
static void a_clock_turned_back_brings_a_burst(void **state)
{
	struct kad_check_rate rate = { 0 };
	struct peer_id peer = peer_of(1);
	uint64_t back_ms = NOW_MS - 365ull * 24 * 3600 * 1000;

	(void)state;
	assert_int_equal(take_all(&rate, &peer, NOW_MS), KAD_CHECK_PEER_BURST);
	assert_int_equal(take_all(&rate, &peer, back_ms), KAD_CHECK_PEER_BURST);
	assert_int_equal(take_all(&rate, &peer, back_ms), 0);
	assert_int_equal(take_all(&rate, &peer, back_ms + KAD_CHECK_PEER_MS), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_are_limited_to_a_burst_and_a_rate),
		cmocka_unit_test(one_peer_leaves_tokens_to_others),
		cmocka_unit_test(a_clock_turned_back_brings_a_burst),
	};

	return cmocka_run_group_tests_name("routing/check_rate", tests, NULL, NULL);
}

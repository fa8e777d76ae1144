#include "net/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void seed_replays(void **state)
{
	struct random a = random_seeded(42), b = random_seeded(42), c = random_seeded(43);
	uint8_t bytes_a[37], bytes_b[37], bytes_c[37];

	(void)state;
	random_fill(&a, bytes_a, sizeof bytes_a);
	random_fill(&b, bytes_b, sizeof bytes_b);
	random_fill(&c, bytes_c, sizeof bytes_c);
	assert_memory_equal(bytes_a, bytes_b, sizeof bytes_a);
	assert_memory_not_equal(bytes_a, bytes_c, sizeof bytes_a);
	assert_true(random_u64(&a) == random_u64(&b));
}

/* First outputs as their authors' reference code gives them. */
static void generator_is_the_published_one(void **state)
{
	struct random random = random_seeded(1234567);

	(void)state;
	assert_true(random.state[0] == 6457827717110365317u);
	assert_true(random.state[1] == 3203168211198807973u);
	random = (struct random){ .fill = random.fill, .state = { 1, 2, 3, 4 } };
	assert_true(random_u64(&random) == 11520);
	assert_true(random_u64(&random) == 0);
	assert_true(random_u64(&random) == 1509978240);
}

static void below_stays_below_and_reaches_all(void **state)
{
	struct random random = random_seeded(1);
	unsigned int seen[7] = { 0 };

	(void)state;
	for (int i = 0; i < 7000; i++)
		seen[random_below(&random, 7)]++;
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 800, 1200);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(random_below(&random, 1), 0);
		assert_true(random_below(&random, (UINT64_MAX >> 1) + 2) <= (UINT64_MAX >> 1) + 1);
	}
}

static void system_fills(void **state)
{
	struct random random = random_system();
	uint8_t bytes[1000] = { 0 };
	size_t zeros = 0;

	(void)state;
	random_fill(&random, bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++)
		zeros += bytes[i] == 0;
	assert_in_range(zeros, 0, 100);
	random_fill(&random, bytes, 0);
	assert_true(random_u64(&random) != random_u64(&random));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seed_replays),
		cmocka_unit_test(generator_is_the_published_one),
		cmocka_unit_test(below_stays_below_and_reaches_all),
		cmocka_unit_test(system_fills),
	};
	return cmocka_run_group_tests_name("net/random", tests, NULL, NULL);
}

#include "net/base/map.h"
#include "net/base/random.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 512

static struct bytes key_of(char text[static 16], unsigned int n)
{
	snprintf(text, 16, "key-%u", n);
	return bytes_str(text);
}

static void empty_map_answers(void **state)
{
	struct map map = { 0 };
	struct bytes key;
	void *value;
	size_t at = 0;

	(void)state;
	assert_null(map_get(&map, bytes_str("x")));
	assert_null(map_remove(&map, bytes_str("x")));
	assert_false(map_next(&map, &at, &key, &value));
	map_release(&map);
}

static void empty_key_is_a_key(void **state)
{
	struct map map = { 0 };
	int one, two;

	(void)state;
	assert_null(map_set(&map, (struct bytes){ 0 }, &one));
	assert_ptr_equal(map_set(&map, bytes_str(""), &two), &one);
	assert_ptr_equal(map_get(&map, (struct bytes){ 0 }), &two);
	assert_null(map_get(&map, bytes_of("", 1)));
	assert_ptr_equal(map_remove(&map, (struct bytes){ 0 }), &two);
	assert_int_equal(map.count, 0);
	map_release(&map);
}

/* A plain array says what the map must answer, through a long random history. */
static void agrees_with_a_model(void **state)
{
	struct random random = random_seeded(7);
	struct map map = { 0 };
	int values[KEYS];
	int *model[KEYS] = { 0 };
	size_t count = 0;
	char text[16];

	(void)state;
	for (int step = 0; step < 50000; step++) {
		unsigned int n = (unsigned int)random_below(&random, KEYS);
		struct bytes key = key_of(text, n);

		/* Mostly growing, then mostly shrinking. */
		if (random_below(&random, 10) < (step < 20000 ? 7u : 3u)) {
			assert_ptr_equal(map_set(&map, key, &values[n]), model[n]);
			count += !model[n];
			model[n] = &values[n];
		} else {
			assert_ptr_equal(map_remove(&map, key), model[n]);
			count -= model[n] != NULL;
			model[n] = NULL;
		}
		assert_int_equal(map.count, count);
		n = (unsigned int)random_below(&random, KEYS);
		assert_ptr_equal(map_get(&map, key_of(text, n)), model[n]);
	}
	/* At most KEYS at once: however many came and went, the table has not grown beyond that. */
	assert_true(map.cap <= 2 * KEYS);
	map_release(&map);
	assert_null(map.slots);
}

static void walk_survives_removal_of_what_it_shows(void **state)
{
	struct map map = { 0 };
	int seen[KEYS] = { 0 };
	char text[16];
	struct bytes key;
	void *value;
	size_t at = 0;

	(void)state;
	for (unsigned int n = 0; n < KEYS; n++)
		map_set(&map, key_of(text, n), &seen[n]);
	while (map_next(&map, &at, &key, &value)) {
		int *slot = value;

		++*slot;
		if ((slot - seen) % 3)
			assert_ptr_equal(map_remove(&map, key), slot);
	}
	assert_false(map_next(&map, &at, &key, &value));
	for (unsigned int n = 0; n < KEYS; n++) {
		assert_int_equal(seen[n], 1);
		assert_int_equal(map_get(&map, key_of(text, n)) != NULL, n % 3 == 0);
	}
	at = 0;
	while (map_next(&map, &at, &key, &value))
		map_remove(&map, key);
	assert_int_equal(map.count, 0);
	map_release(&map);
}

/* Simulations replay: two maps with different seeds and one history walk alike. */
static void order_does_not_depend_on_the_seed(void **state)
{
	struct map a = { 0 }, b = { 0 };
	char text[16];
	int value;
	size_t at_a = 0, at_b = 0;
	struct bytes key_a, key_b;
	void *got;

	(void)state;
	for (unsigned int n = 0; n < 100; n++) {
		map_set(&a, key_of(text, n), &value);
		map_set(&b, key_of(text, n), &value);
		map_remove(&a, key_of(text, n / 2));
		map_remove(&b, key_of(text, n / 2));
	}
	assert_memory_not_equal(a.seed, b.seed, sizeof a.seed);
	while (map_next(&a, &at_a, &key_a, &got)) {
		assert_true(map_next(&b, &at_b, &key_b, &got));
		assert_bytes_equal(key_a, key_b);
	}
	assert_false(map_next(&b, &at_b, &key_b, &got));
	map_release(&a);
	map_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_map_answers),
		cmocka_unit_test(empty_key_is_a_key),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(walk_survives_removal_of_what_it_shows),
		cmocka_unit_test(order_does_not_depend_on_the_seed),
	};
	return cmocka_run_group_tests_name("net/map", tests, NULL, NULL);
}

/* Keys that are due, by their places. */
#include "routing/due.h"

#include "net/base/alloc.h"
#include "net/base/random.h"
#include "tests/routing/numbered.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_set_is_walked_in_order(void **state)
{
	struct place_region all = { 0 };
	struct due_set set = { 0 };
	struct due_key *key, *taken[100];
	struct place from = { 0 };
	size_t seen = 0;
	uint8_t name[6];

	(void)state;
	assert_int_equal(due_add(&set, bytes_of(NULL, 0)), -EINVAL);
	assert_null(due_next(&set, &all, &from));
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(due_add(&set, key_of(i, name)), 0);
	assert_int_equal(due_add(&set, key_of(7, name)), -EEXIST);
	assert_int_equal(set.count, 100);
	while ((key = due_next(&set, &all, &from))) {
		assert_true(memcmp(key->id.bytes, from.bytes, PLACE_LEN) >= 0);
		from = key->id;
		key->held = true;
		seen++;
	}
	assert_int_equal(seen, 100);
	assert_int_equal(due_take(&set, &all, taken, 100), 0);
	/* One that is held goes when it is let go; added again before that, it stays. */
	key = due_find(&set, key_of(7, name));
	due_drop(&set, key);
	assert_null(due_find(&set, key_of(7, name)));
	assert_int_equal(due_add(&set, key_of(7, name)), 0);
	assert_ptr_equal(due_find(&set, key_of(7, name)), key);
	key->held = false;
	due_drop(&set, key);
	assert_null(due_find(&set, key_of(7, name)));
	assert_int_equal(set.count, 99);
	due_release(&set);
	due_release(&set);
}

static void a_region_has_its_own_keys(void **state)
{
	struct place_region all = { 0 };
	struct due_set set = { 0 };
	struct due_key *taken[5000];
	uint8_t name[6];

	(void)state;
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(due_add(&set, key_of(i, name)), 0);
	for (unsigned bits = 0; bits <= PLACE_BITS; bits += bits < 20 ? 1 : 59) {
		struct place_region region = { place_of_key(key_of(77, name)), bits };
		size_t count = due_take(&set, &region, taken, 5000), truth = 0;

		for (uint32_t i = 0; i < 5000; i++) {
			struct place id = place_of_key(key_of(i, name));

			truth += place_region_has(&region, &id);
		}
		assert_int_equal(count, truth);
		for (size_t i = 0; i < count; i++)
			assert_true(place_region_has(&region, &taken[i]->id));
		assert_int_equal(due_take(&set, &region, NULL, 1), 1);
	}
	/* What waits is not taken. */
	struct place_region half = place_region_half(&all, false);
	size_t waiting = due_defer(&set, &half);

	assert_in_range(waiting, 2000, 3000);
	assert_int_equal(due_take(&set, &all, taken, 5000), 5000 - waiting);
	assert_null(due_next(&set, &half, &half.id));
	due_retry(&set);
	assert_int_equal(due_take(&set, &all, taken, 5000), 5000);
	due_release(&set);
}

static void a_set_is_bounded(void **state)
{
	struct due_set set = { 0 };
	uint8_t name[6];

	(void)state;
	for (uint32_t i = 0; i < DUE_KEYS_MAX; i++)
		assert_int_equal(due_add(&set, key_of(i, name)), 0);
	assert_int_equal(due_add(&set, key_of(DUE_KEYS_MAX, name)), -EAGAIN);
	due_drop(&set, due_find(&set, key_of(3, name)));
	assert_int_equal(due_add(&set, key_of(DUE_KEYS_MAX, name)), 0);
	due_release(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_is_walked_in_order),
		cmocka_unit_test(a_region_has_its_own_keys),
		cmocka_unit_test(a_set_is_bounded),
	};

	return cmocka_run_group_tests_name("routing/due", tests, NULL, NULL);
}

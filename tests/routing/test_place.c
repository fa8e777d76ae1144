/* Regions of the key space, without a network. */
#include "routing/place.h"

#include "net/base/alloc.h"
#include "net/base/random.h"
#include "tests/routing/numbered.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void halves_part_a_region(void **state)
{
	struct random random = random_seeded(1);
	struct place_region region = { .bits = 0 };

	(void)state;
	random_fill(&random, region.id.bytes, PLACE_LEN);
	while (region.bits < PLACE_BITS) {
		struct place_region own = place_region_half(&region, false);
		struct place_region other = place_region_half(&region, true);

		assert_true(place_region_has(&region, &own.id) &&
			    place_region_has(&region, &other.id));
		assert_true(place_region_has(&own, &region.id));
		assert_false(place_region_has(&other, &region.id));
		assert_int_equal(place_common(&own.id, &other.id), region.bits);
		region = own;
	}
}

static void a_key_is_drawn_within_a_region(void **state)
{
	struct random random = random_seeded(9);
	struct place id = { { 0xa5, 0x5a } };
	struct place_region region = place_region_around(&id, UINT64_MAX >> 7);
	uint8_t key[PLACE_DRAWN_LEN];

	(void)state;
	assert_int_equal(region.bits, 7);
	assert_int_equal(place_region_around(&id, UINT64_MAX).bits, 0);
	assert_int_equal(place_region_around(&id, 1).bits, 63);
	assert_true(place_region_draw(&region, &random, key));
	id = place_of_key(bytes_of(key, sizeof(key)));
	assert_true(place_region_has(&region, &id));
	region.bits = 200;
	assert_false(place_region_draw(&region, &random, key));
	id = place_of_key(bytes_of(key, sizeof(key)));
	region.bits = 8;
	assert_true(place_region_has(&region, &id)); /* near at least */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(halves_part_a_region),
		cmocka_unit_test(a_key_is_drawn_within_a_region),
	};

	return cmocka_run_group_tests_name("routing/place", tests, NULL, NULL);
}

/* The small strict reader of DAG-CBOR maps. */
#include "routing/record/document.h"

#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int count_field(void *ctx, struct bytes key, const struct document_value *value)
{
	unsigned *count = ctx;

	(void)key;
	(void)value;
	++*count;
	return 0;
}

static int read_hex(const char *hex, unsigned *count)
{
	struct buf in = { 0 };
	int err;

	*count = 0;
	hex_decode(&in, hex);
	err = document_each(buf_bytes(&in), count_field, count);
	/* No less is a map either. */
	for (size_t i = 0; i < in.len && !err; i++)
		assert_int_equal(document_each(bytes_of(in.at, i), count_field, &(unsigned){ 0 }),
				 -EBADMSG);
	buf_release(&in);
	return err;
}

static void maps_are_read(void **state)
{
	static const struct {
		const char *hex;
		unsigned count;
	} cases[] = {
		{ "a0", 0 },
		{ "a1 60 00", 1 },
		{ "a2 61 61 00 61 62 17", 2 },
		{ "a2 61 7a 1818 62 61 61 18ff", 2 },
		{ "a1 61 61 190100", 1 },
		{ "a1 61 61 1a00010000", 1 },
		{ "a1 61 61 1b0000000100000000", 1 },
		{ "a1 61 61 3bffffffffffffffff", 1 },
		{ "a1 61 61 42 0102", 1 },
		{ "a1 61 61 83 01 62 6869 f6", 1 },
		{ "a1 61 61 a1 61 62 f4", 1 },
		{ "a1 61 61 f5", 1 },
		{ "a1 61 61 fb 3ff8000000000000", 1 },
		{ "a1 61 61 d82a 45 00 01 55 00 00", 1 },
	};
	unsigned count;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_hex(cases[i].hex, &count), 0);
		assert_int_equal(count, cases[i].count);
	}
}

static void anything_not_canonical_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"00",
		"80",
		"a0 00", /* more behind it */
		"bf ff", /* no end told */
		"b800",	 /* longer than need be */
		"a1 7801 61 00",
		"a1 61 61 1817",
		"a1 61 61 1900ff",
		"a1 61 61 1a0000ffff",
		"a1 61 61 1b00000000ffffffff",
		"a1 61 61 5801 00",
		"a1 61 61 1c", /* no such head */
		"a1 00 00",    /* keys that are no text */
		"a1 41 61 00",
		"a2 61 61 00 61 61 00", /* twice */
		"a2 61 62 00 61 61 00", /* not in order */
		"a2 62 61 61 00 61 7a 00",
		"a1 61 61 a2 61 62 00 61 61 00", /* the same below */
		"a1 61 61 c0 60",		 /* another tag */
		"a1 61 61 d82a 00",
		"a1 61 61 d82a 45 01 01 55 00 00",
		"a1 61 61 d82a 46 00 01 55 00 00 00",
		"a1 61 61 f7",	    /* undefined */
		"a1 61 61 f9 3c00", /* short floats */
		"a1 61 61 fa 3fc00000",
		"a1 61 61 fb 7ff0000000000000", /* infinite */
		"a1 61 61 fb fff8000000000000",
		"a1 61 61 f818",
		"bb ffffffffffffffff",
		"a1 61 61 5b ffffffffffffffff",
		"a1 61 61 9b ffffffffffffffff",
	};
	unsigned count;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(read_hex(cases[i], &count), -EBADMSG);
}

static int nest(unsigned depth)
{
	struct buf in = { 0 };
	unsigned count = 0;
	int err;

	hex_decode(&in, "a1 61 61");
	for (unsigned i = 0; i < depth; i++)
		buf_add_u8(&in, 0x81);
	buf_add_u8(&in, 0);
	err = document_each(buf_bytes(&in), count_field, &count);
	buf_release(&in);
	return err;
}

static void depth_over_the_limit_is_refused(void **state)
{
	(void)state;
	assert_int_equal(nest(DOCUMENT_DEPTH_MAX), 0);
	assert_int_equal(nest(DOCUMENT_DEPTH_MAX + 1), -EBADMSG);
	assert_int_equal(nest(100000), -EBADMSG);
}

static int take_values(void *ctx, struct bytes key, const struct document_value *value)
{
	unsigned *seen = ctx;

	switch (key.at[0]) {
	case 'a':
		assert_int_equal(value->kind, DOCUMENT_UINT);
		assert_int_equal(value->number, 500);
		break;
	case 'b':
		assert_int_equal(value->kind, DOCUMENT_NEGATIVE);
		assert_int_equal(value->number, 0);
		break;
	case 'c':
		assert_int_equal(value->kind, DOCUMENT_BYTES);
		assert_true(bytes_equal(value->bytes, bytes_str("hi")));
		break;
	case 'd':
		assert_int_equal(value->kind, DOCUMENT_TEXT);
		assert_true(bytes_equal(value->bytes, bytes_str("hi")));
		break;
	default:
		assert_int_equal(value->kind, DOCUMENT_OTHER);
		return -ECANCELED;
	}
	++*seen;
	return 0;
}

static void values_are_told(void **state)
{
	struct buf in = { 0 };
	unsigned seen = 0;

	(void)state;
	hex_decode(&in, "a5 61 61 1901f4 61 62 20 61 63 42 6869 61 64 62 6869 61 65 80");
	assert_int_equal(document_each(buf_bytes(&in), take_values, &seen), -ECANCELED);
	assert_int_equal(seen, 4);
	buf_release(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_are_read),
		cmocka_unit_test(anything_not_canonical_is_refused),
		cmocka_unit_test(depth_over_the_limit_is_refused),
		cmocka_unit_test(values_are_told),
	};

	return cmocka_run_group_tests_name("routing/document", tests, NULL, NULL);
}

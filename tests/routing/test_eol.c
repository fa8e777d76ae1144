/* RFC 3339: what is a time, and in which order. */
#include "routing/record/eol.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t s;
		uint32_t ns;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2033-05-18T03:33:20.000000001Z", 2000000000, 1 },
		{ "2033-05-18T03:33:20.12Z", 2000000000, 120000000 },
		{ "2033-05-18T05:03:20+01:30", 2000000000, 0 },
		{ "2033-05-17T19:33:20.5-08:00", 2000000000, 500000000 },
		{ "2000-02-29T23:59:59Z", 951868799, 0 },
		{ "2000-03-01T00:00:00Z", 951868800, 0 },
		{ "1969-12-31T23:59:59Z", -1, 0 },
		{ "9999-12-31T23:59:59.999999999Z", 253402300799, 999999999 },
		{ "0000-01-01T00:00:00Z", -62167219200, 0 },
		{ "2100-02-28T00:00:00Z", 4107456000, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct eol eol;

		assert_int_equal(eol_parse(&eol, bytes_str(cases[i].text)), 0);
		assert_int_equal(eol.s, cases[i].s);
		assert_int_equal(eol.ns, cases[i].ns);
	}
}

static void malformed_times_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"2033-05-18",
		"2033-05-18T03:33:20",
		"2033-05-18t03:33:20Z",
		"2033-05-18 03:33:20Z",
		"2033-05-18T03:33:20z",
		"2033-05-18T03:33:20.Z",
		"2033-05-18T03:33:20.0123456789Z",
		"2033-05-18T03:33:20,5Z",
		"2033-05-18T03:33:20ZZ",
		"2033-05-18T03:33:20+0100",
		"2033-05-18T03:33:20+24:00",
		"2033-05-18T03:33:20+01:60",
		"2033-05-18T03:33:20 01:00",
		"2033-05-18T03:33:60Z",
		"2033-05-18T03:60:20Z",
		"2033-05-18T24:00:00Z",
		"2033-13-18T03:33:20Z",
		"2033-00-18T03:33:20Z",
		"2033-05-00T03:33:20Z",
		"2033-04-31T03:33:20Z",
		"2100-02-29T00:00:00Z",
		"-033-05-18T03:33:20Z",
		"12033-05-18T03:33:20Z",
		"2O33-05-18T03:33:20Z",
	};
	struct eol eol;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(eol_parse(&eol, bytes_str(cases[i])), -EBADMSG);
}

static void times_out_of_range_saturate(void **state)
{
	const struct eol before = { .s = -1, .ns = 5 },
			 last = { .s = 18446744073, .ns = 709551615 },
			 after = { .s = 18446744073, .ns = 709551616 }, far = { .s = 253402300799 };

	(void)state;
	assert_int_equal(eol_ns(&before), 0);
	assert_true(eol_ns(&last) == UINT64_MAX);
	assert_true(eol_ns(&(struct eol){ .s = 18446744073, .ns = 709551614 }) == UINT64_MAX - 1);
	assert_true(eol_ns(&after) == UINT64_MAX && eol_ns(&far) == UINT64_MAX);
	/* In order they are all the same. */
	assert_true(eol_cmp(&before, &last) < 0 && eol_cmp(&last, &after) < 0);
	assert_true(eol_cmp(&far, &after) > 0);
	assert_int_equal(eol_cmp(&far, &far), 0);
}

static void times_are_written_as_go_writes_them(void **state)
{
	static const char *const cases[] = {
		"2033-05-18T03:33:20Z",		  "2033-05-18T03:33:20.000000001Z",
		"2100-06-15T12:30:45.120003Z",	  "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999Z", "2000-02-29T00:00:00.1Z",
		"1900-03-01T00:00:00Z",		  "1970-01-01T00:00:00Z",
		"1969-12-31T23:59:59.5Z",
	};
	char text[EOL_TEXT_MAX];
	struct eol eol;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(eol_parse(&eol, bytes_str(cases[i])), 0);
		assert_string_equal(eol_text(&eol, text), cases[i]);
	}
	for (int64_t s = -62167219200; s < 253402300800; s += 86400 * 17 + 3601) {
		assert_non_null(eol_text(&(struct eol){ .s = s }, text));
		assert_int_equal(eol_parse(&eol, bytes_str(text)), 0);
		assert_int_equal(eol.s, s);
	}
	assert_null(eol_text(&(struct eol){ .s = 253402300800 }, text));
	assert_null(eol_text(&(struct eol){ .s = -62167219201 }, text));
	assert_null(eol_text(&(struct eol){ .ns = 1000000000 }, text));
	eol = eol_of_ns(1000000001);
	assert_int_equal(eol.s, 1);
	assert_int_equal(eol.ns, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(malformed_times_are_refused),
		cmocka_unit_test(times_out_of_range_saturate),
		cmocka_unit_test(times_are_written_as_go_writes_them),
	};

	return cmocka_run_group_tests_name("routing/eol", tests, NULL, NULL);
}

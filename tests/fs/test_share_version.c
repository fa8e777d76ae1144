#include "fs/share_version.h"

#include "dag/tree/share_record.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SHARE 7
#define PEN 5

static uint64_t stamp_at(int year, int month, int day, int hour, int minute, int second)
{
	struct tm tm = { .tm_year = year - 1900,
			 .tm_mon = month - 1,
			 .tm_mday = day,
			 .tm_hour = hour,
			 .tm_min = minute,
			 .tm_sec = second };

	return (uint64_t)timegm(&tm) * 1000 << 16;
}

/* Versions 3 to 6: the first two are no longer kept. */
static int setup(void **state)
{
	const uint64_t stamps[] = {
		stamp_at(2026, 11, 20, 23, 59, 59),
		stamp_at(2026, 11, 21, 10, 0, 2),
		stamp_at(2026, 11, 21, 10, 2, 11) + 5,
		stamp_at(2026, 12, 31, 23, 59, 59) + 1,
	};
	struct db_txn *txn;
	struct db *db;

	assert_int_equal(db_open_temp(&db), 0);
	assert_int_equal(db_begin(db, true, &txn), 0);
	for (size_t i = 0; i < ARRAY_LEN(stamps); i++) {
		struct tree_version version = { .no = 3 + i, .stamp = stamps[i], .pen = PEN };

		cid_of_data(&version.commit, 1, CODEC_DAG_CBOR, HASH_SHA2_256, bytes_str("c"));
		cid_of_data(&version.root, 1, CODEC_DAG_PB, HASH_SHA2_256, bytes_str("r"));
		cid_of_data(&version.state, 1, CODEC_DAG_CBOR, HASH_SHA2_256, bytes_str("s"));
		assert_int_equal(version_put(txn, SHARE, &version), 0);
	}
	assert_int_equal(db_commit(txn), 0);
	*state = db;
	return 0;
}

static int teardown(void **state)
{
	db_close(*state);
	return 0;
}

/* The number of the version that text means; -errno. */
static int64_t found(struct db *db, const char *text)
{
	struct tree_version version;
	int err = share_version_find(db, SHARE, text, &version);

	return err ? err : (int64_t)version.no;
}

static void number_is_the_version_of_that_number(void **state)
{
	assert_int_equal(found(*state, ""), 6);
	assert_int_equal(found(*state, "3"), 3);
	assert_int_equal(found(*state, "6"), 6);
	assert_int_equal(found(*state, "2"), -ENOENT);
	assert_int_equal(found(*state, "7"), -ENOENT);
	assert_int_equal(found(*state, "18446744073709551616"), -EINVAL);
}

static void distance_counts_back_from_the_newest_that_is_kept(void **state)
{
	assert_int_equal(found(*state, "-0"), 6);
	assert_int_equal(found(*state, "-1"), 5);
	assert_int_equal(found(*state, "-3"), 3);
	assert_int_equal(found(*state, "-4"), -ENOENT);
	assert_int_equal(found(*state, "-18446744073709551615"), -ENOENT);
	assert_int_equal(found(*state, "-"), -EINVAL);
	assert_int_equal(found(*state, "--1"), -EINVAL);
}

static void time_is_the_newest_that_is_not_after_the_end_of_what_is_written(void **state)
{
	assert_int_equal(found(*state, "2026-11-20T23:59:58Z"), -ENOENT);
	assert_int_equal(found(*state, "2026-11-20T23:59:59Z"), 3);
	assert_int_equal(found(*state, "2026-11-20"), 3);
	assert_int_equal(found(*state, "2026-11-21T09"), 3);
	assert_int_equal(found(*state, "2026-11-21T10:00"), 4);
	assert_int_equal(found(*state, "2026-11-21T10:01"), 4);
	assert_int_equal(found(*state, "2026-11-21T10:02:10"), 4);
	assert_int_equal(found(*state, "2026-11-21T10:02:11"), 5);
	assert_int_equal(found(*state, "2026-11"), 5);
	assert_int_equal(found(*state, "2026-12-31"), 6);
	assert_int_equal(found(*state, "2026-12"), 6);
	assert_int_equal(found(*state, "9999-12-31T23:59:59Z"), 6);
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const texts[] = {
		"x",
		"2026-",
		"2026-13",
		"2026-00",
		"2026-02-29",
		"2026-11-31",
		"2026-11-21T24",
		"2026-11-21 10",
		"2026-11-21T10:60",
		"2026-11-2",
		"1969-12-31",
		"2026-11Z",
		"2026-11-21T10:02:11Zx",
		"2026-11-21T10:02:11.5Z",
		"+1",
		" 1",
		"1 ",
		"0x1",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (found(*state, texts[i]) != -EINVAL)
			fail_msg("'%s' gives %d", texts[i], (int)found(*state, texts[i]));
	assert_int_equal(found(*state, "2024-02-29"), -ENOENT);
}

static void versions_of_another_share_are_not_found(void **state)
{
	struct tree_version version;

	assert_int_equal(share_version_find(*state, SHARE + 1, "", &version), -ENOENT);
}

static void stamp_is_shown_in_utc(void **state)
{
	char text[STAMP_TEXT_MAX];

	(void)state;
	assert_string_equal(stamp_text(stamp_at(2026, 11, 21, 10, 2, 11) + 77, text),
			    "2026-11-21T10:02:11Z");
	assert_string_equal(stamp_text(0, text), "1970-01-01T00:00:00Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_is_the_version_of_that_number),
		cmocka_unit_test(distance_counts_back_from_the_newest_that_is_kept),
		cmocka_unit_test(time_is_the_newest_that_is_not_after_the_end_of_what_is_written),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(versions_of_another_share_are_not_found),
		cmocka_unit_test(stamp_is_shown_in_utc),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/* dag/tree/shown.c: what an entry of a manifest shows at its name. */
#include "dag/tree/shown.h"

#include "tests/dag/share_make.h"

static struct manifest_value value_of(uint64_t stamp, uint64_t pen, unsigned flags)
{
	return (struct manifest_value){ .pen = pen,
					.stamp = stamp,
					.flags = flags,
					.id = stamp * 100 + pen,
					.size = stamp,
					.mtime = -5,
					.mtime_nanos = 9,
					.cid = share_cid(CODEC_RAW, stamp) };
}

static void an_entry_that_says_nothing_shows_nothing(void **unused)
{
	struct manifest_meta meta = { .mode = 0600 };
	struct manifest_entry entry = { .name = bytes_str("n"), .metas = &meta, .meta_count = 1 };
	struct shown shown;

	(void)unused;
	assert_false(shown_entry(&entry, &shown));
	entry.has_dir = true; /* without dots, and nothing is below */
	assert_false(shown_entry(&entry, &shown));
}

static void the_greatest_value_that_is_not_aside_is_shown(void **unused)
{
	struct manifest_value values[] = { value_of(7, 1, 0), value_of(8, 9, MANIFEST_ASIDE),
					   value_of(7, 3, 0), value_of(6, 5, 0) };
	struct manifest_entry entry = { .name = bytes_str("n"),
					.values = values,
					.value_count = 4 };
	struct shown shown;

	(void)unused;
	assert_true(shown_entry(&entry, &shown));
	assert_ptr_equal(shown.value, &values[2]);
	assert_int_equal(shown.mode, S_IFREG | SHOWN_FILE_MODE);
	assert_int_equal(shown.id, 703);
	assert_int_equal(shown.size, 7);
	assert_int_equal(shown.stamp, 7);
	assert_int_equal(shown.mtime.tv_sec, -5);
	assert_int_equal(shown.mtime.tv_nsec, 9);
	for (size_t i = 0; i < 4; i++)
		values[i].flags = MANIFEST_ASIDE;
	assert_true(shown_entry(&entry, &shown));
	assert_ptr_equal(shown.value, &values[1]);
}

static void the_greatest_meta_tells_mode_and_stamp(void **unused)
{
	struct manifest_value value = value_of(7, 1, 0);
	struct manifest_meta metas[] = { { .pen = 1, .stamp = 9, .mode = 0600 },
					 { .pen = 2, .stamp = 9, .mode = 04755 },
					 { .pen = 3, .stamp = 8, .mode = 0777 } };
	struct manifest_entry entry = { .name = bytes_str("n"),
					.values = &value,
					.value_count = 1,
					.metas = metas,
					.meta_count = 3 };
	struct shown shown;

	(void)unused;
	assert_true(shown_entry(&entry, &shown));
	assert_ptr_equal(shown.meta, &metas[1]);
	assert_int_equal(shown.mode, S_IFREG | 04755);
	assert_int_equal(shown.stamp, 9);
	value.flags = MANIFEST_SYMLINK;
	assert_true(shown_entry(&entry, &shown));
	assert_int_equal(shown.mode, S_IFLNK | 0777);
}

static void a_directory_is_shown_before_values(void **unused)
{
	struct manifest_value value = value_of(70, 1, 0);
	struct manifest_dot dots[] = { { 1, 5, 11 }, { 2, 5, 12 }, { 9, 4, 13 } };
	struct manifest_meta meta = { .pen = 1, .stamp = 4, .mode = 01700, .mtime = 3 };
	struct manifest_entry entry = { .name = bytes_str("n"),
					.values = &value,
					.value_count = 1,
					.has_dir = true,
					.dir = { .dots = dots, .dot_count = 3 } };
	struct shown shown;

	(void)unused;
	assert_true(shown_entry(&entry, &shown));
	assert_null(shown.value);
	assert_int_equal(shown.mode, S_IFDIR | SHOWN_DIR_MODE);
	assert_int_equal(shown.id, 12);
	assert_int_equal(shown.stamp, 5);
	assert_int_equal(shown.size, 0);
	entry.metas = &meta;
	entry.meta_count = 1;
	assert_true(shown_entry(&entry, &shown));
	assert_int_equal(shown.mode, S_IFDIR | 01700);
	assert_int_equal(shown.mtime.tv_sec, 3);
	assert_int_equal(shown.stamp, 5);
	entry.dir.dot_count = 0; /* only what is below keeps it */
	entry.dir.link = share_cid(CODEC_DAG_CBOR, 1);
	assert_true(shown_entry(&entry, &shown));
	assert_null(shown.value);
	assert_true(shown.id != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_that_says_nothing_shows_nothing),
		cmocka_unit_test(the_greatest_value_that_is_not_aside_is_shown),
		cmocka_unit_test(the_greatest_meta_tells_mode_and_stamp),
		cmocka_unit_test(a_directory_is_shown_before_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

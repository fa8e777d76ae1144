/* dag/import/chunker.c: names, and every cut of the vectors. */
#include "dag/import/chunker.h"
#include "dag/import/chunker_buzhash.h"
#include "net/base/err.h"
#include "tests/dag/import_data.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void names_are_judged(void **state)
{
	static const char *const good[] = { "size-1",	      "size-262144",
					    "size-2096896",   "buzhash",
					    "rabin",	      "rabin-262144",
					    "rabin-18-25-32", "rabin-min:18-avg:25-max:32" };
	static const char *const bad[] = { "",
					   "size",
					   "size-",
					   "size-0",
					   "size--1",
					   "size-x",
					   "size-1-",
					   "size-1x",
					   "size-2096897",
					   "size-99999999999999999999",
					   "buzhash-1",
					   "buz",
					   "rabin-",
					   "rabin-0",
					   "rabin-47",
					   "rabin-15-25-32",
					   "rabin-25-25-32",
					   "rabin-18-32-32",
					   "rabin-18-25",
					   "rabin-18-25-32-",
					   "rabin-18-25-32-40",
					   "rabin-18-25-2096897",
					   "rabinx",
					   "none" };
	struct chunker chunker;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(chunker_init(&chunker, good[i], &why), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		if (chunker_init(&chunker, bad[i], &why) != -EINVAL || !why)
			fail_msg("accepted \"%s\"", bad[i]);
	}
}

static void cuts_are_kubos(void **state)
{
	json_t *file = vector_json("chunkers.json");
	json_t *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(file, "vectors"), i, vector) {
		const json_t *lengths = json_object_get(vector, "chunk_lengths");
		size_t size = (size_t)json_integer_value(json_object_get(vector, "size"));
		struct chunker chunker;
		struct buf data = { 0 };
		size_t at = 0, count = 0;
		const char *why;

		import_data(&data, vector_text(vector, "data"), size);
		assert_int_equal(chunker_init(&chunker, vector_text(vector, "chunker"), &why), 0);
		for (; at < size; count++) {
			size_t window = size - at < chunker.max ? size - at : chunker.max;
			size_t len = chunker_cut(&chunker, bytes_of(data.at + at, window));

			/* More than a window changes nothing. */
			assert_int_equal(len,
					 chunker_cut(&chunker, bytes_of(data.at + at, size - at)));
			assert_int_equal(len, json_integer_value(json_array_get(lengths, count)));
			at += len;
		}
		assert_int_equal(count, json_array_size(lengths));
		buf_release(&data);
	}
	assert_true(i > 0);
	json_decref(file);
}

static void buzhash_parameters_are_kubos(void **state)
{
	json_t *file = vector_json("buzhash-table.json");
	const json_t *table = json_object_get(file, "table_hex");

	(void)state;
	assert_int_equal(json_array_size(table), 256);
	for (size_t i = 0; i < 256; i++)
		assert_int_equal(strtoul(json_string_value(json_array_get(table, i)), NULL, 16),
				 buzhash_table[i]);
	assert_int_equal(json_integer_value(json_object_get(file, "min")), BUZHASH_MIN);
	assert_int_equal(json_integer_value(json_object_get(file, "max")), BUZHASH_MAX);
	json_decref(file);
}

static void short_tails_are_one_chunk(void **state)
{
	static const char *const names[] = { "size-1000", "buzhash", "rabin-18-25-32", "rabin" };
	static const uint8_t bytes[17] = { 1, 2, 3 };
	struct chunker chunker;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(chunker_init(&chunker, names[i], &why), 0);
		for (size_t len = 1; len <= sizeof(bytes); len++)
			assert_int_equal(chunker_cut(&chunker, bytes_of(bytes, len)), len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_judged),
		cmocka_unit_test(cuts_are_kubos),
		cmocka_unit_test(buzhash_parameters_are_kubos),
		cmocka_unit_test(short_tails_are_one_chunk),
	};

	return cmocka_run_group_tests_name("dag/chunker", tests, NULL, NULL);
}

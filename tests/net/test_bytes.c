#include "net/base/bytes.h"
#include "net/base/err.h"
#include "tests/vector.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void order_is_memcmp_then_length(void **state)
{
	(void)state;
	assert_true(bytes_cmp(bytes_str("a"), bytes_str("b")) < 0);
	assert_true(bytes_cmp(bytes_str("b"), bytes_str("ab")) > 0);
	assert_true(bytes_cmp(bytes_str("a"), bytes_str("ab")) < 0);
	assert_true(bytes_cmp(bytes_str("\xff"), bytes_str("a")) > 0);
	assert_int_equal(bytes_cmp((struct bytes){ 0 }, bytes_str("")), 0);
	assert_true(bytes_equal((struct bytes){ 0 }, bytes_str("")));
	assert_false(bytes_equal(bytes_str("ab"), bytes_str("ac")));
}

static void prefix_and_skip(void **state)
{
	(void)state;
	assert_true(bytes_start_with(bytes_str("abc"), bytes_str("ab")));
	assert_true(bytes_start_with(bytes_str("abc"), (struct bytes){ 0 }));
	assert_false(bytes_start_with(bytes_str("a"), bytes_str("ab")));
	assert_bytes_equal(bytes_skip(bytes_str("abc"), 1), bytes_str("bc"));
	assert_int_equal(bytes_skip(bytes_str("abc"), 4).len, 0);
	assert_int_equal(bytes_skip((struct bytes){ 0 }, 4).len, 0);
}

static void buf_grows_and_consumes(void **state)
{
	struct buf buf = { 0 };
	uint8_t block[100];

	(void)state;
	memset(block, 7, sizeof block);
	for (int i = 0; i < 100; i++)
		buf_add(&buf, bytes_of(block, sizeof block));
	assert_int_equal(buf.len, 10000);
	buf_add(&buf, (struct bytes){ 0 });
	buf_consume(&buf, 9999);
	assert_int_equal(buf.len, 1);
	assert_int_equal(buf.at[0], 7);
	buf_consume(&buf, 1);
	buf_clear(&buf);
	buf_printf(&buf, "%d-%s", 42, "x");
	buf_add_str(&buf, "y");
	assert_bytes_equal(buf_bytes(&buf), bytes_str("42-xy"));
	char *text = buf_take_text(&buf);

	assert_string_equal(text, "42-xy");
	assert_null(buf.at);
	free(text);
	text = buf_take_text(&buf);
	assert_string_equal(text, "");
	free(text);
	buf_release(&buf);
	buf_release(&buf);
}

static void integers_round_trip(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	buf_add_u8(&buf, 0xfe);
	buf_add_be16(&buf, 0x0102);
	buf_add_be32(&buf, 0x03040506);
	buf_add_le64(&buf, 0x1122334455667788);
	char *hex = hex_text(buf_bytes(&buf));

	assert_string_equal(hex, "fe0102030405068877665544332211");
	free(hex);
	struct cursor c = cursor_over(buf_bytes(&buf));

	assert_int_equal(cursor_u8(&c), 0xfe);
	assert_int_equal(cursor_be16(&c), 0x0102);
	assert_int_equal(cursor_be32(&c), 0x03040506);
	assert_int_equal(cursor_left(&c), 8);
	assert_true(cursor_le64(&c) == 0x1122334455667788);
	assert_false(c.bad);
	c = cursor_over(bytes_skip(buf_bytes(&buf), 7));
	assert_true(cursor_be64(&c) == 0x8877665544332211);
	c = cursor_over(bytes_skip(buf_bytes(&buf), 7));
	assert_true(cursor_le32(&c) == 0x55667788);
	buf_release(&buf);
}

static void first_failure_sticks(void **state)
{
	struct cursor c = cursor_over(bytes_str("abc"));

	(void)state;
	assert_int_equal(cursor_be32(&c), 0);
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_take(&c, 1).len, 0);
	assert_int_equal(cursor_take(&c, 0).len, 0);
	assert_int_equal(cursor_left(&c), 0);
	c = cursor_over((struct bytes){ 0 });
	assert_int_equal(cursor_take(&c, 0).len, 0);
	assert_false(c.bad);
	assert_int_equal(cursor_take(&c, SIZE_MAX).len, 0);
	assert_true(c.bad);
}

static void uvarint_is_minimal_and_short(void **state)
{
	static const struct {
		const char *hex;
		uint64_t value;
		bool bad;
	} cases[] = {
		{ "00", 0, false },
		{ "7f", 127, false },
		{ "8001", 128, false },
		{ "ac02", 300, false },
		{ "ffffffffffffffff7f", INT64_MAX, false },
		{ "8000", 0, true },
		{ "80", 0, true },
		{ "", 0, true },
		{ "80808080808080808001", 0, true },
		{ "ffffffffffffffffff01", 0, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf in = { 0 };

		hex_decode(&in, cases[i].hex);
		struct cursor c = cursor_over(buf_bytes(&in));

		assert_true(cursor_uvarint(&c) == cases[i].value);
		assert_int_equal(c.bad, cases[i].bad);
		buf_release(&in);
	}
}

static void errors_have_phrases(void **state)
{
	(void)state;
	assert_string_equal(err_text(-ETIMEDOUT), err_text(ETIMEDOUT));
	assert_string_equal(err_text(-ENOENT), "not found");
	assert_string_equal(err_text(-EACCES), strerror(EACCES));
	assert_string_equal(err_text(-4095), "unknown error");
	assert_string_equal(err_text(INT_MIN), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_memcmp_then_length),
		cmocka_unit_test(prefix_and_skip),
		cmocka_unit_test(buf_grows_and_consumes),
		cmocka_unit_test(integers_round_trip),
		cmocka_unit_test(first_failure_sticks),
		cmocka_unit_test(uvarint_is_minimal_and_short),
		cmocka_unit_test(errors_have_phrases),
	};
	return cmocka_run_group_tests_name("net/bytes", tests, NULL, NULL);
}

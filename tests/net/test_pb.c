/* net/wire/pb.c: every wire type, what must be refused, truncation, packed fields. */
#include "net/base/err.h"
#include "net/wire/pb.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void sample(struct buf *out)
{
	pb_put_u64(out, 1, 150);
	pb_put_str(out, 2, "testing");
	pb_put_fixed32(out, 3, 0xdeadbeef);
	pb_put_u64(out, 16, UINT64_MAX);
	pb_put_head(out, 5, 3);
	pb_put_u64(out, 1, 300);
	pb_put_bytes(out, 536870911, (struct bytes){ 0 });
}

static void round_trip(void **state)
{
	struct buf raw = { 0 }, expected = { 0 };
	struct pb_reader r, inner;
	struct pb_field f;

	(void)state;
	sample(&raw);
	hex_decode(&expected, "089601 120774657374696e67 1defbeadde 8001ffffffffffffffffff01"
			      " 2a0308ac02 faffffff0f00");
	assert_bytes_equal(buf_bytes(&raw), buf_bytes(&expected));

	r = pb_over(buf_bytes(&raw));
	assert_true(pb_next(&r, &f) && f.number == 1 && pb_u64(&f) == 150 && pb_bool(&f));
	assert_true(pb_next(&r, &f) && f.number == 2);
	assert_bytes_equal(pb_bytes(&f), bytes_str("testing"));
	assert_true(pb_next(&r, &f) && f.number == 3 && pb_fixed32(&f) == 0xdeadbeef);
	assert_true(pb_next(&r, &f) && f.number == 16 && pb_u64(&f) == UINT64_MAX);
	assert_true(pb_next(&r, &f) && f.number == 5);
	inner = pb_over(pb_bytes(&f));
	assert_true(pb_next(&r, &f) && f.number == 536870911 && pb_bytes(&f).len == 0);
	assert_false(pb_next(&r, &f));
	assert_false(r.bad);
	assert_true(pb_next(&inner, &f) && pb_u64(&f) == 300);
	assert_false(pb_next(&inner, &f) || inner.bad);
	buf_release(&raw);
	buf_release(&expected);
}

static void lengths_told_are_those_written(void **state)
{
	struct buf raw = { 0 };

	(void)state;
	pb_put_u64(&raw, 16, 1u << 14);
	assert_int_equal(pb_len_u64(16, 1u << 14), raw.len);
	buf_clear(&raw);
	pb_put_str(&raw, 2, "testing");
	assert_int_equal(pb_len_bytes(2, 7), raw.len);
	buf_release(&raw);
}

/* A message cut anywhere is either whole fields only, or bad. */
static void message_cut_within_a_field_is_bad(void **state)
{
	struct buf raw = { 0 };
	unsigned whole = 0;

	(void)state;
	sample(&raw);
	for (size_t len = 0; len < raw.len; len++) {
		struct pb_reader r = pb_over(bytes_of(raw.at, len));
		struct pb_field f;

		while (pb_next(&r, &f))
			;
		whole += !r.bad;
	}
	assert_int_equal(whole, 6);
	buf_release(&raw);
}

static bool is_bad(const char *hex)
{
	struct buf raw = { 0 };
	struct pb_reader r;
	struct pb_field f;

	hex_decode(&raw, hex);
	r = pb_over(buf_bytes(&raw));
	while (pb_next(&r, &f))
		;
	buf_release(&raw);
	return r.bad;
}

static void groups_and_bad_lengths_are_refused(void **state)
{
	(void)state;
	assert_true(is_bad("0b"));		       /* group start */
	assert_true(is_bad("0c"));		       /* group end */
	assert_true(is_bad("0e00") && is_bad("0f00")); /* types 6 and 7 */
	assert_true(is_bad("0000"));		       /* field 0 */
	assert_true(is_bad("808080801000"));	       /* field 2^29 */
	assert_true(is_bad("12ffffffffffffffffff01")); /* length 2^64 - 1 */
	assert_true(is_bad("08ffffffffffffffffff02")); /* 65 bits */
	assert_true(is_bad("0880808080808080808080"));
	assert_false(is_bad("088100")); /* over-long is legal here */
	assert_false(is_bad(""));
}

static void wrong_type(void **state)
{
	struct pb_reader r = pb_over(bytes_of("\x08\x01", 2));
	struct pb_field f;

	(void)state;
	assert_true(pb_next(&r, &f));
	assert_int_equal(pb_bytes(&f).len, 0);
	assert_true(r.bad);
	assert_false(pb_next(&r, &f));
	r = pb_over(bytes_of("\x0a\x00", 2));
	assert_true(pb_next(&r, &f));
	assert_true(pb_u64(&f) == 0 && pb_fixed32(&f) == 0 && r.bad);
}

static bool add_up(void *ctx, uint64_t value)
{
	*(uint64_t *)ctx += value;
	return value != 99;
}

/* Packed, unpacked, refused by the caller, cut inside. */
static void repeated_integers_are_read_packed_or_not(void **state)
{
	static const char *const good = "0801 0a03029601 0a00 0802";
	struct buf raw = { 0 };
	struct pb_field f;
	uint64_t sum = 0;

	(void)state;
	hex_decode(&raw, good);
	struct pb_reader r = pb_over(buf_bytes(&raw));
	while (pb_next(&r, &f))
		assert_true(pb_repeated(&f, add_up, &sum));
	assert_false(r.bad);
	assert_int_equal(sum, 1 + 2 + 150 + 2);

	r = pb_over(bytes_of("\x0a\x02\x63\x01", 4));
	assert_true(pb_next(&r, &f));
	assert_false(pb_repeated(&f, add_up, &sum));
	assert_true(r.bad);
	r = pb_over(bytes_of("\x0a\x01\x80", 3));
	assert_true(pb_next(&r, &f));
	assert_false(pb_repeated(&f, add_up, &sum));
	buf_release(&raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(lengths_told_are_those_written),
		cmocka_unit_test(message_cut_within_a_field_is_bad),
		cmocka_unit_test(groups_and_bad_lengths_are_refused),
		cmocka_unit_test(wrong_type),
		cmocka_unit_test(repeated_integers_are_read_packed_or_not),
	};

	return cmocka_run_group_tests_name("net/pb", tests, NULL, NULL);
}

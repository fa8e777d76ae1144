/* net/wire/frame.c: split feed, limits, memory that follows what arrived. */
#include "net/base/err.h"
#include "net/base/random.h"
#include "net/wire/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 100000

struct seen {
	struct buf all; /* messages as len(4) | bytes */
	unsigned count, stop_at;
	bool take;
};

static int on_message(void *ctx, struct buf *message)
{
	struct seen *seen = ctx;

	buf_add_be32(&seen->all, (uint32_t)message->len);
	buf_add(&seen->all, buf_bytes(message));
	if (seen->take)
		buf_release(message);
	return ++seen->count == seen->stop_at ? -ECANCELED : 0;
}

static void seen_release(struct seen *seen)
{
	buf_release(&seen->all);
}

/* Three messages, one of them empty, with a prefix of two bytes in the last. */
static void three(struct buf *out)
{
	uint8_t big[300];

	memset(big, 7, sizeof big);
	frame_add(out, bytes_str("abc"));
	frame_add(out, (struct bytes){ 0 });
	frame_add(out, bytes_of(big, sizeof big));
}

static void messages_cut_anywhere_come_whole(void **state)
{
	struct buf in = { 0 };
	struct seen whole = { 0 };
	struct frame_reader reader = { 0 };

	(void)state;
	three(&in);
	assert_int_equal(frame_reader_feed(&reader, buf_bytes(&in), MAX, on_message, &whole), 0);
	assert_int_equal(whole.count, 3);
	for (size_t cut = 0; cut <= in.len; cut++) {
		struct seen seen = { .take = cut & 1 };

		assert_int_equal(
			frame_reader_feed(&reader, bytes_of(in.at, cut), MAX, on_message, &seen),
			0);
		assert_int_equal(frame_reader_feed(&reader, bytes_skip(buf_bytes(&in), cut), MAX,
						   on_message, &seen),
				 0);
		assert_true(bytes_equal(buf_bytes(&seen.all), buf_bytes(&whole.all)));
		assert_true(frame_reader_idle(&reader));
		seen_release(&seen);
	}
	frame_reader_release(&reader);
	seen_release(&whole);
	buf_release(&in);
}

static void not_idle_inside(void **state)
{
	struct frame_reader reader = { 0 };
	struct seen seen = { 0 };

	(void)state;
	assert_true(frame_reader_idle(&reader));
	frame_reader_feed(&reader, bytes_of("\x81", 1), MAX, on_message, &seen);
	assert_false(frame_reader_idle(&reader));
	frame_reader_feed(&reader, bytes_of("\x01", 1), MAX, on_message, &seen);
	assert_false(frame_reader_idle(&reader));
	frame_reader_release(&reader);
	assert_true(frame_reader_idle(&reader));
}

static void message_over_the_limit_is_refused(void **state)
{
	uint8_t data[11] = { 10 };
	struct frame_reader reader = { 0 };
	struct seen seen = { 0 };

	(void)state;
	assert_int_equal(frame_reader_feed(&reader, bytes_of(data, 11), 10, on_message, &seen), 0);
	assert_int_equal(seen.count, 1);
	data[0] = 11;
	assert_int_equal(frame_reader_feed(&reader, bytes_of(data, 1), 10, on_message, &seen),
			 -EMSGSIZE);
	seen_release(&seen);
	frame_reader_release(&reader);
}

static void malformed_prefix_is_refused(void **state)
{
	static const char *bad[] = { "\x80\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" };
	static const size_t len[] = { 2, 10 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct frame_reader reader = { 0 };

		assert_int_equal(
			frame_reader_feed(&reader, bytes_of(bad[i], len[i]), MAX, on_message, NULL),
			-EBADMSG);
		frame_reader_release(&reader);
	}
}

static void memory_follows_data(void **state)
{
	struct frame_reader reader = { 0 };
	struct seen seen = { 0 };
	struct buf in = { 0 };

	(void)state;
	buf_add(&in, bytes_of("\x80\x80\x80\x80\x04", 5)); /* 1 GiB promised */
	buf_add(&in, bytes_of("x", 1));
	assert_int_equal(frame_reader_feed(&reader, buf_bytes(&in), 1u << 31, on_message, &seen),
			 0);
	assert_true(reader.part.cap <= 64 * 1024);
	buf_release(&in);
	frame_reader_release(&reader);
}

static void nonzero_from_the_callee_ends_the_feed(void **state)
{
	struct buf in = { 0 };
	struct frame_reader reader = { 0 };
	struct seen seen = { .stop_at = 2 };

	(void)state;
	three(&in);
	assert_int_equal(frame_reader_feed(&reader, buf_bytes(&in), MAX, on_message, &seen),
			 -ECANCELED);
	assert_int_equal(seen.count, 2);
	buf_release(&in);
	seen_release(&seen);
	frame_reader_release(&reader);
}

static void messages_cut_at_random_come_whole(void **state)
{
	struct random random = random_seeded(4);
	struct buf in = { 0 };
	struct seen whole = { 0 }, cut = { .take = true };
	struct frame_reader reader = { 0 };
	uint8_t *data = calloc(1, MAX);

	(void)state;
	random_fill(&random, data, MAX);
	for (int i = 0; i < 20; i++)
		frame_add(&in, bytes_of(data, random_below(&random, MAX + 1)));
	frame_reader_feed(&reader, buf_bytes(&in), MAX, on_message, &whole);
	for (struct bytes left = buf_bytes(&in); left.len;) {
		size_t len = 1 + random_below(&random, left.len < 70000 ? left.len : 70000);

		assert_int_equal(
			frame_reader_feed(&reader, bytes_of(left.at, len), MAX, on_message, &cut),
			0);
		left = bytes_skip(left, len);
	}
	assert_true(bytes_equal(buf_bytes(&cut.all), buf_bytes(&whole.all)));
	frame_reader_release(&reader);
	seen_release(&whole);
	seen_release(&cut);
	buf_release(&in);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_cut_anywhere_come_whole),
		cmocka_unit_test(not_idle_inside),
		cmocka_unit_test(message_over_the_limit_is_refused),
		cmocka_unit_test(malformed_prefix_is_refused),
		cmocka_unit_test(memory_follows_data),
		cmocka_unit_test(nonzero_from_the_callee_ends_the_feed),
		cmocka_unit_test(messages_cut_at_random_come_whole),
	};

	return cmocka_run_group_tests_name("net/frame", tests, NULL, NULL);
}

/* net/wire/varint.c: vectors of go-varint, truncation, framing limits. */
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/varint.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void vectors(void **state)
{
	json_t *json = vector_json("formats.json"), *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "uvarint"), i, vector) {
		struct buf raw = { 0 }, again = { 0 };
		uint64_t expected = strtoull(vector_text(vector, "value"), NULL, 10), value;

		vector_hex(&raw, vector, "hex");
		assert_int_equal(uvarint_decode(&value, buf_bytes(&raw)), raw.len);
		assert_true(value == expected);
		assert_int_equal(uvarint_len(value), raw.len);
		buf_add_uvarint(&again, value);
		assert_bytes_equal(buf_bytes(&again), buf_bytes(&raw));
		for (size_t len = 0; len < raw.len; len++)
			assert_int_equal(uvarint_decode(&value, bytes_of(raw.at, len)), 0);
		buf_release(&raw);
		buf_release(&again);
	}
	json_decref(json);
}

static void edge_cases_are_refused(void **state)
{
	json_t *json = vector_json("formats.json"), *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "uvarint_edge"), i, vector) {
		struct buf raw = { 0 };
		bool cut = strstr(vector_text(vector, "error"), "reach the end") != NULL;
		uint64_t value;

		vector_hex(&raw, vector, "hex");
		assert_int_equal(uvarint_decode(&value, buf_bytes(&raw)), cut ? 0 : -EBADMSG);
		buf_release(&raw);
	}
	json_decref(json);
}

static void frame_is_read_when_whole(void **state)
{
	uint8_t raw[400] = { 0xac, 0x02 }; /* 300 */
	struct bytes message;

	(void)state;
	for (size_t len = 0; len < 302; len++)
		assert_int_equal(frame_decode(&message, bytes_of(raw, len), 300), 0);
	assert_int_equal(frame_decode(&message, bytes_of(raw, sizeof(raw)), 300), 302);
	assert_int_equal(message.len, 300);
	assert_ptr_equal(message.at, raw + 2);
	/* Too long is known from the length alone. */
	assert_int_equal(frame_decode(&message, bytes_of(raw, 2), 299), -EMSGSIZE);
	assert_int_equal(frame_decode(&message, bytes_of("\x81\x00", 2), 300), -EBADMSG);
	assert_int_equal(frame_decode(&message, bytes_of("\x00", 1), 0), 1);
	assert_int_equal(message.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(edge_cases_are_refused),
		cmocka_unit_test(frame_is_read_when_whole),
	};

	return cmocka_run_group_tests_name("net/varint", tests, NULL, NULL);
}

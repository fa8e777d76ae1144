/* net/wire/multibase.c: vectors of the multibase project and of go-multibase, limits, malformed
 * text. */
#include "net/base/err.h"
#include "net/wire/multibase.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* text decodes to data; with exact, data also encodes to text. */
static void check(const char *text, struct bytes data, bool exact)
{
	struct buf raw = { 0 }, again = { 0 };
	char base;

	assert_int_equal(multibase_decode(&raw, bytes_str(text), &base), 0);
	assert_int_equal(base, text[0]);
	assert_bytes_equal(buf_bytes(&raw), data);
	assert_int_equal(multibase_encode(&again, base, data), 0);
	if (exact)
		assert_bytes_equal(buf_bytes(&again), bytes_str(text));
	buf_release(&raw);
	buf_release(&again);
}

static void go_vectors(void **state)
{
	json_t *json = vector_json("formats.json"), *vector, *text;
	const char *name;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "multibase"), i, vector) {
		struct buf data = { 0 };

		vector_hex(&data, vector, "hex");
		json_object_foreach(vector, name, text) {
			if (strcmp(name, "hex") == 0)
				continue;
			check(json_string_value(text), buf_bytes(&data), true);
			assert_int_equal(multibase_by_name(name), json_string_value(text)[0]);
		}
		buf_release(&data);
	}
	json_decref(json);
}

/* Lines of: name, "text". The emoji base has a prefix of four bytes and is not ours. */
static void project_file(const char *name, struct bytes data, bool exact)
{
	struct buf file = { 0 };
	char *all, *line, *save, *quote;

	vector_load(&file, name);
	all = buf_take_text(&file);
	strtok_r(all, "\n", &save);
	while ((line = strtok_r(NULL, "\n", &save))) {
		*strchr(line, ',') = 0;
		if (strcmp(line, "base256emoji") == 0)
			continue;
		quote = strchr(line + strlen(line) + 1, '"') + 1;
		*strchr(quote, '"') = 0;
		check(quote, data, exact);
		assert_int_equal(multibase_by_name(line), quote[0]);
	}
	free(all);
}

static void project_vectors(void **state)
{
	(void)state;
	project_file("multibase-basic.csv", bytes_str("yes mani !"), true);
	project_file("multibase-leading-zero.csv", bytes_of("\0yes mani !", 11), true);
	project_file("multibase-two-leading-zeros.csv", bytes_of("\0\0yes mani !", 12), true);
	project_file("multibase-case.csv", bytes_str("hello world"), false);
}

static void all_lengths(void **state)
{
	static const char bases[] = "079fFbBcCvVtThkKzZmMuU";
	uint8_t data[80];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 200);
	for (size_t b = 0; bases[b]; b++) {
		for (size_t len = 0; len <= sizeof(data); len++) {
			struct buf text = { 0 }, raw = { 0 };

			assert_int_equal(base_encode(&text, bases[b], bytes_of(data, len)), 0);
			assert_int_equal(base_decode(&raw, bases[b], buf_bytes(&text)), 0);
			assert_bytes_equal(buf_bytes(&raw), bytes_of(data, len));
			buf_release(&text);
			buf_release(&raw);
		}
	}
}

static int decode(const char *text)
{
	struct buf raw = { 0 };
	int err = multibase_decode(&raw, bytes_str(text), NULL);

	buf_release(&raw);
	return err;
}

static void malformed_text_is_refused(void **state)
{
	(void)state;
	assert_int_equal(decode(""), -EBADMSG);
	assert_int_equal(decode("xabc"), -EINVAL);
	assert_int_equal(decode("QmbFMke1"), -EINVAL);
	assert_int_equal(decode("f0"), -EBADMSG);   /* half a byte */
	assert_int_equal(decode("fgg"), -EBADMSG);  /* not in the alphabet */
	assert_int_equal(decode("b1a"), -EBADMSG);  /* 1 is not */
	assert_int_equal(decode("baaa"), -EBADMSG); /* a character too many */
	assert_int_equal(decode("baa==="), -EBADMSG);
	assert_int_equal(decode("caa"), -EBADMSG); /* padding missing */
	assert_int_equal(decode("caa======="), -EBADMSG);
	assert_int_equal(decode("MAA=="), 0);
	assert_int_equal(decode("MAA="), -EBADMSG);
	assert_int_equal(decode("MA=A="), -EBADMSG);
	assert_int_equal(decode("mAA\n"), -EBADMSG);
	assert_int_equal(decode("z0"), -EBADMSG);
	assert_int_equal(decode("zI"), -EBADMSG);
	assert_int_equal(decode("k-"), -EBADMSG);
	assert_int_equal(decode("f\xff\xff"), -EBADMSG);
	assert_int_equal(multibase_by_name("base1"), 0);
}

static void nothing_left_behind(void **state)
{
	struct buf raw = { 0 };

	(void)state;
	buf_add_u8(&raw, 9);
	assert_int_equal(multibase_decode(&raw, bytes_str("fabcg"), NULL), -EBADMSG);
	assert_int_equal(multibase_encode(&raw, 'x', bytes_str("a")), -EINVAL);
	assert_int_equal(raw.len, 1);
	buf_release(&raw);
}

static void text_over_the_limit_is_refused(void **state)
{
	char text[MULTIBASE_TEXT_MAX + 2];
	struct buf raw = { 0 }, again = { 0 };
	uint8_t zeros[MULTIBASE_TEXT_MAX] = { 0 };

	(void)state;
	memset(text, 'z', sizeof(text));
	text[MULTIBASE_TEXT_MAX] = 0;
	assert_int_equal(multibase_decode(&raw, bytes_str(text), NULL), 0);
	assert_int_equal(multibase_encode(&again, 'z', buf_bytes(&raw)), 0);
	assert_bytes_equal(buf_bytes(&again), bytes_str(text));
	text[MULTIBASE_TEXT_MAX] = 'z';
	text[MULTIBASE_TEXT_MAX + 1] = 0;
	assert_int_equal(decode(text), -EMSGSIZE);
	text[0] = 'm';
	assert_int_equal(decode(text), -EMSGSIZE);

	buf_clear(&again);
	assert_int_equal(multibase_encode(&again, 'k', bytes_of(zeros, 1023)), 0);
	assert_int_equal(multibase_encode(&again, 'k', bytes_of(zeros, 1024)), -EMSGSIZE);
	memset(zeros, 0xff, sizeof(zeros));
	assert_int_equal(multibase_encode(&again, 'z', bytes_of(zeros, 1023)), -EMSGSIZE);
	/* The others are not quadratic. */
	assert_int_equal(base_encode(&again, 'm', bytes_of(zeros, 1024)), 0);
	buf_release(&raw);
	buf_release(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(go_vectors),
		cmocka_unit_test(project_vectors),
		cmocka_unit_test(all_lengths),
		cmocka_unit_test(malformed_text_is_refused),
		cmocka_unit_test(nothing_left_behind),
		cmocka_unit_test(text_over_the_limit_is_refused),
	};

	return cmocka_run_group_tests_name("net/multibase", tests, NULL, NULL);
}

#include "tests/dag/ipld_check.h"

static void assert_text(const char *in, const char *want)
{
	char *made = check_json(in, 0);

	if (!made)
		fail_msg("refused %s", in);
	assert_string_equal(made, want);
	free(made);
}

static void canonical_text(void **state)
{
	(void)state;
	assert_text(" { \"b\" : [ 1 , 2.5 ] , \"a\" : null } \n", "{\"a\":null,\"b\":[1,2.5]}");
	assert_text("{\"aa\":1,\"b\":2}", "{\"aa\":1,\"b\":2}");
	assert_text("\"\\u0041\\u00e9\\ud801\\udc51\\/\"", "\"Aé𐑑/\"");
	assert_text("\"\\b\\f\\n\\r\\t\\\"\\\\\\u0000\\u007f\\u2028\"",
		    "\"\\u0008\\u000c\\n\\r\\t\\\"\\\\\\u0000\x7f\\u2028\"");
	assert_text("{\"/\":\"bafkqaaa\"}", "{\"/\":\"bafkqaaa\"}");
	assert_text("{\"\\u002f\":{\"bytes\":\"AQID\"}}", "{\"/\":{\"bytes\":\"AQID\"}}");
	assert_text("{\"/\":1}", "{\"/\":1}");
	assert_text("{\"bytes\":\"AQID\"}", "{\"bytes\":\"AQID\"}");
}

static void numbers_stay_exact(void **state)
{
	static const char *same[] = {
		"0",
		"-1",
		"9007199254740993",
		"18446744073709551615",
		"-18446744073709551616",
		"0.0",
		"-0.0",
		"1.0",
		"0.1",
		"-1e-323",
		"1e-7",
		"0.000001",
		"1e+21",
		"100000000000000000000.0",
		"1.7976931348623157e+308",
		"5e-324",
		"123456.789",
		"1.5e+300",
	};
	static const char *bad[] = {
		"18446744073709551616",
		"-18446744073709551617",
		"1e999",
		"-1e999",
		"01",
		"-",
		"+1",
		".5",
		"1.",
		"1e",
		"1e+",
		"0x1",
		"NaN",
		"Infinity",
		"-01",
		"1 2",
		"--1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_text(same[i], same[i]);
	assert_text("-0", "0");
	assert_text("1E2", "100.0");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (check_json(bad[i], 0))
			fail_msg("accepted %s", bad[i]);
}

static void never_valid(void **state)
{
	static const char *bad[] = {
		"",
		" ",
		"{",
		"[",
		"\"",
		"{]",
		"[}",
		"[1,]",
		"[,1]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{1:2}",
		"{,}",
		"[1 2]",
		"nul",
		"truee",
		"tru",
		"[]]",
		"{}{}",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\ud800\"",
		"\"\\udc00\"",
		"\"\\ud800\\u0041\"",
		"\"a\nb\"",
		"\"\xff\"",
		"\"\xed\xa0\x80\"",
		"'a'",
		"// c\n1",
		"{\"foo\":1,\"foo\":2,\"bar\":3}",
		/* links and bytes with something else, or with nothing sensible */
		"{\"/\":\"bafkqaaa\",\"x\":1}",
		"{\"a\":1,\"/\":\"bafkqaaa\"}",
		"{\"/\":\"nocid\"}",
		"{\"/\":\"\"}",
		"{\"/\":{\"bytes\":\"AQID\"},\"x\":1}",
		"{\"/\":{\"bytes\":\"AQID\",\"x\":1}}",
		"{\"/\":{\"bytes\":\"A\"}}",
		"{\"/\":{\"bytes\":\"%%%%\"}}",
		"{\"/\":{\"bytes\":\"AQI=\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (check_json(bad[i], 0))
			fail_msg("accepted %s", bad[i]);
	assert_null(check_json("\xef\xbb\xbf{}", 0));
}

static void plain_json_has_no_links(void **state)
{
	char *made = check_json("{\"/\":\"bafkqaaa\",\"x\":1}", DAGJSON_PLAIN);
	struct ipld tree = { 0 };
	struct buf out = { 0 };

	(void)state;
	assert_string_equal(made, "{\"/\":\"bafkqaaa\",\"x\":1}");
	free(made);
	/* Read plainly, it is a map that DAG-JSON could not tell from a link. */
	assert_int_equal(dagjson_decode(&tree, bytes_str("{\"/\":\"bafkqaaa\"}"), DAGJSON_PLAIN),
			 0);
	assert_int_equal(dagjson_encode(&tree, tree.nodes, 0, &out), -EINVAL);
	ipld_release(&tree);
	assert_int_equal(dagjson_decode(&tree, bytes_str("{\"/\":\"bafkqaaa\"}"), 0), 0);
	assert_int_equal(dagjson_encode(&tree, tree.nodes, DAGJSON_PLAIN, &out), -EINVAL);
	ipld_release(&tree);
	buf_release(&out);
}

static void depth_at_its_limit(void **state)
{
	(void)state;
	for (unsigned depth = IPLD_DEPTH_MAX; depth <= IPLD_DEPTH_MAX + 1; depth++) {
		struct buf in = { 0 };

		for (unsigned i = 0; i < depth; i++)
			buf_add_str(&in, i % 2 ? "{\"a\":" : "[");
		buf_add_u8(&in, '0');
		for (unsigned i = depth; i > 0; i--)
			buf_add_u8(&in, (i - 1) % 2 ? '}' : ']');
		char *text = buf_take_text(&in), *made = check_json(text, 0);

		if (depth > IPLD_DEPTH_MAX)
			assert_null(made);
		else
			assert_string_equal(made, text);
		free(made);
		free(text);
	}
}

static void truncation_is_malformed(void **state)
{
	static const char text[] = "{\"a\":[1.5,{\"/\":\"bafkqaaa\"},\"\\u00e9\"],\"b\":true}";

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct ipld tree = { 0 };
		uint8_t *copy = xcalloc(1, len + 1);

		memcpy(copy, text, len);
		assert_int_equal(dagjson_decode(&tree, bytes_of(copy, len), 0), -EBADMSG);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_text),     cmocka_unit_test(numbers_stay_exact),
		cmocka_unit_test(never_valid),	      cmocka_unit_test(plain_json_has_no_links),
		cmocka_unit_test(depth_at_its_limit), cmocka_unit_test(truncation_is_malformed),
	};
	return cmocka_run_group_tests_name("dag/dagjson", tests, NULL, NULL);
}

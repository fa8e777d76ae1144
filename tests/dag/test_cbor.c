#include "tests/dag/ipld_check.h"

/* What cbor_encode() makes of what it reads. */
static void assert_canonical(const char *hex, const char *want)
{
	struct ipld tree = { 0 };
	struct buf in = { 0 }, out = { 0 };

	hex_decode(&in, hex);
	assert_int_equal(cbor_decode(&tree, buf_bytes(&in), 0), 0);
	assert_int_equal(cbor_encode(&tree, tree.nodes, 0, &out), 0);
	char *made = hex_text(buf_bytes(&out));

	assert_string_equal(made, want);
	free(made);
	ipld_release(&tree);
	buf_release(&in);
	buf_release(&out);
}

static void strict_takes_only_canonical(void **state)
{
	static const char *good[] = {
		"00",
		"17",
		"1818",
		"18ff",
		"190100",
		"1a00010000",
		"1b0000000100000000",
		"1bffffffffffffffff",
		"3bffffffffffffffff",
		"40",
		"60",
		"80",
		"a0",
		"f4",
		"f5",
		"f6",
		"fb3ff199999999999a",
		"a2616101616202",
		"a26162016261610a",
		"d82a4500015500"
		"00",
	};
	static const char *lax[] = {
		"1817",
		"1900ff",
		"1a0000ffff",
		"1b00000000ffffffff",
		"5800",
		"7800",
		"9800",
		"b800",
		"a2616201616102",
		"a2626161016162"
		"02",
		"f93c00",
		"fa3f800000",
		"61ff",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (check_cbor(good[i], CBOR_STRICT))
			fail_msg("refused %s", good[i]);
		assert_canonical(good[i], good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(lax); i++) {
		if (check_cbor(lax[i], CBOR_STRICT) != -EBADMSG)
			fail_msg("accepted %s", lax[i]);
		if (check_cbor(lax[i], 0))
			fail_msg("refused %s", lax[i]);
	}
}

static void never_valid(void **state)
{
	static const char *bad[] = {
		"",	/* nothing */
		"0000", /* two items */
		"18",	/* no argument */
		"4161"
		"61",		  /* bytes after the item */
		"4261",		  /* text ends early */
		"8200",		  /* list ends early */
		"a16161",	  /* no value */
		"a10000",	  /* key is no text */
		"a2616100616101", /* key twice */
		"a3636261720363666f6f0163666f6f02",
		"5f4161ff",
		"7f6161ff",
		"9f00ff",
		"bf616100ff",
		"ff", /* indefinite */
		"1c",
		"1d",
		"1e", /* reserved */
		"c000",
		"d8294500", /* other tags */
		"d82a01",
		"d82a40",
		"d82a4101",
		"d82a450101550000", /* no link */
		"d82ad82a4500015500"
		"00", /* a link's content is bytes */
		"f7",
		"e0",
		"f800",
		"f818",
		"f820",
		"f8ff", /* undefined, other simples */
		"fb7ff8000000000000",
		"fb7ff0000000000000",
		"fbfff0000000000000", /* NaN, infinities */
		"f97e00",
		"f97c00",
		"fa7f800000",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (check_cbor(bad[i], 0) != -EBADMSG)
			fail_msg("accepted %s", bad[i]);
	assert_int_equal(check_cbor("d82a450001550000", CBOR_NO_LINKS), -EBADMSG);
}

static void short_floats_are_widened(void **state)
{
	(void)state;
	assert_canonical("f93c00", "fb3ff0000000000000");
	assert_canonical("f90001", "fb3e70000000000000");
	assert_canonical("f9fbff", "fbc0effc0000000000");
	assert_canonical("fa47c35000", "fb40f86a0000000000");
	assert_canonical("a2626161016162"
			 "02",
			 "a261620262616101");
}

/* A count is no reason to allocate, nor depth to recurse. */
static void bombs_end_at_once(void **state)
{
	struct ipld tree = { 0 };
	struct buf in = { 0 };

	(void)state;
	assert_int_equal(check_cbor("9bffffffffffffffff", 0), -EBADMSG);
	assert_int_equal(check_cbor("bbffffffffffffffff", 0), -EBADMSG);
	assert_int_equal(check_cbor("bb800000000000000000", 0), -EBADMSG);
	assert_int_equal(check_cbor("5bffffffffffffffff", 0), -EBADMSG);
	assert_int_equal(check_cbor("7b7fffffffffffffff", 0), -EBADMSG);
	memset(buf_reserve(&in, 1000000), 0x81, 1000000);
	in.len = 1000000;
	assert_int_equal(cbor_decode(&tree, buf_bytes(&in), 0), -EBADMSG);
	buf_release(&in);
}

static void depth_at_its_limit(void **state)
{
	(void)state;
	for (unsigned depth = IPLD_DEPTH_MAX; depth <= IPLD_DEPTH_MAX + 1; depth++) {
		struct ipld tree = { 0 };
		struct buf in = { 0 }, out = { 0 };
		int err;

		for (unsigned i = 1; i < depth; i++)
			buf_add_u8(&in, 0x81);
		buf_add_u8(&in, 0x80);
		err = cbor_decode(&tree, buf_bytes(&in), CBOR_STRICT);
		assert_int_equal(err, depth > IPLD_DEPTH_MAX ? -EBADMSG : 0);
		if (!err) {
			assert_int_equal(cbor_encode(&tree, tree.nodes, 0, &out), 0);
			assert_bytes_equal(buf_bytes(&out), buf_bytes(&in));
		}
		ipld_release(&tree);
		buf_release(&in);
		buf_release(&out);
	}
}

/* The most a block can hold: every byte an item. */
static void items_at_their_limit(void **state)
{
	(void)state;
	for (uint32_t count = IPLD_NODES_MAX - 1; count <= IPLD_NODES_MAX; count++) {
		struct ipld tree = { 0 };
		struct buf in = { 0 };

		buf_add_u8(&in, 0x9a);
		buf_add_be32(&in, count);
		memset(buf_reserve(&in, count), 0, count);
		in.len += count;
		assert_int_equal(cbor_decode(&tree, buf_bytes(&in), 0),
				 count == IPLD_NODES_MAX ? -EMSGSIZE : 0);
		ipld_release(&tree);
		buf_release(&in);
	}
}

static void truncation_is_malformed(void **state)
{
	static const char hex[] = "a2616182d82a45000155000002616243010203";
	struct buf in = { 0 };

	(void)state;
	hex_decode(&in, hex);
	assert_int_equal(check_cbor(hex, CBOR_STRICT), 0);
	for (size_t len = 0; len < in.len; len++) {
		struct ipld tree = { 0 };

		assert_int_equal(cbor_decode(&tree, bytes_of(in.at, len), 0), -EBADMSG);
	}
	buf_release(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strict_takes_only_canonical),
		cmocka_unit_test(never_valid),
		cmocka_unit_test(short_floats_are_widened),
		cmocka_unit_test(bombs_end_at_once),
		cmocka_unit_test(depth_at_its_limit),
		cmocka_unit_test(items_at_their_limit),
		cmocka_unit_test(truncation_is_malformed),
	};
	return cmocka_run_group_tests_name("dag/cbor", tests, NULL, NULL);
}

/* What TXT records of a domain lead to. That they are asked for is shown by tests/e2e/dnslink.py.
 */
#include "net/net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CID "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"

static void one_valid_record_is_the_link(void **state)
{
	static const char *const good[][2] = {
		{ "dnslink=/ipfs/" CID, "/ipfs/" CID },
		{ "dnslink=/ipfs/" CID "/a/b", "/ipfs/" CID "/a/b" },
		{ "dnslink=/ipns/other.test/a", "/ipns/other.test/a" },
		{ "dnslink=" CID, "/ipfs/" CID },
		{ "/ipfs/" CID, "/ipfs/" CID },
		{ CID, "/ipfs/" CID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		char *texts[] = { "v=spf1 -all", (char *)good[i][0], "dnslink=rubbish" };
		char *path;

		assert_int_equal(net_dnslink_of(texts, 3, &path), 0);
		assert_string_equal(path, good[i][1]);
		free(path);
	}
}

static void records_that_are_no_links_do_not_count(void **state)
{
	static char *bad[] = { "",
			       "dnslink=",
			       "dnslink=/ipfs/",
			       "dnslink=/ipfs/rubbish",
			       "dnslink=/ipns/",
			       "dnslink=/ipns//a",
			       "dnslink=/ipld/" CID,
			       "dnslink=/ipfs/" CID "/\x1b[2J",
			       "DNSLINK=/ipfs/" CID,
			       "dnslink=ipfs://" CID,
			       " /ipfs/" CID };
	char *path;

	(void)state;
	assert_int_equal(net_dnslink_of(bad, sizeof(bad) / sizeof(*bad), &path), -ENOENT);
	assert_null(path);
	assert_int_equal(net_dnslink_of(NULL, 0, &path), -ENOENT);
}

static void two_links_are_refused(void **state)
{
	char *texts[] = { "dnslink=/ipfs/" CID, "dnslink=/ipns/other.test" };
	char *path;

	(void)state;
	assert_int_equal(net_dnslink_of(texts, 2, &path), -EEXIST);
	assert_null(path);
}

static void link_is_taken_up_to_the_limit(void **state)
{
	char text[8 + NET_DNSLINK_MAX + 2] = "dnslink=/ipns/a/";
	char *texts[] = { text }, *path;

	(void)state;
	memset(text + 16, 'x', sizeof(text) - 17);
	assert_int_equal(net_dnslink_of(texts, 1, &path), -ENOENT);
	text[8 + NET_DNSLINK_MAX] = 0;
	assert_int_equal(net_dnslink_of(texts, 1, &path), 0);
	free(path);
}

static void domain_is_told_by_its_labels(void **state)
{
	static const char *const good[] = { "a.test", "a", "_x.a-b.test.", "127.0.0.1" };
	static const char *const bad[] = { "", ".", "a..b", ".a", "a b.test", "a/b", "a\n.test" };
	char label[] = "x123456789012345678901234567890123456789012345678901234567890123.test";

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(net_is_domain(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(net_is_domain(bad[i]));
	assert_false(net_is_domain(label)); /* 64 bytes */
	assert_true(net_is_domain(label + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_valid_record_is_the_link),
		cmocka_unit_test(records_that_are_no_links_do_not_count),
		cmocka_unit_test(two_links_are_refused),
		cmocka_unit_test(link_is_taken_up_to_the_limit),
		cmocka_unit_test(domain_is_told_by_its_labels),
	};

	return cmocka_run_group_tests_name("net/dnslink", tests, NULL, NULL);
}

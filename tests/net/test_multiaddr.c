/* net/wire/multiaddr*.c: vectors of go-multiaddr, truncation, limits, socket addresses, scopes. */
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/multiaddr.h"
#include "tests/vector.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SELF "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
#define OTHER "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	if (multiaddr_from_text(&addr, text) < 0)
		fail_msg("refused: %s", text);
	return addr;
}

static void check_text(const struct multiaddr *addr, const char *expected)
{
	char text[MULTIADDR_TEXT_MAX];

	assert_string_equal(multiaddr_text(addr, text), expected);
}

static void vectors(void **state)
{
	json_t *json = vector_json("multiaddr.json"), *vector;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "valid"), i, vector) {
		struct buf raw = { 0 };
		struct multiaddr addr = addr_of(vector_text(vector, "string")), again;
		size_t at = 0, cuts = 0;
		struct multiaddr_part part;

		vector_hex(&raw, vector, "hex");
		assert_bytes_equal(multiaddr_bytes(&addr), buf_bytes(&raw));
		check_text(&addr, vector_text(vector, "canonical"));
		assert_int_equal(multiaddr_from_bytes(&again, buf_bytes(&raw)), 0);
		assert_true(multiaddr_equal(&addr, &again));
		/* Cut anywhere it is malformed, but between two components. */
		while (multiaddr_next(&addr, &at, &part))
			cuts += at < raw.len;
		assert_int_equal(at, raw.len);
		for (size_t len = 0; len < raw.len; len++) {
			struct buf exact = { 0 };

			buf_add(&exact, bytes_of(raw.at, len));
			cuts -= multiaddr_from_bytes(&again, buf_bytes(&exact)) == 0;
			buf_release(&exact);
		}
		if (strstr(vector_text(vector, "string"), "/unix") == NULL)
			assert_int_equal(cuts, 0);
		buf_release(&raw);
	}
	json_decref(json);
}

static void edge_cases_are_judged_as_go_does(void **state)
{
	json_t *json = vector_json("multiaddr.json"), *vector;
	struct multiaddr addr;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "invalid_strings"), i, vector) {
		const char *text = vector_text(vector, "string");
		bool accepted = strcmp(vector_text(vector, "go_error"), "ACCEPTED") == 0;

		if ((multiaddr_from_text(&addr, text) == 0) != accepted)
			fail_msg("not as Go: %s", text);
	}
	json_array_foreach(json_object_get(json, "binary_edge"), i, vector) {
		const json_t *accepted = json_object_get(vector, "accepted_as");
		struct buf raw = { 0 };

		vector_hex(&raw, vector, "hex");
		int err = multiaddr_from_bytes(&addr, buf_bytes(&raw));
		if ((err == 0) != (accepted != NULL))
			fail_msg("not as Go: %s", vector_text(vector, "hex"));
		if (accepted)
			check_text(&addr, json_string_value(accepted));
		buf_release(&raw);
	}
	assert_int_equal(multiaddr_from_bytes(&addr, bytes_of("\xff\x7f", 2)), -ENOTSUP);
	assert_int_equal(multiaddr_from_text(&addr, "/foo/bar"), -ENOTSUP);
	json_decref(json);
}

/* What the vectors lack: the rest of the table. */
static void other_protocols(void **state)
{
	static const char *const same[] = {
		"/onion/timaq4ygg2iegci7:1234",
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
		"/ip4/1.2.3.4/dccp/5/udt",
		"/webrtc/p2p-webrtc-direct/plaintextv2/quic",
		"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
		"/ip6/::102:304",
		"/ip6/2001:db8:0:1:1:1:1:1",
		"/ip6/1::",
		"/ip6/::",
		"/ip6/1:0:0:2::3",
		"/ip6/fe80::1:0:0:1",
		"/http-path/a%2Fb%20c%3F$&+=:@-_.~%21%00",
		"/memory/18446744073709551615",
		"/ip6/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	};
	static const char *const bad[] = {
		"/onion/timaq4ygg2iegci7:0",
		"/onion/timaq4ygg2iegci7",
		"/onion/timaq4ygg2iegci:80",
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:65536",
		"/garlic32/566niximlxdzpanmn4qouucvua3k7nen",
		"/garlic64/abcd",
		"/http-path/%2",
		"/http-path/%zz",
		"/dns/a b",
		"/dns/a\nb",
		"/memory/18446744073709551616",
		"/ip4/01.2.3.4",
		"/ip6/fe80::1%eth0",
		"/tcp/+1",
		"/tcp/",
		"/ipcidr/256",
		"/ip4",
	};
	struct multiaddr addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		addr = addr_of(same[i]);
		check_text(&addr, same[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (multiaddr_from_text(&addr, bad[i]) == 0)
			fail_msg("accepted: %s", bad[i]);
	addr = addr_of("/tcp/0080");
	check_text(&addr, "/tcp/80");
}

static void garlic64(void **state)
{
	uint8_t raw[386];
	struct multiaddr addr = { 0 }, again;
	char text[MULTIADDR_TEXT_MAX];

	(void)state;
	memset(raw, 0xfb, sizeof(raw));
	raw[1] = 0xff;
	assert_int_equal(multiaddr_add(&addr, MA_GARLIC64, bytes_of(raw, 385)), -EBADMSG);
	assert_int_equal(multiaddr_add(&addr, MA_GARLIC64, bytes_of(raw, 386)), 0);
	multiaddr_text(&addr, text);
	assert_non_null(strchr(text, '~'));
	assert_int_equal(text[strlen(text) - 1], '=');
	assert_int_equal(multiaddr_from_text(&again, text), 0);
	assert_true(multiaddr_equal(&addr, &again));
}

static void addresses_end_at_their_limits(void **state)
{
	struct multiaddr addr = { 0 };
	uint8_t name[MULTIADDR_MAX];
	char text[MULTIADDR_TEXT_MAX + 8];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_int_equal(multiaddr_add(&addr, MA_DNS, bytes_of(name, 256)), -EBADMSG);
	for (int i = 0; i < 3; i++)
		assert_int_equal(multiaddr_add(&addr, MA_DNS, bytes_of(name, 255)), 0);
	/* 3 * 258 + 250 is MULTIADDR_MAX */
	assert_int_equal(multiaddr_add(&addr, MA_DNS, bytes_of(name, 248)), -EMSGSIZE);
	assert_int_equal(addr.len, 774);
	assert_int_equal(multiaddr_add(&addr, MA_DNS, bytes_of(name, 247)), 0);
	assert_int_equal(addr.len, MULTIADDR_MAX);
	assert_int_equal(multiaddr_from_bytes(&addr, multiaddr_bytes(&addr)), 0);
	assert_int_equal(strlen(multiaddr_text(&addr, text)), 4 * 5 + 3 * 255 + 247);

	addr.len = 0;
	for (int i = 0; i < MULTIADDR_PARTS_MAX; i++)
		assert_int_equal(multiaddr_add(&addr, MA_WS, (struct bytes){ 0 }), 0);
	assert_int_equal(multiaddr_add(&addr, MA_WS, (struct bytes){ 0 }), -EBADMSG);
	assert_int_equal(multiaddr_join(&addr, &addr), -EBADMSG);

	/* Everything escaped: the text would be three times as long. */
	addr.len = 0;
	memset(name, '/', sizeof(name));
	assert_int_equal(multiaddr_add(&addr, MA_HTTP_PATH, bytes_of(name, 900)), -EBADMSG);
	assert_int_equal(multiaddr_add(&addr, MA_HTTP_PATH, bytes_of(name, 678)), 0);
	assert_int_equal(strlen(multiaddr_text(&addr, text)), 11 + 3 * 678);
	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	memset(text, '/', sizeof(text));
	text[sizeof(text) - 1] = 0;
	assert_int_equal(multiaddr_from_text(&addr, text), -EBADMSG);
}

static void addresses_are_joined_and_split(void **state)
{
	struct multiaddr addr = addr_of("/ip4/1.2.3.4/tcp/1"), tail = addr_of("/p2p-circuit");
	struct multiaddr_part part;
	struct peer_id id, other;

	(void)state;
	assert_int_equal(peer_id_from_text(&id, SELF), 0);
	assert_false(multiaddr_split_peer(&addr, &other));
	assert_int_equal(multiaddr_add_peer(&addr, &id), 0);
	assert_false(multiaddr_is_relayed(&addr));
	assert_int_equal(multiaddr_join(&addr, &tail), 0);
	assert_true(multiaddr_is_relayed(&addr));
	assert_false(multiaddr_split_peer(&addr, &other)); /* not at the end */
	assert_int_equal(peer_id_from_text(&other, OTHER), 0);
	assert_int_equal(multiaddr_add_peer(&addr, &other), 0);
	check_text(&addr, "/ip4/1.2.3.4/tcp/1/p2p/" SELF "/p2p-circuit/p2p/" OTHER);
	assert_true(multiaddr_find(&addr, MA_P2P, &part));
	assert_bytes_equal(part.value, peer_id_bytes(&id));
	assert_true(multiaddr_split_peer(&addr, &id));
	assert_true(peer_id_equal(&id, &other));
	check_text(&addr, "/ip4/1.2.3.4/tcp/1/p2p/" SELF "/p2p-circuit");

	assert_int_equal(multiaddr_add(&addr, 9999, (struct bytes){ 0 }), -ENOTSUP);
	assert_int_equal(multiaddr_add(&addr, MA_TCP, bytes_str("x")), -EBADMSG);
	assert_int_equal(multiaddr_add(&addr, MA_WS, bytes_str("x")), -EBADMSG);
	assert_int_equal(multiaddr_add(&addr, MA_UNIX, bytes_str("/a")), 0);
	assert_int_equal(multiaddr_join(&addr, &tail), -EBADMSG); /* nothing follows a path */
}

static void check_socket(const char *text, const char *back)
{
	struct multiaddr addr = addr_of(text);
	struct sockaddr_storage out;

	assert_int_equal(multiaddr_to_sockaddr(&addr, &out), 0);
	assert_int_equal(multiaddr_from_sockaddr(&addr, (struct sockaddr *)&out), 0);
	check_text(&addr, back);
}

static void tcp_addresses_become_socket_addresses(void **state)
{
	static const char *const other[] = {
		"/ip4/1.2.3.4/udp/1",
		"/ip4/1.2.3.4/tcp/1/ws",
		"/dns4/x/tcp/1",
		"/ip4/1.2.3.4",
		"/ip4/1.2.3.4/tcp/1/p2p/" SELF "/p2p-circuit",
		"/p2p/" SELF,
	};
	struct sockaddr_storage out = { .ss_family = AF_UNIX };
	struct multiaddr addr;

	(void)state;
	check_socket("/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4001");
	check_socket("/ip6/::1/tcp/65535/p2p/" SELF, "/ip6/::1/tcp/65535");
	check_socket("/ip6/::ffff:1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/1");
	assert_int_equal(multiaddr_from_sockaddr(&addr, (struct sockaddr *)&out), -ENOTSUP);
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		addr = addr_of(other[i]);
		assert_int_equal(multiaddr_to_sockaddr(&addr, &out), -ENOTSUP);
	}
}

static void scope_follows_the_first_ip_address(void **state)
{
	static const struct {
		const char *text;
		enum multiaddr_scope scope;
	} of[] = {
		{ "/ip4/127.0.0.1/tcp/1", SCOPE_LOOPBACK },
		{ "/ip6/::1/tcp/1", SCOPE_LOOPBACK },
		{ "/ip6/::ffff:127.0.0.1", SCOPE_LOOPBACK },
		{ "/dns4/localhost/tcp/1", SCOPE_LOOPBACK },
		{ "/dns/a.LocalHost./tcp/1", SCOPE_LOOPBACK },
		{ "/ip4/10.1.2.3/tcp/1", SCOPE_PRIVATE },
		{ "/ip4/100.127.255.255", SCOPE_PRIVATE },
		{ "/ip4/169.254.1.1", SCOPE_PRIVATE },
		{ "/ip4/172.31.255.255", SCOPE_PRIVATE },
		{ "/ip4/192.168.1.1", SCOPE_PRIVATE },
		{ "/ip4/0.0.0.0", SCOPE_PRIVATE },
		{ "/ip4/224.0.0.1", SCOPE_PRIVATE },
		{ "/ip4/255.255.255.255", SCOPE_PRIVATE },
		{ "/ip6/fe80::1", SCOPE_PRIVATE },
		{ "/ip6/fd00::1", SCOPE_PRIVATE },
		{ "/ip6/ff02::1", SCOPE_PRIVATE },
		{ "/ip6/::", SCOPE_PRIVATE },
		{ "/ip6/2001:db8::1", SCOPE_PRIVATE },
		{ "/ip6/64:ff9b::10.0.0.1", SCOPE_PRIVATE },
		{ "/ip6/64:ff9b::8.8.8.8", SCOPE_PUBLIC },
		{ "/ip6/2001:4860::1", SCOPE_PUBLIC },
		{ "/ip4/8.8.8.8/udp/1/quic-v1", SCOPE_PUBLIC },
		{ "/ip4/100.128.0.0", SCOPE_PUBLIC },
		{ "/ip4/172.32.0.0", SCOPE_PUBLIC },
		{ "/dnsaddr/notlocalhost", SCOPE_PUBLIC },
		{ "/p2p/" SELF "/p2p-circuit", SCOPE_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		struct multiaddr addr = addr_of(of[i].text);

		if (multiaddr_scope(&addr) != of[i].scope)
			fail_msg("%s has scope %d", of[i].text, multiaddr_scope(&addr));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(edge_cases_are_judged_as_go_does),
		cmocka_unit_test(other_protocols),
		cmocka_unit_test(garlic64),
		cmocka_unit_test(addresses_end_at_their_limits),
		cmocka_unit_test(addresses_are_joined_and_split),
		cmocka_unit_test(tcp_addresses_become_socket_addresses),
		cmocka_unit_test(scope_follows_the_first_ip_address),
	};

	return cmocka_run_group_tests_name("net/multiaddr", tests, NULL, NULL);
}

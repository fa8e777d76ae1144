/* Names, asked of a small DNS server of our own on 127.0.0.1. */
#include "net/names/resolve.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PEER_A "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
#define PEER_B "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"

enum { TYPE_A = 1, TYPE_TXT = 16, TYPE_AAAA = 28 };

struct record {
	const char *name;
	uint16_t type;
	const char *data; /* TXT: pieces parted by '|'; A and AAAA: raw bytes */
	size_t len;
};

#define TXT(name, text)                                                                            \
	{                                                                                          \
		name, TYPE_TXT, text, sizeof(text) - 1                                             \
	}

static const struct record records[] = {
	{ "host.test", TYPE_A, "\x7f\x00\x00\x02", 4 },
	{ "host.test", TYPE_A, "\x7f\x00\x00\x03", 4 },
	{ "host.test", TYPE_AAAA, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16 },
	{ "rebound.test", TYPE_A, "\x7f\x00\x00\x01", 4 },
	{ "rebound.test", TYPE_A, "\xc0\xa8\x01\x01", 4 },
	{ "rebound.test", TYPE_A, "\xa9\xfe\x01\x01", 4 },
	{ "rebound.test", TYPE_A, "\x01\x02\x03\x04", 4 },
	{ "rebound.test", TYPE_AAAA, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16 },
	{ "rebound.test", TYPE_AAAA, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16 },
	{ "rebound.test", TYPE_AAAA, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16 },
	{ "rebound.test", TYPE_AAAA, "\x20\x02\x7f\0\0\1\0\0\0\0\0\0\0\0\0\1", 16 },
	TXT("_dnsaddr.rebound.test", "dnsaddr=/ip4/10.0.0.1/tcp/9"),
	TXT("_dnsaddr.rebound.test", "dnsaddr=/dns4/host.test/tcp/9"),
	TXT("_dnslink.site.test",
	    "dnslink=/ipfs/|bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"),
	TXT("_dnslink.site.test", "another"),
	TXT("_dnsaddr.boot.test", "dnsaddr=/ip4/127.0.0.9/tcp/9/p2p/" PEER_A),
	TXT("_dnsaddr.boot.test", "dnsaddr=/ip4/127.0.0.8/tcp/8/p2p/" PEER_B),
	TXT("_dnsaddr.boot.test", "dnsaddr=/dnsaddr/more.test/p2p/" PEER_A),
	TXT("_dnsaddr.boot.test", "dnsaddr=rubbish"),
	TXT("_dnsaddr.boot.test", "v=spf1 -all"),
	TXT("_dnsaddr.more.test", "dnsaddr=/dns4/host.test/tcp/7/p2p/" PEER_A),
	TXT("_dnsaddr.loop.test", "dnsaddr=/dnsaddr/loop.test"),
};

/* A thread that answers; it knows nothing of the loop. */
struct server {
	int fd;
	pthread_t thread;
	atomic_uint asked;
};

/* The question's name as text; returns the bytes used. */
static size_t read_name(const uint8_t *at, char out[static 256])
{
	size_t used = 0, len = 0;

	while (at[used]) {
		if (len)
			out[len++] = '.';
		memcpy(out + len, at + used + 1, at[used]);
		len += at[used];
		used += 1 + at[used];
	}
	out[len] = 0;
	return used + 1;
}

static void put_text(struct buf *out, const struct record *r)
{
	const char *bar = memchr(r->data, '|', r->len);
	size_t first = bar ? (size_t)(bar - r->data) : r->len;
	size_t second = bar ? r->len - first - 1 : 0;

	buf_add_be16(out, (uint16_t)(1 + first + (bar ? 1 + second : 0)));
	buf_add_u8(out, (uint8_t)first);
	buf_add(out, bytes_of(r->data, first));
	if (bar) {
		buf_add_u8(out, (uint8_t)second);
		buf_add(out, bytes_of(bar + 1, second));
	}
}

static void put_record(struct buf *out, const struct record *r)
{
	buf_add_be16(out, 0xc00c); /* the question's name */
	buf_add_be16(out, r->type);
	buf_add_be16(out, 1);
	buf_add_be32(out, 60);
	if (r->type == TYPE_TXT) {
		put_text(out, r);
	} else {
		buf_add_be16(out, (uint16_t)r->len);
		buf_add(out, bytes_of(r->data, r->len));
	}
}

static void answer(struct server *server, const uint8_t *q, const struct sockaddr_in *from)
{
	struct buf out = { 0 }, body = { 0 };
	char name[256];
	size_t used = 12 + read_name(q + 12, name);
	uint16_t type = (uint16_t)(q[used] << 8 | q[used + 1]), count = 0;
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		if (strcasecmp(records[i].name, name) != 0)
			continue;
		known = true;
		if (records[i].type == type) {
			put_record(&body, &records[i]);
			count++;
		}
	}
	buf_add(&out, bytes_of(q, 2));
	buf_add_be16(&out, known ? 0x8580 : 0x8583); /* or no such name */
	buf_add_be16(&out, 1);
	buf_add_be16(&out, count);
	buf_add_be32(&out, 0);
	buf_add(&out, bytes_of(q + 12, used + 4 - 12));
	buf_add(&out, buf_bytes(&body));
	if (strcmp(name, "silent.test") != 0)
		sendto(server->fd, out.at, out.len, 0, (const struct sockaddr *)from,
		       sizeof(*from));
	buf_release(&out);
	buf_release(&body);
}

static void *serve(void *ctx)
{
	struct server *server = ctx;
	uint8_t q[1500];
	struct sockaddr_in from;

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(server->fd, q, sizeof(q), 0, (struct sockaddr *)&from, &len);

		if (n == 1)
			return NULL; /* the test says goodbye */
		if (n > 16) {
			atomic_fetch_add(&server->asked, 1);
			answer(server, q, &from);
		}
	}
}

static struct server server;
static struct sockaddr_in server_addr;

static int setup(void **state)
{
	socklen_t len = sizeof(server_addr);
	char text[64];

	(void)state;
	server_addr = (struct sockaddr_in){ .sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	server.fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(server.fd, (struct sockaddr *)&server_addr, sizeof(server_addr)) != 0)
		return -1;
	getsockname(server.fd, (struct sockaddr *)&server_addr, &len);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(server_addr.sin_port));
	setenv("DAGFS_DNS", text, 1);
	return pthread_create(&server.thread, NULL, serve, &server);
}

static int teardown(void **state)
{
	(void)state;
	sendto(server.fd, "", 1, 0, (struct sockaddr *)&server_addr, sizeof(server_addr));
	pthread_join(server.thread, NULL);
	close(server.fd);
	return 0;
}

struct texts {
	bool done;
	int err;
	size_t count;
	char first[256];
};

static void on_texts(void *ctx, int err, char *const *texts, size_t count)
{
	struct texts *got = ctx;

	got->done = true;
	got->err = err;
	got->count = count;
	if (count)
		snprintf(got->first, sizeof(got->first), "%s", texts[0]);
}

static int lookup(struct lab *lab, struct swarm *swarm, const char *name, struct texts *got)
{
	*got = (struct texts){ 0 };
	net_lookup_txt(
		swarm, name,
		lab_deadline(lab, name[0] == 's' && name[1] == 'i' && name[2] == 'l' ? 100 : 5000),
		on_texts, got);
	assert_false(got->done);
	lab_until(lab, &got->done);
	return got->err;
}

static void txt_records_are_joined(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL);
	struct texts got;

	(void)state;
	assert_int_equal(lookup(lab, a, "_dnslink.site.test", &got), 0);
	assert_int_equal(got.count, 2);
	assert_string_equal(got.first,
			    "dnslink=/ipfs/"
			    "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi");
	assert_int_equal(lookup(lab, a, "nothing.test", &got), -ENOENT);
	assert_int_equal(lookup(lab, a, "host.test", &got), -ENOENT); /* no TXT there */
	assert_int_equal(lookup(lab, a, "silent.test", &got), -ETIMEDOUT);
	lab_free(lab);
}

static void cancelled_and_closed_lookups_are_silent(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL);
	struct texts first = { 0 }, second = { 0 };
	struct net_lookup *one, *two;

	(void)state;
	one = net_lookup_txt(a, "_dnslink.site.test", lab_deadline(lab, 5000), on_texts, &first);
	net_lookup_cancel(one);
	two = net_lookup_txt(a, "silent.test", lab_deadline(lab, 5000), on_texts, &second);
	assert_non_null(two);
	lab_run(lab, 50);
	net_lookup_cancel(NULL);
	lab_free(lab); /* with the question still out */
	assert_false(first.done || second.done);
}

struct found {
	bool done;
	int err;
	size_t count;
	struct multiaddr addrs[8];
};

static void on_found(void *ctx, int err, const struct multiaddr *addrs, size_t count)
{
	struct found *found = ctx;

	found->done = true;
	found->err = err;
	found->count = count;
	for (size_t i = 0; i < count && i < 8; i++)
		found->addrs[i] = addrs[i];
}

static void closed(void *ctx)
{
	*(bool *)ctx = true;
}

static struct found resolve_told(const char *text, const char *peer_text, bool heard)
{
	struct lab *lab = lab_new();
	struct resolver *resolver = resolver_new(lab_loop(lab));
	struct found found = { 0 };
	struct multiaddr addr;
	struct peer_id peer = { 0 };
	bool over = false;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	if (peer_text)
		assert_int_equal(peer_id_from_text(&peer, peer_text), 0);
	resolve_start(resolver, &addr, &peer, heard, lab_deadline(lab, 5000), on_found, &found);
	lab_until(lab, &found.done);
	resolver_close(resolver, closed, &over);
	lab_until(lab, &over);
	lab_free(lab);
	return found;
}

static struct found resolve(const char *text, const char *peer_text)
{
	return resolve_told(text, peer_text, false);
}

static bool has(const struct found *found, const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	for (size_t i = 0; i < found->count; i++)
		if (multiaddr_equal(&found->addrs[i], &addr))
			return true;
	return false;
}

static void hosts_become_addresses(void **state)
{
	struct found found = resolve("/dns4/host.test/tcp/7", NULL);

	(void)state;
	assert_int_equal(found.err, 0);
	assert_int_equal(found.count, 2);
	assert_true(has(&found, "/ip4/127.0.0.2/tcp/7") && has(&found, "/ip4/127.0.0.3/tcp/7"));
	found = resolve("/dns6/host.test/tcp/7", NULL);
	assert_int_equal(found.count, 1);
	assert_true(has(&found, "/ip6/::1/tcp/7"));
	found = resolve("/dns/host.test/tcp/7", NULL);
	assert_int_equal(found.count, 3);
	assert_int_equal(resolve("/dns4/nothing.test/tcp/7", NULL).err, -ENOENT);
	found = resolve("/ip4/1.2.3.4/tcp/7", NULL); /* no name: itself */
	assert_int_equal(found.count, 1);
}

static void dnsaddr_is_followed_for_the_peer(void **state)
{
	struct found found = resolve("/dnsaddr/boot.test", PEER_A);

	(void)state;
	assert_int_equal(found.count, 3);
	assert_true(has(&found, "/ip4/127.0.0.9/tcp/9") && has(&found, "/ip4/127.0.0.2/tcp/7") &&
		    has(&found, "/ip4/127.0.0.3/tcp/7"));
	found = resolve("/dnsaddr/boot.test", PEER_B);
	assert_int_equal(found.count, 1);
	assert_true(has(&found, "/ip4/127.0.0.8/tcp/8"));
}

static void dnsaddr_loop_ends_at_the_depth_limit(void **state)
{
	unsigned before = atomic_load(&server.asked);

	(void)state;
	assert_int_equal(resolve("/dnsaddr/loop.test", NULL).err, -ENOENT);
	assert_int_equal(atomic_load(&server.asked) - before, RESOLVE_DEPTH_MAX);
}

/* Who told it may have pointed it at us, or at our neighbours. */
static void heard_names_lead_to_public_addresses(void **state)
{
	struct found found = resolve_told("/dns/rebound.test/tcp/7", NULL, true);

	(void)state;
	assert_int_equal(found.count, 1);
	assert_true(has(&found, "/ip4/1.2.3.4/tcp/7"));
	assert_int_equal(resolve("/dns/rebound.test/tcp/7", NULL).count, 8); /* the user's */
	assert_int_equal(resolve_told("/dnsaddr/rebound.test", NULL, true).err, -ENOENT);
	assert_int_equal(resolve("/dnsaddr/rebound.test", NULL).count, 3);
}

static void heard_names_leave_slots_for_the_users(void **state)
{
	struct lab *lab = lab_new();
	struct resolver *resolver = resolver_new(lab_loop(lab));
	struct found heard[RESOLVE_HEARD_MAX + 1] = { 0 }, own = { 0 };
	struct multiaddr addr;
	bool over = false;

	(void)state;
	assert_int_equal(multiaddr_from_text(&addr, "/dns4/silent.test/tcp/1"), 0);
	for (size_t i = 0; i < ARRAY_LEN(heard); i++)
		resolve_start(resolver, &addr, NULL, true, lab_deadline(lab, 5000), on_found,
			      &heard[i]);
	lab_until(lab, &heard[RESOLVE_HEARD_MAX].done);
	assert_int_equal(heard[RESOLVE_HEARD_MAX].err, -EAGAIN);
	assert_int_equal(multiaddr_from_text(&addr, "/dns4/host.test/tcp/1"), 0);
	resolve_start(resolver, &addr, NULL, false, lab_deadline(lab, 5000), on_found, &own);
	lab_until(lab, &own.done);
	assert_int_equal(own.err, 0);
	for (size_t i = 0; i < RESOLVE_HEARD_MAX; i++)
		assert_int_not_equal(heard[i].err, -EAGAIN);
	resolver_close(resolver, closed, &over);
	lab_until(lab, &over);
	lab_free(lab);
}

struct outcome {
	bool done;
	int err;
};

static void note(void *ctx, int err)
{
	*(struct outcome *)ctx = (struct outcome){ true, err };
}

/* Through the whole of a dial: the name leads to addresses where nobody listens. */
static void a_dial_goes_through_a_name(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL);
	struct outcome outcome = { 0 };
	struct multiaddr addr;
	struct peer_id peer;

	(void)state;
	assert_int_equal(peer_id_from_text(&peer, PEER_A), 0);
	assert_int_equal(multiaddr_from_text(&addr, "/dns4/host.test/tcp/1/p2p/" PEER_A), 0);
	swarm_connect(a, &peer, &addr, 1, lab_deadline(lab, 5000), note, &outcome);
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, -ECONNREFUSED);
	outcome.done = false;
	swarm_connect_heard(a, &peer, &addr, 1, lab_deadline(lab, 5000), note, &outcome);
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, -EHOSTUNREACH);
	outcome.done = false;
	assert_int_equal(multiaddr_from_text(&addr, "/dns4/nothing.test/tcp/1"), 0);
	swarm_connect(a, &peer, &addr, 1, lab_deadline(lab, 5000), note, &outcome);
	lab_until(lab, &outcome.done);
	assert_int_equal(outcome.err, -EHOSTUNREACH);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(txt_records_are_joined),
		cmocka_unit_test(cancelled_and_closed_lookups_are_silent),
		cmocka_unit_test(hosts_become_addresses),
		cmocka_unit_test(dnsaddr_is_followed_for_the_peer),
		cmocka_unit_test(dnsaddr_loop_ends_at_the_depth_limit),
		cmocka_unit_test(heard_names_lead_to_public_addresses),
		cmocka_unit_test(heard_names_leave_slots_for_the_users),
		cmocka_unit_test(a_dial_goes_through_a_name),
	};
	return cmocka_run_group_tests_name("net/resolve", tests, setup, teardown);
}

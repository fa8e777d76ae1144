/* 1e5 announcements of one peer: quotas hold, a stranger cannot be announced, and who went beyond a
 * quota stays connected (advisories, row 25). */
#include "routing/kad/msg.h"
#include "routing/kad/providers.h"
#include "routing/kad/server.h"
#include "tests/routing/kad_lab.h"
#include "tests/routing/numbered.h"

#include <errno.h>

#define FLOOD 100000u

static size_t no_addrs(void *ctx, struct multiaddr *addrs, size_t max)
{
	(void)ctx;
	(void)addrs;
	(void)max;
	return 0;
}

struct desk {
	struct lab *lab;
	struct kad_filter filter;
	struct kad_buckets table;
	struct kad_providers providers;
	struct kad_server_view view;
};

static struct desk *desk_new(void)
{
	struct desk *desk = xnew(struct desk);

	desk->lab = lab_new();
	desk->filter = (struct kad_filter){ .lan = true, .keep_loopback = true };
	desk->view = (struct kad_server_view){ .swarm = lab_swarm(desk->lab, 1, NULL, NULL),
					       .filter = &desk->filter,
					       .table = &desk->table,
					       .providers = &desk->providers,
					       .own_addrs = no_addrs };
	kad_bucket_init(&desk->table, swarm_self(desk->view.swarm), 20);
	kad_providers_init(&desk->providers, NULL, "t", 1ull << 60, 0);
	return desk;
}

static void desk_free(struct desk *desk)
{
	kad_bucket_release(&desk->table);
	kad_providers_release(&desk->providers);
	lab_free(desk->lab);
	free(desk);
}

/* from says that provider has key. */
static int announce(struct desk *desk, const struct peer_id *from, struct bytes key,
		    const struct peer_id *provider)
{
	struct buf request = { 0 }, out = { 0 };
	struct multiaddr addr;
	int err;

	multiaddr_from_text(&addr, "/ip4/127.0.0.1/tcp/1");
	kad_msg_begin(&request, KAD_ADD_PROVIDER, key);
	kad_msg_peer(&request, KAD_PROVIDERS, provider, &addr, 1, KAD_NOT_CONNECTED, 1000);
	kad_msg_end(&request);
	err = kad_server_answer(&desk->view, from, buf_bytes(&request), &out);
	assert_int_equal(out.len, 0);
	buf_release(&request);
	buf_release(&out);
	return err;
}

static void one_peer_fills_its_quota_only(void **state)
{
	struct desk *desk = desk_new();
	struct peer_id one = peer_of(1), two = peer_of(2);
	uint8_t key[6];

	(void)state;
	for (uint32_t i = 0; i < FLOOD; i++)
		assert_int_equal(announce(desk, &one, key_of(i, key), &one), 0);
	assert_int_equal(desk->providers.count, KAD_PROVIDERS_PEER_MAX);
	assert_int_equal(kad_providers_keys(&desk->providers), KAD_PROVIDERS_PEER_MAX);
	/* Others are not hurt. */
	assert_int_equal(announce(desk, &two, key_of(FLOOD, key), &two), 0);
	assert_int_equal(desk->providers.count, KAD_PROVIDERS_PEER_MAX + 1);
	desk_free(desk);
}

static void many_peers_fill_the_total_only(void **state)
{
	struct desk *desk = desk_new();
	struct peer_id peer;
	uint8_t key[6];

	(void)state;
	for (uint32_t i = 0; i < FLOOD; i++) {
		peer = peer_of(i / 1000);
		assert_int_equal(announce(desk, &peer, key_of(i, key), &peer), 0);
	}
	assert_int_equal(desk->providers.count, KAD_PROVIDERS_TOTAL_MAX);
	desk_free(desk);
}

static void many_peers_fill_the_quota_of_a_key_only(void **state)
{
	struct desk *desk = desk_new();
	struct peer_id peer;
	uint8_t key[6];

	(void)state;
	for (uint32_t i = 0; i < KAD_PROVIDERS_KEY_MAX + 500; i++) {
		peer = peer_of(i);
		assert_int_equal(announce(desk, &peer, key_of(1, key), &peer), 0);
	}
	assert_int_equal(desk->providers.count, KAD_PROVIDERS_KEY_MAX);
	desk_free(desk);
}

static void nobody_announces_another(void **state)
{
	struct desk *desk = desk_new();
	struct peer_id one = peer_of(1), other;
	uint8_t key[6];

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		other = peer_of(2 + i);
		assert_int_equal(announce(desk, &one, key_of(i, key), &other), -EACCES);
	}
	assert_int_equal(desk->providers.count, 0);
	desk_free(desk);
}

/* Over the wire: all of more than the quota is sent, over one connection that stays. */
static void a_flood_is_no_reason_to_part(void **state)
{
	const uint32_t keys = KAD_PROVIDERS_PEER_MAX + 4000;
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb = kad_lab_node(b, NULL);
	struct kad_stats stats = { 0 };
	uint8_t key[6];

	(void)state;
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	for (uint32_t i = 0; i < keys; i++)
		assert_int_equal(kad_provide_start(rb, key_of(i, key)), 0);
	for (unsigned i = 0; i < 6000 && stats.provided < keys; i++) {
		lab_run(lab, 10);
		kad_stats(rb, &stats);
	}
	assert_int_equal(stats.provided, keys);
	assert_int_equal(stats.table_peers, 1);
	assert_true(stats.messages_sent < keys + 200);
	kad_stats(ra, &stats);
	assert_int_equal(stats.provider_keys, KAD_PROVIDERS_PEER_MAX);
	router_free(ra);
	router_free(rb);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_peer_fills_its_quota_only),
		cmocka_unit_test(many_peers_fill_the_total_only),
		cmocka_unit_test(many_peers_fill_the_quota_of_a_key_only),
		cmocka_unit_test(nobody_announces_another),
		cmocka_unit_test(a_flood_is_no_reason_to_part),
	};

	return cmocka_run_group_tests_name("routing/providers_flood", tests, NULL, NULL);
}

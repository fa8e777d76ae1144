/* More announcements than the store holds: one peer may fill it and gives way to others, a stranger
 * cannot be announced, and who goes beyond a limit stays connected and hears of it (advisories, row
 * 25). */
#include "routing/kad/kad.h"
#include "routing/kad/msg.h"
#include "routing/kad/providers.h"
#include "routing/kad/server.h"
#include "tests/routing/kad_lab.h"
#include "tests/routing/numbered.h"

#include <errno.h>

#define FLOOD (KAD_PROVIDERS_TOTAL_MAX + 9000u)
#define OTHERS 5000u
#define KEYS 30000u

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

/* In a small network one server keeps much of one provider. Nobody is kept out by that. */
static void one_peer_has_a_quarter_of_the_store_and_others_find_room(void **state)
{
	struct desk *desk = desk_new();
	struct peer_id one = peer_of(1), two = peer_of(2), got[2];
	uint8_t key[6];

	(void)state;
	for (uint32_t i = 0; i < FLOOD; i++)
		assert_int_equal(announce(desk, &one, key_of(i, key), &one), 0);
	assert_int_equal(desk->providers.count, KAD_PROVIDERS_PEER_MAX);
	assert_int_equal(kad_providers_keys(&desk->providers), KAD_PROVIDERS_PEER_MAX);
	assert_int_equal(desk->providers.refused, FLOOD - KAD_PROVIDERS_PEER_MAX);
	assert_int_equal(desk->providers.displaced, 0);
	for (uint32_t i = 0; i < OTHERS; i++) {
		assert_int_equal(announce(desk, &two, key_of(FLOOD + i, key), &two), 0);
		assert_int_equal(
			kad_providers_get(&desk->providers, key_of(FLOOD + i, key), 1, got, 2), 1);
	}
	assert_int_equal(desk->providers.count, KAD_PROVIDERS_PEER_MAX + OTHERS);
	assert_int_equal(desk->providers.displaced, 0);
	assert_int_equal(desk->providers.peers.count, 2);
	desk_free(desk);
}

/* Many that have the same fill it; a newcomer with less finds room as long as anybody has more. */
static void a_full_store_is_shared_evenly(void **state)
{
	struct desk *desk = desk_new();
	struct peer_id peer;
	uint8_t key[6];
	size_t kept = 0;

	(void)state;
	for (uint32_t i = 0; i < FLOOD; i++) {
		peer = peer_of(i / 1000);
		assert_int_equal(announce(desk, &peer, key_of(i, key), &peer), 0);
	}
	assert_int_equal(desk->providers.count, KAD_PROVIDERS_TOTAL_MAX);
	peer = peer_of(FLOOD);
	for (uint32_t i = 0; i < 2000; i++)
		assert_int_equal(announce(desk, &peer, key_of(FLOOD + i, key), &peer), 0);
	for (uint32_t i = 0; i < 2000; i++) {
		struct peer_id got[1];

		kept += kad_providers_get(&desk->providers, key_of(FLOOD + i, key), 1, got, 1);
	}
	assert_in_range(kept, 800, 1000);
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

struct pair {
	struct lab *lab;
	struct router *server, *provider;
	struct announcer *announcer; /* of the provider */
};

/* The server, and one that announces so many keys and is through with it. */
static struct pair pair_told(uint32_t keys, uint32_t full)
{
	struct pair pair = { .lab = lab_new() };
	struct swarm *a = lab_swarm(pair.lab, 1, NULL, NULL),
		     *b = lab_swarm(pair.lab, 2, NULL, NULL);
	struct kad_stats stats = { 0 };
	uint8_t key[6];

	pair.server = kad_lab_node(a, NULL);
	pair.provider = kad_lab_node(b, NULL);
	pair.announcer = kad_lab_announcer(pair.lab, pair.provider, NULL);
	for (uint32_t i = 0; i < full; i++) {
		struct peer_id peer = peer_of(i);

		assert_int_equal(kad_providers_add(&kad_of(pair.server)->providers,
						   key_of(KEYS + i, key), &peer, kad_wall_ms()),
				 0);
	}
	assert_int_equal(lab_connect(pair.lab, b, a), 0);
	kad_lab_peers(pair.lab, pair.provider, 1);
	for (uint32_t i = 0; i < keys; i++)
		assert_int_equal(announcer_start(pair.announcer, key_of(i, key)), 0);
	for (unsigned i = 0; i < 6000 && announced(pair.announcer).announced < keys; i++)
		lab_run(pair.lab, 10);
	assert_int_equal(announced(pair.announcer).announced, keys);
	kad_stats(pair.provider, &stats);
	assert_int_equal(stats.table_peers, 1);
	assert_true(stats.messages_sent < keys + 200);
	return pair;
}

static void pair_free(struct pair *pair)
{
	announcer_free(pair->announcer);
	router_close(pair->server, NULL, NULL);
	router_close(pair->provider, NULL, NULL);
	lab_free(pair->lab);
}

/* Over the wire, over one connection that stays. */
static void thirty_thousand_keys_of_one_provider_are_all_kept_by_one_server(void **state)
{
	struct pair pair = pair_told(KEYS, 0);
	struct kad_stats stats;

	(void)state;
	assert_true(announced(pair.announcer).confirmed > 0);
	assert_int_equal(announced(pair.announcer).unkept, 0);
	kad_stats(pair.server, &stats);
	assert_int_equal(stats.provider_keys, KEYS);
	assert_int_equal(stats.providers_refused, 0);
	pair_free(&pair);
}

static void a_provider_hears_that_a_full_server_keeps_nothing(void **state)
{
	struct pair pair = pair_told(100, KAD_PROVIDERS_TOTAL_MAX);
	struct kad_stats stats;

	(void)state;
	assert_true(announced(pair.announcer).unkept > 0);
	kad_stats(pair.server, &stats);
	assert_int_equal(stats.provider_records, KAD_PROVIDERS_TOTAL_MAX);
	assert_int_equal(stats.providers_refused, 100);
	assert_int_equal(stats.providers_displaced, 0);
	pair_free(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_peer_has_a_quarter_of_the_store_and_others_find_room),
		cmocka_unit_test(a_full_store_is_shared_evenly),
		cmocka_unit_test(many_peers_fill_the_quota_of_a_key_only),
		cmocka_unit_test(nobody_announces_another),
		cmocka_unit_test(thirty_thousand_keys_of_one_provider_are_all_kept_by_one_server),
		cmocka_unit_test(a_provider_hears_that_a_full_server_keeps_nothing),
	};

	return cmocka_run_group_tests_name("routing/providers_flood", tests, NULL, NULL);
}

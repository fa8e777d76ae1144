/* The record stores: ends of life, quotas, restarts; and what a server answers. */
#include "routing/kad/providers.h"

#include "net/db/db.h"
#include "routing/kad/msg.h"
#include "routing/kad/server.h"
#include "routing/kad/values.h"
#include "tests/routing/kad_lab.h"
#include "tests/routing/numbered.h"

#include <errno.h>
#include <stdio.h>

#define TTL 1000

static void records_expire(void **state)
{
	struct kad_providers store;
	struct peer_id one = peer_of(1), two = peer_of(2), got[4];
	uint8_t key[6];

	(void)state;
	kad_providers_init(&store, NULL, "t", TTL, 0);
	assert_int_equal(kad_providers_add(&store, bytes_of(NULL, 0), &one, 100), -EINVAL);
	assert_int_equal(kad_providers_add(&store, key_of(1, key), &one, 100), 0);
	assert_int_equal(kad_providers_add(&store, key_of(1, key), &two, 600), 0);
	assert_int_equal(kad_providers_get(&store, key_of(1, key), 100 + TTL - 1, got, 4), 2);
	assert_int_equal(kad_providers_get(&store, key_of(1, key), 100 + TTL, got, 4), 1);
	assert_true(peer_id_equal(&got[0], &two));
	/* Told again it lives on. */
	assert_int_equal(kad_providers_add(&store, key_of(1, key), &one, 700), 0);
	assert_int_equal(store.count, 2);
	assert_int_equal(kad_providers_get(&store, key_of(1, key), 1599, got, 4), 2);
	kad_providers_sweep(&store, 1650);
	assert_int_equal(store.count, 1);
	kad_providers_sweep(&store, 5000);
	assert_int_equal(store.count, 0);
	assert_int_equal(kad_providers_keys(&store), 0);
	assert_int_equal(store.peers.count, 0);
	kad_providers_release(&store);
}

static void records_over_the_quota_are_refused(void **state)
{
	struct kad_providers store;
	struct peer_id peer;
	uint8_t key[6];

	(void)state;
	kad_providers_init(&store, NULL, "t", TTL, 0);
	for (uint32_t i = 0; i < KAD_PROVIDERS_KEY_MAX; i++) {
		peer = peer_of(i);
		assert_int_equal(kad_providers_add(&store, key_of(1, key), &peer, 1), 0);
	}
	peer = peer_of(KAD_PROVIDERS_KEY_MAX);
	assert_int_equal(kad_providers_add(&store, key_of(1, key), &peer, 1), -EAGAIN);
	/* Room is made of those whose time is over. */
	assert_int_equal(kad_providers_add(&store, key_of(1, key), &peer, 1 + TTL), 0);
	/* Nobody has more than its one: a stranger finds no room, until a peer has more than the
	 * others. */
	for (uint32_t i = 0; store.count < KAD_PROVIDERS_TOTAL_MAX; i++) {
		struct peer_id other = peer_of(1000000 + i);

		assert_int_equal(
			kad_providers_add(&store, key_of(1000000 + i, key), &other, 1 + TTL), 0);
	}
	peer = peer_of(7000000);
	assert_int_equal(kad_providers_add(&store, key_of(8, key), &peer, 1 + TTL), -EAGAIN);
	assert_int_equal(store.refused, 2);
	assert_int_equal(store.count, KAD_PROVIDERS_TOTAL_MAX);
	/* A renewal needs none, and what is over makes some. */
	peer = peer_of(1000000);
	assert_int_equal(kad_providers_add(&store, key_of(1000000, key), &peer, 2 + TTL), 0);
	peer = peer_of(7000000);
	assert_int_equal(kad_providers_add(&store, key_of(8, key), &peer, 1 + 2 * TTL), 0);
	assert_int_equal(store.displaced, 0);
	kad_providers_release(&store);
}

static void records_that_have_not_expired_survive_a_restart(void **state)
{
	struct kad_providers store;
	struct peer_id one = peer_of(1), two = peer_of(2), got[4];
	struct db_txn *txn;
	struct db *db;
	uint8_t key[6];

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	kad_providers_init(&store, db, "t", TTL, 0);
	kad_providers_add(&store, key_of(1, key), &one, 100);
	kad_providers_add(&store, key_of(1, key), &two, 600);
	kad_providers_add(&store, key_of(2, key), &two, 600);
	kad_providers_remove(&store, key_of(2, key), &two);
	kad_providers_release(&store);
	assert_int_equal(db_post(db, "t", bytes_str("\x50garbage"), bytes_str("x")), 0);
	assert_int_equal(db_flush(db), 0);
	kad_providers_init(&store, db, "t", TTL, 1200);
	assert_int_equal(store.count, 1);
	assert_int_equal(kad_providers_get(&store, key_of(1, key), 1200, got, 4), 1);
	assert_true(peer_id_equal(&got[0], &two));
	kad_providers_release(&store);
	/* What was no good is gone from the table. */
	assert_int_equal(db_flush(db), 0);
	assert_int_equal(db_begin(db, false, &txn), 0);
	assert_int_equal(db_count(txn, "t"), 1);
	db_abort(txn);
	db_close(db);
}

/* ---- the server's answers ---- */

static size_t no_addrs(void *ctx, struct multiaddr *addrs, size_t max)
{
	(void)ctx;
	(void)addrs;
	(void)max;
	return 0;
}

static int answer(const struct kad_server_view *view, const struct peer_id *from,
		  enum kad_type type, struct bytes key, const struct peer_id *provider,
		  struct kad_msg *msg, struct buf *out)
{
	struct buf request = { 0 };
	struct multiaddr addr;
	int err;

	multiaddr_from_text(&addr, "/ip4/127.0.0.1/tcp/1");
	kad_msg_begin(&request, type, key);
	if (provider)
		kad_msg_peer(&request, KAD_PROVIDERS, provider, &addr, 1, KAD_NOT_CONNECTED, 1000);
	kad_msg_end(&request);
	buf_clear(out);
	err = kad_server_answer(view, from, buf_bytes(&request), out);
	if (err == 1)
		assert_int_equal(kad_msg_decode(msg, buf_bytes(out)), 0);
	buf_release(&request);
	return err;
}

static void a_server_believes_only_the_sender(void **state)
{
	struct lab *lab = lab_new();
	struct kad_filter filter = { .lan = true, .keep_loopback = true };
	struct kad_buckets table;
	struct kad_providers providers;
	struct kad_values values;
	struct kad_server_view view = { .swarm = lab_swarm(lab, 1, NULL, NULL),
					.filter = &filter,
					.table = &table,
					.providers = &providers,
					.values = &values,
					.own_addrs = no_addrs };
	struct peer_id one = peer_of(1), two = peer_of(2);
	struct buf out = { 0 };
	struct kad_msg msg;
	uint8_t key[6], huge[KAD_KEY_MAX + 1] = { 0 };

	(void)state;
	kad_bucket_init(&table, swarm_self(view.swarm), 20);
	kad_providers_init(&providers, NULL, "t", 1ull << 60, 0);
	kad_values_init(&values, NULL, "t", swarm_self(view.swarm), NULL, 0, 0);
	assert_int_equal(answer(&view, &one, KAD_ADD_PROVIDER, key_of(1, key), &two, &msg, &out),
			 -EACCES);
	assert_int_equal(answer(&view, &one, KAD_ADD_PROVIDER, key_of(1, key), NULL, &msg, &out),
			 -EACCES);
	assert_int_equal(answer(&view, &one, KAD_ADD_PROVIDER, bytes_of(huge, sizeof(huge)), &one,
				&msg, &out),
			 -EBADMSG);
	assert_int_equal(providers.count, 0);
	assert_int_equal(answer(&view, &one, KAD_ADD_PROVIDER, bytes_of(huge, KAD_KEY_MAX), &one,
				&msg, &out),
			 0);
	assert_int_equal(answer(&view, &one, KAD_ADD_PROVIDER, key_of(1, key), &one, &msg, &out),
			 0);
	assert_int_equal(answer(&view, &two, KAD_GET_PROVIDERS, key_of(1, key), NULL, &msg, &out),
			 1);
	assert_int_equal(msg.providers, 1);
	assert_true(bytes_equal(msg.key, key_of(1, key)));
	assert_int_equal(
		answer(&view, &two, KAD_GET_PROVIDERS, bytes_of(NULL, 0), NULL, &msg, &out),
		-EBADMSG);
	assert_int_equal(answer(&view, &two, KAD_FIND_NODE, bytes_of(NULL, 0), NULL, &msg, &out),
			 -EBADMSG);
	/* Known by its record though not in the table. */
	assert_int_equal(answer(&view, &two, KAD_FIND_NODE, peer_id_bytes(&one), NULL, &msg, &out),
			 1);
	assert_int_equal(msg.closer, 1);
	assert_int_equal(msg.key.len, 0);
	assert_int_equal(answer(&view, &two, KAD_PING, bytes_of(NULL, 0), NULL, &msg, &out), 1);
	assert_int_equal(msg.type, KAD_PING);
	assert_int_equal(answer(&view, &two, KAD_PUT_VALUE, key_of(1, key), NULL, &msg, &out),
			 -EBADMSG);
	assert_int_equal(answer(&view, &two, (enum kad_type)6, key_of(1, key), NULL, &msg, &out),
			 -EPROTO);
	/* So many providers that an answer holds not all: it stays small. */
	for (uint32_t i = 0; i < 900; i++) {
		struct peer_id peer = peer_of(i);

		kad_providers_add(&providers, key_of(1, key), &peer, 1);
	}
	assert_int_equal(answer(&view, &two, KAD_GET_PROVIDERS, key_of(1, key), NULL, &msg, &out),
			 1);
	assert_in_range(msg.providers, 100, 900);
	assert_true(out.len < KAD_OWN_MAX);
	buf_release(&out);
	kad_bucket_release(&table);
	kad_providers_release(&providers);
	kad_values_release(&values);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_expire),
		cmocka_unit_test(records_over_the_quota_are_refused),
		cmocka_unit_test(records_that_have_not_expired_survive_a_restart),
		cmocka_unit_test(a_server_believes_only_the_sender),
	};

	return cmocka_run_group_tests_name("routing/providers", tests, NULL, NULL);
}

#include "net/swarm/peerstore.h"

#include "net/base/alloc.h"
#include "net/db/db.h"
#include "net/net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct peer_id peer(uint8_t number)
{
	uint8_t seed[32] = { number };
	struct identity *identity = identity_from_seed(seed);
	struct peer_id id;

	peer_id_of_identity(&id, identity);
	identity_free(identity);
	return id;
}

/* A made-up id that is well-formed: sha2-256. */
static struct peer_id numbered(unsigned number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20 } };

	memcpy(id.bytes + 2, &number, sizeof(number));
	return id;
}

static struct multiaddr addr(unsigned port)
{
	struct multiaddr out;
	char text[64];

	snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u", port);
	assert_int_equal(multiaddr_from_text(&out, text), 0);
	return out;
}

static void addresses_end(void **state)
{
	struct timers *timers = timers_new();
	struct peerstore *store = peerstore_new(timers, NULL);
	struct peer_id a = peer(1);
	struct multiaddr one = addr(1), two = addr(2), out[4];

	(void)state;
	assert_int_equal(peerstore_certify(store, &a, 1, NULL, 0, 100), 0);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 0); /* known, and nowhere */
	peerstore_add(store, &a, &one, 100);
	peerstore_add(store, &a, &two, 200);
	peerstore_add(store, &a, &two, 50); /* the longer life stays */
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 2);
	timers_run(timers, 100);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 1);
	assert_true(multiaddr_equal(&out[0], &two));
	timers_run(timers, 200);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 0);
	peerstore_add(store, &a, &one, UINT64_MAX); /* saturates */
	timers_run(timers, 200 + PEERSTORE_TTL_MAX_MS);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 0);
	peerstore_free(store);
	timers_free(timers);
}

static void what_answered_comes_first_and_stays(void **state)
{
	struct timers *timers = timers_new();
	struct peerstore *store = peerstore_new(timers, NULL);
	struct peer_id a = peer(1);
	struct multiaddr good = addr(1), out[SWARM_PEER_ADDRS_MAX + 1];

	(void)state;
	peerstore_good(store, &a, &good);
	for (unsigned i = 2; i < 2 + 2 * SWARM_PEER_ADDRS_MAX; i++) {
		struct multiaddr other = addr(i);

		peerstore_add(store, &a, &other, 1000);
	}
	assert_int_equal(peerstore_addrs(store, &a, out, ARRAY_LEN(out)), SWARM_PEER_ADDRS_MAX);
	assert_true(multiaddr_equal(&out[0], &good));
	peerstore_drop(store, &a, &good);
	assert_int_equal(peerstore_addrs(store, &a, out, 1), 1);
	assert_false(multiaddr_equal(&out[0], &good));
	peerstore_free(store);
	timers_free(timers);
}

static void a_newer_record_replaces_an_older(void **state)
{
	struct timers *timers = timers_new();
	struct peerstore *store = peerstore_new(timers, NULL);
	struct peer_id a = peer(1);
	struct multiaddr one = addr(1), two = addr(2), out[4];

	(void)state;
	assert_int_equal(peerstore_certify(store, &a, 5, &one, 1, 1000), 0);
	assert_int_equal(peerstore_certify(store, &a, 4, &two, 1, 1000), -ESTALE);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 1);
	assert_true(multiaddr_equal(&out[0], &one));
	assert_int_equal(peerstore_certify(store, &a, 6, &two, 1, 1000), 0);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 1);
	assert_true(multiaddr_equal(&out[0], &two));
	peerstore_free(store);
	timers_free(timers);
}

static void peers_are_bounded(void **state)
{
	struct timers *timers = timers_new();
	struct peerstore *store = peerstore_new(timers, NULL);
	struct multiaddr one = addr(1), out[1];
	struct peer_id first = numbered(0), last = numbered(3 * PEERSTORE_PEERS_MAX - 1);

	(void)state;
	for (unsigned i = 0; i < 3 * PEERSTORE_PEERS_MAX; i++) {
		struct peer_id id = numbered(i);

		peerstore_add(store, &id, &one, 1000);
		if (i == PEERSTORE_PEERS_MAX - 1)
			assert_int_equal(peerstore_count(store), PEERSTORE_PEERS_MAX);
	}
	assert_int_equal(peerstore_count(store), PEERSTORE_PEERS_MAX);
	assert_int_equal(peerstore_addrs(store, &first, out, 1), 0);
	assert_int_equal(peerstore_addrs(store, &last, out, 1), 1);
	peerstore_free(store);
	timers_free(timers);
}

static void good_addresses_survive_a_restart(void **state)
{
	struct timers *timers = timers_new();
	struct peer_id a = peer(1), b = peer(2);
	struct multiaddr good = addr(1), heard = addr(2), out[4];
	struct peerstore *store;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	timers_run(timers, 12345);
	store = peerstore_new(timers, db);
	peerstore_add(store, &a, &heard, 60000);
	peerstore_certify(store, &a, 9, NULL, 0, 1000);
	peerstore_good(store, &a, &good);
	peerstore_add(store, &b, &heard, 60000);
	peerstore_free(store);
	assert_int_equal(db_flush(db), 0);
	timers_free(timers);

	timers = timers_new(); /* another clock */
	store = peerstore_new(timers, db);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 1);
	assert_true(multiaddr_equal(&out[0], &good));
	assert_int_equal(peerstore_addrs(store, &b, out, 4), 0);
	assert_int_equal(peerstore_certify(store, &a, 8, &heard, 1, 1000), -ESTALE);
	timers_run(timers, PEERSTORE_GOOD_MS + 1);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 0);
	peerstore_free(store);
	db_close(db);
	timers_free(timers);
}

static void bad_records_are_left_out(void **state)
{
	struct timers *timers = timers_new();
	struct peer_id a = peer(1);
	struct multiaddr out[4];
	struct peerstore *store;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	db_post(db, "peers", bytes_str("not a peer id"), bytes_str("x"));
	db_post(db, "peers", peer_id_bytes(&a), bytes_str("\x01\xff\xff\xff\x7f\x40zz"));
	assert_int_equal(db_flush(db), 0);
	store = peerstore_new(timers, db);
	assert_int_equal(peerstore_count(store), 0);
	assert_int_equal(peerstore_addrs(store, &a, out, 4), 0);
	peerstore_free(store);
	db_close(db);
	timers_free(timers);
}

/* Addresses that somebody made up push each other out, not those that answered. */
static void unproven_peers_push_out_only_unproven_ones(void **state)
{
	struct timers *timers = timers_new();
	struct peerstore *store = peerstore_new(timers, NULL);
	struct peer_id a = peer(1), b = peer(2);
	struct multiaddr one = addr(1), out[2];

	(void)state;
	peerstore_good(store, &a, &one);
	peerstore_add(store, &b, &one, 100);
	for (unsigned i = 0; i < 2 * PEERSTORE_PEERS_MAX; i++) {
		struct peer_id id = numbered(i);

		peerstore_add(store, &id, &one, 1000000);
	}
	assert_int_equal(peerstore_count(store), PEERSTORE_PEERS_MAX);
	assert_int_equal(peerstore_addrs(store, &a, out, 2), 1);
	assert_int_equal(peerstore_addrs(store, &b, out, 2), 0);
	/* When many have answered, the one not touched for longest goes, and there is room for
	 * news. */
	for (unsigned i = 0; i < 2 * PEERSTORE_PEERS_MAX; i++) {
		struct peer_id id = numbered(i);

		peerstore_good(store, &id, &one);
	}
	assert_int_equal(peerstore_count(store), PEERSTORE_PEERS_MAX);
	assert_int_equal(peerstore_addrs(store, &a, out, 2), 0);
	peerstore_add(store, &a, &one, 100);
	peerstore_add(store, &b, &one, 100);
	assert_int_equal(peerstore_addrs(store, &a, out, 2), 1);
	assert_int_equal(peerstore_addrs(store, &b, out, 2), 1);
	peerstore_free(store);
	timers_free(timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_end),
		cmocka_unit_test(what_answered_comes_first_and_stays),
		cmocka_unit_test(a_newer_record_replaces_an_older),
		cmocka_unit_test(peers_are_bounded),
		cmocka_unit_test(good_addresses_survive_a_restart),
		cmocka_unit_test(bad_records_are_left_out),
		cmocka_unit_test(unproven_peers_push_out_only_unproven_ones),
	};
	return cmocka_run_group_tests_name("net/peerstore", tests, NULL, NULL);
}

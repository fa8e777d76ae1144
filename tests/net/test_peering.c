/* Peers that stay, over real sockets: dialled again after losses and restarts, within limits. */
#include "net/peering/peering_private.h"

#include "net/base/alloc.h"
#include "net/base/wait.h"
#include "net/wire/varint.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <stdio.h>

struct known {
	struct peering_peer peers[PEERING_PEERS_MAX + PEERING_ASKED_MAX + 1];
	size_t count;
};

static void add_known(void *ctx, const struct peering_peer *peer)
{
	struct known *known = ctx;

	known->peers[known->count++] = *peer;
}

/* The caller frees it. */
static struct known *known_of(const struct peering *peering)
{
	struct known *known = xnew(struct known);

	peering_each(peering, add_known, known);
	return known;
}

static size_t count_of(const struct peering *peering)
{
	struct known *known = known_of(peering);
	size_t count = known->count;

	free(known);
	return count;
}

static void until_connected(struct lab *lab, struct swarm *swarm, const struct peer_id *peer,
			    bool connected)
{
	uint64_t end = lab_deadline(lab, LAB_WAIT_MS);

	while (swarm_is_connected(swarm, peer) != connected && lab_deadline(lab, 0) < end)
		loop_run_for(lab->loop, 5);
	assert_int_equal(swarm_is_connected(swarm, peer), connected);
}

static struct peer_id numbered(unsigned number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20 } };

	memcpy(id.bytes + 2, &number, sizeof(number));
	return id;
}

static struct multiaddr addr_of(unsigned port)
{
	struct multiaddr out;
	char text[64];

	snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u", port);
	assert_int_equal(multiaddr_from_text(&out, text), 0);
	return out;
}

/* A lab with two swarms, and a peering of the first. */
struct pair {
	struct lab *lab;
	struct swarm *near, *far;
	struct db *db;
	struct peering *peering;
};

static struct pair pair_new(void)
{
	struct pair pair = { .lab = lab_new() };

	assert_int_equal(db_open_temp(&pair.db), 0);
	pair.near = lab_swarm(pair.lab, 1, NULL, NULL);
	pair.far = lab_swarm(pair.lab, 2, NULL, NULL);
	pair.peering = peering_new(pair.near, pair.db);
	return pair;
}

static void pair_free(struct pair *pair)
{
	peering_free(pair->peering);
	lab_free(pair->lab);
	db_close(pair->db);
}

/* As a restart does: what is known afterwards comes from the table. */
static void pair_restart(struct pair *pair)
{
	peering_free(pair->peering);
	assert_int_equal(db_flush(pair->db), 0);
	pair->peering = peering_new(pair->near, pair->db);
}

static void added_peer_is_dialled_and_again_after_each_loss(void **state)
{
	struct pair pair = pair_new();
	const struct peer_id *far = swarm_self(pair.far);
	struct multiaddr addr = lab_addr(pair.far);

	(void)state;
	assert_int_equal(peering_add(pair.peering, far, &addr, 1, PEERING_ADDED), 0);
	lab_run(pair.lab, 50);
	assert_false(swarm_is_connected(pair.near, far)); /* not started */
	peering_start(pair.peering);
	until_connected(pair.lab, pair.near, far, true);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(swarm_disconnect(pair.far, swarm_self(pair.near)), 0);
		until_connected(pair.lab, pair.near, far, false);
		until_connected(pair.lab, pair.near, far, true);
	}
	pair_free(&pair);
}

static void kept_peer_is_dialled_after_a_restart(void **state)
{
	const unsigned reasons[] = { PEERING_ADDED, PEERING_ASKED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct pair pair = pair_new();
		const struct peer_id *far = swarm_self(pair.far);
		struct multiaddr addr = lab_addr(pair.far);

		assert_int_equal(peering_add(pair.peering, far, &addr, 1, reasons[i]), 0);
		pair_restart(&pair);
		assert_int_equal(count_of(pair.peering), 1);
		peering_start(pair.peering);
		until_connected(pair.lab, pair.near, far, true);
		pair_free(&pair);
	}
}

static void configured_peer_is_not_stored(void **state)
{
	struct pair pair = pair_new();
	struct multiaddr addr = lab_addr(pair.far);

	(void)state;
	assert_int_equal(peering_add(pair.peering, swarm_self(pair.far), &addr, 1, PEERING_CONFIG),
			 0);
	pair_restart(&pair);
	assert_int_equal(count_of(pair.peering), 0);
	pair_free(&pair);
}

static void peer_at_a_wrong_address_is_found_at_the_one_it_told(void **state)
{
	struct pair pair = pair_new();
	const struct peer_id *far = swarm_self(pair.far);
	struct multiaddr wrong = addr_of(1), addr = lab_addr(pair.far);

	(void)state;
	swarm_add_addr(pair.near, far, &addr, 60000);
	assert_int_equal(peering_add(pair.peering, far, &wrong, 1, PEERING_ADDED), 0);
	peering_start(pair.peering);
	until_connected(pair.lab, pair.near, far, true);
	pair_free(&pair);
}

static void kept_peer_is_protected_until_it_is_removed(void **state)
{
	struct pair pair = pair_new();
	const struct peer_id *far = swarm_self(pair.far);
	struct known *known;

	(void)state;
	assert_int_equal(peering_add(pair.peering, far, NULL, 0, PEERING_ADDED), 0);
	assert_int_equal(peering_add(pair.peering, far, NULL, 0, PEERING_ASKED), 0);
	assert_true(peering_remove(pair.peering, far, PEERING_ASKED));
	assert_false(peering_remove(pair.peering, far, PEERING_ASKED));
	known = known_of(pair.peering);
	assert_int_equal(known->count, 1);
	assert_int_equal(known->peers[0].why, PEERING_ADDED);
	free(known);
	assert_true(peering_remove(pair.peering, far, PEERING_ADDED));
	pair_restart(&pair);
	assert_int_equal(count_of(pair.peering), 0);
	assert_int_equal(peering_add(pair.peering, swarm_self(pair.near), NULL, 0, PEERING_ADDED),
			 -EINVAL);
	pair_free(&pair);
}

static void removed_peer_is_dialled_no_more(void **state)
{
	struct pair pair = pair_new();
	const struct peer_id *far = swarm_self(pair.far);
	struct multiaddr addr = lab_addr(pair.far);

	(void)state;
	peering_start(pair.peering);
	assert_int_equal(peering_add(pair.peering, far, &addr, 1, PEERING_ADDED), 0);
	until_connected(pair.lab, pair.near, far, true);
	assert_int_equal(swarm_disconnect(pair.near, far), 0);
	until_connected(pair.lab, pair.near, far, false);
	assert_true(peering_remove(pair.peering, far, PEERING_ADDED));
	lab_run(pair.lab, 2000); /* longer than the first delay with its jitter */
	assert_false(swarm_is_connected(pair.near, far));
	pair_free(&pair);
}

static void limit_of_added_peers_refuses_one_more(void **state)
{
	struct pair pair = pair_new();
	struct peer_id last = numbered(PEERING_PEERS_MAX);

	(void)state;
	for (unsigned i = 0; i < PEERING_PEERS_MAX; i++) {
		struct peer_id id = numbered(i);

		assert_int_equal(peering_add(pair.peering, &id, NULL, 0, PEERING_ADDED), 0);
	}
	assert_int_equal(peering_add(pair.peering, &last, NULL, 0, PEERING_ADDED), -EAGAIN);
	last = numbered(0); /* that one is there */
	assert_int_equal(peering_add(pair.peering, &last, NULL, 0, PEERING_CONFIG), 0);
	assert_int_equal(count_of(pair.peering), PEERING_PEERS_MAX);
	pair_free(&pair);
}

static void asked_peer_beyond_the_limit_displaces_the_oldest(void **state)
{
	struct pair pair = pair_new();
	struct known *known;
	struct peer_id first = numbered(0);

	(void)state;
	for (unsigned i = 0; i <= PEERING_ASKED_MAX; i++) {
		struct peer_id id = numbered(i);

		assert_int_equal(peering_add(pair.peering, &id, NULL, 0, PEERING_ASKED), 0);
	}
	pair_restart(&pair);
	known = known_of(pair.peering);
	assert_int_equal(known->count, PEERING_ASKED_MAX);
	for (size_t i = 0; i < known->count; i++)
		assert_false(peer_id_equal(&known->peers[i].id, &first));
	free(known);
	pair_free(&pair);
}

static void put_record(struct db *db, const struct peer_id *id, const struct kept *kept)
{
	struct buf out = { 0 };

	peering_record_encode(&out, kept);
	assert_int_equal(db_post(db, PEERING_TABLE, peer_id_bytes(id), buf_bytes(&out)), 0);
	assert_int_equal(db_flush(db), 0);
	buf_release(&out);
}

static void asked_peer_ends_thirty_days_after_its_last_connection(void **state)
{
	uint64_t wall = wallclock_ns() / 1000000;
	struct pair pair = pair_new();
	struct peer_id old = numbered(1), young = numbered(2);
	struct kept kept = { .why = PEERING_ASKED };
	struct known *known;

	(void)state;
	kept.good_ms = wall - PEERING_ASKED_MS - 1000;
	put_record(pair.db, &old, &kept);
	kept.good_ms = wall - PEERING_ASKED_MS + 3600000;
	put_record(pair.db, &young, &kept);
	pair_restart(&pair);
	peering_start(pair.peering);
	known = known_of(pair.peering);
	assert_int_equal(known->count, 1);
	assert_true(peer_id_equal(&known->peers[0].id, &young));
	free(known);
	pair_free(&pair);
}

static void recent_peer_is_tried_at_the_start_and_not_kept(void **state)
{
	struct pair pair = pair_new();
	const struct peer_id *far = swarm_self(pair.far);
	struct multiaddr addr = lab_addr(pair.far);
	struct kept kept = { .good_ms = 1, .learnt = &addr, .learnt_count = 1 };

	(void)state;
	put_record(pair.db, far, &kept);
	pair_restart(&pair);
	assert_int_equal(count_of(pair.peering), 0);
	peering_start(pair.peering);
	until_connected(pair.lab, pair.near, far, true);
	assert_int_equal(swarm_disconnect(pair.near, far), 0);
	lab_run(pair.lab, 2000);
	assert_false(swarm_is_connected(pair.near, far));
	pair_free(&pair);
}

static void record_round_trips(void **state)
{
	struct multiaddr given[] = { addr_of(1), addr_of(2) }, learnt[] = { addr_of(3) };
	struct kept kept = { .why = PEERING_ADDED | PEERING_CONFIG,
			     .good_ms = 1234567890123,
			     .given = given,
			     .given_count = 2,
			     .learnt = learnt,
			     .learnt_count = 1 };
	struct kept back = { 0 };
	struct buf out = { 0 };

	(void)state;
	peering_record_encode(&out, &kept);
	assert_int_equal(peering_record_decode(&back, buf_bytes(&out)), 0);
	assert_int_equal(back.why, PEERING_ADDED);
	assert_true(back.good_ms == kept.good_ms);
	assert_int_equal(back.given_count, 2);
	assert_int_equal(back.learnt_count, 1);
	assert_true(multiaddr_equal(&back.given[1], &given[1]));
	assert_true(multiaddr_equal(&back.learnt[0], &learnt[0]));
	free(back.given);
	free(back.learnt);
	buf_release(&out);
}

static int decode_err(struct bytes value)
{
	struct kept kept = { 0 };
	int err = peering_record_decode(&kept, value);

	free(kept.given);
	free(kept.learnt);
	return err;
}

static void record_that_is_cut_or_too_long_is_refused(void **state)
{
	struct multiaddr given[PEERING_GIVEN_MAX + 1];
	struct kept kept = { .why = PEERING_ADDED, .given = given };
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i <= PEERING_GIVEN_MAX; i++)
		given[i] = addr_of((unsigned)i + 1);
	kept.given_count = 1;
	peering_record_encode(&out, &kept);
	for (size_t cut = 0; cut < out.len; cut++)
		assert_int_equal(decode_err(bytes_of(out.at, cut)), cut == 2 ? 0 : -EBADMSG);
	out.len = 0;
	kept.given_count = PEERING_GIVEN_MAX;
	peering_record_encode(&out, &kept);
	assert_int_equal(decode_err(buf_bytes(&out)), 0);
	out.len = 0;
	kept.given_count = PEERING_GIVEN_MAX + 1;
	peering_record_encode(&out, &kept);
	assert_int_equal(decode_err(buf_bytes(&out)), -EBADMSG);
	buf_release(&out);
	assert_int_equal(decode_err(bytes_str("\x01\x01")), -EBADMSG); /* of the configuration */
	assert_int_equal(decode_err(bytes_str("\x08\x01")), -EBADMSG); /* unknown reason */
	assert_int_equal(decode_err(bytes_str("\x02\x01\x02\x00")), -EBADMSG);
}

static void record_that_is_bad_is_left_out(void **state)
{
	struct pair pair = pair_new();
	struct peer_id good = numbered(1), bad = numbered(2);
	struct kept kept = { .why = PEERING_ADDED };

	(void)state;
	put_record(pair.db, &good, &kept);
	assert_int_equal(db_post(pair.db, PEERING_TABLE, peer_id_bytes(&bad), bytes_str("\xff")),
			 0);
	assert_int_equal(db_post(pair.db, PEERING_TABLE, bytes_str("no id"), bytes_str("\x02\x01")),
			 0);
	assert_int_equal(db_flush(pair.db), 0);
	pair_restart(&pair);
	assert_int_equal(count_of(pair.peering), 1);
	pair_free(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(added_peer_is_dialled_and_again_after_each_loss),
		cmocka_unit_test(kept_peer_is_dialled_after_a_restart),
		cmocka_unit_test(configured_peer_is_not_stored),
		cmocka_unit_test(peer_at_a_wrong_address_is_found_at_the_one_it_told),
		cmocka_unit_test(kept_peer_is_protected_until_it_is_removed),
		cmocka_unit_test(removed_peer_is_dialled_no_more),
		cmocka_unit_test(limit_of_added_peers_refuses_one_more),
		cmocka_unit_test(asked_peer_beyond_the_limit_displaces_the_oldest),
		cmocka_unit_test(asked_peer_ends_thirty_days_after_its_last_connection),
		cmocka_unit_test(recent_peer_is_tried_at_the_start_and_not_kept),
		cmocka_unit_test(record_round_trips),
		cmocka_unit_test(record_that_is_cut_or_too_long_is_refused),
		cmocka_unit_test(record_that_is_bad_is_left_out),
	};

	return cmocka_run_group_tests_name("net/peering", tests, NULL, NULL);
}

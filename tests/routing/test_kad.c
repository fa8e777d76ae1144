/* Whole nodes over real sockets: providing, finding, values, restarts. */
#include "net/base/wait.h"
#include "net/db/db.h"
#include "net/wire/multihash.h"
#include "routing/kad/query_private.h"
#include "tests/routing/kad_lab.h"

#include <errno.h>

/* The multihash of a number. */
static struct bytes key_of(uint16_t number, uint8_t out[static 34])
{
	out[0] = 0x12;
	out[1] = 0x20;
	sha256(out + 2, bytes_of(&number, sizeof(number)));
	return bytes_of(out, 34);
}

static void search(struct lab *lab, struct router *router, struct bytes key, struct heard *heard)
{
	*heard = (struct heard){ 0 };
	assert_non_null(routing_find_providers(router, key, 0, lab_deadline(lab, 8000),
					       heard_provider, heard_done, heard));
	assert_false(heard->done);
	lab_until(lab, &heard->done);
}

/* Three nodes: b and c know only a. */
struct three {
	struct lab *lab;
	struct swarm *a, *b, *c;
	struct router *ra, *rb, *rc;
};

static struct three three_new(void)
{
	struct three t = { .lab = lab_new() };

	t.a = lab_swarm(t.lab, 1, NULL, NULL);
	t.b = lab_swarm(t.lab, 2, NULL, NULL);
	t.c = lab_swarm(t.lab, 3, NULL, NULL);
	t.ra = kad_lab_node(t.a, NULL);
	t.rb = kad_lab_node(t.b, NULL);
	t.rc = kad_lab_node(t.c, NULL);
	assert_int_equal(lab_connect(t.lab, t.b, t.a), 0);
	kad_lab_peers(t.lab, t.rb, 1);
	kad_lab_peers(t.lab, t.ra, 1);
	return t;
}

static void three_free(struct three *t)
{
	router_close(t->rc, NULL, NULL);
	router_close(t->rb, NULL, NULL);
	router_close(t->ra, NULL, NULL);
	lab_free(t->lab);
}

static void provider_is_found_by_a_third_node(void **state)
{
	struct three t = three_new();
	struct heard heard = { 0 };
	uint8_t key[34];

	(void)state;
	assert_non_null(routing_provide(t.rb, key_of(1, key), lab_deadline(t.lab, 5000), heard_done,
					&heard));
	lab_until(t.lab, &heard.done);
	assert_int_equal(heard.err, 0);
	assert_int_equal(heard.count, 1);
	lab_run(t.lab, 50);
	assert_int_equal(lab_connect(t.lab, t.c, t.a), 0);
	kad_lab_peers(t.lab, t.rc, 1);
	search(t.lab, t.rc, key_of(1, key), &heard);
	assert_int_equal(heard.err, 0);
	assert_int_equal(heard.found, 1);
	assert_true(peer_id_equal(&heard.peer, swarm_self(t.b)));
	assert_true(heard.addr_count >= 1);
	/* Nobody has that one, and that is said at once. */
	search(t.lab, t.rc, key_of(2, key), &heard);
	assert_int_equal(heard.err, 0);
	assert_int_equal(heard.found, 0);
	three_free(&t);
}

static void a_standing_announcement_waits_for_peers(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb = kad_lab_node(b, NULL);
	struct announcer *announcer = kad_lab_announcer(lab, rb, NULL);
	struct kad_stats stats;
	struct heard heard;
	uint8_t key[34];

	(void)state;
	for (uint8_t i = 0; i < 20; i++)
		assert_int_equal(announcer_start(announcer, key_of(i, key)), 0);
	lab_run(lab, 50);
	assert_int_equal(announced(announcer).pending, 20);
	assert_int_equal(announcer_stop(announcer, key_of(19, key)), 0);
	assert_int_equal(lab_connect(lab, b, a), 0);
	for (int i = 0; i < 500 && announced(announcer).announced < 19; i++)
		lab_run(lab, 10);
	assert_int_equal(announced(announcer).announced, 19);
	assert_int_equal(announced(announcer).pending, 0);
	lab_run(lab, 50);
	kad_stats(ra, &stats);
	assert_int_equal(stats.provider_keys, 19);
	search(lab, ra, key_of(7, key), &heard);
	assert_int_equal(heard.found, 1);
	search(lab, ra, key_of(19, key), &heard);
	assert_int_equal(heard.found, 0);
	announcer_free(announcer);
	router_close(ra, NULL, NULL);
	router_close(rb, NULL, NULL);
	lab_free(lab);
}

static void the_list_in_the_db_is_announced(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra, *rb;
	struct kad_stats stats = { 0 };
	struct announcer *announcer;
	struct db *db;
	struct db_txn *txn;
	uint8_t key[34];

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	ra = kad_lab_node(a, NULL);
	rb = kad_lab_node(b, db);
	announcer = kad_lab_announcer(lab, rb, db);
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	/* As another process does. */
	assert_int_equal(db_begin(db, true, &txn), 0);
	for (uint16_t i = 0; i < 700; i++)
		assert_int_equal(db_put(txn, "provide", key_of(i, key), bytes_of("", 0)), 0);
	assert_int_equal(db_commit(txn), 0);
	announcer_changed(announcer);
	for (int i = 0; i < 500 && stats.provider_keys < 700; i++) {
		lab_run(lab, 10);
		kad_stats(ra, &stats);
	}
	assert_int_equal(stats.provider_keys, 700);
	/* Looking again finds nothing due. */
	lab_run(lab, 100);
	assert_int_equal(db_flush(db), 0);
	uint64_t before = announced(announcer).announced;

	announcer_changed(announcer);
	lab_run(lab, 200);
	assert_int_equal(announced(announcer).announced, before);
	assert_int_equal(announced(announcer).pending, 0);
	announcer_free(announcer);
	router_close(ra, NULL, NULL);
	router_close(rb, NULL, NULL);
	lab_free(lab);
	db_close(db);
}

static void a_peer_is_found_and_dialled_by_its_id_alone(void **state)
{
	struct three t = three_new();
	struct heard heard = { 0 };
	struct lab_outcome outcome = { 0 };

	(void)state;
	routing_attach_finder(t.rc, t.c);
	assert_int_equal(lab_connect(t.lab, t.c, t.a), 0);
	kad_lab_peers(t.lab, t.rc, 1);
	assert_non_null(routing_find_peer(t.rc, swarm_self(t.b), lab_deadline(t.lab, 5000),
					  heard_peer, &heard));
	lab_until(t.lab, &heard.done);
	assert_int_equal(heard.err, 0);
	assert_true(peer_id_equal(&heard.peer, swarm_self(t.b)));
	assert_true(heard.addr_count >= 1);
	swarm_connect(t.c, swarm_self(t.b), NULL, 0, lab_deadline(t.lab, 5000), lab_on_done,
		      &outcome);
	lab_until(t.lab, &outcome.done);
	assert_int_equal(outcome.err, 0);
	/* One that does not exist. */
	struct peer_id nobody = *swarm_self(t.b);

	nobody.bytes[20] ^= 1;
	outcome.done = heard.done = false;
	routing_find_peer(t.rc, &nobody, lab_deadline(t.lab, 5000), heard_peer, &heard);
	lab_until(t.lab, &heard.done);
	assert_int_equal(heard.err, -ENOENT);
	swarm_connect(t.c, &nobody, NULL, 0, lab_deadline(t.lab, 5000), lab_on_done, &outcome);
	lab_until(t.lab, &outcome.done);
	assert_int_equal(outcome.err, -EHOSTUNREACH);
	three_free(&t);
}

static void an_empty_network_answers_at_once(void **state)
{
	struct lab *lab = lab_new();
	struct router *router = kad_lab_node(lab_swarm(lab, 1, NULL, NULL), NULL);
	struct heard heard;
	uint8_t key[34];

	(void)state;
	search(lab, router, key_of(1, key), &heard);
	assert_int_equal(heard.err, 0);
	heard = (struct heard){ 0 };
	routing_provide(router, key_of(1, key), lab_deadline(lab, 60000), heard_done, &heard);
	lab_until(lab, &heard.done);
	assert_int_equal(heard.err, -EHOSTUNREACH);
	router_close(router, NULL, NULL);
	lab_free(lab);
}

static void cancelling_is_silent_even_from_a_callback(void **state)
{
	struct three t = three_new();
	struct heard heard = { 0 }, quiet = { 0 };
	struct routing_query *queries[64];
	uint8_t key[34];

	(void)state;
	routing_provide(t.rb, key_of(1, key), lab_deadline(t.lab, 5000), heard_done, &heard);
	lab_until(t.lab, &heard.done);
	assert_int_equal(lab_connect(t.lab, t.c, t.a), 0);
	kad_lab_peers(t.lab, t.rc, 1);
	quiet.query = routing_find_providers(t.rc, key_of(1, key), 0, lab_deadline(t.lab, 5000),
					     heard_provider, heard_done, &quiet);
	for (int i = 0; i < 500 && !quiet.found; i++)
		lab_run(t.lab, 10);
	lab_run(t.lab, 50);
	assert_int_equal(quiet.found, 1);
	assert_false(quiet.done);
	quiet = (struct heard){ 0 };
	for (size_t i = 0; i < 64; i++)
		queries[i] = routing_find_providers(t.rc, key_of((uint16_t)i, key), 0,
						    lab_deadline(t.lab, 5000), heard_provider,
						    heard_done, &quiet);
	loop_run_for(t.lab->loop, 1);
	bool before = quiet.done;

	for (size_t i = 0; i < 64 && !before; i++)
		routing_cancel(queries[i]);
	lab_run(t.lab, 50);
	assert_true(quiet.done == before);
	three_free(&t);
}

static void values_are_kept_and_strangers_refused(void **state)
{
	struct three t = three_new();
	struct heard heard = { 0 };
	struct buf key = { 0 };
	struct public_key public;

	(void)state;
	buf_add_str(&key, "/pk/");
	buf_add(&key, peer_id_bytes(swarm_self(t.b)));
	assert_int_equal(peer_id_key(swarm_self(t.b), &public), 0);
	routing_put_value(t.rb, buf_bytes(&key), public_key_proto(&public),
			  lab_deadline(t.lab, 5000), heard_done, &heard);
	lab_until(t.lab, &heard.done);
	assert_int_equal(heard.err, 0);
	assert_int_equal(lab_connect(t.lab, t.c, t.a), 0);
	kad_lab_peers(t.lab, t.rc, 1);
	heard = (struct heard){ 0 };
	routing_get_value(t.rc, buf_bytes(&key), 0, lab_deadline(t.lab, 5000), heard_value,
			  heard_done, &heard);
	lab_until(t.lab, &heard.done);
	assert_int_equal(heard.err, 0);
	assert_int_equal(heard.found, 1);
	assert_true(bytes_equal(buf_bytes(&heard.value), public_key_proto(&public)));
	buf_release(&heard.value);
	heard = (struct heard){ 0 };
	routing_put_value(t.rc, bytes_str("/x/y"), bytes_str("z"), lab_deadline(t.lab, 5000),
			  heard_done, &heard);
	lab_until(t.lab, &heard.done);
	assert_int_equal(heard.err, -EKEYREJECTED);
	buf_release(&key);
	three_free(&t);
}

static unsigned checks, checks_asking;

/* Records of "n": digits, the greater the better. */
static int digit_validate(struct bytes key, struct bytes value, uint64_t wallclock_ns)
{
	(void)key;
	(void)wallclock_ns;
	checks++;
	return value.len == 1 ? 0 : -EBADMSG;
}

static int digit_compare(struct bytes a, struct bytes b)
{
	return a.at[0] - b.at[0];
}

static const struct record_rules digits = { "n", digit_validate, digit_compare, NULL };

/* From now on it is the servers who check: they are told the best. */
static void answered(void *ctx, int err, unsigned count)
{
	checks_asking = checks;
	heard_done(ctx, err, count);
}

/* Three nodes keep a value each; a fourth, which may check so many more signatures, asks. Returns
 * how many it checked. records_max is given on. */
static unsigned ask_three(const char *const values[3], unsigned checks_left, unsigned records_max,
			  struct heard *heard)
{
	struct kad_config config = kad_lab_config();
	struct lab *lab = lab_new();
	struct swarm *swarms[4];
	struct router *routers[4];
	struct kad_query *query;

	config.rules = &digits;
	config.rules_count = 1;
	for (uint8_t i = 0; i < 4; i++) {
		swarms[i] = lab_swarm(lab, i + 1, NULL, NULL);
		routers[i] = kad_new(swarms[i], NULL, &config);
		if (i < 3)
			assert_int_equal(kad_values_put(&kad_of(routers[i])->values,
							bytes_str("/n/1"), bytes_str(values[i]),
							swarm_self(swarms[i]), wallclock_ns()),
					 0);
	}
	for (uint8_t i = 0; i < 3; i++)
		assert_int_equal(lab_connect(lab, swarms[3], swarms[i]), 0);
	kad_lab_peers(lab, routers[3], 3);
	checks = 0;
	query = (struct kad_query *)routing_get_value(routers[3], bytes_str("/n/1"), records_max,
						      lab_deadline(lab, 5000), heard_value,
						      answered, heard);
	query->checks = KAD_VALUE_CHECKS_MAX - checks_left;
	lab_until(lab, &heard->done);
	for (uint8_t i = 0; i < 4; i++)
		router_close(routers[i], NULL, NULL);
	lab_free(lab);
	return checks_asking;
}

static void value_told_by_many_is_checked_once(void **state)
{
	const char *const same[] = { "5", "5", "5" }, *const others[] = { "5", "6", "7" };
	struct heard heard = { 0 };

	(void)state;
	assert_int_equal(ask_three(same, KAD_VALUE_CHECKS_MAX, 0, &heard), 1);
	assert_int_equal(heard.count, 3);
	buf_release(&heard.value);
	/* Whatever is told: so many and no more. What was checked is the answer. */
	heard = (struct heard){ 0 };
	assert_int_equal(ask_three(others, 2, 0, &heard), 2);
	assert_int_equal(heard.err, 0);
	assert_int_equal(heard.count, 2);
	buf_release(&heard.value);
	heard = (struct heard){ 0 };
	assert_int_equal(ask_three(others, 0, 0, &heard), 0);
	assert_int_equal(heard.err, -ENOENT);
}

static void search_ends_after_as_many_records_as_are_enough(void **state)
{
	const char *const same[] = { "5", "5", "5" };

	(void)state;
	for (unsigned enough = 1; enough <= 3; enough++) {
		struct heard heard = { 0 };

		ask_three(same, KAD_VALUE_CHECKS_MAX, enough, &heard);
		assert_int_equal(heard.err, 0);
		assert_int_equal(heard.count, enough);
		buf_release(&heard.value);
	}
}

static void the_table_survives_a_restart(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb;
	struct kad_stats stats;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	rb = kad_lab_node(b, db);
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	router_close(rb, NULL, NULL);
	swarm_disconnect(b, swarm_self(a));
	lab_run(lab, 50);
	assert_int_equal(db_flush(db), 0);
	rb = kad_lab_node(b, db);
	kad_stats(rb, &stats);
	assert_int_equal(stats.table_peers, 1);
	router_close(rb, NULL, NULL);
	router_close(ra, NULL, NULL);
	lab_free(lab);
	db_close(db);
}

static void client_does_not_enter_the_table_of_others(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb = kad_lab_node(b, NULL);
	struct kad_stats stats;

	(void)state;
	kad_set_mode(rb, KAD_CLIENT);
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_lab_peers(lab, rb, 1);
	lab_run(lab, 100);
	kad_stats(ra, &stats);
	assert_int_equal(stats.table_peers, 0);
	/* By identify push it is heard that this changed. */
	kad_set_mode(rb, KAD_SERVER);
	kad_lab_peers(lab, ra, 1);
	router_close(rb, NULL, NULL);
	router_close(ra, NULL, NULL);
	lab_free(lab);
}

static void the_bootstrap_list_is_dialled(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = kad_lab_node(a, NULL), *rb;
	struct kad_config config = kad_lab_config();
	struct multiaddr addr = lab_addr(a);

	(void)state;
	assert_int_equal(multiaddr_add_peer(&addr, swarm_self(a)), 0);
	config.bootstrap = &addr;
	config.bootstrap_count = 1;
	rb = kad_new(b, NULL, &config);
	kad_lab_peers(lab, rb, 1);
	router_close(rb, NULL, NULL);
	router_close(ra, NULL, NULL);
	lab_free(lab);
}

/* Peers that are gone cost a search no time beside the dial's, and start no searches of their own.
 */
static void dead_peers_are_passed_over(void **state)
{
	struct three t = three_new();
	struct heard heard;
	struct kad_stats stats;
	uint8_t key[34];

	(void)state;
	routing_attach_finder(t.rc, t.c);
	assert_int_equal(lab_connect(t.lab, t.c, t.a), 0);
	kad_lab_peers(t.lab, t.rc, 1);
	router_close(t.rb, NULL, NULL);
	lab_close(t.lab, t.b);
	search(t.lab, t.rc, key_of(1, key), &heard);
	assert_int_equal(heard.err, 0);
	assert_int_equal(heard.found, 0);
	kad_stats(t.rc, &stats);
	assert_int_equal(stats.queries, 1);
	assert_int_equal(stats.table_peers, 1);
	t.rb = NULL;
	three_free(&t);
}

/* Thirty nodes that know only the first: each provides a key, and each finds its neighbour's. */
static void thirty_nodes_find_each_others_keys(void **state)
{
	enum { CROWD = 30 };
	struct lab *lab = lab_new();
	struct swarm *swarms[CROWD];
	struct router *routers[CROWD];
	struct heard heard[CROWD] = { 0 };
	uint8_t key[34];

	(void)state;
	for (uint8_t i = 0; i < CROWD; i++) {
		swarms[i] = lab_swarm(lab, i + 1, NULL, NULL);
		routers[i] = kad_lab_node(swarms[i], NULL);
		if (i == 0)
			continue;
		assert_int_equal(lab_connect(lab, swarms[i], swarms[0]), 0);
		kad_lab_peers(lab, routers[i], 1);
	}
	for (uint8_t i = 0; i < CROWD; i++)
		routing_provide(routers[i], key_of(i, key), lab_deadline(lab, 9000), heard_done,
				&heard[i]);
	for (uint8_t i = 0; i < CROWD; i++) {
		lab_until(lab, &heard[i].done);
		assert_int_equal(heard[i].err, 0);
	}
	lab_run(lab, 100);
	for (uint8_t i = 0; i < CROWD; i++) {
		search(lab, routers[(i + 1) % CROWD], key_of(i, key), &heard[i]);
		assert_int_equal(heard[i].err, 0);
		assert_int_equal(heard[i].found, 1);
		assert_true(peer_id_equal(&heard[i].peer, swarm_self(swarms[i])));
	}
	for (uint8_t i = 0; i < CROWD; i++)
		router_close(routers[i], NULL, NULL);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(provider_is_found_by_a_third_node),
		cmocka_unit_test(a_standing_announcement_waits_for_peers),
		cmocka_unit_test(the_list_in_the_db_is_announced),
		cmocka_unit_test(a_peer_is_found_and_dialled_by_its_id_alone),
		cmocka_unit_test(an_empty_network_answers_at_once),
		cmocka_unit_test(cancelling_is_silent_even_from_a_callback),
		cmocka_unit_test(values_are_kept_and_strangers_refused),
		cmocka_unit_test(value_told_by_many_is_checked_once),
		cmocka_unit_test(search_ends_after_as_many_records_as_are_enough),
		cmocka_unit_test(the_table_survives_a_restart),
		cmocka_unit_test(client_does_not_enter_the_table_of_others),
		cmocka_unit_test(the_bootstrap_list_is_dialled),
		cmocka_unit_test(dead_peers_are_passed_over),
		cmocka_unit_test(thirty_nodes_find_each_others_keys),
	};

	return cmocka_run_group_tests_name("routing/kad", tests, NULL, NULL);
}

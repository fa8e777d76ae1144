/* Whether a node that decides by itself serves, and that others hear of it. */
#include "net/swarm/swarm.h"
#include "routing/kad/kad.h"
#include "tests/routing/kad_lab.h"

static struct router *node(struct swarm *swarm, bool keep_loopback)
{
	struct kad_config config = kad_lab_config();

	config.mode = KAD_AUTO;
	config.keep_loopback = keep_loopback;
	return kad_new(swarm, NULL, &config);
}

static bool serves(const struct router *router)
{
	struct kad_stats stats;

	kad_stats(router, &stats);
	return stats.serving;
}

static unsigned peers_of(const struct router *router)
{
	struct kad_stats stats;

	kad_stats(router, &stats);
	return stats.table_peers;
}

static void await_none(struct lab *lab, const struct router *router)
{
	for (int i = 0; i < 500 && peers_of(router) > 0; i++)
		lab_run(lab, 10);
	assert_int_equal(peers_of(router), 0);
}

static void inbound_connection_makes_a_server_for_a_time(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL),
		     *c = lab_swarm(lab, 3, NULL, NULL);
	struct router *ra = node(a, true), *rb = kad_lab_node(b, NULL);
	struct kad_reach *reach = &kad_of(ra)->reach;

	(void)state;
	assert_false(serves(ra));
	/* That we reach others says nothing. */
	assert_int_equal(lab_connect(lab, a, b), 0);
	kad_lab_peers(lab, ra, 1);
	kad_reach_look(kad_of(ra));
	lab_run(lab, 50);
	assert_false(serves(ra));
	assert_int_equal(peers_of(rb), 0);
	/* One comes to us: b, long connected, is told. */
	assert_int_equal(lab_connect(lab, c, a), 0);
	kad_lab_peers(lab, rb, 1);
	assert_true(serves(ra));
	/* It has gone, which is well for a while. */
	lab_close(lab, c);
	lab_run(lab, 50);
	kad_reach_look(kad_of(ra));
	assert_true(serves(ra));
	reach->seen_ms -= KAD_REACH_MS;
	kad_reach_look(kad_of(ra));
	assert_false(serves(ra));
	await_none(lab, rb);
	router_close(ra, NULL, NULL);
	router_close(rb, NULL, NULL);
	lab_free(lab);
}

static void inbound_connection_from_nearby_does_not_count_in_the_wide_network(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = node(a, false);

	(void)state;
	assert_int_equal(lab_connect(lab, b, a), 0);
	kad_reach_look(kad_of(ra));
	assert_false(serves(ra));
	router_close(ra, NULL, NULL);
	lab_free(lab);
}

static void mode_that_was_set_is_not_changed_by_connections(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct router *ra = node(a, true);
	struct kad_stats stats;

	(void)state;
	kad_set_mode(ra, KAD_CLIENT);
	assert_int_equal(lab_connect(lab, b, a), 0);
	lab_run(lab, 20);
	assert_false(serves(ra));
	kad_set_mode(ra, KAD_SERVER);
	assert_true(serves(ra));
	kad_stats(ra, &stats);
	assert_false(stats.automatic);
	/* Back to itself it sees at once who is there. */
	kad_set_mode(ra, KAD_CLIENT);
	kad_set_mode(ra, KAD_AUTO);
	assert_true(serves(ra));
	kad_stats(ra, &stats);
	assert_true(stats.automatic);
	router_close(ra, NULL, NULL);
	lab_free(lab);
}

/* Those who tried know better than who happened to come. */
static void autonat_verdict_decides_in_the_wide_network(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct kad_config config = kad_lab_config();
	struct router *near = node(a, true), *wide;

	(void)state;
	config.mode = KAD_AUTO;
	config.lan = config.keep_loopback = false;
	config.protocol = "/test/kad/1.0.0";
	wide = kad_new(a, NULL, &config);
	assert_false(serves(wide));
	swarm_set_reach(a, REACH_PUBLIC, NULL, 0);
	assert_true(serves(wide));
	assert_false(serves(near));
	assert_int_equal(lab_connect(lab, b, a), 0);
	lab_run(lab, 20);
	assert_true(serves(near));
	swarm_set_reach(a, REACH_PRIVATE, NULL, 0);
	assert_false(serves(wide));
	assert_true(serves(near));
	/* Nobody knows any more: back to who has come, of whom none is of the wide net. */
	kad_of(wide)->reach.reached = true;
	kad_of(wide)->reach.seen_ms = kad_now(kad_of(wide));
	kad_reach_look(kad_of(wide));
	assert_false(serves(wide));
	swarm_set_reach(a, REACH_UNKNOWN, NULL, 0);
	assert_true(serves(wide));
	router_close(near, NULL, NULL);
	router_close(wide, NULL, NULL);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inbound_connection_makes_a_server_for_a_time),
		cmocka_unit_test(inbound_connection_from_nearby_does_not_count_in_the_wide_network),
		cmocka_unit_test(mode_that_was_set_is_not_changed_by_connections),
		cmocka_unit_test(autonat_verdict_decides_in_the_wide_network),
	};

	return cmocka_run_group_tests_name("routing/reach", tests, NULL, NULL);
}

#include "routing/kad/near.h"

#include "tests/routing/kad_lab.h"

struct tagged {
	const struct peer_id *peer;
	unsigned count;
	int worth;
};

static int look(void *ctx, const struct swarm_peer *peer)
{
	struct tagged *tagged = ctx;

	tagged->count += peer->worth == KAD_NEAR_WORTH && strstr(peer->tags, KAD_LAB_PROTOCOL "=5");
	if (tagged->peer && peer_id_equal(&peer->id, tagged->peer))
		tagged->worth = peer->worth;
	return 0;
}

static struct tagged look_at(struct swarm *swarm, const struct peer_id *peer)
{
	struct tagged tagged = { .peer = peer };

	swarm_each_peer(swarm, look, &tagged);
	return tagged;
}

static unsigned tagged_until(struct lab *lab, struct swarm *swarm, unsigned count)
{
	for (int i = 0; i < 500 && look_at(swarm, NULL).count != count; i++)
		lab_run(lab, 10);
	return look_at(swarm, NULL).count;
}

static void the_nearest_of_the_table_are_worth_more(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *hub = lab_swarm(lab, 1, NULL, NULL);
	struct router *router = kad_lab_node(hub, NULL), *others[2];
	struct swarm *swarms[2];
	struct tagged tagged;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		swarms[i] = lab_swarm(lab, (uint8_t)(i + 2), NULL, NULL);
		others[i] = kad_lab_node(swarms[i], NULL);
		assert_int_equal(lab_connect(lab, swarms[i], hub), 0);
	}
	struct swarm *idle = lab_swarm(lab, 9, NULL, NULL);

	assert_int_equal(lab_connect(lab, idle, hub), 0);
	kad_lab_peers(lab, router, 2);
	assert_int_equal(tagged_until(lab, hub, 2), 2);
	assert_int_equal(look_at(hub, swarm_self(idle)).worth, 0);
	/* One that serves no more is in the table no more, and worth nothing. */
	kad_set_mode(others[0], KAD_CLIENT);
	assert_int_equal(tagged_until(lab, hub, 1), 1);
	tagged = look_at(hub, swarm_self(swarms[0]));
	assert_int_equal(tagged.worth, 0);
	router_close(router, NULL, NULL);
	assert_int_equal(look_at(hub, NULL).count, 0);
	router_close(others[0], NULL, NULL);
	router_close(others[1], NULL, NULL);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_of_the_table_are_worth_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

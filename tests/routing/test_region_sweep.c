/* One region announced over real sockets: everybody is told, whoever is dead is passed over. */
#include "routing/kad/region_sweep.h"

#include "net/wire/multihash.h"
#include "routing/kad/kad.h"
#include "tests/routing/kad_lab.h"

#include <errno.h>

#define NODES 6
#define KEYS 500

static struct bytes key_of(uint16_t number, uint8_t out[static 34])
{
	out[0] = 0x12;
	out[1] = 0x20;
	sha256(out + 2, bytes_of(&number, sizeof(number)));
	return bytes_of(out, 34);
}

/* The last of the nodes announces; all know only the first until they ask it. */
struct field {
	struct lab *lab;
	struct swarm *swarms[NODES];
	struct router *routers[NODES];
	struct router *own;
	struct due_set set;
	struct kad_region_sweep sweep;
	unsigned told;
	size_t failed;
	bool done;
};

static void on_told(void *ctx, struct due_key *key)
{
	struct field *field = ctx;

	assert_false(key->gone);
	field->told++;
}

static void on_done(void *ctx, size_t failed)
{
	struct field *field = ctx;

	field->failed = failed;
	field->done = true;
}

static struct field *field_new(unsigned keys)
{
	struct field *field = xnew(struct field);
	struct place_region all = { 0 };
	uint8_t key[34];

	field->lab = lab_new();
	for (uint8_t i = 0; i < NODES; i++) {
		field->swarms[i] = lab_swarm(field->lab, i + 1, NULL, NULL);
		field->routers[i] = kad_lab_node(field->swarms[i], NULL);
		if (i == 0)
			continue;
		assert_int_equal(lab_connect(field->lab, field->swarms[i], field->swarms[0]), 0);
		kad_lab_peers(field->lab, field->routers[i], 1);
	}
	kad_lab_peers(field->lab, field->routers[0], NODES - 1);
	field->own = field->routers[NODES - 1];
	for (uint16_t i = 0; i < keys; i++)
		assert_int_equal(due_add(&field->set, key_of(i, key)), 0);
	kad_region_sweep_init(&field->sweep, kad_of(field->own), &field->set, &all, on_told,
			      on_done, field);
	return field;
}

static void field_start(struct field *field)
{
	struct place_region all = { 0 };

	kad_region_sweep_start(&field->sweep, due_next(&field->set, &all, &all.id));
	assert_false(field->done);
}

static void field_free(struct field *field)
{
	kad_region_sweep_stop(&field->sweep);
	due_release(&field->set);
	for (unsigned i = NODES; i-- > 0;)
		router_close(field->routers[i], NULL, NULL);
	lab_free(field->lab);
	free(field);
}

static uint64_t keys_at(struct router *router)
{
	struct kad_stats stats;

	kad_stats(router, &stats);
	return stats.provider_keys;
}

static void every_peer_is_told_every_key(void **state)
{
	struct field *field = field_new(KEYS);
	struct kad_stats stats;

	(void)state;
	field_start(field);
	lab_until(field->lab, &field->done);
	assert_int_equal(field->failed, 0);
	assert_int_equal(field->told, KEYS);
	assert_int_equal(field->set.count, 0);
	for (unsigned i = 0; i < NODES - 1; i++)
		assert_int_equal(keys_at(field->routers[i]), KEYS);
	/* A lookup or two, then each key once to each, and a question behind. */
	kad_stats(field->own, &stats);
	assert_in_range(stats.messages_sent, (NODES - 1) * KEYS, (NODES - 1) * (KEYS + 20));
	field_free(field);
}

static void a_lone_key_takes_one_lookup(void **state)
{
	struct field *field = field_new(1);

	(void)state;
	field_start(field);
	lab_until(field->lab, &field->done);
	assert_int_equal(field->told, 1);
	for (unsigned i = 0; i < NODES - 1; i++)
		assert_int_equal(keys_at(field->routers[i]), 1);
	field_free(field);
}

static void unreachable_peers_are_passed_over(void **state)
{
	struct field *field = field_new(KEYS);

	(void)state;
	router_close(field->routers[2], NULL, NULL);
	field->routers[2] = NULL;
	lab_close(field->lab, field->swarms[2]);
	field_start(field);
	lab_until(field->lab, &field->done);
	assert_int_equal(field->failed, 0);
	assert_int_equal(field->told, KEYS);
	for (unsigned i = 0; i < NODES - 1; i++)
		if (field->routers[i])
			assert_int_equal(keys_at(field->routers[i]), KEYS);
	field_free(field);
}

static void without_peers_all_keys_wait(void **state)
{
	struct field *field = field_new(KEYS);
	struct place_region all = { 0 };

	(void)state;
	for (unsigned i = 0; i < NODES - 1; i++) {
		router_close(field->routers[i], NULL, NULL);
		field->routers[i] = NULL;
		lab_close(field->lab, field->swarms[i]);
	}
	field_start(field);
	lab_until(field->lab, &field->done);
	assert_int_equal(field->failed, KEYS);
	assert_int_equal(field->told, 0);
	assert_int_equal(field->set.count, KEYS);
	assert_null(due_next(&field->set, &all, &all.id));
	due_retry(&field->set);
	assert_int_equal(due_take(&field->set, &all, NULL, 2 * KEYS), KEYS);
	field_free(field);
}

/* Whatever is withdrawn, and wherever it is stopped: nothing stays held. */
static void withdrawing_keys_at_any_time_leaves_none_held(void **state)
{
	struct place_region all = { 0 };
	uint8_t key[34];

	(void)state;
	for (unsigned turns = 1; turns < 60; turns += 6) {
		struct field *field = field_new(100);

		field_start(field);
		for (unsigned i = 0; i < turns && !field->done; i++)
			loop_run_for(field->lab->loop, 1);
		for (uint16_t i = 0; i < 50; i++) {
			struct due_key *one = due_find(&field->set, key_of(i, key));

			if (one)
				due_drop(&field->set, one);
		}
		if (turns % 4 == 1) {
			kad_region_sweep_stop(&field->sweep);
			assert_int_equal(due_take(&field->set, &all, NULL, 1000), field->set.count);
			assert_true(field->set.count <= 50);
		} else {
			lab_until(field->lab, &field->done);
			assert_int_equal(field->set.count, 0);
		}
		field_free(field);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_peer_is_told_every_key),
		cmocka_unit_test(a_lone_key_takes_one_lookup),
		cmocka_unit_test(unreachable_peers_are_passed_over),
		cmocka_unit_test(without_peers_all_keys_wait),
		cmocka_unit_test(withdrawing_keys_at_any_time_leaves_none_held),
	};

	return cmocka_run_group_tests_name("routing/region_sweep", tests, NULL, NULL);
}

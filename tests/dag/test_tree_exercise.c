/* Random work on a tree against a model: every step gives what POSIX says, and after cuts,
 * versions, collections and opening again the tree is the model. EXERCISE_STEPS and EXERCISE_SEED
 * (environment) make it longer, or another: `make exercise`. */
#include "tests/dag/exercise.h"

#include <inttypes.h>

#include <cmocka.h>

#define STEPS 4000

static uint64_t from_environment(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : usual;
}

static void compare(struct exercise *ex)
{
	char why[512] = "";

	if (!exercise_same(ex, why))
		fail_msg("step %" PRIu64 ": %s", ex->step, why);
}

/* Steps that no model knows of. */
static void beside(struct exercise *ex, uint64_t chance)
{
	struct tree_room *room = ex->room;
	struct sweep_source source = sweep_shares(room->work);
	struct tree_version version;
	uint64_t removed, freed;

	if (chance < 20) {
		assert_int_equal(tree_sync(room->tree, &room->wait), 0);
	} else if (chance < 26) {
		assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	} else if (chance < 29) {
		assert_int_equal(dag_sweep(room->store, &source, 1, &room->wait, NULL, NULL,
					   &removed, &freed),
				 0);
	} else if (chance < 33) {
		exercise_close_all(ex);
		room_reopen(room);
		compare(ex);
	}
}

static void random_work_gives_what_a_model_gives(void **state)
{
	struct tree_room *room = *state;
	uint64_t steps = from_environment("EXERCISE_STEPS", STEPS);
	struct exercise ex = { .room = room };
	uint64_t chance;
	struct model other = { .random = 99 };

	ex.model.random = from_environment("EXERCISE_SEED", 1) * 0x9e3779b97f4a7c15u | 1;
	for (uint64_t i = 0; i < steps; i++) {
		wait_start(&room->wait, 60000);
		exercise_step(&ex);
		chance = model_random(&other, 1000);
		beside(&ex, chance);
		if (i % 500 == 499)
			compare(&ex);
	}
	exercise_close_all(&ex);
	compare(&ex);
	model_release(&ex.model);
}

static void versions_of_random_work_have_the_roots_of_adding(void **state)
{
	struct tree_room *room = *state;
	struct exercise ex = { .room = room };
	struct tree_version version;

	ex.model.random = from_environment("EXERCISE_SEED", 1) * 0x9e3779b97f4a7c15u | 7;
	for (int round = 0; round < 12; round++) {
		wait_start(&room->wait, 60000);
		for (int i = 0; i < 60; i++)
			exercise_step(&ex);
		assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
		room_expect_root(room, &version.root);
	}
	exercise_close_all(&ex);
	model_release(&ex.model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(random_work_gives_what_a_model_gives),
		ROOM_TEST(versions_of_random_work_have_the_roots_of_adding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

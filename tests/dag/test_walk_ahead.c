#include "tests/dag/fake.h"

#include "dag/walk_ahead.h"

#include <stdio.h>

static bool none(void *ctx, const struct cid *cid)
{
	(void)ctx;
	(void)cid;
	return false;
}

static bool no_frames(void *ctx, size_t frame)
{
	(void)ctx;
	(void)frame;
	fail();
	return true;
}

static struct cid leaf(struct fake *fake, unsigned i)
{
	char text[32];

	snprintf(text, sizeof text, "leaf %u", i);
	return fake_put(fake, CODEC_RAW, bytes_str(text));
}

static struct walk_ahead *ahead_new(struct fake *fake, size_t max)
{
	struct walk_ahead *ahead = xnew(struct walk_ahead);

	*ahead = (struct walk_ahead){
		.blocks = fake->blocks, .max = max, .left_out = none, .ask_frame = no_frames
	};
	walk_ahead_init(ahead);
	return ahead;
}

/* How many can be asked for from number `from`, at most `most`. */
static unsigned ask_all(struct walk_ahead *ahead, struct fake *fake, unsigned from, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		struct cid cid = leaf(fake, from + i);

		if (!walk_ahead_ask(ahead, &cid))
			return i;
		assert_true(walk_ahead_ask(ahead, &cid)); /* once */
	}
	return most;
}

static void blocks_asked_ahead_are_bounded(void **state)
{
	static const struct {
		size_t max;
		size_t block;
		unsigned takes;
	} cases[] = {
		{ 10, 100, 10 },
		{ AHEAD_HELD_MAX + 10, 100, AHEAD_HELD_MAX },
		{ 1024, 1 << 20, AHEAD_BYTES_MAX >> 20 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fake *fake = fake_new();
		struct walk_ahead *ahead = ahead_new(fake, cases[i].max);

		ahead->block_size = cases[i].block;
		assert_int_equal(ask_all(ahead, fake, 0, AHEAD_HELD_MAX + 1), cases[i].takes);
		walk_ahead_release(ahead);
		free(ahead);
		fake_free(fake);
	}
}

/* Those asked for before what arrived are out of the window too. */
static void what_arrives_makes_room(void **state)
{
	struct fake *fake = fake_new();
	struct walk_ahead *ahead = ahead_new(fake, 16);
	struct cid cid = leaf(fake, 9);

	(void)state;
	assert_int_equal(ask_all(ahead, fake, 0, 20), 16);
	walk_ahead_come(ahead, &cid, &fake->wait);
	assert_int_equal(ask_all(ahead, fake, 16, 20), 0); /* it is on its way still */
	walk_ahead_arrived(ahead, 6);
	assert_int_equal(ahead->flying_count, 6);
	assert_int_equal(ahead->held.count, 15);
	assert_int_equal(ask_all(ahead, fake, 16, 20), 10);
	cid = leaf(fake, 20);
	walk_ahead_skip(ahead, &cid);
	assert_int_equal(ask_all(ahead, fake, 30, 20), 1);
	walk_ahead_release(ahead);
	free(ahead);
	fake_free(fake);
}

/* What was met and never come to does not close the window for ever. */
static void too_many_held_entries_are_forgotten(void **state)
{
	struct fake *fake = fake_new();
	struct walk_ahead *ahead = ahead_new(fake, 1024);
	struct cid cid = leaf(fake, 5000);

	(void)state;
	ahead->block_size = 1 << 20;
	assert_int_equal(ask_all(ahead, fake, 0, 1000), AHEAD_BYTES_MAX >> 20);
	walk_ahead_come(ahead, &cid, &fake->wait);
	walk_ahead_arrived(ahead, 9);
	assert_int_equal(ahead->held.count, 0);
	assert_true(ask_all(ahead, fake, 1000, 1000) > 100);
	walk_ahead_release(ahead);
	free(ahead);
	fake_free(fake);
}

static void nothing_is_asked_ahead_while_all_blocks_are_stored(void **state)
{
	struct fake *fake = fake_new();
	struct walk_ahead *ahead = ahead_new(fake, 1024);
	struct cid cid = leaf(fake, 1), other = leaf(fake, 2);

	(void)state;
	fake_arrive(fake, &cid);
	walk_ahead_come(ahead, &cid, &fake->wait);
	walk_ahead_arrived(ahead, 6);
	assert_true(walk_ahead_ask(ahead, &cid));
	assert_int_equal(ahead->flying_count + fake->asked, 0);
	/* Alone, it is left to who gets it. */
	walk_ahead_come(ahead, &other, &fake->wait);
	assert_int_equal(fake->asked, 0);
	assert_int_equal(ahead->flying_count, 1);
	walk_ahead_release(ahead);
	free(ahead);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_asked_ahead_are_bounded),
		cmocka_unit_test(what_arrives_makes_room),
		cmocka_unit_test(too_many_held_entries_are_forgotten),
		cmocka_unit_test(nothing_is_asked_ahead_while_all_blocks_are_stored),
	};
	return cmocka_run_group_tests_name("dag/walk_ahead", tests, NULL, NULL);
}

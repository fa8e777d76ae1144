/* Files of many small pieces: more than one view holds, in trees of random shapes. */
#include "tests/dag/fake.h"

#define SHAPES 40
#define SIZE_MAX_TESTED 20000

struct shape {
	struct fake *fake;
	unsigned seed;
	size_t piece_max; /* bytes of a leaf */
	size_t width;	  /* children of a node at most */
	uint64_t at;	  /* bytes made so far */
};

static size_t roll(struct shape *shape, size_t below)
{
	shape->seed = shape->seed * 1103515245 + 12345;
	return (shape->seed >> 8) % below;
}

static struct bytes next_bytes(struct shape *shape, uint8_t *room, size_t len)
{
	fake_fill(room, len, shape->at);
	shape->at += len;
	return bytes_of(room, len);
}

/* Raw, dag-pb, or within its CID. */
static struct fake_child leaf(struct shape *shape)
{
	uint8_t room[4096];
	struct bytes data = next_bytes(shape, room, 1 + roll(shape, shape->piece_max));
	struct fake_child child = { .size = data.len };

	if (roll(shape, 4) == 0)
		child.cid = fake_file(shape->fake, data, NULL, 0);
	else if (data.len <= 32 && roll(shape, 4) == 0)
		assert_int_equal(cid_of_data(&child.cid, 1, CODEC_RAW, HASH_IDENTITY, data), 0);
	else
		child.cid = fake_put(shape->fake, CODEC_RAW, data);
	return child;
}

/* Some have bytes of their own, some a single child, and the depth differs from child to child: of
 * the children about three are nodes again. */
static struct fake_child node(struct shape *shape, unsigned depth)
{
	struct fake_child *children = xcalloc(shape->width, sizeof(*children));
	size_t count = 1 + roll(shape, shape->width);
	uint8_t room[64];
	struct bytes own = bytes_of(NULL, 0);
	uint64_t begin = shape->at;

	if (roll(shape, 5) == 0)
		own = next_bytes(shape, room, 1 + roll(shape, sizeof(room)));
	for (size_t i = 0; i < count; i++)
		children[i] = depth && roll(shape, shape->width) < 3 ? node(shape, depth - 1)
								     : leaf(shape);
	struct fake_child made = { fake_file(shape->fake, own, children, count), NULL,
				   shape->at - begin };

	free(children);
	return made;
}

static struct file *open_whole(struct fake *fake, const struct cid *cid, uint64_t size)
{
	struct file *file;

	assert_int_equal(file_open(fake->blocks, cid, &fake->wait, &file), 0);
	assert_int_equal(file_size(file), size);
	return file;
}

static void check_read(struct fake *fake, struct file *file, uint64_t offset, size_t len)
{
	uint64_t size = file_size(file);
	size_t expect = offset >= size ? 0 : len < size - offset ? len : (size_t)(size - offset);
	uint8_t *got = xcalloc(1, len + 1), *want = xcalloc(1, len + 1);

	fake_fill(want, expect, offset);
	assert_int_equal(file_read(file, offset, got, len, &fake->wait), expect);
	assert_memory_equal(got, want, expect + 1);
	free(got);
	free(want);
}

/* Views from end to end: each is right, none is empty before the end. */
static void check_views(struct fake *fake, struct file *file)
{
	uint8_t got[SIZE_MAX_TESTED], want[SIZE_MAX_TESTED];
	struct file_view view;

	for (uint64_t at = 0; at < file_size(file);) {
		assert_int_equal(file_view(file, at, sizeof(got), &fake->wait, &view), 0);
		assert_true(view.len > 0 && view.len <= sizeof(got));
		fake_fill(want, view.len, at);
		assert_int_equal(file_view_copy(&view, got), view.len);
		assert_memory_equal(got, want, view.len);
		at += view.len;
		file_view_release(&view);
	}
}

static void trees_of_random_shapes_read_whole(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < SHAPES; seed++) {
		struct fake *fake = fake_new();
		struct shape shape = { .fake = fake,
				       .seed = seed,
				       .piece_max = 1u << seed % 7,
				       .width = 2 + seed * 7 % 90 };
		struct fake_child root = node(&shape, 3);

		fake->forgets = seed % 5 == 4;
		for (int stored = 0; stored < 2; stored++) {
			struct file *file = open_whole(fake, &root.cid, shape.at);

			check_read(fake, file, 0, (size_t)shape.at + 1);
			for (int i = 0; i < 20; i++)
				check_read(fake, file, roll(&shape, shape.at),
					   roll(&shape, SIZE_MAX_TESTED));
			check_views(fake, file);
			file_close(file);
		}
		fake_free(fake);
	}
}

static struct cid flat(struct fake *fake, size_t pieces, size_t len)
{
	struct fake_child *children = xcalloc(pieces, sizeof(*children));
	struct shape shape = { .fake = fake };
	uint8_t room[64];

	for (size_t i = 0; i < pieces; i++) {
		children[i].size = len;
		children[i].cid = fake_put(fake, CODEC_RAW, next_bytes(&shape, room, len));
	}
	struct cid cid = fake_file(fake, bytes_of(NULL, 0), children, pieces);

	free(children);
	return cid;
}

static void every_count_of_pieces_around_a_view_reads_whole(void **state)
{
	static const size_t counts[] = { 63, 64, 65, 127, 128, 129, 192, 1025 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct fake *fake = fake_new();
		struct cid cid = flat(fake, counts[i], 3);
		struct file *file = open_whole(fake, &cid, 3 * counts[i]);

		for (uint64_t at = 0; at < 5; at++)
			for (size_t less = 0; less < 5; less++)
				check_read(fake, file, at, 3 * counts[i] - at - less);
		file_close(file);
		fake_free(fake);
	}
}

/* A wait for each view would be 32 of them. */
static void a_read_of_many_missing_pieces_costs_few_trips(void **state)
{
	struct fake *fake = fake_new();
	struct cid cid = flat(fake, 2048, 8);
	struct file *file = open_whole(fake, &cid, 2048 * 8);
	unsigned trips = fake->trips;

	(void)state;
	check_read(fake, file, 0, 2048 * 8);
	assert_true(fake->trips - trips <= 4);
	file_close(file);
	fake_free(fake);
}

/* Looking through the rest of a long read for each view makes its cost the square of its pieces. */
static void a_view_fetches_only_what_it_can_hold(void **state)
{
	struct fake *fake = fake_new();
	struct cid cid = flat(fake, 300, 8);
	struct file *file = open_whole(fake, &cid, 300 * 8);
	struct file_view view;
	struct cid gone[2];

	(void)state;
	check_read(fake, file, 0, 300 * 8);
	file_close(file);
	for (size_t i = 0; i < 2; i++) {
		uint8_t piece[8];

		fake_fill(piece, 8, i ? 200 * 8 : 10 * 8);
		cid_of_data(&gone[i], 1, CODEC_RAW, HASH_SHA2_256, bytes_of(piece, 8));
		assert_int_equal(store_delete(fake->local, cid_hash_bytes(&gone[i])), 0);
	}
	file = open_whole(fake, &cid, 300 * 8);
	assert_int_equal(file_view(file, 0, 300 * 8, &fake->wait, &view), 0);
	assert_int_equal(view.len, FILE_IOV_MAX * 8);
	file_view_release(&view);
	assert_true(blocks_has(fake->blocks, &gone[0]));
	assert_false(blocks_has(fake->blocks, &gone[1]));
	file_close(file);
	fake_free(fake);
}

static void children_of_no_bytes_are_passed_over(void **state)
{
	struct fake *fake = fake_new();
	uint8_t room[8];
	struct shape shape = { .fake = fake };
	struct fake_child empty = { fake_put(fake, CODEC_RAW, bytes_of(NULL, 0)), NULL, 0 };
	struct fake_child children[] = { empty, { .size = 3 }, empty, empty, { .size = 2 }, empty };

	(void)state;
	/* Nobody needs this one. */
	cid_of_data(&children[0].cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("nowhere"));
	children[1].cid = fake_put(fake, CODEC_RAW, next_bytes(&shape, room, 3));
	children[4].cid = fake_put(fake, CODEC_RAW, next_bytes(&shape, room, 2));
	struct cid cid = fake_file(fake, bytes_of(NULL, 0), children, ARRAY_LEN(children));
	struct file *file = open_whole(fake, &cid, 5);

	for (uint64_t at = 0; at < 6; at++)
		check_read(fake, file, at, 6);
	file_close(file);
	fake_free(fake);
}

static void an_interrupt_ends_a_read_of_stored_pieces(void **state)
{
	struct fake *fake = fake_new();
	struct cid cid = flat(fake, 200, 8);
	struct file *file = open_whole(fake, &cid, 200 * 8);
	uint8_t got[200 * 8];

	(void)state;
	check_read(fake, file, 0, sizeof(got));
	wait_cancel(&fake->wait);
	assert_int_equal(file_read(file, 0, got, sizeof(got), &fake->wait), -EINTR);
	assert_int_equal(file_read(file, 0, got, 64, &fake->wait),
			 64); /* no wait, nothing to end */
	file_close(file);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trees_of_random_shapes_read_whole),
		cmocka_unit_test(every_count_of_pieces_around_a_view_reads_whole),
		cmocka_unit_test(a_read_of_many_missing_pieces_costs_few_trips),
		cmocka_unit_test(a_view_fetches_only_what_it_can_hold),
		cmocka_unit_test(children_of_no_bytes_are_passed_over),
		cmocka_unit_test(an_interrupt_ends_a_read_of_stored_pieces),
	};
	return cmocka_run_group_tests_name("dag/file_pieces", tests, NULL, NULL);
}

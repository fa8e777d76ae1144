#include "tests/dag/fake.h"

#include "dag/file_walk.h"

#include <pthread.h>

#define LEAF 1000
#define BIG (1u << 20)

static struct fake_child raw_leaf(struct fake *fake, uint64_t from, size_t len)
{
	uint8_t *data = xcalloc(1, len ? len : 1);

	fake_fill(data, len, from);
	struct fake_child child = { fake_put(fake, CODEC_RAW, bytes_of(data, len)), NULL, len };

	free(data);
	return child;
}

/* A dag-pb leaf; every other one of the old type Raw. */
static struct fake_child pb_leaf(struct fake *fake, uint64_t from, size_t len)
{
	uint8_t *data = xcalloc(1, len ? len : 1);
	struct unixfs unixfs = {
		.type = from / len % 2 ? UNIXFS_RAW : UNIXFS_FILE,
		.has_data = true,
		.data = bytes_of(data, len),
		.has_filesize = true,
		.filesize = len,
	};

	fake_fill(data, len, from);
	struct fake_child child = { fake_node(fake, NULL, 0, &unixfs), NULL, len };

	free(data);
	return child;
}

/* count leaves of size len below nodes of at most width children. */
static struct cid balanced(struct fake *fake, size_t count, size_t len, size_t width,
			   struct fake_child (*leaf)(struct fake *, uint64_t, size_t))
{
	struct fake_child *level = xcalloc(count, sizeof(*level));

	for (size_t i = 0; i < count; i++)
		level[i] = leaf(fake, i * len, len);
	while (count > 1) {
		size_t above = 0;

		for (size_t i = 0; i < count; i += width) {
			size_t n = count - i < width ? count - i : width;
			struct fake_child node = { .size = 0 };

			for (size_t k = i; k < i + n; k++)
				node.size += level[k].size;
			node.cid = fake_file(fake, bytes_of(NULL, 0), &level[i], n);
			level[above++] = node;
		}
		count = above;
	}
	struct cid root = level[0].cid;

	free(level);
	return root;
}

static struct file *open_file(struct fake *fake, const struct cid *cid)
{
	struct file *file;

	assert_int_equal(file_open(fake->blocks, cid, &fake->wait, &file), 0);
	return file;
}

static void check_range(struct fake *fake, struct file *file, uint64_t offset, size_t len)
{
	uint8_t *got = xcalloc(1, len + 1), *want = xcalloc(1, len + 1);
	uint64_t size = file_size(file);
	size_t expect = offset >= size ? 0 : len < size - offset ? len : (size_t)(size - offset);

	fake_fill(want, expect, offset);
	assert_int_equal(file_read(file, offset, got, len, &fake->wait), expect);
	assert_memory_equal(got, want, expect + 1);
	free(got);
	free(want);
}

static void check_ranges(struct fake *fake, struct file *file)
{
	uint64_t size = file_size(file);

	check_range(fake, file, 0, (size_t)size + 10);
	check_range(fake, file, size, 10);
	check_range(fake, file, UINT64_MAX, 10);
	for (uint64_t at = 0; at < size; at += size / 13 + 1)
		for (size_t len = 0; len < 3 * LEAF; len = len * 2 + 1)
			check_range(fake, file, at, len);
	for (uint64_t edge = LEAF; edge <= size; edge += LEAF)
		check_range(fake, file, edge - 1, 2);
}

static void all_layouts_read(void **state)
{
	static const struct {
		size_t count, width;
	} shapes[] = { { 1, 2 }, { 2, 2 }, { 7, 2 }, { 40, 3 }, { 100, 100 }, { 70, 70 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes) * 4; i++) {
		struct fake *fake = fake_new();

		fake->forgets = i / 2 % 2; /* what was fetched is only held */
		struct cid root = balanced(fake, shapes[i / 4].count, LEAF, shapes[i / 4].width,
					   i % 2 ? pb_leaf : raw_leaf);
		struct file *file = open_file(fake, &root);

		assert_int_equal(file_size(file), shapes[i / 4].count * LEAF);
		check_ranges(fake, file);
		file_close(file);
		fake_free(fake);
	}
}

static void data_in_interior_nodes(void **state)
{
	struct fake *fake = fake_new();
	uint8_t data[50];
	struct fake_child low[2] = { raw_leaf(fake, 50, 30), raw_leaf(fake, 80, 20) };
	struct fake_child top[2] = { { .size = 0 }, raw_leaf(fake, 100, 7) };

	(void)state;
	fake_fill(data, 25, 25);
	top[0] = (struct fake_child){ fake_file(fake, bytes_of(data, 25), low, 2), NULL, 75 };
	fake_fill(data, 25, 0);
	struct cid root = fake_file(fake, bytes_of(data, 25), top, 2);

	for (int forgets = 0; forgets < 2; forgets++) {
		fake->forgets = !forgets;
		struct file *file = open_file(fake, &root);

		assert_int_equal(file_size(file), 107);
		for (uint64_t at = 0; at < 108; at++)
			for (size_t len = 1; len < 110; len += 9)
				check_range(fake, file, at, len);
		file_close(file);
	}
	fake_free(fake);
}

static void empty_and_identity_files(void **state)
{
	struct fake *fake = fake_new();
	struct fake_child children[2];
	uint8_t byte = 0;

	(void)state;
	fake_fill(&byte, 1, 0);
	assert_int_equal(
		cid_of_data(&children[0].cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_of(&byte, 1)), 0);
	children[0].name = NULL;
	children[0].size = 1;
	children[1] = raw_leaf(fake, 1, 20);
	struct cid cids[] = {
		raw_leaf(fake, 0, 0).cid,
		fake_file(fake, bytes_of(NULL, 0), NULL, 0),
		children[0].cid,
		fake_file(fake, bytes_of(NULL, 0), children, 2),
	};
	static const uint64_t sizes[] = { 0, 0, 1, 21 };

	for (size_t i = 0; i < 4; i++) {
		struct file *file = open_file(fake, &cids[i]);

		assert_int_equal(file_size(file), sizes[i]);
		check_range(fake, file, 0, 100);
		file_close(file);
	}
	fake_free(fake);
}

static int open_error(struct fake *fake, const struct cid *cid)
{
	struct file *file;
	int err = file_open(fake->blocks, cid, &fake->wait, &file);

	if (!err)
		file_close(file);
	return err;
}

static void other_blocks_are_refused_as_files(void **state)
{
	struct fake *fake = fake_new();
	struct unixfs symlink = { .type = UNIXFS_SYMLINK,
				  .has_data = true,
				  .data = bytes_str("a") };
	struct unixfs metadata = { .type = UNIXFS_METADATA };
	struct fake_child named = raw_leaf(fake, 0, 10);
	struct cid cid = fake_dir(fake, NULL, 0);

	(void)state;
	assert_int_equal(open_error(fake, &cid), -EISDIR);
	cid = fake_node(fake, NULL, 0, &symlink);
	assert_int_equal(open_error(fake, &cid), -ELOOP);
	cid = fake_node(fake, NULL, 0, &metadata);
	assert_int_equal(open_error(fake, &cid), -EBADMSG);
	cid = fake_put(fake, CODEC_DAG_PB, bytes_str("\x01garbage"));
	assert_int_equal(open_error(fake, &cid), -EBADMSG);
	cid = fake_put(fake, CODEC_DAG_PB, bytes_of("\x0a", 0));
	assert_int_equal(open_error(fake, &cid), -EBADMSG);
	cid = fake_put(fake, CODEC_DAG_CBOR, bytes_str("\xf6"));
	assert_int_equal(open_error(fake, &cid), -EBADMSG);
	named.name = "x";
	cid = fake_file(fake, bytes_of(NULL, 0), &named, 1);
	assert_int_equal(open_error(fake, &cid), -EBADMSG);
	cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("nowhere"));
	assert_int_equal(open_error(fake, &cid), -ETIMEDOUT);
	fake_go_offline(fake);
	assert_int_equal(open_error(fake, &cid), -EHOSTUNREACH);
	fake_free(fake);
}

/* A parent that lies about a child: found out when the child is read. */
static void false_size_of_a_child_is_an_error(void **state)
{
	struct fake *fake = fake_new();
	struct fake_child leaf[2] = { raw_leaf(fake, 0, 10), raw_leaf(fake, 10, 10) };
	struct fake_child kinds[4];
	uint8_t got[64];

	(void)state;
	kinds[0] = leaf[0];
	kinds[1] = pb_leaf(fake, 0, 10);
	kinds[2] = (struct fake_child){ fake_file(fake, bytes_of(NULL, 0), leaf, 2), NULL, 20 };
	kinds[3] = (struct fake_child){ fake_dir(fake, NULL, 0), NULL, 5 };
	for (size_t i = 0; i < 4; i++) {
		for (int delta = -1; delta <= 1; delta++) {
			struct fake_child child = kinds[i];

			child.size += (uint64_t)delta;
			struct cid root = fake_file(fake, bytes_of(NULL, 0), &child, 1);
			struct file *file = open_file(fake, &root);
			ssize_t want = delta || i == 3 ? -EBADMSG : (ssize_t)child.size;

			assert_int_equal(file_read(file, 0, got, sizeof(got), &fake->wait), want);
			file_close(file);
		}
	}
	fake_free(fake);
}

static void depth_is_limited(void **state)
{
	struct fake *fake = fake_new();

	(void)state;
	for (unsigned depth = FILE_DEPTH_MAX; depth <= FILE_DEPTH_MAX + 1; depth++) {
		struct fake_child child = raw_leaf(fake, 0, 10);
		uint8_t got[10];

		for (unsigned i = 0; i < depth; i++)
			child.cid = fake_file(fake, bytes_of(NULL, 0), &child, 1);
		struct file *file = open_file(fake, &child.cid);

		assert_int_equal(file_read(file, 0, got, 10, &fake->wait),
				 depth > FILE_DEPTH_MAX ? -EBADMSG : 10);
		file_close(file);
	}
	fake_free(fake);
}

/* 2^60 bytes by using one leaf again and again: opened, and read anywhere, at no cost. */
static void huge_file_of_repeated_blocks_costs_nothing(void **state)
{
	struct fake *fake = fake_new();
	struct fake_child children[32], child = { .size = 1u << 20 };
	uint8_t *zeros = xcalloc(1, 1u << 20), got[4096];

	(void)state;
	child.cid = fake_put(fake, CODEC_RAW, bytes_of(zeros, 1u << 20));
	for (int level = 0; level < 8; level++) {
		for (size_t i = 0; i < 32; i++)
			children[i] = child;
		child.cid = fake_file(fake, bytes_of(NULL, 0), children, 32);
		child.size *= 32;
	}
	struct file *file = open_file(fake, &child.cid);

	assert_true(file_size(file) == 1ull << 60);
	assert_int_equal(file_read(file, (1ull << 60) - 100, got, sizeof(got), &fake->wait), 100);
	assert_int_equal(file_read(file, 1ull << 59, got, sizeof(got), &fake->wait), sizeof(got));
	assert_memory_equal(got, zeros, sizeof(got));
	file_prefetch(file, 0, UINT64_MAX);
	file_close(file);
	free(zeros);
	fake_free(fake);
}

/* A view of stored leaves points at them; it never copies, and holds nothing. */
static void views_borrow_from_the_store(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 100, LEAF, 100, raw_leaf);
	struct file *file = open_file(fake, &root);
	struct file_view view;

	(void)state;
	check_range(fake, file, 0, 100 * LEAF);
	assert_int_equal(file_view(file, 10, 100 * LEAF, &fake->wait, &view), 0);
	assert_int_equal(view.count, FILE_IOV_MAX);
	assert_int_equal(view.len, FILE_IOV_MAX * LEAF - 10);
	assert_true(view.reading);
	assert_int_equal(view.held_count, 0);
	file_view_release(&view);
	assert_int_equal(file_view(file, 99 * LEAF + 990, 100, &fake->wait, &view), 0);
	assert_int_equal(view.count, 1);
	assert_int_equal(view.len, 10);
	file_view_release(&view);
	assert_int_equal(file_view(file, 100 * LEAF, 100, &fake->wait, &view), 0);
	assert_int_equal(view.len, 0);
	file_view_release(&view);
	file_close(file);
	fake_free(fake);
}

/* All that one request misses is fetched side by side: a wait for each level, not for each leaf. */
static void a_request_costs_one_trip_a_level(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 60, LEAF, 8, pb_leaf); /* 60 leaves, 8 nodes, root */
	struct file *file = open_file(fake, &root);
	unsigned trips = fake->trips;

	(void)state;
	check_range(fake, file, 0, 60 * LEAF);
	assert_int_equal(fake->trips - trips, 2);
	file_close(file);
	fake_free(fake);
}

static void sequential_readers_are_read_ahead_for(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 64, BIG, 64, raw_leaf);
	struct file *file = open_file(fake, &root);
	unsigned trips = fake->trips;

	(void)state;
	for (uint64_t at = 0; at < 64u * BIG; at += BIG / 2)
		check_range(fake, file, at, BIG / 2);
	/* The window doubles: 1, 2, 4... MiB, and every wait brings all that is under way. */
	assert_true(fake->trips - trips <= 10);
	file_close(file);
	fake_free(fake);
}

static void ahead_goes_below_nodes_once_they_come(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 64, BIG, 8, raw_leaf);
	struct file *file = open_file(fake, &root);
	unsigned trips = fake->trips;

	(void)state;
	for (uint64_t at = 0; at < 64u * BIG; at += BIG / 2)
		check_range(fake, file, at, BIG / 2);
	assert_true(fake->trips - trips <= 24);
	file_close(file);
	fake_free(fake);
}

static void random_readers_ask_for_their_own_pieces(void **state)
{
	static const unsigned order[] = { 40, 3, 60, 20, 50, 10, 30, 0 };
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 64, BIG, 64, raw_leaf);
	struct file *file = open_file(fake, &root);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		check_range(fake, file, (uint64_t)order[i] * BIG + 5, 100);
	assert_int_equal(fake->asked, 0); /* one piece a request: nothing beside it */
	assert_int_equal(fake->trips, 1 + ARRAY_LEN(order));
	check_range(fake, file, 35u * BIG + 5, 2 * BIG);
	assert_int_equal(fake->asked, 3);
	file_close(file);
	fake_free(fake);
}

static void prefetch_never_waits(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 64, BIG, 8, raw_leaf);
	struct file *file = open_file(fake, &root);
	unsigned trips = fake->trips;

	(void)state;
	file_prefetch(file, 0, 16u * BIG);
	assert_int_equal(fake->asked, 2); /* the nodes above */
	check_range(fake, file, 0, 10);
	fake->asked = 0;
	file_prefetch(file, 0, UINT64_MAX);
	assert_true(fake->asked >= 14); /* leaves of the two known nodes, and the other nodes */
	assert_int_equal(fake->trips - trips, 2);
	file_prefetch(file, UINT64_MAX, UINT64_MAX);
	file_close(file);
	fake_free(fake);
}

static void missing_leaf_fails_its_readers_only(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 10, LEAF, 10, raw_leaf);
	struct cid gone = raw_leaf(fake, 4 * LEAF, LEAF).cid;
	struct file *file = open_file(fake, &root);
	uint8_t got[2 * LEAF];

	(void)state;
	assert_int_equal(store_delete(fake->far, cid_hash_bytes(&gone)), 0);
	check_range(fake, file, 0, 4 * LEAF);
	assert_int_equal(file_read(file, 4 * LEAF - 1, got, 2, &fake->wait), -ETIMEDOUT);
	check_range(fake, file, 5 * LEAF, 5 * LEAF);
	wait_cancel(&fake->wait);
	assert_int_equal(file_read(file, 4 * LEAF - 1, got, 2, &fake->wait), -EINTR);
	file_close(file);
	fake_free(fake);
}

struct reader {
	struct file *file;
	unsigned seed;
	bool bad;
};

static void *read_much(void *ctx)
{
	struct reader *reader = ctx;
	uint8_t got[3000], want[3000];
	struct wait wait;

	wait_init(&wait);
	wait_start(&wait, 0);
	for (int i = 0; i < 300; i++) {
		uint64_t at =
			(reader->seed = reader->seed * 1103515245 + 12345) % (200 * LEAF - 3000);

		fake_fill(want, sizeof(want), at);
		if (file_read(reader->file, at, got, sizeof(got), &wait) != (ssize_t)sizeof(got) ||
		    memcmp(got, want, sizeof(got)))
			reader->bad = true;
	}
	wait_release(&wait);
	return NULL;
}

static void many_threads_share_a_file(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = balanced(fake, 200, LEAF, 6, pb_leaf);
	struct file *file = open_file(fake, &root);
	struct reader readers[4];
	pthread_t threads[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (struct reader){ file, i, false };
		pthread_create(&threads[i], NULL, read_much, &readers[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(readers[i].bad);
	}
	file_close(file);
	fake_free(fake);
}

static void kept_nodes_are_bounded(void **state)
{
	struct file_nodes nodes;
	struct fake_child *children = xcalloc(60000, sizeof(*children));
	struct fake *fake = fake_new();
	struct file_content content;
	struct block *block;

	(void)state;
	file_nodes_init(&nodes);
	for (size_t i = 0; i < 60000; i++)
		cid_of_data(&children[i].cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_of("a", 1));
	for (size_t n = 0; n < 8; n++) {
		for (size_t i = 0; i < 60000; i++)
			children[i].size = n + 1;
		struct cid cid = fake_file(fake, bytes_of(NULL, 0), children, 60000);

		assert_int_equal(store_get(fake->far, &cid, &block), 0);
		assert_int_equal(file_content_decode(&cid, block->data, &content), 0);
		file_nodes_put(&nodes, content.node);
		file_node_unref(content.node);
		block_unref(block);
		struct file_node *kept = file_nodes_get(&nodes, &cid);

		assert_non_null(kept);
		file_node_unref(kept);
		assert_true(nodes.links <= 256 * 1024);
	}
	assert_int_equal(nodes.by_cid.count, 4);
	file_nodes_release(&nodes);
	free(children);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_layouts_read),
		cmocka_unit_test(data_in_interior_nodes),
		cmocka_unit_test(empty_and_identity_files),
		cmocka_unit_test(other_blocks_are_refused_as_files),
		cmocka_unit_test(false_size_of_a_child_is_an_error),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(huge_file_of_repeated_blocks_costs_nothing),
		cmocka_unit_test(views_borrow_from_the_store),
		cmocka_unit_test(a_request_costs_one_trip_a_level),
		cmocka_unit_test(sequential_readers_are_read_ahead_for),
		cmocka_unit_test(ahead_goes_below_nodes_once_they_come),
		cmocka_unit_test(random_readers_ask_for_their_own_pieces),
		cmocka_unit_test(prefetch_never_waits),
		cmocka_unit_test(missing_leaf_fails_its_readers_only),
		cmocka_unit_test(many_threads_share_a_file),
		cmocka_unit_test(kept_nodes_are_bounded),
	};
	return cmocka_run_group_tests_name("dag/file", tests, NULL, NULL);
}

#include "tests/dag/fake.h"

#include "dag/ipld/cbor_links.h"
#include "dag/ipld/json_links.h"
#include "dag/walk_seen.h"

#include <stdio.h>

struct trace {
	struct cid cids[4096];
	unsigned depths[4096];
	size_t count;
	size_t stop; /* each() returns 7 at that block; 0: never */
	struct wait *cancel;
	const struct cid *pruned;
};

static int note(void *ctx, const struct block *block, unsigned depth)
{
	struct trace *trace = ctx;

	assert_true(trace->count < ARRAY_LEN(trace->cids));
	trace->cids[trace->count] = block->cid;
	trace->depths[trace->count++] = depth;
	if (trace->cancel)
		wait_cancel(trace->cancel);
	return trace->stop && trace->count == trace->stop ? 7 : 0;
}

static bool prune(void *ctx, const struct cid *cid)
{
	const struct trace *trace = ctx;

	return trace->pruned && cid_equal(trace->pruned, cid);
}

static int walk(struct fake *fake, const struct cid *root, const struct dag_walk_config *config,
		struct trace *trace)
{
	return dag_walk(fake->blocks, root, config, &fake->wait, 1000, note, prune, trace);
}

static struct cid text_leaf(struct fake *fake, const char *text)
{
	return fake_put(fake, CODEC_RAW, bytes_str(text));
}

/* root -> a -> (1, 2), b -> (2, 3), 4, 4 */
static struct cid diamond(struct fake *fake, struct cid at[7])
{
	at[2] = text_leaf(fake, "1");
	at[3] = text_leaf(fake, "2");
	at[5] = text_leaf(fake, "3");
	at[6] = text_leaf(fake, "4");
	struct fake_child a[] = { { at[2], "1", 1 }, { at[3], "2", 1 } };
	struct fake_child b[] = { { at[3], "2", 1 }, { at[5], "3", 1 } };

	at[1] = fake_dir(fake, a, 2);
	at[4] = fake_dir(fake, b, 2);
	struct fake_child top[] = {
		{ at[1], "a", 1 },
		{ at[4], "b", 1 },
		{ at[6], "x", 1 },
		{ at[6], "y", 1 },
	};

	return at[0] = fake_dir(fake, top, 4);
}

static void check_order(const struct trace *trace, const struct cid at[7], const int *order,
			const unsigned *depths, size_t count)
{
	assert_int_equal(trace->count, count);
	for (size_t i = 0; i < count; i++) {
		assert_true(cid_equal(&trace->cids[i], &at[order[i]]));
		assert_int_equal(trace->depths[i], depths[i]);
	}
}

static void depth_first_links_in_order(void **state)
{
	static const int all[] = { 0, 1, 2, 3, 4, 3, 5, 6, 6 };
	static const unsigned all_depths[] = { 0, 1, 2, 2, 1, 2, 2, 1, 1 };
	static const int once[] = { 0, 1, 2, 3, 4, 5, 6 };
	static const unsigned once_depths[] = { 0, 1, 2, 2, 1, 2, 1 };
	static const int pruned[] = { 0, 1, 2, 3, 6, 6 };
	static const unsigned pruned_depths[] = { 0, 1, 2, 2, 1, 1 };

	(void)state;
	for (size_t ahead = 0; ahead < 6; ahead++) {
		struct fake *fake = fake_new();
		struct trace *trace = xnew(struct trace);
		struct dag_walk_config config = { .ahead_max = ahead };
		struct cid at[7], root = diamond(fake, at);

		assert_int_equal(walk(fake, &root, &config, trace), 0);
		check_order(trace, at, all, all_depths, 9);
		trace->count = 0;
		config.skip_seen = true;
		assert_int_equal(walk(fake, &root, &config, trace), 0);
		check_order(trace, at, once, once_depths, 7);
		trace->count = 0;
		config.skip_seen = false;
		trace->pruned = &at[4];
		assert_int_equal(walk(fake, &root, &config, trace), 0);
		check_order(trace, at, pruned, pruned_depths, 6);
		free(trace);
		fake_free(fake);
	}
}

static void pruned_blocks_are_not_fetched(void **state)
{
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct dag_walk_config config = { 0 };
	struct cid at[7], root = diamond(fake, at);

	(void)state;
	trace->pruned = &at[4];
	assert_int_equal(store_delete(fake->far, cid_hash_bytes(&at[4])), 0);
	assert_int_equal(walk(fake, &root, &config, trace), 0);
	assert_int_equal(trace->count, 6);
	trace->count = 0;
	trace->pruned = &root;
	assert_int_equal(walk(fake, &root, &config, trace), 0);
	assert_int_equal(trace->count, 0);
	free(trace);
	fake_free(fake);
}

static void walk_stops_at_a_nonzero_return_or_limit(void **state)
{
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct dag_walk_config config = { 0 };
	struct cid at[7], root = diamond(fake, at);

	(void)state;
	trace->stop = 3;
	assert_int_equal(walk(fake, &root, &config, trace), 7);
	assert_int_equal(trace->count, 3);
	*trace = (struct trace){ .count = 0 };
	config.bytes_max = 1;
	assert_int_equal(walk(fake, &root, &config, trace), -EFBIG);
	assert_int_equal(trace->count, 0);
	config.bytes_max = 0;
	trace->cancel = &fake->wait;
	assert_int_equal(walk(fake, &root, &config, trace), -EINTR);
	assert_int_equal(trace->count, 1);
	wait_start(&fake->wait, 0);
	trace->cancel = NULL;
	store_delete(fake->far, cid_hash_bytes(&at[5]));
	store_delete(fake->local, cid_hash_bytes(&at[5]));
	assert_int_equal(walk(fake, &root, &config, trace), -ETIMEDOUT);
	free(trace);
	fake_free(fake);
}

static void walk_asks_ahead_within_its_window(void **state)
{
	enum { LEAVES = 1000 };
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct fake_child *children = xcalloc(LEAVES, sizeof(*children));
	struct dag_walk_config config = { .ahead_max = 100, .skip_seen = true };

	(void)state;
	for (unsigned i = 0; i < LEAVES; i++) {
		char text[16];

		snprintf(text, sizeof(text), "leaf %u", i);
		children[i].cid = text_leaf(fake, text);
		children[i].size = 1;
	}
	struct cid root = fake_dir(fake, children, LEAVES);

	assert_int_equal(walk(fake, &root, &config, trace), 0);
	assert_int_equal(trace->count, LEAVES + 1);
	assert_true(fake->trips <=
		    13); /* root, then one for each window, filled when an eighth is free */
	assert_true(fake->trips >= 10);
	free(children);
	free(trace);
	fake_free(fake);
}

/* Directories of directories of files; root is the last. */
static struct cid bushy(struct fake *fake, unsigned tops, unsigned middles, unsigned leaves)
{
	struct fake_child *top = xcalloc(tops, sizeof *top);
	struct fake_child *middle = xcalloc(middles, sizeof *middle);
	struct fake_child *files = xcalloc(leaves, sizeof *files);

	for (unsigned i = 0; i < tops; i++) {
		for (unsigned k = 0; k < middles; k++) {
			for (unsigned n = 0; n < leaves; n++) {
				char text[48];

				snprintf(text, sizeof text, "file %u %u %u", i, k, n);
				files[n].cid = text_leaf(fake, text);
			}
			middle[k].cid = fake_dir(fake, files, leaves);
		}
		top[i].cid = fake_dir(fake, middle, middles);
	}
	struct cid root = fake_dir(fake, top, tops);

	free(files);
	free(middle);
	free(top);
	return root;
}

/* What is in a directory is asked for when it arrives, not when the walk comes to it; also when
 * what arrives is not yet in the store (the daemon has it, and will commit it). */
static void remote_tree_costs_one_trip_a_level(void **state)
{
	(void)state;
	for (int queued = 0; queued < 2; queued++) {
		struct fake *fake = fake_new();
		struct trace *trace = xnew(struct trace);
		struct dag_walk_config config = { 0 };
		struct cid root = bushy(fake, 10, 10, 5);

		fake->queue = queued ? store_new_memory() : NULL;
		assert_int_equal(walk(fake, &root, &config, trace), 0);
		assert_int_equal(trace->count, 1 + 10 + 100 + 500);
		assert_int_equal(fake->trips, 4); /* levels; 111 directories */
		free(trace);
		fake_free(fake);
	}
}

/* More directories side by side than the window holds: their files come with them, not one
 * directory a time. */
static void many_small_directories_fill_the_window(void **state)
{
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct dag_walk_config config = { .ahead_max = 128 };
	struct cid root = bushy(fake, 1000, 1, 2);

	(void)state;
	assert_int_equal(walk(fake, &root, &config, trace), 0);
	assert_int_equal(trace->count, 1 + 4000);
	/* 1000 names are 1000 x 2 x 2 blocks: 4000 / 128 windows, and some that were not full. */
	assert_true(fake->trips <= 45);
	free(trace);
	fake_free(fake);
}

/* Directories here, files not. */
static void stored_directories_are_looked_into(void **state)
{
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct dag_walk_config config = { 0 };
	struct cid root = bushy(fake, 10, 10, 5);

	(void)state;
	assert_int_equal(walk(fake, &root, &config, trace), 0);
	for (size_t i = 0; i < trace->count; i++)
		if (trace->cids[i].codec == CODEC_RAW)
			store_delete(fake->local, cid_hash_bytes(&trace->cids[i]));
	trace->count = fake->trips = fake->asked = 0;
	assert_int_equal(walk(fake, &root, &config, trace), 0);
	assert_int_equal(trace->count, 611);
	assert_int_equal(fake->asked, 500);
	assert_int_equal(fake->trips, 1);
	fake->asked = fake->trips = trace->count = 0;
	assert_int_equal(walk(fake, &root, &config, trace), 0);
	assert_int_equal(fake->asked + fake->trips, 0); /* all is here */
	free(trace);
	fake_free(fake);
}

/* What cannot be had ahead is missed when the walk comes there, and not before. */
static void missing_directory_fails_when_the_walk_comes_to_it(void **state)
{
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace), *whole = xnew(struct trace);
	struct dag_walk_config config = { 0 };
	struct cid root = bushy(fake, 10, 10, 5);
	size_t at = 1 + 5 * 61 + 6 * 7 + 1; /* the 8th directory of the 6th */

	(void)state;
	assert_int_equal(walk(fake, &root, &config, whole), 0);
	for (size_t i = 0; i < whole->count; i++)
		store_delete(fake->local, cid_hash_bytes(&whole->cids[i]));
	assert_int_equal(whole->cids[at].codec, CODEC_DAG_PB);
	store_delete(fake->far, cid_hash_bytes(&whole->cids[at]));
	assert_int_equal(walk(fake, &root, &config, trace), -ETIMEDOUT);
	assert_int_equal(trace->count, at);
	free(whole);
	free(trace);
	fake_free(fake);
}

/* As deep as one likes: a frame is left before its last link is entered. */
static void long_chains_need_no_stack(void **state)
{
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct dag_walk_config config = { .skip_seen = true };
	struct cid cid = text_leaf(fake, "end");

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct fake_child child = { cid, "next", (uint64_t)i };

		cid = fake_dir(fake, &child, 1);
	}
	assert_int_equal(walk(fake, &cid, &config, trace), 0);
	assert_int_equal(trace->count, 3001);
	assert_int_equal(trace->depths[3000], 3000);
	free(trace);
	fake_free(fake);
}

/* 2^40 visits by reuse of one block: with skip_seen it is forty. */
static void bombs_end_with_skip_seen(void **state)
{
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct dag_walk_config config = { .skip_seen = true };
	struct cid cid = text_leaf(fake, "end");

	(void)state;
	for (int i = 0; i < 40; i++) {
		struct fake_child twice[2] = { { cid, "a", 1 }, { cid, "b", 1 } };

		cid = fake_dir(fake, twice, 2);
	}
	assert_int_equal(walk(fake, &cid, &config, trace), 0);
	assert_int_equal(trace->count, 41);
	config = (struct dag_walk_config){ .bytes_max = 100000 };
	trace->count = 0;
	assert_int_equal(walk(fake, &cid, &config, trace), -EFBIG);
	free(trace);
	fake_free(fake);
}

static void real_trees(void **state)
{
	/* All their blocks are below their roots. */
	static const char *cars[] = {
		"spec-car/gwc__trustless_gateway_car__subdir-with-mixed-block-files.car",
		"spec-car/gwc__trustless_gateway_car__dir-with-dag-cbor-with-links.car",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cars); i++) {
		struct fake *fake = fake_new();
		struct trace *trace = xnew(struct trace);
		struct dag_walk_config config = { .skip_seen = true };
		struct cid root = fake_load_car(fake, cars[i]);
		struct store_stat stat;

		assert_int_equal(walk(fake, &root, &config, trace), 0);
		assert_int_equal(store_stat(fake->far, &stat), 0);
		assert_int_equal(trace->count, stat.blocks);
		free(trace);
		fake_free(fake);
	}
}

/* ---- links ---- */

static int count_link(void *ctx, const struct cid *cid)
{
	assert_true(cid_is_set(cid));
	++*(unsigned *)ctx;
	return 0;
}

static int cbor(const char *hex, unsigned *count)
{
	struct buf block = { 0 };

	*count = 0;
	hex_decode(&block, hex);
	int err = cbor_links(buf_bytes(&block), count_link, count);

	buf_release(&block);
	return err;
}

static void cbor_fixtures(void **state)
{
	json_t *json = vector_json("dagcbor-dagjson-dagpb-fixtures.json");
	const json_t *entry;
	unsigned with_links = 0;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(json, "fixtures"), i, entry) {
		const json_t *files = json_object_get(entry, "files");
		const json_t *file = json_object_get(files, "dag-cbor");
		const json_t *pb = json_object_get(files, "dag-pb");
		unsigned count, pb_count = 0;

		if (!file)
			continue;
		assert_int_equal(cbor(vector_text(file, "hex"), &count), 0);
		with_links += count > 0;
		if (!pb)
			continue;
		/* The same value in dag-pb has the same links. */
		struct buf block = { 0 };

		vector_hex(&block, pb, "hex");
		assert_int_equal(dag_links(buf_bytes(&block), CODEC_DAG_PB, count_link, &pb_count),
				 0);
		assert_int_equal(count, pb_count);
		buf_release(&block);
	}
	assert_true(with_links > 10);
	json_decref(json);
}

static int json_text(const char *text, unsigned *count)
{
	*count = 0;
	return json_links(bytes_str(text), count_link, count);
}

/* What DAG-JSON says has the links that DAG-CBOR says. */
static void json_fixtures(void **state)
{
	json_t *json = vector_json("dagcbor-dagjson-dagpb-fixtures.json");
	const json_t *entry;
	size_t i, both = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "fixtures"), i, entry) {
		const json_t *files = json_object_get(entry, "files");
		const json_t *text = json_object_get(json_object_get(files, "dag-json"), "utf8");
		const json_t *file = json_object_get(files, "dag-cbor");
		unsigned count, cbor_count;

		if (!text || !file)
			continue;
		assert_int_equal(json_text(json_string_value(text), &count), 0);
		assert_int_equal(cbor(vector_text(file, "hex"), &cbor_count), 0);
		assert_int_equal(count, cbor_count);
		both++;
	}
	assert_true(both > 80);
	json_decref(json);
}

static void json_is_bounded(void **state)
{
	static const char *bad[] = {
		"",
		"{",
		"}",
		"[1,]",
		"[1 2]",
		"{\"a\"}",
		"{\"a\":}",
		"{a:1}",
		"1 2",
		"\"",
		"\"\\",
		"{\"/\":\"junk\"}",
		"{\"/\":\"bafkqaaa\",\"a\":1}",
		"\"\n\"",
		"[}",
		"tru",
		"x",
	};
	unsigned count;
	struct buf deep = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(json_text(bad[i], &count), -EBADMSG);
	assert_int_equal(
		json_text(" [ { \"/\" : \"bafkqaaa\" } , {\"\\u002f\":\"bafkqaaa\"},"
			  "{\"/\":{\"bytes\":\"AA\"}},{\"a\":\"\\\"\",\"b\":[]},{},-1.5e3,null]\n",
			  &count),
		0);
	assert_int_equal(count, 2);
	for (unsigned depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
		buf_clear(&deep);
		for (unsigned i = 0; i < 2 * depth; i++)
			buf_add_u8(&deep, i < depth ? '[' : ']');
		/* The innermost, empty one is counted too. */
		assert_int_equal(json_links(buf_bytes(&deep), count_link, &count),
				 depth > JSON_DEPTH_MAX ? -EBADMSG : 0);
	}
	buf_release(&deep);
}

static void cbor_is_bounded(void **state)
{
	struct buf block = { 0 };
	unsigned count;

	(void)state;
	assert_int_equal(cbor("", &count), -EBADMSG);
	assert_int_equal(cbor("f6", &count), 0);
	assert_int_equal(cbor("f6f6", &count), -EBADMSG);   /* two items */
	assert_int_equal(cbor("f7", &count), -EBADMSG);	    /* undefined */
	assert_int_equal(cbor("9f01ff", &count), -EBADMSG); /* indefinite */
	assert_int_equal(cbor("5f4101ff", &count), -EBADMSG);
	assert_int_equal(cbor("9bffffffffffffffff", &count), -EBADMSG);
	assert_int_equal(cbor("bb8000000000000000", &count), -EBADMSG);
	assert_int_equal(cbor("5bffffffffffffffff", &count), -EBADMSG);
	assert_int_equal(cbor("8201", &count), -EBADMSG);
	assert_int_equal(cbor("a10102", &count), -EBADMSG); /* key no text */
	assert_int_equal(cbor("a16161", &count), -EBADMSG);
	assert_int_equal(cbor("c11a00000000", &count), -EBADMSG); /* tag 1 */
	assert_int_equal(cbor("d82a00", &count), -EBADMSG);
	assert_int_equal(cbor("d82a40", &count), -EBADMSG);
	assert_int_equal(cbor("d82a45 0101550000", &count), -EBADMSG); /* no leading zero */
	assert_int_equal(cbor("d82a45 0001550000", &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(cbor("d82a46 000155000000", &count), -EBADMSG); /* bytes left over */
	assert_int_equal(cbor("82 a2 6161 d82a45 0001550000 6162 80 d82a45 0001550000", &count), 0);
	assert_int_equal(count, 2);
	for (size_t depth = CBOR_DEPTH_MAX; depth <= 1000000; depth = depth * 1000 + 1) {
		buf_clear(&block);
		memset(buf_reserve(&block, depth + 1), 0x81, depth);
		block.at[depth] = 0xf6;
		block.len = depth + 1;
		assert_int_equal(cbor_links(buf_bytes(&block), count_link, &count),
				 depth > CBOR_DEPTH_MAX ? -EBADMSG : 0);
	}
	buf_release(&block);
}

static void codecs_without_links(void **state)
{
	unsigned count = 0;

	(void)state;
	assert_int_equal(dag_links(bytes_str("x"), CODEC_RAW, count_link, &count), 0);
	assert_int_equal(dag_links(bytes_str("x"), CODEC_JSON, count_link, &count), 0);
	assert_int_equal(dag_links(bytes_str("x"), CODEC_DAG_PB, count_link, &count), -EBADMSG);
	assert_int_equal(dag_links(bytes_str("x"), 0x9999, count_link, &count), -ENOTSUP);
	assert_int_equal(count, 0);
}

static void seen_remembers_all(void **state)
{
	struct walk_seen seen = { 0 };
	struct cid cid;

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 5000; i++) {
			cid_of_data(&cid, 1, CODEC_RAW, i % 2 ? HASH_SHA2_256 : HASH_SHA1,
				    bytes_of(&i, sizeof(i)));
			assert_true(walk_seen_has(&seen, &cid) == (round == 1));
			assert_true(walk_seen_add(&seen, &cid) == (round == 0));
		}
	}
	assert_int_equal(seen.count, 5000);
	cid_of_data(&cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_str("me"));
	assert_true(walk_seen_add(&seen, &cid));
	assert_false(walk_seen_add(&seen, &cid));
	/* Its key is not its digest: nobody can hide another block behind it. */
	cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("hidden"));
	struct multihash hash = cid_hash(&cid);
	uint8_t forged[32];
	struct cid identity;

	memcpy(forged, hash.digest.at, sizeof(forged));
	forged[0] ^= HASH_SHA2_256; /* as the key mixes it in */
	cid_of_data(&identity, 1, CODEC_RAW, HASH_IDENTITY, bytes_of(forged, sizeof(forged)));
	assert_true(walk_seen_add(&seen, &identity));
	assert_false(walk_seen_has(&seen, &cid));
	walk_seen_release(&seen);
}

/* Only the root is here. What is below is neither asked for nor waited for. */
static void walk_of_what_is_stored_fetches_nothing(void **state)
{
	const struct dag_walk_config config = { .stored_only = true };
	struct fake *fake = fake_new();
	struct trace *trace = xnew(struct trace);
	struct block *block;
	struct cid at[7], root = diamond(fake, at);

	(void)state;
	assert_int_equal(store_get(fake->far, &root, &block), 0);
	assert_int_equal(blocks_put(fake->blocks, block), 0);
	block_unref(block);
	assert_int_equal(walk(fake, &root, &config, trace), -EHOSTUNREACH);
	assert_int_equal(trace->count, 1);
	assert_int_equal(fake->trips, 0);
	assert_int_equal(fake->asked, 0);
	free(trace);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depth_first_links_in_order),
		cmocka_unit_test(pruned_blocks_are_not_fetched),
		cmocka_unit_test(walk_stops_at_a_nonzero_return_or_limit),
		cmocka_unit_test(walk_asks_ahead_within_its_window),
		cmocka_unit_test(remote_tree_costs_one_trip_a_level),
		cmocka_unit_test(many_small_directories_fill_the_window),
		cmocka_unit_test(stored_directories_are_looked_into),
		cmocka_unit_test(missing_directory_fails_when_the_walk_comes_to_it),
		cmocka_unit_test(long_chains_need_no_stack),
		cmocka_unit_test(bombs_end_with_skip_seen),
		cmocka_unit_test(real_trees),
		cmocka_unit_test(cbor_fixtures),
		cmocka_unit_test(cbor_is_bounded),
		cmocka_unit_test(json_fixtures),
		cmocka_unit_test(json_is_bounded),
		cmocka_unit_test(codecs_without_links),
		cmocka_unit_test(seen_remembers_all),
		cmocka_unit_test(walk_of_what_is_stored_fetches_nothing),
	};
	return cmocka_run_group_tests_name("dag/walk", tests, NULL, NULL);
}

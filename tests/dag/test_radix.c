/* dag/share/radix*.c: directories of entries, against a sorted list: whatever was done before, an
 * equal state has an equal CID, and no more nodes are read than are needed. */
#include "dag/share.h"

#include "tests/dag/share_make.h"

static const size_t sizes[] = { 0, 1, 2, 33, 250, 400, 3000, 10000 };

static void assert_roots_equal(const struct radix_root *a, const struct radix_root *b)
{
	assert_int_equal(a->entries, b->entries);
	assert_int_equal(a->weight, b->weight);
	assert_int_equal(a->span_count, b->span_count);
	for (size_t i = 0; i < a->span_count; i++)
		assert_memory_equal(&a->spans[i], &b->spans[i], sizeof(*a->spans));
	assert_true(cid_equal(&a->cid, &b->cid));
}

/* The directory is what the list says, by list, by look-ups and by a fresh build. */
static void assert_holds(struct radix *radix, const struct radix_root *root,
			 const struct share_state *state, struct wait *wait)
{
	struct radix_iter *iter = radix_iter_new(radix, &root->cid, 0, bytes_of(NULL, 0));
	struct radix_root fresh = share_build(radix, state, wait);
	const struct manifest_entry *entry;
	uint64_t weight = 0;

	for (size_t i = 0; i < state->count; i++) {
		assert_int_equal(radix_iter_next(iter, wait, &entry), 1);
		assert_true(manifest_entry_equal(entry, &state->entries[i]));
		weight += manifest_weight(&state->entries[i]);
	}
	assert_int_equal(radix_iter_next(iter, wait, &entry), 0);
	assert_int_equal(radix_iter_next(iter, wait, &entry), 0);
	assert_int_equal(root->entries, state->count);
	assert_int_equal(root->weight, weight);
	assert_int_equal(cid_is_set(&root->cid), state->count > 0);
	assert_roots_equal(root, &fresh);
	radix_root_release(&fresh);
	radix_iter_free(iter);
}

static void any_size_is_listed_and_found(void **unused)
{
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);

	(void)unused;
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		struct share_state state = { 0 };
		struct radix_root root, told;

		share_state_fill(&state, 0, sizes[s], 5);
		root = share_build(radix, &state, &fake->wait);
		assert_holds(radix, &root, &state, &fake->wait);
		assert_int_equal(radix_tell(radix, &root.cid, &fake->wait, &told), 0);
		assert_roots_equal(&told, &root);
		for (size_t i = 0; i < state.count; i += 1 + state.count / 500) {
			struct manifest_entry found;

			assert_int_equal(radix_lookup(radix, &root.cid, state.entries[i].name,
						      &fake->wait, &found),
					 0);
			assert_true(manifest_entry_equal(&found, &state.entries[i]));
			manifest_entry_release(&found);
		}
		for (unsigned i = 0; i < 200; i++) {
			struct manifest_entry found;
			char absent[32];

			snprintf(absent, sizeof(absent), "absent-%u", i);
			assert_int_equal(radix_lookup(radix, &root.cid, bytes_str(absent),
						      &fake->wait, &found),
					 -ENOENT);
		}
		radix_root_release(&root);
		radix_root_release(&told);
		share_state_release(&state);
	}
	radix_free(radix);
	fake_free(fake);
}

/* Names beyond 2^32 collide in all 64 bits. */
static uint64_t pick_number(uint64_t *random, uint64_t range, bool colliding)
{
	uint64_t number = share_random(random) % range;

	return colliding && share_random(random) % 2 ? number + (UINT64_C(1) << 32) : number;
}

/* One edit of up to `most` names; the list changes likewise. */
static void random_edit(struct radix *radix, struct radix_root *root, struct share_state *state,
			uint64_t *random, uint64_t range, size_t most, unsigned removed_percent,
			bool colliding, struct wait *wait)
{
	size_t count = share_random(random) % most + 1, used = 0;
	struct radix_change *changes = xcalloc(count, sizeof(*changes));
	struct manifest_entry *entries = xcalloc(count, sizeof(*entries));
	struct radix_root out;

	for (size_t i = 0; i < count; i++) {
		struct manifest_entry entry = share_entry(pick_number(random, range, colliding),
							  share_random(random) % 50, 5);
		bool twice = false;

		for (size_t k = 0; k < used; k++)
			twice |= bytes_equal(entries[k].name, entry.name);
		if (twice) {
			manifest_entry_release(&entry);
			continue;
		}
		entries[used] = entry;
		changes[used].name = entries[used].name;
		changes[used].entry =
			share_random(random) % 100 < removed_percent ? NULL : &entries[used];
		used++;
	}
	assert_int_equal(radix_edit(radix, &root->cid, changes, used, wait, &out), 0);
	for (size_t i = 0; i < used; i++) {
		struct manifest_entry copy;

		if (changes[i].entry)
			manifest_entry_copy(&copy, changes[i].entry);
		share_state_set(state, changes[i].name, changes[i].entry ? &copy : NULL);
		manifest_entry_release(&entries[i]);
	}
	radix_root_release(root);
	*root = out;
	free(changes);
	free(entries);
}

/* Grows, shrinks and grows again, over all borders between leaves and branches. */
static void edits_reach_what_a_build_makes(void **unused)
{
	static const struct {
		uint64_t range;
		size_t most;
		bool colliding;
		unsigned rounds;
	} runs[] = { { 3, 2, false, 80 },
		     { 400, 40, false, 80 },
		     { 3000, 400, false, 41 },
		     { 700, 100, true, 80 } };
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);

	(void)unused;
	for (size_t r = 0; r < ARRAY_LEN(runs); r++) {
		struct share_state state = { 0 };
		struct radix_root root = { 0 };
		uint64_t random = r + 77;

		for (unsigned i = 0; i < runs[r].rounds; i++) {
			unsigned removed = i / 20 % 2 ? 95 : 10;

			random_edit(radix, &root, &state, &random, runs[r].range, runs[r].most,
				    removed, runs[r].colliding, &fake->wait);
			if (i % 4 == 0 || state.count < 5)
				assert_holds(radix, &root, &state, &fake->wait);
		}
		while (state.count)
			random_edit(radix, &root, &state, &random, runs[r].range, runs[r].most, 100,
				    runs[r].colliding, &fake->wait);
		assert_false(cid_is_set(&root.cid));
		radix_root_release(&root);
		share_state_release(&state);
	}
	radix_free(radix);
	fake_free(fake);
}

static void names_that_collide_in_all_bits_share_a_leaf(void **unused)
{
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);
	struct share_state state = { 0 };
	struct radix_root root;
	uint64_t hash = 0;

	(void)unused;
	for (uint64_t i = 0; state.count < 1000; i++) {
		struct manifest_entry entry = share_entry((UINT64_C(1) << 32) + i, 1, 5);

		if (entry.name.len != SHARE_COLLIDING_LEN) {
			manifest_entry_release(&entry);
			continue;
		}
		if (!state.count)
			hash = manifest_hash(entry.name);
		assert_int_equal(manifest_hash(entry.name), hash);
		share_state_set(&state, entry.name, &entry);
	}
	for (uint64_t i = 0; i < 500; i++) {
		struct manifest_entry entry = share_entry(i, 1, 5);

		share_state_set(&state, entry.name, &entry);
	}
	root = share_build(radix, &state, &fake->wait);
	assert_true(root.weight > 2 * MANIFEST_LEAF_MAX);
	assert_holds(radix, &root, &state, &fake->wait);
	for (size_t i = 0; i < state.count; i += 7) {
		struct manifest_entry found;

		assert_int_equal(
			radix_lookup(radix, &root.cid, state.entries[i].name, &fake->wait, &found),
			0);
		manifest_entry_release(&found);
	}
	radix_root_release(&root);
	share_state_release(&state);
	radix_free(radix);
	fake_free(fake);
}

/* More names of one hash than fit in a block. */
static void too_many_colliding_names_are_refused(void **unused)
{
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);
	struct radix_build *build = radix_build_new(radix, &fake->wait);
	struct share_state state = { 0 };
	struct radix_root root;
	uint64_t number = UINT64_C(1) << 32;

	(void)unused;
	state.entries = xcalloc(30000, sizeof(*state.entries));
	while (state.count < 30000) {
		struct manifest_entry entry = share_entry(number++, 1, 1);

		if (entry.name.len == SHARE_COLLIDING_LEN)
			state.entries[state.count++] = entry;
		else
			manifest_entry_release(&entry);
	}
	qsort(state.entries, state.count, sizeof(*state.entries), share_hash_order);
	for (size_t i = 0; i < state.count; i++)
		assert_int_equal(radix_build_add(build, &state.entries[i]), 0);
	assert_int_equal(radix_build_finish(build, &root), -EFBIG);
	assert_int_equal(radix_build_add(build, &state.entries[0]), -EFBIG);
	radix_build_free(build);
	share_state_release(&state);
	radix_free(radix);
	fake_free(fake);
}

static void lists_begin_at_any_position(void **unused)
{
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);
	struct share_state state = { 0 };
	struct radix_root root;
	const struct manifest_entry *entry;

	(void)unused;
	share_state_fill(&state, 0, 3000, 1);
	root = share_build(radix, &state, &fake->wait);
	for (size_t i = 0; i < state.count; i += 13) {
		struct bytes name = state.entries[i].name;
		uint64_t hash = manifest_hash(name);
		struct radix_iter *at = radix_iter_new(radix, &root.cid, hash, name);
		struct radix_iter *behind =
			radix_iter_new(radix, &root.cid, hash + 1, bytes_of(NULL, 0));

		for (size_t k = i; k < i + 40 && k < state.count; k++) {
			assert_int_equal(radix_iter_next(at, &fake->wait, &entry), 1);
			assert_bytes_equal(entry->name, state.entries[k].name);
		}
		assert_int_equal(radix_iter_next(behind, &fake->wait, &entry), i + 1 < state.count);
		if (i + 1 < state.count)
			assert_bytes_equal(entry->name, state.entries[i + 1].name);
		radix_iter_free(at);
		radix_iter_free(behind);
	}
	radix_root_release(&root);
	share_state_release(&state);
	radix_free(radix);
	fake_free(fake);
}

struct seen_diff {
	const struct share_state *before, *after;
	size_t count;
};

static const struct manifest_entry *find(const struct share_state *state, struct bytes name)
{
	size_t at = share_place(state, name);

	return at < state->count && bytes_equal(state->entries[at].name, name) ? &state->entries[at]
									       : NULL;
}

static int on_diff(void *ctx, struct bytes name, const struct manifest_entry *before,
		   const struct manifest_entry *after)
{
	struct seen_diff *seen = ctx;
	const struct manifest_entry *x = find(seen->before, name), *y = find(seen->after, name);

	assert_int_equal(before != NULL, x != NULL);
	assert_int_equal(after != NULL, y != NULL);
	assert_true(x || y);
	assert_true(!x || manifest_entry_equal(before, x));
	assert_true(!y || manifest_entry_equal(after, y));
	assert_false(x && y && manifest_entry_equal(x, y));
	seen->count++;
	return 0;
}

static size_t count_differences(const struct share_state *a, const struct share_state *b)
{
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++) {
		const struct manifest_entry *other = find(b, a->entries[i].name);

		count += !other || !manifest_entry_equal(other, &a->entries[i]);
	}
	for (size_t i = 0; i < b->count; i++)
		count += !find(a, b->entries[i].name);
	return count;
}

static int on_first(void *ctx, struct bytes name, const struct manifest_entry *before,
		    const struct manifest_entry *after)
{
	(void)ctx;
	(void)name;
	(void)before;
	(void)after;
	return 7;
}

static void differences_are_told_once(void **unused)
{
	static const size_t ranges[] = { 5, 300, 2000 };
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);

	(void)unused;
	for (unsigned round = 0; round < 36; round++) {
		struct share_state a = { 0 }, b = { 0 };
		struct radix_root x = { 0 }, y = { 0 };
		struct seen_diff seen = { &a, &b, 0 };
		uint64_t random = round + 5, range = ranges[round % 3];

		for (unsigned i = 0; i < round % 9; i++)
			random_edit(radix, &x, &a, &random, range, range, 30, true, &fake->wait);
		for (size_t i = 0; i < a.count; i++) {
			struct manifest_entry copy;

			manifest_entry_copy(&copy, &a.entries[i]);
			share_state_set(&b, copy.name, &copy);
		}
		y = share_build(radix, &b, &fake->wait);
		for (unsigned i = 0; i < round % 4; i++)
			random_edit(radix, &y, &b, &random, range, 1 + range / 10, 40, true,
				    &fake->wait);
		assert_int_equal(radix_diff(radix, &x.cid, &y.cid, &fake->wait, on_diff, &seen), 0);
		assert_int_equal(seen.count, count_differences(&a, &b));
		assert_int_equal(radix_diff(radix, &x.cid, &y.cid, &fake->wait, on_first, NULL),
				 seen.count ? 7 : 0);
		radix_root_release(&x);
		radix_root_release(&y);
		share_state_release(&a);
		share_state_release(&b);
	}
	radix_free(radix);
	fake_free(fake);
}

/* A directory whose nodes are all far away; what is fetched afterwards is counted. */
static struct radix_root far_directory(struct fake *fake, struct share_state *state, size_t count)
{
	struct blocks *far = blocks_new(fake->far, NULL);
	struct radix *radix = radix_new(far);
	struct radix_root root;

	share_state_fill(state, 0, count, 1);
	root = share_build(radix, state, &fake->wait);
	radix_free(radix);
	blocks_free(far);
	return root;
}

static void only_a_path_is_read(void **unused)
{
	struct fake *fake = fake_new();
	struct share_state state = { 0 };
	struct radix_root root = far_directory(fake, &state, 10000), out;
	struct radix *radix = radix_new(fake->blocks);
	struct manifest_entry entry, found;
	struct seen_diff seen = { &state, &state, 0 };

	(void)unused;
	assert_int_equal(
		radix_lookup(radix, &root.cid, state.entries[5000].name, &fake->wait, &found), 0);
	manifest_entry_release(&found);
	assert_in_range(fake->trips, 2, 4);
	fake->trips = 0;
	entry = share_entry(4321, 9, 1);
	assert_int_equal(radix_edit(radix, &root.cid, &(struct radix_change){ entry.name, &entry },
				    1, &fake->wait, &out),
			 0);
	assert_in_range(fake->trips, 1, 3);
	/* Offline, what was touched is all that is needed; what was not is not there. */
	fake_go_offline(fake);
	radix_free(radix);
	radix = radix_new(fake->blocks);
	assert_int_equal(radix_lookup(radix, &out.cid, entry.name, &fake->wait, &found), 0);
	assert_true(manifest_entry_equal(&found, &entry));
	manifest_entry_release(&found);
	assert_int_equal(radix_diff(radix, &root.cid, &root.cid, &fake->wait, on_diff, &seen), 0);
	assert_int_equal(radix_diff(radix, &root.cid, &out.cid, &fake->wait, on_first, NULL), 7);
	assert_int_equal(radix_lookup(radix, &root.cid, state.entries[0].name, &fake->wait, &found),
			 -EHOSTUNREACH);
	manifest_entry_release(&entry);
	radix_root_release(&out);
	radix_root_release(&root);
	share_state_release(&state);
	radix_free(radix);
	fake_free(fake);
}

static void a_list_that_failed_goes_on_later(void **unused)
{
	struct fake *fake = fake_new();
	struct share_state state = { 0 };
	struct radix_root root = far_directory(fake, &state, 3000);
	struct radix *radix = radix_new(fake->blocks);
	struct radix_iter *iter = radix_iter_new(radix, &root.cid, 0, bytes_of(NULL, 0));
	const struct manifest_entry *entry;
	size_t failed = 0;

	(void)unused;
	for (size_t i = 0; i < state.count; i++) {
		int err;

		wait_cancel(&fake->wait);
		err = radix_iter_next(iter, &fake->wait, &entry);
		wait_start(&fake->wait, 0);
		if (err < 0) {
			assert_int_equal(err, -EINTR);
			failed++;
			err = radix_iter_next(iter, &fake->wait, &entry);
		}
		assert_int_equal(err, 1);
		assert_bytes_equal(entry->name, state.entries[i].name);
	}
	assert_int_equal(radix_iter_next(iter, &fake->wait, &entry), 0);
	assert_true(failed > 1);
	radix_iter_free(iter);
	radix_root_release(&root);
	share_state_release(&state);
	radix_free(radix);
	fake_free(fake);
}

static void entries_out_of_order_are_refused(void **unused)
{
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);
	struct share_state state = { 0 };
	struct radix_build *build = radix_build_new(radix, &fake->wait);
	struct radix_root root;
	struct radix_change twice[2];

	(void)unused;
	share_state_fill(&state, 0, 2, 1);
	assert_int_equal(radix_build_add(build, &state.entries[1]), 0);
	assert_int_equal(radix_build_add(build, &state.entries[0]), -EINVAL);
	assert_int_equal(radix_build_finish(build, &root), -EINVAL);
	radix_build_free(build);
	build = radix_build_new(radix, &fake->wait);
	assert_int_equal(radix_build_add(build, &state.entries[0]), 0);
	assert_int_equal(radix_build_add(build, &state.entries[0]), -EINVAL);
	radix_build_free(build);

	twice[0] = twice[1] = (struct radix_change){ state.entries[0].name, NULL };
	assert_int_equal(radix_edit(radix, &(struct cid){ 0 }, twice, 2, &fake->wait, &root),
			 -EINVAL);
	twice[0].entry = &state.entries[1];
	assert_int_equal(radix_edit(radix, &(struct cid){ 0 }, twice, 1, &fake->wait, &root),
			 -EINVAL);
	share_state_release(&state);
	radix_free(radix);
	fake_free(fake);
}

static void an_empty_state_has_a_link(void **unused)
{
	struct fake *fake = fake_new();
	struct radix *radix = radix_new(fake->blocks);
	struct radix_iter *iter;
	struct radix_root told;
	struct manifest_entry found;
	const struct manifest_entry *entry;
	struct cid link;

	(void)unused;
	assert_int_equal(radix_state_link(radix, &(struct cid){ 0 }, &link), 0);
	assert_true(cid_is_set(&link));
	assert_int_equal(radix_tell(radix, &link, &fake->wait, &told), 0);
	assert_int_equal(told.entries, 0);
	assert_int_equal(radix_lookup(radix, &link, bytes_str("a"), &fake->wait, &found), -ENOENT);
	iter = radix_iter_new(radix, &link, 0, bytes_of(NULL, 0));
	assert_int_equal(radix_iter_next(iter, &fake->wait, &entry), 0);
	radix_iter_free(iter);
	radix_free(radix);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_size_is_listed_and_found),
		cmocka_unit_test(edits_reach_what_a_build_makes),
		cmocka_unit_test(names_that_collide_in_all_bits_share_a_leaf),
		cmocka_unit_test(too_many_colliding_names_are_refused),
		cmocka_unit_test(lists_begin_at_any_position),
		cmocka_unit_test(differences_are_told_once),
		cmocka_unit_test(only_a_path_is_read),
		cmocka_unit_test(a_list_that_failed_goes_on_later),
		cmocka_unit_test(entries_out_of_order_are_refused),
		cmocka_unit_test(an_empty_state_has_a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A directory changed, and two compared: walks over what was, beside a list of changes or another
 * walk. What neither touches is passed as a whole. Any thread but the loop's. */
#include "dag/share/radix_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

/* ---- changes ---- */

struct sorted {
	uint64_t hash;
	const struct radix_change *change;
};

static int sorted_order(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	return manifest_order(x->hash, x->change->name, y->hash, y->change->name);
}

/* The changes in order; NULL: one is not its entry's, or two are of one name. */
static struct sorted *sort_changes(const struct radix_change *changes, size_t count)
{
	struct sorted *sorted = xcalloc(count ? count : 1, sizeof(*sorted));
	bool bad = false;

	for (size_t i = 0; i < count; i++) {
		const struct manifest_entry *entry = changes[i].entry;

		sorted[i] = (struct sorted){ manifest_hash(changes[i].name), &changes[i] };
		bad |= entry && !bytes_equal(entry->name, changes[i].name);
	}
	qsort(sorted, count, sizeof(*sorted), sorted_order);
	for (size_t i = 1; i < count; i++)
		bad |= sorted_order(&sorted[i - 1], &sorted[i]) == 0;
	if (!bad)
		return sorted;
	free(sorted);
	return NULL;
}

/* One step: what comes first, of the old directory and the changes. *next is the change to come. */
static int edit_step(struct radix_walk *walk, const struct radix_at *at, const struct sorted *next,
		     struct radix_build *build, struct wait *wait, bool *used)
{
	int order = -1; /* of what was, to the change */
	int err = 0;

	*used = false;
	if (at->kind == RADIX_END)
		order = 1;
	else if (next && at->kind == RADIX_ENTRY)
		order = manifest_order(at->low, at->name, next->hash, next->change->name);
	else if (next && at->high >= next->hash)
		order = at->low > next->hash ? 1 : 0;
	if (order == 0 && at->kind == RADIX_ROW)
		return radix_walk_open(walk, wait);
	if (order >= 0) {
		*used = true;
		if (next->change->entry)
			err = radix_build_add(build, next->change->entry);
	} else if (at->kind == RADIX_ROW && at->depth > 0) {
		err = radix_build_add_row(build, at);
	} else if (at->kind == RADIX_ROW) {
		return radix_walk_open(walk, wait);
	} else {
		err = radix_build_add(build, radix_walk_entry(walk));
	}
	if (order <= 0)
		radix_walk_next(walk);
	return err;
}

int radix_edit(struct radix *radix, const struct cid *root, const struct radix_change *changes,
	       size_t count, struct wait *wait, struct radix_root *out)
{
	struct sorted *sorted = sort_changes(changes, count);
	struct radix_build *build;
	struct radix_walk walk;
	struct radix_at at;
	size_t done = 0;
	int err = 0;

	*out = (struct radix_root){ 0 };
	if (!sorted)
		return -EINVAL;
	build = radix_build_new(radix, wait);
	radix_walk_init(&walk, radix, root);
	radix_walk_at(&walk, &at);
	while (!err && (at.kind != RADIX_END || done < count)) {
		const struct sorted *next = done < count ? &sorted[done] : NULL;
		bool used;

		err = edit_step(&walk, &at, next, build, wait, &used);
		done += used;
		radix_walk_at(&walk, &at);
	}
	if (!err)
		err = radix_build_finish(build, out);
	radix_walk_release(&walk);
	radix_build_free(build);
	free(sorted);
	return err;
}

/* ---- comparison ---- */

struct diff {
	struct radix_walk before, after;
	struct wait *wait;
	radix_diff_fn *each;
	void *ctx;
};

/* What only one side has there: opened until it is entries. */
static int diff_alone(struct diff *diff, struct radix_walk *walk, const struct radix_at *at)
{
	bool before = walk == &diff->before;
	const struct manifest_entry *entry;
	int err;

	if (at->kind == RADIX_ROW) {
		err = radix_walk_open(walk, diff->wait);
		if (!err)
			radix_walk_ahead(walk);
		return err;
	}
	entry = radix_walk_entry(walk);
	err = diff->each(diff->ctx, entry->name, before ? entry : NULL, before ? NULL : entry);
	radix_walk_next(walk);
	return err;
}

static int diff_entries(struct diff *diff)
{
	const struct manifest_entry *before = radix_walk_entry(&diff->before);
	const struct manifest_entry *after = radix_walk_entry(&diff->after);
	int err = 0;

	if (!manifest_entry_equal(before, after))
		err = diff->each(diff->ctx, before->name, before, after);
	radix_walk_next(&diff->before);
	radix_walk_next(&diff->after);
	return err;
}

static int diff_step(struct diff *diff, const struct radix_at *a, const struct radix_at *b)
{
	int err = 0, order;

	if (b->kind == RADIX_END || (a->kind != RADIX_END && a->high < b->low))
		return diff_alone(diff, &diff->before, a);
	if (a->kind == RADIX_END || b->high < a->low)
		return diff_alone(diff, &diff->after, b);
	if (a->kind == RADIX_ROW && b->kind == RADIX_ROW && a->depth == b->depth) {
		if (!cid_equal(&a->row->cid, &b->row->cid)) {
			/* A failure ends the comparison, so one side may be open alone. */
			err = radix_walk_open(&diff->before, diff->wait);
			if (!err)
				err = radix_walk_open(&diff->after, diff->wait);
			if (!err)
				radix_walks_ahead(&diff->before, &diff->after);
			return err;
		}
		radix_walk_next(&diff->before);
		radix_walk_next(&diff->after);
		return 0;
	}
	if (a->kind == RADIX_ROW && (b->kind == RADIX_ENTRY || a->depth < b->depth))
		return radix_walk_open(&diff->before, diff->wait);
	if (b->kind == RADIX_ROW)
		return radix_walk_open(&diff->after, diff->wait);
	order = bytes_cmp(a->name, b->name);
	if (order == 0)
		return diff_entries(diff);
	return order < 0 ? diff_alone(diff, &diff->before, a) : diff_alone(diff, &diff->after, b);
}

int radix_diff(struct radix *radix, const struct cid *before, const struct cid *after,
	       struct wait *wait, radix_diff_fn *each, void *ctx)
{
	struct diff diff = { .wait = wait, .each = each, .ctx = ctx };
	struct radix_at a, b;
	int err = 0;

	radix_walk_init(&diff.before, radix, before);
	radix_walk_init(&diff.after, radix, after);
	do {
		radix_walk_at(&diff.before, &a);
		radix_walk_at(&diff.after, &b);
		if (a.kind != RADIX_END || b.kind != RADIX_END)
			err = diff_step(&diff, &a, &b);
	} while (!err && (a.kind != RADIX_END || b.kind != RADIX_END));
	radix_walk_release(&diff.before);
	radix_walk_release(&diff.after);
	return err;
}

/* Directories made from what comes in order: entries, and whole subtrees of before.
 *
 * What came last and may still share a node is the group: its node is at `depth`, below open
 * branches at 0..depth-1. When the group outweighs a leaf, its node is known to be a branch: all
 * but the last nibble of it are finished, and the group is that one, a level down. When something
 * comes that is not the group's, the group is finished, and so are the branches that end there. A
 * subtree is opened again only when it has to go into a leaf with others. One thread a build. */
#include "dag/share/radix_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* An entry, or a subtree; one of both is set. */
struct part {
	uint64_t low; /* hash */
	uint64_t weight;
	struct manifest_entry *entry;
	struct radix_root *row;
	unsigned depth; /* of the row */
};

struct radix_build {
	struct radix *radix;
	struct wait *wait;
	int err; /* the first */
	struct part *group;
	size_t count, cap;
	uint64_t weight; /* of the group */
	uint64_t low;	 /* whose first `depth` nibbles are the group's */
	unsigned depth;
	bool any;
	uint64_t last_high; /* of what came last, and its name if it was an entry */
	struct buf last_name;
	struct radix_root rows[MANIFEST_LEVELS][RADIX_FANOUT]; /* of the open branches */
};

struct radix_build *radix_build_new(struct radix *radix, struct wait *wait)
{
	struct radix_build *build = xnew(struct radix_build);

	build->radix = radix;
	build->wait = wait;
	return build;
}

static void part_release(struct part *part)
{
	if (part->entry)
		manifest_entry_release(part->entry);
	if (part->row)
		radix_root_release(part->row);
	free(part->entry);
	free(part->row);
}

void radix_build_free(struct radix_build *build)
{
	if (!build)
		return;
	for (size_t i = 0; i < build->count; i++)
		part_release(&build->group[i]);
	for (size_t level = 0; level < MANIFEST_LEVELS; level++)
		for (size_t i = 0; i < RADIX_FANOUT; i++)
			radix_root_release(&build->rows[level][i]);
	free(build->group);
	buf_release(&build->last_name);
	free(build);
}

/* ---- finished nodes ---- */

/* The entries of a leaf of before, owned, appended. */
static int open_leaf(struct radix_build *build, const struct part *part,
		     struct manifest_entry ***entries, size_t *count, size_t *cap)
{
	struct manifest_scratch scratch = { 0 };
	struct radix_node *node;
	int err = radix_node_get(build->radix, part->row, true, part->depth, part->low, build->wait,
				 &node);

	if (err)
		return err;
	/* A branch weighs more than a leaf may, so it is never opened for one. */
	assert(node->leaf);
	for (size_t i = 0; i < node->sum.entries; i++) {
		struct manifest_entry entry;

		if (*count == *cap) {
			*cap = *cap ? *cap * 2 : 64;
			*entries = xrealloc(*entries, *cap * sizeof(**entries));
		}
		radix_node_entry(node, i, &scratch, &entry);
		(*entries)[*count] = xnew(struct manifest_entry);
		manifest_entry_copy((*entries)[(*count)++], &entry);
	}
	manifest_scratch_release(&scratch);
	radix_node_unref(node);
	return 0;
}

static int write_leaf(struct radix_build *build, struct manifest_entry *const *entries,
		      size_t count, struct radix_root *row)
{
	struct buf data = { 0 };
	int err;

	*row = (struct radix_root){ 0 };
	err = radix_leaf_encode(entries, count, &data, row);
	if (!err)
		err = radix_node_put(build->radix, &data, &row->cid);
	if (err)
		radix_root_release(row);
	return err;
}

/* One leaf of all parts, which are let go of. */
static int join_parts(struct radix_build *build, struct part *parts, size_t count,
		      struct radix_root *row)
{
	struct manifest_entry **entries = NULL;
	size_t entry_count = 0, cap = 0;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (parts[i].row) {
			err = open_leaf(build, &parts[i], &entries, &entry_count, &cap);
			continue;
		}
		if (entry_count == cap) {
			cap = cap ? cap * 2 : 64;
			entries = xrealloc(entries, cap * sizeof(*entries));
		}
		entries[entry_count++] = parts[i].entry;
		parts[i].entry = NULL;
	}
	if (!err)
		err = write_leaf(build, entries, entry_count, row);
	for (size_t i = 0; i < entry_count; i++) {
		manifest_entry_release(entries[i]);
		free(entries[i]);
	}
	free(entries);
	return err;
}

/* The node at depth of these parts, which share their first nibbles and are let go of. */
static int finish_parts(struct radix_build *build, struct part *parts, size_t count, unsigned depth,
			struct radix_root *row)
{
	int err = 0;

	if (count == 1 && parts[0].row && parts[0].depth == depth) {
		*row = *parts[0].row;
		parts[0].row->spans = NULL;
	} else if (count) {
		err = join_parts(build, parts, count, row);
	}
	for (size_t i = 0; i < count; i++)
		part_release(&parts[i]);
	return err;
}

/* The branch at level, whose rows are let go of. */
static int finish_branch(struct radix_build *build, unsigned level, struct radix_root *out)
{
	struct radix_root *rows = build->rows[level];
	struct buf data = { 0 };
	int err;

	*out = (struct radix_root){ 0 };
	err = radix_branch_encode(rows, &data, out);
	if (!err)
		err = radix_node_put(build->radix, &data, &out->cid);
	if (err)
		radix_root_release(out);
	for (size_t i = 0; i < RADIX_FANOUT; i++)
		radix_root_release(&rows[i]);
	return err;
}

/* Where the node at depth goes: below its parent. */
static struct radix_root *build_place(struct radix_build *build, unsigned depth)
{
	return &build->rows[depth - 1][radix_nibble(build->low, depth - 1)];
}

/* ---- the group ---- */

static int finish_group(struct radix_build *build, struct radix_root *row)
{
	size_t count = build->count;

	build->count = 0;
	build->weight = 0;
	return finish_parts(build, build->group, count, build->depth, row);
}

/* The group's node is a branch: all but the last nibble is finished. */
static int split_group(struct radix_build *build)
{
	unsigned depth = build->depth;
	unsigned last = radix_nibble(build->group[build->count - 1].low, depth);
	size_t at = 0;
	int err = 0;

	while (!err && radix_nibble(build->group[at].low, depth) != last) {
		unsigned nibble = radix_nibble(build->group[at].low, depth);
		size_t count = 1;

		while (radix_nibble(build->group[at + count].low, depth) == nibble)
			count++;
		err = finish_parts(build, &build->group[at], count, depth + 1,
				   &build->rows[depth][nibble]);
		at += count;
	}
	build->count -= at;
	memmove(build->group, build->group + at, build->count * sizeof(*build->group));
	build->weight = 0;
	for (size_t i = 0; i < build->count; i++)
		build->weight += build->group[i].weight;
	build->low = build->group[build->count - 1].low;
	build->depth++;
	return err;
}

static bool group_is_branch(const struct radix_build *build)
{
	const struct part *first = build->group;

	return build->weight > MANIFEST_LEAF_MAX && build->depth < MANIFEST_LEVELS &&
	       !(build->count == 1 && first->row && first->depth == build->depth);
}

/* Nibbles that two hashes begin with in common. */
static unsigned common_nibbles(uint64_t a, uint64_t b)
{
	return a == b ? MANIFEST_LEVELS : (unsigned)__builtin_clzll(a ^ b) / 4;
}

/* Finishes what ends before hash `low`, and moves the group there. */
static int move_to(struct radix_build *build, uint64_t low)
{
	unsigned common = common_nibbles(build->low, low);
	int err;

	if (common >= build->depth)
		return 0;
	err = finish_group(build, build_place(build, build->depth));
	while (!err && build->depth - 1 > common) {
		build->depth--;
		err = finish_branch(build, build->depth, build_place(build, build->depth));
	}
	build->low = low;
	return err;
}

/* Takes part. */
static int build_add(struct radix_build *build, struct part *part)
{
	int err = move_to(build, part->low);

	if (err) {
		part_release(part);
		return build->err = err;
	}
	if (build->count == build->cap) {
		build->cap = build->cap ? build->cap * 2 : 64;
		build->group = xrealloc(build->group, build->cap * sizeof(*build->group));
	}
	if (!build->count)
		build->low = part->low;
	build->group[build->count++] = *part;
	build->weight += part->weight;
	while (!err && group_is_branch(build))
		err = split_group(build);
	return build->err = err;
}

int radix_build_add(struct radix_build *build, const struct manifest_entry *entry)
{
	uint64_t hash = manifest_hash(entry->name);
	struct part part = { .low = hash };

	if (build->err)
		return build->err;
	build->err = manifest_entry_check(entry);
	if (!build->err && build->any &&
	    manifest_order(build->last_high, buf_bytes(&build->last_name), hash, entry->name) >= 0)
		build->err = -EINVAL;
	if (build->err)
		return build->err;
	build->any = true;
	build->last_high = hash;
	buf_clear(&build->last_name);
	buf_add(&build->last_name, entry->name);
	part.weight = manifest_weight(entry);
	part.entry = xnew(struct manifest_entry);
	manifest_entry_copy(part.entry, entry);
	return build_add(build, &part);
}

int radix_build_add_row(struct radix_build *build, const struct radix_at *at)
{
	struct part part = { .low = at->low, .weight = at->row->weight, .depth = at->depth };

	if (build->err)
		return build->err;
	assert(at->kind == RADIX_ROW && at->depth > 0);
	assert(!build->any || build->last_high < at->low);
	build->any = true;
	build->last_high = at->high;
	buf_clear(&build->last_name);
	part.row = xnew(struct radix_root);
	radix_root_copy(part.row, at->row);
	return build_add(build, &part);
}

int radix_build_finish(struct radix_build *build, struct radix_root *out)
{
	struct radix_root root = { 0 };
	int err = build->err;

	*out = root;
	if (!err && build->depth == 0) {
		err = finish_group(build, &root);
	} else if (!err) {
		err = finish_group(build, build_place(build, build->depth));
		while (!err && build->depth > 1) {
			build->depth--;
			err = finish_branch(build, build->depth, build_place(build, build->depth));
		}
		if (!err)
			err = finish_branch(build, 0, &root);
	}
	build->err = err ? err : -EINVAL; /* nothing more may be added */
	if (!err)
		*out = root;
	return err;
}

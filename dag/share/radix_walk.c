/* A walk over a directory's entries in order, with a node a level on a stack. It stands at an entry
 * or before a subtree, which its user opens or passes: so lists, look-ups, changes and comparisons
 * read no more than they need. One thread a walk. */
#include "dag/share/radix_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>

void radix_walk_init(struct radix_walk *walk, struct radix *radix, const struct cid *root)
{
	*walk = (struct radix_walk){ .radix = radix, .begun = !cid_is_set(root) };
	walk->root.cid = *root;
}

void radix_walk_release(struct radix_walk *walk)
{
	while (walk->depth)
		radix_node_unref(walk->stack[--walk->depth].node);
	manifest_scratch_release(&walk->scratch);
}

/* How many entries or rows a node has. */
static size_t frame_count(const struct radix_frame *frame)
{
	return frame->node->leaf ? (size_t)frame->node->sum.entries : RADIX_FANOUT;
}

/* Passes empty rows, and leaves frames that have nothing more. */
static void walk_settle(struct radix_walk *walk)
{
	while (walk->depth) {
		struct radix_frame *frame = &walk->stack[walk->depth - 1];

		while (!frame->node->leaf && frame->next < RADIX_FANOUT &&
		       !cid_is_set(&frame->node->rows[frame->next].cid))
			frame->next++;
		if (frame->next < frame_count(frame))
			return;
		radix_node_unref(frame->node);
		if (--walk->depth)
			walk->stack[walk->depth - 1].next++;
	}
}

void radix_walk_at(const struct radix_walk *walk, struct radix_at *at)
{
	const struct radix_frame *frame = walk->depth ? &walk->stack[walk->depth - 1] : NULL;

	*at = (struct radix_at){ .kind = RADIX_END };
	if (!walk->begun) {
		at->kind = RADIX_ROW;
		at->high = UINT64_MAX;
		at->row = &walk->root;
	} else if (frame && frame->node->leaf) {
		const struct radix_item *item = &frame->node->items[frame->next];

		at->kind = RADIX_ENTRY;
		at->low = at->high = item->hash;
		at->name = item->name;
	} else if (frame) {
		at->kind = RADIX_ROW;
		at->depth = walk->depth;
		at->low = frame->low | (uint64_t)frame->next << (64 - 4 * walk->depth);
		at->high = radix_high(at->low, at->depth);
		at->row = &frame->node->rows[frame->next];
	}
}

int radix_walk_open(struct radix_walk *walk, struct wait *wait)
{
	struct radix_at at;
	struct radix_node *node;
	int err;

	radix_walk_at(walk, &at);
	assert(at.kind == RADIX_ROW);
	err = radix_node_get(walk->radix, at.row, walk->begun, at.depth, at.low, wait, &node);
	if (err)
		return err;
	walk->begun = true;
	assert(walk->depth <= MANIFEST_LEVELS);
	walk->stack[walk->depth++] = (struct radix_frame){ .node = node, .low = at.low };
	walk_settle(walk);
	return 0;
}

void radix_walk_next(struct radix_walk *walk)
{
	if (!walk->begun)
		walk->begun = true;
	else if (walk->depth)
		walk->stack[walk->depth - 1].next++;
	walk_settle(walk);
}

const struct manifest_entry *radix_walk_entry(struct radix_walk *walk)
{
	const struct radix_frame *frame = &walk->stack[walk->depth - 1];

	radix_node_entry(frame->node, frame->next, &walk->scratch, &walk->entry);
	return &walk->entry;
}

/* In a leaf: to the first entry that is not before. */
static void seek_leaf(struct radix_walk *walk, uint64_t hash, struct bytes name)
{
	struct radix_frame *frame = &walk->stack[walk->depth - 1];
	size_t low = frame->next, high = frame_count(frame);

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct radix_item *item = &frame->node->items[middle];

		if (manifest_order(item->hash, item->name, hash, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	frame->next = low;
	walk_settle(walk);
}

int radix_walk_seek(struct radix_walk *walk, uint64_t hash, struct bytes name, struct wait *wait)
{
	struct radix_at at;

	for (;;) {
		radix_walk_at(walk, &at);
		if (at.kind == RADIX_END || at.low > hash)
			return 0;
		if (at.kind == RADIX_ENTRY) {
			if (manifest_order(at.low, at.name, hash, name) >= 0)
				return 0;
			seek_leaf(walk, hash, name);
		} else if (at.high < hash) {
			radix_walk_next(walk);
		} else {
			int err = radix_walk_open(walk, wait);

			if (err)
				return err;
		}
	}
}

/* The branch that the walk stands before a row of; NULL: none. */
static const struct radix_frame *branch_at(const struct radix_walk *walk)
{
	const struct radix_frame *frame = walk->depth ? &walk->stack[walk->depth - 1] : NULL;

	if (!frame || frame->node->leaf || !blocks_fetches(radix_blocks(walk->radix)))
		return NULL;
	return frame;
}

void radix_walk_ahead(const struct radix_walk *walk)
{
	const struct radix_frame *frame = branch_at(walk);
	struct cid cids[RADIX_FANOUT];
	size_t count = 0;

	for (size_t i = frame ? frame->next : RADIX_FANOUT; i < RADIX_FANOUT; i++)
		if (cid_is_set(&frame->node->rows[i].cid))
			cids[count++] = frame->node->rows[i].cid;
	if (count)
		exchange_prefetch(radix_blocks(walk->radix), cids, count);
}

void radix_walks_ahead(const struct radix_walk *a, const struct radix_walk *b)
{
	const struct radix_frame *x = branch_at(a), *y = branch_at(b);
	struct cid cids[2 * RADIX_FANOUT];
	size_t count = 0;

	if (!x || !y) {
		radix_walk_ahead(a);
		radix_walk_ahead(b);
		return;
	}
	for (size_t i = 0; i < RADIX_FANOUT; i++) {
		const struct cid *left = &x->node->rows[i].cid, *right = &y->node->rows[i].cid;

		if (cid_equal(left, right))
			continue;
		if (cid_is_set(left))
			cids[count++] = *left;
		if (cid_is_set(right))
			cids[count++] = *right;
	}
	if (count)
		exchange_prefetch(radix_blocks(a->radix), cids, count);
}

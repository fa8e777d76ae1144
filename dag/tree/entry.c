/* Names of a directory in memory: a treap in the order of (murmur3-64(name), name), which is that
 * of manifests and of listings. Ranks are random, so nobody who chooses names chooses its shape.
 * With the tree's lock held. */
#include "dag/tree/tree_private.h"

#include "net/base/random.h"

#include <assert.h>

static int order(const struct entry *entry, uint64_t hash, struct bytes name)
{
	return manifest_order(entry->hash, entry_name(entry), hash, name);
}

struct entry *entry_from(const struct node *dir, uint64_t hash, struct bytes name)
{
	struct entry *at = dir->entries, *best = NULL;

	while (at) {
		if (order(at, hash, name) >= 0) {
			best = at;
			at = at->left;
		} else {
			at = at->right;
		}
	}
	return best;
}

struct entry *entry_find(const struct node *dir, uint64_t hash, struct bytes name)
{
	struct entry *entry = entry_from(dir, hash, name);

	return entry && !order(entry, hash, name) ? entry : NULL;
}

/* Parts what is before (hash, name) from what is not. */
static void entry_split(struct entry *at, uint64_t hash, struct bytes name, struct entry **before,
			struct entry **rest)
{
	while (at) {
		if (order(at, hash, name) < 0) {
			*before = at;
			before = &at->right;
			at = at->right;
		} else {
			*rest = at;
			rest = &at->left;
			at = at->left;
		}
	}
	*before = *rest = NULL;
}

/* All of a is before all of b. */
static struct entry *join(struct entry *a, struct entry *b)
{
	struct entry *top = NULL, **at = &top;

	while (a && b) {
		if (a->rank > b->rank) {
			*at = a;
			at = &a->right;
			a = a->right;
		} else {
			*at = b;
			at = &b->left;
			b = b->left;
		}
	}
	*at = a ? a : b;
	return top;
}

struct entry *entry_add(struct node *dir, uint64_t hash, struct bytes name)
{
	struct random random = random_system();
	struct entry *entry = xcalloc(1, sizeof(*entry) + name.len + 1);
	struct entry **at = &dir->entries;

	assert(name.len && name.len <= TREE_NAME_MAX);
	entry->rank = (uint32_t)random_u64(&random);
	entry->hash = hash;
	entry->name_len = (uint8_t)name.len;
	entry->dir = dir;
	memcpy(entry->name, name.at, name.len);
	while (*at && (*at)->rank > entry->rank)
		at = order(*at, hash, name) < 0 ? &(*at)->right : &(*at)->left;
	entry_split(*at, hash, name, &entry->left, &entry->right);
	*at = entry;
	return entry;
}

void entry_remove(struct entry *entry)
{
	struct entry **at = &entry->dir->entries;

	assert(!entry->changed && !entry->queued);
	while (*at != entry)
		at = order(*at, entry->hash, entry_name(entry)) < 0 ? &(*at)->right : &(*at)->left;
	*at = join(entry->left, entry->right);
	free(entry);
}

bool dir_has_entries(const struct node *dir)
{
	for (const struct entry *entry = entry_from(dir, 0, bytes_of(NULL, 0)); entry;
	     entry = entry_next(entry))
		if (entry->node)
			return true;
	return false;
}

struct entry *entry_next(const struct entry *entry)
{
	struct entry *at = entry->dir->entries, *best = NULL;

	while (at) {
		if (order(at, entry->hash, entry_name(entry)) > 0) {
			best = at;
			at = at->left;
		} else {
			at = at->right;
		}
	}
	return best;
}

/* ---- what is changed ---- */

void entry_queue(struct entry *entry)
{
	struct tree *tree = entry->dir->tree;

	if (entry->queued)
		return;
	entry->queued = true;
	list_add_tail(&tree->dirty_entries, &entry->dirty);
	tree->dirty_count++;
	tree_dirty(tree);
}

/* The directory and all above it have records, and know that something below them changed. */
static void mark_above(struct node *dir, uint64_t tick)
{
	for (; dir; dir = dir->parent) {
		dir->below = tick;
		if (!dir->recorded)
			node_queue(dir);
	}
}

void entry_changed(struct entry *entry, bool mapped)
{
	struct tree *tree = entry->dir->tree;

	tree->changed_last_ms = monotonic_ms();
	if (!entry->changed) {
		if (!tree->changed++) {
			tree->changed_first_ms = tree->changed_last_ms;
			pthread_cond_signal(&tree->commit_wake);
		}
		node_ref(entry->dir);
		if (entry->node)
			node_ref(entry->node);
	}
	entry->changed = ++tree->tick;
	if (mapped) {
		entry->mapped = true;
		entry_queue(entry);
	}
	mark_above(entry->dir, tree->tick);
}

void entry_settled(struct entry *entry)
{
	struct tree *tree = entry->dir->tree;
	struct node *dir = entry->dir, *node = entry->node;

	assert(entry->changed);
	entry->changed = 0;
	entry->mapped = false;
	tree->changed--;
	if (entry->recorded)
		entry_row_gone(entry);
	entry->recorded = false;
	if (entry->queued) {
		list_remove(&entry->dirty);
		entry->queued = false;
		tree->dirty_count--;
	}
	if (node)
		node_unref(node);
	else
		entry_remove(entry);
	node_unref(dir);
}

void tree_row_gone(struct tree *tree, const struct node_rows *row)
{
	if (tree->rows_gone_count == tree->rows_gone_cap) {
		tree->rows_gone_cap = tree->rows_gone_cap ? tree->rows_gone_cap * 2 : 64;
		tree->rows_gone =
			xrealloc(tree->rows_gone, tree->rows_gone_cap * sizeof(*tree->rows_gone));
	}
	tree->rows_gone[tree->rows_gone_count++] = *row;
	tree_dirty(tree);
}

void entry_row_gone(struct entry *entry)
{
	struct node_rows row = { .dir = entry->dir->number, .name_len = entry->name_len };

	memcpy(row.name, entry->name, entry->name_len);
	tree_row_gone(entry->dir->tree, &row);
}

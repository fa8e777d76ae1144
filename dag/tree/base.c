/* What the base says of names that are not in memory. The lock is given up while blocks are read,
 * and what was read counts only if the directory still has the same base. */
#include "dag/tree/tree_private.h"

#include <assert.h>

struct entry *base_enter(struct node *dir, const struct manifest_entry *said,
			 const struct shown *shown)
{
	struct tree *tree = dir->tree;
	struct node *node = node_new(tree, tree->next_node, shown->mode);
	struct entry *entry = entry_add(dir, manifest_hash(said->name), said->name);

	node_set_shown(node, said, shown);
	node_attach(node, dir, entry);
	node->refs--; /* node_new()'s: the caller's use is within the lock, or counted by him */
	return entry;
}

int base_find(struct tree *tree, struct node *dir, struct bytes name, struct wait *wait,
	      struct entry **out)
{
	uint64_t hash = manifest_hash(name);

	for (;;) {
		struct entry *entry = entry_find(dir, hash, name);
		struct manifest_entry said = { 0 };
		struct cid base = dir->base;
		struct shown shown;

		if (entry || !cid_is_set(&base)) {
			*out = entry;
			return entry && entry->node ? 0 : -ENOENT;
		}
		node_ref(dir);
		tree_unlock(tree);
		int err = base_lookup(&tree->reader, &base, name, wait, &said);

		tree_lock(tree);
		bool same = cid_equal(&base, &dir->base) && !entry_find(dir, hash, name);

		if (!err && same && shown_entry(&said, &shown))
			*out = base_enter(dir, &said, &shown);
		else if (!err && same)
			err = -ENOENT;
		manifest_entry_release(&said);
		node_unref(dir);
		if (same)
			return err;
		if (err && err != -ENOENT)
			return err;
	}
}

/* Without the lock: does the base have an entry that memory does not say is gone? */
static int has_more(struct tree *tree, struct node *dir, const struct cid *base, struct wait *wait)
{
	struct base_iter *iter = base_iter_new(&tree->reader, base, 0, bytes_of(NULL, 0));
	const struct manifest_entry *said;
	int got, more = 0;

	while (!more && (got = base_iter_next(iter, wait, &said)) > 0) {
		struct shown shown;

		if (!shown_entry(said, &shown))
			continue;
		tree_lock(tree);
		const struct entry *entry = entry_find(dir, manifest_hash(said->name), said->name);

		more = !entry || entry->node;
		tree_unlock(tree);
	}
	base_iter_free(iter);
	return more ? 1 : got;
}

int base_is_empty(struct tree *tree, struct node *dir, struct wait *wait)
{
	for (;;) {
		struct cid base = dir->base;
		uint64_t below = dir->below;

		if (dir_has_entries(dir))
			return 0;
		if (!cid_is_set(&base))
			return 1;
		node_ref(dir);
		tree_unlock(tree);
		int more = has_more(tree, dir, &base, wait);

		tree_lock(tree);
		bool same = cid_equal(&base, &dir->base) && below == dir->below;

		node_unref(dir);
		if (more < 0)
			return more;
		if (same && !dir_has_entries(dir))
			return !more;
	}
}

/* ---- how deep it is ---- */

/* A directory to be looked into: in memory, or of the base. */
struct deep {
	struct node *node; /* counts in its refs; NULL: link */
	struct cid link;
	unsigned levels; /* that may be below it */
};

struct deeps {
	struct deep *at;
	size_t count, cap;
};

static void add_deep(struct deeps *deeps, struct node *node, const struct cid *link,
		     unsigned levels)
{
	if (deeps->count == deeps->cap) {
		deeps->cap = deeps->cap ? deeps->cap * 2 : 64;
		deeps->at = xrealloc(deeps->at, deeps->cap * sizeof(*deeps->at));
	}
	deeps->at[deeps->count++] = (struct deep){ .node = node, .levels = levels };
	if (link)
		deeps->at[deeps->count - 1].link = *link;
}

/* With the lock held. */
static int look_into_node(struct deeps *deeps, const struct deep *deep)
{
	struct node *dir = deep->node;

	for (struct entry *entry = entry_from(dir, 0, bytes_of(NULL, 0)); entry;
	     entry = entry_next(entry)) {
		if (!entry->node || !S_ISDIR(entry->node->mode))
			continue;
		if (!deep->levels)
			return -ENAMETOOLONG;
		add_deep(deeps, node_ref(entry->node), NULL, deep->levels - 1);
	}
	if (cid_is_set(&dir->base))
		add_deep(deeps, NULL, &dir->base, deep->levels);
	return 0;
}

/* Without the lock. */
static int look_into_link(struct tree *tree, struct deeps *deeps, const struct deep *deep,
			  struct wait *wait)
{
	struct base_iter *iter = base_iter_new(&tree->reader, &deep->link, 0, bytes_of(NULL, 0));
	const struct manifest_entry *said;
	int got;

	while ((got = base_iter_next(iter, wait, &said)) > 0) {
		struct shown shown;

		if (!shown_entry(said, &shown) || shown.value)
			continue;
		if (!deep->levels) {
			got = -ENAMETOOLONG;
			break;
		}
		if (cid_is_set(&said->dir.link))
			add_deep(deeps, NULL, &said->dir.link, deep->levels - 1);
	}
	base_iter_free(iter);
	return got < 0 ? got : 0;
}

int base_depth_check(struct tree *tree, struct node *dir, unsigned levels, struct wait *wait)
{
	struct deeps deeps = { 0 };
	int err = 0;

	add_deep(&deeps, node_ref(dir), NULL, levels);
	while (deeps.count) {
		struct deep deep = deeps.at[--deeps.count];

		if (deep.node) {
			if (!err)
				err = look_into_node(&deeps, &deep);
			node_unref(deep.node);
		} else if (!err) {
			tree_unlock(tree);
			err = look_into_link(tree, &deeps, &deep, wait);
			tree_lock(tree);
		}
	}
	free(deeps.at);
	return err;
}

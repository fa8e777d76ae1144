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

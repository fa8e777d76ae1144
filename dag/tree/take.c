/* Another version takes the place of the base, in one step. What differs is found before, without
 * the lock, in the directories that are in memory; if others came into memory meanwhile it is found
 * again. A directory that stays one keeps its node, so whoever works in it sees the new version;
 * files get new nodes, so open ones stay as they were. */
#include "dag/tree/tree_private.h"

#include <assert.h>

#define ROUNDS_MAX 100

/* A directory in memory whose base becomes another one. */
struct take_dir {
	struct list link;
	struct node *node; /* counts in its refs */
	struct cid before, after;
	struct manifest_entry said; /* attributes; nothing for the top */
	struct map names;	    /* that differ: struct take_name */
};

struct take_name {
	uint64_t was; /* the directory in memory there; 0: none */
	bool stays;   /* it is one after, too, and planned below */
};

struct taking {
	struct tree *tree;
	struct wait *wait;
	struct list dirs; /* parents before their children */
	struct take_dir *at;
};

static void taking_release(struct taking *taking)
{
	tree_lock(taking->tree);
	list_for_each_safe(dir, &taking->dirs, struct take_dir, link) {
		struct bytes key;
		void *value;

		for (size_t at = 0; map_next(&dir->names, &at, &key, &value);)
			free(value);
		map_release(&dir->names);
		manifest_entry_release(&dir->said);
		list_remove(&dir->link);
		node_unref(dir->node);
		free(dir);
	}
	tree_unlock(taking->tree);
}

/* Takes over a reference of node. */
static struct take_dir *add_dir(struct taking *taking, struct node *node, const struct cid *before,
				const struct cid *after)
{
	struct take_dir *dir = xnew(struct take_dir);

	dir->node = node;
	dir->before = *before;
	dir->after = *after;
	list_add_tail(&taking->dirs, &dir->link);
	return dir;
}

/* The directory in memory at a name, referred to; NULL: none. */
static struct node *dir_at(struct tree *tree, const struct node *parent, struct bytes name,
			   struct cid *base)
{
	struct node *node = NULL;

	tree_lock(tree);
	const struct entry *entry = entry_find(parent, manifest_hash(name), name);

	if (entry && entry->node && S_ISDIR(entry->node->mode)) {
		node = node_ref(entry->node);
		*base = node->base;
	}
	tree_unlock(tree);
	return node;
}

static int take_difference(void *ctx, struct bytes name)
{
	struct taking *taking = ctx;
	struct take_dir *dir = taking->at;
	struct take_name *differs = xnew(struct take_name);
	struct manifest_entry said = { 0 };
	struct shown shown;
	struct cid before;

	free(map_set(&dir->names, name, differs));
	struct node *node = dir_at(taking->tree, dir->node, name, &before);

	if (!node)
		return 0;
	differs->was = node->number;
	int err = cid_is_set(&dir->after) ? base_lookup(&taking->tree->reader, &dir->after, name,
							taking->wait, &said)
					  : -ENOENT;

	if (!err && shown_entry(&said, &shown) && !shown.value) {
		differs->stays = true;
		add_dir(taking, node, &before, &said.dir.link)->said = said;
		return 0;
	}
	manifest_entry_release(&said);
	tree_lock(taking->tree);
	node_unref(node);
	tree_unlock(taking->tree);
	return err == -ENOENT ? 0 : err;
}

/* Without the lock. */
static int find_differences(struct taking *taking, const struct cid *base)
{
	struct tree *tree = taking->tree;
	int err = 0;

	tree_lock(tree);
	add_dir(taking, node_ref(tree->root), &tree->root->base, base);
	tree_unlock(tree);
	list_for_each(dir, &taking->dirs, struct take_dir, link) {
		taking->at = dir;
		if (!cid_equal(&dir->before, &dir->after))
			err = base_diff(&tree->reader, &dir->before, &dir->after, taking->wait,
					take_difference, taking);
		if (err)
			break;
	}
	return err;
}

/* ---- with the lock held ---- */

static void take_tell(struct tree *tree, enum tree_change what, const struct node *dir,
		      struct bytes name, uint64_t node)
{
	for (struct tree_watch *watch = tree->watches; watch; watch = watch->next)
		watch->changed(watch, what, dir ? dir->number : 0, name, node);
}

/* Are the directories as they were, and no others there that differ? */
static bool is_current(const struct taking *taking)
{
	list_for_each(dir, &taking->dirs, struct take_dir, link) {
		if (!cid_equal(&dir->node->base, &dir->before) || dir->node->orphan)
			return false;
		struct bytes name;
		void *value;

		for (size_t at = 0; map_next(&dir->names, &at, &name, &value);) {
			const struct take_name *differs = value;
			const struct entry *entry =
				entry_find(dir->node, manifest_hash(name), name);
			bool is_dir = entry && entry->node && S_ISDIR(entry->node->mode);

			if (differs->was != (is_dir ? entry->node->number : 0))
				return false;
		}
	}
	return true;
}

static void set_dir(struct take_dir *dir)
{
	struct node *node = dir->node;
	struct shown shown;
	uint64_t id = node->id;

	if (shown_entry(&dir->said, &shown)) {
		node_set_shown(node, &dir->said, &shown);
		node->id = id;
	}
	node->base = dir->after;
}

static void take_dir(struct tree *tree, struct take_dir *dir)
{
	struct bytes name;
	void *value;

	set_dir(dir);
	for (size_t at = 0; map_next(&dir->names, &at, &name, &value);) {
		struct entry *entry = entry_find(dir->node, manifest_hash(name), name);
		struct node *node = entry ? entry->node : NULL;

		if (((const struct take_name *)value)->stays) {
			take_tell(tree, TREE_ATTR, NULL, bytes_of(NULL, 0), node->number);
			continue;
		}
		take_tell(tree, TREE_ENTRY, dir->node, name, node ? node->number : 0);
		if (!node)
			continue;
		node_ref(node);
		node_detach(node);
		entry_remove(entry);
		node_unref(node);
	}
	take_tell(tree, TREE_ATTR, NULL, bytes_of(NULL, 0), dir->node->number);
}

static int take_once(struct tree *tree, const struct cid *base, struct wait *wait)
{
	struct taking taking = { .tree = tree, .wait = wait };

	list_init(&taking.dirs);
	int err = find_differences(&taking, base);

	tree_lock(tree);
	if (!err && tree->changed)
		err = -EBUSY;
	if (!err && !is_current(&taking))
		err = -EAGAIN;
	if (!err) {
		list_for_each(dir, &taking.dirs, struct take_dir, link)
			take_dir(tree, dir);
	}
	tree_unlock(tree);
	taking_release(&taking);
	return err;
}

int tree_take(struct tree *tree, const struct cid *base, struct wait *wait)
{
	int err = -EAGAIN;

	for (int round = 0; err == -EAGAIN && round < ROUNDS_MAX; round++)
		err = take_once(tree, base, wait);
	return err == -EAGAIN ? -EBUSY : err;
}

/* Attributes of nodes: told, set, and the roots that commits gave them. */
#include "dag/tree/tree_private.h"

int tree_stat(struct tree *tree, uint64_t number, struct tree_attr *attr)
{
	tree_lock(tree);
	const struct node *node = node_get(tree, number);

	if (node)
		node_attr(node, attr);
	tree_unlock(tree);
	return node ? 0 : -ESTALE;
}

static int set_check(const struct node *node, const struct tree_set *set)
{
	if (set->what & TREE_SET_SIZE && !S_ISREG(node->mode))
		return S_ISDIR(node->mode) ? -EISDIR : -EINVAL;
	if (set->what & TREE_SET_SIZE && set->size > TREE_FILE_MAX)
		return -EFBIG;
	if (set->what & TREE_SET_MODE && S_ISLNK(node->mode))
		return -EOPNOTSUPP;
	if (set->what & TREE_SET_MTIME &&
	    (set->mtime.tv_nsec < 0 || set->mtime.tv_nsec > 999999999))
		return -EINVAL;
	return 0;
}

static int attributes_apply(struct node *node, const struct tree_set *set)
{
	struct timespec now = tree_now();

	if (set->what & TREE_SET_SIZE) {
		uint64_t before = node_size(node);
		int err = data_truncate(node_data(node), set->size);

		if (err)
			return err;
		if (before != set->size)
			node->mtime = now;
	}
	if (set->what & TREE_SET_MODE)
		node->mode = (node->mode & S_IFMT) | (set->mode & 07777);
	if (set->what & TREE_SET_MTIME_NOW)
		node->mtime = now;
	else if (set->what & TREE_SET_MTIME)
		node->mtime = set->mtime;
	node->ctime = now;
	node_changed(node);
	return 0;
}

int tree_set(struct tree *tree, uint64_t number, const struct tree_set *set, struct wait *wait,
	     struct tree_attr *attr)
{
	int err = tree_wait_room(tree, wait);

	if (err)
		return err;
	tree_lock(tree);
	struct node *node = node_get(tree, number);

	err = node ? set_check(node, set) : -ESTALE;
	if (!err && set->what)
		err = attributes_apply(node, set);
	if (!err)
		node_attr(node, attr);
	tree_unlock(tree);
	return err;
}

/* Without the lock: what the manifest of the parent says of it. */
static int said_root(struct tree *tree, const struct cid *parent, struct bytes name,
		     struct wait *wait, struct cid *root)
{
	struct manifest_entry said = { 0 };
	int err = base_lookup(&tree->reader, parent, name, wait, &said);
	struct shown shown;

	if (err)
		return err;
	if (!shown_entry(&said, &shown))
		err = -ENOENT;
	else if (!shown.value)
		*root = said.dir.tree;
	else if (S_ISLNK(shown.mode))
		err = -EINVAL;
	else
		*root = shown.value->cid;
	manifest_entry_release(&said);
	return err;
}

int tree_committed_root(struct tree *tree, uint64_t number, struct wait *wait, struct cid *root)
{
	char name[TREE_NAME_MAX];
	struct cid parent = { 0 };
	size_t len = 0;
	int err = 0;

	tree_lock(tree);
	const struct node *node = node_get(tree, number);

	if (!node)
		err = -ESTALE;
	else if (node->orphan)
		err = -ENOENT;
	else if (node->changed || node->below || (node->entry && node->entry->changed))
		err = -EBUSY;
	else if (node == tree->root)
		*root = tree->share.root;
	if (!err && node != tree->root) {
		parent = node->parent->base;
		len = node->entry->name_len;
		memcpy(name, node->entry->name, len);
	}
	tree_unlock(tree);
	return err || !len ? err : said_root(tree, &parent, bytes_of(name, len), wait, root);
}

/* Opening: rows of the last cut become nodes and entries again. Rows that do not fit together, as
 * after a salvage, are left out and logged; a file whose content cannot be put together has what
 * the base has. Files that were unlinked while they were open are dropped. Before any thread of the
 * tree runs. */
#include "dag/tree/tree_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <assert.h>

struct loading {
	struct tree *tree;
	struct db_txn *txn;
	uint64_t orphans;
	uint64_t left_out;
	int err;
};

static uint64_t key_number(struct bytes key)
{
	struct cursor c = cursor_over(bytes_skip(key, 4));

	return cursor_be64(&c);
}

static void set_node(struct node *node, const struct node_said *said)
{
	node->mode = said->mode;
	node->id = said->id;
	node->mtime = said->mtime;
	node->ctime = said->ctime;
	node->base = said->base;
	node->size = said->size;
	node->recorded = true;
	xattrs_copy(node, said->xattrs, said->xattr_count);
	if (S_ISLNK(said->mode)) {
		node->target = xcalloc(1, said->target.len + 1);
		memcpy(node->target, said->target.at, said->target.len);
		node->size = said->target.len;
	}
}

/* First turn: all nodes, without places. */
static int load_node(void *ctx, struct bytes key, struct bytes value)
{
	struct loading *loading = ctx;
	struct tree *tree = loading->tree;
	uint64_t number = key_number(key);
	struct node_said said;

	if (key.len != 12 || !number || number >= TREE_NODE_MAX || node_said_decode(&said, value) ||
	    (number == TREE_ROOT && !S_ISDIR(said.mode))) {
		loading->left_out++;
		return 0;
	}
	struct node *node = number == TREE_ROOT ? tree->root : node_new(tree, number, said.mode);

	set_node(node, &said);
	if (number == TREE_ROOT)
		node->base = tree->share.state;
	return 0;
}

/* Would the node be below itself? Rows are from disk: the way up is bounded by the tree's size. */
static bool is_circle(const struct tree *tree, const struct node *node, const struct node *dir)
{
	size_t steps = 0;

	for (; dir; dir = dir->parent)
		if (dir == node || ++steps > tree->nodes.count)
			return true;
	return false;
}

/* Second turn: places. */
static int load_place(void *ctx, struct bytes key, struct bytes value)
{
	struct loading *loading = ctx;
	struct tree *tree = loading->tree;
	struct node *node = node_get(tree, key_number(key));
	struct node_said said;

	if (!node || node == tree->root || node_said_decode(&said, value))
		return 0;
	struct node *dir = said.parent ? node_get(tree, said.parent) : NULL;
	uint64_t hash = manifest_hash(said.name);

	if (!said.parent) {
		node->orphan = true;
		loading->orphans++;
		return 0;
	}
	if (!dir || !S_ISDIR(dir->mode) || name_check(said.name) || is_circle(tree, node, dir) ||
	    entry_find(dir, hash, said.name)) {
		node->orphan = true;
		loading->left_out++;
		return 0;
	}
	struct entry *entry = entry_add(dir, hash, said.name);

	node_attach(node, dir, entry);
	node->changed = said.changed; /* a moment of its own when all have their places */
	return 0;
}

static void mark_changed(struct tree *tree)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(&tree->nodes, &at, &key, &value)) {
		struct node *node = value;

		if (!node->changed || !node->entry)
			continue;
		entry_changed(node->entry, false);
		node->changed = node->entry->changed;
	}
}

/* Third turn: names that lead elsewhere than in the base. */
static int load_name(void *ctx, struct bytes key, struct bytes value)
{
	struct loading *loading = ctx;
	struct tree *tree = loading->tree;
	struct node *dir = node_get(tree, key_number(key));
	struct bytes name = bytes_skip(key, 12);
	uint64_t number, hash = manifest_hash(name);

	if (!dir || !S_ISDIR(dir->mode) || name_check(name) || name_said_decode(&number, value)) {
		loading->left_out++;
		return 0;
	}
	struct entry *entry = entry_find(dir, hash, name);

	if (number && (!entry || !entry->node || entry->node->number != number)) {
		loading->left_out++;
		return 0;
	}
	if (!entry)
		entry = entry_add(dir, hash, name);
	else if (!number && entry->node) {
		loading->left_out++;
		return 0;
	}
	entry_changed(entry, true);
	entry->recorded = true;
	return 0;
}

static void load_content(struct loading *loading)
{
	struct tree *tree = loading->tree;
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(&tree->nodes, &at, &key, &value)) {
		struct node *node = value;

		if (!S_ISREG(node->mode) || node->orphan)
			continue;
		int err = content_read(loading->txn, node);

		if (!err)
			continue;
		log_error("tree",
			  "share %s: bytes of a file that were not committed are damaged: %s",
			  tree->share.name, err_text(err));
		loading->left_out++;
	}
}

/* Orphans go with the first cut. */
static void drop_orphans(struct tree *tree)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(&tree->nodes, &at, &key, &value)) {
		struct node *node = value;

		if (node->orphan)
			node_queue(node);
	}
}

/* node_new()'s references; whoever is kept by nobody else goes. */
static void drop_references(struct tree *tree)
{
	uint64_t *numbers = xcalloc(tree->nodes.count + 1, sizeof(*numbers));
	size_t at = 0, count = 0;
	struct bytes key;
	void *value;

	while (map_next(&tree->nodes, &at, &key, &value))
		numbers[count++] = ((struct node *)value)->number;
	for (size_t i = 0; i < count; i++) {
		struct node *node = node_get(tree, numbers[i]);

		if (node && node != tree->root)
			node_unref(node);
	}
	free(numbers);
}

int tree_load(struct tree *tree)
{
	struct loading loading = { .tree = tree };
	struct buf prefix = { 0 };
	int err = db_begin(tree->work, false, &loading.txn);

	if (err)
		return err;
	buf_add_be32(&prefix, tree->share.id);
	const struct bytes all = buf_bytes(&prefix), start = { 0 };

	/* Damaged rows are left out by db_each(), and then its result is -EIO. */
	err = db_each(loading.txn, "nodes", all, start, load_node, &loading);
	if (!err || err == -EIO)
		err = db_each(loading.txn, "nodes", all, start, load_place, &loading);
	mark_changed(tree);
	if (!err || err == -EIO)
		err = db_each(loading.txn, "names", all, start, load_name, &loading);
	if (!err || err == -EIO) {
		err = 0;
		load_content(&loading);
	}
	db_abort(loading.txn);
	buf_release(&prefix);
	if (err)
		return err;
	if (loading.left_out)
		log_error("tree", "share %s: %llu records of changes are damaged and left out",
			  tree->share.name, (unsigned long long)loading.left_out);
	drop_orphans(tree);
	drop_references(tree);
	tree->generation++;
	return 0;
}

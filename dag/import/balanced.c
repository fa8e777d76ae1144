/* The balanced layout: every leaf at the same depth. One open node is kept for each level, so
 * memory depends on the depth and not on the size of the file. The importing thread. */
#include "dag/import/balanced.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>

void balanced_release(struct balanced *tree)
{
	for (unsigned level = 0; level < tree->depth; level++)
		file_node_release(&tree->levels[level]);
	free(tree->levels);
	*tree = (struct balanced){ 0 };
}

/* A full node is closed only when one more child comes: until then it may be the root. */
static int balanced_push(struct balanced *tree, const struct builder *builder, unsigned level,
			 const struct child *child)
{
	struct child carry = *child;

	for (;; level++) {
		struct child closed;
		int err;

		if (level == BALANCED_DEPTH_MAX)
			return -EFBIG;
		if (level == tree->depth) {
			tree->levels = xrealloc(tree->levels, (level + 1) * sizeof(*tree->levels));
			tree->levels[level] = (struct file_node){ 0 };
			tree->depth++;
		}

		struct file_node *node = &tree->levels[level];

		if (node->count < builder->config.links_max) {
			file_node_add(node, &carry);
			return 0;
		}
		err = file_node_finish(builder, node, NULL, &closed);
		if (err)
			return err;
		file_node_add(node, &carry);
		carry = closed;
	}
}

int balanced_add(struct balanced *tree, const struct builder *builder, const struct child *leaf)
{
	if (tree->depth == 0) {
		if (!tree->has_first) {
			tree->first = *leaf;
			tree->has_first = true;
			return 0;
		}
		int err = balanced_push(tree, builder, 0, &tree->first);

		if (err)
			return err;
	}
	return balanced_push(tree, builder, 0, leaf);
}

int balanced_finish(struct balanced *tree, const struct builder *builder,
		    const struct attributes *attributes, struct child *root)
{
	assert(tree->has_first);
	if (tree->depth == 0) {
		*root = tree->first;
		return 0;
	}
	/* balanced_push() may add levels on the way up. */
	for (unsigned level = 0; level + 1 < tree->depth; level++) {
		struct child closed;
		int err = file_node_finish(builder, &tree->levels[level], NULL, &closed);

		if (!err)
			err = balanced_push(tree, builder, level + 1, &closed);
		if (err)
			return err;
	}
	return file_node_finish(builder, &tree->levels[tree->depth - 1], attributes, root);
}

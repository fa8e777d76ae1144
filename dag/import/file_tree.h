/* The tree over a file's leaves, grown leaf by leaf (wire/dag section 3). One thread. */
#ifndef DAG_FILE_TREE_H
#define DAG_FILE_TREE_H

#include "dag/import/balanced.h"
#include "dag/import/trickle.h"

struct file_tree {
	const struct builder *builder; /* borrowed; its config tells the layout */
	union {
		struct balanced balanced;
		struct trickle trickle;
	};
};

void file_tree_init(struct file_tree *tree, const struct builder *builder);
void file_tree_release(struct file_tree *tree);

/* The next leaf, already stored. Errors as builder_put()'s. */
int file_tree_add(struct file_tree *tree, const struct child *leaf);
/* The root. A balanced tree needs at least one leaf, and its only leaf is its root: the metadata is
 * in the leaf then. */
int file_tree_finish(struct file_tree *tree, const struct attributes *attributes,
		     struct child *root);

#endif

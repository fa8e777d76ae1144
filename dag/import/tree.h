/* The tree over a file's leaves, grown leaf by leaf (wire/dag section 3). One thread. */
#ifndef DAG_TREE_H
#define DAG_TREE_H

#include "dag/import/balanced.h"
#include "dag/import/trickle.h"

struct tree {
	const struct builder *builder; /* borrowed; its config tells the layout */
	union {
		struct balanced balanced;
		struct trickle trickle;
	};
};

void tree_init(struct tree *tree, const struct builder *builder);
void tree_release(struct tree *tree);

/* The next leaf, already stored. Errors as builder_put()'s. */
int tree_add(struct tree *tree, const struct child *leaf);
/* The root. A balanced tree needs at least one leaf, and its only leaf is its root: the metadata is
 * in the leaf then. */
int tree_finish(struct tree *tree, const struct attributes *attributes, struct child *root);

#endif

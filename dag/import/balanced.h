/* Balanced layout: all leaves at one depth, every node but those on the right edge full. */
#ifndef DAG_BALANCED_H
#define DAG_BALANCED_H

#include "dag/import/builder.h"

#define BALANCED_DEPTH_MAX 64

/* Zero-initialised is empty. levels[0] holds leaves, levels[i] nodes of level i - 1; one open node
 * each. */
struct balanced {
	struct file_node *levels;
	unsigned depth;
	bool has_first; /* the first leaf waits: if none follows it is the root */
	struct child first;
};

void balanced_release(struct balanced *tree);
/* As file_tree_add(), file_tree_finish(). */
int balanced_add(struct balanced *tree, const struct builder *builder, const struct child *leaf);
int balanced_finish(struct balanced *tree, const struct builder *builder,
		    const struct attributes *attributes, struct child *root);

#endif

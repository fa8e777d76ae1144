/* A file's tree in either layout: passes each call on to balanced.c or trickle.c. The importing
 * thread. */
#include "dag/import/file_tree.h"

void file_tree_init(struct file_tree *tree, const struct builder *builder)
{
	*tree = (struct file_tree){ .builder = builder };
}

void file_tree_release(struct file_tree *tree)
{
	if (tree->builder->config.layout == LAYOUT_TRICKLE)
		trickle_release(&tree->trickle);
	else
		balanced_release(&tree->balanced);
}

int file_tree_add(struct file_tree *tree, const struct child *leaf)
{
	if (tree->builder->config.layout == LAYOUT_TRICKLE)
		return trickle_add(&tree->trickle, tree->builder, leaf);
	return balanced_add(&tree->balanced, tree->builder, leaf);
}

int file_tree_finish(struct file_tree *tree, const struct attributes *attributes,
		     struct child *root)
{
	if (tree->builder->config.layout == LAYOUT_TRICKLE)
		return trickle_finish(&tree->trickle, tree->builder, attributes, root);
	return balanced_finish(&tree->balanced, tree->builder, attributes, root);
}

/* Trickle layout: a node has its leaves first, then four subtrees each of depth 1, 2, 3...:
 * sequential readers see the first bytes early. The root is always a node. */
#ifndef DAG_TRICKLE_H
#define DAG_TRICKLE_H

#include "dag/import/builder.h"

#define TRICKLE_DEPTH_MAX 64

/* Zero-initialised is empty. The open nodes, root first. */
struct trickle_frame;
struct trickle {
	struct trickle_frame *frames;
	unsigned depth;
};

void trickle_release(struct trickle *tree);
/* As file_tree_add(), file_tree_finish(). */
int trickle_add(struct trickle *tree, const struct builder *builder, const struct child *leaf);
int trickle_finish(struct trickle *tree, const struct builder *builder,
		   const struct attributes *attributes, struct child *root);

#endif

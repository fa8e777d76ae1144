/* The trickle layout: a node has leaves first, then subtrees of growing depth, so that the
 * beginning of a file is reached by few blocks. The open nodes are a stack. The importing thread.
 */
#include "dag/import/trickle.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

#define REPEAT 4 /* subtrees of each depth */

struct trickle_frame {
	struct file_node node;
	unsigned leaves;
	unsigned limit;	 /* only subtrees less deep than this; 0: any */
	unsigned depth;	 /* of the next subtree */
	unsigned repeat; /* subtrees of that depth so far */
};

void trickle_release(struct trickle *tree)
{
	while (tree->depth > 0)
		file_node_release(&tree->frames[--tree->depth].node);
	free(tree->frames);
	*tree = (struct trickle){ 0 };
}

static int open_node(struct trickle *tree, unsigned limit)
{
	if (tree->depth == TRICKLE_DEPTH_MAX)
		return -EFBIG;
	tree->frames = xrealloc(tree->frames, (tree->depth + 1) * sizeof(*tree->frames));
	tree->frames[tree->depth++] = (struct trickle_frame){ .limit = limit, .depth = 1 };
	return 0;
}

/* The innermost node, which is not the root, into its parent. */
static int close_node(struct trickle *tree, const struct builder *builder)
{
	struct trickle_frame *frame = &tree->frames[tree->depth - 1];
	struct trickle_frame *parent = frame - 1;
	struct child child;
	int err = file_node_finish(builder, &frame->node, NULL, &child);

	if (err)
		return err;
	file_node_release(&frame->node);
	tree->depth--;
	file_node_add(&parent->node, &child);
	if (++parent->repeat == REPEAT) {
		parent->repeat = 0;
		parent->depth++;
	}
	return 0;
}

int trickle_add(struct trickle *tree, const struct builder *builder, const struct child *leaf)
{
	int err = tree->depth == 0 ? open_node(tree, 0) : 0;

	while (!err) {
		struct trickle_frame *frame = &tree->frames[tree->depth - 1];

		if (frame->leaves < builder->config.links_max) {
			file_node_add(&frame->node, leaf);
			frame->leaves++;
			return 0;
		}
		if (frame->limit == 0 || frame->depth < frame->limit)
			err = open_node(tree, frame->depth);
		else
			err = close_node(tree, builder);
	}
	return err;
}

int trickle_finish(struct trickle *tree, const struct builder *builder,
		   const struct attributes *attributes, struct child *root)
{
	int err = tree->depth == 0 ? open_node(tree, 0) : 0;

	while (!err && tree->depth > 1)
		err = close_node(tree, builder);
	if (err)
		return err;
	return file_node_finish(builder, &tree->frames[0].node, attributes, root);
}

/* A walk over the leaves of a file, from any offset, with a stack of the nodes above the present
 * place. It reads no blocks: the caller fetches what the walk names and hands nodes back, so that
 * it can wait as it likes. One thread for each walk. */
#include "dag/file_walk.h"

#include "net/base/err.h"

void file_walk_start(struct file_walk *walk, struct file *file, uint64_t offset)
{
	walk->at = offset;
	walk->depth = 1;
	walk->stack[0].node = file_node_ref(file->root);
	walk->stack[0].start = 0;
}

bool file_walk_next(struct file_walk *walk, struct file_piece *piece)
{
	while (walk->depth) {
		struct file_node *node = walk->stack[walk->depth - 1].node;
		uint64_t start = walk->stack[walk->depth - 1].start;
		uint64_t offset = walk->at - start;

		if (offset >= node->size) {
			file_node_unref(node);
			walk->depth--;
			continue;
		}
		piece->own = offset < node->own_len;
		if (piece->own) {
			piece->cid = node->self;
			piece->start = start;
			piece->len = node->own_len;
			return true;
		}
		size_t i = file_node_find(node, offset);
		uint64_t begin = i ? node->ends[i - 1] : node->own_len;

		file_node_child(node, i, &piece->cid);
		piece->start = start + begin;
		piece->len = node->ends[i] - begin;
		return true;
	}
	return false;
}

int file_walk_enter(struct file_walk *walk, const struct file_piece *piece, struct file_node *node)
{
	if (walk->depth == FILE_DEPTH_MAX || node->size != piece->len) {
		file_node_unref(node);
		return -EBADMSG;
	}
	walk->stack[walk->depth].node = node;
	walk->stack[walk->depth].start = piece->start;
	walk->depth++;
	return 0;
}

void file_walk_end(struct file_walk *walk)
{
	while (walk->depth)
		file_node_unref(walk->stack[--walk->depth].node);
}

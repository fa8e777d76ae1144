/* The tree above a file's chunks, made anew where it changed: depth first, a level at a time, with
 * an explicit stack. Subtrees without a change come from the old file, subtrees of zeros from the
 * few nodes that all zeros share. One thread at a time. */
#include "dag/tree/file_edit.h"

#include "dag/file.h"
#include "dag/import/balanced.h"
#include "dag/tree/file_chunks.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

struct editor {
	struct blocks *blocks;
	const struct file_edit_config *config;
	const struct file_edit *edit;
	struct wait *wait;
	struct builder builder;
	struct file_shape shape;
	struct file_chunks *old; /* NULL: none */
	struct file_zeros zeros;
	/* What is being built: the node of each level, from the top down to `depth`. */
	struct file_node nodes[FILE_LEVELS_MAX];
	uint64_t firsts[FILE_LEVELS_MAX];
};

void file_edit_config_init(struct file_edit_config *config)
{
	*config = (struct file_edit_config){ .chunk = 1u << 20,
					     .width = 1024,
					     .hash_code = HASH_SHA2_256 };
}

/* ---- leaves and zeros ---- */

void file_edit_builder(struct builder *builder, struct blocks *blocks,
		       const struct file_edit_config *config, bool only_hash)
{
	struct import_config import = { .cid_version = 1,
					.hash_code = config->hash_code,
					.raw_leaves = true,
					.links_max = config->width,
					.only_hash = only_hash };

	builder_init(builder, blocks, &import);
}

int file_edit_leaf(const struct builder *builder, struct bytes data, struct child *leaf)
{
	int err = builder_name(&builder->config, 1, CODEC_RAW, data, &leaf->cid);

	leaf->file_size = leaf->tsize = data.len;
	if (!err && !builder->config.only_hash) {
		struct block *block = block_copy(&leaf->cid, data);

		err = blocks_put(builder->blocks, block);
		block_unref(block);
	}
	return err;
}

void file_zeros_init(struct file_zeros *zeros, struct blocks *blocks,
		     const struct file_edit_config *config, bool only_hash)
{
	*zeros = (struct file_zeros){ 0 };
	file_edit_builder(&zeros->builder, blocks, config, only_hash);
}

int file_zeros_chunk(struct file_zeros *zeros, uint32_t len, struct child *leaf)
{
	uint8_t *data = xcalloc(1, len ? len : 1);
	int err = file_edit_leaf(&zeros->builder, bytes_of(data, len), leaf);

	free(data);
	return err;
}

int file_zeros_node(struct file_zeros *zeros, const struct file_edit_config *config, unsigned level,
		    struct child *node)
{
	int err = 0;

	while (!err && zeros->known <= level) {
		struct child *made = &zeros->levels[zeros->known];
		struct file_node links = { 0 };

		if (zeros->known == 0) {
			err = file_zeros_chunk(zeros, config->chunk, made);
		} else {
			for (uint32_t i = 0; i < config->width; i++)
				file_node_add(&links, made - 1);
			err = file_node_finish(&zeros->builder, &links, NULL, made);
		}
		file_node_release(&links);
		zeros->known += !err;
	}
	*node = zeros->levels[level];
	return err;
}

int file_zero_chunk(struct blocks *blocks, const struct file_edit_config *config, uint32_t len,
		    struct cid *cid)
{
	struct file_zeros zeros;
	struct child leaf = { 0 };
	int err;

	file_zeros_init(&zeros, blocks, config, !blocks);
	err = file_zeros_chunk(&zeros, len, &leaf);
	*cid = leaf.cid;
	return err;
}

/* ---- what lies in a range ---- */

/* The first change that ends behind chunk. */
static const struct file_change *change_from(const struct file_edit *edit, uint64_t chunk)
{
	size_t low = 0, high = edit->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct file_change *change = &edit->changes[middle];

		if (change->chunk + change->count > chunk)
			high = middle;
		else
			low = middle + 1;
	}
	return edit->changes + low;
}

static uint64_t old_count(const struct editor *editor)
{
	return editor->old ? file_chunks_shape(editor->old)->count : 0;
}

/* No change names a chunk of [first, end), and all of them are in the old file. */
static bool is_old(const struct editor *editor, uint64_t first, uint64_t end)
{
	const struct file_change *change = change_from(editor->edit, first);

	return end <= old_count(editor) &&
	       (change == editor->edit->changes + editor->edit->count || change->chunk >= end);
}

static bool is_zero(const struct editor *editor, uint64_t first, uint64_t end)
{
	const struct file_edit *edit = editor->edit;
	const struct file_change *change = change_from(edit, first);

	for (; change < edit->changes + edit->count && change->chunk < end; change++) {
		if (cid_is_set(&change->cid) ||
		    (change->chunk > first && first < old_count(editor)))
			return false;
		first = change->chunk + change->count;
	}
	return first >= end || first >= old_count(editor);
}

/* ---- building ---- */

/* Node (level, first) if it need not be built. */
static int find_ready(struct editor *editor, unsigned level, uint64_t first, struct child *node,
		      bool *ready)
{
	const struct file_shape *shape = &editor->shape;
	uint64_t count = file_shape_chunks(shape, level, first), end = first + count;
	uint64_t bytes = file_shape_bytes(shape, first, count);

	*ready = true;
	if (editor->old && level <= file_chunks_shape(editor->old)->height &&
	    is_old(editor, first, end) &&
	    file_shape_chunks(file_chunks_shape(editor->old), level, first) == count) {
		int err = file_chunks_node(editor->old, level, first, true, editor->wait, node);

		/* The last chunk is as long as it was: a change names it otherwise. */
		return err || node->file_size == bytes ? err : -EINVAL;
	}
	if (is_zero(editor, first, end)) {
		if (count == shape->spans[level] && bytes == count * shape->chunk)
			return file_zeros_node(&editor->zeros, editor->config, level, node);
		if (level == 0)
			return file_zeros_chunk(&editor->zeros, (uint32_t)bytes, node);
	}
	if (level == 0) {
		*node = (struct child){ .cid = change_from(editor->edit, first)->cid,
					.file_size = bytes,
					.tsize = bytes };
		return 0;
	}
	*ready = false;
	return 0;
}

/* nodes[level] is open at firsts[level], each with the children that are done. Goes down to what
 * is not ready, and up when a node is full, until the root is done. */
static int file_edit_build(struct editor *editor, struct child *root)
{
	const struct file_shape *shape = &editor->shape;
	unsigned top = shape->height, level = top;
	uint64_t next = 0; /* first chunk of the child that is to be done */
	struct child node;
	bool ready;
	int err = find_ready(editor, top, 0, root, &ready);

	while (!err && !ready) {
		uint64_t end = editor->firsts[level] +
			       file_shape_chunks(shape, level, editor->firsts[level]);

		if (next == end) {
			err = file_node_finish(&editor->builder, &editor->nodes[level], NULL,
					       &node);
			if (level == top) {
				*root = node;
				break;
			}
			if (!err)
				file_node_add(&editor->nodes[++level], &node);
			continue;
		}
		err = find_ready(editor, level - 1, next, &node, &ready);
		if (!err && ready) {
			file_node_add(&editor->nodes[level], &node);
			next += file_shape_chunks(shape, level - 1, next);
			ready = false;
		} else if (!err) {
			editor->firsts[--level] = next;
		}
		if (!err && wait_check(editor->wait) == -EINTR)
			err = -EINTR;
	}
	return err;
}

int file_edit_make(struct blocks *blocks, const struct file_edit_config *config,
		   const struct file_edit *edit, struct wait *wait, struct cid *root,
		   uint64_t *tree_size)
{
	struct editor editor = { .blocks = blocks, .config = config, .edit = edit, .wait = wait };
	struct child made = { 0 };
	int err = file_shape_init(&editor.shape, config, edit->size);

	if (err)
		return err;
	file_edit_builder(&editor.builder, blocks, config, false);
	file_zeros_init(&editor.zeros, blocks, config, false);
	if (edit->old && edit->old_size)
		editor.old = file_chunks_new(blocks, config, edit->old, edit->old_size);
	err = edit->size ? file_edit_build(&editor, &made)
			 : file_zeros_chunk(&editor.zeros, 0, &made);
	for (unsigned level = 0; level < FILE_LEVELS_MAX; level++)
		file_node_release(&editor.nodes[level]);
	file_chunks_free(editor.old);
	if (err)
		return err;
	*root = made.cid;
	if (tree_size)
		*tree_size = made.tsize;
	return 0;
}

/* ---- all of it ---- */

int file_recut(struct blocks *blocks, const struct file_edit_config *config, const struct cid *old,
	       struct wait *wait, struct cid *root, uint64_t *size)
{
	struct balanced tree = { 0 };
	struct builder builder;
	struct child node = { 0 };
	struct file *file;
	uint8_t *data;
	uint64_t at = 0;
	int err = file_open(blocks, old, wait, &file);

	if (err)
		return err;
	data = xcalloc(1, config->chunk);
	file_edit_builder(&builder, blocks, config, false);
	do {
		ssize_t got = file_read(file, at, data, config->chunk, wait);

		err = got < 0 ? (int)got : wait_check(wait) == -EINTR ? -EINTR : 0;
		if (!err)
			err = file_edit_leaf(&builder, bytes_of(data, (size_t)got), &node);
		if (!err)
			err = balanced_add(&tree, &builder, &node);
		at += err ? 0 : (uint64_t)got;
	} while (!err && at < file_size(file));
	if (!err)
		err = balanced_finish(&tree, &builder, NULL, &node);
	if (!err) {
		*root = node.cid;
		*size = at;
	}
	balanced_release(&tree);
	file_close(file);
	free(data);
	return err;
}

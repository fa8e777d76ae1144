/* A cursor over the chunks of a file of our layout. Of each level it keeps the node that it read
 * last, so that going through a file reads each node once. Every node is checked against the shape
 * that the file's size demands. One thread at a time. */
#include "dag/tree/file_chunks.h"

#include "dag/dagpb.h"
#include "dag/import/chunker.h"
#include "dag/unixfs.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>

/* A node that was read: its links borrow from its block. */
struct level {
	struct block *block; /* NULL: nothing is kept */
	struct dagpb links;
	uint64_t first;
};

struct file_chunks {
	struct blocks *blocks;
	struct file_edit_config config;
	struct file_shape shape;
	struct cid root;
	int err;			      /* of the size */
	struct level levels[FILE_LEVELS_MAX]; /* [0] is not used */
	struct file_zeros zeros;
};

/* ---- shapes ---- */

int file_shape_init(struct file_shape *shape, const struct file_edit_config *config, uint64_t size)
{
	*shape = (struct file_shape){ .size = size, .chunk = config->chunk };
	shape->count = size / config->chunk + (size % config->chunk != 0);
	assert(config->width >= 2 && config->chunk > 0 && config->chunk <= CHUNK_MAX);
	if (shape->count > FILE_EDIT_CHUNKS_MAX)
		return -EFBIG;
	shape->spans[0] = 1;
	while (shape->spans[shape->height] < shape->count) {
		uint64_t below = shape->spans[shape->height];

		shape->spans[++shape->height] = below * config->width;
	}
	return 0;
}

uint64_t file_shape_chunks(const struct file_shape *shape, unsigned level, uint64_t first)
{
	uint64_t left = shape->count - first;

	return left < shape->spans[level] ? left : shape->spans[level];
}

uint64_t file_shape_bytes(const struct file_shape *shape, uint64_t first, uint64_t count)
{
	uint64_t start = first * shape->chunk, end = (first + count) * shape->chunk;

	return (end < shape->size ? end : shape->size) - start;
}

/* ---- reading nodes ---- */

struct file_chunks *file_chunks_new(struct blocks *blocks, const struct file_edit_config *config,
				    const struct cid *root, uint64_t size)
{
	struct file_chunks *chunks = xnew(struct file_chunks);

	chunks->blocks = blocks;
	chunks->config = *config;
	chunks->root = *root;
	chunks->err = file_shape_init(&chunks->shape, config, size);
	file_zeros_init(&chunks->zeros, blocks, config, true);
	return chunks;
}

static void level_release(struct level *level)
{
	dagpb_release(&level->links);
	block_unref(level->block);
	*level = (struct level){ 0 };
}

void file_chunks_free(struct file_chunks *chunks)
{
	if (!chunks)
		return;
	for (unsigned level = 0; level < FILE_LEVELS_MAX; level++)
		level_release(&chunks->levels[level]);
	free(chunks);
}

const struct file_shape *file_chunks_shape(const struct file_chunks *chunks)
{
	return &chunks->shape;
}

/* Named as the layout names nodes (level 1 and more) and chunks (0)? */
static bool is_ours(const struct file_edit_config *config, const struct cid *cid, unsigned level)
{
	struct multihash hash = cid_hash(cid);

	return cid->version == 1 && hash.code == config->hash_code &&
	       cid->codec == (level ? (uint64_t)CODEC_DAG_PB : (uint64_t)CODEC_RAW);
}

/* Do the node's links and sizes stand as they must at (level, first)? */
static bool fits_shape(const struct file_chunks *chunks, const struct dagpb *links,
		       const struct unixfs *unixfs, unsigned level, uint64_t first)
{
	const struct file_shape *shape = &chunks->shape;
	uint64_t count = file_shape_chunks(shape, level, first);
	uint64_t span = shape->spans[level - 1];
	uint64_t children = (count + span - 1) / span;

	if (unixfs->type != UNIXFS_FILE || unixfs->data.len || unixfs->mode || unixfs->has_mtime ||
	    !unixfs->has_filesize || unixfs->filesize != file_shape_bytes(shape, first, count) ||
	    links->link_count != children || unixfs->blocksize_count != children)
		return false;
	for (uint64_t i = 0; i < children; i++) {
		uint64_t at = first + i * span;
		uint64_t bytes =
			file_shape_bytes(shape, at, file_shape_chunks(shape, level - 1, at));
		struct dagpb_link link;

		dagpb_link(links, (size_t)i, &link);
		if (unixfs->blocksizes[i] != bytes || link.name.len ||
		    !is_ours(&chunks->config, &link.cid, level - 1))
			return false;
	}
	return true;
}

/* Reads a node into its level. -ENOTSUP: it is a file's node, of another layout. */
static int read_node(struct file_chunks *chunks, unsigned level, uint64_t first,
		     const struct cid *cid, struct wait *wait)
{
	struct level *kept = &chunks->levels[level];
	struct unixfs unixfs = { 0 };
	struct block *block;
	int err;

	if (!is_ours(&chunks->config, cid, level))
		return -ENOTSUP;
	err = blocks_get(chunks->blocks, cid, wait, &block);
	if (err)
		return err;
	level_release(kept);
	kept->block = block;
	kept->first = first;
	err = dagpb_decode(&kept->links, block->data);
	if (!err)
		err = unixfs_decode(&unixfs, kept->links.data);
	if (!err && !fits_shape(chunks, &kept->links, &unixfs, level, first))
		err = -ENOTSUP;
	unixfs_release(&unixfs);
	if (err)
		level_release(kept);
	return err;
}

/* Link of the kept node above (level, first). */
static void link_to(const struct file_chunks *chunks, unsigned level, uint64_t first,
		    struct dagpb_link *link)
{
	const struct level *above = &chunks->levels[level + 1];

	dagpb_link(&above->links, (size_t)((first - above->first) / chunks->shape.spans[level]),
		   link);
}

/* Sees to the node at this level above chunk `index` being kept. -ENOTSUP as read_node(). */
static int keep_path(struct file_chunks *chunks, unsigned level, uint64_t index, struct wait *wait)
{
	const struct file_shape *shape = &chunks->shape;
	int err = 0;

	for (unsigned at = shape->height; !err && at >= level; at--) {
		uint64_t first = index / shape->spans[at] * shape->spans[at];
		struct dagpb_link link = { .cid = chunks->root };

		if (chunks->levels[at].block && chunks->levels[at].first == first)
			continue;
		if (at < shape->height)
			link_to(chunks, at, first, &link);
		err = read_node(chunks, at, first, &link.cid, wait);
	}
	return err;
}

static int node_at(struct file_chunks *chunks, unsigned level, uint64_t first, bool root_tsize,
		   struct wait *wait, struct child *node)
{
	const struct file_shape *shape = &chunks->shape;
	struct dagpb_link link = { .cid = chunks->root };
	int err = chunks->err;

	assert(err || (level <= shape->height && first < shape->count));
	if (!err && level < shape->height)
		err = keep_path(chunks, level + 1, first, wait);
	else if (!err && level > 0 && root_tsize)
		err = keep_path(chunks, level, 0, wait);
	if (err)
		return err;
	if (level < shape->height) {
		link_to(chunks, level, first, &link);
	} else if (level == 0) {
		link.tsize = shape->size;
	} else if (root_tsize) {
		const struct level *root = &chunks->levels[level];

		for (size_t i = 0; i < root->links.link_count; i++) {
			struct dagpb_link child;

			dagpb_link(&root->links, i, &child);
			link.tsize += child.tsize;
		}
		link.tsize += root->block->data.len;
	}
	node->cid = link.cid;
	node->tsize = link.tsize;
	node->file_size = file_shape_bytes(shape, first, file_shape_chunks(shape, level, first));
	return 0;
}

int file_chunks_node(struct file_chunks *chunks, unsigned level, uint64_t first, bool root_tsize,
		     struct wait *wait, struct child *node)
{
	int err = node_at(chunks, level, first, root_tsize, wait, node);

	return err == -ENOTSUP ? -EBADMSG : err;
}

int file_chunk(struct file_chunks *chunks, uint64_t index, struct wait *wait, struct cid *cid,
	       uint32_t *len)
{
	struct child node;
	int err = file_chunks_node(chunks, 0, index, false, wait, &node);

	if (err)
		return err;
	*cid = node.cid;
	if (len)
		*len = (uint32_t)node.file_size;
	return 0;
}

int file_edit_fits(struct blocks *blocks, const struct file_edit_config *config,
		   const struct cid *root, uint64_t size, struct wait *wait)
{
	struct file_chunks *chunks;
	struct child node, empty;
	int err;

	if (size == 0) {
		struct file_zeros zeros;

		file_zeros_init(&zeros, blocks, config, true);
		err = file_zeros_chunk(&zeros, 0, &empty);
		return err ? err : cid_equal(&empty.cid, root);
	}
	chunks = file_chunks_new(blocks, config, root, size);
	err = chunks->err;
	if (!err && !is_ours(config, root, chunks->shape.height))
		err = -ENOTSUP;
	if (!err)
		err = node_at(chunks, 0, 0, false, wait, &node);
	if (!err)
		err = node_at(chunks, 0, chunks->shape.count - 1, false, wait, &node);
	file_chunks_free(chunks);
	return err == -ENOTSUP || err == -EFBIG ? 0 : err ? err : 1;
}

/* ---- runs of zeros ---- */

/* Is node (level, first) a full one of zeros, or the last chunk zeros? */
static int is_zeros(struct file_chunks *chunks, unsigned level, uint64_t first, struct wait *wait,
		    bool *yes)
{
	uint64_t span = chunks->shape.spans[level];
	bool whole = file_shape_chunks(&chunks->shape, level, first) == span;
	struct child node, zeros = { 0 };
	int err = file_chunks_node(chunks, level, first, false, wait, &node);

	if (!err && whole && node.file_size == span * chunks->config.chunk)
		err = file_zeros_node(&chunks->zeros, &chunks->config, level, &zeros);
	else if (!err && level == 0)
		err = file_zeros_chunk(&chunks->zeros, (uint32_t)node.file_size, &zeros);
	*yes = !err && cid_equal(&node.cid, &zeros.cid);
	return err;
}

/* The zeros from index on that one node tells of: chunks, or 0. */
static int zeros_at(struct file_chunks *chunks, uint64_t index, struct wait *wait, uint64_t *count)
{
	const struct file_shape *shape = &chunks->shape;
	unsigned level = 0;
	bool yes = false;
	int err = 0;

	while (level < shape->height && index % shape->spans[level + 1] == 0)
		level++;
	for (;; level--) {
		err = is_zeros(chunks, level, index, wait, &yes);
		if (err || yes || level == 0)
			break;
	}
	*count = yes ? file_shape_chunks(shape, level, index) : 0;
	return err;
}

int file_chunks_run(struct file_chunks *chunks, uint64_t index, bool zeros, struct wait *wait,
		    uint64_t *count)
{
	uint64_t at = index, found;
	int err = chunks->err;

	while (!err && at < chunks->shape.count) {
		err = zeros_at(chunks, at, wait, &found);
		if (err || (found > 0) != zeros)
			break;
		at += zeros ? found : 1;
		if (wait_check(wait) == -EINTR)
			err = -EINTR;
	}
	*count = at - index;
	return err;
}

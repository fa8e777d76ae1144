/* Makes dag-pb blocks for an import: names them by the configuration, stores them, and collects
 * the links and sizes of one file node. The importing thread. */
#include "dag/import/builder.h"

#include "dag/dagpb.h"
#include "dag/unixfs.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

void builder_init(struct builder *builder, struct blocks *blocks,
		  const struct import_config *config)
{
	*builder = (struct builder){ .blocks = blocks, .config = *config };
	/* A raw block has no place for metadata; Kubo drops raw leaves then, and so the CIDs agree.
	 */
	if (config->preserve_mode || config->preserve_mtime || config->mode || config->has_mtime)
		builder->config.raw_leaves = false;
}

int builder_name(const struct import_config *config, unsigned version, uint64_t codec,
		 struct bytes data, struct cid *cid)
{
	if (config->inline_max > 0 && data.len <= config->inline_max)
		return cid_of_data(cid, 1, codec, HASH_IDENTITY, data);
	return cid_of_data(cid, version, codec, config->hash_code, data);
}

int builder_put(const struct builder *builder, struct buf *data, struct cid *cid)
{
	const struct import_config *config = &builder->config;
	int err = data->len > BLOCK_CREATE_MAX ? -EFBIG : 0;

	if (!err)
		err = builder_name(config, config->cid_version, CODEC_DAG_PB, buf_bytes(data), cid);
	if (!err && !config->only_hash && !cid_is_identity(cid)) {
		struct block *block = block_take(cid, data);

		err = blocks_put(builder->blocks, block);
		block_unref(block);
	}
	buf_release(data);
	return err;
}

void file_node_add(struct file_node *node, const struct child *child)
{
	if (node->count == node->cap) {
		node->cap = node->cap ? node->cap * 2 : 8;
		node->sizes = xrealloc(node->sizes, node->cap * sizeof(*node->sizes));
	}
	node->sizes[node->count++] = child->file_size;
	node->file_size += child->file_size;
	node->tsize += child->tsize;
	dagpb_put_link(&node->links, cid_bytes(&child->cid), bytes_of(NULL, 0), child->tsize);
}

int file_node_finish(const struct builder *builder, struct file_node *node,
		     const struct attributes *attributes, struct child *out)
{
	struct unixfs unixfs = {
		.type = UNIXFS_FILE,
		.has_filesize = true,
		.filesize = node->file_size,
		.blocksizes = node->sizes,
		.blocksize_count = node->count,
	};
	struct buf data = { 0 };

	if (attributes) {
		unixfs.mode = attributes->mode;
		unixfs.has_mtime = attributes->has_mtime;
		unixfs.mtime = attributes->mtime;
		unixfs.mtime_nanos = attributes->mtime_nanos;
	}
	unixfs_encode(&data, &unixfs);
	dagpb_put_data(&node->links, buf_bytes(&data));
	buf_release(&data);
	out->file_size = node->file_size;
	out->tsize = node->tsize + node->links.len;
	node->count = 0;
	node->file_size = node->tsize = 0;
	return builder_put(builder, &node->links, &out->cid);
}

void file_node_release(struct file_node *node)
{
	buf_release(&node->links);
	free(node->sizes);
	*node = (struct file_node){ 0 };
}

/* What a block is: file, directory, symlink or something else, with sizes and times as far as its
 * own bytes tell. Any thread but the loop's. */
#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <string.h>

#define MODE_BITS 07777

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static int set_unixfs(const struct unixfs *unixfs, struct dag_stat *stat)
{
	stat->mode = unixfs->mode & MODE_BITS;
	stat->has_mtime = unixfs->has_mtime;
	stat->mtime = unixfs->mtime;
	stat->mtime_nanos = unixfs->mtime_nanos;
	switch (unixfs->type) {
	case UNIXFS_FILE:
	case UNIXFS_RAW:
		stat->type = DAG_FILE;
		return unixfs_file_size(unixfs, stat->links, &stat->size);
	case UNIXFS_DIRECTORY:
	case UNIXFS_HAMT_SHARD:
		stat->type = DAG_DIRECTORY;
		return 0;
	case UNIXFS_SYMLINK:
		stat->type = DAG_SYMLINK;
		stat->size = unixfs->data.len;
		return 0;
	default:
		stat->type = DAG_OTHER;
		return 0;
	}
}

static int stat_pb(struct bytes data, struct dag_stat *stat)
{
	struct dagpb node;
	struct unixfs unixfs;
	int err = dagpb_decode(&node, data);

	if (err)
		return err;
	stat->links = node.link_count;
	for (size_t i = 0; i < node.link_count; i++) {
		struct dagpb_link link;

		dagpb_link(&node, i, &link);
		stat->tree_size = add_saturating(stat->tree_size, link.tsize);
	}
	if (node.has_data) {
		err = unixfs_decode(&unixfs, node.data);
		if (!err)
			err = set_unixfs(&unixfs, stat);
		unixfs_release(&unixfs);
	}
	dagpb_release(&node);
	return err;
}

static int count_link(void *ctx, const struct cid *cid)
{
	struct dag_stat *stat = ctx;

	(void)cid;
	stat->links++;
	return 0;
}

int dag_stat_block(const struct block *block, struct dag_stat *stat)
{
	*stat = (struct dag_stat){
		.type = DAG_OTHER,
		.block_size = block->data.len,
		.tree_size = block->data.len,
	};
	if (block->cid.codec == CODEC_RAW) {
		stat->type = DAG_FILE;
		stat->size = block->data.len;
		return 0;
	}
	if (block->cid.codec == CODEC_DAG_PB)
		return stat_pb(block->data, stat);
	int err = dag_links(block->data, block->cid.codec, count_link, stat);

	return err == -ENOTSUP ? 0 : err;
}

int dag_stat(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct dag_stat *stat)
{
	struct block *block;
	size_t size;

	/* A stored raw block need not be read for its size. */
	if (cid->codec == CODEC_RAW && !blocks_size(blocks, cid, &size)) {
		*stat = (struct dag_stat){
			.type = DAG_FILE,
			.size = size,
			.tree_size = size,
			.block_size = size,
		};
		return 0;
	}
	int err = blocks_get(blocks, cid, wait, &block);

	if (err)
		return err;
	err = dag_stat_block(block, stat);
	block_unref(block);
	return err;
}

static int add_target(const struct block *block, struct buf *out)
{
	struct dagpb node;
	struct unixfs unixfs = { 0 };
	int err = dagpb_decode(&node, block->data);

	if (!err && !node.has_data)
		err = -EINVAL;
	if (!err)
		err = unixfs_decode(&unixfs, node.data);
	if (!err && unixfs.type != UNIXFS_SYMLINK)
		err = -EINVAL;
	/* No system call could pass such a target on. */
	if (!err && (unixfs.data.len > DAG_SYMLINK_MAX ||
		     (unixfs.data.len && memchr(unixfs.data.at, '\0', unixfs.data.len))))
		err = -EBADMSG;
	if (!err)
		buf_add(out, unixfs.data);
	unixfs_release(&unixfs);
	dagpb_release(&node);
	return err;
}

int dag_readlink(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct buf *out)
{
	struct block *block;

	if (cid->codec != CODEC_DAG_PB)
		return -EINVAL;
	int err = blocks_get(blocks, cid, wait, &block);

	if (err)
		return err;
	err = add_target(block, out);
	block_unref(block);
	return err;
}

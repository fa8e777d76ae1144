/* Writes a CARv1 while walking a DAG: the header, then one section for each block in the order of
 * the walk, so that nothing is collected in memory. The calling thread. */
#include "dag/car.h"

#include "dag/dag.h"
#include "dag/hamt.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/map.h"
#include "net/wire/varint.h"

#define ENTITY_SHARDS_MAX (1u << 20)

struct export
{
	car_write_fn *write;
	void *ctx;
	struct buf head;
	/* CAR_ENTITY of a sharded directory: the shards met, and none of its entries */
	bool shards_only;
	struct map shards;
};

void car_put_section(struct buf *out, const struct cid *cid, size_t data_len)
{
	buf_add_uvarint(out, cid->len + data_len);
	buf_add(out, cid_bytes(cid));
}

/* a2 | "roots" | list of tag 42 byte strings | "version" | 1 */
void car_put_header(struct buf *out, const struct cid *roots, size_t count)
{
	struct ipld tree = { 0 };
	struct buf header = { 0 };
	ssize_t map = ipld_open(&tree, IPLD_MAP), list;

	ipld_put_text(&tree, IPLD_TEXT, bytes_str("roots"));
	list = ipld_open(&tree, IPLD_LIST);
	for (size_t i = 0; i < count; i++)
		ipld_put_text(&tree, IPLD_LINK, cid_bytes(&roots[i]));
	ipld_close(&tree, (size_t)list, (uint32_t)count);
	ipld_put_text(&tree, IPLD_TEXT, bytes_str("version"));
	ipld_put(&tree, (struct ipld_node){ .kind = IPLD_INT, .number = 1 });
	ipld_close(&tree, (size_t)map, 2);
	ipld_encode(&tree, tree.nodes, CODEC_DAG_CBOR, &header);
	buf_add_uvarint(out, header.len);
	buf_add(out, buf_bytes(&header));
	ipld_release(&tree);
	buf_release(&header);
}

/* The child shards among a shard's links. */
static int note_shards(struct export *export, struct bytes block)
{
	struct hamt_shard shard;
	struct dagpb_link link;
	int err = hamt_shard_decode(&shard, block);

	if (err)
		return -EBADMSG;
	for (size_t i = 0; i < shard.node.link_count && !err; i++) {
		hamt_shard_link(&shard, i, &link);
		if (link.name.len)
			continue;
		if (export->shards.count == ENTITY_SHARDS_MAX)
			err = -EFBIG;
		else
			map_set(&export->shards, cid_bytes(&link.cid), export);
	}
	hamt_shard_release(&shard);
	return err;
}

static bool no_shard(void *ctx, const struct cid *cid)
{
	struct export *export = ctx;

	return !map_get(&export->shards, cid_bytes(cid));
}

static int put_block(void *ctx, const struct block *block, unsigned depth)
{
	struct export *export = ctx;
	int err = 0;

	(void)depth;
	if (export->shards_only)
		err = note_shards(export, block->data);
	if (err)
		return err;
	buf_clear(&export->head);
	car_put_section(&export->head, &block->cid, block->data.len);
	return export->write(export->ctx, buf_bytes(&export->head), block->data);
}

/* What belongs to the root itself, as its block tells. */
static int entity_scope(struct export *export, const struct block *root, enum car_scope *scope)
{
	struct unixfs unixfs;
	struct dagpb node;
	int err;

	*scope = CAR_BLOCK;
	if (root->cid.codec != CODEC_DAG_PB)
		return 0;
	err = dagpb_decode(&node, root->data);
	if (err)
		return err;
	if (node.has_data && unixfs_decode(&unixfs, node.data) == 0) {
		export->shards_only = unixfs.type == UNIXFS_HAMT_SHARD;
		if (export->shards_only)
			map_set(&export->shards, cid_bytes(&root->cid), export);
		if (export->shards_only || unixfs.type == UNIXFS_FILE || unixfs.type == UNIXFS_RAW)
			*scope = CAR_ALL;
		unixfs_release(&unixfs);
	}
	dagpb_release(&node);
	return 0;
}

int car_export(struct blocks *blocks, const struct cid *root, enum car_scope scope,
	       struct wait *wait, uint64_t timeout_ms, car_write_fn *write, void *ctx)
{
	struct dag_walk_config config = { .skip_seen = true };
	struct export export = { .write = write, .ctx = ctx };
	struct block *block;
	int err;

	/* Checked before anything is written: a missing root gives no archive at all. */
	wait->deadline_ms = timeout_ms ? monotonic_ms() + timeout_ms : UINT64_MAX;
	err = blocks_get(blocks, root, wait, &block);
	if (err)
		return err;
	if (scope == CAR_ENTITY)
		err = entity_scope(&export, block, &scope);
	if (!err) {
		car_put_header(&export.head, root, 1);
		err = write(ctx, buf_bytes(&export.head), bytes_of(NULL, 0));
	}
	if (!err && scope == CAR_BLOCK)
		err = put_block(&export, block, 0);
	else if (!err)
		err = dag_walk(blocks, root, &config, wait, timeout_ms, put_block,
			       export.shards_only ? no_shard : NULL, &export);
	block_unref(block);
	map_release(&export.shards);
	buf_release(&export.head);
	return err;
}

/* Writes a whole HAMT at once, from all entries sorted by hash: each shard is a run of
 * neighbours, so no shard is written twice. One thread. */
#include "dag/import/hamt_write.h"

#include "dag/hamt.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

struct shard_writer {
	const struct builder *builder;
	struct hamt_shape shape;
};

static int by_hash(const void *a, const void *b)
{
	uint64_t left = ((const struct hamt_item *)a)->hash;
	uint64_t right = ((const struct hamt_item *)b)->hash;

	return left < right ? -1 : left > right;
}

static void shard_data(const struct shard_writer *writer, const struct hamt_bitmap *map,
		       const struct attributes *attributes, struct buf *links)
{
	struct buf bits = { 0 }, data = { 0 };
	struct unixfs unixfs = { .type = UNIXFS_HAMT_SHARD,
				 .hash_type = HASH_MURMUR3_X64_64,
				 .fanout = writer->shape.fanout };

	hamt_bitmap_encode(&bits, map);
	unixfs.has_data = bits.len > 0;
	unixfs.data = buf_bytes(&bits);
	if (attributes) {
		unixfs.mode = attributes->mode;
		unixfs.has_mtime = attributes->has_mtime;
		unixfs.mtime = attributes->mtime;
		unixfs.mtime_nanos = attributes->mtime_nanos;
	}
	unixfs_encode(&data, &unixfs);
	dagpb_put_data(links, buf_bytes(&data));
	buf_release(&data);
	buf_release(&bits);
}

static void put_link(struct buf *links, const char *prefix, struct bytes name, struct bytes cid,
		     uint64_t tsize)
{
	struct buf text = { 0 };

	buf_add_str(&text, prefix);
	buf_add(&text, name);
	dagpb_put_link(links, cid, buf_bytes(&text), tsize);
	buf_release(&text);
}

/* items are sorted by hash and agree in the bits above depth. Recursion ends with the bits:
 * HAMT_DEPTH_MAX. */
static int write_shard(const struct shard_writer *writer, const struct hamt_item *items,
		       size_t count, unsigned depth, const struct attributes *attributes,
		       struct child *out)
{
	struct hamt_bitmap map = { 0 };
	struct buf links = { 0 };
	size_t end;
	int err = 0;

	*out = (struct child){ 0 };
	for (size_t at = 0; at < count; at = end) {
		int index = hamt_index(&writer->shape, items[at].hash, depth);
		char prefix[HAMT_PREFIX_MAX + 1];
		struct child below;

		if (index < 0) {
			err = -EOVERFLOW;
			break;
		}
		for (end = at + 1; end < count; end++)
			if (hamt_index(&writer->shape, items[end].hash, depth) != index)
				break;
		hamt_bitmap_set(&map, (unsigned)index, true);
		hamt_prefix(&writer->shape, (unsigned)index, prefix);
		if (end == at + 1) {
			put_link(&links, prefix, items[at].name, items[at].cid, items[at].tsize);
			out->tsize += items[at].tsize;
			continue;
		}
		err = write_shard(writer, items + at, end - at, depth + 1, NULL, &below);
		if (err)
			break;
		put_link(&links, prefix, bytes_of(NULL, 0), cid_bytes(&below.cid), below.tsize);
		out->tsize += below.tsize;
	}
	if (err) {
		buf_release(&links);
		return err;
	}
	shard_data(writer, &map, attributes, &links);
	out->tsize += links.len;
	return builder_put(writer->builder, &links, &out->cid);
}

int hamt_write(const struct builder *builder, struct hamt_item *items, size_t count,
	       const struct attributes *attributes, struct child *root)
{
	struct shard_writer writer = { .builder = builder };

	if (hamt_shape(&writer.shape, builder->config.hamt_fanout))
		return -EINVAL;
	if (count > 1)
		qsort(items, count, sizeof(*items), by_hash);
	return write_shard(&writer, items, count, 0, attributes, root);
}

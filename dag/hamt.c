/* HAMT shards of directories: the shape that follows from the fanout, the bitmap, and one shard
 * read from its block. Pure; any thread. */
/* A shard is a dag-pb node: Data is UnixFS { type 5, data bitmap, hashType 0x22, fanout }, links in
 * order of buckets, each named by its bucket in hex and, unless it is a child shard, the entry's
 * name. */
#include "dag/hamt.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define FANOUT_MIN 8
#define HASH_BITS 64

int hamt_shape(struct hamt_shape *shape, uint64_t fanout)
{
	if (fanout < FANOUT_MIN || fanout > HAMT_FANOUT_MAX || (fanout & (fanout - 1)))
		return -EBADMSG;
	shape->fanout = (unsigned)fanout;
	shape->bits = (unsigned)__builtin_ctz(shape->fanout);
	shape->prefix_len = (shape->bits + 3) / 4;
	shape->levels = HASH_BITS / shape->bits;
	return 0;
}

uint64_t hamt_hash(struct bytes name)
{
	return murmur3_x64_64(name);
}

int hamt_index(const struct hamt_shape *shape, uint64_t hash, unsigned depth)
{
	if (depth >= shape->levels)
		return -1;
	return (int)(hash >> (HASH_BITS - shape->bits * (depth + 1)) & (shape->fanout - 1));
}

void hamt_prefix(const struct hamt_shape *shape, unsigned index,
		 char out[static HAMT_PREFIX_MAX + 1])
{
	static const char digits[] = "0123456789ABCDEF";

	for (unsigned i = 0; i < shape->prefix_len; i++)
		out[i] = digits[index >> 4 * (shape->prefix_len - 1 - i) & 15];
	out[shape->prefix_len] = '\0';
}

int hamt_prefix_index(const struct hamt_shape *shape, struct bytes name)
{
	unsigned index = 0;

	if (name.len < shape->prefix_len)
		return -1;
	for (unsigned i = 0; i < shape->prefix_len; i++) {
		uint8_t c = name.at[i];

		if (c >= '0' && c <= '9')
			index = index << 4 | (unsigned)(c - '0');
		else if (c >= 'A' && c <= 'F')
			index = index << 4 | (unsigned)(c - 'A' + 10);
		else
			return -1;
	}
	return index < shape->fanout ? (int)index : -1;
}

bool hamt_bitmap_get(const struct hamt_bitmap *map, unsigned index)
{
	return map->bits[index / 8] >> index % 8 & 1;
}

void hamt_bitmap_set(struct hamt_bitmap *map, unsigned index, bool used)
{
	uint8_t bit = (uint8_t)(1u << index % 8);

	if (used)
		map->bits[index / 8] |= bit;
	else
		map->bits[index / 8] &= (uint8_t)~bit;
}

unsigned hamt_bitmap_count(const struct hamt_bitmap *map)
{
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(map->bits); i++)
		count += (unsigned)__builtin_popcount(map->bits[i]);
	return count;
}

void hamt_bitmap_encode(struct buf *out, const struct hamt_bitmap *map)
{
	size_t len = sizeof(map->bits);

	while (len > 0 && map->bits[len - 1] == 0)
		len--;
	while (len > 0)
		buf_add_u8(out, map->bits[--len]);
}

int hamt_bitmap_decode(struct hamt_bitmap *map, const struct hamt_shape *shape, struct bytes in)
{
	*map = (struct hamt_bitmap){ 0 };
	if (in.len > shape->fanout / 8)
		return -EBADMSG;
	for (size_t i = 0; i < in.len; i++)
		map->bits[i] = in.at[in.len - 1 - i];
	return 0;
}

/* The k-th link must stand in the k-th used bucket and say so. */
static int check_links(struct hamt_shard *shard, const struct hamt_bitmap *map)
{
	size_t count = shard->node.link_count;
	size_t k = 0;

	if (hamt_bitmap_count(map) != count)
		return -EBADMSG;
	shard->index = xcalloc(count ? count : 1, sizeof(*shard->index));
	for (unsigned bucket = 0; bucket < shard->shape.fanout; bucket++) {
		struct dagpb_link link;

		if (!hamt_bitmap_get(map, bucket))
			continue;
		dagpb_link(&shard->node, k, &link);
		if (hamt_prefix_index(&shard->shape, link.name) != (int)bucket)
			return -EBADMSG;
		shard->index[k++] = (uint16_t)bucket;
	}
	return 0;
}

/* A block as a shard: one link for each bit of the bitmap, each named by its bucket. */
static int shard_decode(struct hamt_shard *shard, struct bytes block)
{
	struct unixfs unixfs = { 0 };
	struct hamt_bitmap map;
	int err = dagpb_decode(&shard->node, block);

	if (err)
		return err;
	if (!shard->node.has_data)
		return -ENOTDIR;
	err = unixfs_decode(&unixfs, shard->node.data);
	if (err)
		return err;
	if (unixfs.type != UNIXFS_HAMT_SHARD)
		err = -ENOTDIR;
	else if (unixfs.hash_type != HASH_MURMUR3_X64_64)
		err = -EBADMSG;
	else
		err = hamt_shape(&shard->shape, unixfs.fanout);
	if (!err)
		err = hamt_bitmap_decode(&map, &shard->shape, unixfs.data);
	if (!err)
		err = check_links(shard, &map);
	unixfs_release(&unixfs);
	return err;
}

int hamt_shard_decode(struct hamt_shard *shard, struct bytes block)
{
	*shard = (struct hamt_shard){ 0 };
	int err = shard_decode(shard, block);

	if (err)
		hamt_shard_release(shard);
	return err;
}

void hamt_shard_release(struct hamt_shard *shard)
{
	dagpb_release(&shard->node);
	free(shard->index);
	*shard = (struct hamt_shard){ 0 };
}

int hamt_shard_find(const struct hamt_shard *shard, unsigned index)
{
	size_t low = 0, high = shard->node.link_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (shard->index[middle] < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < shard->node.link_count && shard->index[low] == index ? (int)low : -1;
}

void hamt_shard_link(const struct hamt_shard *shard, size_t i, struct dagpb_link *link)
{
	dagpb_link(&shard->node, i, link);
	link->name = bytes_skip(link->name, shard->shape.prefix_len);
}

/* The UnixFS codec: the message in the Data of a dag-pb node. Unknown fields are ignored, sizes are
 * checked when they are added up. Pure; any thread. */
/* UnixFS Data message:
 *   1 Type enum         2 Data bytes      3 filesize uint64
 *   4 blocksizes repeated uint64 (written unpacked)
 *   5 hashType uint64   6 fanout uint64   7 mode uint32
 *   8 mtime { 1 seconds int64, 2 nanos fixed32 } */
#include "dag/unixfs.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/pb.h"

#include <stdlib.h>

#define BLOCKSIZES_MAX 65536 /* as many as a node may have links */
#define NANOS_MAX 999999999

enum {
	FIELD_TYPE = 1,
	FIELD_DATA = 2,
	FIELD_FILESIZE = 3,
	FIELD_BLOCKSIZES = 4,
	FIELD_HASH_TYPE = 5,
	FIELD_FANOUT = 6,
	FIELD_MODE = 7,
	FIELD_MTIME = 8,
};
enum { MTIME_SECONDS = 1, MTIME_NANOS = 2 };

static bool add_blocksize(void *ctx, uint64_t value)
{
	struct unixfs *node = ctx;
	size_t count = node->blocksize_count;

	if (count == BLOCKSIZES_MAX)
		return false;
	/* Doubling at powers of two keeps the array without a capacity of its own. */
	if ((count & (count - 1)) == 0)
		node->blocksizes = xrealloc(node->blocksizes,
					    (count ? count * 2 : 1) * sizeof(*node->blocksizes));
	node->blocksizes[node->blocksize_count++] = value;
	return true;
}

static int mtime_decode(struct unixfs *node, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	bool has_seconds = false, has_nanos = false;

	while (pb_next(&r, &f)) {
		if (f.number == MTIME_SECONDS) {
			node->mtime = (int64_t)pb_u64(&f);
			has_seconds = true;
		} else if (f.number == MTIME_NANOS) {
			node->mtime_nanos = pb_fixed32(&f);
			has_nanos = true;
		}
	}
	if (r.bad || !has_seconds || (has_nanos && node->mtime_nanos == 0) ||
	    node->mtime_nanos > NANOS_MAX)
		return -EBADMSG;
	node->has_mtime = true;
	return 0;
}

static int field_decode(struct unixfs *node, struct pb_field *f, bool *has_type)
{
	switch (f->number) {
	case FIELD_TYPE:
		if (pb_u64(f) > UNIXFS_HAMT_SHARD)
			return -EBADMSG;
		node->type = (enum unixfs_type)f->value;
		*has_type = true;
		return 0;
	case FIELD_DATA:
		node->data = pb_bytes(f);
		node->has_data = true;
		return 0;
	case FIELD_FILESIZE:
		node->filesize = pb_u64(f);
		node->has_filesize = true;
		return 0;
	case FIELD_BLOCKSIZES:
		return pb_repeated(f, add_blocksize, node) ? 0 : -EBADMSG;
	case FIELD_HASH_TYPE:
		node->hash_type = pb_u64(f);
		return 0;
	case FIELD_FANOUT:
		node->fanout = pb_u64(f);
		return 0;
	case FIELD_MODE:
		node->mode = (uint32_t)pb_u64(f);
		return 0;
	case FIELD_MTIME:
		return mtime_decode(node, pb_bytes(f));
	default:
		return 0; /* later additions are ignored, as protobuf demands */
	}
}

int unixfs_decode(struct unixfs *node, struct bytes data)
{
	struct pb_reader r = pb_over(data);
	struct pb_field f;
	bool has_type = false;
	int err = 0;

	*node = (struct unixfs){ 0 };
	while (!err && pb_next(&r, &f))
		err = field_decode(node, &f, &has_type);
	if (!err && (r.bad || !has_type))
		err = -EBADMSG;
	if (err)
		unixfs_release(node);
	return err;
}

void unixfs_release(struct unixfs *node)
{
	free(node->blocksizes);
	*node = (struct unixfs){ 0 };
}

int unixfs_file_size(const struct unixfs *node, size_t links, uint64_t *size)
{
	uint64_t sum = node->data.len;

	if (node->blocksize_count != links)
		return -EBADMSG;
	for (size_t i = 0; i < links; i++) {
		if (node->blocksizes[i] > INT64_MAX - sum)
			return -EBADMSG;
		sum += node->blocksizes[i];
	}
	if (node->has_filesize && node->filesize != sum)
		return -EBADMSG;
	*size = sum;
	return 0;
}

static void mtime_encode(struct buf *out, const struct unixfs *node)
{
	struct buf inner = { 0 };

	pb_put_u64(&inner, MTIME_SECONDS, (uint64_t)node->mtime);
	if (node->mtime_nanos)
		pb_put_fixed32(&inner, MTIME_NANOS, node->mtime_nanos);
	pb_put_bytes(out, FIELD_MTIME, buf_bytes(&inner));
	buf_release(&inner);
}

void unixfs_encode(struct buf *out, const struct unixfs *node)
{
	pb_put_u64(out, FIELD_TYPE, node->type);
	if (node->has_data)
		pb_put_bytes(out, FIELD_DATA, node->data);
	if (node->has_filesize)
		pb_put_u64(out, FIELD_FILESIZE, node->filesize);
	for (size_t i = 0; i < node->blocksize_count; i++)
		pb_put_u64(out, FIELD_BLOCKSIZES, node->blocksizes[i]);
	if (node->hash_type)
		pb_put_u64(out, FIELD_HASH_TYPE, node->hash_type);
	if (node->fanout)
		pb_put_u64(out, FIELD_FANOUT, node->fanout);
	if (node->mode)
		pb_put_u64(out, FIELD_MODE, node->mode);
	if (node->has_mtime)
		mtime_encode(out, node);
}

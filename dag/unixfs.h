/* UnixFS: the message in a dag-pb node's data (wire/dag section 2). Pure; any thread. */
#ifndef DAG_UNIXFS_H
#define DAG_UNIXFS_H

#include "net/base/bytes.h"

enum unixfs_type {
	UNIXFS_RAW = 0,
	UNIXFS_DIRECTORY = 1,
	UNIXFS_FILE = 2,
	UNIXFS_METADATA = 3,
	UNIXFS_SYMLINK = 4,
	UNIXFS_HAMT_SHARD = 5,
};

struct unixfs {
	enum unixfs_type type;
	bool has_data;
	struct bytes data; /* file bytes, symlink target or HAMT bitmap; borrowed */
	bool has_filesize;
	uint64_t filesize;
	uint64_t *blocksizes; /* owned by the struct */
	size_t blocksize_count;
	uint64_t hash_type, fanout;
	uint32_t mode; /* 0: none; low 12 bits are permissions */
	bool has_mtime;
	int64_t mtime;
	uint32_t mtime_nanos;
};

/* 0 or -EBADMSG (malformed, unknown type, nanos out of range). Release with unixfs_release(). data
 * borrows. */
int unixfs_decode(struct unixfs *node, struct bytes data);
void unixfs_release(struct unixfs *node);
/* Bytes of a file: data and all blocksizes. -EBADMSG when there is not one blocksize for each of
 * links, when filesize is told and differs, or over 2^63 - 1. */
int unixfs_file_size(const struct unixfs *node, size_t links, uint64_t *size);
/* Fields in ascending order; data when has_data, filesize when has_filesize, and so on. */
void unixfs_encode(struct buf *out, const struct unixfs *node);

#endif

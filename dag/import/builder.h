/* Making blocks of our own: hash, then store; and the inner nodes of files. One thread at a time.
 */
#ifndef DAG_BUILDER_H
#define DAG_BUILDER_H

#include "dag/import.h"

/* Where blocks go and how they are named. config.raw_leaves is already false where metadata is
 * kept. */
struct builder {
	struct blocks *blocks; /* borrowed */
	struct import_config config;
};

/* What is known of a finished block and all below it. */
struct child {
	struct cid cid;
	uint64_t file_size; /* file bytes */
	uint64_t tsize;	    /* bytes of blocks, each as often as it is linked */
};

/* Metadata for a root. Zero-initialised is none. */
struct attributes {
	uint32_t mode; /* 12 bits */
	bool has_mtime;
	int64_t mtime;
	uint32_t mtime_nanos;
};

/* Copies config; borrows blocks. */
void builder_init(struct builder *builder, struct blocks *blocks,
		  const struct import_config *config);

/* The name of a block: an identity CID when it is small enough to be inlined. */
int builder_name(const struct import_config *config, unsigned version, uint64_t codec,
		 struct bytes data, struct cid *cid);
/* Names and stores (unless only_hash or inlined) a dag-pb block; takes data's memory in any case.
 * -EFBIG over BLOCK_CREATE_MAX; blocks_put()'s errors. */
int builder_put(const struct builder *builder, struct buf *data, struct cid *cid);

/* An inner node of a file, filled child by child. Zero-initialised is empty and valid. */
struct file_node {
	struct buf links;
	uint64_t *sizes; /* file bytes below each link */
	size_t count, cap;
	uint64_t file_size, tsize;
};

void file_node_add(struct file_node *node, const struct child *child);
/* Stores the node; it is empty afterwards, its memory kept. attributes may be NULL. */
int file_node_finish(const struct builder *builder, struct file_node *node,
		     const struct attributes *attributes, struct child *out);
void file_node_release(struct file_node *node);

#endif

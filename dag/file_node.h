/* Nodes of a file's tree, decoded into compact arrays, and those one open file keeps. Private to
 * dag/file*.c. */
#ifndef DAG_FILE_NODE_H
#define DAG_FILE_NODE_H

#include "net/base/map.h"
#include "net/wire/cid.h"

#include <pthread.h>
#include <stdatomic.h>

/* An interior node: own bytes first, then its children. Immutable once published; reference
 * counted. */
struct file_node {
	atomic_uint refs;
	atomic_ulong used; /* tick of the last look-up */
	struct cid self;
	uint64_t size;	  /* all bytes below */
	uint64_t own_len; /* bytes in the node itself */
	size_t count;
	uint64_t *ends; /* [count] where child i ends, from the node's start */
	size_t stride;
	uint8_t *cids; /* [count * stride] length, then the CID's bytes */
};

/* What a dag-pb block of a file holds. */
struct file_content {
	struct bytes data;	/* bytes in the block itself, borrowed */
	uint64_t size;		/* of all that is below */
	struct file_node *node; /* one reference when it has links, else NULL */
};

/* -EISDIR directory or shard, -ELOOP symlink, -EBADMSG (sizes that do not add up, links with names,
 * more). */
int file_content_decode(const struct cid *cid, struct bytes block, struct file_content *content);
/* A node above one single block: the root of a file without interior nodes. */
struct file_node *file_node_over(const struct cid *cid, uint64_t size);
/* First child that ends after offset (< size, >= own_len). */
size_t file_node_find(const struct file_node *node, uint64_t offset);
void file_node_child(const struct file_node *node, size_t i, struct cid *cid);
struct file_node *file_node_ref(struct file_node *node);
void file_node_unref(struct file_node *node);

/* Kept nodes by CID: many readers, rare writers, the least recently used leave. */
struct file_nodes {
	pthread_rwlock_t lock;
	struct map by_cid;
	size_t links; /* of all kept nodes */
	atomic_ulong clock;
};

void file_nodes_init(struct file_nodes *nodes);
void file_nodes_release(struct file_nodes *nodes);
/* One reference, or NULL. */
struct file_node *file_nodes_get(struct file_nodes *nodes, const struct cid *cid);
/* Keeps node; takes no reference of the caller's. */
void file_nodes_put(struct file_nodes *nodes, struct file_node *node);

#endif

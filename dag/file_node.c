/* Decoding file nodes, and keeping them: for a file of a thousand leaves only the root is ever
 * looked at, and it is held by the file itself; deeper trees look up one node a level in a map
 * under a read lock. Any thread. */
#include "dag/file_node.h"

#include "dag/dagpb.h"
#include "dag/unixfs.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define LINKS_KEPT_MAX (256 * 1024) /* links of all kept nodes: about 12 MB */

/* Links of a file have no names; strides are those of the longest CID. */
static int copy_links(struct file_node *node, const struct dagpb *pb)
{
	struct dagpb_link link;
	size_t longest = 0;

	for (size_t i = 0; i < pb->link_count; i++) {
		dagpb_link(pb, i, &link);
		if (link.name.len)
			return -EBADMSG;
		longest = link.cid.len > longest ? link.cid.len : longest;
	}
	node->stride = longest + 1;
	node->cids = xcalloc(pb->link_count, node->stride);
	for (size_t i = 0; i < pb->link_count; i++) {
		uint8_t *at = node->cids + i * node->stride;

		dagpb_link(pb, i, &link);
		*at = link.cid.len;
		memcpy(at + 1, link.cid.bytes, link.cid.len);
	}
	return 0;
}

static int make_node(const struct cid *cid, const struct dagpb *pb, const struct unixfs *unixfs,
		     uint64_t size, struct file_node **out)
{
	struct file_node *node = xnew(struct file_node);
	uint64_t end = unixfs->data.len;
	int err;

	node->refs = 1;
	node->self = *cid;
	node->size = size;
	node->own_len = unixfs->data.len;
	node->count = pb->link_count;
	node->ends = xcalloc(node->count, sizeof(*node->ends));
	for (size_t i = 0; i < node->count; i++)
		node->ends[i] = end += unixfs->blocksizes[i];
	err = copy_links(node, pb);
	if (err)
		file_node_unref(node);
	else
		*out = node;
	return err;
}

static int check_type(enum unixfs_type type)
{
	switch (type) {
	case UNIXFS_FILE:
	case UNIXFS_RAW:
		return 0;
	case UNIXFS_DIRECTORY:
	case UNIXFS_HAMT_SHARD:
		return -EISDIR;
	case UNIXFS_SYMLINK:
		return -ELOOP;
	default:
		return -EBADMSG;
	}
}

int file_content_decode(const struct cid *cid, struct bytes block, struct file_content *content)
{
	struct dagpb pb;
	struct unixfs unixfs = { 0 };
	int err = dagpb_decode(&pb, block);

	*content = (struct file_content){ 0 };
	if (!err)
		err = unixfs_decode(&unixfs, pb.data);
	if (!err)
		err = check_type(unixfs.type);
	if (!err)
		err = unixfs_file_size(&unixfs, pb.link_count, &content->size);
	if (!err && pb.link_count)
		err = make_node(cid, &pb, &unixfs, content->size, &content->node);
	content->data = unixfs.data;
	unixfs_release(&unixfs);
	dagpb_release(&pb);
	return err;
}

struct file_node *file_node_over(const struct cid *cid, uint64_t size)
{
	struct file_node *node = xnew(struct file_node);

	node->refs = 1;
	node->self = *cid;
	node->size = size;
	node->count = 1;
	node->ends = xnew(uint64_t);
	node->ends[0] = size;
	node->stride = cid->len + 1u;
	node->cids = xcalloc(1, node->stride);
	node->cids[0] = cid->len;
	memcpy(node->cids + 1, cid->bytes, cid->len);
	return node;
}

size_t file_node_find(const struct file_node *node, uint64_t offset)
{
	size_t low = 0, high = node->count - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (node->ends[middle] > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void file_node_child(const struct file_node *node, size_t i, struct cid *cid)
{
	const uint8_t *at = node->cids + i * node->stride;

	/* It was a CID when the node was decoded. */
	(void)cid_from_bytes(cid, bytes_of(at + 1, *at));
}

struct file_node *file_node_ref(struct file_node *node)
{
	atomic_fetch_add(&node->refs, 1);
	return node;
}

void file_node_unref(struct file_node *node)
{
	if (!node || atomic_fetch_sub(&node->refs, 1) != 1)
		return;
	free(node->ends);
	free(node->cids);
	free(node);
}

void file_nodes_init(struct file_nodes *nodes)
{
	*nodes = (struct file_nodes){ 0 };
	pthread_rwlock_init(&nodes->lock, NULL);
}

void file_nodes_release(struct file_nodes *nodes)
{
	size_t at = 0;
	struct bytes key;
	void *node;

	while (map_next(&nodes->by_cid, &at, &key, &node))
		file_node_unref(node);
	map_release(&nodes->by_cid);
	pthread_rwlock_destroy(&nodes->lock);
}

static void file_node_touch(struct file_nodes *nodes, struct file_node *node)
{
	unsigned long now = atomic_fetch_add_explicit(&nodes->clock, 1, memory_order_relaxed);

	atomic_store_explicit(&node->used, now, memory_order_relaxed);
}

struct file_node *file_nodes_get(struct file_nodes *nodes, const struct cid *cid)
{
	pthread_rwlock_rdlock(&nodes->lock);
	struct file_node *node = map_get(&nodes->by_cid, cid_bytes(cid));

	if (node) {
		file_node_ref(node);
		file_node_touch(nodes, node);
	}
	pthread_rwlock_unlock(&nodes->lock);
	return node;
}

static void drop_oldest(struct file_nodes *nodes)
{
	struct file_node *oldest = NULL;
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(&nodes->by_cid, &at, &key, &value)) {
		struct file_node *node = value;

		if (!oldest || node->used < oldest->used)
			oldest = node;
	}
	map_remove(&nodes->by_cid, cid_bytes(&oldest->self));
	nodes->links -= oldest->count;
	file_node_unref(oldest);
}

void file_nodes_put(struct file_nodes *nodes, struct file_node *node)
{
	pthread_rwlock_wrlock(&nodes->lock);
	if (!map_get(&nodes->by_cid, cid_bytes(&node->self))) {
		while (nodes->by_cid.count && nodes->links + node->count > LINKS_KEPT_MAX)
			drop_oldest(nodes);
		file_node_touch(nodes, node);
		map_set(&nodes->by_cid, cid_bytes(&node->self), file_node_ref(node));
		nodes->links += node->count;
	}
	pthread_rwlock_unlock(&nodes->lock);
}

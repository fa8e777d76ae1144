/* Directories of manifests, read: nodes by their CIDs, of which those used last stay decoded;
 * look-ups and lists. Any thread but the loop's; one lock, never held across a wait. */
#include "dag/share/radix_private.h"

#include "dag/share/fields.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <pthread.h>
#include <stdlib.h>

struct radix {
	struct blocks *blocks;
	pthread_mutex_t lock; /* guards what follows */
	struct list kept;     /* nodes, that used last first */
	size_t kept_count;
};

struct radix *radix_new(struct blocks *blocks)
{
	struct radix *radix = xnew(struct radix);

	radix->blocks = blocks;
	pthread_mutex_init(&radix->lock, NULL);
	list_init(&radix->kept);
	return radix;
}

void radix_free(struct radix *radix)
{
	if (!radix)
		return;
	while (!list_empty(&radix->kept)) {
		struct radix_node *node = list_first(&radix->kept, struct radix_node, kept);

		list_remove(&node->kept);
		radix_node_unref(node);
	}
	pthread_mutex_destroy(&radix->lock);
	free(radix);
}

struct blocks *radix_blocks(struct radix *radix)
{
	return radix->blocks;
}

/* ---- nodes ---- */

static struct radix_node *find_kept(struct radix *radix, const struct cid *cid)
{
	struct radix_node *found = NULL;

	pthread_mutex_lock(&radix->lock);
	list_for_each(node, &radix->kept, struct radix_node, kept) {
		if (!cid_equal(&node->sum.cid, cid))
			continue;
		found = radix_node_ref(node);
		list_remove(&node->kept);
		list_add_head(&radix->kept, &node->kept);
		break;
	}
	pthread_mutex_unlock(&radix->lock);
	return found;
}

/* Two threads may keep the same node twice: harmless, the older leaves in its turn. */
static void radix_keep(struct radix *radix, struct radix_node *node)
{
	struct radix_node *last = NULL;

	pthread_mutex_lock(&radix->lock);
	list_add_head(&radix->kept, &radix_node_ref(node)->kept);
	if (++radix->kept_count > RADIX_KEPT_MAX) {
		last = container_of(radix->kept.prev, struct radix_node, kept);
		list_remove(&last->kept);
		radix->kept_count--;
	}
	pthread_mutex_unlock(&radix->lock);
	radix_node_unref(last);
}

int radix_node_get(struct radix *radix, const struct radix_root *row, bool known, unsigned depth,
		   uint64_t low, struct wait *wait, struct radix_node **out)
{
	struct radix_node *node;
	struct block *block;
	int err;

	if (!field_is_node_cid(&row->cid))
		return -EBADMSG;
	node = find_kept(radix, &row->cid);
	if (!node) {
		err = blocks_get(radix->blocks, &row->cid, wait, &block);
		if (err)
			return err;
		err = radix_node_decode(block, &node);
		block_unref(block);
		if (err)
			return err;
		radix_keep(radix, node);
	}
	if (!radix_node_fits(node, depth, low, known ? row : NULL)) {
		radix_node_unref(node);
		return -EBADMSG;
	}
	*out = node;
	return 0;
}

int radix_node_put(struct radix *radix, struct buf *data, struct cid *cid)
{
	int err = data->len > BLOCK_CREATE_MAX ? -EFBIG : 0;

	if (!err)
		err = cid_of_data(cid, 1, CODEC_DAG_CBOR, HASH_SHA2_256, buf_bytes(data));
	if (!err) {
		struct block *block = block_take(cid, data);

		err = blocks_put(radix->blocks, block);
		block_unref(block);
	}
	buf_release(data);
	return err;
}

int radix_state_link(struct radix *radix, const struct cid *root, struct cid *link)
{
	struct radix_root sum = { 0 };
	struct buf data = { 0 };
	int err;

	if (cid_is_set(root)) {
		*link = *root;
		return 0;
	}
	err = radix_leaf_encode(NULL, 0, &data, &sum);
	return err ? err : radix_node_put(radix, &data, link);
}

/* ---- reading ---- */

int radix_lookup(struct radix *radix, const struct cid *root, struct bytes name, struct wait *wait,
		 struct manifest_entry *entry)
{
	uint64_t hash = manifest_hash(name);
	struct radix_walk walk;
	struct radix_at at;
	int err;

	radix_walk_init(&walk, radix, root);
	err = radix_walk_seek(&walk, hash, name, wait);
	if (!err) {
		radix_walk_at(&walk, &at);
		if (at.kind == RADIX_ENTRY && at.low == hash && bytes_equal(at.name, name))
			manifest_entry_copy(entry, radix_walk_entry(&walk));
		else
			err = -ENOENT;
	}
	radix_walk_release(&walk);
	return err;
}

int radix_tell(struct radix *radix, const struct cid *cid, struct wait *wait,
	       struct radix_root *root)
{
	const struct radix_root row = { .cid = *cid };
	struct radix_node *node;
	int err;

	*root = (struct radix_root){ 0 };
	if (!cid_is_set(cid))
		return 0;
	err = radix_node_get(radix, &row, false, 0, 0, wait, &node);
	if (err)
		return err;
	if (node->sum.entries)
		radix_root_copy(root, &node->sum);
	radix_node_unref(node);
	return 0;
}

struct radix_iter {
	struct radix_walk walk;
	bool sought;
	bool passed; /* the entry at hand was given */
	uint64_t hash;
	struct buf name;
};

struct radix_iter *radix_iter_new(struct radix *radix, const struct cid *root, uint64_t hash,
				  struct bytes name)
{
	struct radix_iter *iter = xnew(struct radix_iter);

	radix_walk_init(&iter->walk, radix, root);
	iter->hash = hash;
	buf_add(&iter->name, name);
	return iter;
}

void radix_iter_free(struct radix_iter *iter)
{
	if (!iter)
		return;
	radix_walk_release(&iter->walk);
	buf_release(&iter->name);
	free(iter);
}

int radix_iter_next(struct radix_iter *iter, struct wait *wait, const struct manifest_entry **entry)
{
	struct radix_at at;
	int err = 0;

	if (!iter->sought)
		err = radix_walk_seek(&iter->walk, iter->hash, buf_bytes(&iter->name), wait);
	if (err)
		return err;
	iter->sought = true;
	if (iter->passed)
		radix_walk_next(&iter->walk);
	iter->passed = false;
	for (;;) {
		radix_walk_at(&iter->walk, &at);
		if (at.kind != RADIX_ROW)
			break;
		radix_walk_ahead(&iter->walk);
		err = radix_walk_open(&iter->walk, wait);
		if (err)
			return err;
	}
	if (at.kind == RADIX_END)
		return 0;
	*entry = radix_walk_entry(&iter->walk);
	iter->passed = true;
	return 1;
}

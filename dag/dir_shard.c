/* HAMT directories. Shards are loaded when needed and stay. An entry counts only where the hash
 * of its name leads: look-ups could not find it elsewhere, so lists leave it out too. Many
 * threads share the shards; one that is loaded twice at once is published once. */
#include "dag/dir_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>

/* A child shard to be loaded. */
struct want {
	struct dir_shard *parent;
	size_t link;
};

struct wants {
	struct want *at;
	size_t count, cap;
};

static void shard_free(struct dir_shard *shard)
{
	hamt_shard_release(&shard->hamt);
	block_unref(shard->block);
	free(shard->children);
	free(shard);
}

static int shard_new(struct block *block, unsigned depth, uint64_t path, struct dir_shard **out)
{
	struct dir_shard *shard = xnew(struct dir_shard);
	int err = hamt_shard_decode(&shard->hamt, block->data);

	if (!err && depth >= shard->hamt.shape.levels)
		err = -EBADMSG;
	if (err) {
		shard_free(shard);
		return err;
	}
	size_t count = shard->hamt.node.link_count;

	shard->block = block;
	shard->depth = depth;
	shard->path = path;
	shard->children = xcalloc(count ? count : 1, sizeof(*shard->children));
	*out = shard;
	return 0;
}

int dir_shard_open(struct dir *dir, struct block *block)
{
	int err = shard_new(block, 0, 0, &dir->root);

	if (!err)
		dir->shards = dir->root;
	return err;
}

void dir_shard_close(struct dir *dir)
{
	while (dir->shards) {
		struct dir_shard *shard = dir->shards;

		dir->shards = shard->next;
		shard_free(shard);
	}
}

/* Bits of the hash that lead to link i of shard. */
static uint64_t path_to(const struct dir_shard *shard, size_t i)
{
	return shard->path << shard->hamt.shape.bits | shard->hamt.index[i];
}

/* Does the hash of name lead to link i of shard? */
static bool leads_to(const struct dir_shard *shard, size_t i, struct bytes name)
{
	unsigned used = shard->hamt.shape.bits * (shard->depth + 1);

	return hamt_hash(name) >> (64 - used) == path_to(shard, i);
}

/* Another thread may have been first: then its shard stays. *child is what stays. */
static int dir_shard_publish(struct dir *dir, struct dir_shard *parent, size_t link,
			     struct dir_shard **child)
{
	struct dir_shard *shard = *child;
	struct dir_shard *first;
	int err = 0;

	pthread_mutex_lock(&dir->lock);
	first = atomic_load(&parent->children[link]);
	if (!first && (dir->shard_count >= DIR_SHARDS_MAX ||
		       dir->shard_bytes + shard->block->data.len > DIR_BYTES_MAX)) {
		err = -EFBIG;
	} else if (!first) {
		shard->next = dir->shards;
		dir->shards = shard;
		dir->shard_count++;
		dir->shard_bytes += shard->block->data.len;
		atomic_store(&parent->children[link], shard);
	}
	pthread_mutex_unlock(&dir->lock);
	if (first || err)
		shard_free(shard);
	if (first)
		*child = first;
	return err;
}

/* Loads a child shard and puts it in its place. If another thread was first, its shard is
 * used. */
static int load_child(struct dir *dir, struct dir_shard *parent, size_t i, struct wait *wait,
		      struct dir_shard **out)
{
	struct dagpb_link link;
	struct block *block;

	*out = atomic_load(&parent->children[i]);
	if (*out)
		return 0;
	hamt_shard_link(&parent->hamt, i, &link);
	if (link.cid.codec != CODEC_DAG_PB)
		return -EBADMSG;
	int err = blocks_get(dir->blocks, &link.cid, wait, &block);

	if (err)
		return err;
	err = shard_new(block, parent->depth + 1, path_to(parent, i), out);
	if (err) {
		block_unref(block);
		return err == -ENOTDIR ? -EBADMSG : err;
	}
	/* One fanout for the whole directory: paths are counted in its bits. */
	if ((*out)->hamt.shape.fanout != dir->root->hamt.shape.fanout) {
		shard_free(*out);
		return -EBADMSG;
	}
	return dir_shard_publish(dir, parent, i, out);
}

int dir_shard_lookup(struct dir *dir, struct bytes name, struct wait *wait, struct dir_entry *out)
{
	uint64_t hash = hamt_hash(name);
	struct dir_shard *shard = dir->root;

	for (;;) {
		int index = hamt_index(&shard->hamt.shape, hash, shard->depth);
		int i = index < 0 ? -1 : hamt_shard_find(&shard->hamt, (unsigned)index);
		struct dagpb_link link;

		if (i < 0)
			return -ENOENT;
		hamt_shard_link(&shard->hamt, (size_t)i, &link);
		if (link.name.len) {
			if (!bytes_equal(link.name, name))
				return -ENOENT;
			*out = (struct dir_entry){ link.name, link.cid, link.tsize };
			return 0;
		}
		int err = load_child(dir, shard, (size_t)i, wait, &shard);

		if (err)
			return err;
	}
}

/* ---- the whole directory ---- */

static void add_want(struct wants *wants, struct dir_shard *parent, size_t link)
{
	if (wants->count == wants->cap) {
		wants->cap = wants->cap ? wants->cap * 2 : 256;
		wants->at = xrealloc(wants->at, wants->cap * sizeof(*wants->at));
	}
	wants->at[wants->count++] = (struct want){ parent, link };
}

static int add_children(struct wants *wants, struct dir_shard *shard)
{
	for (size_t i = 0; i < shard->hamt.node.link_count; i++) {
		struct dagpb_link link;

		hamt_shard_link(&shard->hamt, i, &link);
		if (link.name.len)
			continue;
		if (wants->count >= DIR_SHARDS_MAX)
			return -EFBIG;
		add_want(wants, shard, i);
	}
	return 0;
}

/* Asks for the wants [from, from + EXCHANGE_PREFETCH_MAX) that are not loaded yet. */
static void dir_shard_ask(struct dir *dir, const struct wants *wants, size_t from, struct cid *cids)
{
	size_t count = 0;

	for (size_t i = from; i < wants->count && i < from + EXCHANGE_PREFETCH_MAX; i++) {
		const struct want *want = &wants->at[i];
		struct dagpb_link link;

		if (atomic_load(&want->parent->children[want->link]))
			continue;
		hamt_shard_link(&want->parent->hamt, want->link, &link);
		cids[count++] = link.cid;
	}
	if (count)
		exchange_prefetch(dir->blocks, cids, count);
}

/* Loads one level and collects the next. Always one batch is asked for ahead of the one awaited. */
static int load_level(struct dir *dir, const struct wants *level, struct wait *wait,
		      struct wants *next)
{
	struct cid *cids = xcalloc(EXCHANGE_PREFETCH_MAX, sizeof(*cids));
	int err = 0;

	dir_shard_ask(dir, level, 0, cids);
	for (size_t i = 0; !err && i < level->count; i++) {
		struct dir_shard *shard;

		if (i % EXCHANGE_PREFETCH_MAX == 0)
			dir_shard_ask(dir, level, i + EXCHANGE_PREFETCH_MAX, cids);
		err = load_child(dir, level->at[i].parent, level->at[i].link, wait, &shard);
		if (!err)
			err = add_children(next, shard);
		if (!err)
			err = wait_check(wait);
	}
	free(cids);
	return err;
}

int dir_shard_load_all(struct dir *dir, struct wait *wait)
{
	struct wants level = { 0 };
	int err = add_children(&level, dir->root);

	while (!err && level.count) {
		struct wants next = { 0 };

		err = load_level(dir, &level, wait, &next);
		free(level.at);
		level = next;
	}
	free(level.at);
	return err;
}

static void add_item(struct dir *dir, size_t *cap, const struct dir_shard *shard, size_t link)
{
	if (dir->item_count == *cap) {
		*cap = *cap ? *cap * 2 : 256;
		dir->items = xrealloc(dir->items, *cap * sizeof(*dir->items));
	}
	dir->items[dir->item_count++] = (struct dir_item){ shard, (uint32_t)link };
}

void dir_shard_list(struct dir *dir)
{
	struct {
		const struct dir_shard *shard;
		size_t next;
	} stack[HAMT_DEPTH_MAX + 1] = { { dir->root, 0 } };
	unsigned depth = 1;
	size_t cap = 0;

	while (depth) {
		const struct dir_shard *shard = stack[depth - 1].shard;
		size_t i = stack[depth - 1].next++;
		struct dagpb_link link;

		if (i == shard->hamt.node.link_count) {
			depth--;
			continue;
		}
		hamt_shard_link(&shard->hamt, i, &link);
		if (!link.name.len) {
			stack[depth].shard = atomic_load(&shard->children[i]);
			stack[depth++].next = 0;
		} else if (!dir_name_ok(link.name)) {
			dir_leave_out(dir, shard, i, DIR_NAME_BAD);
		} else if (!leads_to(shard, i, link.name)) {
			dir_leave_out(dir, shard, i, "it does not stand where its name leads");
		} else {
			add_item(dir, &cap, shard, i);
		}
	}
}

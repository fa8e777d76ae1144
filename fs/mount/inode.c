/* The table: chains by number. A number is a hash of the CID (and of the place, for what may be a
 * directory); when another CID has it already the next one is taken. */
#include "fs/mount/inode.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 64
#define BLOCK_SIZE (1u << 20)
#define FILE_MODE 0444
#define DIRECTORY_MODE 0555
#define LINK_MODE 0777

/* ---- trees ---- */

struct root *root_new(struct store *store, struct fetcher *fetcher, const struct cid *cid)
{
	struct root *root = xnew(struct root);

	atomic_init(&root->tree.refs, 1);
	root->tree.ops = &tree_dag_ops;
	root->cid = *cid;
	root->blocks = blocks_new(store, fetcher);
	return root;
}

struct root *root_ref(struct root *root)
{
	mount_tree_ref(&root->tree);
	return root;
}

void root_unref(struct root *root)
{
	mount_tree_unref(root ? &root->tree : NULL);
}

struct root *inode_root(const struct inode *inode)
{
	assert(inode->tree->ops == &tree_dag_ops);
	return container_of(inode->tree, struct root, tree);
}

/* ---- the table ---- */

void inodes_init(struct inodes *inodes, uint32_t uid, uint32_t gid, bool set_id)
{
	pthread_mutex_init(&inodes->lock, NULL);
	inodes->cap = SLOTS_MIN;
	inodes->count = 0;
	inodes->slots = xcalloc(inodes->cap, sizeof *inodes->slots);
	list_init(&inodes->views);
	inodes->view_count = inodes->view_weight = 0;
	inodes->uid = uid;
	inodes->gid = gid;
	inodes->set_id = set_id;
}

static void inode_free(struct inode *inode)
{
	mount_tree_unref(inode->tree);
	free(inode);
}

/* Lookups went back to a changing tree. */
static void tell_forgotten(struct mount_tree *tree, uint64_t ino, uint64_t lookups)
{
	if (tree->ops->forget && (ino & INODE_NODE))
		tree->ops->forget(tree, ino, lookups);
}

static void view_free(struct view *view)
{
	file_close(view->file);
	dir_close(view->dir);
	block_unref(view->block);
	root_unref(view->root);
	free(view);
}

void inodes_release(struct inodes *inodes)
{
	list_for_each_safe(view, &inodes->views, struct view, link) {
		assert(!view->users);
		view_free(view);
	}
	for (size_t i = 0; i < inodes->cap; i++) {
		while (inodes->slots[i]) {
			struct inode *inode = inodes->slots[i];

			inodes->slots[i] = inode->next;
			tell_forgotten(inode->tree, inode->ino, inode->lookups);
			inode_free(inode);
		}
	}
	free(inodes->slots);
	inodes->slots = NULL;
	pthread_mutex_destroy(&inodes->lock);
}

/* Numbers are hashes, so their low bits do. */
static struct inode **slot_of(const struct inodes *inodes, uint64_t ino)
{
	struct inode **slot = &inodes->slots[ino & (inodes->cap - 1)];

	while (*slot && (*slot)->ino != ino)
		slot = &(*slot)->next;
	return slot;
}

static void inode_grow(struct inodes *inodes)
{
	struct inode **before = inodes->slots;
	size_t cap = inodes->cap;

	inodes->cap *= 2;
	inodes->slots = xcalloc(inodes->cap, sizeof *inodes->slots);
	for (size_t i = 0; i < cap; i++) {
		while (before[i]) {
			struct inode *inode = before[i];
			struct inode **slot = &inodes->slots[inode->ino & (inodes->cap - 1)];

			before[i] = inode->next;
			inode->next = *slot;
			*slot = inode;
		}
	}
	free(before);
}

static void insert(struct inodes *inodes, struct inode *inode)
{
	if (inodes->count >= inodes->cap)
		inode_grow(inodes);
	struct inode **slot = &inodes->slots[inode->ino & (inodes->cap - 1)];

	inode->next = *slot;
	*slot = inode;
	inodes->count++;
}

struct inode *inode_find(struct inodes *inodes, uint64_t ino)
{
	pthread_mutex_lock(&inodes->lock);
	struct inode *inode = *slot_of(inodes, ino);

	pthread_mutex_unlock(&inodes->lock);
	return inode;
}

struct place place_of(const struct inode *parent, struct bytes name)
{
	return (struct place){ .parent = parent->ino, .name_hash = murmur3_x64_64(name) };
}

/* Only what may be a directory has a place. The codec alone tells, and not the block, which a
 * listing does not wait for: a number is the same before and after the block came. */
static struct place real_place(const struct cid *cid, struct place place)
{
	return cid->codec == CODEC_DAG_PB ? place : (struct place){ 0 };
}

uint64_t inode_number(const struct cid *cid, struct place place)
{
	struct place real = real_place(cid, place);
	uint64_t parts[3] = { murmur3_x64_64(cid_bytes(cid)), real.parent, real.name_hash };
	uint64_t ino = real.parent ? murmur3_x64_64(bytes_of(parts, sizeof parts)) : parts[0];

	ino &= ~INODE_NODE;
	return ino < INODE_FIRST ? ino + INODE_FIRST : ino;
}

static bool is_same(const struct inode *inode, const struct cid *cid, struct place place)
{
	return inode->place.parent == place.parent && inode->place.name_hash == place.name_hash &&
	       bytes_equal(bytes_of(inode->cid, inode->cid_len), cid_bytes(cid));
}

/* The inode, or NULL and the number it would get. */
static struct inode *inode_probe(struct inodes *inodes, const struct cid *cid, struct place place,
				 uint64_t *ino)
{
	struct place real = real_place(cid, place);

	*ino = inode_number(cid, place);
	for (;;) {
		struct inode *inode = *slot_of(inodes, *ino);

		if (!inode || is_same(inode, cid, real))
			return inode;
		if (++*ino & INODE_NODE)
			*ino = INODE_FIRST;
	}
}

struct inode *inode_known(struct inodes *inodes, const struct cid *cid, struct place place)
{
	uint64_t ino;

	pthread_mutex_lock(&inodes->lock);
	struct inode *inode = inode_probe(inodes, cid, place, &ino);

	if (inode)
		inode->lookups++;
	pthread_mutex_unlock(&inodes->lock);
	return inode;
}

static struct inode *inode_new(uint64_t ino, struct mount_tree *tree, const struct cid *cid,
			       const struct dag_stat *stat)
{
	size_t len = cid ? cid->len : 0;
	struct inode *inode = xcalloc(1, sizeof *inode + len);

	inode->ino = ino;
	inode->lookups = 1;
	inode->tree = mount_tree_ref(tree);
	inode->type = stat->type;
	inode->mode = stat->mode;
	inode->mtime = stat->has_mtime ? stat->mtime : 0;
	inode->mtime_nanos = stat->has_mtime ? stat->mtime_nanos : 0;
	inode->size = stat->type == DAG_OTHER ? stat->block_size : stat->size;
	inode->tree_size = stat->tree_size;
	if (len) {
		inode->cid_len = cid->len;
		memcpy(inode->cid, cid->bytes, len);
	}
	return inode;
}

struct inode *inode_enter(struct inodes *inodes, struct root *root, const struct cid *cid,
			  struct place place, const struct dag_stat *stat)
{
	uint64_t ino;

	pthread_mutex_lock(&inodes->lock);
	struct inode *inode = inode_probe(inodes, cid, place, &ino);

	if (inode) {
		inode->lookups++;
	} else {
		inode = inode_new(ino, &root->tree, cid, stat);
		inode->place = real_place(cid, place);
		insert(inodes, inode);
	}
	pthread_mutex_unlock(&inodes->lock);
	return inode;
}

struct inode *inode_enter_node(struct inodes *inodes, struct mount_tree *tree, uint64_t ino,
			       uint64_t parent, enum dag_type type)
{
	const struct dag_stat stat = { .type = type };

	assert(ino & INODE_NODE);
	pthread_mutex_lock(&inodes->lock);
	struct inode *inode = *slot_of(inodes, ino);

	if (inode) {
		assert(inode->tree == tree);
		inode->lookups++;
	} else {
		inode = inode_new(ino, tree, NULL, &stat);
		inode->place.parent = parent;
		insert(inodes, inode);
	}
	pthread_mutex_unlock(&inodes->lock);
	return inode;
}

struct inode *inode_fixed(struct inodes *inodes, uint64_t ino, struct mount_tree *tree,
			  const struct cid *cid, const struct dag_stat *stat)
{
	struct inode *inode = inode_new(ino, tree, cid, stat);

	assert(ino && ino < INODE_FIRST);
	pthread_mutex_lock(&inodes->lock);
	assert(!*slot_of(inodes, ino));
	insert(inodes, inode);
	pthread_mutex_unlock(&inodes->lock);
	return inode;
}

size_t inode_numbers(struct inodes *inodes, uint64_t **out)
{
	size_t count = 0;

	pthread_mutex_lock(&inodes->lock);
	*out = xcalloc(inodes->count + 1, sizeof **out);
	for (size_t i = 0; i < inodes->cap; i++)
		for (const struct inode *at = inodes->slots[i]; at; at = at->next)
			if ((at->ino & INODE_NODE) || at->ino == INODE_ROOT)
				(*out)[count++] = at->ino;
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

bool inode_cid(const struct inode *inode, struct cid *cid)
{
	return inode->cid_len && !cid_from_bytes(cid, bytes_of(inode->cid, inode->cid_len));
}

static mode_t mode_of(const struct inode *inode)
{
	switch (inode->type) {
	case DAG_DIRECTORY:
		return S_IFDIR | (inode->mode ? inode->mode : DIRECTORY_MODE);
	case DAG_SYMLINK:
		return S_IFLNK | LINK_MODE;
	default:
		return S_IFREG | (inode->mode ? inode->mode : FILE_MODE);
	}
}

void inode_attributes(const struct inodes *inodes, const struct inode *inode, struct stat *st)
{
	*st = (struct stat){
		.st_ino = inode->ino,
		.st_mode = mode_of(inode) & ~(mode_t)(inodes->set_id ? 0 : S_ISUID | S_ISGID),
		.st_nlink = 1, /* of a directory: how many are below it is not counted */
		.st_uid = inodes->uid,
		.st_gid = inodes->gid,
		.st_size = (off_t)inode->size,
		.st_blksize = BLOCK_SIZE,
		.st_blocks = (blkcnt_t)(inode->size / 512 + (inode->size % 512 != 0)),
		.st_mtim = { inode->mtime, inode->mtime_nanos },
	};
	st->st_atim = st->st_ctim = st->st_mtim;
}

/* ---- views ---- */

static void view_detach(struct inodes *inodes, struct view *view)
{
	list_remove(&view->link);
	view->inode->view = NULL;
	view->inode = NULL;
	inodes->view_count--;
	inodes->view_weight -= view->weight;
}

/* Under the lock: what is to be freed goes to list `out`. */
static void inode_evict(struct inodes *inodes, struct list *out)
{
	struct list *at = inodes->views.prev;

	while (at != &inodes->views &&
	       (inodes->view_count > VIEWS_MAX || inodes->view_weight > VIEWS_WEIGHT_MAX)) {
		struct view *view = container_of(at, struct view, link);

		at = at->prev;
		if (view->users)
			continue;
		view_detach(inodes, view);
		list_add_tail(out, &view->link);
	}
}

static void free_all(struct list *views)
{
	list_for_each_safe(view, views, struct view, link)
		view_free(view);
}

/* Under the lock: the inode that nobody knows any more leaves the table. *view is to be freed. */
static void take_out(struct inodes *inodes, struct inode **slot, struct view **view)
{
	struct inode *inode = *slot;

	*slot = inode->next;
	inodes->count--;
	*view = inode->view;
	if (!*view)
		return;
	view_detach(inodes, *view);
	if ((*view)->users)
		*view = NULL; /* its last user frees it */
}

void inode_forget(struct inodes *inodes, uint64_t ino, uint64_t lookups)
{
	struct mount_tree *tree = NULL;
	struct view *view = NULL;

	if (ino < INODE_FIRST)
		return;
	pthread_mutex_lock(&inodes->lock);
	struct inode **slot = slot_of(inodes, ino), *inode = *slot;

	if (inode) {
		assert(inode->lookups >= lookups);
		inode->lookups -= lookups;
		tree = mount_tree_ref(inode->tree);
		if (inode->lookups)
			inode = NULL;
		else
			take_out(inodes, slot, &view);
	}
	pthread_mutex_unlock(&inodes->lock);
	if (view)
		view_free(view);
	if (inode)
		inode_free(inode);
	if (tree)
		tell_forgotten(tree, ino, lookups);
	mount_tree_unref(tree);
}

static struct view *take_open(struct inodes *inodes, struct inode *inode)
{
	pthread_mutex_lock(&inodes->lock);
	struct view *view = inode->view;

	if (view) {
		view->users++;
		list_remove(&view->link);
		list_add_head(&inodes->views, &view->link);
	}
	pthread_mutex_unlock(&inodes->lock);
	return view;
}

static int view_open(struct view *view, const struct inode *inode, struct wait *wait)
{
	struct blocks *blocks = view->root->blocks;
	struct cid cid;
	int err = -EIO;

	if (!inode_cid(inode, &cid))
		return err;
	switch (inode->type) {
	case DAG_DIRECTORY:
		err = dir_open(blocks, &cid, wait, &view->dir);
		/* Shards bring more; entries are kept as a list and an index. */
		view->weight = sizeof *view + (size_t)16384;
		break;
	case DAG_FILE:
		err = file_open(blocks, &cid, wait, &view->file);
		view->weight = sizeof *view + (size_t)16384;
		break;
	default:
		err = blocks_get(blocks, &cid, wait, &view->block);
		view->weight = sizeof *view + (err ? 0 : view->block->data.len);
	}
	return err;
}

int view_get(struct inodes *inodes, struct inode *inode, struct wait *wait, struct view **out)
{
	struct list dropped;
	int err;

	*out = take_open(inodes, inode);
	if (*out)
		return 0;
	struct view *view = xnew(struct view);

	list_init(&view->link);
	list_init(&dropped);
	view->root = root_ref(inode_root(inode));
	view->users = 1;
	err = view_open(view, inode, wait);
	if (err) {
		view_free(view);
		return err;
	}
	pthread_mutex_lock(&inodes->lock);
	if (inode->view) { /* another thread was faster */
		inode->view->users++;
		list_add_tail(&dropped, &view->link);
		view = inode->view;
	} else {
		view->inode = inode;
		inode->view = view;
		list_add_head(&inodes->views, &view->link);
		inodes->view_count++;
		inodes->view_weight += view->weight;
		inode_evict(inodes, &dropped);
	}
	pthread_mutex_unlock(&inodes->lock);
	free_all(&dropped);
	*out = view;
	return 0;
}

void view_put(struct inodes *inodes, struct view *view)
{
	pthread_mutex_lock(&inodes->lock);
	bool last = --view->users == 0 && !view->inode;

	pthread_mutex_unlock(&inodes->lock);
	if (last)
		view_free(view);
}

void view_weigh(struct inodes *inodes, struct view *view, size_t more)
{
	struct list dropped;

	list_init(&dropped);
	pthread_mutex_lock(&inodes->lock);
	if (view->inode) {
		view->weight += more;
		inodes->view_weight += more;
		inode_evict(inodes, &dropped);
	}
	pthread_mutex_unlock(&inodes->lock);
	free_all(&dropped);
}

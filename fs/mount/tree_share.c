/* A share's tree in mounts: names, attributes and listings. An inode's number is the node's, with
 * the number that the tree has in this mount; each lookup that the kernel counts is a reference of
 * the node's. The kernel believes all for ever: what changes otherwise than through the same mount
 * is told to it. Threads of the mounts. */
#include "fs/mount/tree_share_private.h"

#include "fs/mount/mount_private.h"
#include "fs/mount/past.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_SHIFT 46 /* of the tree's number in an inode's */
#define BLOCK_SIZE (1u << 20)
#define PAST_NODE (TREE_NODE_MAX - 1) /* for the inode of '@'; no node of a tree comes so far */

_Static_assert(TREE_NODE_MAX == UINT64_C(1) << NUMBER_SHIFT, "numbers of nodes fill the rest");

/* ---- mounts ---- */

/* The lock is held. */
static struct seat *seat_find(struct share_tree *share, const struct mount *mount)
{
	for (size_t i = 0; i < share->seat_count; i++)
		if (share->seats[i].mount == mount)
			return &share->seats[i];
	return NULL;
}

/* The number of the tree in the call's mount; the first time it joins. */
static int seat_number(struct share_tree *share, struct mount *mount, uint64_t *number)
{
	pthread_mutex_lock(&share->lock);
	const struct seat *seat = seat_find(share, mount);

	*number = seat ? seat->number : 0;
	pthread_mutex_unlock(&share->lock);
	if (*number)
		return 0;
	int err = mount_join(mount, &share->tree, number);

	if (err)
		return err;
	pthread_mutex_lock(&share->lock);
	if (!seat_find(share, mount)) {
		share->seats =
			xrealloc(share->seats, (share->seat_count + 1) * sizeof *share->seats);
		share->seats[share->seat_count++] =
			(struct seat){ mount, *number, mount->tree == &share->tree };
		atomic_store(&share->mounts, share->seat_count);
	}
	pthread_mutex_unlock(&share->lock);
	return 0;
}

static void share_leave(struct mount_tree *tree, struct mount *mount)
{
	struct share_tree *share = share_of(tree);

	pthread_mutex_lock(&share->lock);
	struct seat *seat = seat_find(share, mount);

	if (seat)
		*seat = share->seats[--share->seat_count];
	atomic_store(&share->mounts, share->seat_count);
	pthread_mutex_unlock(&share->lock);
}

static uint64_t inode_of(const struct seat *seat, uint64_t node)
{
	if (!node)
		return 0;
	if (node == TREE_ROOT && seat->top)
		return INODE_ROOT;
	return INODE_NODE | seat->number << NUMBER_SHIFT | node;
}

void share_tell(struct share_tree *share, const struct mount *except, enum tree_change what,
		uint64_t dir, struct bytes name, uint64_t node)
{
	if (atomic_load(&share->mounts) <= (except ? 1 : 0))
		return;
	pthread_mutex_lock(&share->lock);
	for (size_t i = 0; i < share->seat_count; i++) {
		const struct seat *seat = &share->seats[i];

		if (seat->mount != except)
			mount_tell(seat->mount, what, inode_of(seat, dir), name,
				   inode_of(seat, node));
	}
	pthread_mutex_unlock(&share->lock);
}

void tree_share_changed(struct mount_tree *share, enum tree_change what, uint64_t dir,
			struct bytes name, uint64_t node)
{
	share_tell(share_of(share), NULL, what, dir, name, node);
}

static void on_changed(struct tree_watch *watch, enum tree_change what, uint64_t dir,
		       struct bytes name, uint64_t node)
{
	share_tell(container_of(watch, struct share_tree, watch), NULL, what, dir, name, node);
}

/* ---- inodes ---- */

static struct tree_validity share_validity(const struct mount_tree *tree, const struct inode *inode)
{
	(void)tree;
	(void)inode;
	return (struct tree_validity){ .entry_s = TREE_FOREVER,
				       .absent_s = TREE_FOREVER,
				       .attr_s = TREE_FOREVER,
				       .keep_pages = true,
				       .keep_list = true };
}

static enum dag_type type_of(mode_t mode)
{
	return S_ISDIR(mode) ? DAG_DIRECTORY : S_ISLNK(mode) ? DAG_SYMLINK : DAG_FILE;
}

/* Takes over the reference of attr. */
static struct inode *share_enter(struct share_tree *share, struct tree_call *call, uint64_t number,
				 const struct inode *dir, const struct tree_attr *attr)
{
	uint64_t ino = INODE_NODE | number << NUMBER_SHIFT | attr->node;

	return inode_enter_node(call->inodes, &share->tree, ino, dir->ino, type_of(attr->mode));
}

static void share_forget(struct mount_tree *tree, uint64_t ino, uint64_t lookups)
{
	uint64_t node = ino & (TREE_NODE_MAX - 1);

	if (node != TREE_ROOT) /* always known */
		tree_forget(share_of(tree)->nodes, node, lookups);
}

int tree_share_enter(struct mount_tree *tree, struct tree_call *call, struct inode *parent,
		     struct inode **out)
{
	const struct tree_attr top = { .node = TREE_ROOT, .mode = S_IFDIR };
	uint64_t number;
	int err = seat_number(share_of(tree), call->mount, &number);

	if (!err)
		*out = share_enter(share_of(tree), call, number, parent, &top);
	return err;
}

static int share_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			const char *name, struct inode **out)
{
	struct share_tree *share = share_of(tree);
	struct tree_attr attr;
	uint64_t number;
	int err = seat_number(share, call->mount, &number);

	if (!err)
		err = tree_lookup(share->nodes, share_node(dir), bytes_str(name), call->wait,
				  &attr);
	if (!err)
		*out = share_enter(share, call, number, dir, &attr);
	else if (err == -ENOENT && *name == '@' && share->past && share_node(dir) == TREE_ROOT)
		err = past_find(share->past, call, dir, name + 1,
				INODE_NODE | number << NUMBER_SHIFT | PAST_NODE, out);
	return err;
}

static int share_stat(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		      struct stat *st)
{
	const struct inodes *inodes = call->inodes;
	struct tree_attr attr;
	uint64_t number;
	/* The mountpoint may never be looked into: it joins here. */
	int err = inode->ino == INODE_ROOT ? seat_number(share_of(tree), call->mount, &number) : 0;

	if (!err)
		err = tree_stat(share_of(tree)->nodes, share_node(inode), &attr);
	if (err)
		return err;
	*st = (struct stat){ .st_ino = inode->ino == INODE_ROOT ? INODE_ROOT : attr.id,
			     .st_mode = attr.mode,
			     .st_nlink = attr.gone
						 ? 0
						 : 1, /* a directory does not count what is below */
			     .st_uid = inodes->uid,
			     .st_gid = inodes->gid,
			     .st_size = (off_t)attr.size,
			     .st_blksize = BLOCK_SIZE,
			     .st_blocks = (blkcnt_t)(attr.held / 512 + (attr.held % 512 != 0)),
			     .st_atim = attr.mtime,
			     .st_mtim = attr.mtime,
			     .st_ctim = attr.ctime };
	return 0;
}

static int share_readlink(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			  struct buf *target)
{
	(void)call;
	return tree_readlink(share_of(tree)->nodes, share_node(inode), target);
}

/* ---- listing ---- */

struct share_listing {
	struct share_tree *share;
	struct tree_call *call;
	struct inode *dir;
	uint64_t number;
	bool plus;
	tree_entry_fn *entry;
	void *ctx;
};

static int list_item(void *ctx, const struct tree_item *item)
{
	struct share_listing *listing = ctx;
	char name[TREE_NAME_MAX + 1];
	struct tree_entry entry = {
		.name = name, .ino = item->id, .type = item->type, .next = item->next
	};

	assert(item->name.len <= TREE_NAME_MAX);
	memcpy(name, item->name.at, item->name.len);
	name[item->name.len] = 0;
	if (listing->plus)
		entry.inode = share_enter(listing->share, listing->call, listing->number,
					  listing->dir, &item->attr);
	return listing->entry(listing->ctx, &entry);
}

static int share_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	struct share_listing listing = { .share = share_of(tree),
					 .call = call,
					 .dir = dir,
					 .plus = plus,
					 .entry = entry,
					 .ctx = ctx };
	int err = seat_number(listing.share, call->mount, &listing.number);

	return err ? err
		   : tree_list(listing.share->nodes, share_node(dir), from, plus, call->wait,
			       list_item, &listing);
}

/* ---- changes ---- */

static int share_create(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			const char *name, const struct tree_new *how, struct inode **out)
{
	struct share_tree *share = share_of(tree);
	struct tree_attr attr;
	uint64_t number;
	int err = seat_number(share, call->mount, &number);

	if (!err)
		err = tree_create(share->nodes, share_node(dir), bytes_str(name), how, call->wait,
				  &attr);
	if (err)
		return err;
	*out = share_enter(share, call, number, dir, &attr);
	share_tell(share, call->mount, TREE_ENTRY, share_node(dir), bytes_str(name), 0);
	return 0;
}

static int share_unlink(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			const char *name, bool dir_wanted)
{
	struct share_tree *share = share_of(tree);
	int err =
		tree_unlink(share->nodes, share_node(dir), bytes_str(name), dir_wanted, call->wait);

	if (!err)
		share_tell(share, call->mount, TREE_ENTRY, share_node(dir), bytes_str(name), 0);
	return err;
}

static int share_rename(struct mount_tree *tree, struct tree_call *call, struct inode *from,
			const char *name, struct inode *to, const char *as, unsigned flags)
{
	struct share_tree *share = share_of(tree);
	int err = tree_rename(share->nodes, share_node(from), bytes_str(name), share_node(to),
			      bytes_str(as), flags, call->wait);

	if (err)
		return err;
	share_tell(share, call->mount, TREE_ENTRY, share_node(from), bytes_str(name), 0);
	share_tell(share, call->mount, TREE_ENTRY, share_node(to), bytes_str(as), 0);
	return 0;
}

static int share_set_attr(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			  const struct tree_set *set)
{
	struct share_tree *share = share_of(tree);
	struct tree_attr attr;
	int err = tree_set(share->nodes, share_node(inode), set, call->wait, &attr);

	if (!err)
		share_tell(share, call->mount, set->what & TREE_SET_SIZE ? TREE_CONTENT : TREE_ATTR,
			   0, bytes_of(NULL, 0), share_node(inode));
	return err;
}

/* ---- extended attributes ---- */

static int share_xattr_set(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			   const char *name, struct bytes value, int flags)
{
	struct share_tree *share = share_of(tree);
	int err = tree_xattr_set(share->nodes, share_node(inode), name, value, flags);

	if (!err) /* its time of change is another; values the kernel does not keep */
		share_tell(share, call->mount, TREE_ATTR, 0, bytes_of(NULL, 0), share_node(inode));
	return err;
}

static int share_xattr_get(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			   const char *name, struct buf *value)
{
	int err = tree_xattr_get(share_of(tree)->nodes, share_node(inode), name, value);

	(void)call;
	return err == -EPERM ? -ENODATA : err;
}

static int share_xattr_list(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			    struct buf *names)
{
	(void)call;
	return tree_xattr_list(share_of(tree)->nodes, share_node(inode), names);
}

/* ---- life ---- */

static void share_free(struct mount_tree *tree)
{
	struct share_tree *share = share_of(tree);

	assert(!share->seat_count);
	tree_unwatch(share->nodes, &share->watch);
	mount_tree_unref(share->past);
	pthread_mutex_destroy(&share->lock);
	free(share->seats);
	free(share);
}

#define FOLLOWING_OPS                                                                              \
	.validity = share_validity, .lookup = share_lookup, .stat = share_stat,                    \
	.readlink = share_readlink, .open = share_open, .close = share_close, .read = share_read,  \
	.list = share_list, .seek = share_seek, .xattr_get = share_xattr_get,                      \
	.xattr_list = share_xattr_list, .forget = share_forget, .leave = share_leave,              \
	.free = share_free

static const struct mount_tree_ops following_ops = { FOLLOWING_OPS };

static const struct mount_tree_ops share_ops = {
	FOLLOWING_OPS,		.writable = true,	    .create = share_create,
	.unlink = share_unlink, .rename = share_rename,	    .set = share_set_attr,
	.write = share_write,	.allocate = share_allocate, .copy = share_copy,
	.sync = share_sync,	.flush = share_flush,	    .xattr_set = share_xattr_set,
};

struct mount_tree *tree_share_new(struct tree *tree, bool readonly)
{
	struct share_tree *share = xnew(struct share_tree);

	share->tree.ops = readonly ? &following_ops : &share_ops;
	atomic_init(&share->tree.refs, 1);
	share->nodes = tree;
	share->watch.changed = on_changed;
	pthread_mutex_init(&share->lock, NULL);
	tree_watch(tree, &share->watch);
	return &share->tree;
}

void tree_share_with_past(struct mount_tree *tree, struct db *work, uint32_t id)
{
	share_of(tree)->past = past_new(work, id);
}

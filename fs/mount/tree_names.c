/* The namespace: ipfs/ below the mountpoint, and below that any CID by name; and my/, a share. Pins
 * are listed, and come and go; what a name leads to stays. Each root that is looked up is a fixed
 * tree of its own. The share is asked for when somebody looks. Threads of the mount. */
#include "fs/mount/tree_dag.h"

#include "fs/mount/mount_private.h"
#include "fs/mount/tree_share.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IPFS_NAME "ipfs"
#define MY_NAME "my"
#define MY_INO (INODE_IPFS + 1) /* in listings: nobody knows its inode yet */

struct names {
	struct mount_tree tree;
	int (*my)(void *ctx, struct wait *wait, struct mount_tree **out); /* NULL: none */
	void *my_ctx;
	pthread_mutex_t lock;
	struct mount_tree *my_tree; /* the lock's; NULL: not asked for yet */
};

static struct names *names_of(struct mount_tree *tree)
{
	return container_of(tree, struct names, tree);
}

static struct tree_validity names_validity(const struct mount_tree *tree, const struct inode *inode)
{
	(void)tree;
	return (struct tree_validity){ .entry_s = TREE_FOREVER,
				       .absent_s =
					       TREE_FOREVER, /* nothing of the sort can appear */
				       .attr_s = TREE_FOREVER,
				       .keep_list = inode->ino != INODE_IPFS };
}

/* The share's tree, which stays as long as the namespace. */
static int my_tree(struct names *names, struct wait *wait, struct mount_tree **out)
{
	int err = 0;

	pthread_mutex_lock(&names->lock);
	if (!names->my_tree)
		err = names->my(names->my_ctx, wait, &names->my_tree);
	*out = names->my_tree;
	pthread_mutex_unlock(&names->lock);
	return err;
}

static int top_lookup(struct names *names, struct tree_call *call, struct inode *dir,
		      const char *name, struct inode **out)
{
	struct mount_tree *my;
	int err;

	if (strcmp(name, IPFS_NAME) == 0) {
		*out = inode_find(call->inodes, INODE_IPFS);
		return *out ? 0 : -ENOENT;
	}
	if (!names->my || strcmp(name, MY_NAME))
		return -ENOENT;
	err = my_tree(names, call->wait, &my);
	if (!err)
		err = tree_share_enter(my, call, dir, out);
	return err == -ENOENT ? -EIO : err;
}

static int names_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			const char *name, struct inode **out)
{
	struct mount *mount = call->mount;
	struct cid cid;

	if (dir->ino == INODE_ROOT)
		return top_lookup(names_of(tree), call, dir, name, out);
	if (cid_from_text(&cid, name))
		return -ENOENT;
	call->about = cid;
	struct root *root = root_new(mount->store, mount->below ? &mount->fetcher : NULL, &cid);
	int err = tree_dag_enter(call, root, &cid, place_of(dir, bytes_str(name)), out);

	root_unref(root);
	return err == -ENOENT ? -EIO : err; /* it is a CID: this is about its block */
}

static int names_attributes(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			    struct stat *st)
{
	(void)tree;
	inode_attributes(call->inodes, inode, st);
	return 0;
}

static int names_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		      void *file, uint64_t at, size_t size, tree_bytes_fn *bytes, void *ctx)
{
	(void)tree;
	(void)call;
	(void)inode;
	(void)file;
	(void)at;
	(void)size;
	(void)bytes;
	(void)ctx;
	return -EISDIR;
}

/* ---- listing ---- */

struct pins {
	struct inode *dir;
	uint64_t index, from;
	tree_entry_fn *entry;
	void *ctx;
};

static int list_pin(void *ctx, const struct pin *pin)
{
	struct pins *pins = ctx;
	struct tree_entry entry;
	char text[CID_TEXT_MAX];

	if (pins->index++ < pins->from)
		return 0;
	cid_text(&pin->cid, text);
	entry = tree_dag_entry(text, &pin->cid, place_of(pins->dir, bytes_str(text)), pins->index);
	return pins->entry(pins->ctx, &entry);
}

static int list_top(const struct names *names, uint64_t from, tree_entry_fn *entry, void *ctx)
{
	const struct tree_entry top[] = {
		{ .name = IPFS_NAME, .ino = INODE_IPFS, .type = S_IFDIR, .next = 1 },
		{ .name = MY_NAME, .ino = MY_INO, .type = S_IFDIR, .next = 2 },
	};
	size_t count = names->my ? 2 : 1;

	for (size_t i = from; i < count; i++)
		if (entry(ctx, &top[i]))
			break;
	return 0;
}

static int names_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	struct pins pins = { .dir = dir, .from = from, .entry = entry, .ctx = ctx };

	(void)plus;
	if (dir->ino == INODE_ROOT)
		return list_top(names_of(tree), from, entry, ctx);
	return call->mount->db ? pin_each(call->mount->db, list_pin, &pins) : 0;
}

/* ---- life ---- */

static void names_free(struct mount_tree *tree)
{
	struct names *names = names_of(tree);

	mount_tree_unref(names->my_tree);
	pthread_mutex_destroy(&names->lock);
	free(names);
}

#define NAMES_OPS                                                                                  \
	.validity = names_validity, .lookup = names_lookup, .stat = names_attributes,              \
	.read = names_read, .list = names_list, .free = names_free

/* Below is fixed content alone: files are opened without asking. */
static const struct mount_tree_ops names_ops = { NAMES_OPS, .files_unasked = true };

/* Below my/ is what changes. */
static const struct mount_tree_ops names_my_ops = { NAMES_OPS, .writable = true };

struct mount_tree *tree_names_new(const struct mount_config *config)
{
	struct names *names = xnew(struct names);

	names->tree.ops = config->my ? &names_my_ops : &names_ops;
	atomic_init(&names->tree.refs, 1);
	names->my = config->my;
	names->my_ctx = config->my_ctx;
	pthread_mutex_init(&names->lock, NULL);
	return &names->tree;
}

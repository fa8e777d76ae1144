/* The namespace: ipfs/ below the mountpoint, and below that any CID by name; ipns/, and below that
 * any name; and my/, a share. Pins and own shares are listed, and come and go. What a CID leads to
 * stays; what a name leads to is asked for again after a while. Each root that is looked up is a
 * fixed tree of its own. Shares are asked for when somebody looks. Threads of the mount. */
#include "fs/mount/tree_dag.h"

#include "fs/mount/mount_private.h"
#include "fs/mount/tree_share.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IPFS_NAME "ipfs"
#define IPNS_NAME "ipns"
#define MY_NAME "my"
#define UNKNOWN_INO (INODE_FIRST - 1) /* in listings: nobody knows its inode yet */
#define ABSENT_S 1.0		      /* a name that leads nowhere may lead somewhere at last */

struct names {
	struct mount_tree tree;
	const struct mount_names *names; /* NULL: ipfs/ alone */
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
				       .keep_list = inode->ino == INODE_ROOT };
}

/* Takes the reference of share over. */
static int enter_share(struct tree_call *call, struct inode *dir, struct mount_tree *share,
		       struct inode **out)
{
	int err = tree_share_enter(share, call, dir, out);

	mount_tree_unref(share);
	return err;
}

static int top_lookup(struct names *names, struct tree_call *call, struct inode *dir,
		      const char *name, struct inode **out)
{
	struct mount_tree *my;
	int err;

	if (!strcmp(name, IPFS_NAME) || (names->names && !strcmp(name, IPNS_NAME))) {
		*out = inode_find(call->inodes, strcmp(name, IPFS_NAME) ? INODE_IPNS : INODE_IPFS);
		return *out ? 0 : -ENOENT;
	}
	if (!names->names || strcmp(name, MY_NAME))
		return -ENOENT;
	err = names->names->my(names->names->ctx, call->wait, &my);
	if (!err)
		err = enter_share(call, dir, my, out);
	return err == -ENOENT ? -EIO : err;
}

/* Content, as the fixed tree below it. */
static int enter_root(struct tree_call *call, struct inode *dir, const char *name,
		      const struct cid *cid, struct inode **out)
{
	struct mount *mount = call->mount;
	struct root *root = root_new(mount->store, mount->below ? &mount->fetcher : NULL, cid);
	int err;

	call->about = *cid;
	err = tree_dag_enter(call, root, cid, place_of(dir, bytes_str(name)), out);
	root_unref(root);
	return err == -ENOENT ? -EIO : err; /* it is known: this is about its block */
}

/* A share of one's own first, then what the name leads to now. */
static int name_lookup(const struct mount_names *names, struct tree_call *call, struct inode *dir,
		       const char *name, struct inode **out)
{
	struct mount_tree *share;
	struct cid cid;
	int err = names->share(names->ctx, name, call->wait, &share);

	if (!err)
		return enter_share(call, dir, share, out);
	if (err == -ENOENT)
		err = names->name(names->ctx, name, call->wait, &cid, &call->believed_s);
	if (err == -ENOENT)
		call->believed_s = ABSENT_S;
	return err ? err : enter_root(call, dir, name, &cid, out);
}

static int names_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			const char *name, struct inode **out)
{
	struct cid cid;

	if (dir->ino == INODE_ROOT)
		return top_lookup(names_of(tree), call, dir, name, out);
	if (dir->ino == INODE_IPNS)
		return name_lookup(names_of(tree)->names, call, dir, name, out);
	return cid_from_text(&cid, name) ? -ENOENT : enter_root(call, dir, name, &cid, out);
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
		{ .name = IPNS_NAME, .ino = INODE_IPNS, .type = S_IFDIR, .next = 2 },
		{ .name = MY_NAME, .ino = UNKNOWN_INO, .type = S_IFDIR, .next = 3 },
	};
	size_t count = names->names ? ARRAY_LEN(top) : 1;

	for (size_t i = from; i < count; i++)
		if (entry(ctx, &top[i]))
			break;
	return 0;
}

static int list_share(void *ctx, const char *name)
{
	struct pins *shares = ctx;
	struct tree_entry found = { .name = name, .ino = UNKNOWN_INO, .type = S_IFDIR };

	if (shares->index++ < shares->from)
		return 0;
	found.next = shares->index;
	return shares->entry(shares->ctx, &found);
}

static int names_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	const struct names *names = names_of(tree);
	struct pins pins = { .dir = dir, .from = from, .entry = entry, .ctx = ctx };

	(void)plus;
	if (dir->ino == INODE_ROOT)
		return list_top(names, from, entry, ctx);
	if (dir->ino == INODE_IPNS)
		return names->names->each_share(names->names->ctx, list_share, &pins);
	return call->mount->db ? pin_each(call->mount->db, list_pin, &pins) : 0;
}

/* ---- life ---- */

static void names_free(struct mount_tree *tree)
{
	free(names_of(tree));
}

#define NAMES_OPS                                                                                  \
	.validity = names_validity, .lookup = names_lookup, .stat = names_attributes,              \
	.read = names_read, .list = names_list, .free = names_free

/* Below is fixed content alone: files are opened without asking. */
static const struct mount_tree_ops names_ops = { NAMES_OPS, .files_unasked = true };

/* Below my/ and ipns/ is what changes. */
static const struct mount_tree_ops names_share_ops = { NAMES_OPS, .writable = true };

struct mount_tree *tree_names_new(const struct mount_config *config)
{
	struct names *names = xnew(struct names);

	names->tree.ops = config->names ? &names_share_ops : &names_ops;
	atomic_init(&names->tree.refs, 1);
	names->names = config->names;
	return &names->tree;
}

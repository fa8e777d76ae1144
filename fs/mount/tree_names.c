/* The namespace: ipfs/ below the mountpoint, and below that any CID by name. Pins are listed, and
 * come and go; what a name leads to stays. Each root that is looked up is a fixed tree of its own.
 * Threads of the mount. */
#include "fs/mount/tree_dag.h"

#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IPFS_NAME "ipfs"

static struct tree_validity names_validity(const struct mount_tree *tree, const struct inode *inode)
{
	(void)tree;
	return (struct tree_validity){ .entry_s = TREE_FOREVER,
				       .absent_s =
					       TREE_FOREVER, /* nothing of the sort can appear */
				       .attr_s = TREE_FOREVER,
				       .keep_list = inode->ino != INODE_IPFS };
}

static int names_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			const char *name, struct inode **out)
{
	struct mount *mount = call->mount;
	struct cid cid;

	(void)tree;
	if (dir->ino == INODE_ROOT) {
		*out = strcmp(name, IPFS_NAME) == 0 ? inode_find(call->inodes, INODE_IPFS) : NULL;
		return *out ? 0 : -ENOENT;
	}
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

static int names_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	const struct tree_entry ipfs = {
		.name = IPFS_NAME, .ino = INODE_IPFS, .type = S_IFDIR, .next = 1
	};
	struct pins pins = { .dir = dir, .from = from, .entry = entry, .ctx = ctx };

	(void)tree;
	(void)plus;
	if (dir->ino == INODE_ROOT)
		return from == 0 ? entry(ctx, &ipfs) : 0;
	return call->mount->db ? pin_each(call->mount->db, list_pin, &pins) : 0;
}

/* ---- life ---- */

static void names_free(struct mount_tree *tree)
{
	free(tree);
}

/* Below is fixed content alone: files are opened without asking. */
static const struct mount_tree_ops names_ops = {
	.files_unasked = true,
	.validity = names_validity,
	.lookup = names_lookup,
	.stat = names_attributes,
	.read = names_read,
	.list = names_list,
	.free = names_free,
};

struct mount_tree *tree_names_new(void)
{
	struct mount_tree *tree = xnew(struct mount_tree);

	tree->ops = &names_ops;
	atomic_init(&tree->refs, 1);
	return tree;
}

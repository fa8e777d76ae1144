/* Versions in a mount: each is the fixed tree below its root, so it is shown without the modes and
 * times that only the manifest has. The directory of all versions has an inode of this tree; what
 * it lists is read from the records each time. Threads of the mounts. */
#include "fs/mount/past.h"

#include "fs/mount/mount_private.h"
#include "fs/mount/tree_dag.h"
#include "fs/share_version.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct past {
	struct mount_tree tree;
	struct db *work; /* borrowed */
	uint32_t share;
};

static struct past *past_of(struct mount_tree *tree)
{
	return container_of(tree, struct past, tree);
}

static struct tree_validity past_validity(const struct mount_tree *tree, const struct inode *inode)
{
	(void)tree;
	(void)inode;
	return (struct tree_validity){ .entry_s = PAST_BELIEVED_S,
				       .absent_s = PAST_BELIEVED_S,
				       .attr_s = TREE_FOREVER };
}

static int enter_version(struct tree_call *call, struct inode *dir, const char *name,
			 const struct tree_version *version, struct inode **out)
{
	struct mount *mount = call->mount;
	struct root *root =
		root_new(mount->store, mount->below ? &mount->fetcher : NULL, &version->root);
	int err;

	call->about = version->root;
	err = tree_dag_enter(call, root, &version->root, place_of(dir, bytes_str(name)), out);
	root_unref(root);
	return err == -ENOENT ? -EIO : err; /* the version is there: this is about its block */
}

static int find_version(struct past *past, struct tree_call *call, struct inode *dir,
			const char *text, struct inode **out)
{
	struct tree_version version;
	int err = share_version_find(past->work, past->share, text, &version);

	call->believed_s = PAST_BELIEVED_S;
	if (err == -EINVAL)
		err = -ENOENT;
	return err ? err : enter_version(call, dir, text, &version, out);
}

int past_find(struct mount_tree *tree, struct tree_call *call, struct inode *dir, const char *text,
	      uint64_t ino, struct inode **out)
{
	if (*text)
		return find_version(past_of(tree), call, dir, text, out);
	*out = inode_enter_node(call->inodes, tree, ino, dir->ino, DAG_DIRECTORY);
	return 0;
}

static int past_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		       const char *name, struct inode **out)
{
	return find_version(past_of(tree), call, dir, name, out);
}

static int past_stat(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		     struct stat *st)
{
	(void)tree;
	*st = (struct stat){ .st_ino = inode->ino,
			     .st_mode = S_IFDIR | 0555,
			     .st_nlink = 1,
			     .st_uid = call->inodes->uid,
			     .st_gid = call->inodes->gid };
	return 0;
}

static int past_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
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

struct listing {
	struct inode *dir;
	uint64_t from;
	tree_entry_fn *entry;
	void *ctx;
};

/* Versions are counted from 1, so their numbers are where a listing goes on. */
static int list_version(void *ctx, const struct tree_version *version)
{
	const struct listing *listing = ctx;
	struct tree_entry entry;
	char name[24];

	if (version->no <= listing->from)
		return 0;
	snprintf(name, sizeof(name), "%" PRIu64, version->no);
	entry = tree_dag_entry(name, &version->root, place_of(listing->dir, bytes_str(name)),
			       version->no);
	return listing->entry(listing->ctx, &entry);
}

static int past_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		     uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	struct listing listing = { .dir = dir, .from = from, .entry = entry, .ctx = ctx };
	int err = share_each_version(past_of(tree)->work, past_of(tree)->share, list_version,
				     &listing);

	(void)call;
	(void)plus;
	return err < 0 ? err : 0; /* no room is no error */
}

/* ---- life ---- */

static void past_free(struct mount_tree *tree)
{
	free(past_of(tree));
}

static const struct mount_tree_ops past_ops = {
	.validity = past_validity,
	.lookup = past_lookup,
	.stat = past_stat,
	.read = past_read,
	.list = past_list,
	.free = past_free,
};

struct mount_tree *past_new(struct db *work, uint32_t share)
{
	struct past *past = xnew(struct past);

	past->tree.ops = &past_ops;
	atomic_init(&past->tree.refs, 1);
	past->work = work;
	past->share = share;
	return &past->tree;
}

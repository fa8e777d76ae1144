/* The fixed tree: content below a CID. Nothing of it changes, so the kernel may keep all that it is
 * told, for ever. Only a directory's own blocks are waited for when it is listed: children that are
 * stored come with their attributes, the others are asked for ahead and looked up when somebody
 * wants to know. Threads of the mount. */
#include "fs/mount/tree_dag.h"

#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define ENTRY_BYTES 256	     /* of an entry in blocks, list and index, about */
#define PLUS_FIRST_MAX 65536 /* entries with attributes; huge directories are listed by name */

static struct tree_validity dag_validity(const struct mount_tree *tree, const struct inode *inode)
{
	(void)tree;
	(void)inode;
	return (struct tree_validity){ .entry_s = TREE_FOREVER,
				       .absent_s = TREE_FOREVER,
				       .attr_s = TREE_FOREVER,
				       .keep_pages = true,
				       .keep_list = true };
}

/* ---- names ---- */

int tree_dag_enter(struct tree_call *call, struct root *root, const struct cid *cid,
		   struct place place, struct inode **out)
{
	struct dag_stat stat;
	int err;

	*out = inode_known(call->inodes, cid, place);
	if (*out)
		return 0;
	err = dag_stat(root->blocks, cid, call->wait, &stat);
	if (!err)
		*out = inode_enter(call->inodes, root, cid, place, &stat);
	return err;
}

static int dag_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      const char *name, struct inode **out)
{
	struct root *root = container_of(tree, struct root, tree);
	struct dir_entry entry;
	struct view *view;
	int err = view_get(call->inodes, dir, call->wait, &view);

	if (err)
		return err == -ENOENT ? -EIO : err;
	err = dir_lookup(view->dir, bytes_str(name), call->wait, &entry);
	if (!err) {
		call->about = entry.cid;
		if (call->mount->below)
			mount_ahead_looked_up(view, call->wait,
					      !blocks_has(root->blocks, &entry.cid));
		err = tree_dag_enter(call, root, &entry.cid, place_of(dir, bytes_str(name)), out);
		if (err == -ENOENT)
			err = -EIO; /* the name is there: this is about its block */
	}
	view_put(call->inodes, view);
	return err;
}

static int dag_attributes(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			  struct stat *st)
{
	(void)tree;
	inode_attributes(call->inodes, inode, st);
	return 0;
}

static int dag_link(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		    struct buf *target)
{
	struct root *root = container_of(tree, struct root, tree);
	struct cid cid;

	return inode_cid(inode, &cid) ? dag_readlink(root->blocks, &cid, call->wait, target)
				      : -EINVAL;
}

/* ---- listing ---- */

struct dag_listing {
	struct root *root;
	struct tree_call *call;
	struct inode *dir;
	bool plus;
	tree_entry_fn *entry;
	void *ctx;
};

/* The child with its attributes, one lookup counted, when that needs no waiting; else NULL. */
static struct inode *known_child(struct dag_listing *listing, const struct cid *cid,
				 struct place place)
{
	struct tree_call *call = listing->call;
	struct root *root = listing->root;
	struct inode *inode = inode_known(call->inodes, cid, place);
	struct dag_stat stat;

	if (inode || !blocks_has(root->blocks, cid))
		return inode;
	struct worker *worker = worker_self(call->mount);
	int gave_up = worker->gave_up;

	worker->gave_up = -ETIMEDOUT; /* were it evicted just now: no fetching */
	int err = dag_stat(root->blocks, cid, call->wait, &stat);

	worker->gave_up = gave_up;
	return err ? NULL : inode_enter(call->inodes, root, cid, place, &stat);
}

static int list_child(void *ctx, size_t index, const struct dir_entry *child)
{
	struct dag_listing *listing = ctx;
	struct place place = place_of(listing->dir, child->name);
	struct tree_entry entry;
	char name[256];

	memcpy(name, child->name.at, child->name.len);
	name[child->name.len] = 0;
	entry = tree_dag_entry(name, &child->cid, place, index + 1);
	if (listing->plus && index < PLUS_FIRST_MAX)
		entry.inode = known_child(listing, &child->cid, place);
	return listing->entry(listing->ctx, &entry);
}

/* Without attributes the kernel will look it up when needed; its kind is known when it is a raw
 * block. */
struct tree_entry tree_dag_entry(const char *name, const struct cid *cid, struct place place,
				 uint64_t next)
{
	return (struct tree_entry){ .name = name,
				    .ino = inode_number(cid, place),
				    .type = cid->codec == CODEC_RAW ? S_IFREG : 0,
				    .next = next };
}

static int dag_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		    uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	struct dag_listing listing = {
		container_of(tree, struct root, tree), call, dir, plus, entry, ctx
	};
	struct view *view;
	size_t count;
	int err = view_get(call->inodes, dir, call->wait, &view);

	if (err)
		return err;
	err = dir_count(view->dir, call->wait, &count);
	if (!err && !atomic_exchange(&view->listed, true))
		view_weigh(call->inodes, view, count * ENTRY_BYTES);
	if (!err && plus && from == 0 && call->mount->below)
		mount_ahead_listed(call->mount, view, call->wait, dir->place.parent != 0);
	if (!err)
		err = dir_each(view->dir, from, call->wait, list_child, &listing);
	view_put(call->inodes, view);
	return err;
}

/* ---- life ---- */

static void dag_free(struct mount_tree *tree)
{
	struct root *root = container_of(tree, struct root, tree);

	blocks_free(root->blocks);
	free(root);
}

/* Nothing is kept per open file or directory. */
const struct mount_tree_ops tree_dag_ops = {
	.files_unasked = true,
	.dirs_unasked = true,
	.validity = dag_validity,
	.lookup = dag_lookup,
	.stat = dag_attributes,
	.readlink = dag_link,
	.read = tree_dag_read,
	.list = dag_list,
	.free = dag_free,
};

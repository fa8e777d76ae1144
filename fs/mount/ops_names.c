/* FUSE requests that change names: create, mkdir, symlink, unlink, rename and those that no tree
 * can do. The tree of the directory decides; one without the operation is read-only, beside others
 * that are not. Threads of the mount. */
#include "fs/mount/mount_private.h"

#include <errno.h>
#include <fcntl.h>

#define PERMISSIONS 07777

/* The directory of a change; NULL, and answered, when there is none or the name is too long. */
static struct inode *dir_of(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct inode *dir = ops_inode(req, parent);

	return dir && ops_name_fits(req, name) ? dir : NULL;
}

static int names_make(struct tree_call *call, struct inode *dir, const char *name,
		      const struct tree_new *how, struct inode **out)
{
	const struct mount_tree_ops *ops = dir->tree->ops;

	return ops->create ? ops->create(dir->tree, call, dir, name, how, out) : -EROFS;
}

static void make_and_reply(fuse_req_t req, fuse_ino_t parent, const char *name,
			   const struct tree_new *how)
{
	struct inode *dir = dir_of(req, parent, name), *made;

	if (!dir)
		return;
	struct tree_call call = ops_call(req);
	int err = names_make(&call, dir, name, how, &made);

	if (err)
		ops_fail_change(req, err);
	else
		ops_reply_inode(req, &call, ops_validity(dir).entry_s, made);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct tree_new how = { .mode = S_IFDIR | (mode & PERMISSIONS) };

	make_and_reply(req, parent, name, &how);
}

void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	const struct tree_new how = { .mode = S_IFLNK | 0777, .target = bytes_str(target) };

	make_and_reply(req, parent, name, &how);
}

/* What no tree can hold. */
static void names_refuse(fuse_req_t req, fuse_ino_t parent)
{
	struct inode *dir = ops_inode(req, parent);

	if (dir)
		fuse_reply_err(req, dir->tree->ops->create ? EPERM : EROFS);
}

void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	const struct tree_new how = { .mode = S_IFREG | (mode & PERMISSIONS) };

	(void)rdev;
	if (S_ISREG(mode))
		make_and_reply(req, parent, name, &how);
	else
		names_refuse(req, parent);
}

void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)name;
	names_refuse(req, parent);
}

/* Made, or there already though the kernel thought otherwise; then opened. The caller asked the
 * kernel for a new file, which may be written whatever its mode is. */
static int make_and_open(struct tree_call *call, struct inode *dir, const char *name, mode_t mode,
			 int flags, struct inode **out, void **file)
{
	const struct tree_new how = { .mode = S_IFREG | (mode & PERMISSIONS) };
	int err = names_make(call, dir, name, &how, out);

	if (err == -EEXIST && !(flags & O_EXCL))
		err = dir->tree->ops->lookup(dir->tree, call, dir, name, out);
	if (err)
		return err;
	err = (*out)->type == DAG_DIRECTORY ? -EISDIR : (*out)->type == DAG_SYMLINK ? -ELOOP : 0;
	if (!err)
		err = ops_open_file(call, *out, flags, file);
	if (err)
		inode_forget(call->inodes, (*out)->ino, 1);
	return err;
}

void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		struct fuse_file_info *fi)
{
	struct inode *dir = dir_of(req, parent, name), *made;
	struct fuse_entry_param entry;
	void *file = NULL;

	if (!dir)
		return;
	struct tree_call call = ops_call(req);
	int err = make_and_open(&call, dir, name, mode, fi->flags, &made, &file);

	if (err) {
		ops_fail_change(req, err);
		return;
	}
	struct mount_tree *tree = mount_tree_ref(made->tree);
	uint64_t ino = made->ino;

	fi->keep_cache = ops_validity(made).keep_pages;
	fi->fh = opened_add(call.mount, tree, file);
	err = ops_entry(&call, ops_validity(dir).entry_s, made, &entry);
	if (err)
		ops_fail_change(req, err);
	if (err || fuse_reply_create(req, &entry, fi)) { /* the caller was interrupted */
		opened_close(call.mount, fi->fh);
		inode_forget(call.inodes, ino, 1);
	}
	mount_tree_unref(tree);
}

/* ---- taking and moving names ---- */

static void names_take(fuse_req_t req, fuse_ino_t parent, const char *name, bool dir_wanted)
{
	struct inode *dir = dir_of(req, parent, name);

	if (!dir)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = dir->tree->ops;

	ops_answer_change(req, ops->unlink ? ops->unlink(dir->tree, &call, dir, name, dir_wanted)
					   : -EROFS);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	names_take(req, parent, name, false);
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	names_take(req, parent, name, true);
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *as,
		unsigned flags)
{
	struct inode *dir = dir_of(req, parent, name);
	struct inode *to_dir = dir ? dir_of(req, to, as) : NULL;
	int err;

	if (!to_dir)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = dir->tree->ops;

	if (!ops->rename || !to_dir->tree->ops->rename)
		err = -EROFS;
	else if (dir->tree != to_dir->tree)
		err = -EXDEV;
	else
		err = ops->rename(dir->tree, &call, dir, name, to_dir, as, flags);
	ops_answer_change(req, err);
}

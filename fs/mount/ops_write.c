/* FUSE requests that change files, attributes and bytes, and that ask for what was changed to last.
 * A write goes to the tree from the memory that it was received in. None is answered with ENOSYS,
 * which the kernel would remember of all trees of the mount. Threads of the mount. */
#include "fs/mount/mount_private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define COPY_MAX 0x7ffff000u /* bytes of one answer to copy_file_range() */
#define SET_ID (S_ISUID | S_ISGID)

static void *file_of(const struct fuse_file_info *fi)
{
	return opened_file(fi->fh);
}

/* ---- attributes ---- */

/* As the kernel does elsewhere: set-group-id without the group's right to execute is no such bit.
 */
static int drop_set_id(struct tree_call *call, struct inode *inode)
{
	struct stat st;
	int err = ops_stat(call, inode, &st);
	mode_t drop = S_ISUID | (st.st_mode & S_IXGRP ? S_ISGID : 0);

	if (err || !S_ISREG(st.st_mode) || !(st.st_mode & drop))
		return err;
	const struct tree_set set = { .what = TREE_SET_MODE, .mode = st.st_mode & 07777 & ~drop };

	return inode->tree->ops->set ? inode->tree->ops->set(inode->tree, call, inode, &set) : 0;
}

int ops_drop_set_id(fuse_req_t req, struct tree_call *call, struct inode *inode)
{
	const struct fuse_buf *request = worker_self(ops_mount(req))->request;

	return mount_io_drops_set_id(request) ? drop_set_id(call, inode) : 0;
}

/* Files belong to the user that mounted. */
static int check_owner(const struct mount *mount, const struct stat *attr, int to_set)
{
	bool other = ((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != mount->inodes.uid) ||
		     ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != mount->inodes.gid);

	return other && !mount->options.quiet ? -EPERM : 0;
}

/* The time of last access is not kept: it is told as that of the last change. */
static struct tree_set set_of(const struct stat *attr, int to_set)
{
	struct tree_set set = { .mode = attr->st_mode & 07777,
				.size = (uint64_t)attr->st_size,
				.mtime = attr->st_mtim };

	set.what = (to_set & FUSE_SET_ATTR_MODE ? TREE_SET_MODE : 0) |
		   (to_set & FUSE_SET_ATTR_SIZE ? TREE_SET_SIZE : 0);
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		set.what |= TREE_SET_MTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		set.what |= TREE_SET_MTIME;
	return set;
}

void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		 struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);
	struct stat st;

	(void)fi;
	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;
	struct tree_set set = set_of(attr, to_set);
	bool owner = to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID);
	int err = ops->set ? check_owner(ops_mount(req), attr, to_set) : -EROFS;

	if (!err && set.what)
		err = ops->set(inode->tree, &call, inode, &set);
	if (!err && owner && !(set.what & TREE_SET_MODE))
		err = drop_set_id(&call, inode);
	else if (!err)
		err = ops_drop_set_id(req, &call, inode);
	if (!err)
		err = ops_stat(&call, inode, &st);
	if (err)
		ops_fail_change(req, err);
	else
		fuse_reply_attr(req, &st, ops_validity(inode).attr_s);
}

/* ---- bytes ---- */

/* What the kernel writes from its pages has its place, however the file was opened. */
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t at,
	       struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;
	bool append = (fi->flags & O_APPEND) && !fi->writepage;
	int err = ops->write ? ops_drop_set_id(req, &call, inode) : -EROFS;

	if (!err)
		err = ops->write(inode->tree, &call, inode, file_of(fi), (uint64_t)at, append,
				 bytes_of(data, size));
	if (err)
		ops_fail_change(req, err);
	else
		fuse_reply_write(req, size);
}

void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t at, off_t len,
		   struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;

	ops_answer_change(req, ops->allocate ? ops->allocate(inode->tree, &call, inode, file_of(fi),
							     mode, (uint64_t)at, (uint64_t)len)
					     : -EOPNOTSUPP);
}

/* From another tree the kernel copies the bytes. */
void ops_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t at, struct fuse_file_info *from_fi,
			 fuse_ino_t to, off_t to_at, struct fuse_file_info *to_fi, size_t len,
			 int flags)
{
	struct inode *inode = ops_inode(req, from), *target = inode ? ops_inode(req, to) : NULL;
	ssize_t count;

	(void)flags;
	if (!target)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = target->tree->ops;

	if (!ops->copy)
		count = -EOPNOTSUPP;
	else if (inode->tree != target->tree)
		count = -EXDEV;
	else
		count = ops->copy(target->tree, &call, file_of(from_fi), (uint64_t)at, target,
				  file_of(to_fi), (uint64_t)to_at, len < COPY_MAX ? len : COPY_MAX);
	if (count < 0)
		ops_fail_change(req, (int)count);
	else
		fuse_reply_write(req, (size_t)count);
}

/* Of a tree that does not know holes: the one behind the end. */
static int64_t seek_plain(struct tree_call *call, struct inode *inode, uint64_t at, int whence)
{
	struct stat st;
	int err = ops_stat(call, inode, &st);

	if (err)
		return err;
	if (at >= (uint64_t)st.st_size)
		return -ENXIO;
	return whence == SEEK_DATA ? (int64_t)at : (int64_t)st.st_size;
}

void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t at, int whence, struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);
	int64_t found;

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		found = -EINVAL;
	else if (ops->seek)
		found = ops->seek(inode->tree, &call, inode, file_of(fi), (uint64_t)at, whence);
	else
		found = seek_plain(&call, inode, (uint64_t)at, whence);
	if (found < 0)
		ops_fail_change(req, (int)found);
	else
		fuse_reply_lseek(req, found);
}

/* ---- lasting ---- */

void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;

	ops_answer_change(req, ops->flush ? ops->flush(inode->tree, &call, file_of(fi)) : 0);
}

static void sync_and_reply(fuse_req_t req, fuse_ino_t ino, void *file)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	const struct mount_tree_ops *ops = inode->tree->ops;

	ops_answer_change(req, ops->sync ? ops->sync(inode->tree, &call, inode, file) : 0);
}

void ops_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	(void)data_only;
	sync_and_reply(req, ino, file_of(fi));
}

void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	(void)data_only;
	(void)fi;
	sync_and_reply(req, ino, NULL);
}

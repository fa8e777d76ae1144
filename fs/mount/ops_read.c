/* FUSE requests for the bytes of files: open, read, release. A read goes to the kernel from the
 * memory in which the tree has the bytes, without a copy. Threads of the mount. */
#include "fs/mount/mount_private.h"

#include <errno.h>
#include <fcntl.h>

int ops_open_file(struct tree_call *call, struct inode *inode, int flags, void **file)
{
	const struct mount_tree_ops *ops = inode->tree->ops;
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);

	*file = NULL;
	if (writes && !ops->write)
		return -EROFS;
	return ops->open ? ops->open(inode->tree, call, inode, flags, file) : 0;
}

/* Where no tree needs to know of open files ENOSYS tells the kernel not to ask again, and to keep
 * its page cache. A kernel that cannot do so opens each file. */
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode;
	void *file = NULL;
	int err;

	if (ops_mount(req)->files_unasked) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	inode = ops_inode(req, ino);
	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	struct mount_tree *tree = mount_tree_ref(inode->tree);

	err = ops_open_file(&call, inode, fi->flags, &file);
	if (!err && (fi->flags & O_TRUNC)) {
		err = ops_drop_set_id(req, &call, inode);
		if (err && tree->ops->close)
			tree->ops->close(tree, file);
	}
	fi->keep_cache = ops_validity(inode).keep_pages;
	fi->fh = err ? 0 : opened_add(call.mount, tree, file);
	if (err == -EROFS)
		fuse_reply_err(req, EROFS);
	else if (err)
		ops_fail_call(req, err, &call, inode);
	else if (fuse_reply_open(req, fi)) /* the caller was interrupted: no release comes, and
					      inode may be gone */
		opened_close(call.mount, fi->fh);
	mount_tree_unref(tree);
}

void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	opened_close(ops_mount(req), fi->fh);
	fuse_reply_err(req, 0);
}

static void reply_bytes(void *ctx, const struct iovec *iov, int count)
{
	if (count == 1)
		fuse_reply_buf(ctx, iov->iov_base, iov->iov_len);
	else
		fuse_reply_iov(ctx, iov, count);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	struct tree_call call = ops_call(req);
	void *file = ops_mount(req)->files_unasked ? NULL : opened_file(fi->fh);
	int err = inode->tree->ops->read(inode->tree, &call, inode, file, (uint64_t)offset, size,
					 reply_bytes, req);

	if (err)
		ops_fail_call(req, err, &call, inode);
}

/* Reading files: from the store's map to the device without a copy, inside the snapshot. */
#include "fs/mount/mount_private.h"

#include "net/base/err.h"

#include <stdlib.h>

#define FAILED_MS 2000 /* how long a failed range fails again without waiting */

/* Nothing is kept per open file: ENOSYS tells the kernel not to ask again, and to keep its page
 * cache. A kernel that cannot do so opens each file. */
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

/* When read-ahead could not get its blocks the kernel asks for the first page once more. Whoever
 * waited once for it need not wait twice. */
static void recall_failure(struct worker *worker, const struct inode *inode, uint64_t offset)
{
	uint64_t failed_ms = atomic_load(&inode->failed_ms);

	if (failed_ms && offset >= atomic_load(&inode->failed_at) &&
	    offset < atomic_load(&inode->failed_end) && monotonic_ms() < failed_ms + FAILED_MS)
		worker->timeout_ms = 1;
}

static void note_failure(struct inode *inode, uint64_t offset, size_t size, int err)
{
	if (err != -ETIMEDOUT)
		return;
	atomic_store(&inode->failed_at, offset);
	atomic_store(&inode->failed_end, offset + size);
	atomic_store(&inode->failed_ms, monotonic_ms());
}

/* More pieces than a view holds: copied together. It may take long, so it can be interrupted even
 * when all of it is stored. Releases the view. */
static int reply_copy(fuse_req_t req, struct file *file, uint64_t offset, size_t len,
		      struct file_view *view, struct worker *worker)
{
	uint8_t *copy = malloc(len);
	size_t done = copy ? file_view_copy(view, copy) : 0;

	file_view_release(view);
	if (!copy)
		return -ENOMEM;
	mount_fetch_listen(worker);
	ssize_t rest = file_read(file, offset + done, copy + done, len - done, &worker->wait);

	mount_fetch_deafen(worker);
	if (rest >= 0)
		fuse_reply_buf(req, (const char *)copy, done + (size_t)rest);
	free(copy);
	return rest < 0 ? (int)rest : 0;
}

/* The kernel takes a reply that is shorter than asked for as the end of the file, and remembers it:
 * none but the last may be. */
static void reply_file(fuse_req_t req, struct file *file, uint64_t offset, size_t size,
		       struct inode *inode, struct worker *worker)
{
	uint64_t left = offset < file_size(file) ? file_size(file) - offset : 0;
	size_t len = size < left ? size : (size_t)left;
	struct file_view view;
	struct cid cid;
	int err;

	recall_failure(worker, inode, offset);
	err = file_view(file, offset, len, &worker->wait, &view);
	if (!err && view.len < len) {
		err = reply_copy(req, file, offset, len, &view, worker);
	} else if (!err) {
		fuse_reply_iov(req, view.iov, view.count);
		file_view_release(&view);
	}
	if (err) {
		note_failure(inode, offset, size, err);
		ops_fail(req, err, inode_cid(inode, &cid) ? &cid : NULL);
	}
}

static void reply_block(fuse_req_t req, struct bytes data, uint64_t offset, size_t size)
{
	struct bytes rest =
		offset < data.len ? bytes_skip(data, (size_t)offset) : bytes_of(NULL, 0);

	fuse_reply_buf(req, (const char *)rest.at, rest.len < size ? rest.len : size);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct mount *mount = ops_mount(req);
	struct inode *inode = ops_inode(req, ino);
	struct worker *worker = worker_self(mount);
	struct view *view;
	struct cid cid;

	(void)fi;
	if (!inode)
		return;
	int err = view_get(&mount->inodes, inode, &worker->wait, &view);

	if (err) {
		ops_fail(req, err, inode_cid(inode, &cid) ? &cid : NULL);
		return;
	}
	if (view->file)
		reply_file(req, view->file, (uint64_t)offset, size, inode, worker);
	else if (view->block)
		reply_block(req, view->block->data, (uint64_t)offset, size);
	else
		fuse_reply_err(req, EISDIR);
	view_put(&mount->inodes, view);
}

/* Reading content: from the store's map to the device without a copy, inside the snapshot. Threads
 * of the mount. */
#include "fs/mount/tree_dag.h"

#include "fs/mount/mount_private.h"

#include "net/base/err.h"

#include <stdlib.h>

#define FAILED_MS 2000 /* how long a failed range fails again without waiting */

/* One read, and where its bytes go. */
struct reading {
	struct inode *inode;
	struct worker *worker;
	uint64_t offset;
	size_t size;
	tree_bytes_fn *bytes;
	void *ctx;
};

/* When read-ahead could not get its blocks the kernel asks for the first page once more. Whoever
 * waited once for it need not wait twice. */
static void recall_failure(const struct reading *reading)
{
	const struct inode *inode = reading->inode;
	uint64_t failed_ms = atomic_load(&inode->failed_ms);

	if (failed_ms && reading->offset >= atomic_load(&inode->failed_at) &&
	    reading->offset < atomic_load(&inode->failed_end) &&
	    monotonic_ms() < failed_ms + FAILED_MS)
		reading->worker->timeout_ms = 1;
}

static void note_failure(const struct reading *reading, int err)
{
	struct inode *inode = reading->inode;

	if (err != -ETIMEDOUT)
		return;
	atomic_store(&inode->failed_at, reading->offset);
	atomic_store(&inode->failed_end, reading->offset + reading->size);
	atomic_store(&inode->failed_ms, monotonic_ms());
}

/* More pieces than a view holds: copied together. It may take long, so it can be interrupted even
 * when all of it is stored. Releases the view. */
static int read_copy(const struct reading *reading, struct file *file, size_t len,
		     struct file_view *view)
{
	struct worker *worker = reading->worker;
	uint8_t *copy = malloc(len);
	size_t done = copy ? file_view_copy(view, copy) : 0;

	file_view_release(view);
	if (!copy)
		return -ENOMEM;
	mount_fetch_listen(worker);
	ssize_t rest =
		file_read(file, reading->offset + done, copy + done, len - done, &worker->wait);

	mount_fetch_deafen(worker);
	if (rest >= 0) {
		const struct iovec iov = { copy, done + (size_t)rest };

		reading->bytes(reading->ctx, &iov, 1);
	}
	free(copy);
	return rest < 0 ? (int)rest : 0;
}

/* The kernel takes a reply that is shorter than asked for as the end of the file, and remembers it:
 * none but the last may be. */
static int read_file(const struct reading *reading, struct file *file)
{
	uint64_t left = reading->offset < file_size(file) ? file_size(file) - reading->offset : 0;
	size_t len = reading->size < left ? reading->size : (size_t)left;
	struct file_view view;
	int err;

	recall_failure(reading);
	err = file_view(file, reading->offset, len, &reading->worker->wait, &view);
	if (!err && view.len < len) {
		err = read_copy(reading, file, len, &view);
	} else if (!err) {
		reading->bytes(reading->ctx, view.iov, view.count);
		file_view_release(&view);
	}
	if (err)
		note_failure(reading, err);
	return err;
}

static void read_block(const struct reading *reading, struct bytes data)
{
	struct bytes rest = reading->offset < data.len ? bytes_skip(data, (size_t)reading->offset)
						       : bytes_of(NULL, 0);
	struct iovec iov = { (void *)rest.at, rest.len < reading->size ? rest.len : reading->size };

	reading->bytes(reading->ctx, &iov, 1);
}

int tree_dag_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		  uint64_t at, size_t size, tree_bytes_fn *bytes, void *ctx)
{
	const struct reading reading = { inode, worker_self(call->mount), at, size, bytes, ctx };
	struct view *view;
	int err = view_get(call->inodes, inode, call->wait, &view);

	(void)tree;
	(void)file;
	if (err)
		return err;
	if (view->file)
		err = read_file(&reading, view->file);
	else if (view->block)
		read_block(&reading, view->block->data);
	else
		err = -EISDIR;
	view_put(call->inodes, view);
	return err;
}

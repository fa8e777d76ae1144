/* Bytes of a share's files: each operation is the tree's, and what it changed is told to the other
 * mounts that show it. Threads of the mount. */
#include "fs/mount/tree_share_private.h"

#include <fcntl.h>

static int share_file_told(struct mount_tree *tree, const struct tree_call *call,
			   const struct inode *inode, int err)
{
	if (!err)
		share_tell(share_of(tree), call->mount, TREE_CONTENT, 0, bytes_of(NULL, 0),
			   share_node(inode));
	return err;
}

int share_open(struct mount_tree *tree, struct tree_call *call, struct inode *inode, int flags,
	       void **out)
{
	struct tree_file *file = NULL;
	bool truncate = flags & O_TRUNC;
	int err = tree_file_open(share_of(tree)->nodes, share_node(inode),
				 (flags & O_ACCMODE) != O_RDONLY, truncate, call->wait, &file);

	*out = file;
	return truncate ? share_file_told(tree, call, inode, err) : err;
}

void share_close(struct mount_tree *tree, void *file)
{
	(void)tree;
	tree_file_close(file);
}

int share_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
	       uint64_t at, size_t size, tree_bytes_fn *bytes, void *ctx)
{
	(void)tree;
	(void)inode;
	return tree_file_read(file, at, size, call->wait, bytes, ctx);
}

int share_write(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		uint64_t at, bool append, struct bytes data)
{
	return share_file_told(tree, call, inode,
			       tree_file_write(file, at, append, data, call->wait));
}

int share_allocate(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		   int mode, uint64_t at, uint64_t len)
{
	return share_file_told(tree, call, inode,
			       tree_file_allocate(file, mode, at, len, call->wait));
}

ssize_t share_copy(struct mount_tree *tree, struct tree_call *call, void *from, uint64_t at,
		   struct inode *inode, void *to, uint64_t to_at, uint64_t len)
{
	ssize_t count = tree_file_copy(from, at, to, to_at, len, call->wait);

	if (count > 0)
		share_file_told(tree, call, inode, 0);
	return count;
}

int64_t share_seek(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		   uint64_t at, int whence)
{
	(void)tree;
	(void)inode;
	return tree_file_seek(file, at, whence, call->wait);
}

/* An error of this file is told before the cut, which another may have waited for. */
int share_sync(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file)
{
	int err = tree_sync(share_of(tree)->nodes, call->wait);
	int late = file ? tree_file_error(file) : 0;

	(void)inode;
	return err ? err : late;
}

int share_flush(struct mount_tree *tree, struct tree_call *call, void *file)
{
	(void)tree;
	(void)call;
	return tree_file_error(file);
}

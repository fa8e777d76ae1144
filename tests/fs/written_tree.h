/* A small tree in memory that is written, for tests of the mount's requests: nodes in an array, all
 * under one lock. It counts the lookups that it gave out, and can have no room for writes. */
#ifndef TESTS_FS_WRITTEN_TREE_H
#define TESTS_FS_WRITTEN_TREE_H

#include "tests/fs/written_node.h"

#include <linux/falloc.h>
#include <sys/xattr.h>

/* ---- attributes ---- */

static inline int written_stat(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			       struct stat *st)
{
	struct written *written = written_lock(tree);
	const struct written_node *node = written_node(written, inode);

	*st = (struct stat){ .st_mode = node->mode,
			     .st_nlink = 1,
			     .st_uid = call->inodes->uid,
			     .st_gid = call->inodes->gid,
			     .st_size = (off_t)node->data.len,
			     .st_blocks = (blkcnt_t)(node->data.len + 511) / 512,
			     .st_blksize = 4096,
			     .st_atim = node->mtime,
			     .st_mtim = node->mtime,
			     .st_ctim = node->ctime };
	return written_unlock(written, 0);
}

static inline void written_resize(struct written_node *node, uint64_t size)
{
	if (size <= node->data.len)
		node->data.len = (size_t)size;
	while (node->data.len < size)
		buf_add_u8(&node->data, 0);
}

static inline int written_set(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			      const struct tree_set *set)
{
	struct written *written = written_lock(tree);
	struct written_node *node = written_node(written, inode);
	bool sized = set->what & TREE_SET_SIZE;

	(void)call;
	if (sized && set->size > WRITTEN_FILE_MAX)
		return written_unlock(written, -EFBIG);
	node->ctime = written_now();
	if (set->what & TREE_SET_MODE)
		node->mode = (node->mode & S_IFMT) | set->mode;
	if (sized)
		written_resize(node, set->size);
	if (sized || (set->what & TREE_SET_MTIME_NOW))
		node->mtime = node->ctime;
	if (set->what & TREE_SET_MTIME)
		node->mtime = set->mtime;
	return written_unlock(written, 0);
}

static inline int written_readlink(struct mount_tree *tree, struct tree_call *call,
				   struct inode *inode, struct buf *target)
{
	struct written *written = written_lock(tree);

	(void)call;
	buf_add(target, buf_bytes(&written_node(written, inode)->data));
	return written_unlock(written, 0);
}

/* The one of this name, or a free one for "". */
static inline struct written_xattr *written_xattr(struct written *written,
						  const struct inode *inode, const char *name)
{
	struct written_node *node = written_node(written, inode);

	for (unsigned i = 0; i < WRITTEN_XATTRS; i++)
		if (strcmp(node->xattrs[i].name, name) == 0)
			return &node->xattrs[i];
	return NULL;
}

static inline int written_xattr_set(struct mount_tree *tree, struct tree_call *call,
				    struct inode *inode, const char *name, struct bytes value,
				    int flags)
{
	struct written *written = written_lock(tree);
	struct written_xattr *xattr = written_xattr(written, inode, name);

	(void)call;
	if (strncmp(name, "user.ipfs.", 10) == 0)
		return written_unlock(written, -EPERM);
	if (xattr && (flags & XATTR_CREATE))
		return written_unlock(written, -EEXIST);
	if (!xattr && (!value.at || (flags & XATTR_REPLACE)))
		return written_unlock(written, -ENODATA);
	if (!xattr)
		xattr = written_xattr(written, inode, "");
	if (!xattr || value.len > TREE_XATTRS_MAX)
		return written_unlock(written, -ENOSPC);
	snprintf(xattr->name, sizeof xattr->name, "%s", value.at ? name : "");
	xattr->value.len = 0;
	buf_add(&xattr->value, value);
	return written_unlock(written, 0);
}

static inline int written_xattr_get(struct mount_tree *tree, struct tree_call *call,
				    struct inode *inode, const char *name, struct buf *value)
{
	struct written *written = written_lock(tree);
	struct written_xattr *xattr = written_xattr(written, inode, name);

	(void)call;
	if (xattr)
		buf_add(value, buf_bytes(&xattr->value));
	return written_unlock(written, xattr ? 0 : -ENODATA);
}

static inline int written_xattr_list(struct mount_tree *tree, struct tree_call *call,
				     struct inode *inode, struct buf *names)
{
	struct written *written = written_lock(tree);
	struct written_node *node = written_node(written, inode);

	(void)call;
	for (unsigned i = 0; i < WRITTEN_XATTRS; i++)
		if (*node->xattrs[i].name)
			buf_add(names,
				bytes_of(node->xattrs[i].name, strlen(node->xattrs[i].name) + 1));
	return written_unlock(written, 0);
}

/* ---- bytes ---- */

static inline int written_open(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			       int flags, void **out)
{
	struct written *written = written_lock(tree);
	struct written_node *node = written_node(written, inode);
	struct written_file *file = xnew(struct written_file);

	(void)call;
	file->node = written_number(inode);
	node->open++;
	written->opened++;
	if (flags & O_TRUNC) {
		node->data.len = 0;
		node->mtime = node->ctime = written_now();
	}
	*out = file;
	return written_unlock(written, 0);
}

static inline void written_close(struct mount_tree *tree, void *ctx)
{
	struct written *written = written_lock(tree);
	struct written_file *file = ctx;

	written->closed++;
	written->nodes[file->node].open--;
	written_put(written, file->node);
	free(file);
	written_unlock(written, 0);
}

static inline int written_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			       void *file, uint64_t at, size_t size, tree_bytes_fn *bytes,
			       void *ctx)
{
	struct written *written = written_lock(tree);
	struct written_node *node = &written->nodes[((struct written_file *)file)->node];
	size_t from = at < node->data.len ? (size_t)at : node->data.len;
	size_t len = size < node->data.len - from ? size : node->data.len - from;
	uint8_t *copy = xcalloc(1, len + 1);
	const struct iovec iov = { copy, len };

	(void)call;
	(void)inode;
	if (len)
		memcpy(copy, node->data.at + from, len);
	written_unlock(written, 0);
	bytes(ctx, &iov, 1);
	free(copy);
	return 0;
}

/* The lock is held, but not while waiting. */
static inline int written_room(struct written *written, struct wait *wait)
{
	int err = 0;

	while (!err && written->full) {
		unsigned at = written->waiting_count++;

		written->waiting[at] = wait;
		pthread_mutex_unlock(&written->lock);
		err = wait_sleep(wait);
		pthread_mutex_lock(&written->lock);
		for (at = 0; written->waiting[at] != wait; at++)
			;
		written->waiting[at] = written->waiting[--written->waiting_count];
	}
	return err;
}

static inline int written_write(struct mount_tree *tree, struct tree_call *call,
				struct inode *inode, void *file, uint64_t at, bool append,
				struct bytes data)
{
	struct written *written = written_lock(tree);
	struct written_node *node = &written->nodes[((struct written_file *)file)->node];
	int err = written_room(written, call->wait);

	(void)inode;
	if (append)
		at = node->data.len;
	if (!err && at + data.len > WRITTEN_FILE_MAX)
		err = -EFBIG;
	if (err)
		return written_unlock(written, err);
	if (node->data.len < at + data.len)
		written_resize(node, at + data.len);
	memcpy(node->data.at + at, data.at, data.len);
	node->mtime = node->ctime = written_now();
	return written_unlock(written, 0);
}

static inline int written_allocate(struct mount_tree *tree, struct tree_call *call,
				   struct inode *inode, void *file, int mode, uint64_t at,
				   uint64_t len)
{
	struct written *written = written_lock(tree);
	struct written_node *node = written_node(written, inode);
	bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);

	(void)call;
	(void)file;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return written_unlock(written, -EOPNOTSUPP);
	if (at + len > WRITTEN_FILE_MAX)
		return written_unlock(written, -EFBIG);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && node->data.len < at + len)
		written_resize(node, at + len);
	for (uint64_t i = at; zero && i < at + len && i < node->data.len; i++)
		node->data.at[i] = 0;
	return written_unlock(written, 0);
}

static inline ssize_t written_copy(struct mount_tree *tree, struct tree_call *call, void *from,
				   uint64_t at, struct inode *inode, void *to, uint64_t to_at,
				   uint64_t len)
{
	struct written *written = written_lock(tree);
	struct written_node *node = &written->nodes[((struct written_file *)from)->node];
	uint64_t there = at < node->data.len ? node->data.len - at : 0;
	struct buf copy = { 0 };

	if (len > there)
		len = there;
	if (len)
		buf_add(&copy, bytes_of(node->data.at + at, (size_t)len));
	written_unlock(written, 0);
	int err = len ? written_write(tree, call, inode, to, to_at, false, buf_bytes(&copy)) : 0;

	buf_release(&copy);
	return err ? err : (ssize_t)len;
}

/* The lock is held. */
static inline bool written_is_hole(const struct written_node *node, uint64_t at)
{
	uint64_t start = at / WRITTEN_HOLE * WRITTEN_HOLE;

	for (uint64_t i = start; i < start + WRITTEN_HOLE && i < node->data.len; i++)
		if (node->data.at[i])
			return false;
	return true;
}

static inline int64_t written_seek(struct mount_tree *tree, struct tree_call *call,
				   struct inode *inode, void *file, uint64_t at, int whence)
{
	struct written *written = written_lock(tree);
	const struct written_node *node = written_node(written, inode);
	bool end = at >= node->data.len;

	(void)call;
	(void)file;
	while (at < node->data.len && written_is_hole(node, at) != (whence == SEEK_HOLE))
		at = (at / WRITTEN_HOLE + 1) * WRITTEN_HOLE;
	if (at >= node->data.len) {
		end = end || whence == SEEK_DATA;
		at = node->data.len;
	}
	written_unlock(written, 0);
	return end ? -ENXIO : (int64_t)at;
}

static inline int written_flush(struct mount_tree *tree, struct tree_call *call, void *file)
{
	struct written *written = written_lock(tree);
	int err = written->late_error;

	(void)call;
	(void)file;
	written->late_error = 0;
	return written_unlock(written, err);
}

static inline int written_sync(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			       void *file)
{
	(void)inode;
	atomic_fetch_add(&written_of(tree)->syncs, 1);
	return written_flush(tree, call, file);
}

/* ---- life ---- */

static inline void written_forget(struct mount_tree *tree, uint64_t ino, uint64_t lookups)
{
	struct written *written = written_lock(tree);
	struct written_node *node = &written->nodes[ino & ~INODE_NODE];

	assert_true(node->used && node->known >= lookups);
	node->known -= (unsigned)lookups;
	written_put(written, ino & ~INODE_NODE);
	written_unlock(written, 0);
}

/* Nobody knows a node or has a file open any more. */
static inline void written_free(struct mount_tree *tree)
{
	struct written *written = written_of(tree);

	assert_int_equal(written->opened, written->closed);
	for (unsigned i = 1; i < WRITTEN_NODES; i++) {
		assert_int_equal(written->nodes[i].known, 0);
		assert_true(written->nodes[i].named || !written->nodes[i].used);
		written->nodes[i].named = false;
		written_put(written, i);
	}
	root_unref(written->fixed);
	pthread_mutex_destroy(&written->lock);
	free(written);
}

static const struct mount_tree_ops written_ops = {
	.writable = true,
	.validity = written_validity,
	.lookup = written_lookup,
	.stat = written_stat,
	.readlink = written_readlink,
	.open = written_open,
	.close = written_close,
	.read = written_read,
	.list = written_list,
	.create = written_create,
	.unlink = written_unlink,
	.rename = written_rename,
	.set = written_set,
	.write = written_write,
	.allocate = written_allocate,
	.copy = written_copy,
	.sync = written_sync,
	.flush = written_flush,
	.seek = written_seek,
	.xattr_set = written_xattr_set,
	.xattr_get = written_xattr_get,
	.xattr_list = written_xattr_list,
	.forget = written_forget,
	.free = written_free,
};

static inline struct mount_tree *written_new(void)
{
	struct written *written = xnew(struct written);

	written->tree.ops = &written_ops;
	atomic_init(&written->tree.refs, 1);
	pthread_mutex_init(&written->lock, NULL);
	written->nodes[0].used = true;
	written->nodes[0].mode = S_IFDIR | 0755;
	written->nodes[0].mtime = written->nodes[0].ctime = written_now();
	return &written->tree;
}

/* Writes wait for room until this is called with false. */
static inline void written_fill(struct mount_tree *tree, bool full)
{
	struct written *written = written_lock(tree);

	written->full = full;
	for (unsigned i = 0; i < written->waiting_count; i++)
		wait_wake(written->waiting[i]);
	written_unlock(written, 0);
}

static inline unsigned written_waiting(struct mount_tree *tree)
{
	struct written *written = written_lock(tree);
	unsigned count = written->waiting_count;

	written_unlock(written, 0);
	return count;
}

#endif

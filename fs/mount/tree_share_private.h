/* The inside of tree_share.h. Private to fs/mount/tree_share*.c. */
#ifndef FS_TREE_SHARE_PRIVATE_H
#define FS_TREE_SHARE_PRIVATE_H

#include "fs/mount/inode.h"
#include "fs/mount/tree_share.h"

/* A mount that shows the tree. */
struct seat {
	struct mount *mount;
	uint64_t number; /* of the tree in this mount */
	bool top;	 /* it is at the mountpoint */
};

struct share_tree {
	struct mount_tree tree;
	struct tree *nodes;	 /* borrowed */
	struct mount_tree *past; /* its versions; NULL: they are not shown */
	struct tree_watch watch;
	pthread_mutex_t lock; /* of seats; nothing but a notifier's is taken below it */
	struct seat *seats;
	size_t seat_count;
	atomic_size_t mounts; /* seat_count, to be read without the lock */
};

static inline struct share_tree *share_of(const struct mount_tree *tree)
{
	return container_of((struct mount_tree *)tree, struct share_tree, tree);
}

/* The node that an inode of the tree stands for. */
static inline uint64_t share_node(const struct inode *inode)
{
	return inode->ino == INODE_ROOT ? TREE_ROOT : inode->ino & (TREE_NODE_MAX - 1);
}

/* Something was changed through the mount: the others of the tree are told. */
void share_tell(struct share_tree *share, const struct mount *except, enum tree_change what,
		uint64_t dir, struct bytes name, uint64_t node);

/* ---- tree_share_file.c: operations ---- */

int share_open(struct mount_tree *tree, struct tree_call *call, struct inode *inode, int flags,
	       void **file);
void share_close(struct mount_tree *tree, void *file);
int share_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
	       uint64_t at, size_t size, tree_bytes_fn *bytes, void *ctx);
int share_write(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		uint64_t at, bool append, struct bytes data);
int share_allocate(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		   int mode, uint64_t at, uint64_t len);
ssize_t share_copy(struct mount_tree *tree, struct tree_call *call, void *from, uint64_t at,
		   struct inode *inode, void *to, uint64_t to_at, uint64_t len);
int64_t share_seek(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		   uint64_t at, int whence);
int share_sync(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file);
int share_flush(struct mount_tree *tree, struct tree_call *call, void *file);

#endif

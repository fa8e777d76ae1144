/* The nodes and names of the small tree that written_tree.h makes whole. */
#ifndef TESTS_FS_WRITTEN_NODE_H
#define TESTS_FS_WRITTEN_NODE_H

#include "fs/mount/tree_dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WRITTEN_NODES 1024
#define WRITTEN_XATTRS 8
#define WRITTEN_HOLE 4096u /* so many zeros at such a place are one */
#define WRITTEN_FILE_MAX (UINT64_C(64) << 20)

struct written_xattr {
	char name[64];
	struct buf value;
};

struct written_node {
	bool used, named;
	uint64_t parent;
	char name[256];
	mode_t mode;
	struct timespec mtime, ctime;
	struct buf data; /* of a file; the target of a symlink */
	struct written_xattr xattrs[WRITTEN_XATTRS];
	unsigned known, open;
};

struct written {
	struct mount_tree tree;
	pthread_mutex_t lock;
	struct written_node nodes[WRITTEN_NODES]; /* the first is the top directory */
	struct wait *waiting[64];		  /* for room */
	unsigned waiting_count;
	bool full;
	int late_error; /* told by the next flush or sync */
	atomic_uint syncs, opened, closed;
	struct root *fixed; /* below "fixed", if set: cannot be written */
};

struct written_file {
	uint64_t node;
};

static inline struct written *written_of(struct mount_tree *tree)
{
	return container_of(tree, struct written, tree);
}

static inline uint64_t written_number(const struct inode *inode)
{
	return inode->ino == INODE_ROOT ? 0 : inode->ino & ~INODE_NODE;
}

static inline struct written_node *written_node(struct written *written, const struct inode *inode)
{
	return &written->nodes[written_number(inode)];
}

static inline struct timespec written_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

static inline struct written *written_lock(struct mount_tree *tree)
{
	struct written *written = written_of(tree);

	pthread_mutex_lock(&written->lock);
	return written;
}

static inline int written_unlock(struct written *written, int err)
{
	pthread_mutex_unlock(&written->lock);
	return err;
}

/* ---- names: the lock is held ---- */

static inline uint64_t written_find(struct written *written, uint64_t dir, const char *name)
{
	for (uint64_t i = 1; i < WRITTEN_NODES; i++) {
		const struct written_node *node = &written->nodes[i];

		if (node->named && node->parent == dir && strcmp(node->name, name) == 0)
			return i;
	}
	return 0;
}

static inline bool written_empty(const struct written *written, uint64_t dir)
{
	for (uint64_t i = 1; i < WRITTEN_NODES; i++)
		if (written->nodes[i].named && written->nodes[i].parent == dir)
			return false;
	return true;
}

static inline void written_put(struct written *written, uint64_t number)
{
	struct written_node *node = &written->nodes[number];

	if (!node->used || node->named || node->known || node->open)
		return;
	buf_release(&node->data);
	for (unsigned i = 0; i < WRITTEN_XATTRS; i++)
		buf_release(&node->xattrs[i].value);
	*node = (struct written_node){ 0 };
}

static inline struct inode *written_enter(struct written *written, struct tree_call *call,
					  const struct inode *dir, uint64_t number)
{
	struct written_node *node = &written->nodes[number];
	enum dag_type type = S_ISDIR(node->mode)   ? DAG_DIRECTORY
			     : S_ISLNK(node->mode) ? DAG_SYMLINK
						   : DAG_FILE;

	node->known++;
	return inode_enter_node(call->inodes, &written->tree, INODE_NODE | number, dir->ino, type);
}

static inline struct tree_validity written_validity(const struct mount_tree *tree,
						    const struct inode *inode)
{
	(void)tree;
	(void)inode;
	return (struct tree_validity){ TREE_FOREVER, TREE_FOREVER, TREE_FOREVER, true, true };
}

static inline int written_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
				 const char *name, struct inode **out)
{
	struct root *fixed = written_of(tree)->fixed;

	if (fixed && strcmp(name, "fixed") == 0)
		return tree_dag_enter(call, fixed, &fixed->cid, place_of(dir, bytes_str(name)),
				      out);
	struct written *written = written_lock(tree);
	uint64_t found = written_find(written, written_number(dir), name);

	if (found)
		*out = written_enter(written, call, dir, found);
	return written_unlock(written, found ? 0 : -ENOENT);
}

static inline int written_create(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
				 const char *name, const struct tree_new *how, struct inode **out)
{
	struct written *written = written_lock(tree);
	uint64_t at = 1;

	if (written_find(written, written_number(dir), name))
		return written_unlock(written, -EEXIST);
	while (at < WRITTEN_NODES && written->nodes[at].used)
		at++;
	if (at == WRITTEN_NODES)
		return written_unlock(written, -ENOSPC);
	struct written_node *node = &written->nodes[at];

	node->used = node->named = true;
	node->parent = written_number(dir);
	strcpy(node->name, name);
	node->mode = how->mode;
	node->mtime = node->ctime = written_now();
	buf_add(&node->data, how->target);
	written_node(written, dir)->mtime = node->mtime;
	*out = written_enter(written, call, dir, at);
	return written_unlock(written, 0);
}

static inline int written_unlink(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
				 const char *name, bool dir_wanted)
{
	struct written *written = written_lock(tree);
	uint64_t found = written_find(written, written_number(dir), name);
	struct written_node *node = &written->nodes[found];
	int err = !found					 ? -ENOENT
		  : dir_wanted && !S_ISDIR(node->mode)		 ? -ENOTDIR
		  : !dir_wanted && S_ISDIR(node->mode)		 ? -EISDIR
		  : dir_wanted && !written_empty(written, found) ? -ENOTEMPTY
								 : 0;

	(void)call;
	if (!err) {
		node->named = false;
		node->ctime = written_node(written, dir)->mtime = written_now();
		written_put(written, found);
	}
	return written_unlock(written, err);
}

static inline int written_rename(struct mount_tree *tree, struct tree_call *call,
				 struct inode *from, const char *name, struct inode *to,
				 const char *as, unsigned flags)
{
	struct written *written = written_lock(tree);
	uint64_t moved = written_find(written, written_number(from), name);
	uint64_t there = written_find(written, written_number(to), as);
	struct written_node *node = &written->nodes[moved], *other = &written->nodes[there];
	int err = 0;

	(void)call;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		err = -EINVAL;
	else if (!moved || ((flags & RENAME_EXCHANGE) && !there))
		err = -ENOENT;
	else if ((flags & RENAME_NOREPLACE) && there)
		err = -EEXIST;
	else if (there && !(flags & RENAME_EXCHANGE) && S_ISDIR(other->mode))
		err = !S_ISDIR(node->mode)	       ? -EISDIR
		      : !written_empty(written, there) ? -ENOTEMPTY
						       : 0;
	if (!err && moved != there) {
		if (flags & RENAME_EXCHANGE) {
			other->parent = written_number(from);
			strcpy(other->name, name);
		} else if (there) {
			other->named = false;
			written_put(written, there);
		}
		node->parent = written_number(to);
		strcpy(node->name, as);
		node->ctime = written_now();
	}
	return written_unlock(written, err);
}

static inline int written_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			       uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	struct written *written = written_of(tree);
	int stop = 0;

	for (uint64_t i = from ? from : 1; !stop && i < WRITTEN_NODES; i++) {
		pthread_mutex_lock(&written->lock);
		struct written_node node = written->nodes[i];
		struct tree_entry found = { .name = node.name,
					    .ino = INODE_NODE | i,
					    .type = node.mode & S_IFMT,
					    .next = i + 1 };
		bool shown = node.named && node.parent == written_number(dir);

		if (shown && plus && i % 3) /* some without an inode */
			found.inode = written_enter(written, call, dir, i);
		pthread_mutex_unlock(&written->lock);
		if (shown)
			stop = entry(ctx, &found);
	}
	return 0;
}

#endif

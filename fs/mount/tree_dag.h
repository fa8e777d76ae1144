/* The fixed tree (struct root of inode.h), for its own files and for trees that lead into it.
 * Threads of the mount. */
#ifndef FS_TREE_DAG_H
#define FS_TREE_DAG_H

#include "fs/mount/inode.h"
#include "fs/mount/tree.h"

/* The inode of content below root, with one lookup more; may wait for its block. */
int tree_dag_enter(struct tree_call *call, struct root *root, const struct cid *cid,
		   struct place place, struct inode **out);
/* An entry without attributes that leads to content. Borrows name. */
struct tree_entry tree_dag_entry(const char *name, const struct cid *cid, struct place place,
				 uint64_t next);

/* tree_dag_read.c: an operation of tree_dag_ops. */
int tree_dag_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode, void *file,
		  uint64_t at, size_t size, tree_bytes_fn *bytes, void *ctx);

#endif

/* What the kernel knows of a mount: inodes with their attributes, and the files and directories of
 * those in use, opened.
 *
 * Numbers derive from content: equal raw blocks share one inode, and with it the page cache. The
 * number of a dag-pb node also derives from where it is: it may be a directory, to which the kernel
 * gives only one parent, and a listing tells the number before the node is here. Nodes of trees
 * that change have numbers of their own, with INODE_NODE set. Any thread; one lock, never held
 * while waiting. Opened files and directories of fixed content are kept up to VIEWS_WEIGHT_MAX
 * bytes (estimated) and VIEWS_MAX in number besides those just used. */
#ifndef FS_INODE_H
#define FS_INODE_H

#include "dag/dag.h"
#include "fs/mount/tree.h"
#include "net/base/list.h"

#include <pthread.h>
#include <sys/stat.h>

#define INODE_ROOT 1		       /* the mountpoint */
#define INODE_IPFS 2		       /* ipfs/ of a namespace */
#define INODE_IPNS 3		       /* ipns/ of it */
#define INODE_FIRST 16		       /* numbers below are never made of content */
#define INODE_NODE (UINT64_C(1) << 63) /* nor are those with this bit */
#define VIEWS_MAX 1024
#define VIEWS_WEIGHT_MAX ((size_t)64 << 20)

/* A fixed tree: what a CID names, and the session its blocks come from. */
struct root {
	struct mount_tree tree;
	struct cid cid;
	struct blocks *blocks;
};

extern const struct mount_tree_ops tree_dag_ops;

struct root *root_new(struct store *store, struct fetcher *fetcher, const struct cid *cid);
struct root *root_ref(struct root *root);
void root_unref(struct root *root); /* NULL is ignored */

/* Where an entry was found; part of a dag-pb node's identity. Zero-initialised: nowhere. */
struct place {
	uint64_t parent;
	uint64_t name_hash;
};

struct view;

/* Immutable but for what the table's lock guards. Valid while the kernel knows it. */
struct inode {
	struct inode *next; /* in its slot */
	uint64_t ino;
	uint64_t lookups;	 /* lock */
	struct view *view;	 /* lock; opened, or NULL */
	struct mount_tree *tree; /* one reference; of content it is a struct root */
	struct place place; /* nowhere, unless dag-pb below a root, or a node of a changing tree */
	enum dag_type type;
	/* Of content; of nodes of changing trees the tree is asked. */
	uint32_t mode;
	uint32_t mtime_nanos;
	int64_t mtime; /* 0 where none is stored: each mount shows the same, as Kubo's */
	uint64_t size;
	uint64_t tree_size;
	/* A read that just failed for want of blocks: the kernel asks again at once, page by page.
	 */
	_Atomic uint64_t failed_at, failed_end, failed_ms;
	uint8_t cid_len;
	uint8_t cid[];
};

/* A file or directory of content, opened; which is told by inode->type. */
struct view {
	struct list link;    /* most recently used first */
	struct inode *inode; /* lock; NULL when it was forgotten meanwhile */
	struct root *root;   /* one reference */
	unsigned users;	     /* lock */
	size_t weight;
	struct file *file;	  /* DAG_FILE */
	struct dir *dir;	  /* DAG_DIRECTORY */
	struct block *block;	  /* DAG_OTHER: its raw bytes are the file */
	atomic_size_t prefetched; /* entries asked for ahead, by index */
	atomic_size_t looked_up;  /* names looked up */
	atomic_bool listed;
};

struct inodes {
	pthread_mutex_t lock;
	struct inode **slots;
	size_t cap, count;
	struct list views;
	size_t view_count, view_weight;
	uint32_t uid, gid;
	bool set_id;
};

/* set_id: stored set-user-id and set-group-id bits are shown. */
void inodes_init(struct inodes *inodes, uint32_t uid, uint32_t gid, bool set_id);
/* All of it, whatever the kernel still counts. No view is in use. */
void inodes_release(struct inodes *inodes);

/* NULL when there is none of this number. */
struct inode *inode_find(struct inodes *inodes, uint64_t ino);
/* The number that content at this place has or would get. */
uint64_t inode_number(const struct cid *cid, struct place place);
/* The inode of content that is known already, with one lookup more; NULL when it is not known. */
struct inode *inode_known(struct inodes *inodes, const struct cid *cid, struct place place);
/* The same, made when it is missing. Takes a reference of its own. */
struct inode *inode_enter(struct inodes *inodes, struct root *root, const struct cid *cid,
			  struct place place, const struct dag_stat *stat);
/* The inode of a node of a changing tree, with one lookup more, made when it is missing. ino is the
 * tree's own number with INODE_NODE set; no two trees of a mount use the same. type stays what it
 * was first. parent: for "..". */
struct inode *inode_enter_node(struct inodes *inodes, struct mount_tree *tree, uint64_t ino,
			       uint64_t parent, enum dag_type type);
/* The numbers of the top and of all nodes of changing trees: *out is malloc'd; how many. */
size_t inode_numbers(struct inodes *inodes, uint64_t **out);
/* A directory with a number below INODE_FIRST. cid NULL: no content. Never forgotten. */
struct inode *inode_fixed(struct inodes *inodes, uint64_t ino, struct mount_tree *tree,
			  const struct cid *cid, const struct dag_stat *stat);
/* Take back lookups; frees the inode with the last. */
void inode_forget(struct inodes *inodes, uint64_t ino, uint64_t lookups);

/* The fixed tree that content belongs to. */
struct root *inode_root(const struct inode *inode);
/* False when it has none (not content). */
bool inode_cid(const struct inode *inode, struct cid *cid);
/* Of content, or of a fixed directory. */
void inode_attributes(const struct inodes *inodes, const struct inode *inode, struct stat *st);
struct place place_of(const struct inode *parent, struct bytes name);

/* Of content. Opened, by this or an earlier call; may wait. Give it back with view_put(). Errors as
 * file_open()'s, dir_open()'s. */
int view_get(struct inodes *inodes, struct inode *inode, struct wait *wait, struct view **out);
void view_put(struct inodes *inodes, struct view *view);
/* The view in use came to hold so many bytes more (a directory was listed). */
void view_weigh(struct inodes *inodes, struct view *view, size_t more);

#endif

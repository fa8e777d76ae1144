/* The working tree in memory. Private to dag/tree.
 *
 *	tree -> node (a file, directory or symlink) -> entry (a name in a directory) -> node
 *
 * A directory's entries are what differs from its base, and what is in memory of the rest. A node
 * stays as long as somebody refers to it: the kernel (known), or whoever counts in refs: children
 * in memory, open files, its entry as long as that is changed, and the list of what is dirty.
 *
 * "changed" is the moment (tree->tick) of the last change that no commit has; 0: as in the base.
 * "dirty" is what the next cut writes. A directory that has a record has parents that have one.
 *
 * Two threads a tree: one cuts (cut.c), one commits (commit.c). One lock for all that is here; it
 * is never held while waiting, reading blocks, hashing or writing records. Locks are taken in this
 * order: lock, moment, the lock of a file's data. */
#ifndef DAG_TREE_PRIVATE_H
#define DAG_TREE_PRIVATE_H

#include "dag/share.h"
#include "dag/tree.h"
#include "dag/tree/base_read.h"
#include "dag/tree/commit_build.h"
#include "dag/tree/data.h"
#include "dag/tree/share_record.h"
#include "dag/tree/shown.h"
#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TREE_UNCUT_BYTES_MAX (16u << 20) /* then a cut begins at once */
#define TREE_ROOM_BYTES (4u << 20)	 /* of the disk stay free beyond what is dirty */

struct entry {
	struct entry *left, *right; /* treap, in the order of (hash, name) */
	uint32_t rank;
	uint8_t name_len;
	bool mapped;   /* it leads elsewhere than in the base: has a row */
	bool recorded; /* the row is on disk */
	bool queued;   /* in tree->dirty_entries */
	uint64_t hash;
	struct node *dir;
	struct node *node; /* NULL: gone. Counts in refs while changed is not 0 */
	uint64_t changed;
	struct list dirty;
	char name[];
};

struct node {
	uint64_t number;
	uint64_t known;
	uint32_t refs;
	uint32_t opens, writers; /* open files, those that write */
	struct tree *tree;
	struct node *parent; /* counts in its refs; NULL: the root, or nobody's child any more */
	struct entry *entry; /* its name; NULL likewise */
	mode_t mode;
	uint64_t id;
	struct timespec mtime, ctime;
	struct cid base; /* root of a file, manifest of a directory; not set: empty */
	uint64_t size;	 /* of the base; of the target */
	char *target;
	struct manifest_xattr *xattrs; /* each name and value owned */
	size_t xattr_count, xattr_bytes;
	struct data *data;     /* of a file that was opened or changed; NULL: the base is all */
	struct entry *entries; /* of a directory */
	uint64_t changed;
	uint64_t below;	 /* of a directory: the last change of any entry below */
	bool recorded;	 /* it has rows on disk */
	bool queued;	 /* in tree->dirty_nodes, which counts in refs */
	bool orphan;	 /* was unlinked, or replaced */
	uint32_t drop;	 /* rows of content up to this generation are to go */
	uint64_t failed; /* the failure of tree->failures that was told last */
	struct list dirty;
	struct plan_entry *plan; /* of a commit that is freezing */
	struct list lost;	 /* in tree->lost_dirs */
};

/* Waits for a cut or a commit. On the stack of the thread that waits. */
struct tree_waiter {
	struct list link;
	struct wait *wait;
	bool done;
	int err;
	const char *note;	     /* of a commit */
	struct tree_version version; /* of a commit, when done */
};

/* A commit under way, between the two threads. */
struct freeze {
	struct commit_plan plan;
	uint64_t tick;		   /* changes up to it are in the plan */
	uint32_t generation;	   /* and content under this one or lower */
	struct list nodes;	   /* struct plan_ref */
	struct share_record share; /* the base that it becomes */
	struct tree_version version;
	enum {
		FREEZE_WANTED, /* the next cut makes the plan */
		FREEZE_CUT,    /* it did, err tells how; the committer builds */
		FREEZE_BUILT,  /* the next cut makes it the base, in memory */
		FREEZE_BASING, /* it did; on disk when a cut is written */
		FREEZE_BASED,
	} state;
	int err;
};

/* What a plan's entry stands for in memory: plan_entry.ctx. */
struct plan_ref {
	struct list link;
	struct plan_entry *plan;
	struct entry *entry;  /* NULL: its name is as in the base */
	struct node *node;    /* counts in its refs; NULL: gone */
	struct plan_dir *dir; /* of a directory */
};

struct tree {
	struct db *work; /* NULL: the tree only follows, and nothing of it is on disk */
	struct store *store;
	struct fetcher *fetcher;
	struct blocks *blocks;
	struct base_reader reader; /* has blocks, and a radix of its own */
	struct tree_config config;
	int lock_fd;
	uint8_t writer[WRITER_KEY_LEN];

	pthread_mutex_t lock;
	pthread_rwlock_t moment;
	struct data_budget *budget;

	struct share_record share;
	struct tree_version base;
	struct seen seen; /* of the base; the committer's alone */
	bool seen_known;
	struct map nodes; /* by number, big-endian */
	struct node *root;
	uint64_t next_node;
	uint64_t tick;
	uint32_t generation;
	size_t changed; /* entries */
	uint64_t changed_first_ms, changed_last_ms;
	struct tree_watch *watches;

	/* Of cuts. */
	pthread_t cutter;
	pthread_cond_t cut_wake;
	struct list dirty_nodes, dirty_entries;
	size_t dirty_count;
	uint64_t dirty_since_ms; /* 0: nothing is */
	uint64_t uncut_bytes;
	uint64_t space, space_ms; /* of the disk, as it was looked at last, less what was written */
	bool cut_wanted;	  /* at once */
	bool shed_wanted;	  /* and memory is to be given back */
	bool cutting;		  /* a cut is open */
	uint64_t cut_retry_ms;
	bool base_dirty; /* the share's record is to be written */
	bool stopping, cutter_stop;
	struct list cut_waiters;
	uint64_t failures; /* cuts that failed */
	int cut_err;
	struct node_rows *rows_gone; /* rows of names that no entry is left for */
	size_t rows_gone_count, rows_gone_cap;
	struct list lost_dirs; /* were removed while a cut or commit names their entries */

	/* Of commits. */
	pthread_t committer;
	pthread_cond_t commit_wake;
	struct list commit_waiters, room_waiters;
	struct freeze *freeze;
	struct wait commit_wait;
	int commit_err;
	uint64_t commit_retry_ms;
};

/* A row of "names" that goes. */
struct node_rows {
	uint64_t dir;
	uint8_t name_len;
	char name[TREE_NAME_MAX];
};

static inline void tree_lock(struct tree *tree)
{
	pthread_mutex_lock(&tree->lock);
}

static inline void tree_unlock(struct tree *tree)
{
	pthread_mutex_unlock(&tree->lock);
}

/* ---- node.c; with the lock held ---- */

/* A node without a place, refs 1, known 0. */
struct node *node_new(struct tree *tree, uint64_t number, mode_t mode);
/* NULL when it is not in memory. */
struct node *node_get(struct tree *tree, uint64_t number);
/* As node_get(), of a directory: -ESTALE, -ENOTDIR. */
int node_dir(struct tree *tree, uint64_t number, struct node **dir);
struct node *node_ref(struct node *node);
/* Frees what nobody refers to, its parents too. */
void node_unref(struct node *node);
/* known fell: as node_unref() without taking a reference. */
void node_settle(struct node *node);
/* Its attributes or content are other than before: the next cut and commit have them. */
void node_changed(struct node *node);
/* The next cut looks at it. */
void node_queue(struct node *node);
/* Its name in dir leads to it; the entry is new or had nothing. */
void node_attach(struct node *node, struct node *dir, struct entry *entry);
/* It has no name any more; rows stay as long as it is in use. */
void node_detach(struct node *node);
/* A directory that was removed forgets its names; later, if a cut or commit is under way. */
void node_forget_names(struct node *dir);
/* Those that waited for the end of the cut and commit, if both are over. */
void nodes_forget_lost(struct tree *tree);
/* Is there anything of it that must be on disk? */
bool node_needs_record(const struct node *node);
/* Its content; made at the first call. */
struct data *node_data(struct node *node);
uint64_t node_size(const struct node *node);
void node_attr(const struct node *node, struct tree_attr *attr);
/* Sets what the base says. */
void node_set_shown(struct node *node, const struct manifest_entry *entry,
		    const struct shown *shown);
/* Frees all nodes, at the end of a tree. */
void nodes_release(struct tree *tree);
/* The present time. */
struct timespec tree_now(void);
/* An id for something new. */
uint64_t tree_new_id(void);

/* ---- xattr.c ---- */

/* Takes copies. at is NULL: none. */
void xattrs_copy(struct node *node, const struct manifest_xattr *at, size_t count);
void xattrs_release(struct node *node);

/* ---- entry.c; with the lock held ---- */

struct entry *entry_find(const struct node *dir, uint64_t hash, struct bytes name);
/* The first that is not before (hash, name). */
struct entry *entry_from(const struct node *dir, uint64_t hash, struct bytes name);
/* A new one without a node. */
struct entry *entry_add(struct node *dir, uint64_t hash, struct bytes name);
/* Out of its directory, and freed; nothing refers to it. */
void entry_remove(struct entry *entry);
/* What the name leads to, or its node, is not as in the base any more. mapped: the former. */
void entry_changed(struct entry *entry, bool mapped);
/* As in the base again. */
void entry_settled(struct entry *entry);
void entry_queue(struct entry *entry);
/* A row of this name, which is on disk, goes with the next cut. */
void entry_row_gone(struct entry *entry);
void tree_row_gone(struct tree *tree, const struct node_rows *row);
bool dir_has_entries(const struct node *dir); /* that lead to something */
struct entry *entry_next(const struct entry *entry);
static inline struct bytes entry_name(const struct entry *entry)
{
	return bytes_of(entry->name, entry->name_len);
}

/* ---- base.c; with the lock held, which is given up while reading ---- */

/* The entry of a name; its node is in memory. -ENOENT; errors of reading. */
int base_find(struct tree *tree, struct node *dir, struct bytes name, struct wait *wait,
	      struct entry **out);
/* Is nothing in the directory? 1, 0, -errno. */
int base_is_empty(struct tree *tree, struct node *dir, struct wait *wait);
/* Are there at most `levels` of directories below dir, in memory and in the base? What the base has
 * counts also where memory says that it is gone. 0, -ENAMETOOLONG, errors of reading. */
int base_depth_check(struct tree *tree, struct node *dir, unsigned levels, struct wait *wait);
/* The node that the base has at a name which is not in memory: its entry and node are made. */
struct entry *base_enter(struct node *dir, const struct manifest_entry *said,
			 const struct shown *shown);

/* ---- names.c ---- */

/* 0, -EINVAL, -ENAMETOOLONG. */
int name_check(struct bytes name);
/* Waits until fewer than TREE_DIRTY_MAX entries are changed. Without the lock. -EROFS, -EINTR. */
int tree_wait_room(struct tree *tree, struct wait *wait);

/* ---- record.c ---- */

/* Values of rows. node_record() with the lock held. */
void node_record(const struct node *node, struct buf *out);
/* Rows of a tree's tables. Keys begin with the share's id. */
void key_node(struct buf *key, uint32_t share, uint64_t node);
void key_name(struct buf *key, uint32_t share, uint64_t dir, struct bytes name);
void key_size(struct buf *key, uint32_t share, uint64_t node, uint32_t generation);
void key_place(struct buf *key, uint32_t share, uint64_t node, uint32_t generation, uint32_t at);
void name_record(const struct node *node, struct buf *out);
/* Removes rows of content of a node: of generations up to this one. */
int content_rows_drop(struct db_txn *txn, uint32_t share, uint64_t node, uint32_t generation);
/* Writes a file's cut (data.h tells how). chunk: bytes of one. */
int content_rows_put(struct db_txn *txn, uint32_t share, uint64_t node, uint32_t chunk,
		     const struct data_cut *cut);
/* All rows of a node's content. -EIO, -EBADMSG: they do not fit together. */
int content_read(struct db_txn *txn, struct node *node);
/* What a row of "leaves" refers to; not set: zeros. */
int leaf_row_cid(struct bytes value, struct cid *cid);
/* data_config.load: ctx is the node. */
int content_load(void *ctx, uint64_t generation, uint32_t grain, uint32_t from, uint8_t *at,
		 size_t len);

/* A row of "nodes"; borrows from it. */
#define NODE_SAID_XATTRS_MAX 1024 /* of at least six bytes each */
struct node_said {
	bool changed;
	mode_t mode;
	uint64_t parent;
	struct bytes name; /* empty: none */
	uint64_t id;
	struct timespec mtime, ctime;
	struct cid base;
	uint64_t size;
	struct bytes target;
	size_t xattr_count;
	struct manifest_xattr xattrs[NODE_SAID_XATTRS_MAX];
};
/* 0 or -EIO. */
int node_said_decode(struct node_said *said, struct bytes value);
int name_said_decode(uint64_t *node, struct bytes value);

/* ---- load.c ---- */

/* All rows of the share become nodes and entries; before any thread runs. Content of files that
 * cannot be read makes them fail with -EIO. 0 or -errno. */
int tree_load(struct tree *tree);

/* ---- cut.c ---- */

void *cutter_run(void *tree);
/* Waits for a cut of all that was changed before. Without the lock. */
int tree_cut(struct tree *tree, struct wait *wait);
/* Bytes were written: a cut begins when there are many. With the lock held. */
void tree_wrote(struct tree *tree, size_t bytes);
/* Is there room on the disk for bytes more? -ENOSPC. With the lock held. */
int tree_space(struct tree *tree, size_t bytes);
/* There is something to be cut. With the lock held. */
void tree_dirty(struct tree *tree);
/* data_budget's full(). */
void tree_full(void *tree);
/* Wakes all of a list, with err. With the lock held. */
void waiters_wake(struct list *waiters, int err);
/* Sleeps until the waiter is done, or its wait ends. With the lock held. */
int waiter_sleep(struct tree *tree, struct tree_waiter *waiter);

/* ---- freeze.c; with the lock held ---- */

/* Fills in the plan of all that is changed; files that have content get node->plan. */
void freeze_plan(struct tree *tree, struct freeze *freeze);
/* What was committed is the base now. No cut is open. */
void freeze_rebase(struct tree *tree, struct freeze *freeze);
void freeze_release(struct freeze *freeze);

/* ---- commit.c ---- */

void *committer_run(void *tree);

#endif

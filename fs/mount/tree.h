/* What a mount shows: trees of entries behind operations, so that one that changes can stand beside
 * one that never does.
 *
 *   tree_dag.c     content named by a CID: fixed, so all that the kernel was told stays true
 *   tree_names.c   the namespace: ipfs/, and the roots below it
 *
 * Trees in memory that change, and that are written, are in tests/fs/test_mount_tree.c and
 * tests/fs/written_tree.h.
 *
 * The table of what the kernel knows is inode.h's. A tree finds names, tells attributes, reads and
 * lists, and says how long the kernel may believe what it was told. Operations run on the mount's
 * threads, several at once; they may wait by call->wait, and return 0 or -errno. A change that the
 * kernel is not to find by time alone is told with mount_notify_*(). */
#ifndef FS_TREE_H
#define FS_TREE_H

#include "dag/tree.h"
#include "net/base/wait.h"
#include "net/wire/cid.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define TREE_FOREVER 1e9 /* seconds */

struct mount;
struct inode;
struct inodes;
struct mount_tree_ops;

/* The head of each tree. Reference counted; lives as long as an inode of it. */
struct mount_tree {
	const struct mount_tree_ops *ops;
	atomic_uint refs;
};

/* A request, as trees see it. */
struct tree_call {
	struct mount *mount;
	struct inodes *inodes; /* the mount's */
	struct wait *wait;
	struct cid about;  /* set by an operation that fails: which content, for the log. Not set:
			      the inode's */
	double believed_s; /* set by lookup(): how long its answer is believed; 0: as validity()
			      says */
};

/* How long, in seconds, the kernel may believe without asking. */
struct tree_validity {
	double entry_s;	 /* that a name found in this directory leads where it did */
	double absent_s; /* that a name not found in it is not there; 0: is asked again each time */
	double attr_s;	 /* the attributes of this inode */
	/* What was read of a file, or of a directory, is kept when it is opened again. */
	bool keep_pages, keep_list;
};

/* One entry of a listing; next: where the listing goes on after it, above 0 and below 2^62. */
struct tree_entry {
	const char *name;
	uint64_t ino;
	mode_t type; /* S_IFREG...; 0: not known */
	/* With one lookup counted, which is taken over, also when there is no room; NULL: without
	 * attributes. */
	struct inode *inode;
	uint64_t next;
};

/* Non-zero: there is no room for it, stop. */
typedef int tree_entry_fn(void *ctx, const struct tree_entry *entry);
typedef void tree_bytes_fn(void *ctx, const struct iovec *iov, int count);

struct mount_tree_ops {
	/* Of the tree at the mountpoint: files or directories are opened without asking, and the
	 * kernel keeps what it read. That is for the whole mount: only if nothing that can ever be
	 * below it needs open(), or changes. */
	bool files_unasked, dirs_unasked;
	/* Of the tree at the mountpoint: something below it can be written. The mount is read-only
	 * unless this is set. */
	bool writable;

	struct tree_validity (*validity)(const struct mount_tree *tree, const struct inode *inode);
	/* *out has one lookup more. -ENOENT: it is not there, for as long as absent_s says. */
	int (*lookup)(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      const char *name, struct inode **out);
	/* st_ino 0: the number of the inode. */
	int (*stat)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		    struct stat *st);
	/* Appends the target. NULL: there are no symlinks. */
	int (*readlink)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			struct buf *target);
	/* What one opened file keeps until close(); read() gets it. flags: as open(2)'s, with
	 * O_TRUNC. NULL: nothing, and file is NULL. */
	int (*open)(struct mount_tree *tree, struct tree_call *call, struct inode *inode, int flags,
		    void **file);
	void (*close)(struct mount_tree *tree, void *file);
	/* Hands the bytes to bytes, once, unless it fails: as many as asked for unless the file
	 * ends before. They are borrowed during the call. */
	int (*read)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		    void *file, uint64_t at, size_t size, tree_bytes_fn *bytes, void *ctx);
	/* Entries after the one whose next was `from` (0: all), without "." and "..". plus: with
	 * inodes where that needs no waiting. */
	int (*list)(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		    uint64_t from, bool plus, tree_entry_fn *entry, void *ctx);

	/* Changes. NULL: -EROFS. Errors as of the system calls that they serve. */

	/* A file, directory or symlink; *out has one lookup more. -EEXIST. */
	int (*create)(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      const char *name, const struct tree_new *how, struct inode **out);
	/* dir_wanted: rmdir(), else unlink(). What is open lives on. */
	int (*unlink)(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		      const char *name, bool dir_wanted);
	/* Within this tree. flags: RENAME_*. */
	int (*rename)(struct mount_tree *tree, struct tree_call *call, struct inode *from,
		      const char *name, struct inode *to, const char *as, unsigned flags);
	int (*set)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		   const struct tree_set *set);
	/* All of data or nothing. append: at the end, whatever at says. */
	int (*write)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		     void *file, uint64_t at, bool append, struct bytes data);
	/* fallocate(). NULL: -EOPNOTSUPP. */
	int (*allocate)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			void *file, int mode, uint64_t at, uint64_t len);
	/* copy_file_range() within this tree: how many. NULL: -EOPNOTSUPP, the kernel copies. */
	ssize_t (*copy)(struct mount_tree *tree, struct tree_call *call, void *from, uint64_t at,
			struct inode *inode, void *to, uint64_t to_at, uint64_t len);

	/* Further ones that may be NULL. */

	/* All that changed before lasts. file NULL: asked of a directory. NULL: it does. */
	int (*sync)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		    void *file);
	/* A descriptor of file is closed: an earlier error, once. */
	int (*flush)(struct mount_tree *tree, struct tree_call *call, void *file);
	/* SEEK_DATA, SEEK_HOLE. NULL: no holes. */
	int64_t (*seek)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			void *file, uint64_t at, int whence);
	/* value.at NULL removes; flags: XATTR_*. NULL: -EROFS. */
	int (*xattr_set)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			 const char *name, struct bytes value, int flags);
	/* Appends the value; the names, each with a NUL behind it. NULL: ops_xattr.c's alone. */
	int (*xattr_get)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			 const char *name, struct buf *value);
	int (*xattr_list)(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
			  struct buf *names);

	/* The kernel took back lookups of this number, which has INODE_NODE set: each that
	 * inode_enter_node() counted goes back once. No lock is held. May be NULL. */
	void (*forget)(struct mount_tree *tree, uint64_t ino, uint64_t lookups);
	/* The mount, which the tree joined, ends: nothing is told to it any more. May come twice.
	 * NULL: it joins none. */
	void (*leave)(struct mount_tree *tree, struct mount *mount);
	void (*free)(struct mount_tree *tree);
};

static inline struct mount_tree *mount_tree_ref(struct mount_tree *tree)
{
	atomic_fetch_add(&tree->refs, 1);
	return tree;
}

/* NULL is ignored. */
static inline void mount_tree_unref(struct mount_tree *tree)
{
	if (tree && atomic_fetch_sub(&tree->refs, 1) == 1)
		tree->ops->free(tree);
}

/* ---- mount_notify.c: changes ----
 *
 * The kernel drops what it keeps. From any thread that serves no request and holds no lock that one
 * may wait for: the kernel may make it wait for requests under way in the same directory. 0, also
 * when the kernel kept nothing; -errno. */

/* The name is to be looked up anew: it is new, or leads elsewhere. */
int mount_notify_entry(struct mount *mount, uint64_t dir, const char *name);
/* The name, which led to node, is gone. */
int mount_notify_gone(struct mount *mount, uint64_t dir, uint64_t node, const char *name);
/* The attributes of node changed; content: also its bytes, or the entries of a directory. */
int mount_notify_node(struct mount *mount, uint64_t node, bool content);

/* ---- mount_notifier.c: the same, by a thread of the mount ---- */

/* The tree will call mount_tell() until its leave(). *number: 1.., the tree's own among those of
 * the mount, the same each time. Threads of the mount. -EINTR: the mount ends; -ENFILE. */
int mount_join(struct mount *mount, struct mount_tree *tree, uint64_t *number);
/* Queues a change; numbers are inodes'. TREE_GONE and TREE_ENTRY: of name in dir; node may be 0.
 * TREE_ATTR and TREE_CONTENT: of node. Any thread, with any lock held. */
void mount_tell(struct mount *mount, enum tree_change what, uint64_t dir, struct bytes name,
		uint64_t node);

#endif

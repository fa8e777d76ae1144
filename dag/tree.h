/* The working tree of a share: a directory that changes, in memory over an immutable base, made
 * durable by cuts and immutable by commits.
 *
 * A change is in memory when its call returns, on disk after a cut (tree_sync(), or within
 * TREE_CUT_MS), and a version of its own after tree_commit(). All changes up to one moment are in
 * one transaction: after a crash the tree is one that existed. What never changed is read from the
 * base when it is asked for.
 *
 * Any thread but the loop's, several at once, unless said otherwise. Functions return 0 or -errno
 * as the system calls that they serve; -EIO for damage; blocks_get()'s errors where the base must
 * be read; -EROFS in a tree that only follows. Names are 1..255 bytes without '/' and NUL, and not
 * "." or "..": -EINVAL, -ENAMETOOLONG. A wait ends what waits for blocks or for room. */
#ifndef DAG_TREE_H
#define DAG_TREE_H

#include "dag/sweep.h"
#include "exchange/exchange.h"
#include "net/db/db.h"
#include "net/wire/private_key.h"

#include <sys/stat.h>
#include <sys/uio.h>

#define TREE_ROOT UINT64_C(1)		  /* node of the top directory */
#define TREE_NODE_MAX (UINT64_C(1) << 46) /* numbers of nodes are below it */
#define TREE_NAME_MAX 255
#define TREE_FILE_MAX (UINT64_C(1) << 43) /* bytes: 8 TiB; more is -EFBIG */
#define TREE_XATTRS_MAX 4096  /* bytes of names and values of one node; more is -ENOSPC */
#define TREE_DIRTY_MAX 100000 /* changed entries; writers wait for a commit above it */
#define TREE_CUT_MS 500
#define TREE_QUIET_MS 2000		   /* of quiet before a commit */
#define TREE_COMMIT_MS 300000		   /* a commit at latest, however busy it is */
#define TREE_MAP_BYTES (UINT64_C(4) << 30) /* of the environment "work" */

struct tree;

/* ---- what is kept of each share (table "share" of the db in work/) ---- */

#define SHARE_LABEL_MAX 12
#define SHARE_NAME_MAX 64 /* the short name, of this machine */

struct share_record {
	uint32_t id;		       /* of this repository; 1.. */
	char name[SHARE_NAME_MAX + 1]; /* short name: [a-zA-Z0-9._-], not "." or ".." */
	char label[SHARE_LABEL_MAX + 1];
	struct peer_id key;  /* the share's name: its public key */
	bool owner;	     /* the private key is in the keystore: may be written */
	bool publish;	     /* told to the network */
	uint64_t pen;	     /* BLAKE2b-64(writer's public key, nonce) */
	uint64_t last_stamp; /* of our commits and heads taken */
	uint64_t run;	     /* stamp with which the present run of commits began */
	uint64_t no;	     /* of the base */
	struct cid commit;   /* the base; not set: nothing was committed yet */
	struct cid root;     /* of the base: plain UnixFS */
	struct cid state;    /* of the base: manifest */
};

/* -ENOENT; -EIO: the record is damaged, or (share_find()) some record is that may be it. */
int share_get(struct db *work, uint32_t id, struct share_record *out);
int share_find(struct db *work, const char *name, struct share_record *out);
/* Adds a new one with the next id, durably: -EEXIST the name is taken, -EINVAL; -EIO: some record
 * is damaged, whose name and id are not known. */
int share_add(struct db *work, struct share_record *share);
/* Writes name, label, publish of an existing one, durably. -ENOENT; -EEXIST. */
int share_set(struct db *work, const struct share_record *share);
/* All that is kept of it goes. No tree of it is open. -ENOENT. */
int share_remove(struct db *work, uint32_t id);
/* Non-zero of each() stops and is returned. -EIO, after all others were told: some are damaged. */
int share_each(struct db *work, int (*each)(void *ctx, const struct share_record *share),
	       void *ctx);

/* A version of a share, as the commit of it says, and beside it what became of the one before. */
struct tree_version {
	uint64_t no, stamp, pen;
	struct cid commit, root, state;
	uint64_t files, size;			     /* in the whole version */
	uint64_t added, changed, removed, new_bytes; /* against the one before; entries, bytes */
};

/* The versions that this repository keeps, oldest first. As share_each(). */
int share_each_version(struct db *work, uint32_t id,
		       int (*each)(void *ctx, const struct tree_version *version), void *ctx);

/* The blocks that the shares of this repository need: bases and versions (recursive), and content
 * that is in no commit yet. Borrows work. */
struct sweep_source sweep_shares(struct db *work);

/* ---- opening ---- */

struct tree_config {
	uint32_t share;			  /* id of its record */
	const char *dir;		  /* "ID.lock" in it is held while the tree is open */
	const struct private_key *writer; /* Ed25519; borrowed; NULL: the tree only follows */
	uint64_t quiet_ms;		  /* [TREE_QUIET_MS] */
	bool commit_by_itself;		  /* when quiet; else only tree_commit() */
	/* A version was committed, by whatever cause. On the tree's thread; may be NULL. */
	void (*on_commit)(void *ctx, const struct tree_version *version);
	void *ctx;
};

/* Opens the share's tree as it was last cut. Borrows work, store and fetcher (NULL: offline) until
 * tree_close(). -ENOENT no such share; -EBUSY it is open already, here or in another process; -EIO
 * its records are damaged. Starts the tree's thread. */
int tree_open(struct db *work, struct store *store, struct fetcher *fetcher,
	      const struct tree_config *config, struct tree **out);
/* A last cut (its error is returned, and the tree is closed all the same). Nobody uses it any more,
 * and all opened files are closed. NULL is ignored. */
int tree_close(struct tree *tree);

/* ---- names and attributes ----
 *
 * A node that is handed out as attr counts one reference more ("known"): the number means this node
 * until tree_forget() took all back. Calls take nodes that are known. */

struct tree_attr {
	uint64_t node;
	uint64_t id;   /* st_ino: kept by rename and by the versions */
	mode_t mode;   /* S_IFREG, S_IFDIR or S_IFLNK, and 07777 */
	uint64_t size; /* bytes of a file or a target; 0 for directories */
	uint64_t held; /* bytes of it that are not holes */
	struct timespec mtime, ctime;
	bool gone; /* no name leads to it any more */
};

int tree_lookup(struct tree *tree, uint64_t dir, struct bytes name, struct wait *wait,
		struct tree_attr *attr);
/* attr counts no reference here. */
int tree_stat(struct tree *tree, uint64_t node, struct tree_attr *attr);
void tree_forget(struct tree *tree, uint64_t node, uint64_t count);

struct tree_new {
	mode_t mode;	     /* type and permissions */
	struct bytes target; /* of a symlink, 1..4095 bytes */
};
/* A file, directory or symlink. -EEXIST. */
int tree_create(struct tree *tree, uint64_t dir, struct bytes name, const struct tree_new *how,
		struct wait *wait, struct tree_attr *attr);
/* dir_wanted: rmdir, -ENOTDIR, -ENOTEMPTY; else unlink, -EISDIR. An open file lives on. */
int tree_unlink(struct tree *tree, uint64_t dir, struct bytes name, bool dir_wanted,
		struct wait *wait);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE or 0; else -EINVAL. */
int tree_rename(struct tree *tree, uint64_t from, struct bytes name, uint64_t to, struct bytes as,
		unsigned flags, struct wait *wait);
/* A file that is there already: root is UnixFS or raw, of size bytes, and becomes the content
 * without being read. Its blocks are kept from the next cut on: until tree_sync() the caller holds
 * them, by a batch. It replaces a file or symlink of
 * that name, else it is new. -EISDIR. attr counts a reference. */
struct tree_graft {
	struct cid root;
	uint64_t size;
	mode_t mode; /* permissions alone */
	struct timespec mtime;
};
int tree_graft(struct tree *tree, uint64_t dir, struct bytes name, const struct tree_graft *graft,
	       struct wait *wait, struct tree_attr *attr);
/* Follows path ("a/b", "/a/b"; empty: the top) without following symlinks. -ENOENT, -ENOTDIR. attr
 * counts a reference. */
int tree_find(struct tree *tree, const char *path, struct wait *wait, struct tree_attr *attr);
/* The plain UnixFS root of a file or directory as the last commit has it. -EBUSY: it, or something
 * below it, changed since. -EINVAL: a symlink. */
int tree_committed_root(struct tree *tree, uint64_t node, struct wait *wait, struct cid *root);
/* Appends the target. -EINVAL for another type. */
int tree_readlink(struct tree *tree, uint64_t node, struct buf *target);

enum { TREE_SET_MODE = 1, TREE_SET_SIZE = 2, TREE_SET_MTIME = 4, TREE_SET_MTIME_NOW = 8 };
struct tree_set {
	unsigned what; /* TREE_SET_*, or'ed */
	mode_t mode;
	uint64_t size;
	struct timespec mtime;
};
/* All or nothing. attr counts no reference. */
int tree_set(struct tree *tree, uint64_t node, const struct tree_set *set, struct wait *wait,
	     struct tree_attr *attr);

/* user.* alone, else -ENOTSUP; user.ipfs.* and user.dagfs.* -EPERM. flags: XATTR_CREATE,
 * XATTR_REPLACE. value.at NULL removes. -ENODATA, -EEXIST, -ENOSPC over TREE_XATTRS_MAX. */
int tree_xattr_set(struct tree *tree, uint64_t node, const char *name, struct bytes value,
		   int flags);
/* Appends the value. -ENODATA. */
int tree_xattr_get(struct tree *tree, uint64_t node, const char *name, struct buf *value);
/* Appends the names, each with a NUL behind it, in order. */
int tree_xattr_list(struct tree *tree, uint64_t node, struct buf *names);

struct tree_item {
	struct bytes name; /* borrowed for the call */
	uint64_t next;	   /* where the listing goes on behind it: 1..2^62-1 */
	uint64_t id;
	mode_t type;	       /* S_IFMT alone */
	struct tree_attr attr; /* with attrs: one reference more; else not set */
};
/* Non-zero: there is no room for it, stop; the reference of attr is taken over all the same. */
typedef int tree_item_fn(void *ctx, const struct tree_item *item);
/* The entries behind the one whose next was `from` (0: all), without "." and "..", in the order of
 * murmur3-64(name), which changes do not disturb: an entry that stays is told once. each() runs
 * without a lock of the tree. */
int tree_list(struct tree *tree, uint64_t dir, uint64_t from, bool attrs, struct wait *wait,
	      tree_item_fn *each, void *ctx);

/* ---- files ---- */

struct tree_file;

/* An open file. truncate: to nothing, in the same step. write: it may be written (the last such
 * close seals it). -EISDIR, -ELOOP for other types. The node stays as long as it is open. */
int tree_file_open(struct tree *tree, uint64_t node, bool write, bool truncate, struct wait *wait,
		   struct tree_file **out);
void tree_file_close(struct tree_file *file);
/* Hands the bytes to bytes(), once, borrowed for the call, unless it fails: as many as asked for
 * unless the file ends before. */
typedef void tree_data_fn(void *ctx, const struct iovec *iov, int count);
int tree_file_read(struct tree_file *file, uint64_t at, size_t size, struct wait *wait,
		   tree_data_fn *bytes, void *ctx);
/* All of data, or fails and nothing changed. Behind the end: the gap is a hole. append: at the
 * end, whatever at says. Waits for room (-EINTR, -ENOSPC, -EFBIG). */
int tree_file_write(struct tree_file *file, uint64_t at, bool append, struct bytes data,
		    struct wait *wait);
/* As fallocate(2): 0, FALLOC_FL_KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE [| KEEP_SIZE]; else
 * -EOPNOTSUPP. */
int tree_file_allocate(struct tree_file *file, int mode, uint64_t at, uint64_t len,
		       struct wait *wait);
/* Copies bytes of one file of this tree to another place, whole chunks by their CIDs. How many
 * (short only at the end of from), or -errno; -EINVAL ranges of one file overlap. */
ssize_t tree_file_copy(struct tree_file *from, uint64_t at, struct tree_file *to, uint64_t to_at,
		       uint64_t len, struct wait *wait);
/* whence: SEEK_DATA or SEEK_HOLE. The place, or -ENXIO. */
int64_t tree_file_seek(struct tree_file *file, uint64_t at, int whence, struct wait *wait);
/* An error of an earlier write, cut or seal of this file, told once; 0. */
int tree_file_error(struct tree_file *file);

/* ---- lasting ---- */

/* Returns when all that changed before is on disk (a cut; several callers share one). -ENOSPC,
 * -EIO: nothing is lost in memory, and a later cut writes it. */
int tree_sync(struct tree *tree, struct wait *wait);
/* Cuts, and commits what changed: *version is the newest. 0 also when nothing was to be done. */
int tree_commit(struct tree *tree, const char *note, struct wait *wait,
		struct tree_version *version);

/* A tree that only follows: shows what somebody else made, and is switched by tree_take(). base: a
 * state (as tree_version has it), or a plain UnixFS directory, which is read when it is asked for.
 * Nothing of it is on disk but blocks. 0. */
int tree_follow(struct store *store, struct fetcher *fetcher, const struct cid *base,
		struct tree **out);
/* Another state or plain directory takes the place of the base, in one step; who watches is told
 * what differs. Directories keep their nodes, files that differ get new ones: open ones stay as
 * they were. -EBUSY: changes here are in no commit; -ENOTDIR; errors of reading, and then all is as
 * before. */
int tree_take(struct tree *tree, const struct cid *base, struct wait *wait);

struct tree_status {
	struct tree_version base;
	uint64_t dirty;	      /* entries that are in no commit */
	uint64_t uncut;	      /* of them, not durable */
	uint64_t dirty_bytes; /* of file content that is in no block */
	int error;	      /* of the last cut or commit: 0 or -errno */
};
void tree_status(struct tree *tree, struct tree_status *status);

/* ---- watching ---- */

enum tree_change { TREE_GONE, TREE_ENTRY, TREE_ATTR, TREE_CONTENT };
/* Told of changes that did not come through the calls of a mount. With the tree's
 * lock held: it may only queue. node: that the name led to, if known, else 0. */
struct tree_watch {
	struct tree_watch *next;
	void (*changed)(struct tree_watch *watch, enum tree_change what, uint64_t dir,
			struct bytes name, uint64_t node);
};
void tree_watch(struct tree *tree, struct tree_watch *watch);
void tree_unwatch(struct tree *tree, struct tree_watch *watch);

/* ---- what differs between two versions ---- */

enum tree_difference { TREE_ADDED, TREE_CHANGED, TREE_REMOVED };

struct tree_diff_item {
	enum tree_difference what;
	const char *path;	/* from the top, without a '/' before it; borrowed for the call */
	mode_t type;		/* S_IFMT: of what is there now; of what was removed */
	uint64_t before, after; /* bytes of a file */
};
/* Entries that differ, a directory before what is in it; of one that came or went as a whole,
 * everything below. before may be not set: an empty tree. States are those of tree_version. A
 * directory whose own mode or times alone differ is not told. Non-zero of each() stops and is
 * returned; blocks_get()'s errors; -EBADMSG, also for more than 1000 directories within each other.
 * Any thread but the loop's. */
int tree_diff(struct blocks *blocks, const struct cid *before, const struct cid *after,
	      struct wait *wait, int (*each)(void *ctx, const struct tree_diff_item *item),
	      void *ctx);

#endif

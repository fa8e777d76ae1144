/* A new version's directories, from what changed: manifests and plain UnixFS, bottom up. A plan
 * tells what is to be at each name; what it does not name stays as the base has it. Private to
 * dag/tree.
 *
 * Dots: what is equal to what the base says of the name keeps its dot; else it gets that of the
 * commit. So a changed mode alone is a new meta, a changed time or content a new value. A directory
 * that the base has elsewhere, or not at all (no dot with its id), is made anew with all below it:
 * every dot there becomes the commit's. Only the entries of changed directories are read, and of
 * those that were moved. */
#ifndef DAG_TREE_COMMIT_BUILD_H
#define DAG_TREE_COMMIT_BUILD_H

#include "dag/share/radix.h"
#include "dag/tree.h"
#include "dag/tree/data.h"

enum plan_kind {
	PLAN_GONE,    /* nothing is at the name */
	PLAN_FILE,    /* content: snapshot, or root and size */
	PLAN_SYMLINK, /* target */
	PLAN_DIR,     /* dir */
};

struct plan_dir {
	struct cid base;	    /* its manifest in the base; not set: empty, or new */
	struct plan_entry *entries; /* owned; in any order, each name once */
	size_t count;
	struct cid link; /* result: its manifest now; not set: empty */
};

struct plan_entry {
	struct bytes name; /* owned: free() of at */
	enum plan_kind kind;
	/* Is what follows to be written? If not, the entry stays as the base has it (or, in a
	 * directory that was moved, as it has it but for its dots) and only dir below it is looked
	 * into. */
	bool changed;
	mode_t mode; /* 07777 */
	struct timespec mtime;
	uint64_t id;
	struct manifest_xattr *xattrs; /* in the manifest's order; owned in one piece by memory */
	size_t xattr_count;
	struct bytes target;		/* of a symlink; owned by memory */
	void *memory;			/* one allocation */
	struct data_snapshot *snapshot; /* of a file; owned; NULL: root and size tell */
	struct cid root;		/* of a file: given, or the result */
	uint64_t size;			/* likewise */
	struct plan_dir dir;		/* of a directory */
	void *ctx;			/* the caller's */
};

/* Frees what the entries own; zero again. */
void plan_dir_release(struct plan_dir *dir);

struct commit_plan {
	uint64_t pen, stamp;	    /* the dot of all that is new */
	struct tree_version before; /* state not set: the first version */
	struct plan_dir top;	    /* base is before.state, or not set */
};

/* Puts all blocks of the new version but the commit's own, through blocks (in its batch, if one is
 * open). Fills in results within plan, and of version: state, root, files, size, added, changed,
 * removed, new_bytes (of files whose content is new). wait: for blocks of the base that must be
 * read; it can end the work. blocks_get()'s and blocks_put()'s errors, -EBADMSG, -EMSGSIZE (an
 * entry is too large for a manifest), -EFBIG. The caller's thread; on failure the plan can only be
 * released. */
int commit_build(struct blocks *blocks, struct commit_plan *plan, struct wait *wait,
		 struct tree_version *version);

#endif

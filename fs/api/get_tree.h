/* Writes what is in the network to the disk: files, symlinks, whole trees. Nothing of what a tree
 * says leads out of the directory that it is given: names are single parts, every step is taken
 * from an open directory, and symlinks on the way are never followed. Private to api_get.c. The
 * thread of the call. */
#ifndef FS_API_GET_TREE_H
#define FS_API_GET_TREE_H

#include "fs/api/api.h"

#define GET_DEPTH_MAX 16384 /* directories below each other */

struct get {
	struct api_call *call;
	struct blocks *blocks;
	struct dag_scout *scout; /* may be NULL */
	bool shows;		 /* progress is told */
	struct api_progress progress;
	struct buf at;	/* what is being written, for messages */
	bool is_disk;	/* the last error is one of the disk and not of the store or the network */
	unsigned temps; /* of names for files that are not complete yet */
	uint64_t left_out; /* entries that no directory of a disk can hold; each was told */
};

/* Ends the call with what went wrong with get->at (err 0: it is nothing that a disk can hold).
 * Returns 1. */
int get_tell(struct get *get, int err);

/* All return 0, or 1 after the end of the call.
 *
 * A file or symlink as name below dirfd, complete or not there. It takes the place of a file, a
 * symlink or an empty directory; anything else that stands there is an error. */
int get_file(struct get *get, int dirfd, const char *name, const struct cid *cid,
	     const struct dag_stat *stat);
int get_symlink(struct get *get, int dirfd, const char *name, const struct cid *cid,
		const struct dag_stat *stat);
/* The bytes of a file into fd, which stays open; its permissions and times are not touched. fd -1:
 * to the face. */
int get_bytes(struct get *get, int fd, const struct cid *cid);
/* All that is in a directory, into the open directory fd, which is taken; then its permissions and
 * times. Directories that are there already are filled. */
int get_entries(struct get *get, int fd, const struct cid *cid, const struct dag_stat *stat);

#endif

/* Content of fixed trees becomes content of a share, by its CIDs: nothing is read but directories.
 * What is shown in mounts is told. Blocking, on the thread that asks. */
#ifndef FS_API_API_PLANT_H
#define FS_API_API_PLANT_H

#include "fs/api/api.h"
#include "fs/shares.h"

/* Zero-initialised but for call, blocks and share is ready. */
struct api_plant {
	struct api_call *call;
	struct blocks *blocks; /* of the fixed tree; borrowed */
	struct share *share;   /* used */
	uint64_t files;	       /* planted so far, with symlinks */
	/* modes and times come from a manifest, too: api_plant_from_state() */
	struct radix *radix;
	struct cid manifest; /* of the directory that holds what is planted next, or is it; not
				set: none */
	struct cid held;     /* by a pin of api_plant_hold(); not set: none */
};

/* Modes and times come from a version's state: path is, within the version, what will be planted by
 * name, or "" for what will be planted with api_plant_below(). Before either. 0 or -errno. */
int api_plant_from_state(struct api_plant *plant, const struct cid *state, const char *path);
/* Fetches what is missing of a tree that is to be planted, and holds it by a pin called so until
 * api_plant_release(). A pin that is there already stays what it is, but becomes complete. As
 * pin_add(). */
int api_plant_hold(struct api_plant *plant, const struct cid *cid, const char *name);
/* What these left. */
void api_plant_release(struct api_plant *plant);

/* Puts the file, symlink or directory cid at name in the directory dir. Directories are merged with
 * what is there; files and symlinks are replaced. Content must be stored, or come to be. 0;
 * -EISDIR: a directory stands where a file is to be; -EMEDIUMTYPE: cid, or something below it, is
 * no file, directory or symlink; errors of dag_stat(), dir_each() and of tree.h. */
int api_plant(struct api_plant *plant, uint64_t dir, struct bytes name, const struct cid *cid);
/* The same for each entry of the directory cid, into dir. */
int api_plant_below(struct api_plant *plant, uint64_t dir, const struct cid *cid);

#endif

/* The versions of a share below the root of its mount: @N, @-N, @TIME, and @, which lists them.
 * They are found and not listed, and only read. Threads of the mounts. */
#ifndef FS_PAST_H
#define FS_PAST_H

#include "fs/mount/inode.h"

#define PAST_BELIEVED_S 1.0 /* a name may lead to another version, or to one at last */

/* Borrows work until the last reference went. One reference. */
struct mount_tree *past_new(struct db *work, uint32_t share);
/* What stands behind '@' (fs/share_version.h), or the directory of all versions if that is "". ino:
 * of that directory. -ENOENT: no such version. *out has one lookup more; as an operation lookup().
 */
int past_find(struct mount_tree *past, struct tree_call *call, struct inode *dir, const char *text,
	      uint64_t ino, struct inode **out);

#endif

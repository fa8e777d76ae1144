/* The tree of a share that changes (dag/tree.h), as a tree of mounts: at the mountpoint, or below a
 * directory of another tree. One for all mounts of a share: what is changed through one of them is
 * told to the kernel for the others, and so is what no mount did. Any thread, unless said
 * otherwise.
 */
#ifndef FS_TREE_SHARE_H
#define FS_TREE_SHARE_H

#include "dag/tree.h"
#include "fs/mount/tree.h"

struct fetcher;

/* Borrows tree until the last reference went, which is after mount_stop() of the last mount that
 * showed it. readonly: the tree only follows, so a mount of it is read-only; where it stands beside
 * writable ones its changes fail with EROFS. One reference. */
struct mount_tree *tree_share_new(struct tree *tree, bool readonly);
/* Its versions are found below the top as names that begin with '@' (past.h), unless a file has
 * that very name. Borrows work as long as tree. Before it is shown. */
void tree_share_with_past(struct mount_tree *share, struct db *work, uint32_t id);
/* The inode of the share's top directory, with one lookup more, for a lookup of another tree in its
 * directory parent. Threads of the mount. */
int tree_share_enter(struct mount_tree *share, struct tree_call *call, struct inode *parent,
		     struct inode **out);
/* A change that neither a mount nor tree_take() made, as by a command: the kernel is told. node:
 * that the name led to, or that changed; 0: not known. Any lock may be held. */
void tree_share_changed(struct mount_tree *share, enum tree_change what, uint64_t dir,
			struct bytes name, uint64_t node);

/* For tree_open(): asks below, which is borrowed, and waits timeout_ms for each block, beside the
 * deadline of who waits. A block that just failed to come fails again at once: the kernel asks for
 * what it reads ahead a second time. fetcher->ops->free() ends it. */
struct fetcher *tree_share_fetcher_new(struct fetcher *below, uint64_t timeout_ms);

#endif

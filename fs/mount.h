/* One FUSE mount: a tree, or the namespace with ipfs/ below the mountpoint. It can be written if
 * its tree can, unless the option `ro` says otherwise. It has its own threads (grown on demand up
 * to MOUNT_THREADS_MAX); they run dag/ straight through and wait for missing blocks with the
 * mount's deadline, interruptibly. */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "exchange/exchange.h"
#include "net/db/db.h"

#define MOUNT_THREADS_MAX 64
#define MOUNT_TIMEOUT_MS 30000

struct mount;
struct mount_tree;
struct wait;

/* What the namespace shows beside ipfs/: my/, and names below ipns/. On threads of the mount,
 * several at once. 0 or -errno; -ENOENT: there is none. Trees come with a reference. */
struct mount_names {
	int (*my)(void *ctx, struct wait *wait, struct mount_tree **out);
	/* A share of one's own, which may be written. */
	int (*share)(void *ctx, const char *name, struct wait *wait, struct mount_tree **out);
	/* The short names of those. Non-zero of each() stops and is returned. */
	int (*each_share)(void *ctx, int (*each)(void *ctx, const char *name), void *each_ctx);
	/* What another name leads to now, and how long that is to be believed. */
	int (*name)(void *ctx, const char *name, struct wait *wait, struct cid *root,
		    double *believed_s);
	void *ctx;
};

struct mount_config {
	const char *mountpoint;	 /* absolute */
	const char *source;	 /* for /proc/mounts: "dagfs" or the path mounted */
	struct cid root;	 /* not set: the namespace (ipfs/) */
	struct mount_tree *tree; /* what is shown instead (fs/mount/tree.h), its root is asked for
				  * as INODE_ROOT; takes a reference of its own; may be NULL */
	const struct mount_names *names; /* what the namespace shows beside ipfs/; borrowed until
					  * the mount ended; NULL: nothing */
	uint64_t timeout_ms;		 /* longest wait for one block [MOUNT_TIMEOUT_MS] */
	bool allow_other;
	bool offline; /* never ask the network: EHOSTUNREACH */
	/* Runs once on a thread of the mount when the mount has left the mount table (umount -l):
	 * what is in use below it is served on until on_end. May be NULL. */
	void (*on_detached)(void *ctx);
	const char
		*options; /* further -o options (mount_options.c), comma separated; may be NULL */
};

/* Mounts, and returns when the mount answers. Borrows store, fetcher (may be NULL) and db until
 * mount_stop() or on_end. on_end(ctx) runs once on a thread of the mount when it was unmounted from
 * outside (umount, fusermount3 -u): then mount_stop() is still to be called, from another thread.
 * -errno with *why (malloc'd): what failed and what to do. */
int mount_start(const struct mount_config *config, struct store *store, struct fetcher *fetcher,
		struct db *db, void (*on_end)(void *ctx), void *ctx, struct mount **out,
		char **why);
/* Unmounts (lazily when busy and force), ends waiting operations with EINTR, joins, frees. -EBUSY
 * when open files keep it and !force: still mounted. */
int mount_stop(struct mount *mount, bool force);
/* Is a dagfs mounted right there, by whatever process? From the kernel's list: the mount is not
 * asked. */
bool mount_is_at(const char *point);

#endif

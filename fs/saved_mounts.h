/* The mounts that somebody saved: mounts.json in the repository, a list in which each mountpoint
 * stands once. The daemon mounts them at its start. Any process; written whole, one writer at a
 * time. Blocking, but short. */
#ifndef FS_SAVED_MOUNTS_H
#define FS_SAVED_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#define SAVED_MOUNTS_MAX 64
#define SAVED_OPTIONS_MAX 4096 /* bytes */

struct saved_mount {
	char *source;	  /* as given to `mount`; NULL: the namespace */
	char *mountpoint; /* whole path */
	char *options;	  /* as behind -o; "" for none */
	bool offline;
};

struct saved_mounts {
	struct saved_mount *at; /* in the order they were saved */
	size_t count;
};

/* Without a file there are none. -EBADMSG: the file is no such list; -errno. *why (malloc'd) tells.
 * Zero-initialised is empty and valid. */
int saved_mounts_read(const char *repo_path, struct saved_mounts *out, char **why);
void saved_mounts_release(struct saved_mounts *mounts);
/* NULL: it is not there. */
const struct saved_mount *saved_mounts_find(const struct saved_mounts *mounts,
					    const char *mountpoint);
/* Durable when it returns 0; takes the place of one with this mountpoint. -EMFILE: there are
 * SAVED_MOUNTS_MAX; -EINVAL: a text is no UTF-8 or too long; as saved_mounts_read(). */
int saved_mounts_add(const char *repo_path, const struct saved_mount *mount, char **why);
/* -ENOENT: it is not there. */
int saved_mounts_remove(const char *repo_path, const char *mountpoint, char **why);

#endif

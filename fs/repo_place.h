/* The folder of a repository: may it be used, its lock files, and where a daemon of it keeps
 * socket, lock and log. Any thread. */
#ifndef FS_REPO_PLACE_H
#define FS_REPO_PLACE_H

#include <stdbool.h>

/* Lock files, made by init so that they are there when the disk is full or read-only. */
#define REPO_CONFIG_LOCK "config.lock"
#define REPO_GC_TURN "gc.turn"
#define REPO_DAEMON_LOCK "daemon.lock"

/* Before anything is made or opened in it. -ENAMETOOLONG: files in it would have too long a path;
 * -EPERM: this is root, and the folder is another's, who could not use what root makes (but for a
 * read-only file system, where nothing is made). *why (malloc'd) tells. 0 too when path does not
 * exist. */
int repo_place_check(const char *path, char **why);

/* Is there room to make a repository? -ENOSPC with *why (malloc'd): bytes or inodes are missing. 0
 * when it cannot be told. */
int repo_place_room(const char *path, char **why);

/* A descriptor for flock() of a lock file, which is made when missing and then is the folder's
 * owner's. On a read-only file system where it is missing: the folder itself. -errno. */
int repo_lock_file(const char *path, const char *name);

/* Where a daemon keeps socket, lock and log when the repository is on a read-only file system: a
 * folder for this user and this repository in $XDG_RUNTIME_DIR, else /tmp. malloc'd; NULL when it
 * is not there (with make: made, mode 0700), or when it is not ours alone. */
char *repo_run_dir(const char *path, bool make);

#endif

/* What of `mount` is about saved mounts. The main thread; each returns an exit code. */
#ifndef FS_CMD_MOUNT_SAVED_H
#define FS_CMD_MOUNT_SAVED_H

#include "fs/cli.h"

/* The mount of this command, which is up at point (a whole path), is one of those saved. */
int mount_save(struct invocation *in, const char *point);
/* `mount --unsave MOUNTPOINT`. */
int mount_unsave(struct invocation *in);
/* `mount --list`. */
int mount_list_saved(struct invocation *in);

#endif

/* Telling the kernel of changes: what it keeps of names and inodes is dropped. Any thread but those
 * that serve requests. */
#include "fs/mount/mount_private.h"

#include <errno.h>
#include <string.h>

/* What it does not keep needs no dropping. */
static int notify_told(int err)
{
	return err == -ENOENT || err == -ENOTEMPTY ? 0 : err;
}

int mount_notify_entry(struct mount *mount, uint64_t dir, const char *name)
{
	return notify_told(
		fuse_lowlevel_notify_inval_entry(mount->session, dir, name, strlen(name)));
}

int mount_notify_gone(struct mount *mount, uint64_t dir, uint64_t node, const char *name)
{
	return notify_told(
		fuse_lowlevel_notify_delete(mount->session, dir, node, name, strlen(name)));
}

int mount_notify_node(struct mount *mount, uint64_t node, bool content)
{
	return notify_told(
		fuse_lowlevel_notify_inval_inode(mount->session, node, content ? 0 : -1, 0));
}

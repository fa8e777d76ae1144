/* mount.dagfs: how mount(8) and systemd mount what has the type dagfs, as from a line of
 * /etc/fstab. The main thread. */
#ifndef FS_MOUNT_HELPER_H
#define FS_MOUNT_HELPER_H

#include <stdbool.h>

/* Is the program called so: as mount.dagfs, or by mount.fuse3 for the type fuse.dagfs or a source
 * dagfs#SOURCE, as `dagfs SOURCE DIR -o LIST`? */
bool mount_helper_is(int argc, char **argv);
/* SOURCE DIR [-sfnvr] [-N NAMESPACE] [-t TYPE] [-o LIST]: mounts, and returns when the mount
 * answers. SOURCE "none" or "dagfs" is the namespace. Ours in LIST are repo=PATH, setuid=USER and
 * offline, and what `dagfs mount -o` takes; what mount(8) and fstab leave in it (rw, _netdev,
 * nofail, user=...) means nothing here. 0, 1 (usage) or 32 (it could not be mounted), as mount(8)
 * has them, with a message. */
int mount_helper_run(int argc, char **argv);

#endif

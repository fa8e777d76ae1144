/* Guarded mountpoints: while nothing is mounted there, nobody writes beneath the mount by mistake.
 * The directory itself has mode 0000, and where the file system and our rights allow it is
 * immutable, so that root is stopped too. The mount covers both; for mounting they are taken away
 * for a moment, by a descriptor that leads to the directory below the mount. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not every file system has it, and not everybody may: mode 0000 stays. */
static void set_immutable(int fd, bool immutable)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) || !(flags & FS_IMMUTABLE_FL) == !immutable)
		return;
	flags ^= FS_IMMUTABLE_FL;
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

int mount_guard_open(const char *point, int *fd, char **why)
{
	*fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Its owner may not read it while it is guarded. */
	if (*fd < 0 && errno == EACCES && !chmod(point, S_IRWXU))
		*fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0) {
		int err = -errno;

		*why = xasprintf("cannot guard %s: %s", point, err_text(err));
		return err;
	}
	set_immutable(*fd, false);
	if (!fchmod(*fd, S_IRWXU))
		return 0;
	int err = -errno;

	*why = xasprintf("cannot guard %s: %s: only the owner of a directory can", point,
			 err_text(err));
	close(*fd);
	*fd = -1;
	return err;
}

void mount_guard_close(int fd)
{
	if (fd < 0)
		return;
	(void)fchmod(fd, 0);
	set_immutable(fd, true);
	close(fd);
}

/* Beside, synced, renamed, and the folder synced: a crash at any moment leaves the old file or
 * the new one. What a process that was killed left beside is replaced by the next. Any thread. */
#include "fs/put_file.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, struct bytes data)
{
	while (data.len) {
		ssize_t n = write(fd, data.at, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		data = bytes_skip(data, (size_t)n);
	}
	return 0;
}

/* What root writes stays its owner's. */
static int take_over(int fd, const struct stat *old)
{
	struct stat new;

	if (fstat(fd, &new))
		return -errno;
	if ((new.st_uid != old->st_uid || new.st_gid != old->st_gid) &&
	    fchown(fd, old->st_uid, old->st_gid) && new.st_uid != old->st_uid)
		return -errno;
	return fchmod(fd, old->st_mode & 0777) ? -errno : 0;
}

static int write_beside(const char *temp, const char *file, struct bytes data, unsigned mode)
{
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0700);
	int err = fd < 0 ? -errno : 0;
	struct stat old;

	if (err)
		return err;
	err = stat(file, &old) ? 0 : take_over(fd, &old);
	if (!err)
		err = write_all(fd, data);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int sync_folder(const char *file)
{
	char *copy = xstrdup(file);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = fd < 0 ? -errno : 0;

	if (!err && fsync(fd) && errno != EINVAL)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return err;
}

int put_file(const char *file, struct bytes data, unsigned mode)
{
	char *temp = xasprintf("%s.new", file);
	int err = unlink(temp) && errno != ENOENT ? -errno : 0;

	if (!err)
		err = write_beside(temp, file, data, mode);
	if (!err && rename(temp, file))
		err = -errno;
	if (err)
		unlink(temp);
	else
		err = sync_folder(file);
	free(temp);
	return err;
}

/* What must be done in an LMDB directory around opening it: allocate the table of readers, keep
 * other processes out while the file is replaced, make a rename durable. No LMDB function is
 * called. Any thread. */
#include "net/db/lmdb_dir.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define READER_BYTES 128 /* more than a reader and its share of the head take */

int lmdb_dir_prepare(const char *dir, unsigned readers, bool *read_only)
{
	char *file = xasprintf("%s/lock.mdb", dir);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), err = fd < 0 ? -errno : 0;

	free(file);
	*read_only = err == -EROFS;
	if (*read_only)
		return 0;
	if (!err && fallocate(fd, 0, 0, (off_t)readers * READER_BYTES) && errno != EOPNOTSUPP)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* LMDB holds a shared lock on the first byte while it has an environment open. One of the
 * descriptor, not of the process, which may open and close the file meanwhile. */
int lmdb_dir_lock(const char *dir)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char *file = xasprintf("%s/lock.mdb", dir);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), err = fd < 0 ? -errno : 0;

	free(file);
	if (!err && fcntl(fd, F_OFD_SETLK, &lock))
		err = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Clears the magic number, which comes first. Then the next process that opens it alone makes it
 * anew. */
int lmdb_dir_forget(int lock)
{
	static const uint8_t none[4];
	ssize_t len = pwrite(lock, none, sizeof none, 0);

	return len == sizeof none ? 0 : len < 0 ? -errno : -ENOSPC;
}

int lmdb_dir_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

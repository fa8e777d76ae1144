#include "net/base/lmdb_dir.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
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

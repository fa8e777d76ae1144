/* The device as the library sees it. libfuse 3.14 never tells the kernel that look-ups may run side
 * by side (FUSE_PARALLEL_DIROPS), whatever is wanted in init: without it one look-up that waits for
 * the network stops every other in its directory, uninterruptibly. So the answer to INIT, the first
 * of all, gets the flag here. */
#include "fs/mount_private.h"

#include "net/base/err.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* The library copies the functions below and never frees the copy (32 bytes a mount). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:fuse_session_custom_io\n";
}
#endif

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct mount *mount = userdata;

	if (!atomic_exchange(&mount->init_answered, true) && mount->parallel && count > 1 &&
	    iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
		struct fuse_init_out *init = iov[1].iov_base;

		init->flags |= FUSE_PARALLEL_DIROPS;
	}
	return writev(fd, iov, count);
}

static ssize_t device_read(int fd, void *at, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, at, len);
}

int mount_device_set(struct mount *mount)
{
	const struct fuse_custom_io io = { .writev = device_writev, .read = device_read };

	return fuse_session_custom_io(mount->session, &io, fuse_session_fd(mount->session));
}

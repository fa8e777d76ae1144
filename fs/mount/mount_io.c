/* How a session reads and writes its device: plainly, but for one answer.
 *
 * libfuse 3.14 leaves FUSE_PARALLEL_DIROPS out of its answer to INIT even when the file system asks
 * for it (FUSE_CAP_PARALLEL_DIROPS is only looked at for what the kernel can). Without it the
 * kernel serialises all look-ups and listings of one directory under a lock that no signal
 * interrupts: one look-up that waits for a peer would hold up every other process in that
 * directory.
 *
 * It does not know FUSE_HANDLE_KILLPRIV_V2 either. Without it the kernel asks for the attribute
 * security.capability before each write; with it requests say when set-user-id bits are to go. */
#include "fs/mount/mount_private.h"

#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* The library copies what fuse_session_custom_io() gets and never frees it: 32 bytes a mount. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:fuse_session_custom_io\n";
}
#endif

static ssize_t io_read(int fd, void *at, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, at, len);
}

/* The kernel sends INIT first and waits: the first answer of a session is INIT's. */
static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct mount *mount = userdata;
	struct fuse_init_out init = { 0 };
	struct iovec patched[2];

	if (atomic_load_explicit(&mount->greeted, memory_order_relaxed))
		return writev(fd, iov, count);
	atomic_store(&mount->greeted, true);
	if (count != 2 || iov[1].iov_len > sizeof init)
		return writev(fd, iov, count);
	memcpy(&init, iov[1].iov_base, iov[1].iov_len);
	init.flags |= FUSE_PARALLEL_DIROPS;
	if (mount->writable)
		init.flags |= FUSE_HANDLE_KILLPRIV_V2;
	patched[0] = iov[0];
	patched[1] = (struct iovec){ .iov_base = &init, .iov_len = iov[1].iov_len };
	return writev(fd, patched, count);
}

int mount_io_set(struct mount *mount)
{
	const struct fuse_custom_io io = { .read = io_read, .writev = io_writev };

	return fuse_session_custom_io(mount->session, &io, fuse_session_fd(mount->session));
}

/* Copies what follows the header; false when it is shorter. */
static bool body_of(const struct fuse_buf *request, void *out, size_t size)
{
	if (request->size < sizeof(struct fuse_in_header) + size)
		return false;
	memcpy(out, (const char *)request->mem + sizeof(struct fuse_in_header), size);
	return true;
}

bool mount_io_drops_set_id(const struct fuse_buf *request)
{
	struct fuse_in_header header;
	union {
		struct fuse_write_in write;
		struct fuse_setattr_in set;
		struct fuse_open_in open;
		struct fuse_create_in create;
	} in;

	if (request->size < sizeof header)
		return false;
	memcpy(&header, request->mem, sizeof header);
	switch (header.opcode) {
	case FUSE_WRITE:
		return body_of(request, &in.write, sizeof in.write) &&
		       (in.write.write_flags & FUSE_WRITE_KILL_SUIDGID);
	case FUSE_SETATTR:
		return body_of(request, &in.set, sizeof in.set) &&
		       (in.set.valid & FATTR_KILL_SUIDGID);
	case FUSE_OPEN:
		return body_of(request, &in.open, sizeof in.open) &&
		       (in.open.open_flags & FUSE_OPEN_KILL_SUIDGID);
	case FUSE_CREATE:
		return body_of(request, &in.create, sizeof in.create) &&
		       (in.create.open_flags & FUSE_OPEN_KILL_SUIDGID);
	default:
		return false;
	}
}

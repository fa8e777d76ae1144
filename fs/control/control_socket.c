/* In the repository's folder, or on a read-only file system in repo_run_dir(). sockaddr_un holds
 * 107 bytes of path. A longer one is reached through a descriptor of the folder:
 * /proc/self/fd/N/control.sock. */
#include "fs/control/control_socket.h"

#include "fs/control.h"
#include "fs/repo.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "control.sock"

/* *dir_fd (-1: not needed) stays open while addr is used. */
static int socket_addr(const char *repo_path, struct sockaddr_un *addr, int *dir_fd)
{
	size_t size = sizeof(addr->sun_path);

	*dir_fd = -1;
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if ((size_t)snprintf(addr->sun_path, size, "%s/" SOCKET_NAME, repo_path) < size)
		return 0;
	*dir_fd = open(repo_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		return -errno;
	snprintf(addr->sun_path, size, "/proc/self/fd/%d/" SOCKET_NAME, *dir_fd);
	return 0;
}

static int connect_in(const char *dir)
{
	struct sockaddr_un addr;
	int dir_fd, fd = -1, err = socket_addr(dir, &addr, &dir_fd);

	if (!err) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		err = fd < 0 ? -errno : 0;
	}
	if (!err && connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err = -errno;
	if (err && fd >= 0)
		close(fd);
	if (dir_fd >= 0)
		close(dir_fd);
	return err ? err : fd;
}

int control_socket_connect(const char *repo_path)
{
	int fd = connect_in(repo_path);

	if (fd == -ENOENT || fd == -ECONNREFUSED) {
		char *dir = repo_run_dir(repo_path, false);
		int other = dir ? connect_in(dir) : fd;

		fd = other >= 0 ? other : fd;
		free(dir);
	}
	return fd;
}

/* Of the whole file, and of the descriptor, not the process. Unlike flock(2) it can be asked for
 * without being taken: a mere look would keep a daemon that starts at that moment from it. */
static int lock_call(int fd, int command, short type, struct flock *lock)
{
	*lock = (struct flock){ .l_type = type, .l_whence = SEEK_SET };
	return fcntl(fd, command, lock) ? -errno : 0;
}

/* The lock file tells the owner's pid, for messages: a full disk is no reason not to start. */
static int lock_in(const char *dir)
{
	char *file = repo_file(dir, REPO_DAEMON_LOCK);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : 0;
	struct flock lock;

	if (!err)
		err = lock_call(fd, F_OFD_SETLK, F_WRLCK, &lock);
	if (err == -EAGAIN || err == -EACCES)
		err = fd < 0 ? err : -EADDRINUSE;
	if (!err && (ftruncate(fd, 0) || dprintf(fd, "%d\n", (int)getpid()) < 0) &&
	    errno != ENOSPC && errno != EDQUOT)
		err = -errno;
	free(file);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

/* *pid: as it tells, 0 when it tells none. */
static bool is_locked(const char *dir, int *pid)
{
	char *file = repo_file(dir, REPO_DAEMON_LOCK), text[32] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct flock lock;
	bool is = fd >= 0 && !lock_call(fd, F_OFD_GETLK, F_RDLCK, &lock) && lock.l_type != F_UNLCK;

	*pid = is && read(fd, text, sizeof(text) - 1) > 0 ? atoi(text) : 0;
	free(file);
	if (fd >= 0)
		close(fd);
	return is;
}

/* The file system may have become read-only, or writable, while a daemon runs. */
int control_lock(const char *repo_path)
{
	int pid, fd = lock_in(repo_path);
	bool read_only = fd == -EROFS;
	char *dir = repo_run_dir(repo_path, read_only);

	if (read_only && is_locked(repo_path, &pid))
		fd = -EADDRINUSE;
	else if (read_only && dir)
		fd = lock_in(dir);
	else if (fd >= 0 && dir && is_locked(dir, &pid)) {
		close(fd);
		fd = -EADDRINUSE;
	}
	free(dir);
	return fd;
}

bool control_owned(const char *repo_path, int *pid)
{
	char *dir = NULL;
	bool is = is_locked(repo_path, pid);

	if (!is && (dir = repo_run_dir(repo_path, false)))
		is = is_locked(dir, pid);
	free(dir);
	return is;
}

/* Which file was bound, so that no other is removed in its place. */
static int socket_remember(const char *dir, struct control_socket *socket)
{
	struct stat file;

	socket->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (socket->dir_fd < 0)
		return -errno;
	socket->bound = true;
	if (fstatat(socket->dir_fd, SOCKET_NAME, &file, AT_SYMLINK_NOFOLLOW))
		return -errno;
	socket->device = file.st_dev;
	socket->inode = file.st_ino;
	return 0;
}

/* Binds the socket in dir, in place of a dead one. */
static int bind_in(const char *dir, struct control_socket *out)
{
	struct sockaddr_un addr;
	int dir_fd, fd = -1, err = socket_addr(dir, &addr, &dir_fd);

	*out = (struct control_socket){ 0 };
	if (!err && unlink(addr.sun_path) && errno != ENOENT)
		err = -errno;
	if (!err) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		err = fd < 0 ? -errno : 0;
	}
	/* Before bind: the file is never there with other rights. */
	if (!err && (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
		     chmod(addr.sun_path, 0600)))
		err = -errno;
	if (!err)
		err = socket_remember(dir, out);
	if (err) {
		control_socket_release(out);
		if (fd >= 0)
			close(fd);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	return err ? err : fd;
}

int control_socket_bind(const char *repo_path, struct control_socket *out)
{
	int fd = bind_in(repo_path, out);

	if (fd == -EROFS) {
		char *dir = repo_run_dir(repo_path, true);

		fd = dir ? bind_in(dir, out) : fd;
		free(dir);
	}
	return fd;
}

void control_socket_release(struct control_socket *socket)
{
	struct stat file;

	if (!socket->bound)
		return;
	if (!fstatat(socket->dir_fd, SOCKET_NAME, &file, AT_SYMLINK_NOFOLLOW) &&
	    file.st_dev == socket->device && file.st_ino == socket->inode)
		unlinkat(socket->dir_fd, SOCKET_NAME, 0);
	close(socket->dir_fd);
	*socket = (struct control_socket){ 0 };
}

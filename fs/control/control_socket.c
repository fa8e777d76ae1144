/* sockaddr_un holds 107 bytes of path. A longer one is reached through a descriptor of the folder:
 * /proc/self/fd/N/control.sock. */
#include "fs/control/control_socket.h"

#include "fs/control.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "control.sock"
#define LOCK_NAME "daemon.lock"

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

int control_socket_connect(const char *repo_path)
{
	struct sockaddr_un addr;
	int dir_fd, fd = -1, err = socket_addr(repo_path, &addr, &dir_fd);

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

/* The lock file tells the owner's pid, for messages: a full disk is no reason not to start. */
int control_lock(const char *repo_path)
{
	char *file = repo_file(repo_path, LOCK_NAME);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : 0;

	if (!err && flock(fd, LOCK_EX | LOCK_NB))
		err = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	if (!err && (ftruncate(fd, 0) || dprintf(fd, "%d\n", (int)getpid()) < 0) && errno != ENOSPC)
		err = -errno;
	free(file);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

int control_owner(const char *repo_path)
{
	char *file = repo_file(repo_path, LOCK_NAME), text[32] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC), pid = 0;

	free(file);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK &&
	    read(fd, text, sizeof(text) - 1) > 0)
		pid = atoi(text);
	close(fd);
	return pid;
}

/* Which file was bound, so that no other is removed in its place. */
static int remember(const char *repo_path, struct control_socket *socket)
{
	struct stat file;

	socket->dir_fd = open(repo_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (socket->dir_fd < 0)
		return -errno;
	socket->bound = true;
	if (fstatat(socket->dir_fd, SOCKET_NAME, &file, AT_SYMLINK_NOFOLLOW))
		return -errno;
	socket->device = file.st_dev;
	socket->inode = file.st_ino;
	return 0;
}

int control_socket_bind(const char *repo_path, struct control_socket *out)
{
	struct sockaddr_un addr;
	int dir_fd, fd = -1, err = socket_addr(repo_path, &addr, &dir_fd);

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
		err = remember(repo_path, out);
	if (err) {
		control_socket_release(out);
		if (fd >= 0)
			close(fd);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	return err ? err : fd;
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

/* The socket file itself: where it is, connecting to it, making it. Any thread. */
#ifndef FS_CONTROL_SOCKET_H
#define FS_CONTROL_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

/* A socket file that was bound. */
struct control_socket {
	bool bound;
	int dir_fd; /* its folder, which may be moved meanwhile */
	dev_t device;
	ino_t inode;
};

/* A connected stream socket (close-on-exec), or -ENOENT / -ECONNREFUSED when no daemon runs,
 * -errno. */
int control_socket_connect(const char *repo_path);
/* Replaces a dead socket file (the caller has control_lock()); a bound socket, mode 0600, not yet
 * listening, or -errno. */
int control_socket_bind(const char *repo_path, struct control_socket *socket);
/* Removes the socket file, wherever its folder was moved, if it still is the one that was bound;
 * ends socket. A zeroed one is ignored. */
void control_socket_release(struct control_socket *socket);

#endif

/* The socket file itself: where it is, connecting to it, making it. Any thread. */
#ifndef FS_CONTROL_SOCKET_H
#define FS_CONTROL_SOCKET_H

/* A connected stream socket (close-on-exec), or -ENOENT / -ECONNREFUSED when no daemon runs,
 * -errno. */
int control_socket_connect(const char *repo_path);
/* Replaces a dead socket file (who calls has control_lock()); a bound socket, mode 0600, not yet
 * listening, or -errno. */
int control_socket_bind(const char *repo_path);
void control_socket_unlink(const char *repo_path);

#endif

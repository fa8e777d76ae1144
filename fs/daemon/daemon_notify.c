/* Tells the manager of services how the daemon stands: the protocol of sd_notify(3), a datagram to
 * the socket that $NOTIFY_SOCKET names. Only where the variable is set: by systemd, for a unit of
 * Type=notify. The loop thread; never waits. */
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path, or with '@' a name outside of the file system. 0: no such address. */
static socklen_t address_of(const char *name, struct sockaddr_un *to)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(to->sun_path))
		return 0;
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(to->sun_path, name, len);
	if (name[0] == '@')
		to->sun_path[0] = 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
}

void daemon_notify_take(struct daemon *daemon)
{
	const char *name = getenv("NOTIFY_SOCKET");

	/* One that `mount` started is not the service itself. */
	if (name && !daemon->options->with_mounts)
		daemon->notify = xstrdup(name);
	unsetenv("NOTIFY_SOCKET"); /* what we run is not the service either */
}

void daemon_notify(struct daemon *daemon, const char *text)
{
	struct sockaddr_un to;
	socklen_t len = daemon->notify ? address_of(daemon->notify, &to) : 0;
	int fd = len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;

	if (!daemon->notify)
		return;
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, len) < 0)
		log_warn("daemon", "cannot tell the manager of services at=%s err=%s",
			 daemon->notify, len ? err_text(-errno) : "not an address");
	if (fd >= 0)
		close(fd);
}

void daemon_notify_status(struct daemon *daemon, const char *fmt, ...)
{
	char status[256] = "STATUS=";
	va_list args;

	va_start(args, fmt);
	vsnprintf(status + 7, sizeof(status) - 7, fmt, args);
	va_end(args);
	daemon_notify(daemon, status);
}

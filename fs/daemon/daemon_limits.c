/* Open files: the process's soft limit, and how much of it sockets to peers may take. The main
 * thread, at the start. */
#include "fs/daemon/daemon_private.h"
#include "net/base/log.h"

#include <dirent.h>
#include <sys/resource.h>

#define RESERVE 512 /* for the control socket's clients, store, mounts and the rest, ... */
#define RESERVE_LEAST                                                                              \
	24	  /* ... of a small limit half, but so many more than are open at the start */
#define DIALS 160 /* sockets that are being connected, beside those that are */
#define SOCKETS_MIN 4

static size_t open_now(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

/* The soft limit, raised to what is wanted as far as the hard one allows. */
static size_t raise_limit(size_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 1024;
	if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
		struct rlimit more = limit;

		more.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	return limit.rlim_cur < wanted ? (size_t)limit.rlim_cur : wanted;
}

unsigned daemon_sockets_max(unsigned connections_max)
{
	size_t wanted = (size_t)connections_max + DIALS + RESERVE;
	size_t limit = raise_limit(wanted), reserve, sockets;

	if (limit >= wanted)
		return connections_max + DIALS;
	reserve = limit / 2 < RESERVE ? limit / 2 : RESERVE;
	if (reserve < open_now() + RESERVE_LEAST)
		reserve = open_now() + RESERVE_LEAST;
	sockets = limit > reserve + SOCKETS_MIN ? limit - reserve : SOCKETS_MIN;
	log_warn("daemon",
		 "at most %zu connections instead of %u (Swarm.ConnectionsMax): "
		 "the limit of open files is %zu (ulimit -n, LimitNOFILE=); %zu would do",
		 sockets, connections_max, limit, wanted);
	return (unsigned)sockets;
}

/* The daemon: the one place that knows all parts. Runs in the foreground, on the calling thread,
 * until SIGTERM, SIGINT (the second ends it at once) or `dagfs shutdown`, in front of a terminal
 * also until SIGHUP; unmounts and frees everything before it returns. */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include "fs/cli.h"

struct daemon_options {
	const char *repo_path;
	bool with_mounts;  /* started by `mount`: ends with its last mount */
	bool json;	   /* what it prints is one object */
	bool offline;	   /* no listening, no routing: only what is stored */
	int ready_fd;	   /* gets one byte when it is ready, then closed; -1: none */
	struct wait *wait; /* how long a daemon that ends is waited for */
};

/* What is written to ready_fd: a newline when the daemon is ready, else "ERRNO TEXT", cut at this
 * many bytes. */
#define DAEMON_REASON_MAX 1024

/* Prints addresses and "Daemon is ready"; as JSON {"Addresses":[...],"Ready":true}. 0, or -errno
 * with *why (malloc'd). */
int daemon_run(const struct daemon_options *options, char **why);

/* Starts `dagfs daemon` in the background by running this program again, and waits until it is
 * ready: before any thread is started or store opened. Its messages go to daemon.log in the
 * repository. 0; -EADDRINUSE: another one was first; -errno; with *why (malloc'd). */
int daemon_spawn(const char *repo_path, bool offline, char **why);

#endif

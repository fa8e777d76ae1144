/* What a mount shows that follows a name: a tree that is switched to what better records lead to.
 * Private to fs/daemon. */
#ifndef FS_DAEMON_FOLLOW_H
#define FS_DAEMON_FOLLOW_H

#include "net/wire/cid.h"
#include "net/wire/key.h"

#include <stdbool.h>

struct daemon;
struct daemon_follow;
struct mount_tree;

struct daemon_follow_config {
	struct peer_id name;
	const char *rest;    /* of the path below the name: "/a/b"; NULL or "": none */
	struct cid root;     /* what it leads to now: a plain directory */
	uint64_t timeout_ms; /* the longest wait for one block */
	bool offline;	     /* blocks are not asked for */
};

/* Any thread; asks nobody. 0 or -errno. */
int daemon_follow_open(struct daemon *daemon, const struct daemon_follow_config *config,
		       struct daemon_follow **out);
/* Borrowed. */
struct mount_tree *daemon_follow_shown(struct daemon_follow *follow);
/* From now on it follows. Loop thread. 0 or -errno. */
int daemon_follow_start(struct daemon_follow *follow);
/* No mount shows it any more. Loop thread; waits for a switch that goes on to be given up. NULL is
 * ignored. */
void daemon_follow_free(struct daemon_follow *follow);

#endif

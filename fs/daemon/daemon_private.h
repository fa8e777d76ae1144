/* Between the files of the daemon. Loop thread only. */
#ifndef FS_DAEMON_PRIVATE_H
#define FS_DAEMON_PRIVATE_H

#include "fs/api/api_runs.h"
#include "fs/daemon/daemon.h"
#include "net/base/list.h"

#include <uv.h>

#define DAEMON_BOOTSTRAP_MAX 64
#define DAEMON_LISTEN_MAX 256
#define DAEMON_ROUTING_OFF "routing is off (Routing.Type is none, or --offline)"
#define DAEMON_ANNOUNCE_MAX 64 /* as many as identify tells */

struct daemon {
	const struct daemon_options *options;
	struct loop *loop;
	struct random random;
	struct repo *repo;
	struct swarm *swarm;
	struct autonat *autonat;
	struct peering *peering; /* NULL: --offline */
	void (*net_stopped)(void *ctx);
	struct router *wan, *lan; /* parts of router; NULL: not used */
	struct router *router;	  /* NULL: no routing at all */
	struct announcer *wan_announcer,
		*lan_announcer; /* of what the repository provides; or NULL */
	struct names *names;
	struct daemon_names *names_work; /* what names has others do; NULL: not started */
	struct exchange *exchange;
	struct fetcher *fetcher; /* for mounts and pins */
	struct control_server *control;
	uv_signal_t signals[3];
	unsigned signal_count;
	struct timer deadline;	    /* of stopping */
	struct timer idle;	    /* with_mounts: nobody needs it */
	struct list mounts;	    /* struct daemon_mount */
	struct daemon_saved *saved; /* NULL: not started, or ended */
	char *notify;		    /* the socket of the manager of services; NULL: none */
	struct list jobs;	    /* calls on threads of their own */
	struct shares *shares;	    /* NULL: not started, or closed */
	struct daemon_shares *shares_work;
	struct daemon_pins *pins;			   /* NULL: not started, or ended */
	struct daemon_followed *followed, *followed_ended; /* of pins; NULL likewise */
	bool stopping, had_mount; /* had_mount: or `mount` gave up: it may end at once */
};

/* daemon.c */
void daemon_stop(struct daemon *daemon);
/* While stopping, after a part with a thread ended: the network is next when it was the last one.
 */
void daemon_part_gone(struct daemon *daemon);
/* After the last mount went, while stopping or not. */
void daemon_mounts_gone(struct daemon *daemon);
/* Ends a daemon that `mount` started when it has neither mounts nor clients. It does so a moment
 * later, so that an unmount is answered and a command that is about to mount still finds it. */
void daemon_look_idle(void *daemon);

/* daemon_net.c: swarm, routing, exchange from the configuration. -errno with *why. */
int daemon_net_start(struct daemon *daemon, char **why);
void daemon_net_stop(struct daemon *daemon, void (*done)(void *ctx));
/* Publishes what the table "provide" says. */
void daemon_provide_changed(struct daemon *daemon);
/* Our addresses: those we listen on if listening is set, else those that others are told. Each has
 * /p2p/ID if with_id is set. A new array. */
json_t *daemon_addrs(const struct daemon *daemon, bool listening, bool with_id);

/* daemon_limits.c: raises the soft limit of open files to what so many connections need, as far as
 * it may, and returns how many sockets to peers fit beside everything else. Warns when that is
 * less. */
unsigned daemon_sockets_max(unsigned connections_max);

/* daemon_peers.c: keeps the peers of the configuration and those of before. */
void daemon_peers_start(struct daemon *daemon);
void daemon_peers_stop(struct daemon *daemon);
/* A person connected to it. */
void daemon_peer_asked(struct daemon *daemon, const struct peer_id *peer,
		       const struct multiaddr *addr);

/* daemon_names.c: after the router, and before it is closed. */
void daemon_names_start(struct daemon *daemon);
void daemon_names_stop(struct daemon *daemon);
/* After the loop has run all that was posted. */
void daemon_names_free(struct daemon *daemon);

/* daemon_shares.c: after the network has started. */
void daemon_shares_start(struct daemon *daemon);
/* Closes them on a thread, when nobody uses them any more; daemon_part_gone() runs then. True: they
 * are closed. Any number of times. */
bool daemon_shares_stop(struct daemon *daemon);
/* After the loop has run all that was posted. */
void daemon_shares_free(struct daemon *daemon);
/* Records of names were made, or what is provided changed. Any thread but the loop's. */
void daemon_shares_told(struct daemon *daemon);

/* daemon_ask.c: as the ask() of struct api_host. */
int daemon_ask(struct daemon *daemon, const char *call, json_t *args, struct wait *wait,
	       api_asked_fn *item, void *ctx, char **why);

/* daemon_namespace.c: what mounts of the namespace show beside ipfs/. New; freed after the mount
 * ended. NULL is ignored. */
struct daemon_namespace *daemon_namespace_new(struct daemon *daemon);
void daemon_namespace_free(struct daemon_namespace *space);
const struct mount_names *daemon_namespace_names(struct daemon_namespace *space);

/* daemon_mounts.c */
void daemon_mounts_stop(struct daemon *daemon);
/* Does this daemon show something there, under its name? */
bool daemon_mount_runs(const struct daemon *daemon, const char *mountpoint);

/* daemon_saved.c: mounts what is saved, on and on until it is mounted. After a stop
 * daemon_part_gone() runs when the last process is gone; daemon_saved_gone(): is it so? */
void daemon_saved_start(struct daemon *daemon);
void daemon_saved_stop(struct daemon *daemon);
bool daemon_saved_gone(struct daemon *daemon);

/* daemon_notify.c: to the manager of services, if there is one: assignments like READY=1, by lines.
 * daemon_notify_take() comes first, before other programs are run. */
void daemon_notify_take(struct daemon *daemon);
void daemon_notify(struct daemon *daemon, const char *text);
void daemon_notify_status(struct daemon *daemon, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* daemon_calls.c: {"ID", "Addrs"} of a peer. */
json_t *daemon_peer_json(const struct peer_info *info);
/* Addresses as texts, each with /p2p/ID when id is not NULL. A new array. */
json_t *daemon_addrs_json(const struct multiaddr *addrs, size_t count, const struct peer_id *id);

#endif

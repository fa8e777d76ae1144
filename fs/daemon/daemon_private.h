/* Between the files of the daemon. Loop thread only. */
#ifndef FS_DAEMON_PRIVATE_H
#define FS_DAEMON_PRIVATE_H

#include "fs/daemon/daemon.h"
#include "net/base/list.h"

#include <uv.h>

#define DAEMON_BOOTSTRAP_MAX 64
#define DAEMON_LISTEN_MAX 256
#define DAEMON_ANNOUNCE_MAX 64 /* as many as identify tells */

struct daemon {
	const struct daemon_options *options;
	struct loop *loop;
	struct random random;
	struct repo *repo;
	struct swarm *swarm;
	struct autonat *autonat;
	void (*net_stopped)(void *ctx);
	struct router *wan, *lan; /* parts of router; NULL: not used */
	struct router *router;	  /* NULL: no routing at all */
	struct exchange *exchange;
	struct fetcher *fetcher; /* for mounts and pins */
	struct control_server *control;
	uv_signal_t signals[3];
	unsigned signal_count;
	struct timer deadline;	  /* of stopping */
	struct timer idle;	  /* with_mounts: nobody needs it */
	struct list mounts;	  /* struct daemon_mount */
	struct daemon_pins *pins; /* NULL: not started, or ended */
	bool stopping, had_mount; /* had_mount: or `mount` gave up: it may end at once */
};

/* daemon.c */
void daemon_stop(struct daemon *daemon);
/* While stopping, after a part with a thread ended: the network is next when it was the last one.
 */
void daemon_part_gone(struct daemon *daemon);
/* After the last mount went, while stopping or not. */
void daemon_mounts_gone(struct daemon *daemon);
/* A daemon that `mount` started ends, soon, when it has neither mounts nor clients: who has just unmounted is answered, and
 * who is about to mount finds it. */
void daemon_look_idle(void *daemon);

/* daemon_net.c: swarm, routing, exchange from the configuration. -errno with *why. */
int daemon_net_start(struct daemon *daemon, char **why);
void daemon_net_stop(struct daemon *daemon, void (*done)(void *ctx));
/* daemon_limits.c: raises the soft limit of open files to what so many connections need, as far as it may, and
 * returns how many sockets to peers fit beside everything else. Warns when that is less. */
unsigned daemon_sockets_max(unsigned connections_max);

/* Publishes what the table "provide" says. */
void daemon_provide_changed(struct daemon *daemon);
/* Our addresses, those that others are told or those we listen on, each with /p2p/ID when with_id. A new array. */
json_t *daemon_addrs(const struct daemon *daemon, bool listening, bool with_id);

/* daemon_mounts.c */
void daemon_mounts_stop(struct daemon *daemon);
void daemon_call_mount(void *ctx, struct control_request *request, json_t *args);
void daemon_call_umount(void *ctx, struct control_request *request, json_t *args);
void daemon_call_mount_wait(void *ctx, struct control_request *request, json_t *args);
void daemon_call_mounts(void *ctx, struct control_request *request, json_t *args);

/* daemon_ops.c: calls that take their time */
void daemon_call_connect(void *ctx, struct control_request *request, json_t *args);
void daemon_call_ping(void *ctx, struct control_request *request, json_t *args);
void daemon_call_findprovs(void *ctx, struct control_request *request, json_t *args);
void daemon_call_findpeer(void *ctx, struct control_request *request, json_t *args);
void daemon_call_provide(void *ctx, struct control_request *request, json_t *args);

/* daemon_calls.c: the table of all */
extern const struct control_command daemon_commands[];
/* args' member as a peer id; false after the request was answered with an error. */
bool daemon_arg_peer(struct control_request *request, const json_t *args, struct peer_id *id);
/* {"ID", "Addrs"} of a peer. */
json_t *daemon_peer_json(const struct peer_info *info);

#endif

/* Mounts of the daemon. Mounting and unmounting block, so each runs on a thread that lives for that
 * long and posts back. One mount at a time has a mountpoint; others wait for what becomes of it.
 *
 *   WAITING --the place is free--> STARTING --mounted--> RUNNING --end--> STOPPING --> gone
 *       \--taken--> gone               \--failed--> gone    ^------busy------/
 *
 * end: umount, unmounted from outside, or the daemon stops. The loop thread, but for these steps.
 */
#include "fs/daemon/daemon_follow.h"
#include "fs/daemon/daemon_private.h"
#include "fs/mount.h"
#include "fs/mount/tree.h"
#include "fs/shares.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>

#define MOUNTS_MAX 64
#define SHARE_WAIT_MS 30000 /* for its tree to open */

enum mount_state { MOUNT_WAITING, MOUNT_STARTING, MOUNT_RUNNING, MOUNT_STOPPING };

struct daemon_mount {
	struct list node;
	struct daemon *daemon;
	enum mount_state state;
	char *mountpoint, *source, *options;
	struct mount_config config;
	struct daemon_follow_config name; /* that is followed; not set: none */
	struct daemon_follow *follow;
	char *rest;			/* of name */
	uint32_t share_id;		/* 0: none */
	struct share *share;		/* used while it is shown */
	struct daemon_namespace *space; /* NULL: something else is mounted */
	struct mount *mount;
	bool ended;	       /* unmounted from outside */
	bool detached;	       /* nobody reaches it by name: served on, but not told of */
	bool force;	       /* of the present step */
	bool want_force;       /* some umount asked for it */
	struct api_call *call; /* the call that waits for the mount; may be NULL */
	struct list waiters;   /* struct waiter */
	pthread_t thread;      /* of the present step */
	struct inbox_item step, end, detach;
	int err;
	char *why;
};

/* A call that waits for the end of a mount: it asked for that (umount), or it only waits (mount
 * -f). */
struct waiter {
	struct list node;
	struct api_call *call;
	bool umount;
};

static void waiter_end(struct waiter *waiter, int err, const char *message)
{
	list_remove(&waiter->node);
	api_end(waiter->call, err, message);
	free(waiter);
}

static struct waiter *waiter_add(struct daemon_mount *mount, struct api_call *call, bool umount)
{
	struct waiter *waiter = xnew(struct waiter);

	waiter->call = call;
	waiter->umount = umount;
	list_add_tail(&mount->waiters, &waiter->node);
	return waiter;
}

static bool umount_is_wanted(struct daemon_mount *mount)
{
	list_for_each(waiter, &mount->waiters, struct waiter, node)
		if (waiter->umount)
			return true;
	return false;
}

/* Told to calls that only wait. */
static void end_waiting(struct daemon_mount *mount)
{
	list_for_each_safe(waiter, &mount->waiters, struct waiter, node)
		if (!waiter->umount)
			waiter_end(waiter, 0, NULL);
}

/* Unmounting failed: calls that only wait go on waiting. */
static void refuse_umounts(struct daemon_mount *mount, int err, const char *message)
{
	mount->want_force = false;
	list_for_each_safe(waiter, &mount->waiters, struct waiter, node)
		if (waiter->umount)
			waiter_end(waiter, err, message);
}

/* The call's end; NULL when nobody waits. */
static void mounts_reply(struct daemon_mount *mount, int err, const char *message)
{
	struct api_call *call = mount->call;

	mount->call = NULL;
	if (call)
		api_end(call, err, message);
}

/* umount_err: for the calls that asked for the unmount. */
static void mount_drop(struct daemon_mount *mount, int umount_err)
{
	list_remove(&mount->node);
	end_waiting(mount);
	refuse_umounts(mount, umount_err, NULL);
	shares_release(mount->share);
	daemon_namespace_free(mount->space);
	daemon_follow_free(mount->follow);
	free(mount->rest);
	free(mount->mountpoint);
	free(mount->source);
	free(mount->options);
	free(mount->why);
	free(mount);
}

/* One that waits for the place, or the one that has it. */
static struct daemon_mount *find_mount(struct daemon *daemon, const char *mountpoint, bool waiting)
{
	list_for_each(mount, &daemon->mounts, struct daemon_mount, node)
		if (!mount->detached && (mount->state == MOUNT_WAITING) == waiting &&
		    !strcmp(mount->mountpoint, mountpoint))
			return mount;
	return NULL;
}

static void mounts_start(struct daemon_mount *mount);

/* The next one's turn, when nobody has the place. */
static void start_next(struct daemon *daemon, const char *mountpoint)
{
	struct daemon_mount *next = find_mount(daemon, mountpoint, true);

	if (next && !daemon->stopping && !find_mount(daemon, mountpoint, false))
		mounts_start(next);
}

static void mount_free(struct daemon_mount *mount, int umount_err)
{
	struct daemon *daemon = mount->daemon;
	char *mountpoint = xstrdup(mount->mountpoint);

	mount_drop(mount, umount_err);
	start_next(daemon, mountpoint);
	free(mountpoint);
	if (list_empty(&daemon->mounts))
		daemon_mounts_gone(daemon);
}

/* The place is taken and stays so. */
static void refuse_waiting(struct daemon *daemon, const char *mountpoint)
{
	struct daemon_mount *mount;

	while ((mount = find_mount(daemon, mountpoint, true))) {
		mounts_reply(mount, -EBUSY, "something of dagfs is mounted there already");
		mount_drop(mount, 0);
	}
}

/* ---- stopping ---- */

static void stop(struct daemon_mount *mount, bool force);

static void on_stopped(struct inbox_item *item)
{
	struct daemon_mount *mount = container_of(item, struct daemon_mount, step);

	pthread_join(mount->thread, NULL);
	if (!mount->err) {
		mount_free(mount, 0);
		return;
	}
	mount->state = MOUNT_RUNNING;
	if (mount->daemon->stopping || mount->ended || (mount->want_force && !mount->force)) {
		stop(mount, true);
		return;
	}
	refuse_umounts(mount, mount->err,
		       mount->err == -EBUSY
			       ? "files are open below the mountpoint: close them, or --force"
			       : NULL);
	if (!mount->detached)
		refuse_waiting(mount->daemon, mount->mountpoint);
}

static void *run_stop(void *ctx)
{
	struct daemon_mount *mount = ctx;

	mount->err = mount_stop(mount->mount, mount->force);
	mount->step.run = on_stopped;
	loop_post(mount->daemon->loop, &mount->step);
	return NULL;
}

static void stop(struct daemon_mount *mount, bool force)
{
	int err;

	mount->state = MOUNT_STOPPING;
	mount->force = force;
	err = thread_start(&mount->thread, run_stop, mount);
	if (!err)
		return;
	mount->state = MOUNT_RUNNING;
	refuse_umounts(mount, err, NULL);
	log_error("daemon", "cannot unmount mountpoint=%s err=%s", mount->mountpoint,
		  err_text(err));
}

static void on_ended(struct inbox_item *item)
{
	struct daemon_mount *mount = container_of(item, struct daemon_mount, end);

	mount->ended = true;
	if (mount->state == MOUNT_RUNNING)
		stop(mount, true);
}

/* A thread of the mount. */
static void on_end(void *ctx)
{
	struct daemon_mount *mount = ctx;

	mount->end.run = on_ended;
	loop_post(mount->daemon->loop, &mount->end);
}

static void on_left_table(struct inbox_item *item)
{
	struct daemon_mount *mount = container_of(item, struct daemon_mount, detach);

	mount->detached = true;
	end_waiting(mount);
	start_next(mount->daemon, mount->mountpoint);
}

/* A thread of the mount. */
static void on_detached(void *ctx)
{
	struct daemon_mount *mount = ctx;

	mount->detach.run = on_left_table;
	loop_post(mount->daemon->loop, &mount->detach);
}

/* Clients are cut off already: a command that waits for its mount finds out, and turns to the next
 * daemon. */
void daemon_mounts_stop(struct daemon *daemon)
{
	list_for_each_safe(mount, &daemon->mounts, struct daemon_mount, node) {
		if (mount->state == MOUNT_RUNNING) {
			stop(mount, true);
		} else if (mount->state == MOUNT_WAITING) {
			mounts_reply(mount, -ECANCELED, NULL);
			mount_drop(mount, 0);
		}
	}
}

/* ---- starting ---- */

static void follow_name(struct daemon_mount *mount)
{
	int err = daemon_follow_start(mount->follow);

	if (err)
		log_error("daemon", "a mount does not follow its name mountpoint=%s err=%s",
			  mount->mountpoint, err_text(err));
}

static void on_started(struct inbox_item *item)
{
	struct daemon_mount *mount = container_of(item, struct daemon_mount, step);
	struct daemon *daemon = mount->daemon;
	bool unwanted = daemon->stopping || mount->ended || (mount->call && mount->call->cancelled);

	pthread_join(mount->thread, NULL);
	if (mount->err) {
		mounts_reply(mount, mount->err, mount->why);
		mount_free(mount, -ENOENT);
		return;
	}
	daemon->had_mount = true;
	mount->state = MOUNT_RUNNING;
	if (mount->follow && !unwanted)
		follow_name(mount);
	mounts_reply(mount, unwanted ? -ECANCELED : 0, NULL);
	if (unwanted || umount_is_wanted(mount))
		stop(mount, unwanted || mount->want_force);
	else
		refuse_waiting(daemon, mount->mountpoint);
}

/* The tree that is to be shown. */
static int open_share(struct daemon_mount *mount)
{
	struct wait wait;
	int err = wait_init(&wait);

	if (err)
		return err;
	wait_start(&wait, SHARE_WAIT_MS);
	err = shares_open(mount->daemon->shares, mount->share_id, &wait, &mount->share);
	wait_release(&wait);
	if (!err)
		mount->config.tree = share_shown(mount->share);
	else
		mount->why = xasprintf("cannot open share %s: %s", mount->config.source,
				       err == -EBUSY	? "another process has it open"
				       : err == -ENOKEY ? "its key is not in the keystore"
							: err_text(err));
	return err;
}

/* What the name leads to now, and later. */
static int open_follow(struct daemon_mount *mount)
{
	int err;

	mount->name.rest = mount->rest;
	mount->name.root = mount->config.root;
	mount->name.timeout_ms = mount->config.timeout_ms;
	mount->name.offline = mount->config.offline;
	err = daemon_follow_open(mount->daemon, &mount->name, &mount->follow);
	if (!err)
		mount->config.tree = daemon_follow_shown(mount->follow);
	return err;
}

static void *run_start(void *ctx)
{
	struct daemon_mount *mount = ctx;
	struct daemon *daemon = mount->daemon;

	if (mount->share_id)
		mount->err = open_share(mount);
	else if (peer_id_is_set(&mount->name.name))
		mount->err = open_follow(mount);
	if (!mount->err)
		mount->err =
			mount_start(&mount->config, daemon->repo->store,
				    mount->config.offline ? NULL : daemon->fetcher,
				    daemon->repo->db, on_end, mount, &mount->mount, &mount->why);
	mount->step.run = on_started;
	loop_post(daemon->loop, &mount->step);
	return NULL;
}

static void mounts_start(struct daemon_mount *mount)
{
	int err;

	mount->state = MOUNT_STARTING;
	api_on_cancel(mount->call, NULL, NULL);
	err = thread_start(&mount->thread, run_start, mount);
	if (err) {
		mounts_reply(mount, err, NULL);
		mount_free(mount, -ENOENT);
	}
}

static void on_waiting_cancelled(void *ctx)
{
	struct daemon_mount *mount = ctx;

	mounts_reply(mount, -ECANCELED, NULL);
	mount_free(mount, 0);
}

/* Unmounted from outside, and our threads have not been told yet? */
static bool is_in_place(const struct daemon_mount *mount)
{
	return mount->state == MOUNT_RUNNING && !mount->ended && mount_is_at(mount->mountpoint);
}

static unsigned mounts_count(const struct daemon *daemon)
{
	unsigned count = 0;

	list_for_each(mount, &daemon->mounts, struct daemon_mount, node)
		count++;
	return count;
}

static char *text_arg(const json_t *args, const char *name)
{
	const char *text = api_text(args, name);

	return text ? xstrdup(text) : NULL;
}

static struct daemon_mount *mount_new(struct daemon *daemon, const json_t *args)
{
	struct daemon_mount *mount = xnew(struct daemon_mount);
	struct mount_config *config = &mount->config;
	const char *root = api_text(args, "root");

	mount->daemon = daemon;
	mount->mountpoint = text_arg(args, "mountpoint");
	mount->source = text_arg(args, "source");
	mount->options = text_arg(args, "options");
	config->mountpoint = mount->mountpoint;
	config->source = mount->source ? mount->source : "dagfs";
	config->options = mount->options;
	config->timeout_ms = (uint64_t)api_int(args, "timeout");
	config->allow_other = api_flag(args, "allow_other");
	config->offline = api_flag(args, "offline");
	config->on_detached = on_detached;
	mount->share_id = (uint32_t)api_int(args, "share");
	if (!root && !mount->share_id) {
		mount->space = daemon_namespace_new(daemon);
		config->names = daemon_namespace_names(mount->space);
	}
	if (root && cid_from_text(&config->root, root))
		config->root.len = 0;
	mount->rest = text_arg(args, "rest");
	if (root && api_text(args, "name") &&
	    peer_id_from_text(&mount->name.name, api_text(args, "name")))
		mount->name.name.len = 0;
	list_init(&mount->waiters);
	list_add_tail(&daemon->mounts, &mount->node);
	return mount;
}

void daemon_run_mount(struct api_call *call)
{
	struct daemon *daemon = call->host;
	const json_t *args = call->args;
	const char *mountpoint = api_text(args, "mountpoint");
	const char *root = api_text(args, "root");
	struct daemon_mount *mount, *before;
	struct cid cid;

	if (!mountpoint || mountpoint[0] != '/' || (root && cid_from_text(&cid, root)) ||
	    api_int(args, "share") < 0 || api_int(args, "share") > UINT32_MAX) {
		api_end(call, -EINVAL, "mount: bad arguments");
		return;
	}
	before = find_mount(daemon, mountpoint, false);
	if ((before && is_in_place(before)) || mounts_count(daemon) >= MOUNTS_MAX) {
		api_end(call, -EBUSY,
			before ? "something of dagfs is mounted there already" : "too many mounts");
		return;
	}
	mount = mount_new(daemon, args);
	mount->call = call;
	if (before)
		api_on_cancel(call, on_waiting_cancelled, mount);
	else
		mounts_start(mount);
}

/* ---- umount, waiting, listing ---- */

/* While it is being mounted or unmounted, that is waited for. */
void daemon_run_umount(struct api_call *call)
{
	const json_t *args = call->args;
	const char *mountpoint = api_text(args, "mountpoint");
	struct daemon_mount *mount = mountpoint ? find_mount(call->host, mountpoint, false) : NULL;

	if (!mount) {
		api_end(call, -ENOENT, "the daemon has mounted nothing there");
		return;
	}
	waiter_add(mount, call, true);
	mount->want_force |= api_flag(args, "force");
	if (mount->state == MOUNT_RUNNING)
		stop(mount, mount->want_force);
}

static void on_wait_cancelled(void *ctx)
{
	waiter_end(ctx, -ECANCELED, NULL);
}

void daemon_run_mount_wait(struct api_call *call)
{
	const json_t *args = call->args;
	const char *mountpoint = api_text(args, "mountpoint");
	struct daemon_mount *mount = mountpoint ? find_mount(call->host, mountpoint, false) : NULL;

	if (!mount)
		api_end(call, 0, NULL); /* it has gone already */
	else
		api_on_cancel(call, on_wait_cancelled, waiter_add(mount, call, false));
}

bool daemon_mount_runs(const struct daemon *daemon, const char *mountpoint)
{
	struct daemon_mount *mount = find_mount((struct daemon *)daemon, mountpoint, false);

	return mount && is_in_place(mount);
}

void daemon_run_mounts(struct api_call *call)
{
	struct daemon *daemon = call->host;

	list_for_each(mount, &daemon->mounts, struct daemon_mount, node)
		if (mount->state == MOUNT_RUNNING && !mount->detached)
			api_item(call, json_pack("{s:s, s:s}", "Mountpoint", mount->mountpoint,
						 "Source", mount->config.source));
	api_end(call, 0, NULL);
}

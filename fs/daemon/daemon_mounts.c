/* Mounts of the daemon. Mounting and unmounting block, so each runs on a thread that lives for that
 * long and posts back.
 *
 *   STARTING --mounted--> RUNNING --umount, unmounted from outside, daemon stops--> STOPPING -->
 * gone
 *       \--failed--> gone                ^------------------ busy --------------------/
 */
#include "fs/daemon/daemon_private.h"
#include "fs/mount.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <stdlib.h>
#include <string.h>

#define MOUNTS_MAX 64

enum mount_state { MOUNT_STARTING, MOUNT_RUNNING, MOUNT_STOPPING };

struct daemon_mount {
	struct list node;
	struct daemon *daemon;
	enum mount_state state;
	char *mountpoint, *source, *options;
	struct mount_config config;
	struct mount *mount;
	bool ended; /* unmounted from outside */
	bool detached; /* nobody reaches it by name: served on, but not told of */
	bool force;
	struct control_request *request; /* who waits for the present step; may be NULL */
	struct control_request *waiter;	 /* who waits for its end; may be NULL */
	pthread_t thread;		 /* of the present step */
	struct inbox_item step, end, detach;
	int err;
	char *why;
};

static void end_waiting(struct daemon_mount *mount)
{
	struct control_request *waiter = mount->waiter;

	mount->waiter = NULL;
	if (!waiter)
		return;
	control_on_cancel(waiter, NULL, NULL);
	control_done(waiter, 0, NULL, NULL);
}

static void mount_free(struct daemon_mount *mount)
{
	struct daemon *daemon = mount->daemon;

	list_remove(&mount->node);
	end_waiting(mount);
	free(mount->mountpoint);
	free(mount->source);
	free(mount->options);
	free(mount->why);
	free(mount);
	if (list_empty(&daemon->mounts))
		daemon_mounts_gone(daemon);
}

/* The request's end; NULL when nobody waits. */
static void reply(struct daemon_mount *mount, int err, const char *message)
{
	struct control_request *request = mount->request;

	mount->request = NULL;
	if (!request)
		return;
	control_on_cancel(request, NULL, NULL);
	control_done(request, err, NULL, message);
}

/* ---- stopping ---- */

static void stop(struct daemon_mount *mount, bool force);

static void on_stopped(struct inbox_item *item)
{
	struct daemon_mount *mount = container_of(item, struct daemon_mount, step);

	pthread_join(mount->thread, NULL);
	if (!mount->err) {
		reply(mount, 0, NULL);
		mount_free(mount);
		return;
	}
	mount->state = MOUNT_RUNNING;
	reply(mount, mount->err,
	      mount->err == -EBUSY ? "files are open below the mountpoint: close them, or --force"
				   : NULL);
	if (mount->daemon->stopping || mount->ended)
		stop(mount, true);
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
	reply(mount, err, NULL);
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
}

/* A thread of the mount. */
static void on_detached(void *ctx)
{
	struct daemon_mount *mount = ctx;

	mount->detach.run = on_left_table;
	loop_post(mount->daemon->loop, &mount->detach);
}

void daemon_mounts_stop(struct daemon *daemon)
{
	list_for_each_safe(mount, &daemon->mounts, struct daemon_mount,
			   node) if (mount->state == MOUNT_RUNNING) stop(mount, true);
}

/* ---- starting ---- */

static void on_started(struct inbox_item *item)
{
	struct daemon_mount *mount = container_of(item, struct daemon_mount, step);
	struct daemon *daemon = mount->daemon;
	bool unwanted = daemon->stopping || mount->ended ||
			(mount->request && control_cancelled(mount->request));

	pthread_join(mount->thread, NULL);
	if (mount->err) {
		reply(mount, mount->err, mount->why);
		mount_free(mount);
		return;
	}
	daemon->had_mount = true;
	mount->state = MOUNT_RUNNING;
	reply(mount, unwanted ? -ECANCELED : 0, NULL);
	if (unwanted)
		stop(mount, true);
}

static void *run_start(void *ctx)
{
	struct daemon_mount *mount = ctx;
	struct daemon *daemon = mount->daemon;

	mount->err = mount_start(&mount->config, daemon->repo->store,
				 mount->config.offline ? NULL : daemon->fetcher, daemon->repo->db,
				 on_end, mount, &mount->mount, &mount->why);
	mount->step.run = on_started;
	loop_post(daemon->loop, &mount->step);
	return NULL;
}

static struct daemon_mount *find_mount(struct daemon *daemon, const char *mountpoint)
{
	list_for_each(mount, &daemon->mounts, struct daemon_mount,
		      node) if (!mount->detached &&
				strcmp(mount->mountpoint, mountpoint) == 0) return mount;
	return NULL;
}

static unsigned mounts_count(const struct daemon *daemon)
{
	unsigned count = 0;

	list_for_each(mount, &daemon->mounts, struct daemon_mount, node) count++;
	return count;
}

static char *text_arg(const json_t *args, const char *name)
{
	const char *text = json_string_value(json_object_get(args, name));

	return text ? xstrdup(text) : NULL;
}

static struct daemon_mount *mount_new(struct daemon *daemon, const json_t *args)
{
	struct daemon_mount *mount = xnew(struct daemon_mount);
	struct mount_config *config = &mount->config;
	const char *root = json_string_value(json_object_get(args, "root"));

	mount->daemon = daemon;
	mount->mountpoint = text_arg(args, "mountpoint");
	mount->source = text_arg(args, "source");
	mount->options = text_arg(args, "options");
	config->mountpoint = mount->mountpoint;
	config->source = mount->source ? mount->source : "dagfs";
	config->options = mount->options;
	config->on_detached = on_detached;
	config->timeout_ms = (uint64_t)json_integer_value(json_object_get(args, "timeout_ms"));
	config->allow_other = json_is_true(json_object_get(args, "allow_other"));
	config->offline = json_is_true(json_object_get(args, "offline"));
	if (root && cid_from_text(&config->root, root))
		config->root.len = 0;
	list_add_tail(&daemon->mounts, &mount->node);
	return mount;
}

void daemon_call_mount(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	const char *mountpoint = json_string_value(json_object_get(args, "mountpoint"));
	const char *root = json_string_value(json_object_get(args, "root"));
	struct daemon_mount *mount;
	struct cid cid;
	int err;

	if (!mountpoint || mountpoint[0] != '/' || (root && cid_from_text(&cid, root))) {
		control_done(request, -EINVAL, NULL, "mount: bad arguments");
		return;
	}
	if (find_mount(daemon, mountpoint) || mounts_count(daemon) >= MOUNTS_MAX) {
		control_done(request, -EBUSY, NULL,
			     find_mount(daemon, mountpoint)
				     ? "something of dagfs is mounted there already"
				     : "too many mounts");
		return;
	}
	mount = mount_new(daemon, args);
	mount->request = request;
	err = thread_start(&mount->thread, run_start, mount);
	if (err) {
		reply(mount, err, NULL);
		mount_free(mount);
	}
}

/* ---- umount, waiting, listing ---- */

void daemon_call_umount(void *ctx, struct control_request *request, json_t *args)
{
	const char *mountpoint = json_string_value(json_object_get(args, "mountpoint"));
	struct daemon_mount *mount = mountpoint ? find_mount(ctx, mountpoint) : NULL;

	if (!mount) {
		control_done(request, -ENOENT, NULL, "the daemon has mounted nothing there");
	} else if (mount->state != MOUNT_RUNNING) {
		control_done(request, -EBUSY, NULL, "it is being mounted or unmounted just now");
	} else {
		mount->request = request;
		stop(mount, json_is_true(json_object_get(args, "force")));
	}
}

static void on_wait_cancelled(void *ctx)
{
	struct daemon_mount *mount = ctx;
	struct control_request *waiter = mount->waiter;

	mount->waiter = NULL;
	control_done(waiter, -ECANCELED, NULL, NULL);
}

void daemon_call_mount_wait(void *ctx, struct control_request *request, json_t *args)
{
	const char *mountpoint = json_string_value(json_object_get(args, "mountpoint"));
	struct daemon_mount *mount = mountpoint ? find_mount(ctx, mountpoint) : NULL;

	if (!mount) {
		control_done(request, 0, NULL, NULL); /* it has gone already */
	} else if (mount->waiter) {
		control_done(request, -EBUSY, NULL, "somebody waits for it already");
	} else {
		mount->waiter = request;
		control_on_cancel(request, on_wait_cancelled, mount);
	}
}

void daemon_call_mounts(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;

	(void)args;
	list_for_each(mount, &daemon->mounts, struct daemon_mount,
		      node) if (mount->state == MOUNT_RUNNING && !mount->detached)
		control_item(request, json_pack("{s:s, s:s}", "Mountpoint", mount->mountpoint,
						"Source", mount->config.source));
	control_done(request, 0, NULL, NULL);
}

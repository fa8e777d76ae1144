/* The namespace of a mount: its own shares, and what names lead to. A share that was shown stays
 * used until the mount ends. Threads of the mount. */
#include "fs/api/api_ipns.h"
#include "fs/api/api_names.h"
#include "fs/daemon/daemon_private.h"
#include "fs/mount.h"
#include "fs/mount/tree.h"
#include "fs/shares.h"
#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/base/wait.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BELIEVED_MIN_MS 1000
#define BELIEVED_MAX_MS 60000

struct daemon_namespace {
	struct daemon *daemon;
	struct api_host host; /* for resolving */
	struct mount_names names;
	pthread_mutex_t lock;		/* guards what follows */
	struct share *used[SHARES_MAX]; /* once each */
	size_t count;
};

/* ---- shares ---- */

/* Takes the use over, unless it has one already. */
static struct mount_tree *namespace_keep(struct daemon_namespace *space, struct share *share)
{
	bool known = false;

	pthread_mutex_lock(&space->lock);
	for (size_t i = 0; i < space->count; i++)
		known |= space->used[i] == share;
	known |= space->count == SHARES_MAX; /* there are no more */
	if (!known)
		space->used[space->count++] = share;
	pthread_mutex_unlock(&space->lock);
	struct mount_tree *shown = mount_tree_ref(share_shown(share));

	if (known)
		shares_release(share);
	return shown;
}

static int give_my(void *ctx, struct wait *wait, struct mount_tree **out)
{
	struct daemon_namespace *space = ctx;
	struct share *share;
	int err = shares_my(space->daemon->shares, wait, &share);

	if (!err)
		*out = namespace_keep(space, share);
	return err;
}

static int give_share(void *ctx, const char *name, struct wait *wait, struct mount_tree **out)
{
	struct daemon_namespace *space = ctx;
	struct share_record record;
	struct share *share;
	int err = shares_find(space->daemon->repo, name, &record);

	if (!err)
		err = shares_open(space->daemon->shares, record.id, wait, &share);
	if (!err)
		*out = namespace_keep(space, share);
	return err;
}

struct listing {
	int (*each)(void *ctx, const char *name);
	void *ctx;
};

static int list_share(void *ctx, const struct share_record *record)
{
	const struct listing *listing = ctx;

	return strcmp(record->name, SHARE_MY) ? listing->each(listing->ctx, record->name) : 0;
}

static int each_share(void *ctx, int (*each)(void *ctx, const char *name), void *each_ctx)
{
	struct daemon_namespace *space = ctx;
	struct listing listing = { each, each_ctx };
	struct db *work;
	int err = repo_work(space->daemon->repo, false, &work);

	if (!err)
		err = share_each(work, list_share, &listing);
	return err == -ENOENT ? 0 : err;
}

/* ---- names ---- */

static int host_ask(struct api_host *host, const char *call, json_t *args, struct wait *wait,
		    api_asked_fn *item, void *ctx, char **why)
{
	return daemon_ask(container_of(host, struct daemon_namespace, host)->daemon, call, args,
			  wait, item, ctx, why);
}

static int resolve(struct daemon_namespace *space, const char *path, struct wait *wait,
		   struct cid *root, uint64_t *ttl_ms, char **why)
{
	struct daemon *daemon = space->daemon;
	struct blocks *blocks = blocks_new(daemon->repo->store, daemon->fetcher);
	char *fixed = NULL;
	int err = api_name_resolve(&space->host, path, API_NAME_STEPS_MAX, NULL, wait, &fixed,
				   ttl_ms, why);

	if (!err)
		err = api_path_resolve(&space->host, blocks, fixed, wait, 0, root, why);
	blocks_free(blocks);
	free(fixed);
	return err;
}

/* An id, the name of a key here, or a domain, which has a dot, or stands for one with dashes. Other
 * words, and what programs look for everywhere (.git), are not asked for in the network. */
static bool may_be_name(struct daemon_namespace *space, const char *name)
{
	struct peer_id id;

	return *name != '.' && (strpbrk(name, ".-") || !api_ipns_find(&space->host, name, &id));
}

static int give_name(void *ctx, const char *name, struct wait *wait, struct cid *root,
		     double *believed_s)
{
	char *path, *why = NULL;
	uint64_t ttl_ms = 0;
	int err;

	if (!may_be_name(ctx, name))
		return -ENOENT;
	path = xasprintf("/ipns/%s", name);
	err = resolve(ctx, path, wait, root, &ttl_ms, &why);

	if (err)
		log_debug("mount", "a name leads nowhere path=%s why=\"%s\"", path, why ? why : "");
	ttl_ms = ttl_ms < BELIEVED_MIN_MS ? BELIEVED_MIN_MS : ttl_ms;
	*believed_s = (double)(ttl_ms < BELIEVED_MAX_MS ? ttl_ms : BELIEVED_MAX_MS) / 1000;
	free(path);
	free(why);
	switch (err) {
	case -ENOLINK:
	case -ENOTSUP:
		return -EHOSTUNREACH;
	case -EINVAL:
	case -EBADMSG: /* that is no name */
		return -ENOENT;
	default:
		return err;
	}
}

/* ---- life ---- */

struct daemon_namespace *daemon_namespace_new(struct daemon *daemon)
{
	struct daemon_namespace *space = xnew(struct daemon_namespace);

	space->daemon = daemon;
	space->host = (struct api_host){ .repo = daemon->repo,
					 .repo_path = daemon->repo->path,
					 .ask = host_ask };
	space->names = (struct mount_names){ .my = give_my,
					     .share = give_share,
					     .each_share = each_share,
					     .name = give_name,
					     .ctx = space };
	pthread_mutex_init(&space->lock, NULL);
	return space;
}

const struct mount_names *daemon_namespace_names(struct daemon_namespace *space)
{
	return &space->names;
}

void daemon_namespace_free(struct daemon_namespace *space)
{
	if (!space)
		return;
	for (size_t i = 0; i < space->count; i++)
		shares_release(space->used[i]);
	pthread_mutex_destroy(&space->lock);
	free(space);
}

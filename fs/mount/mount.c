/* The life of a mount: the session with the kernel, the threads that serve it, and its end, which
 * waits for requests under way or ends them. Any thread but those of the mount. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OPTIONS "nodev,noatime,default_permissions,subtype=dagfs"

/* ---- the roots ---- */

/* A directory at the mountpoint that is no content. */
static void make_fixed(struct mount *mount)
{
	const struct dag_stat stat = { .type = DAG_DIRECTORY };

	inode_fixed(&mount->inodes, INODE_ROOT, mount->tree, NULL, &stat);
}

static void make_namespace(struct mount *mount, const struct mount_config *config)
{
	const struct dag_stat stat = { .type = DAG_DIRECTORY };

	mount->tree = tree_names_new(config);
	make_fixed(mount);
	inode_fixed(&mount->inodes, INODE_IPFS, mount->tree, NULL, &stat);
	if (config->names)
		inode_fixed(&mount->inodes, INODE_IPNS, mount->tree, NULL, &stat);
}

/* Takes the mounted directory in: it is looked at once, so that what is no directory, or is not to
 * be had, is told by `mount` and not by the first reader. */
static int make_root(struct mount *mount, char **why)
{
	struct root *root =
		root_new(mount->store, mount->below ? &mount->fetcher : NULL, &mount->root);
	char text[CID_TEXT_MAX], told[WAIT_TEXT_MAX] = "";
	struct worker worker = { 0 };
	struct dag_stat stat;
	int err = worker_init(&worker, mount);

	if (!err) {
		err = dag_stat(root->blocks, &mount->root, &worker.wait, &stat);
		wait_err_text(&worker.wait, err, told);
		worker_release(&worker);
	}
	if (!err && stat.type != DAG_DIRECTORY)
		err = -ENOTDIR;
	if (err == -ENOTDIR)
		*why = xasprintf("%s is no directory: only directories can be mounted",
				 cid_text(&mount->root, text));
	else if (err)
		*why = xasprintf("cannot get %s: %s", cid_text(&mount->root, text),
				 *told ? told : err_text(err));
	else
		inode_fixed(&mount->inodes, INODE_ROOT, &root->tree, &root->cid, &stat);
	mount->tree = &root->tree; /* with our reference */
	return err;
}

/* ---- the session ---- */

/* The words of mount(8). Commas and backslashes in the source are escaped for the library. */
static char *option_text(const struct mount *mount, const struct mount_config *config)
{
	const struct mount_options *options = &mount->options;
	char *text = xasprintf(OPTIONS ",%s,%s,max_read=%u%s", mount->writable ? "rw" : "ro",
			       options->suid ? "suid" : "nosuid", options->max_read,
			       config->allow_other ? ",allow_other" : "");
	char *source = xasprintf("fsname=%s", mount->source);

	if (fuse_opt_add_opt_escaped(&text, source))
		out_of_memory();
	char *all = xasprintf("%s%s", text, options->passed);

	free(source);
	free(text);
	return all;
}

static int open_session(struct mount *mount, const struct mount_config *config, char **why)
{
	char *options = option_text(mount, config);
	char *argv[] = { "dagfs", "-o", options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	char *reason = NULL;
	int err = 0;

	mount->session = fuse_session_new(&args, mount->writable ? &mount_ops_writable : &mount_ops,
					  sizeof mount_ops, mount);
	if (!mount->session) {
		*why = xasprintf("mount options not understood: %s",
				 config->options ? config->options : "");
		err = -EINVAL;
	} else if ((err = mount_with_reason(mount->session, mount->point, options, &reason))) {
		*why = xasprintf("cannot mount on %s: %s", mount->point, reason);
		free(reason);
		fuse_session_destroy(mount->session);
		mount->session = NULL;
	} else if (mount_io_set(mount)) {
		out_of_memory(); /* or libfuse has no room for our own reading and writing */
	}
	fuse_opt_free_args(&args);
	free(options);
	return err;
}

/* The kernel asks our threads; this is none of them. */
static int answers(struct mount *mount, char **why)
{
	struct stat st;
	int err = stat(mount->point, &st) ? -errno : 0;

	if (!err && st.st_ino != INODE_ROOT)
		err = -EIO;
	if (err)
		*why = xasprintf("mounted on %s, but it does not answer: %s", mount->point,
				 err_text(err));
	else
		mount_watch_start(mount, st.st_dev);
	return err;
}

/* ---- life ---- */

/* Takes what options hold. */
static struct mount *mount_new(const struct mount_config *config,
			       const struct mount_options *options, struct store *store,
			       struct fetcher *fetcher, struct db *db)
{
	struct mount *mount = xnew(struct mount);

	mount->point = xstrdup(config->mountpoint);
	mount->source = xstrdup(config->source ? config->source : "dagfs");
	mount->root = config->root;
	mount->tree = config->tree ? mount_tree_ref(config->tree) : NULL;
	mount->options = *options;
	mount->timeout_ms = config->timeout_ms ? config->timeout_ms : MOUNT_TIMEOUT_MS;
	mount->store = store;
	mount->below = config->offline ? NULL : fetcher;
	mount->db = db;
	mount->parked_end = &mount->parked;
	mount->stop_fd = mount->table_fd = -1;
	mount->on_detached = config->on_detached;
	pthread_mutex_init(&mount->lock, NULL);
	mount_fetch_init(mount);
	mount_notifier_init(mount);
	list_init(&mount->opened);
	inodes_init(&mount->inodes, getuid(), getgid(), options->suid);
	return mount;
}

static void mount_free(struct mount *mount)
{
	opened_close_all(mount);
	mount_notifier_release(mount);
	inodes_release(&mount->inodes);
	mount_tree_unref(mount->tree);
	pthread_mutex_destroy(&mount->lock);
	if (mount->stop_fd >= 0)
		close(mount->stop_fd);
	if (mount->table_fd >= 0)
		close(mount->table_fd);
	mount_options_release(&mount->options);
	free(mount->point);
	free(mount->source);
	free(mount);
}

/* Closing the session unmounts, lazily, unless that happened before. By name: when it was detached
 * there may be another mount by now. */
static void shut(struct mount *mount)
{
	mount_ahead_stop(mount);
	mount_threads_hurry(mount);
	mount_notifier_stop(mount);
	mount_threads_stop(mount);
	if (mount->detached)
		mount_watch_let_go(mount);
	fuse_session_unmount(mount->session);
	fuse_session_destroy(mount->session);
	pthread_key_delete(mount->self);
	mount_free(mount);
}

/* Whether the kernel is to ask for changes. */
static int decide_writable(struct mount *mount, char **why)
{
	const struct mount_options *options = &mount->options;

	mount->writable = mount->tree->ops->writable && !options->read;
	if (mount->writable || !options->write)
		return 0;
	*why = xstrdup("mount option rw: a tree can only be read");
	return -EROFS;
}

static int start_threads(struct mount *mount, char **why)
{
	int err;

	mount_watch_open(mount);
	err = mount_threads_start(mount);
	if (!err)
		err = mount_ahead_start(mount);
	if (err) {
		*why = xasprintf("cannot start threads: %s", err_text(err));
		return err;
	}
	return answers(mount, why);
}

/* Takes what options hold. As mount_start(). */
static int mount_begin(const struct mount_config *config, const struct mount_options *options,
		       struct store *store, struct fetcher *fetcher, struct db *db,
		       void (*on_end)(void *ctx), void *ctx, struct mount **out, char **why)
{
	int err = 0;
	struct mount *mount = mount_new(config, options, store, fetcher, db);

	mount->on_end = on_end;
	mount->ctx = ctx;
	mount->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mount->stop_fd < 0)
		err = -errno;
	else if (mount->tree)
		make_fixed(mount);
	else if (cid_is_set(&mount->root))
		err = make_root(mount, why);
	else
		make_namespace(mount, config);
	if (!err)
		err = decide_writable(mount, why);
	if (!err)
		err = -pthread_key_create(&mount->self, NULL);
	if (!err) {
		err = open_session(mount, config, why);
		if (err)
			pthread_key_delete(mount->self);
	}
	if (err) {
		if (!*why)
			*why = xasprintf("cannot mount: %s", err_text(err));
		mount_free(mount);
		return err;
	}
	err = start_threads(mount, why);
	if (err) {
		mount->unmounting = true;
		shut(mount);
		return err;
	}
	log_info("mount", "mounted source=%s at=%s", mount->source, mount->point);
	*out = mount;
	return 0;
}

int mount_start(const struct mount_config *config, struct store *store, struct fetcher *fetcher,
		struct db *db, void (*on_end)(void *ctx), void *ctx, struct mount **out, char **why)
{
	struct mount_options options;
	int err, guard = -1;

	*why = NULL;
	assert(config->mountpoint[0] == '/');
	err = mount_options_read(&options, config->options, why);
	if (!err)
		err = mount_point_check(config->mountpoint, store, why);
	if (!err && options.guard)
		err = mount_guard_open(config->mountpoint, &guard, why);
	if (!err && !options.nonempty)
		err = mount_point_check_empty(config->mountpoint, why);
	if (!err)
		err = mount_begin(config, &options, store, fetcher, db, on_end, ctx, out, why);
	else
		mount_options_release(&options);
	mount_guard_close(guard);
	return err;
}

int mount_stop(struct mount *mount, bool force)
{
	int err = 0;

	pthread_mutex_lock(&mount->lock);
	bool gone = mount->ended || mount->detached;

	mount->unmounting = true;
	pthread_mutex_unlock(&mount->lock);
	if (!gone)
		err = mount_point_unmount(mount->point);
	if (err && !force && err == -EBUSY) {
		pthread_mutex_lock(&mount->lock);
		mount->unmounting = false;
		pthread_mutex_unlock(&mount->lock);
		mount_watch_look(mount); /* nobody was told meanwhile */
		return err;
	}
	log_info("mount", "unmounted at=%s%s", mount->point, err ? " busy" : "");
	shut(mount);
	return 0;
}

/* Changes that the kernel is to be told of, queued from anywhere and told by a thread of the
 * mount's own, which holds nothing: the kernel may make it wait for requests under way. Each is
 * told once however often it happened meanwhile, and each changed directory once at the end. When
 * too many wait, all that the kernel keeps of changing trees is dropped instead. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTIFY_QUEUE_MAX 65536
#define NUMBERS_MAX ((1u << 17) - 1) /* of trees: bits between INODE_NODE and the node's number */
#define NOTIFY_INC_EPOCH 8	     /* of linux/fuse.h since 6.16 */

struct change {
	struct change *next;
	enum tree_change what;
	uint64_t dir, node;
	size_t len;
	char name[]; /* len bytes and a NUL */
};

/* ---- queueing ---- */

/* The lock is held. True when it is new. */
static bool note_pending(struct notifier *notifier, const struct change *change)
{
	uint64_t numbers[] = { change->what, change->dir, change->node };
	struct buf key = { 0 };
	bool fresh;

	buf_add(&key, bytes_of(numbers, sizeof numbers));
	buf_add(&key, bytes_of(change->name, change->len));
	fresh = !map_set(&notifier->pending, buf_bytes(&key), notifier);
	buf_release(&key);
	return fresh;
}

static void changes_free(struct change *first)
{
	while (first) {
		struct change *change = first;

		first = change->next;
		free(change);
	}
}

/* The lock is held. */
static struct change *take_all(struct notifier *notifier)
{
	struct change *first = notifier->first;

	notifier->first = NULL;
	notifier->last = &notifier->first;
	map_release(&notifier->pending);
	return first;
}

void mount_tell(struct mount *mount, enum tree_change what, uint64_t dir, struct bytes name,
		uint64_t node)
{
	struct notifier *notifier = &mount->notifier;
	struct change *change = xcalloc(1, sizeof *change + name.len + 1);
	bool kept = false;

	change->what = what;
	change->dir = dir;
	change->node = node;
	change->len = name.len;
	if (name.len)
		memcpy(change->name, name.at, name.len);
	pthread_mutex_lock(&notifier->lock);
	if (!notifier->all && notifier->pending.count >= NOTIFY_QUEUE_MAX)
		notifier->all = true;
	else if (!notifier->all && notifier->running)
		kept = note_pending(notifier, change);
	if (kept) {
		*notifier->last = change;
		notifier->last = &change->next;
	}
	pthread_cond_signal(&notifier->wake);
	pthread_mutex_unlock(&notifier->lock);
	if (!kept)
		free(change);
}

/* ---- telling ---- */

static void notifier_tell(struct mount *mount, const struct change *change, struct map *dirs)
{
	if (change->what == TREE_ATTR || change->what == TREE_CONTENT) {
		mount_notify_node(mount, change->node, change->what == TREE_CONTENT);
		return;
	}
	if (change->what == TREE_GONE && change->node)
		mount_notify_gone(mount, change->dir, change->node, change->name);
	else
		mount_notify_entry(mount, change->dir, change->name);
	map_set(dirs, bytes_of(&change->dir, sizeof change->dir), mount);
}

static void tell_each(struct mount *mount, const struct change *first)
{
	struct map dirs = { 0 };
	struct bytes key;
	uint64_t dir;
	void *value;

	for (const struct change *change = first; change; change = change->next)
		notifier_tell(mount, change, &dirs);
	for (size_t at = 0; map_next(&dirs, &at, &key, &value);) {
		memcpy(&dir, key.at, sizeof dir);
		mount_notify_node(mount, dir, true);
	}
	map_release(&dirs);
}

/* All names are looked up anew from now on; kernels before 6.16 refuse. The library has no call for
 * it. */
static void drop_names(struct mount *mount)
{
	const struct fuse_out_header header = { .len = sizeof header, .error = NOTIFY_INC_EPOCH };

	if (write(fuse_session_fd(mount->session), &header, sizeof header) != sizeof header)
		log_debug("mount", "names are dropped one by one err=%s", err_text(-errno));
}

struct top {
	struct mount *mount;
	uint64_t dir;
};

static int drop_top_name(void *ctx, const struct tree_entry *entry)
{
	const struct top *top = ctx;

	return mount_notify_entry(top->mount, top->dir, entry->name) == -EINTR;
}

/* With a directory's name go those below it that nobody uses. What is missed is a name that
 * vanished from a top directory itself after the queue was full. */
static void drop_top_names(struct mount *mount)
{
	struct worker worker = { 0 };

	if (worker_init(&worker, mount))
		return;
	struct tree_call call = { .mount = mount, .inodes = &mount->inodes, .wait = &worker.wait };

	for (uint64_t ino = INODE_ROOT; ino < INODE_FIRST; ino++) {
		struct top top = { mount, ino };
		struct inode *dir = inode_find(&mount->inodes, ino);

		if (dir)
			dir->tree->ops->list(dir->tree, &call, dir, 0, false, drop_top_name, &top);
	}
	worker_release(&worker);
}

static void tell_all(struct mount *mount)
{
	uint64_t *numbers;
	size_t count = inode_numbers(&mount->inodes, &numbers);

	log_info("mount", "too many changes at once: the kernel forgets all at=%s", mount->point);
	drop_names(mount);
	drop_top_names(mount);
	for (size_t i = 0; i < count; i++)
		mount_notify_node(mount, numbers[i], true);
	free(numbers);
}

static void *notifier_run(void *ctx)
{
	struct mount *mount = ctx;
	struct notifier *notifier = &mount->notifier;

	pthread_mutex_lock(&notifier->lock);
	while (!notifier->stopping) {
		struct change *first = take_all(notifier);
		bool all = notifier->all;

		notifier->all = false;
		if (!first && !all) {
			pthread_cond_wait(&notifier->wake, &notifier->lock);
			continue;
		}
		pthread_mutex_unlock(&notifier->lock);
		tell_each(mount, first);
		if (all)
			tell_all(mount);
		changes_free(first);
		pthread_mutex_lock(&notifier->lock);
	}
	pthread_mutex_unlock(&notifier->lock);
	return NULL;
}

/* ---- trees that tell ---- */

/* The lock is held. */
static int notifier_start(struct mount *mount)
{
	struct notifier *notifier = &mount->notifier;
	int err = notifier->running ? 0 : thread_start(&notifier->thread, notifier_run, mount);

	notifier->running = !err;
	return err;
}

int mount_join(struct mount *mount, struct mount_tree *tree, uint64_t *number)
{
	struct notifier *notifier = &mount->notifier;
	int err = 0;
	size_t i = 0;

	pthread_mutex_lock(&notifier->lock);
	while (i < notifier->tree_count && notifier->trees[i] != tree)
		i++;
	if (notifier->stopping)
		err = -EINTR;
	else if (i == notifier->tree_count)
		err = i == NUMBERS_MAX ? -ENFILE : notifier_start(mount);
	if (!err && i == notifier->tree_count) {
		notifier->trees = xrealloc(notifier->trees, (i + 1) * sizeof *notifier->trees);
		notifier->trees[notifier->tree_count++] = mount_tree_ref(tree);
	}
	*number = i + 1;
	pthread_mutex_unlock(&notifier->lock);
	return err;
}

void mount_notifier_init(struct mount *mount)
{
	struct notifier *notifier = &mount->notifier;

	pthread_mutex_init(&notifier->lock, NULL);
	pthread_cond_init(&notifier->wake, NULL);
	notifier->last = &notifier->first;
}

static void leave_all(struct mount *mount)
{
	struct notifier *notifier = &mount->notifier;

	for (size_t i = 0; i < notifier->tree_count; i++)
		notifier->trees[i]->ops->leave(notifier->trees[i], mount);
}

/* No further tree joins. */
void mount_notifier_stop(struct mount *mount)
{
	struct notifier *notifier = &mount->notifier;

	pthread_mutex_lock(&notifier->lock);
	notifier->stopping = true;
	bool running = notifier->running;

	notifier->running = false; /* nothing more is queued */
	pthread_cond_signal(&notifier->wake);
	pthread_mutex_unlock(&notifier->lock);
	leave_all(mount);
	if (running)
		pthread_join(notifier->thread, NULL);
}

/* Once more, as a tree may have been joining then. */
void mount_notifier_release(struct mount *mount)
{
	struct notifier *notifier = &mount->notifier;

	leave_all(mount);
	changes_free(take_all(notifier));
	for (size_t i = 0; i < notifier->tree_count; i++)
		mount_tree_unref(notifier->trees[i]);
	free(notifier->trees);
	pthread_mutex_destroy(&notifier->lock);
	pthread_cond_destroy(&notifier->wake);
}

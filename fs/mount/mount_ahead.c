/* Asking for blocks before a walk comes to them.
 *
 * Who lists a directory will soon look at its children: the first of them are asked for at once,
 * and the others as names are looked up, some way ahead. Who lists a directory that another listing
 * led to walks a tree: then a thread walks ahead of it, directory by directory in the walker's
 * order, as far as its credit goes. Every directory the walker lists gives new credit, so whoever
 * stops has fetched no more than that for nothing. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <stdlib.h>
#include <string.h>

#define CHILDREN_FIRST 1024 /* asked for when a directory is listed */
#define CHILDREN_STEP 256   /* asked for together, later */
#define CHILDREN_AHEAD 768  /* how far names asked for are ahead of names looked up */
#define CREDIT_LISTING 1024 /* blocks, for every directory that a walker lists */
#define CREDIT_MAX 4096
#define BATCH 256
#define TIMEOUT_MS 5000 /* for one directory: then the walk goes on with the next */

/* A directory on the walk, or a block that may be one. */
struct ahead_dir {
	struct tree *tree; /* one reference */
	struct cid cid;
};

/* Children of one directory, gathered to be asked for together. */
struct gather {
	struct blocks *blocks;
	size_t from, max; /* indexes looked at: [from, from + max) */
	size_t count, asked;
	struct cid cids[BATCH];
};

static void flush(struct gather *gather)
{
	exchange_prefetch(gather->blocks, gather->cids, gather->count);
	gather->asked += gather->count;
	gather->count = 0;
}

static int gather_child(void *ctx, size_t index, const struct dir_entry *entry)
{
	struct gather *gather = ctx;

	if (index >= gather->from + gather->max)
		return 1;
	if (blocks_has(gather->blocks, &entry->cid))
		return 0;
	gather->cids[gather->count++] = entry->cid;
	if (gather->count == BATCH)
		flush(gather);
	return 0;
}

/* Asks for the missing ones of the children [from, from + max); how many those are. */
static size_t ask(struct blocks *blocks, struct dir *dir, size_t from, size_t max,
		  struct wait *wait)
{
	struct gather gather = { .blocks = blocks, .from = from, .max = max };

	dir_each(dir, from, wait, gather_child, &gather);
	if (gather.count)
		flush(&gather);
	return gather.asked;
}

void mount_ahead_looked_up(struct view *view, struct wait *wait, bool missing)
{
	size_t done = atomic_fetch_add(&view->looked_up, 1) + 1;
	size_t asked = atomic_load(&view->prefetched);

	/* One name alone is no reason to fetch its neighbours. */
	if (!atomic_load(&view->listed) || (!missing && asked >= done + CHILDREN_AHEAD))
		return;
	if (atomic_compare_exchange_strong(&view->prefetched, &asked, asked + CHILDREN_STEP))
		ask(&view->tree->blocks, view->dir, asked, CHILDREN_STEP, wait);
}

/* ---- the walk ahead ---- */

/* lock is held. Takes a reference of tree. */
static void push(struct ahead *ahead, struct tree *tree, const struct cid *cid)
{
	if (ahead->count == MOUNT_AHEAD_DIRS_MAX)
		return;
	if (ahead->count == ahead->cap) {
		ahead->cap = ahead->cap ? 2 * ahead->cap : 64;
		ahead->dirs = xrealloc(ahead->dirs, ahead->cap * sizeof *ahead->dirs);
	}
	ahead->dirs[ahead->count++] = (struct ahead_dir){ .tree = tree_ref(tree), .cid = *cid };
}

/* lock is held. */
static void drop_all(struct ahead *ahead)
{
	while (ahead->count)
		tree_unref(ahead->dirs[--ahead->count].tree);
}

struct subdirs {
	size_t count;
	struct cid cids[CHILDREN_FIRST];
};

static int note_subdir(void *ctx, size_t index, const struct dir_entry *entry)
{
	struct subdirs *subdirs = ctx;

	(void)index;
	if (entry->cid.codec == CODEC_DAG_PB) /* a file or a directory */
		subdirs->cids[subdirs->count++] = entry->cid;
	return subdirs->count == CHILDREN_FIRST;
}

/* The children that may be directories, so that the first is on top. */
static void push_children(struct mount *mount, struct tree *tree, struct dir *dir,
			  struct wait *wait)
{
	struct subdirs *subdirs = xnew(struct subdirs);

	dir_each(dir, 0, wait, note_subdir, subdirs);
	pthread_mutex_lock(&mount->lock);
	for (size_t i = subdirs->count; i > 0; i--)
		push(&mount->ahead, tree, &subdirs->cids[i - 1]);
	pthread_cond_signal(&mount->ahead.wake);
	pthread_mutex_unlock(&mount->lock);
	free(subdirs);
}

void mount_ahead_listed(struct mount *mount, struct view *view, struct wait *wait, bool walked)
{
	struct ahead *ahead = &mount->ahead;

	if (!atomic_load(&view->prefetched)) {
		atomic_store(&view->prefetched, CHILDREN_FIRST);
		ask(&view->tree->blocks, view->dir, 0, CHILDREN_FIRST, wait);
	}
	pthread_mutex_lock(&mount->lock);
	if (walked)
		ahead->credit += CREDIT_LISTING;
	else
		drop_all(ahead); /* a walk begins anew */
	if (ahead->credit > CREDIT_MAX)
		ahead->credit = CREDIT_MAX;
	/* While the thread is busy the stack holds what comes after this directory, and its
	 * children in it. */
	bool idle = ahead->count == 0;

	pthread_cond_signal(&ahead->wake);
	pthread_mutex_unlock(&mount->lock);
	if (idle)
		push_children(mount, view->tree, view->dir, wait);
}

/* Opens one directory of the walk, asks for its children, and notes those to be walked. */
static void walk_one(struct mount *mount, const struct ahead_dir *at)
{
	struct worker *worker = &mount->ahead.worker;
	struct blocks *blocks = &at->tree->blocks;
	struct dir *dir;

	worker->gave_up = 0;
	if (dir_open(blocks, &at->cid, &worker->wait, &dir))
		return;
	size_t asked = ask(blocks, dir, 0, CHILDREN_FIRST, &worker->wait);

	push_children(mount, at->tree, dir, &worker->wait);
	dir_close(dir);
	pthread_mutex_lock(&mount->lock);
	mount->ahead.credit -= asked < mount->ahead.credit ? asked : mount->ahead.credit;
	pthread_mutex_unlock(&mount->lock);
}

static void *run(void *ctx)
{
	struct mount *mount = ctx;
	struct ahead *ahead = &mount->ahead;

	pthread_setspecific(mount->self, &ahead->worker);
	pthread_mutex_lock(&mount->lock);
	while (!mount->stopping) {
		if (!ahead->count || !ahead->credit) {
			pthread_cond_wait(&ahead->wake, &mount->lock);
			continue;
		}
		struct ahead_dir at = ahead->dirs[--ahead->count];

		pthread_mutex_unlock(&mount->lock);
		walk_one(mount, &at);
		tree_unref(at.tree);
		pthread_mutex_lock(&mount->lock);
	}
	drop_all(ahead);
	pthread_mutex_unlock(&mount->lock);
	return NULL;
}

int mount_ahead_start(struct mount *mount)
{
	struct ahead *ahead = &mount->ahead;
	int err;

	if (!mount->below)
		return 0;
	err = worker_init(&ahead->worker, mount);
	if (err)
		return err;
	if (ahead->worker.timeout_ms > TIMEOUT_MS)
		ahead->worker.timeout_ms = TIMEOUT_MS;
	pthread_cond_init(&ahead->wake, NULL);
	err = -pthread_create(&ahead->worker.thread, NULL, run, mount);
	if (err) {
		pthread_cond_destroy(&ahead->wake);
		worker_release(&ahead->worker);
	}
	ahead->running = !err;
	return err;
}

void mount_ahead_stop(struct mount *mount)
{
	struct ahead *ahead = &mount->ahead;

	if (!ahead->running)
		return;
	pthread_mutex_lock(&mount->lock);
	mount->stopping = true;
	wait_cancel(&ahead->worker.wait);
	pthread_cond_signal(&ahead->wake);
	pthread_mutex_unlock(&mount->lock);
	pthread_join(ahead->worker.thread, NULL);
	pthread_cond_destroy(&ahead->wake);
	worker_release(&ahead->worker);
	free(ahead->dirs);
	ahead->dirs = NULL;
	ahead->running = false;
}

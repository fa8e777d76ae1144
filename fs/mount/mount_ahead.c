/* Asking for blocks before a walk comes to them.
 *
 * A program that lists a directory will soon look at its children. So the first of them are asked
 * for at once, and the others as names are looked up, some way ahead. A program that lists a
 * directory which another listing led to walks a tree: then a thread walks ahead of it, directory
 * by directory in the walker's order, as far as its credit goes. Every directory the walker lists
 * gives new credit, so whoever stops has fetched no more than that for nothing. While the next
 * directory is under way the thread looks into later ones that are here, so that the children of
 * all are asked for in one round trip and not in one each. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <stdlib.h>
#include <string.h>

#define CHILDREN_FIRST 1024 /* asked for when a directory is listed */
#define CHILDREN_STEP 256   /* asked for together, later */
#define CHILDREN_AHEAD 768  /* how far names asked for are ahead of names looked up */
#define CREDIT_LISTING 1024 /* blocks, for every directory that a walker lists */
#define CREDIT_MAX 4096
#define CREDIT_NEXT 512 /* of it, kept for the next directory when later ones are looked into */
#define FLYING_MAX 1536 /* asked for by the walk ahead and not known to have come */
#define PART_MAX 128	/* small ones are counted together */
#define LOOK_MAX 256	/* directories from the next on, of which one may be here */
#define BATCH 256
#define TIMEOUT_MS 5000 /* for one directory: then the walk goes on with the next */

/* A directory on the walk, or a block that may be one. */
struct ahead_dir {
	struct root *root; /* one reference */
	struct cid cid;
	uint64_t number; /* as asked for by the thread; 0: before */
};

/* Children of one directory, gathered to be asked for together. */
struct gather {
	struct blocks *blocks;
	size_t from, max; /* indexes looked at: [from, from + max) */
	size_t count, asked;
	struct cid cids[BATCH];
	struct cid last; /* of those asked for */
};

static void mount_ahead_flush(struct gather *gather)
{
	exchange_prefetch(gather->blocks, gather->cids, gather->count);
	gather->asked += gather->count;
	gather->last = gather->cids[gather->count - 1];
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
		mount_ahead_flush(gather);
	return 0;
}

/* Asks for the missing ones of the children [from, from + max); how many those are, and the last.
 */
static size_t mount_ahead_ask(struct blocks *blocks, struct dir *dir, size_t from, size_t max,
			      struct wait *wait, struct cid *last)
{
	struct gather gather = { .blocks = blocks, .from = from, .max = max };

	dir_each(dir, from, wait, gather_child, &gather);
	if (gather.count)
		mount_ahead_flush(&gather);
	if (last && gather.asked)
		*last = gather.last;
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
		mount_ahead_ask(view->root->blocks, view->dir, asked, CHILDREN_STEP, wait, NULL);
}

/* ---- the walk ahead ---- */

/* lock is held. Puts them where the directory that they are in was taken from, the first on top.
 * What is too much is left. */
static void ahead_push(struct ahead *ahead, struct root *root, uint64_t number,
		       const struct cid *cids, size_t count)
{
	size_t room = MOUNT_AHEAD_DIRS_MAX - ahead->count;

	if (count > room)
		count = room;
	if (count == 0)
		return;
	while (ahead->cap < ahead->count + count) {
		ahead->cap = ahead->cap ? 2 * ahead->cap : 64;
		ahead->dirs = xrealloc(ahead->dirs, ahead->cap * sizeof *ahead->dirs);
	}
	struct ahead_dir *at = ahead->dirs + ahead->count - ahead->above;

	memmove(at + count, at, ahead->above * sizeof *at);
	for (size_t i = count; i > 0; i--)
		*at++ = (struct ahead_dir){ .root = root_ref(root),
					    .cid = cids[i - 1],
					    .number = number };
	ahead->count += count;
}

/* lock is held. */
static void drop_all(struct ahead *ahead)
{
	while (ahead->count)
		root_unref(ahead->dirs[--ahead->count].root);
	ahead->above = 0;
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

/* The children that may be directories. */
static void push_children(struct mount *mount, struct root *root, struct dir *dir, uint64_t number,
			  struct wait *wait)
{
	struct subdirs *subdirs = xnew(struct subdirs);

	dir_each(dir, 0, wait, note_subdir, subdirs);
	pthread_mutex_lock(&mount->lock);
	ahead_push(&mount->ahead, root, number, subdirs->cids, subdirs->count);
	pthread_cond_signal(&mount->ahead.wake);
	pthread_mutex_unlock(&mount->lock);
	free(subdirs);
}

void mount_ahead_listed(struct mount *mount, struct view *view, struct wait *wait, bool walked)
{
	struct ahead *ahead = &mount->ahead;

	if (!atomic_load(&view->prefetched)) {
		atomic_store(&view->prefetched, CHILDREN_FIRST);
		mount_ahead_ask(view->root->blocks, view->dir, 0, CHILDREN_FIRST, wait, NULL);
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
		push_children(mount, view->root, view->dir, 0, wait);
}

/* Then so has what was asked for before it, though it may not be stored yet. */
static void mount_ahead_arrived(struct ahead *ahead, uint64_t number)
{
	if (number > ahead->arrived)
		ahead->arrived = number;
}

static void add_part(struct ahead *ahead, size_t asked, const struct cid *last)
{
	if (ahead->part_count == 0 || ahead->parts[ahead->part_count - 1].count + asked > PART_MAX)
		ahead->parts[ahead->part_count++] = (struct ahead_part){ 0 };
	struct ahead_part *part = &ahead->parts[ahead->part_count - 1];

	part->count += asked;
	part->last = *last;
	part->number = ahead->number;
	ahead->flying += asked;
}

/* Blocks come about in the order of asking: when the last of a part is here, so is the part. Waits
 * while more than FLYING_MAX may be under way: the fetcher would forget some. */
static void await_parts(struct ahead *ahead, struct blocks *blocks)
{
	while (ahead->part_count == MOUNT_AHEAD_PARTS || ahead->flying > FLYING_MAX) {
		const struct ahead_part *first = &ahead->parts[0];
		struct block *block;

		if (blocks_get(blocks, &first->last, &ahead->worker.wait, &block)) {
			ahead->part_count = ahead->flying = 0; /* who knows */
			return;
		}
		block_unref(block);
		mount_ahead_arrived(ahead, first->number);
		ahead->flying -= first->count;
		memmove(ahead->parts, ahead->parts + 1, --ahead->part_count * sizeof *first);
	}
}

/* Opens one directory of the walk, asks for its children, and notes those to be walked. */
static void walk_one(struct mount *mount, const struct ahead_dir *at)
{
	struct worker *worker = &mount->ahead.worker;
	struct blocks *blocks = at->root->blocks;
	struct dir *dir;

	worker->gave_up = 0;
	if (dir_open(blocks, &at->cid, &worker->wait, &dir))
		return;
	struct cid last;
	size_t asked = mount_ahead_ask(blocks, dir, 0, CHILDREN_FIRST, &worker->wait, &last);

	mount->ahead.number++;
	mount_ahead_arrived(&mount->ahead, at->number);
	push_children(mount, at->root, dir, mount->ahead.number, &worker->wait);
	dir_close(dir);
	pthread_mutex_lock(&mount->lock);
	mount->ahead.credit -= asked < mount->ahead.credit ? asked : mount->ahead.credit;
	pthread_mutex_unlock(&mount->lock);
	if (asked) {
		add_part(&mount->ahead, asked, &last);
		await_parts(&mount->ahead, blocks);
	}
}

/* lock is held. How many directories from the top on may be looked into. A long stack is not made
 * longer: what is too much for it is not walked. */
static size_t reach(const struct ahead *ahead)
{
	if (ahead->credit <= CREDIT_NEXT || ahead->count > MOUNT_AHEAD_DIRS_MAX / 2)
		return 1;
	return ahead->count < LOOK_MAX ? ahead->count : LOOK_MAX;
}

/* The first of these that is here, else count. Without the lock: the store may have to read. */
static size_t first_here(struct mount *mount, const struct cid *cids, size_t count)
{
	struct blocks *blocks;
	size_t at = 0;

	blocks = blocks_new(mount->store, NULL);
	while (at < count && !blocks_has(blocks, &cids[at]))
		at++;
	blocks_free(blocks);
	return at;
}

/* lock is held, and let go of in between. Takes one off the stack: the topmost that is stored or
 * known to have come, or the top. False: the stack was dropped meanwhile. */
static bool ahead_take(struct mount *mount, struct ahead_dir *out)
{
	struct ahead *ahead = &mount->ahead;
	struct cid cids[LOOK_MAX];
	size_t count = reach(ahead), known = 0, at = 0;

	if (count > 1) {
		for (size_t i = 0; i < count; i++)
			cids[i] = ahead->dirs[ahead->count - 1 - i].cid;
		while (known < count &&
		       ahead->dirs[ahead->count - 1 - known].number > ahead->arrived)
			known++;
		pthread_mutex_unlock(&mount->lock);
		at = first_here(mount, cids, known);
		if (at == known)
			at = known < count ? known : 0;
		pthread_mutex_lock(&mount->lock);
		if (ahead->count <= at ||
		    !cid_equal(&ahead->dirs[ahead->count - 1 - at].cid, &cids[at]))
			return false;
	}
	struct ahead_dir *from = &ahead->dirs[ahead->count - 1 - at];

	*out = *from;
	memmove(from, from + 1, at * sizeof *from);
	ahead->count--;
	ahead->above = at;
	return true;
}

/* The thread that looks ahead: walks directories that were listed, while there is credit for it. */
static void *ahead_run(void *ctx)
{
	struct mount *mount = ctx;
	struct ahead *ahead = &mount->ahead;

	pthread_setspecific(mount->self, &ahead->worker);
	pthread_mutex_lock(&mount->lock);
	while (!mount->stopping) {
		struct ahead_dir at;

		if (!ahead->count || !ahead->credit) {
			pthread_cond_wait(&ahead->wake, &mount->lock);
			continue;
		}
		if (!ahead_take(mount, &at))
			continue;
		pthread_mutex_unlock(&mount->lock);
		walk_one(mount, &at);
		root_unref(at.root);
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
	err = thread_start(&ahead->worker.thread, ahead_run, mount);
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

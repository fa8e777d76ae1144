/* Commits: what changed becomes a version, built beside writers. The committer thread begins one
 * when the tree was quiet, when it has been changing for long, when too much is changed, or for
 * whoever asks; the cutter thread takes the plan and makes the result the base, between its cuts.
 * An interrupted commit leaves blocks that the next collection takes. */
#include "dag/tree/tree_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <assert.h>

#define RETRY_MS 5000 /* after a commit that failed */
#define BUILD_MS 600000

/* ---- what the commit says ---- */

static uint64_t next_stamp(const struct tree *tree)
{
	uint64_t now = wallclock_ns() / 1000000 << 16;

	return now > tree->share.last_stamp ? now : tree->share.last_stamp + 1;
}

/* What the base's commit has seen. */
static int load_seen(struct tree *tree, struct blocks *blocks, struct wait *wait)
{
	struct commit commit = { 0 };
	struct block *block;

	if (tree->seen_known || !cid_is_set(&tree->share.commit))
		return 0;
	int err = blocks_get(blocks, &tree->share.commit, wait, &block);

	if (err)
		return err;
	err = commit_decode(&commit, block->data);
	if (!err)
		seen_copy(&tree->seen, &commit.seen);
	tree->seen_known = !err;
	commit_release(&commit);
	block_unref(block);
	return err;
}

static void own_pen(const struct tree *tree, struct pen *pen)
{
	*pen = (struct pen){ .id = tree->share.pen };
	memcpy(pen->label, tree->share.label, sizeof(pen->label));
	memcpy(pen->key, tree->writer, sizeof(pen->key));
}

static void set_note(struct commit *commit, const char *note)
{
	if (note)
		memcpy(commit->note, note, strlen(note));
}

/* The commit's block, put. seen: as it is after it. */
static int put_commit(struct tree *tree, struct blocks *blocks, struct freeze *freeze,
		      const char *note, struct seen *seen)
{
	struct tree_version *version = &freeze->version;
	struct commit commit = { .at = version->stamp,
				 .pen = version->pen,
				 .no = version->no,
				 .tree = version->root,
				 .state = version->state,
				 .prev = freeze->share.commit,
				 .files = version->files,
				 .size = version->size };
	struct block *block;
	struct buf out = { 0 };
	struct pen pen;

	own_pen(tree, &pen);
	set_note(&commit, note);
	int err = seen_write(seen, &pen, version->stamp, freeze->share.run);

	if (err)
		return err;
	seen_copy(&commit.seen, seen);
	err = commit_make(&commit, tree->config.writer, &out);
	commit_release(&commit);
	if (err) {
		buf_release(&out);
		return err;
	}
	commit_cid(buf_bytes(&out), &version->commit);
	block = block_take(&version->commit, &out);
	err = blocks_put(blocks, block);
	block_unref(block);
	return err;
}

/* ---- building; without the lock ---- */

static int version_build(struct tree *tree, struct blocks *blocks, struct freeze *freeze,
			 const char *note, struct seen *seen)
{
	struct wait *wait = &tree->commit_wait;
	int err = load_seen(tree, blocks, wait);

	if (err)
		return err;
	seen_copy(seen, &tree->seen);
	err = commit_build(blocks, &freeze->plan, wait, &freeze->version);
	if (!err)
		err = put_commit(tree, blocks, freeze, note, seen);
	return err ? err : blocks_sync(blocks);
}

/* With the lock held. */
static struct freeze *freeze_new(struct tree *tree)
{
	struct freeze *freeze = xnew(struct freeze);
	uint64_t stamp = next_stamp(tree);

	list_init(&freeze->nodes);
	freeze->share = tree->share;
	if (!freeze->share.run)
		freeze->share.run = stamp;
	freeze->version.stamp = stamp;
	freeze->version.pen = tree->share.pen;
	freeze->version.no = tree->share.no + 1;
	freeze->plan.stamp = stamp;
	freeze->plan.pen = tree->share.pen;
	return freeze;
}

/* With the lock held: until the cutter has done its part. A disk that fails while the tree is being
 * closed is not waited for. */
static void wait_for_cutter(struct tree *tree, struct freeze *freeze, int until)
{
	pthread_cond_signal(&tree->cut_wake);
	while ((int)freeze->state < until && !(tree->stopping && tree->cut_err))
		pthread_cond_wait(&tree->commit_wake, &tree->lock);
}

/* With the lock held, which is given up meanwhile. */
static int commit_changes(struct tree *tree, const char *note)
{
	struct freeze *freeze = tree->freeze = freeze_new(tree);
	struct tree_version version;
	struct seen seen = { 0 };

	wait_for_cutter(tree, freeze, FREEZE_CUT);
	int err = freeze->state < FREEZE_CUT ? -EINTR : freeze->err;
	struct blocks *blocks = blocks_new(tree->store, tree->fetcher);

	wait_start(&tree->commit_wait, BUILD_MS);
	if (tree->stopping)
		wait_cancel(&tree->commit_wait);
	tree_unlock(tree);
	blocks_batch_begin(blocks);
	if (!err)
		err = version_build(tree, blocks, freeze, note, &seen);
	tree_lock(tree);
	if (!err) {
		freeze->state = FREEZE_BUILT;
		wait_for_cutter(tree, freeze, FREEZE_BASED);
		err = freeze->state == FREEZE_BASED ? 0 : tree->cut_err;
	}
	version = freeze->version;
	tree->freeze = NULL;
	if (!err) {
		seen_release(&tree->seen);
		tree->seen = seen;
		tree->seen_known = true;
	} else {
		seen_release(&seen);
	}
	nodes_forget_lost(tree);
	freeze_release(freeze);
	tree_unlock(tree);
	blocks_batch_end(blocks);
	blocks_free(blocks);
	if (!err && tree->config.on_commit)
		tree->config.on_commit(tree->config.ctx, &version);
	tree_lock(tree);
	return err;
}

/* ---- the thread ---- */

static uint64_t due_ms(const struct tree *tree)
{
	uint64_t due = UINT64_MAX;

	if (!list_empty(&tree->commit_waiters))
		return 0;
	if (!list_empty(&tree->room_waiters))
		due = 0;
	else if (tree->config.commit_by_itself && tree->changed) {
		uint64_t latest = tree->changed_first_ms + TREE_COMMIT_MS;

		due = tree->changed_last_ms + tree->config.quiet_ms;
		due = due < latest ? due : latest;
	}
	return due < tree->commit_retry_ms ? tree->commit_retry_ms : due;
}

static void done(struct list *waiters, const struct tree_version *version, int err)
{
	list_for_each(waiter, waiters, struct tree_waiter, link)
		waiter->version = *version;
	waiters_wake(waiters, err);
}

static void commit_now(struct tree *tree)
{
	struct list waiters;
	char note[COMMIT_NOTE_MAX + 1] = "";
	int err = 0;

	list_init(&waiters);
	list_move_all(&waiters, &tree->commit_waiters);
	list_for_each(waiter, &waiters, struct tree_waiter, link) {
		if (waiter->note && !*note)
			memcpy(note, waiter->note,
			       strlen(waiter->note)); /* tree_commit() bounds it */
	}
	if (tree->changed || !tree->share.no)
		err = commit_changes(tree, note);
	tree->commit_err = err;
	tree->commit_retry_ms = err ? monotonic_ms() + RETRY_MS : 0;
	if (err && err != -EINTR)
		log_warn("tree", "share %s: no version could be made of what changed: %s",
			 tree->share.name, err_text(err));
	done(&waiters, &tree->base, err);
	waiters_wake(&tree->room_waiters, err);
}

void *committer_run(void *ctx)
{
	struct tree *tree = ctx;

	tree_lock(tree);
	while (!tree->stopping) {
		uint64_t due = due_ms(tree);
		struct timespec at = { .tv_sec = (time_t)(due / 1000),
				       .tv_nsec = (long)(due % 1000 * 1000000) };

		if (due <= monotonic_ms())
			commit_now(tree);
		else if (due == UINT64_MAX)
			pthread_cond_wait(&tree->commit_wake, &tree->lock);
		else
			pthread_cond_timedwait(&tree->commit_wake, &tree->lock, &at);
	}
	waiters_wake(&tree->commit_waiters, -EINTR);
	waiters_wake(&tree->room_waiters, -EINTR);
	tree_unlock(tree);
	return NULL;
}

int tree_commit(struct tree *tree, const char *note, struct wait *wait,
		struct tree_version *version)
{
	struct tree_waiter waiter = { .wait = wait, .note = note };

	if (!tree->config.writer)
		return -EROFS;
	if (note && strlen(note) > COMMIT_NOTE_MAX)
		return -EMSGSIZE;
	tree_lock(tree);
	list_add_tail(&tree->commit_waiters, &waiter.link);
	pthread_cond_signal(&tree->commit_wake);
	int err = waiter_sleep(tree, &waiter);

	tree_unlock(tree);
	if (!err)
		*version = waiter.version;
	return err;
}

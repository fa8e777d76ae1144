/* A share's tree: opened, closed, told of, watched. */
#include "dag/tree/tree_private.h"

#include "net/base/thread.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define CLOSE_MS 60000 /* for the last cut */

/* ---- opening ---- */

/* -EBUSY: it is open already. */
static int take_lock(struct tree *tree)
{
	char *path = xasprintf("%s/%u.lock", tree->config.dir, tree->share.id);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : 0;

	free(path);
	if (!err && flock(fd, LOCK_EX | LOCK_NB))
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (!err)
		tree->lock_fd = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}

struct base_search {
	const struct cid *commit;
	struct tree_version *out;
};

static int find_base(void *ctx, const struct tree_version *version)
{
	struct base_search *search = ctx;

	if (cid_equal(&version->commit, search->commit))
		*search->out = *version;
	return 0;
}

static int read_share(struct tree *tree, uint32_t id)
{
	struct base_search search = { .commit = &tree->share.commit, .out = &tree->base };
	struct db_txn *txn;
	int err = db_begin(tree->work, false, &txn);

	if (err)
		return err;
	err = share_record_get(txn, id, &tree->share);
	if (!err && cid_is_set(&tree->share.commit))
		err = version_each(txn, id, find_base, &search);
	db_abort(txn);
	tree->base.no = tree->share.no;
	tree->base.commit = tree->share.commit;
	tree->base.root = tree->share.root;
	tree->base.state = tree->share.state;
	tree->share.run = 0; /* each opening is a run of its own */
	return err;
}

static void make_root(struct tree *tree)
{
	struct timespec now = tree_now();

	tree->root = node_new(tree, TREE_ROOT, S_IFDIR | SHOWN_DIR_MODE);
	tree->root->id = TREE_ROOT;
	tree->root->known = 1; /* always */
	tree->root->mtime = tree->root->ctime = now;
	tree->root->base = tree->share.state;
}

static void init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static struct tree *tree_new(struct db *work, struct store *store, struct fetcher *fetcher,
			     const struct tree_config *config)
{
	struct tree *tree = xnew(struct tree);
	pthread_rwlockattr_t attr;

	tree->work = work;
	tree->store = store;
	tree->fetcher = fetcher;
	tree->config = *config;
	if (!tree->config.quiet_ms)
		tree->config.quiet_ms = TREE_QUIET_MS;
	tree->lock_fd = -1;
	tree->next_node = TREE_ROOT + 1;
	tree->blocks = blocks_new(store, fetcher);
	tree->reader.blocks = tree->blocks;
	tree->reader.radix = radix_new(tree->blocks);
	tree->budget = data_budget_new(DATA_OPEN_MAX, tree_full, tree);
	pthread_mutex_init(&tree->lock, NULL);
	/* A cut is not kept waiting by a stream of writers. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&tree->moment, &attr);
	pthread_rwlockattr_destroy(&attr);
	init_cond(&tree->cut_wake);
	init_cond(&tree->commit_wake);
	list_init(&tree->dirty_nodes);
	list_init(&tree->dirty_entries);
	list_init(&tree->lost_dirs);
	list_init(&tree->cut_waiters);
	list_init(&tree->commit_waiters);
	list_init(&tree->room_waiters);
	return tree;
}

static void tree_free(struct tree *tree)
{
	nodes_release(tree);
	seen_release(&tree->seen);
	data_budget_free(tree->budget);
	radix_free(tree->reader.radix);
	blocks_free(tree->blocks);
	pthread_cond_destroy(&tree->cut_wake);
	pthread_cond_destroy(&tree->commit_wake);
	pthread_rwlock_destroy(&tree->moment);
	pthread_mutex_destroy(&tree->lock);
	if (tree->lock_fd >= 0)
		close(tree->lock_fd);
	free(tree->rows_gone);
	free(tree);
}

static int start_threads(struct tree *tree)
{
	int err = wait_init(&tree->commit_wait);

	if (err)
		return err;
	err = thread_start(&tree->cutter, cutter_run, tree);
	if (err) {
		wait_release(&tree->commit_wait);
		return err;
	}
	err = thread_start(&tree->committer, committer_run, tree);
	if (!err)
		return 0;
	tree_lock(tree);
	tree->cutter_stop = true;
	pthread_cond_signal(&tree->cut_wake);
	tree_unlock(tree);
	pthread_join(tree->cutter, NULL);
	wait_release(&tree->commit_wait);
	return err;
}

int tree_open(struct db *work, struct store *store, struct fetcher *fetcher,
	      const struct tree_config *config, struct tree **out)
{
	struct tree *tree = tree_new(work, store, fetcher, config);
	int err = read_share(tree, config->share);

	if (!err)
		err = take_lock(tree);
	/* Another process may have had it between both. */
	if (!err)
		err = read_share(tree, config->share);
	if (!err && config->writer)
		err = writer_key(private_key_public(config->writer), tree->writer);
	if (!err) {
		make_root(tree);
		err = tree_load(tree);
	}
	if (!err)
		err = start_threads(tree);
	if (err) {
		tree_free(tree);
		return err;
	}
	*out = tree;
	return 0;
}

int tree_follow(struct store *store, struct fetcher *fetcher, const struct cid *base,
		struct tree **out)
{
	const struct tree_config config = { 0 };
	struct tree *tree = tree_new(NULL, store, fetcher, &config);

	make_root(tree);
	tree->root->base = *base;
	*out = tree;
	return 0;
}

/* ---- closing ---- */

int tree_close(struct tree *tree)
{
	struct wait wait;
	int err;

	if (!tree)
		return 0;
	if (!tree->work) {
		tree_free(tree);
		return 0;
	}
	tree_lock(tree);
	tree->stopping = true;
	wait_cancel(&tree->commit_wait);
	pthread_cond_broadcast(&tree->commit_wake);
	tree_unlock(tree);
	pthread_join(tree->committer, NULL);
	err = wait_init(&wait);
	if (!err) {
		wait_start(&wait, CLOSE_MS);
		err = tree_cut(tree, &wait);
		wait_release(&wait);
	}
	tree_lock(tree);
	assert(!tree->watches);
	tree->cutter_stop = true;
	pthread_cond_signal(&tree->cut_wake);
	tree_unlock(tree);
	pthread_join(tree->cutter, NULL);
	wait_release(&tree->commit_wait);
	tree_free(tree);
	return err;
}

/* ---- told ---- */

void tree_status(struct tree *tree, struct tree_status *status)
{
	tree_lock(tree);
	*status = (struct tree_status){ .base = tree->base,
					.dirty = tree->changed,
					.uncut = tree->dirty_count,
					.error = tree->cut_err ? tree->cut_err : tree->commit_err };
	tree_unlock(tree);
	status->dirty_bytes = data_budget_used(tree->budget);
}

void tree_watch(struct tree *tree, struct tree_watch *watch)
{
	tree_lock(tree);
	watch->next = tree->watches;
	tree->watches = watch;
	tree_unlock(tree);
}

void tree_unwatch(struct tree *tree, struct tree_watch *watch)
{
	tree_lock(tree);
	for (struct tree_watch **at = &tree->watches; *at; at = &(*at)->next) {
		if (*at != watch)
			continue;
		*at = watch->next;
		break;
	}
	tree_unlock(tree);
}

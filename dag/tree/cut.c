/* Cuts: all that changed up to one moment goes to disk in one transaction. What is dirty is taken
 * with the lock held, by reference; it is written without; who comes meanwhile shares the next one.
 * The tree's cutter thread does it, at once for whoever waits, else TREE_CUT_MS after the first
 * change. It also begins and ends commits in memory, as that needs a moment without an open cut. */
#include "dag/tree/tree_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <assert.h>
#include <sys/statvfs.h>

#define RETRY_MS 1000 /* after a cut that failed */
#define SPACE_LOOK_MS 1000

/* What one cut writes of a node. */
struct cut_node {
	struct node *node; /* counts in its refs */
	bool put, was_recorded;
	uint32_t drop; /* generations of content; UINT32_MAX: all */
	struct buf record;
	bool has_data;
	struct data_cut data;
};

struct cut_name {
	struct entry *entry; /* stays: it is changed. NULL: a row that goes */
	struct node_rows row;
	bool put;
	struct buf record;
};

struct cut {
	struct cut_node *nodes;
	struct cut_name *names;
	size_t node_count, name_count;
	struct list waiters;
	bool base;
	struct share_record share;
	struct tree_version version; /* commit not set: no row */
	struct freeze *freeze, *based;
	bool leaves;
};

/* ---- waiting ---- */

void waiters_wake(struct list *waiters, int err)
{
	list_for_each_safe(waiter, waiters, struct tree_waiter, link) {
		list_remove(&waiter->link);
		waiter->done = true;
		waiter->err = err;
		wait_wake(waiter->wait);
	}
}

int waiter_sleep(struct tree *tree, struct tree_waiter *waiter)
{
	int err = 0;

	while (!waiter->done && !err) {
		tree_unlock(tree);
		err = wait_sleep(waiter->wait);
		tree_lock(tree);
	}
	list_remove(&waiter->link);
	return waiter->done ? waiter->err : err;
}

int tree_cut(struct tree *tree, struct wait *wait)
{
	struct tree_waiter waiter = { .wait = wait };
	int err = 0;

	list_init(&waiter.link);
	tree_lock(tree);
	if (tree->dirty_since_ms || tree->base_dirty || tree->cutting) {
		list_add_tail(&tree->cut_waiters, &waiter.link);
		pthread_cond_signal(&tree->cut_wake);
		err = waiter_sleep(tree, &waiter);
	}
	tree_unlock(tree);
	return err;
}

int tree_sync(struct tree *tree, struct wait *wait)
{
	return tree_cut(tree, wait);
}

void tree_wrote(struct tree *tree, size_t bytes)
{
	tree->uncut_bytes += bytes;
	if (tree->uncut_bytes < TREE_UNCUT_BYTES_MAX || tree->cut_wanted)
		return;
	tree->cut_wanted = true;
	pthread_cond_signal(&tree->cut_wake);
}

void tree_dirty(struct tree *tree)
{
	if (tree->dirty_since_ms)
		return;
	tree->dirty_since_ms = monotonic_ms();
	pthread_cond_signal(&tree->cut_wake);
}

void tree_full(void *ctx)
{
	struct tree *tree = ctx;

	tree_lock(tree);
	tree->cut_wanted = tree->shed_wanted = true;
	pthread_cond_signal(&tree->cut_wake);
	tree_unlock(tree);
}

int tree_space(struct tree *tree, size_t bytes)
{
	uint64_t now = monotonic_ms();
	struct statvfs disk;

	if (tree->space < bytes + TREE_ROOM_BYTES || now >= tree->space_ms + SPACE_LOOK_MS) {
		if (statvfs(tree->config.dir, &disk))
			return 0;
		uint64_t used = data_budget_used(tree->budget);
		uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;

		tree->space = left > used ? left - used : 0;
		tree->space_ms = now;
	}
	if (tree->space < bytes + TREE_ROOM_BYTES)
		return -ENOSPC;
	tree->space -= bytes;
	return 0;
}

/* ---- taking; with the lock held ---- */

static void take_node(struct tree *tree, struct cut *cut, struct node *node)
{
	struct cut_node *of = &cut->nodes[cut->node_count++];

	of->node = node; /* with the reference of the list */
	of->was_recorded = node->recorded;
	of->put = node_needs_record(node);
	of->drop = node->drop;
	if (of->put) {
		node_record(node, &of->record);
		if (node->data) {
			struct data_snapshot **snapshot = node->plan ? &node->plan->snapshot : NULL;

			of->has_data = data_cut(node->data, tree->generation, snapshot, &of->data);
		}
		for (size_t i = 0; i < of->data.count; i++)
			cut->leaves |= of->data.items[i].kind == DATA_LEAF;
	} else {
		of->drop = UINT32_MAX;
	}
	node->plan = NULL;
	node->recorded = of->put;
	node->drop = 0;
}

static void take_nodes(struct tree *tree, struct cut *cut)
{
	cut->nodes = xcalloc(tree->dirty_count + 1, sizeof(*cut->nodes));
	list_for_each_safe(node, &tree->dirty_nodes, struct node, dirty) {
		list_remove(&node->dirty);
		node->queued = false;
		take_node(tree, cut, node);
	}
}

static void take_names(struct tree *tree, struct cut *cut)
{
	cut->names = xcalloc(tree->dirty_count + tree->rows_gone_count + 1, sizeof(*cut->names));
	/* Rows that go first: the name may have one again. */
	for (size_t i = 0; i < tree->rows_gone_count; i++)
		cut->names[cut->name_count++].row = tree->rows_gone[i];
	tree->rows_gone_count = 0;
	list_for_each_safe(entry, &tree->dirty_entries, struct entry, dirty) {
		struct cut_name *of = &cut->names[cut->name_count++];

		list_remove(&entry->dirty);
		entry->queued = false;
		entry->recorded = true;
		of->entry = entry;
		of->put = true;
		of->row.dir = entry->dir->number;
		of->row.name_len = entry->name_len;
		memcpy(of->row.name, entry->name, entry->name_len);
		name_record(entry->node, &of->record);
	}
}

/* Everything at one moment. */
static void cut_take(struct tree *tree, struct cut *cut)
{
	pthread_rwlock_wrlock(&tree->moment);
	if (tree->freeze && tree->freeze->state == FREEZE_BUILT) {
		freeze_rebase(tree, tree->freeze);
		tree->freeze->state = FREEZE_BASING;
	}
	cut->based = tree->freeze && tree->freeze->state == FREEZE_BASING ? tree->freeze : NULL;
	if (tree->freeze && tree->freeze->state == FREEZE_WANTED) {
		cut->freeze = tree->freeze;
		cut->freeze->generation = tree->generation;
		freeze_plan(tree, cut->freeze);
	}
	take_nodes(tree, cut);
	take_names(tree, cut);
	if (cut->freeze)
		tree->generation++;
	cut->base = tree->base_dirty;
	cut->share = tree->share;
	if (cut->based)
		cut->version = cut->based->version;
	tree->base_dirty = false;
	tree->dirty_count = 0;
	tree->dirty_since_ms = 0;
	tree->uncut_bytes = 0;
	tree->cut_wanted = false;
	list_init(&cut->waiters);
	list_move_all(&cut->waiters, &tree->cut_waiters);
	tree->cutting = true;
	pthread_rwlock_unlock(&tree->moment);
}

/* ---- writing; without the lock ---- */

static int write_node(struct tree *tree, struct db_txn *txn, const struct cut_node *of,
		      struct buf *key)
{
	uint32_t share = tree->share.id;
	struct data_config config;
	int err = 0;

	if (of->drop && of->was_recorded)
		err = content_rows_drop(txn, share, of->node->number, of->drop);
	key_node(key, share, of->node->number);
	if (!err && of->put)
		err = db_put(txn, "nodes", buf_bytes(key), buf_bytes(&of->record));
	else if (!err && of->was_recorded)
		err = db_del(txn, "nodes", buf_bytes(key));
	if (err == -ENOENT)
		err = 0;
	data_config_init(&config);
	if (!err && of->has_data)
		err = content_rows_put(txn, share, of->node->number, config.edit.chunk, &of->data);
	return err;
}

static int write_name(struct tree *tree, struct db_txn *txn, const struct cut_name *of,
		      struct buf *key)
{
	int err;

	key_name(key, tree->share.id, of->row.dir, bytes_of(of->row.name, of->row.name_len));
	if (of->put)
		return db_put(txn, "names", buf_bytes(key), buf_bytes(&of->record));
	err = db_del(txn, "names", buf_bytes(key));
	return err == -ENOENT ? 0 : err;
}

/* The record of a share may have been given other settings meanwhile: they stay. */
static int write_base(struct db_txn *txn, const struct cut *cut)
{
	struct share_record now;
	int err = share_record_get(txn, cut->share.id, &now);

	if (err)
		return err;
	now.last_stamp = cut->share.last_stamp;
	now.run = cut->share.run;
	now.no = cut->share.no;
	now.commit = cut->share.commit;
	now.root = cut->share.root;
	now.state = cut->share.state;
	err = share_record_put(txn, &now);
	if (!err && cid_is_set(&cut->version.commit))
		err = version_put(txn, now.id, &cut->version);
	if (!err && cid_is_set(&cut->version.commit))
		err = versions_thin(txn, now.id, wallclock_ns() / 1000000);
	return err;
}

static int write_all(struct tree *tree, const struct cut *cut)
{
	struct buf key = { 0 };
	struct db_txn *txn;
	int err = db_begin(tree->work, true, &txn);

	if (err)
		return err;
	for (size_t i = 0; !err && i < cut->node_count; i++)
		err = write_node(tree, txn, &cut->nodes[i], &key);
	for (size_t i = 0; !err && i < cut->name_count; i++)
		err = write_name(tree, txn, &cut->names[i], &key);
	if (!err && cut->base)
		err = write_base(txn, cut);
	buf_release(&key);
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

/* Blocks that the records will name are held against collections of all processes, until they do:
 * were one put again afterwards, a crash between would leave a file without it. What was taken
 * since it was put is put again. */
static int hold_leaves(struct blocks *blocks, const struct cut *cut)
{
	int err = 0;

	for (size_t i = 0; !err && i < cut->node_count; i++) {
		const struct data_cut *data = &cut->nodes[i].data;

		for (size_t k = 0; !err && k < data->count; k++) {
			const struct data_item *item = &data->items[k];

			if (item->kind == DATA_LEAF)
				err = blocks_keep(blocks, &item->cid, item->block);
			if (err == -ENOENT && !item->block)
				err = 0; /* lost before: its file alone is damaged */
		}
	}
	return err ? err : blocks_sync(blocks);
}

static int write_cut(struct tree *tree, struct cut *cut)
{
	if (!cut->leaves)
		return write_all(tree, cut);
	struct blocks *blocks = blocks_new(tree->store, NULL);

	blocks_batch_begin(blocks);
	int err = hold_leaves(blocks, cut);

	if (!err)
		err = write_all(tree, cut);
	blocks_batch_end(blocks);
	blocks_free(blocks);
	return err;
}

/* ---- giving back; with the lock held ---- */

static void give_back_node(struct cut_node *of, bool written)
{
	struct node *node = of->node;

	if (of->has_data)
		data_cut_done(node->data, &of->data, written);
	if (!written) {
		/* Rows may be there, or not: the next one says all again. */
		node->recorded = true;
		node->drop = of->drop > node->drop ? of->drop : node->drop;
		node_queue(node);
	}
	buf_release(&of->record);
	node_unref(node);
}

static void give_back(struct tree *tree, struct cut *cut, int err)
{
	for (size_t i = 0; i < cut->name_count; i++) {
		struct cut_name *of = &cut->names[i];

		if (err && of->entry && of->entry->changed)
			entry_queue(of->entry);
		else if (err && !of->entry)
			tree_row_gone(tree, &of->row);
		buf_release(&of->record);
	}
	for (size_t i = 0; i < cut->node_count; i++)
		give_back_node(&cut->nodes[i], !err);
	free(cut->names);
	free(cut->nodes);
	if (err && cut->base)
		tree->base_dirty = true;
	if (err) {
		tree->failures++;
		tree->cut_retry_ms = monotonic_ms() + RETRY_MS;
	} else {
		tree->cut_retry_ms = 0;
	}
	tree->cut_err = err;
	if (cut->freeze)
		cut->freeze->state = FREEZE_CUT;
	if (cut->freeze)
		cut->freeze->err = err;
	if (cut->based && !err)
		cut->based->state = FREEZE_BASED;
	if (cut->freeze || cut->based)
		pthread_cond_broadcast(&tree->commit_wake);
	tree->cutting = false;
	nodes_forget_lost(tree);
	waiters_wake(&cut->waiters, err);
}

/* Memory that is on disk as well is given to those who wait for some. Nodes that are changed do
 * not go while the lock is held. */
static void shed(struct tree *tree)
{
	uint64_t used = data_budget_used(tree->budget), goal = DATA_OPEN_MAX / 2;
	size_t at = 0;
	struct bytes key;
	void *value;

	while (used > goal && map_next(&tree->nodes, &at, &key, &value)) {
		struct node *node = value;

		if (!node->data)
			continue;
		uint64_t freed = data_shed(node->data, used - goal);

		used = freed < used ? used - freed : 0;
	}
}

/* ---- the thread ---- */

/* When the next cut is due; UINT64_MAX: not. */
static uint64_t due_ms(const struct tree *tree)
{
	const struct freeze *freeze = tree->freeze;
	uint64_t due = UINT64_MAX;

	if (!list_empty(&tree->cut_waiters) || tree->cut_wanted)
		due = 0;
	else if (freeze && (freeze->state == FREEZE_WANTED || freeze->state == FREEZE_BUILT))
		due = 0;
	else if (tree->dirty_since_ms)
		due = tree->dirty_since_ms + TREE_CUT_MS;
	else if (tree->base_dirty)
		due = tree->cut_retry_ms;
	/* One that failed is tried again for whoever waits, and now and then. */
	if (due && due < tree->cut_retry_ms)
		due = tree->cut_retry_ms;
	return due;
}

static void sleep_until(struct tree *tree, uint64_t due)
{
	struct timespec at = { .tv_sec = (time_t)(due / 1000),
			       .tv_nsec = (long)(due % 1000 * 1000000) };

	if (due == UINT64_MAX)
		pthread_cond_wait(&tree->cut_wake, &tree->lock);
	else
		pthread_cond_timedwait(&tree->cut_wake, &tree->lock, &at);
}

void *cutter_run(void *ctx)
{
	struct tree *tree = ctx;

	tree_lock(tree);
	while (!tree->cutter_stop) {
		uint64_t due = due_ms(tree);

		if (due > monotonic_ms()) {
			sleep_until(tree, due);
			continue;
		}
		struct cut cut = { 0 };

		cut_take(tree, &cut);
		tree_unlock(tree);
		int err = write_cut(tree, &cut);

		if (err)
			log_warn("tree", "share %s: what changed is not on disk yet: %s",
				 tree->share.name, err_text(err));
		tree_lock(tree);
		give_back(tree, &cut, err);
		if (tree->shed_wanted)
			shed(tree);
		tree->shed_wanted = false;
	}
	tree_unlock(tree);
	return NULL;
}

/* Nodes: files, directories and symlinks in memory, who refers to them, and what of them is to be
 * written. With the tree's lock held. */
#include "dag/tree/tree_private.h"

#include "net/base/random.h"

#include <assert.h>
#include <time.h>

struct timespec tree_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

/* The top bit is not set, and an id is not 0. */
uint64_t tree_new_id(void)
{
	struct random random = random_system();

	return (random_u64(&random) >> 1) | 1;
}

static struct bytes number_key(const uint64_t *number)
{
	return bytes_of(number, sizeof(*number));
}

struct node *node_new(struct tree *tree, uint64_t number, mode_t mode)
{
	struct node *node = xnew(struct node);

	node->number = number;
	node->refs = 1;
	node->tree = tree;
	node->mode = mode;
	map_set(&tree->nodes, number_key(&number), node);
	if (number >= tree->next_node)
		tree->next_node = number + 1;
	return node;
}

struct node *node_get(struct tree *tree, uint64_t number)
{
	return map_get(&tree->nodes, number_key(&number));
}

int node_dir(struct tree *tree, uint64_t number, struct node **dir)
{
	*dir = node_get(tree, number);
	if (!*dir)
		return -ESTALE;
	return S_ISDIR((*dir)->mode) ? 0 : -ENOTDIR;
}

struct node *node_ref(struct node *node)
{
	node->refs++;
	return node;
}

/* Does memory of it go? What an orphan has on disk goes first, with the next cut. */
static bool is_spare(struct node *node)
{
	if (node->refs || node->known || node == node->tree->root)
		return false;
	if (!node->orphan || !node->recorded)
		return true;
	node_queue(node);
	return false;
}

static void free_node(struct node *node)
{
	assert(!node->entries && !node->queued && !node->opens);
	map_remove(&node->tree->nodes, number_key(&node->number));
	data_free(node->data);
	xattrs_release(node);
	free(node->target);
	free(node);
}

void node_settle(struct node *node)
{
	/* Each turn frees one and goes on with its parent. */
	while (node && is_spare(node)) {
		struct node *parent = node->parent;

		if (node->entry) {
			assert(!node->entry->changed);
			node->entry->node = NULL;
			entry_remove(node->entry);
		}
		free_node(node);
		node = parent;
		if (node)
			node->refs--;
	}
}

void node_unref(struct node *node)
{
	assert(node->refs);
	node->refs--;
	node_settle(node);
}

void node_queue(struct node *node)
{
	struct tree *tree = node->tree;

	if (node->queued || !tree->work)
		return;
	node->queued = true;
	list_add_tail(&tree->dirty_nodes, &node_ref(node)->dirty);
	tree->dirty_count++;
	tree_dirty(tree);
}

void node_changed(struct node *node)
{
	if (node->entry)
		entry_changed(node->entry, false);
	node->changed = node->entry ? node->entry->changed : ++node->tree->tick;
	node_queue(node);
}

void node_attach(struct node *node, struct node *dir, struct entry *entry)
{
	assert(!node->parent && !node->entry && !entry->node);
	node->parent = node_ref(dir);
	node->entry = entry;
	node->orphan = false;
	entry->node = node;
	if (entry->changed)
		node_ref(node);
}

void node_detach(struct node *node)
{
	struct entry *entry = node->entry;
	struct node *parent = node->parent;

	node_ref(node);
	node->entry = NULL;
	node->parent = NULL;
	node->orphan = true;
	entry->node = NULL;
	if (entry->changed)
		node->refs--;
	node_queue(node);
	if (S_ISDIR(node->mode))
		node_forget_names(node);
	node_unref(node);
	node_unref(parent);
}

/* All of them are gone: the directory was empty. */
static void settle_names(struct node *dir)
{
	struct entry *next;

	node_ref(dir);
	for (struct entry *entry = entry_from(dir, 0, bytes_of(NULL, 0)); entry; entry = next) {
		next = entry_next(entry);
		if (entry->changed && !entry->node)
			entry_settled(entry);
	}
	node_unref(dir);
}

void node_forget_names(struct node *dir)
{
	dir->base = (struct cid){ 0 };
	if (!dir->tree->freeze && !dir->tree->cutting)
		settle_names(dir);
	else
		list_add_tail(&dir->tree->lost_dirs, &node_ref(dir)->lost);
}

void nodes_forget_lost(struct tree *tree)
{
	if (tree->freeze || tree->cutting)
		return;
	list_for_each_safe(dir, &tree->lost_dirs, struct node, lost) {
		list_remove(&dir->lost);
		settle_names(dir);
		node_unref(dir);
	}
}

bool node_needs_record(const struct node *node)
{
	if (node == node->tree->root)
		return true;
	if (node->orphan) /* whoever still uses it keeps its blocks */
		return node->known || node->opens;
	return node->changed || node->below;
}

struct data *node_data(struct node *node)
{
	struct tree *tree = node->tree;
	struct data_config config;

	if (node->data)
		return node->data;
	data_config_init(&config);
	config.blocks = tree->blocks;
	config.budget = tree->budget;
	config.load = content_load;
	config.ctx = node;
	config.moment = &tree->moment;
	node->data = data_new(&config, cid_is_set(&node->base) ? &node->base : NULL, node->size);
	return node->data;
}

uint64_t node_size(const struct node *node)
{
	if (S_ISDIR(node->mode))
		return 0;
	return node->data ? data_size(node->data) : node->size;
}

void node_attr(const struct node *node, struct tree_attr *attr)
{
	*attr = (struct tree_attr){ .node = node->number,
				    .id = node->id,
				    .mode = node->mode,
				    .size = node_size(node),
				    .mtime = node->mtime,
				    .ctime = node->ctime,
				    .gone = node->orphan };
	attr->held = node->data ? data_held(node->data) : attr->size;
}

void node_set_shown(struct node *node, const struct manifest_entry *entry,
		    const struct shown *shown)
{
	node->mode = shown->mode;
	node->id = shown->id;
	node->mtime = shown->mtime;
	node->ctime = (struct timespec){ .tv_sec = (time_t)((shown->stamp >> 16) / 1000),
					 .tv_nsec = (long)((shown->stamp >> 16) % 1000 * 1000000) };
	node->size = shown->size;
	if (S_ISDIR(shown->mode))
		node->base = entry->dir.link;
	else if (S_ISREG(shown->mode))
		node->base = shown->value->cid;
	if (S_ISLNK(shown->mode)) {
		struct bytes target = shown->value->target;

		free(node->target);
		node->target = xcalloc(1, target.len + 1);
		memcpy(node->target, target.at, target.len);
		node->size = target.len;
	}
	if (shown->meta)
		xattrs_copy(node, shown->meta->xattrs, shown->meta->xattr_count);
	else
		xattrs_release(node);
}

static void free_entries(struct entry *entry)
{
	while (entry) {
		struct entry *left = entry->left;

		/* Turned to a list, so that a deep treap needs no deep stack. */
		if (left) {
			entry->left = left->right;
			left->right = entry;
			entry = left;
			continue;
		}
		struct entry *right = entry->right;

		free(entry);
		entry = right;
	}
}

void nodes_release(struct tree *tree)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(&tree->nodes, &at, &key, &value)) {
		struct node *node = value;

		free_entries(node->entries);
		data_free(node->data);
		xattrs_release(node);
		free(node->target);
		free(node);
	}
	map_release(&tree->nodes);
}

/* Names: finding, making, removing, renaming. What the base must be asked for is found first, with
 * the lock given up meanwhile; the change itself is one step with the lock held. */
#include "dag/tree/tree_private.h"

#include <assert.h>
#include <stdio.h>

#define DEPTH_MAX 1000 /* directories within each other; as imports take */

int name_check(struct bytes name)
{
	if (name.len > TREE_NAME_MAX)
		return -ENAMETOOLONG;
	return manifest_name_allowed(name) ? 0 : -EINVAL;
}

int tree_wait_room(struct tree *tree, struct wait *wait)
{
	int err = 0;

	if (!tree->config.writer)
		return -EROFS;
	tree_lock(tree);
	while (!err && tree->changed >= TREE_DIRTY_MAX) {
		struct tree_waiter waiter = { .wait = wait };

		list_add_tail(&tree->room_waiters, &waiter.link);
		pthread_cond_signal(&tree->commit_wake);
		err = waiter_sleep(tree, &waiter);
	}
	tree_unlock(tree);
	return err;
}

/* Handed to the kernel. */
static void hand_out(struct node *node, struct tree_attr *attr)
{
	node->known++;
	node_attr(node, attr);
}

int tree_lookup(struct tree *tree, uint64_t number, struct bytes name, struct wait *wait,
		struct tree_attr *attr)
{
	struct node *dir;
	struct entry *entry;
	int err = name_check(name);

	if (err)
		return err == -EINVAL ? -ENOENT : err;
	tree_lock(tree);
	err = node_dir(tree, number, &dir);
	if (!err)
		err = base_find(tree, dir, name, wait, &entry);
	if (!err)
		hand_out(entry->node, attr);
	tree_unlock(tree);
	return err;
}

int tree_find(struct tree *tree, const char *path, struct wait *wait, struct tree_attr *attr)
{
	uint64_t at = TREE_ROOT;
	int err = tree_stat(tree, TREE_ROOT, attr);

	for (; !err && *path; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");
		uint64_t dir = at;

		if (len)
			err = tree_lookup(tree, dir, bytes_of(path, len), wait, attr);
		if (len && !err)
			at = attr->node;
		if (len && dir != TREE_ROOT)
			tree_forget(tree, dir, 1);
		path += len;
	}
	if (!err && at == TREE_ROOT) {
		tree_lock(tree);
		hand_out(tree->root, attr);
		tree_unlock(tree);
	}
	return err;
}

void tree_forget(struct tree *tree, uint64_t number, uint64_t count)
{
	tree_lock(tree);
	struct node *node = node_get(tree, number);

	if (node) {
		assert(node->known >= count);
		node->known -= count;
		node_settle(node);
	}
	tree_unlock(tree);
}

int tree_readlink(struct tree *tree, uint64_t number, struct buf *target)
{
	tree_lock(tree);
	const struct node *node = node_get(tree, number);
	int err = !node ? -ESTALE : S_ISLNK(node->mode) ? 0 : -EINVAL;

	if (!err)
		buf_add_str(target, node->target);
	tree_unlock(tree);
	return err;
}

/* ---- changing; all with the lock held ---- */

/* A directory's times, because its names changed. */
static void dir_changed(struct node *dir, struct timespec now)
{
	dir->mtime = dir->ctime = now;
	node_changed(dir);
}

/* The entry of a name that leads to nothing. */
static struct entry *free_entry(struct node *dir, struct bytes name)
{
	uint64_t hash = manifest_hash(name);
	struct entry *entry = entry_find(dir, hash, name);

	return entry ? entry : entry_add(dir, hash, name);
}

/* Nothing leads to the node any more. */
static void take_away(struct entry *entry, struct timespec now)
{
	struct node *node = node_ref(entry->node);

	entry_changed(entry, true);
	node->ctime = now;
	node_detach(node);
	node_unref(node);
}

/* Directories above dir. */
static unsigned depth_of(const struct node *dir)
{
	unsigned depth = 0;

	while ((dir = dir->parent))
		depth++;
	return depth;
}

static int depth_check(const struct node *dir)
{
	return depth_of(dir) >= DEPTH_MAX ? -ENAMETOOLONG : 0;
}

/* A directory that is still there, in which the name leads to nothing. */
static int find_room(struct tree *tree, struct node *dir, struct bytes name, struct wait *wait)
{
	struct entry *entry;
	int err = base_find(tree, dir, name, wait, &entry);

	if (!err)
		return -EEXIST;
	if (err != -ENOENT)
		return err;
	if (dir->orphan)
		return -ENOENT;
	return depth_check(dir);
}

static struct node *make_node(struct tree *tree, const struct tree_new *how, struct timespec now)
{
	struct node *node = node_new(tree, tree->next_node, how->mode & (S_IFMT | 07777));

	node->id = tree_new_id();
	node->mtime = node->ctime = now;
	if (S_ISLNK(how->mode)) {
		node->mode = S_IFLNK | 0777;
		node->target = xcalloc(1, how->target.len + 1);
		memcpy(node->target, how->target.at, how->target.len);
		node->size = how->target.len;
	}
	return node;
}

/* Takes over node_new()'s reference. */
static void put_in(struct node *dir, struct bytes name, struct node *node, struct timespec now)
{
	struct entry *entry = free_entry(dir, name);

	node_attach(node, dir, entry);
	entry_changed(entry, true);
	node_changed(node);
	dir_changed(dir, now);
	node_unref(node);
}

static int new_check(const struct tree_new *how)
{
	if (!S_ISREG(how->mode) && !S_ISDIR(how->mode) && !S_ISLNK(how->mode))
		return -EPERM;
	if (!S_ISLNK(how->mode))
		return 0;
	if (!how->target.len || memchr(how->target.at, 0, how->target.len))
		return -EINVAL;
	return how->target.len > MANIFEST_TARGET_MAX ? -ENAMETOOLONG : 0;
}

int tree_create(struct tree *tree, uint64_t number, struct bytes name, const struct tree_new *how,
		struct wait *wait, struct tree_attr *attr)
{
	struct node *dir;
	int err = name_check(name);

	if (!err)
		err = new_check(how);
	if (!err)
		err = tree_wait_room(tree, wait);
	if (err)
		return err;
	tree_lock(tree);
	err = node_dir(tree, number, &dir);
	if (!err)
		err = find_room(tree, dir, name, wait);
	if (!err) {
		struct timespec now = tree_now();
		struct node *node = make_node(tree, how, now);

		node->known++;
		put_in(dir, name, node, now);
		node_attr(node, attr);
	}
	tree_unlock(tree);
	return err;
}

int tree_graft(struct tree *tree, uint64_t number, struct bytes name,
	       const struct tree_graft *graft, struct wait *wait, struct tree_attr *attr)
{
	const struct tree_new how = { .mode = S_IFREG | (graft->mode & 07777) };
	struct node *dir;
	struct entry *entry;
	int err = name_check(name);

	if (!err && graft->size > TREE_FILE_MAX)
		err = -EFBIG;
	if (!err)
		err = tree_wait_room(tree, wait);
	if (err)
		return err;
	tree_lock(tree);
	err = node_dir(tree, number, &dir);
	if (!err)
		err = base_find(tree, dir, name, wait, &entry);
	if (!err && S_ISDIR(entry->node->mode))
		err = -EISDIR;
	bool replaces = !err;

	if (!err || err == -ENOENT)
		err = dir->orphan ? -ENOENT : depth_check(dir);
	if (!err) {
		struct timespec now = tree_now();
		struct node *node = make_node(tree, &how, graft->mtime);

		if (replaces)
			take_away(entry, now);
		node->ctime = now;
		node->base = graft->root;
		node->size = graft->size;
		node->known++;
		put_in(dir, name, node, now);
		node_attr(node, attr);
	}
	tree_unlock(tree);
	return err;
}

int tree_unlink(struct tree *tree, uint64_t number, struct bytes name, bool dir_wanted,
		struct wait *wait)
{
	struct node *dir;
	struct entry *entry;
	int err = name_check(name);

	if (!err)
		err = tree_wait_room(tree, wait);
	if (err)
		return err;
	tree_lock(tree);
	err = node_dir(tree, number, &dir);
	while (!err && !(err = base_find(tree, dir, name, wait, &entry))) {
		struct node *node = entry->node;

		if (S_ISDIR(node->mode) != dir_wanted) {
			err = dir_wanted ? -ENOTDIR : -EISDIR;
			break;
		}
		node_ref(node);
		int empty = dir_wanted ? base_is_empty(tree, node, wait) : 1;
		/* It may have got another name meanwhile. */
		bool same = node->parent == dir && node->entry &&
			    bytes_equal(entry_name(node->entry), name);

		if (empty == 1 && same) {
			struct timespec now = tree_now();

			take_away(node->entry, now);
			dir_changed(dir, now);
		}
		node_unref(node);
		err = empty < 0 ? empty : empty ? 0 : -ENOTEMPTY;
		if (same)
			break;
	}
	tree_unlock(tree);
	return err;
}

/* ---- renaming ---- */

struct renaming {
	struct node *from, *to; /* directories */
	struct bytes name, as;
	unsigned flags;
	struct entry *source, *target; /* target: NULL if nothing is there */
};

static bool is_within(const struct node *dir, const struct node *node)
{
	for (; dir; dir = dir->parent)
		if (dir == node)
			return true;
	return false;
}

/* May it be so? 1: both names are one and the same already. */
static int rename_check(const struct renaming *r)
{
	const struct node *moved = r->source->node;
	const struct node *other = r->target ? r->target->node : NULL;

	if (r->to->orphan)
		return -ENOENT;
	if (r->flags == RENAME_NOREPLACE && other)
		return -EEXIST;
	if (r->flags == RENAME_EXCHANGE && !other)
		return -ENOENT;
	if (moved == other)
		return 1;
	if (is_within(r->to, moved))
		return -EINVAL;
	if (r->flags == RENAME_EXCHANGE)
		return is_within(r->from, other) ? -EINVAL : 0;
	if (other && S_ISDIR(moved->mode) && !S_ISDIR(other->mode))
		return -ENOTDIR;
	if (other && !S_ISDIR(moved->mode) && S_ISDIR(other->mode))
		return -EISDIR;
	return depth_check(r->to);
}

/* From one place to another, keeping all else. */
static void names_move(struct node *node, struct node *to, struct entry *entry)
{
	bool was_changed = node->entry->changed;
	struct entry *old = node->entry;
	struct node *parent = node->parent;

	node_ref(node);
	old->node = NULL;
	if (was_changed)
		node->refs--;
	node->entry = NULL;
	node->parent = NULL;
	node_attach(node, to, entry);
	node_unref(parent);
	node_unref(node);
}

static void exchange(struct renaming *r)
{
	struct node *a = node_ref(r->source->node), *b = node_ref(r->target->node);

	entry_changed(r->source, true);
	entry_changed(r->target, true);
	/* One of them has no place for a moment. */
	r->target->node = NULL;
	b->refs--;
	b->entry = NULL;
	struct node *parent = b->parent;

	b->parent = NULL;
	names_move(a, r->to, r->target);
	node_attach(b, r->from, r->source);
	node_unref(parent);
	node_changed(a);
	node_changed(b);
	node_unref(a);
	node_unref(b);
}

static void names_replace(struct renaming *r, struct timespec now)
{
	struct node *node = node_ref(r->source->node);

	entry_changed(r->source, true);
	if (r->target && r->target->node)
		take_away(r->target, now);
	struct entry *target = free_entry(r->to, r->as);

	names_move(node, r->to, target);
	entry_changed(target, true);
	node->ctime = now;
	node_changed(node);
	node_unref(node);
}

/* Both names, as they are at one moment. What they lead to stays until the lock is given up. */
static int rename_find(struct tree *tree, struct renaming *r, struct wait *wait)
{
	for (;;) {
		int err = base_find(tree, r->from, r->name, wait, &r->source);

		if (err)
			return err;
		struct node *node = node_ref(r->source->node);

		err = base_find(tree, r->to, r->as, wait, &r->target);
		if (err == -ENOENT) {
			r->target = NULL;
			err = 0;
		}
		r->source = entry_find(r->from, manifest_hash(r->name), r->name);
		bool same = r->source && r->source->node == node;

		if (!err && same) {
			node->refs--; /* its name keeps it, with the lock held */
			return 0;
		}
		node_unref(node);
		if (err)
			return err;
	}
}

/* Both are found, and may be so renamed; a directory that is replaced is empty. 1: nothing is to
 * be done. */
static int rename_ready(struct tree *tree, struct renaming *r, struct wait *wait)
{
	struct node *empty = NULL; /* was found to be so, and held since */
	int err;

	for (;;) {
		err = rename_find(tree, r, wait);
		if (!err)
			err = rename_check(r);
		struct node *other = !err && r->target ? r->target->node : NULL;

		if (other && other == empty && !dir_has_entries(other))
			break;
		if (empty)
			node_unref(empty);
		empty = NULL;
		if (!other || r->flags == RENAME_EXCHANGE || !S_ISDIR(other->mode))
			break;
		empty = node_ref(other);
		err = base_is_empty(tree, other, wait);
		if (err <= 0) {
			err = err ? err : -ENOTEMPTY;
			break;
		}
	}
	if (empty && !err)
		empty->refs--; /* it is the target, which its name keeps */
	else if (empty)
		node_unref(empty);
	return err;
}

/* What is in a directory that goes down must not come too deep. The lock is given up. */
static int depth_after(struct tree *tree, struct node *dir, const struct node *from,
		       const struct node *to, struct wait *wait)
{
	unsigned depth = depth_of(to);

	if (!S_ISDIR(dir->mode) || depth <= depth_of(from))
		return 0;
	return depth + 1 > DEPTH_MAX ? -ENAMETOOLONG
				     : base_depth_check(tree, dir, DEPTH_MAX - depth - 1, wait);
}

static int depths_check(struct tree *tree, struct renaming *r, struct wait *wait)
{
	int err = rename_find(tree, r, wait);

	if (err)
		return err;
	struct node *moved = node_ref(r->source->node);
	struct node *other =
		r->flags == RENAME_EXCHANGE && r->target ? node_ref(r->target->node) : NULL;

	err = depth_after(tree, moved, r->from, r->to, wait);
	if (!err && other)
		err = depth_after(tree, other, r->to, r->from, wait);
	node_unref(moved);
	if (other)
		node_unref(other);
	return err;
}

static int rename_both(struct tree *tree, struct renaming *r, struct wait *wait)
{
	int err = depths_check(tree, r, wait);

	if (!err)
		err = rename_ready(tree, r, wait);

	if (err)
		return err == 1 ? 0 : err;
	struct timespec now = tree_now();

	if (r->flags == RENAME_EXCHANGE)
		exchange(r);
	else
		names_replace(r, now);
	dir_changed(r->from, now);
	if (r->to != r->from)
		dir_changed(r->to, now);
	return 0;
}

int tree_rename(struct tree *tree, uint64_t from, struct bytes name, uint64_t to, struct bytes as,
		unsigned flags, struct wait *wait)
{
	struct renaming renaming = { .name = name, .as = as, .flags = flags };
	int err = name_check(name);

	if (!err)
		err = name_check(as);
	if (!err && flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		err = -EINVAL;
	if (!err)
		err = tree_wait_room(tree, wait);
	if (err)
		return err;
	tree_lock(tree);
	err = node_dir(tree, from, &renaming.from);
	if (!err)
		err = node_dir(tree, to, &renaming.to);
	if (!err)
		err = rename_both(tree, &renaming, wait);
	tree_unlock(tree);
	return err;
}

/* A commit in memory: what is changed becomes a plan, and when that was built, the base. Both
 * happen between cuts, with the lock held. A commit takes what is changed at one moment; what
 * changes later stays on top of the new base. */
#include "dag/tree/tree_private.h"

#include <assert.h>

/* ---- the plan ---- */

static struct bytes copy_bytes(struct bytes from)
{
	uint8_t *at = xcalloc(1, from.len + 1);

	if (from.len)
		memcpy(at, from.at, from.len);
	return bytes_of(at, from.len);
}

/* The xattrs and the target, in one piece. */
static void copy_said(struct plan_entry *to, const struct node *node)
{
	size_t target = node->target ? strlen(node->target) : 0;
	size_t need = node->xattr_count * sizeof(*to->xattrs) + node->xattr_bytes + target;

	if (!need)
		return;
	to->memory = xcalloc(1, need);
	to->xattrs = to->memory;
	to->xattr_count = node->xattr_count;
	uint8_t *at = (uint8_t *)(to->xattrs + node->xattr_count);

	for (size_t i = 0; i < node->xattr_count; i++) {
		const struct manifest_xattr *from = &node->xattrs[i];

		memcpy(at, from->name.at, from->name.len);
		to->xattrs[i].name = bytes_of(at, from->name.len);
		at += from->name.len;
		memcpy(at, from->value.at, from->value.len);
		to->xattrs[i].value = bytes_of(at, from->value.len);
		at += from->value.len;
	}
	if (target) {
		memcpy(at, node->target, target);
		to->target = bytes_of(at, target);
	}
}

static void plan_node(struct plan_entry *to, struct node *node)
{
	to->kind = S_ISDIR(node->mode) ? PLAN_DIR : S_ISLNK(node->mode) ? PLAN_SYMLINK : PLAN_FILE;
	to->mode = node->mode & 07777;
	to->mtime = node->mtime;
	to->id = node->id;
	to->size = node->size;
	copy_said(to, node);
	if (to->kind == PLAN_DIR)
		to->dir.base = node->base;
	if (to->kind != PLAN_FILE)
		return;
	to->root = node->base;
	/* The cut that is being taken makes the snapshot. */
	if (to->changed && node->data) {
		node->plan = to;
		node_queue(node);
	}
}

/* Is the entry in the plan? Below a directory that may have been moved, all directories are that
 * are in memory: their manifests become other ones. */
static bool is_planned(const struct entry *entry, bool moved)
{
	const struct node *node = entry->node;

	return entry->changed || (node && S_ISDIR(node->mode) && (moved || node->below));
}

static void plan_dir(struct freeze *freeze, struct plan_dir *to, struct node *dir, bool moved)
{
	struct entry *first = entry_from(dir, 0, bytes_of(NULL, 0));
	size_t count = 0;

	for (struct entry *entry = first; entry; entry = entry_next(entry))
		count += is_planned(entry, moved);
	to->entries = xcalloc(count + 1, sizeof(*to->entries));
	for (struct entry *entry = first; entry; entry = entry_next(entry)) {
		if (!is_planned(entry, moved))
			continue;
		struct plan_entry *plan = &to->entries[to->count++];
		struct plan_ref *ref = xnew(struct plan_ref);

		plan->name = copy_bytes(entry_name(entry));
		plan->changed = entry->changed;
		plan->ctx = ref;
		ref->plan = plan;
		ref->entry = entry->changed ? entry : NULL;
		ref->node = entry->node ? node_ref(entry->node) : NULL;
		list_add_tail(&freeze->nodes, &ref->link);
		if (entry->node)
			plan_node(plan, entry->node);
		if (plan->kind == PLAN_DIR)
			plan_dir(freeze, &plan->dir, entry->node, moved || entry->changed);
	}
}

void freeze_plan(struct tree *tree, struct freeze *freeze)
{
	freeze->tick = tree->tick;
	freeze->plan.before = tree->base;
	freeze->plan.top.base = tree->root->base;
	plan_dir(freeze, &freeze->plan.top, tree->root, false);
}

/* ---- the new base ---- */

static void rebase_node(struct freeze *freeze, const struct plan_ref *ref)
{
	struct plan_entry *plan = ref->plan;
	struct node *node = ref->node;

	if (plan->kind == PLAN_DIR && !node->orphan)
		node->base = plan->dir.link;
	if (plan->kind == PLAN_DIR && node->below <= freeze->tick)
		node->below = 0;
	if (plan->kind == PLAN_FILE && plan->changed) {
		if (plan->snapshot) {
			data_rebase(node->data, plan->snapshot, &plan->root);
			node->drop = freeze->generation;
		}
		node->base = plan->root;
		node->size = plan->size;
	}
	if (node->changed <= freeze->tick)
		node->changed = 0;
	node_queue(node);
}

/* Entries that are as they were in the plan are as in the base now. */
static void rebase_entry(struct freeze *freeze, struct plan_ref *ref)
{
	if (ref->entry && ref->entry->changed <= freeze->tick)
		entry_settled(ref->entry);
	ref->entry = NULL;
}

void freeze_rebase(struct tree *tree, struct freeze *freeze)
{
	const struct tree_version *version = &freeze->version;

	tree->root->base = freeze->plan.top.link;
	if (tree->root->below <= freeze->tick)
		tree->root->below = 0;
	if (tree->root->changed <= freeze->tick)
		tree->root->changed = 0;
	node_queue(tree->root);
	list_for_each(ref, &freeze->nodes, struct plan_ref, link) {
		if (ref->node)
			rebase_node(freeze, ref);
	}
	list_for_each(ref, &freeze->nodes, struct plan_ref, link)
		rebase_entry(freeze, ref);
	tree->base = *version;
	tree->share.last_stamp = version->stamp;
	tree->share.run = freeze->share.run;
	tree->share.no = version->no;
	tree->share.commit = version->commit;
	tree->share.root = version->root;
	tree->share.state = version->state;
	tree->base_dirty = true;
	if (tree->changed)
		tree->changed_first_ms = monotonic_ms();
}

void freeze_release(struct freeze *freeze)
{
	list_for_each_safe(ref, &freeze->nodes, struct plan_ref, link) {
		list_remove(&ref->link);
		if (ref->node)
			node_unref(ref->node);
		free(ref);
	}
	plan_dir_release(&freeze->plan.top);
	free(freeze);
}

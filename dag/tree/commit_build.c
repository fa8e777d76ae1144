/* Building a version: each planned directory's entries are made and laid over its base, children
 * first, then its plain UnixFS directory is made of the whole. The caller's thread; recursion is as
 * deep as the tree, which names.c bounds. */
#include "dag/tree/commit_build.h"

#include "dag/tree/commit_plain.h"
#include "dag/tree/shown.h"
#include "net/base/alloc.h"
#include "net/base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct build {
	struct blocks *blocks;
	struct radix *radix;
	uint64_t pen, stamp;
	struct wait *wait;
	struct tree_version *version;
};

/* An entry of the new directory, and all that it points to. */
struct made {
	struct manifest_entry entry;
	struct manifest_entry before; /* owned; says nothing if the base does not */
	bool has_before;
	struct manifest_value value;
	struct manifest_dot dot;
	struct manifest_meta meta;
	struct radix_root below; /* of a directory: spans are its */
	bool gone;
};

/* What became of a directory. */
struct built {
	struct radix_root manifest;
	struct cid tree;
	uint64_t tree_size;
};

static int build_dir(struct build *build, struct plan_dir *dir, bool moved, struct built *out);

void plan_dir_release(struct plan_dir *dir)
{
	for (size_t i = 0; i < dir->count; i++) {
		struct plan_entry *entry = &dir->entries[i];

		free((void *)entry->name.at);
		free(entry->memory);
		data_snapshot_free(entry->snapshot);
		plan_dir_release(&entry->dir);
	}
	free(dir->entries);
	*dir = (struct plan_dir){ 0 };
}

/* ---- counting ---- */

static void count_file(struct build *build, uint64_t size, bool added)
{
	struct tree_version *version = build->version;

	if (added) {
		version->added++;
		version->files++;
		version->size += size;
		return;
	}
	version->removed++;
	version->files -= version->files != 0;
	version->size -= size < version->size ? size : version->size;
}

/* All files below a manifest went. */
static int count_gone(struct build *build, const struct cid *link)
{
	struct radix_iter *iter;
	const struct manifest_entry *entry;
	int got = 0;

	if (!cid_is_set(link))
		return 0;
	iter = radix_iter_new(build->radix, link, 0, bytes_of(NULL, 0));
	while ((got = radix_iter_next(iter, build->wait, &entry)) > 0) {
		struct shown shown;

		if (!shown_entry(entry, &shown))
			continue;
		if (shown.value) {
			count_file(build, shown.size, false);
			continue;
		}
		struct cid below = entry->dir.link;

		got = count_gone(build, &below);
		if (got < 0)
			break;
	}
	radix_iter_free(iter);
	return got < 0 ? got : 0;
}

/* What the name showed before is not there any more. */
static int count_before(struct build *build, const struct made *made)
{
	struct shown shown;

	if (!made->has_before || !shown_entry(&made->before, &shown))
		return 0;
	if (!shown.value)
		return count_gone(build, &made->before.dir.link);
	count_file(build, shown.size, false);
	return 0;
}

static bool same_content(const struct manifest_value *a, const struct manifest_value *b)
{
	return a->flags == b->flags && a->size == b->size && cid_equal(&a->cid, &b->cid) &&
	       bytes_equal(a->target, b->target);
}

/* A file or symlink stands where the base had what made->before says. */
static int count_value(struct build *build, const struct made *made, bool moved)
{
	struct shown shown;
	uint64_t size = made->value.size;

	if (!moved && made->has_before && shown_entry(&made->before, &shown) && shown.value) {
		build->version->changed += !same_content(shown.value, &made->value);
		build->version->size += size;
		build->version->size -=
			shown.size < build->version->size ? shown.size : build->version->size;
		return 0;
	}
	int err = moved ? 0 : count_before(build, made);

	count_file(build, size, true);
	return err;
}

/* ---- entries ---- */

static bool equal_xattrs(const struct manifest_meta *a, const struct manifest_meta *b)
{
	if (a->xattr_count != b->xattr_count)
		return false;
	for (size_t i = 0; i < a->xattr_count; i++)
		if (!bytes_equal(a->xattrs[i].name, b->xattrs[i].name) ||
		    !bytes_equal(a->xattrs[i].value, b->xattrs[i].value))
			return false;
	return true;
}

/* Mode, xattrs and a directory's mtime. A dot that says the same stays. */
static void make_meta(const struct build *build, struct made *made, const struct plan_entry *plan,
		      bool moved)
{
	bool is_dir = plan->kind == PLAN_DIR;
	struct manifest_meta *meta = &made->meta;
	struct shown shown;

	if (!is_dir && !plan->xattr_count &&
	    (plan->kind == PLAN_SYMLINK || plan->mode == SHOWN_FILE_MODE))
		return;
	*meta = (struct manifest_meta){ .pen = build->pen,
					.stamp = build->stamp,
					.mode = plan->mode,
					.mtime = is_dir ? plan->mtime.tv_sec : 0,
					.mtime_nanos = is_dir ? (uint32_t)plan->mtime.tv_nsec : 0,
					.xattrs = plan->xattrs,
					.xattr_count = plan->xattr_count };
	made->entry.metas = meta;
	made->entry.meta_count = 1;
	if (moved || !made->has_before || !shown_entry(&made->before, &shown) || !shown.meta)
		return;
	if (meta->mode == shown.meta->mode && meta->mtime == shown.meta->mtime &&
	    meta->mtime_nanos == shown.meta->mtime_nanos && equal_xattrs(meta, shown.meta)) {
		meta->pen = shown.meta->pen;
		meta->stamp = shown.meta->stamp;
	}
}

static int make_value(struct build *build, struct made *made, struct plan_entry *plan, bool moved)
{
	struct manifest_value *value = &made->value;
	struct shown shown;
	int err = 0;

	if (plan->kind == PLAN_FILE && plan->snapshot) {
		err = data_snapshot_root(plan->snapshot, build->blocks, build->wait, &plan->root,
					 &plan->size, NULL);
	} else if (plan->kind == PLAN_FILE && !cid_is_set(&plan->root)) {
		struct file_edit_config config;

		file_edit_config_init(&config);
		err = file_edit_make(build->blocks, &config, &(struct file_edit){ 0 }, build->wait,
				     &plan->root, NULL);
	}
	if (err)
		return err;
	*value = (struct manifest_value){ .pen = build->pen,
					  .stamp = build->stamp,
					  .id = plan->id,
					  .size = plan->size,
					  .mtime = plan->mtime.tv_sec,
					  .mtime_nanos = (uint32_t)plan->mtime.tv_nsec };
	if (plan->kind == PLAN_SYMLINK) {
		value->flags = MANIFEST_SYMLINK;
		value->target = plan->target;
		value->size = plan->target.len;
	} else {
		value->cid = plan->root;
	}
	made->entry.values = value;
	made->entry.value_count = 1;
	bool same = made->has_before && shown_entry(&made->before, &shown) && shown.value &&
		    same_content(shown.value, value);

	if (plan->snapshot && !same)
		build->version->new_bytes += value->size;
	if (!moved && same && shown.value->id == value->id && shown.value->mtime == value->mtime &&
	    shown.value->mtime_nanos == value->mtime_nanos) {
		value->pen = shown.value->pen;
		value->stamp = shown.value->stamp;
	}
	make_meta(build, made, plan, moved);
	return count_value(build, made, moved);
}

/* Where the directory's own dots tell that it was here before, they stay. */
static bool keeps_dots(const struct made *made, uint64_t id)
{
	const struct manifest_dir *dir = &made->before.dir;

	for (size_t i = 0; made->has_before && made->before.has_dir && i < dir->dot_count; i++)
		if (dir->dots[i].id == id)
			return true;
	return false;
}

static int make_dir(struct build *build, struct made *made, struct plan_entry *plan, bool moved)
{
	struct manifest_dir *dir = &made->entry.dir;
	bool stays = !moved && keeps_dots(made, plan->id);
	struct built built = { 0 };
	int err = stays || moved ? 0 : count_before(build, made);

	if (!err)
		err = build_dir(build, &plan->dir, !stays, &built);
	if (err)
		return err;
	made->below = built.manifest;
	made->dot = (struct manifest_dot){ build->pen, build->stamp, plan->id };
	made->entry.has_dir = true;
	dir->dots = stays ? made->before.dir.dots : &made->dot;
	dir->dot_count = stays ? made->before.dir.dot_count : 1;
	dir->link = built.manifest.cid;
	dir->tree = built.tree;
	dir->tree_size = built.tree_size;
	dir->spans = made->below.spans;
	dir->span_count = made->below.span_count;
	make_meta(build, made, plan, !stays);
	return 0;
}

/* What the base says, but for what is below; in a moved directory with dots of the commit. dir:
 * what is planned below, or NULL. */
static int make_kept(struct build *build, struct made *made, struct plan_dir *dir, bool moved)
{
	struct plan_dir as_it_is = { 0 };
	struct built built = { 0 };
	struct shown shown;

	if (!made->has_before || !shown_entry(&made->before, &shown))
		return -EBADMSG;
	made->entry = made->before;
	made->entry.memory = NULL;
	if (moved && shown.meta) {
		made->meta = *shown.meta;
		made->meta.pen = build->pen;
		made->meta.stamp = build->stamp;
		made->entry.metas = &made->meta;
		made->entry.meta_count = 1;
	}
	if (shown.value) {
		if (!moved)
			return 0;
		made->value = *shown.value;
		made->value.flags &= ~(unsigned)MANIFEST_ASIDE;
		made->value.pen = build->pen;
		made->value.stamp = build->stamp;
		made->entry.values = &made->value;
		made->entry.value_count = 1;
		made->entry.has_dir = false;
		return count_value(build, made, true);
	}
	as_it_is.base = made->before.dir.link;
	int err = build_dir(build, dir ? dir : &as_it_is, moved, &built);

	if (err)
		return err;
	made->below = built.manifest;
	made->entry.dir.link = built.manifest.cid;
	made->entry.dir.spans = made->below.spans;
	made->entry.dir.span_count = made->below.span_count;
	made->entry.dir.tree = built.tree;
	made->entry.dir.tree_size = built.tree_size;
	if (moved) {
		made->dot = (struct manifest_dot){ build->pen, build->stamp, shown.id };
		made->entry.dir.dots = &made->dot;
		made->entry.dir.dot_count = 1;
		made->entry.values = NULL;
		made->entry.value_count = 0;
	}
	return 0;
}

static int make_planned(struct build *build, struct made *made, struct plan_entry *plan, bool moved)
{
	made->entry.name = plan->name;
	if (plan->kind == PLAN_GONE) {
		made->gone = true;
		return moved ? 0 : count_before(build, made);
	}
	if (!plan->changed)
		return make_kept(build, made, &plan->dir, moved);
	return plan->kind == PLAN_DIR ? make_dir(build, made, plan, moved)
				      : make_value(build, made, plan, moved);
}

/* ---- a directory's manifest ---- */

struct making {
	struct made **made;
	size_t count, cap;
};

static struct made *add_made(struct making *making)
{
	if (making->count == making->cap) {
		making->cap = making->cap ? making->cap * 2 : 16;
		making->made = xrealloc(making->made, making->cap * sizeof(struct made *));
	}
	return making->made[making->count++] = xnew(struct made);
}

static void making_release(struct making *making)
{
	for (size_t i = 0; i < making->count; i++) {
		manifest_entry_release(&making->made[i]->before);
		radix_root_release(&making->made[i]->below);
		free(making->made[i]);
	}
	free(making->made);
}

static int make_plan(struct build *build, struct plan_dir *dir, bool moved, struct making *making)
{
	int err = 0;

	for (size_t i = 0; !err && i < dir->count; i++) {
		struct made *made = add_made(making);

		if (cid_is_set(&dir->base)) {
			err = radix_lookup(build->radix, &dir->base, dir->entries[i].name,
					   build->wait, &made->before);
			made->has_before = !err;
		}
		if (err == -ENOENT)
			err = 0;
		if (!err)
			err = make_planned(build, made, &dir->entries[i], moved);
		if (!err)
			err = wait_check(build->wait);
	}
	return err;
}

/* Of a moved directory: all that the base has in it, but for what is planned. */
static int make_rest(struct build *build, const struct plan_dir *dir, struct making *making)
{
	struct map planned = { 0 };
	struct radix_iter *iter;
	const struct manifest_entry *said;
	int got = 0;

	if (!cid_is_set(&dir->base))
		return 0;
	for (size_t i = 0; i < dir->count; i++)
		map_set(&planned, dir->entries[i].name, &dir->entries[i]);
	iter = radix_iter_new(build->radix, &dir->base, 0, bytes_of(NULL, 0));
	while ((got = radix_iter_next(iter, build->wait, &said)) > 0) {
		struct shown shown;

		if (map_get(&planned, said->name) || !shown_entry(said, &shown))
			continue;
		struct made *made = add_made(making);

		manifest_entry_copy(&made->before, said);
		made->has_before = true;
		got = make_kept(build, made, NULL, true);
		if (got < 0)
			break;
	}
	radix_iter_free(iter);
	map_release(&planned);
	return got < 0 ? got : 0;
}

static int edit_manifest(struct build *build, const struct plan_dir *dir, bool moved,
			 const struct making *making, struct radix_root *out)
{
	static const struct cid none;
	struct radix_change *changes = xcalloc(making->count + 1, sizeof(*changes));
	int err;

	for (size_t i = 0; i < making->count; i++) {
		const struct made *made = making->made[i];

		changes[i].name = made->entry.name;
		changes[i].entry = made->gone ? NULL : &made->entry;
	}
	err = radix_edit(build->radix, moved ? &none : &dir->base, changes, making->count,
			 build->wait, out);
	free(changes);
	return err;
}

/* ---- directories ---- */

static int build_dir(struct build *build, struct plan_dir *dir, bool moved, struct built *out)
{
	struct making making = { 0 };
	int err = make_plan(build, dir, moved, &making);

	if (!err && moved)
		err = make_rest(build, dir, &making);
	if (!err)
		err = edit_manifest(build, dir, moved, &making, &out->manifest);
	making_release(&making);
	if (!err)
		err = plain_make(build->blocks, build->radix, &out->manifest.cid, build->wait,
				 &out->tree, &out->tree_size);
	if (err) {
		radix_root_release(&out->manifest);
		return err;
	}
	dir->link = out->manifest.cid;
	return 0;
}

int commit_build(struct blocks *blocks, struct commit_plan *plan, struct wait *wait,
		 struct tree_version *version)
{
	struct build build = { .blocks = blocks,
			       .radix = radix_new(blocks),
			       .pen = plan->pen,
			       .stamp = plan->stamp,
			       .wait = wait,
			       .version = version };
	struct built built = { 0 };
	int err;

	version->files = plan->before.files;
	version->size = plan->before.size;
	version->added = version->changed = version->removed = version->new_bytes = 0;
	err = build_dir(&build, &plan->top, false, &built);
	if (!err)
		err = radix_state_link(build.radix, &built.manifest.cid, &version->state);
	if (!err) {
		version->root = built.tree;
		plan->top.link = version->state;
	}
	radix_root_release(&built.manifest);
	radix_free(build.radix);
	return err;
}

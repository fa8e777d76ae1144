/* What differs between two versions: manifests compared directory by directory. Subtrees that both
 * have are not read. The caller's thread. */
#include "dag/share/radix.h"
#include "dag/tree.h"
#include "dag/tree/shown.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Directories within each other, as trees have them (names.c). A state may be somebody else's, and
 * each takes some KiB of the stack. */
#define DIFF_DEPTH_MAX 1000

struct diffing {
	struct radix *radix;
	struct wait *wait;
	int (*each)(void *ctx, const struct tree_diff_item *item);
	void *ctx;
	struct buf path; /* of the directory at hand, with a '/' behind it, or empty */
	unsigned depth;	 /* of that directory; the top's is 0 */
};

static int diff_dirs(struct diffing *diffing, const struct cid *before, const struct cid *after);

static int diff_tell(struct diffing *diffing, struct bytes name, enum tree_difference what,
		     const struct shown *before, const struct shown *after)
{
	const struct shown *shown = after ? after : before;
	struct tree_diff_item item = { .what = what,
				       .type = shown->mode & S_IFMT,
				       .before = before ? before->size : 0,
				       .after = after ? after->size : 0 };
	size_t len = diffing->path.len;

	buf_add(&diffing->path, name);
	buf_add_u8(&diffing->path, 0);
	item.path = (const char *)diffing->path.at;
	int stop = diffing->each(diffing->ctx, &item);

	diffing->path.len = len;
	return stop;
}

/* Below a name; either is not set where no directory was or is. */
static int diff_below(struct diffing *diffing, struct bytes name, const struct cid *before,
		      const struct cid *after)
{
	size_t len = diffing->path.len;

	if (cid_equal(before, after))
		return 0;
	if (diffing->depth >= DIFF_DEPTH_MAX)
		return -EBADMSG;
	diffing->depth++;
	buf_add(&diffing->path, name);
	buf_add_u8(&diffing->path, '/');
	int err = diff_dirs(diffing, before, after);

	diffing->depth--;
	diffing->path.len = len;
	return err;
}

static bool same_value(const struct shown *a, const struct shown *b)
{
	return a->mode == b->mode && a->size == b->size &&
	       cid_equal(&a->value->cid, &b->value->cid) &&
	       bytes_equal(a->value->target, b->value->target);
}

/* A directory and something else at one name: one went, the other came. */
static int replaced(struct diffing *diffing, struct bytes name, const struct shown *old,
		    const struct cid *old_dir, const struct shown *new, const struct cid *new_dir)
{
	int err = old ? diff_tell(diffing, name, TREE_REMOVED, old, NULL) : 0;

	if (!err)
		err = diff_below(diffing, name, old_dir, &(struct cid){ 0 });
	if (!err && new)
		err = diff_tell(diffing, name, TREE_ADDED, NULL, new);
	return err ? err : diff_below(diffing, name, &(struct cid){ 0 }, new_dir);
}

static int diff_entry(void *ctx, struct bytes name, const struct manifest_entry *before,
		      const struct manifest_entry *after)
{
	struct diffing *diffing = ctx;
	struct shown old, new;
	struct cid old_dir = { 0 }, new_dir = { 0 };
	bool was = before && shown_entry(before, &old), is = after && shown_entry(after, &new);

	if (was && !old.value)
		old_dir = before->dir.link;
	if (is && !new.value)
		new_dir = after->dir.link;
	if (!was || !is || !old.value != !new.value)
		return replaced(diffing, name, was ? &old : NULL, &old_dir, is ? &new : NULL,
				&new_dir);
	if (!old.value)
		return diff_below(diffing, name, &old_dir, &new_dir);
	return same_value(&old, &new) ? 0 : diff_tell(diffing, name, TREE_CHANGED, &old, &new);
}

static int diff_dirs(struct diffing *diffing, const struct cid *before, const struct cid *after)
{
	return radix_diff(diffing->radix, before, after, diffing->wait, diff_entry, diffing);
}

int tree_diff(struct blocks *blocks, const struct cid *before, const struct cid *after,
	      struct wait *wait, int (*each)(void *ctx, const struct tree_diff_item *item),
	      void *ctx)
{
	struct diffing diffing = {
		.radix = radix_new(blocks), .wait = wait, .each = each, .ctx = ctx
	};
	int err = diff_dirs(&diffing, before, after);

	buf_release(&diffing.path);
	radix_free(diffing.radix);
	return err;
}

/* dag/tree/commit_build.c and diff.c against a plain model: random changes and moves of trees over
 * many versions. After each, every directory is what the model says, with the dots it says; counts
 * and differences, too. */
#include "dag/tree/commit_build.h"

#include "dag/import.h"
#include "dag/tree/shown.h"
#include "tests/dag/share_make.h"

#include <stdlib.h>

#define NAMES 9 /* in a directory: few, so that they meet */
#define ROUNDS 60
#define PEN 5

struct item {
	bool there;
	enum plan_kind kind;
	uint64_t id;
	mode_t mode;
	struct timespec mtime;
	uint64_t content; /* of a file: which; of a symlink: its target */
	bool xattr;
	uint64_t value_stamp, dir_stamp, meta_stamp; /* 0: none */
	struct cid link;			     /* of a directory, in the base */
	struct item *below;			     /* NAMES of them; of a directory */
};

struct model {
	struct fake *fake;
	struct item now, base; /* the top directories */
	struct tree_version version;
	uint64_t random, stamp, last_id;
};

static struct manifest_xattr xattr = { { (const uint8_t *)"user.a", 6 },
				       { (const uint8_t *)"1", 1 } };

static void item_name(char out[static 8], unsigned slot)
{
	snprintf(out, 8, "n%u", slot);
}

static void item_release(struct item *item)
{
	for (unsigned i = 0; item->below && i < NAMES; i++)
		item_release(&item->below[i]);
	free(item->below);
	*item = (struct item){ 0 };
}

static struct item item_copy(const struct item *item)
{
	struct item copy = *item;

	if (item->below)
		copy.below = xcalloc(NAMES, sizeof(struct item));
	for (unsigned i = 0; item->below && i < NAMES; i++)
		copy.below[i] = item_copy(&item->below[i]);
	return copy;
}

static bool is_dir(const struct item *item)
{
	return item && item->there && item->kind == PLAN_DIR;
}

static bool is_value(const struct item *item)
{
	return item && item->there && item->kind != PLAN_DIR;
}

static uint64_t item_size(const struct item *item)
{
	char text[32];

	return (uint64_t)snprintf(text, sizeof(text), "content %d", (int)item->content);
}

static struct cid item_cid(struct model *model, const struct item *item)
{
	char text[32];
	struct cid cid;
	struct block *block;

	snprintf(text, sizeof(text), "content %d", (int)item->content);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str(text)), 0);
	block = block_copy(&cid, bytes_str(text));
	assert_int_equal(blocks_put(model->fake->blocks, block), 0);
	block_unref(block);
	return cid;
}

static bool same_content(const struct item *a, const struct item *b)
{
	return a->kind == b->kind && a->content == b->content;
}

static bool same_mtime(const struct item *a, const struct item *b)
{
	return a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* All but what is below. */
static bool same_item(const struct item *a, const struct item *b)
{
	return a->there == b->there &&
	       (!a->there || (a->id == b->id && a->mode == b->mode && a->xattr == b->xattr &&
			      same_mtime(a, b) && same_content(a, b)));
}

static bool has_meta(const struct item *item)
{
	return is_dir(item) || item->xattr || (item->kind == PLAN_FILE && item->mode != 0644);
}

/* ---- random changes ---- */

static unsigned pick(struct model *model, unsigned below)
{
	return (unsigned)(share_random(&model->random) % below);
}

static struct item *any_dir(struct model *model)
{
	struct item *dir = &model->now;

	for (unsigned depth = pick(model, 5); depth; depth--) {
		struct item *next = &dir->below[pick(model, NAMES)];

		dir = is_dir(next) ? next : dir;
	}
	return dir;
}

static bool is_below(const struct item *item, const struct item *dir)
{
	if (item == dir)
		return true;
	for (unsigned i = 0; item->below && i < NAMES; i++)
		if (is_below(&item->below[i], dir))
			return true;
	return false;
}

static void make_item(struct model *model, struct item *item)
{
	unsigned kind = pick(model, 5);

	item_release(item);
	item->there = true;
	item->kind = kind < 2 ? PLAN_FILE : kind == 2 ? PLAN_SYMLINK : PLAN_DIR;
	item->id = ++model->last_id;
	item->mode = kind < 2 ? 0644 : kind == 2 ? 0777 : 0755;
	item->mtime.tv_sec = 1000 + pick(model, 3);
	if (item->kind == PLAN_DIR)
		item->below = xcalloc(NAMES, sizeof(struct item));
	else
		item->content = pick(model, 20);
}

static void move_item(struct model *model, struct item *item)
{
	struct item *to_dir = any_dir(model), *to = &to_dir->below[pick(model, NAMES)];
	struct item moved = *item;

	if (is_below(item, to_dir) || is_below(to, item))
		return;
	*item = (struct item){ 0 };
	item_release(to);
	*to = moved;
}

static void exchange_items(struct model *model, struct item *item)
{
	struct item *to_dir = any_dir(model), *to = &to_dir->below[pick(model, NAMES)];
	struct item moved = *item;

	if (is_below(item, to) || is_below(to, item))
		return;
	*item = *to;
	*to = moved;
}

static void change_one(struct model *model)
{
	struct item *item = &any_dir(model)->below[pick(model, NAMES)];

	if (!item->there) {
		make_item(model, item);
		return;
	}
	switch (pick(model, 16)) {
	case 0:
		item_release(item);
		break;
	case 1:
		make_item(model, item);
		break;
	case 2:
	case 3:
		move_item(model, item);
		break;
	case 4:
		exchange_items(model, item);
		break;
	case 5:
		item->xattr = !item->xattr;
		break;
	case 6:
		if (item->kind != PLAN_SYMLINK)
			item->mode = item->mode == 0600 ? 0644 : 0600;
		break;
	case 7:
		item->mtime.tv_nsec = pick(model, 3);
		break;
	default:
		if (item->kind != PLAN_DIR)
			item->content = pick(model, 20);
	}
}

/* ---- a plan of what differs from the base ---- */

static const struct item *find_id(const struct item *item, uint64_t id)
{
	const struct item *found = item->there && item->id == id ? item : NULL;

	for (unsigned i = 0; !found && item->below && i < NAMES; i++)
		found = find_id(&item->below[i], id);
	return found;
}

static void fill_plan(struct model *model, struct plan_entry *plan, const struct item *item)
{
	plan->kind = item->there ? item->kind : PLAN_GONE;
	plan->changed = true;
	plan->mode = item->mode;
	plan->mtime = item->mtime;
	plan->id = item->id;
	plan->xattrs = &xattr;
	plan->xattr_count = item->xattr;
	if (plan->kind == PLAN_FILE) {
		plan->root = item_cid(model, item);
		plan->size = item_size(item);
	} else if (plan->kind == PLAN_SYMLINK) {
		plan->memory = xasprintf("content %d", (int)item->content);
		plan->target = bytes_str(plan->memory);
	}
}

/* base: the directory of the same id in the base, or NULL. */
static void fill_dir(struct model *model, struct plan_dir *plan, const struct item *dir,
		     const struct item *base)
{
	static const struct item none;

	plan->entries = xcalloc(NAMES, sizeof(*plan->entries));
	if (base)
		plan->base = base->link;
	for (unsigned i = 0; i < NAMES; i++) {
		const struct item *item = &dir->below[i], *was = base ? &base->below[i] : &none;
		struct plan_entry *entry = &plan->entries[plan->count];
		char name[8];

		item_name(name, i);
		*entry = (struct plan_entry){ .kind = PLAN_DIR };
		if (is_dir(item))
			fill_dir(model, &entry->dir, item, find_id(&model->base, item->id));
		if (!same_item(item, was) || (item->there && pick(model, 8) == 0))
			fill_plan(model, entry, item);
		else if (!entry->dir.count) {
			plan_dir_release(&entry->dir);
			continue;
		}
		entry->name = bytes_of((uint8_t *)strdup(name), strlen(name));
		plan->count++;
	}
}

/* ---- what the version is to be ---- */

static void restamp(struct model *model, struct item *dir, const struct item *base)
{
	static const struct item none;

	for (unsigned i = 0; i < NAMES; i++) {
		struct item *item = &dir->below[i];
		const struct item *was = base ? &base->below[i] : &none;
		bool stays = is_dir(item) ? is_dir(was) && was->id == item->id : true;
		uint64_t meta = model->stamp;

		if (!item->there)
			continue;
		if (stays && was->meta_stamp && was->mode == item->mode &&
		    was->xattr == item->xattr && is_dir(was) == is_dir(item) &&
		    (!is_dir(item) || same_mtime(was, item)))
			meta = was->meta_stamp;
		item->meta_stamp = has_meta(item) ? meta : 0;
		item->value_stamp = item->dir_stamp = 0;
		if (!is_dir(item)) {
			bool same = is_value(was) && same_content(was, item) &&
				    was->id == item->id && same_mtime(was, item);

			item->value_stamp = same ? was->value_stamp : model->stamp;
			continue;
		}
		item->dir_stamp = stays ? was->dir_stamp : model->stamp;
		restamp(model, item, stays ? was : NULL);
	}
}

/* All values below item, itself too, came (sign 1) or went. */
static void count_all(const struct item *item, struct tree_version *counts, bool came)
{
	if (!item->there)
		return;
	if (is_value(item)) {
		*(came ? &counts->added : &counts->removed) += 1;
		counts->files += came ? 1 : -UINT64_C(1);
		counts->size += came ? item_size(item) : -item_size(item);
		return;
	}
	for (unsigned i = 0; i < NAMES; i++)
		count_all(&item->below[i], counts, came);
}

static void count_changes(const struct item *now, const struct item *base,
			  struct tree_version *counts)
{
	for (unsigned i = 0; i < NAMES; i++) {
		const struct item *item = &now->below[i], *was = &base->below[i];

		if (is_value(item) && is_value(was)) {
			counts->changed += !same_content(item, was);
			counts->size += item_size(item) - item_size(was);
		} else if (is_dir(item) && is_dir(was) && item->id == was->id) {
			count_changes(item, was, counts);
		} else {
			count_all(was, counts, false);
			count_all(item, counts, true);
		}
	}
}

static void assert_entry(struct model *model, const struct manifest_entry *entry,
			 const struct item *item)
{
	struct cid cid = is_dir(item) ? (struct cid){ 0 } : item_cid(model, item);
	struct shown shown;

	assert_true(shown_entry(entry, &shown));
	assert_int_equal(shown.id, item->id);
	assert_int_equal(shown.mtime.tv_sec, item->mtime.tv_sec);
	assert_int_equal(shown.mtime.tv_nsec, item->mtime.tv_nsec);
	assert_int_equal(shown.mode & 07777, item->mode);
	assert_int_equal(entry->meta_count, has_meta(item));
	assert_int_equal(entry->value_count, !is_dir(item));
	assert_int_equal(entry->has_dir, is_dir(item));
	if (has_meta(item)) {
		assert_int_equal(entry->metas[0].stamp, item->meta_stamp);
		assert_int_equal(entry->metas[0].xattr_count, item->xattr);
	}
	if (is_dir(item)) {
		assert_int_equal(entry->dir.dot_count, 1);
		assert_int_equal(entry->dir.dots[0].stamp, item->dir_stamp);
		return;
	}
	assert_int_equal(entry->values[0].stamp, item->value_stamp);
	assert_int_equal(shown.size, item_size(item));
	assert_int_equal(S_ISLNK(shown.mode), item->kind == PLAN_SYMLINK);
	if (item->kind == PLAN_FILE)
		assert_true(cid_equal(&shown.value->cid, &cid));
	else
		assert_int_equal(shown.value->target.len, item_size(item));
}

static struct cid put_link(struct model *model, struct bytes target, uint64_t *size)
{
	struct unixfs unixfs = { .type = UNIXFS_SYMLINK, .has_data = true, .data = target };
	struct cid cid = fake_node(model->fake, NULL, 0, &unixfs);
	struct block *block;

	assert_int_equal(store_get(model->fake->far, &cid, &block), 0);
	*size = block->data.len;
	block_unref(block);
	return cid;
}

/* The directory's manifest and plain directory are those of the model. Notes links in it. */
static struct cid assert_dir(struct model *model, struct radix *radix, struct item *dir,
			     const struct cid *link, uint64_t *tree_size)
{
	struct dir_builder *plain;
	struct import_config config;
	struct cid tree;
	uint64_t count = 0;

	assert_int_equal(import_profile(&config, "unixfs-v1-2025"), 0);
	plain = dir_builder_new(model->fake->blocks, &config);
	dir->link = *link;
	for (unsigned i = 0; i < NAMES; i++) {
		struct item *item = &dir->below[i];
		struct manifest_entry entry = { 0 };
		uint64_t size = 0;
		char name[8];

		item_name(name, i);
		if (!item->there)
			continue;
		count++;
		assert_int_equal(
			radix_lookup(radix, link, bytes_str(name), &model->fake->wait, &entry), 0);
		assert_entry(model, &entry, item);
		if (is_dir(item)) {
			tree = assert_dir(model, radix, item, &entry.dir.link, &size);
			assert_true(cid_equal(&tree, &entry.dir.tree));
			assert_int_equal(size, entry.dir.tree_size);
		} else if (item->kind == PLAN_SYMLINK) {
			tree = put_link(model, entry.values[0].target, &size);
		} else {
			tree = item_cid(model, item);
			size = item_size(item);
		}
		assert_int_equal(dir_builder_add(plain, bytes_str(name), &tree, size), 0);
		manifest_entry_release(&entry);
	}
	if (cid_is_set(link)) {
		struct radix_root root;

		assert_int_equal(radix_tell(radix, link, &model->fake->wait, &root), 0);
		assert_int_equal(root.entries, count);
		radix_root_release(&root);
	} else {
		assert_int_equal(count, 0);
	}
	assert_int_equal(dir_builder_finish(plain, 0, false, 0, 0, &tree, tree_size), 0);
	dir_builder_free(plain);
	return tree;
}

/* ---- differences ---- */

struct lines {
	char *at[4096];
	size_t count;
};

static void add_line(struct lines *lines, char what, const char *path, bool dir)
{
	assert_true(lines->count < ARRAY_LEN(lines->at));
	lines->at[lines->count++] = xasprintf("%c%s%s", what, path, dir ? "/" : "");
}

static int see_difference(void *ctx, const struct tree_diff_item *item)
{
	add_line(ctx, "+~-"[item->what], item -> path, S_ISDIR(item->type));
	return 0;
}

static void model_diff(const struct item *now, const struct item *base, const char *path,
		       struct lines *lines)
{
	for (unsigned i = 0; i < NAMES; i++) {
		static const struct item none;
		const struct item *item = now ? &now->below[i] : &none;
		const struct item *was = base ? &base->below[i] : &none;
		char *here = xasprintf("%s%sn%u", path, *path ? "/" : "", i);

		if (is_value(item) && is_value(was)) {
			if (!same_content(item, was) || item->mode != was->mode)
				add_line(lines, '~', here, false);
		} else if (is_dir(item) && is_dir(was)) {
			model_diff(item, was, here, lines);
		} else {
			if (was->there)
				add_line(lines, '-', here, is_dir(was));
			if (is_dir(was))
				model_diff(NULL, was, here, lines);
			if (item->there)
				add_line(lines, '+', here, is_dir(item));
			if (is_dir(item))
				model_diff(item, NULL, here, lines);
		}
		free(here);
	}
}

static int line_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void assert_difference(struct model *model, const struct cid *before)
{
	struct lines got = { 0 }, want = { 0 };

	assert_int_equal(tree_diff(model->fake->blocks, before, &model->version.state,
				   &model->fake->wait, see_difference, &got),
			 0);
	model_diff(&model->now, &model->base, "", &want);
	qsort(got.at, got.count, sizeof(char *), line_order);
	qsort(want.at, want.count, sizeof(char *), line_order);
	assert_int_equal(got.count, want.count);
	for (size_t i = 0; i < got.count; i++) {
		assert_string_equal(got.at[i], want.at[i]);
		free(got.at[i]);
		free(want.at[i]);
	}
}

/* ---- versions ---- */

static void commit(struct model *model)
{
	struct commit_plan plan = { .pen = PEN, .stamp = ++model->stamp, .before = model->version };
	struct tree_version version = { 0 }, want = model->version;
	struct radix *radix = radix_new(model->fake->blocks);
	struct cid before = model->version.state, tree;
	uint64_t size;

	fill_dir(model, &plan.top, &model->now, &model->base);
	plan.top.base = model->version.state;
	assert_int_equal(commit_build(model->fake->blocks, &plan, &model->fake->wait, &version), 0);
	plan_dir_release(&plan.top);
	restamp(model, &model->now, &model->base);
	want.added = want.changed = want.removed = 0;
	count_changes(&model->now, &model->base, &want);
	assert_int_equal(version.files, want.files);
	assert_int_equal(version.size, want.size);
	assert_int_equal(version.added, want.added);
	assert_int_equal(version.changed, want.changed);
	assert_int_equal(version.removed, want.removed);
	assert_int_equal(version.new_bytes, 0); /* no file was written */
	model->version = version;
	tree = assert_dir(model, radix, &model->now, &version.state, &size);
	assert_true(cid_equal(&tree, &version.root));
	radix_free(radix);
	assert_difference(model, &before);
	item_release(&model->base);
	model->base = item_copy(&model->now);
}

static void random_versions_are_what_a_model_says(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct model model = { .fake = fake_new(), .random = seed, .last_id = 10 };
		uint64_t added = 0, removed = 0, changed = 0;

		model.now = (struct item){ .there = true, .kind = PLAN_DIR, .id = 1 };
		model.now.below = xcalloc(NAMES, sizeof(struct item));
		model.base = item_copy(&model.now);
		for (unsigned round = 0; round < ROUNDS; round++) {
			for (unsigned i = 1 + pick(&model, 16); i; i--)
				change_one(&model);
			commit(&model);
			added += model.version.added;
			removed += model.version.removed;
			changed += model.version.changed;
		}
		assert_true(added > 100 && removed > 100 &&
			    changed > 20); /* else it tests little */
		item_release(&model.now);
		item_release(&model.base);
		fake_free(model.fake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_versions_are_what_a_model_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

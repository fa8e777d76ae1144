/* Random work on a tree, and the same on a model in plain memory. What the n-th step does depends
 * on the seed and n alone, so a model can be brought to any step by itself. */
#ifndef TESTS_DAG_EXERCISE_H
#define TESTS_DAG_EXERCISE_H

#include "tests/dag/tree_room.h"

#include <linux/falloc.h>
#include <sys/xattr.h>

#define MODEL_ENTRIES_MAX 64
#define MODEL_OPEN_MAX 6
#define MODEL_SMALL 200000
#define MODEL_LARGE (3u << 20)

struct model_node {
	unsigned refs;
	mode_t mode;
	struct buf bytes; /* of a file, or a symlink's target */
	int64_t mtime;	  /* 0: not set by hand */
	char note[16];	  /* value of user.note */
};

struct model_entry {
	char path[256];
	struct model_node *node;
};

struct model {
	struct model_entry entries[MODEL_ENTRIES_MAX];
	size_t count;
	struct model_node *open[MODEL_OPEN_MAX];
	uint64_t random;
};

/* The same work on both; room NULL: on the model alone. */
struct exercise {
	struct tree_room *room;
	struct model model;
	struct tree_file *open[MODEL_OPEN_MAX];
	uint64_t nodes[MODEL_OPEN_MAX]; /* of them: kept known */
	uint64_t step;
	bool whole_steps; /* none that a cut may take in parts: no copies, no holes */
};

/* ---- the model ---- */

static inline uint64_t model_random(struct model *model, uint64_t below)
{
	uint64_t *s = &model->random;

	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 2685821657736338717u % below;
}

static inline struct model_entry *model_find(struct model *model, const char *path)
{
	for (size_t i = 0; i < model->count; i++)
		if (!strcmp(model->entries[i].path, path))
			return &model->entries[i];
	return NULL;
}

static inline void model_unref(struct model_node *node)
{
	if (--node->refs)
		return;
	buf_release(&node->bytes);
	free(node);
}

static inline struct model_node *model_add(struct model *model, const char *path, mode_t mode)
{
	struct model_entry *entry = &model->entries[model->count++];

	snprintf(entry->path, sizeof(entry->path), "%.255s", path);
	entry->node = xnew(struct model_node);
	entry->node->refs = 1;
	entry->node->mode = mode;
	return entry->node;
}

static inline void model_remove(struct model *model, struct model_entry *entry)
{
	model_unref(entry->node);
	*entry = model->entries[--model->count];
}

static inline bool model_is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

static inline bool model_has_below(const struct model *model, const char *dir)
{
	for (size_t i = 0; i < model->count; i++)
		if (model_is_below(model->entries[i].path, dir))
			return true;
	return false;
}

static inline void model_move(struct model *model, const char *from, const char *to)
{
	char moved[512];

	for (size_t i = 0; i < model->count; i++) {
		char *path = model->entries[i].path;

		if (strcmp(path, from) != 0 && !model_is_below(path, from))
			continue;
		snprintf(moved, sizeof(moved), "%s%s", to, path + strlen(from));
		snprintf(path, sizeof(model->entries[i].path), "%.255s", moved);
	}
}

static inline void model_write(struct model_node *node, uint64_t at, const uint8_t *bytes,
			       size_t len)
{
	struct buf *to = &node->bytes;

	if (!len)
		return;
	if (at + len > to->len) {
		size_t more = at + len - to->len;

		memset(buf_reserve(to, more), 0, more);
		to->len += more;
	}
	memcpy(to->at + at, bytes, len);
	node->mtime = 0;
}

static inline void model_truncate(struct model_node *node, uint64_t size)
{
	if (size > node->bytes.len) {
		size_t more = size - node->bytes.len;

		memset(buf_reserve(&node->bytes, more), 0, more);
	}
	if (size != node->bytes.len)
		node->mtime = 0;
	node->bytes.len = size;
}

static inline void model_release(struct model *model)
{
	for (size_t i = 0; i < MODEL_OPEN_MAX; i++)
		if (model->open[i])
			model_unref(model->open[i]);
	while (model->count)
		model_remove(model, &model->entries[0]);
}

/* ---- what a step works on ---- */

/* A name in a directory that exists, four levels deep at most. */
static inline void pick_path(struct model *model, char out[static 256])
{
	char dir[256] = "";

	for (int level = 0; level < 3; level++) {
		char below[300];

		snprintf(below, sizeof(below), "%s%sd%d", dir, *dir ? "/" : "",
			 (int)model_random(model, 3));
		const struct model_entry *entry = model_find(model, below);

		if (!model_random(model, 2) || !entry || !S_ISDIR(entry->node->mode))
			break;
		snprintf(dir, sizeof(dir), "%.255s", below);
	}
	const char *kind = model_random(model, 3) ? "f" : "d";

	snprintf(out, 256, "%.200s%s%s%d", dir, *dir ? "/" : "", kind,
		 (int)model_random(model, *kind == 'f' ? 6 : 3));
}

static inline uint64_t pick_place(struct model *model, uint64_t size)
{
	uint64_t limit = model_random(model, 12) ? MODEL_SMALL : MODEL_LARGE;

	switch (model_random(model, 4)) {
	case 0:
		return size;
	case 1:
		return model_random(model, limit / 65536 + 1) * 65536;
	case 2:
		return size ? model_random(model, size) : 0;
	default:
		return model_random(model, limit);
	}
}

static inline size_t pick_bytes(struct model *model, uint8_t *out, size_t max)
{
	size_t len = model_random(model, 6) ? model_random(model, 5000) : model_random(model, max);
	uint8_t first = (uint8_t)model_random(model, 256);
	bool zeros = !model_random(model, 8);

	for (size_t i = 0; i < len; i++)
		out[i] = zeros ? 0 : (uint8_t)(first + i * 7 + i / 251);
	return len;
}

/* ---- both ---- */

/* The node of a path, known once more; 0: nothing is there. */
static inline uint64_t real_find(struct exercise *ex, const char *path)
{
	struct tree_attr attr;
	int err = tree_find(ex->room->tree, path, &ex->room->wait, &attr);

	return err ? 0 : attr.node;
}

static inline void real_forget(struct exercise *ex, uint64_t node)
{
	tree_forget(ex->room->tree, node, 1);
}

static inline void step_make(struct exercise *ex, const char *path, mode_t mode)
{
	bool there = model_find(&ex->model, path) != NULL;
	const struct tree_new how = { .mode = mode, .target = bytes_str("target/of a link") };

	if (ex->room) {
		struct tree_attr attr;
		const char *name;
		uint64_t dir = room_parent(ex->room, path, &name);
		int err = tree_create(ex->room->tree, dir, bytes_str(name), &how, &ex->room->wait,
				      &attr);

		real_forget(ex, dir);
		assert_int_equal(err, there ? -EEXIST : 0);
		if (!err)
			real_forget(ex, attr.node);
	}
	if (!there)
		model_add(&ex->model, path, S_ISLNK(mode) ? S_IFLNK | 0777 : mode);
}

static inline void step_remove(struct exercise *ex, const char *path)
{
	struct model_entry *entry = model_find(&ex->model, path);
	bool is_dir = entry && S_ISDIR(entry->node->mode);
	bool full = is_dir && model_has_below(&ex->model, path);

	if (ex->room) {
		const char *name;
		uint64_t dir = room_parent(ex->room, path, &name);
		int err =
			tree_unlink(ex->room->tree, dir, bytes_str(name), is_dir, &ex->room->wait);

		real_forget(ex, dir);
		assert_int_equal(err, !entry ? -ENOENT : full ? -ENOTEMPTY : 0);
	}
	if (entry && !full)
		model_remove(&ex->model, entry);
}

static inline int model_rename_check(struct exercise *ex, const char *from, const char *to,
				     unsigned flags)
{
	struct model_entry *a = model_find(&ex->model, from), *b = model_find(&ex->model, to);

	if (!a)
		return -ENOENT;
	if (flags == RENAME_NOREPLACE && b)
		return -EEXIST;
	if (flags == RENAME_EXCHANGE && !b)
		return -ENOENT;
	if (!strcmp(from, to))
		return 1;
	if (model_is_below(to, from) || (flags == RENAME_EXCHANGE && model_is_below(from, to)))
		return -EINVAL;
	if (!b || flags == RENAME_EXCHANGE)
		return 0;
	if (S_ISDIR(a->node->mode) && !S_ISDIR(b->node->mode))
		return -ENOTDIR;
	if (!S_ISDIR(a->node->mode) && S_ISDIR(b->node->mode))
		return -EISDIR;
	return S_ISDIR(b->node->mode) && model_has_below(&ex->model, to) ? -ENOTEMPTY : 0;
}

static inline void step_rename(struct exercise *ex, const char *from, const char *to,
			       unsigned flags)
{
	int want = model_rename_check(ex, from, to, flags);

	if (ex->room) {
		const char *name, *as;
		uint64_t a = room_parent(ex->room, from, &name);
		uint64_t b = room_parent(ex->room, to, &as);
		int err = tree_rename(ex->room->tree, a, bytes_str(name), b, bytes_str(as), flags,
				      &ex->room->wait);

		real_forget(ex, a);
		real_forget(ex, b);
		assert_int_equal(err, want == 1 ? 0 : want);
	}
	if (want)
		return;
	if (flags == RENAME_EXCHANGE) {
		model_move(&ex->model, from, "\1");
		model_move(&ex->model, to, from);
		model_move(&ex->model, "\1", to);
		return;
	}
	if (model_find(&ex->model, to))
		model_remove(&ex->model, model_find(&ex->model, to));
	model_move(&ex->model, from, to);
}

/* An open file: of a path, into a slot. */
static inline void step_open(struct exercise *ex, const char *path, size_t slot)
{
	struct model_entry *entry = model_find(&ex->model, path);

	if (ex->model.open[slot] || !entry || !S_ISREG(entry->node->mode))
		return;
	ex->model.open[slot] = entry->node;
	entry->node->refs++;
	if (!ex->room)
		return;
	ex->nodes[slot] = real_find(ex, path);
	assert_int_not_equal(ex->nodes[slot], 0);
	assert_int_equal(tree_file_open(ex->room->tree, ex->nodes[slot], true, false,
					&ex->room->wait, &ex->open[slot]),
			 0);
}

static inline void step_close(struct exercise *ex, size_t slot)
{
	if (!ex->model.open[slot])
		return;
	model_unref(ex->model.open[slot]);
	ex->model.open[slot] = NULL;
	if (!ex->room)
		return;
	tree_file_close(ex->open[slot]);
	real_forget(ex, ex->nodes[slot]);
}

static inline void step_write(struct exercise *ex, size_t slot, bool append)
{
	static uint8_t bytes[300000];
	struct model_node *node = ex->model.open[slot];
	uint64_t at = pick_place(&ex->model, node->bytes.len);
	size_t len = pick_bytes(&ex->model, bytes, sizeof(bytes));

	if (ex->room)
		assert_int_equal(tree_file_write(ex->open[slot], at, append, bytes_of(bytes, len),
						 &ex->room->wait),
				 0);
	model_write(node, append ? node->bytes.len : at, bytes, len);
}

static inline void step_truncate(struct exercise *ex, size_t slot)
{
	struct model_node *node = ex->model.open[slot];
	struct tree_set set = { .what = TREE_SET_SIZE,
				.size = pick_place(&ex->model, node->bytes.len) };
	struct tree_attr attr;

	if (ex->room)
		assert_int_equal(
			tree_set(ex->room->tree, ex->nodes[slot], &set, &ex->room->wait, &attr), 0);
	model_truncate(node, set.size);
}

static inline void step_punch(struct exercise *ex, size_t slot, bool zero_range)
{
	struct model_node *node = ex->model.open[slot];
	uint64_t at = pick_place(&ex->model, node->bytes.len);
	uint64_t len = model_random(&ex->model, 300000) + 1;
	int mode = zero_range ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (ex->room)
		assert_int_equal(tree_file_allocate(ex->open[slot], mode, at, len, &ex->room->wait),
				 0);
	if (zero_range && at + len > node->bytes.len)
		model_truncate(node, at + len);
	if (at < node->bytes.len) {
		uint64_t end = at + len < node->bytes.len ? at + len : node->bytes.len;

		memset(node->bytes.at + at, 0, end - at);
	}
	node->mtime = 0;
}

static inline void step_copy(struct exercise *ex, size_t from, size_t to)
{
	struct model_node *a = ex->model.open[from], *b = ex->model.open[to];
	bool aligned = model_random(&ex->model, 2);
	uint64_t at = aligned ? 0 : pick_place(&ex->model, a->bytes.len);
	uint64_t to_at = aligned ? 0 : pick_place(&ex->model, b->bytes.len);
	uint64_t len = model_random(&ex->model, MODEL_LARGE);
	uint64_t have = at < a->bytes.len ? a->bytes.len - at : 0;

	if (a == b)
		return;
	len = len < have ? len : have;
	if (ex->room)
		assert_int_equal(tree_file_copy(ex->open[from], at, ex->open[to], to_at, len,
						&ex->room->wait),
				 len);
	if (len) {
		struct buf copy = { 0 };

		buf_add(&copy, bytes_of(a->bytes.at + at, len));
		model_write(b, to_at, copy.at, len);
		buf_release(&copy);
	}
}

static inline void step_read(struct exercise *ex, size_t slot)
{
	struct model_node *node = ex->model.open[slot];
	uint64_t at = pick_place(&ex->model, node->bytes.len);
	size_t len = model_random(&ex->model, 200000);
	struct buf got = { 0 };
	size_t have = at < node->bytes.len ? node->bytes.len - at : 0;

	if (!ex->room)
		return;
	assert_int_equal(
		tree_file_read(ex->open[slot], at, len, &ex->room->wait, room_take_bytes, &got), 0);
	have = have < len ? have : len;
	assert_int_equal(got.len, have);
	if (have)
		assert_memory_equal(got.at, node->bytes.at + at, have);
	buf_release(&got);
}

static inline void step_attributes(struct exercise *ex, const char *path)
{
	struct model_entry *entry = model_find(&ex->model, path);
	unsigned what = (unsigned)model_random(&ex->model, 3);
	uint64_t number = model_random(&ex->model, 100000) + 1;
	struct tree_set set = { .what = what ? TREE_SET_MTIME : TREE_SET_MODE,
				.mode = (mode_t)(number & 0777) | 0400,
				.mtime = { (time_t)number, 5 } };
	uint64_t node = ex->room ? real_find(ex, path) : 0;
	char note[16];

	if (ex->room)
		assert_int_equal(node != 0, entry != NULL);
	if (!entry)
		return;
	if (what == 2) {
		snprintf(note, sizeof(note), "n%d", (int)number);
		memcpy(entry->node->note, note, sizeof(note));
		if (ex->room)
			assert_int_equal(tree_xattr_set(ex->room->tree, node, "user.note",
							bytes_str(note), 0),
					 0);
	} else if (what == 1 || !S_ISLNK(entry->node->mode)) {
		struct tree_attr attr;

		if (ex->room)
			assert_int_equal(
				tree_set(ex->room->tree, node, &set, &ex->room->wait, &attr), 0);
		if (what == 1 && !S_ISDIR(entry->node->mode))
			entry->node->mtime = (int64_t)number;
		if (!what)
			entry->node->mode = (entry->node->mode & S_IFMT) | set.mode;
	}
	if (ex->room)
		real_forget(ex, node);
}

/* One step. */
static inline void exercise_step(struct exercise *ex)
{
	struct model *model = &ex->model;
	char path[256], other[256];
	size_t slot, second;

	ex->step++;
	pick_path(model, path);
	pick_path(model, other);
	slot = model_random(model, MODEL_OPEN_MAX);
	second = model_random(model, MODEL_OPEN_MAX);
	uint64_t kind = model_random(model, 100);
	bool has_room = model->count < MODEL_ENTRIES_MAX - 1;

	if (kind < 14 && has_room) {
		bool is_dir = strrchr(path, '/') ? strrchr(path, '/')[1] == 'd' : path[0] == 'd';

		step_make(ex, path,
			  is_dir      ? S_IFDIR | 0755
			  : kind < 12 ? S_IFREG | 0644
				      : S_IFLNK | 0777);
	} else if (kind < 20) {
		step_remove(ex, path);
	} else if (kind < 28) {
		step_rename(ex, path, other,
			    kind < 24	? 0
			    : kind < 26 ? RENAME_NOREPLACE
					: RENAME_EXCHANGE);
	} else if (kind < 36) {
		step_attributes(ex, path);
	} else if (kind < 48) {
		step_open(ex, path, slot);
	} else if (kind < 54) {
		step_close(ex, slot);
	} else if (model->open[slot] && kind < 76) {
		step_write(ex, slot, kind < 58);
	} else if (model->open[slot] && kind < 82) {
		step_truncate(ex, slot);
	} else if (model->open[slot] && kind < 92 && ex->whole_steps) {
		step_read(ex, slot);
	} else if (model->open[slot] && kind < 88) {
		step_punch(ex, slot, kind < 85);
	} else if (model->open[slot] && model->open[second] && kind < 92) {
		step_copy(ex, slot, second);
	} else if (model->open[slot]) {
		step_read(ex, slot);
	}
}

/* ---- comparing ---- */

/* Is the tree what the model is? Says where not. */
static inline bool exercise_entry_same(struct exercise *ex, const struct model_entry *entry,
				       char *why)
{
	struct tree_attr attr;
	struct buf got = { 0 };
	const struct model_node *node = entry->node;
	bool same;

	if (tree_find(ex->room->tree, entry->path, &ex->room->wait, &attr)) {
		snprintf(why, 400, "%s is not there", entry->path);
		return false;
	}
	if (S_ISREG(node->mode) && S_ISREG(attr.mode))
		room_read_node(ex->room, attr.node, &got);
	else if (S_ISLNK(node->mode) && S_ISLNK(attr.mode))
		assert_int_equal(tree_readlink(ex->room->tree, attr.node, &got), 0);
	same = attr.mode == node->mode;
	if (!same)
		snprintf(why, 400, "%s has mode %o, not %o", entry->path, attr.mode, node->mode);
	if (same && S_ISREG(node->mode)) {
		same = got.len == node->bytes.len &&
		       (!got.len || !memcmp(got.at, node->bytes.at, got.len));
		if (!same) {
			size_t at = 0;

			while (at < got.len && at < node->bytes.len &&
			       got.at[at] == node->bytes.at[at])
				at++;
			snprintf(why, 400, "%s has %zu bytes, not %zu, and differs at %zu",
				 entry->path, got.len, node->bytes.len, at);
		}
	}
	if (same && node->mtime && attr.mtime.tv_sec != node->mtime) {
		same = false;
		snprintf(why, 400, "%s has another mtime", entry->path);
	}
	buf_clear(&got);
	if (same && *node->note) {
		same = !tree_xattr_get(ex->room->tree, attr.node, "user.note", &got) &&
		       bytes_equal(buf_bytes(&got), bytes_str(node->note));
		if (!same)
			snprintf(why, 400, "%s has another note", entry->path);
	}
	buf_release(&got);
	real_forget(ex, attr.node);
	return same;
}

struct counted {
	struct tree *tree;
	size_t count;
	uint64_t dirs[MODEL_ENTRIES_MAX * 2];
	size_t dir_count;
};

static inline int count_item(void *ctx, const struct tree_item *item)
{
	struct counted *counted = ctx;

	counted->count++;
	if (S_ISDIR(item->type) && counted->dir_count < MODEL_ENTRIES_MAX * 2)
		counted->dirs[counted->dir_count++] = item->attr.node;
	else
		tree_forget(counted->tree, item->attr.node, 1);
	return counted->count > MODEL_ENTRIES_MAX * 2;
}

/* All entries of the tree. */
static inline size_t exercise_count(struct exercise *ex)
{
	struct counted counted = { .tree = ex->room->tree };

	assert_int_equal(
		tree_list(counted.tree, TREE_ROOT, 0, true, &ex->room->wait, count_item, &counted),
		0);
	for (size_t i = 0; i < counted.dir_count; i++) {
		assert_int_equal(tree_list(counted.tree, counted.dirs[i], 0, true, &ex->room->wait,
					   count_item, &counted),
				 0);
		tree_forget(counted.tree, counted.dirs[i], 1);
	}
	return counted.count;
}

static inline bool exercise_same(struct exercise *ex, char *why)
{
	size_t count = exercise_count(ex);

	if (count != ex->model.count) {
		snprintf(why, 400, "%zu entries, not %zu", count, ex->model.count);
		return false;
	}
	for (size_t i = 0; i < ex->model.count; i++)
		if (!exercise_entry_same(ex, &ex->model.entries[i], why))
			return false;
	return true;
}

static inline void exercise_close_all(struct exercise *ex)
{
	for (size_t i = 0; i < MODEL_OPEN_MAX; i++)
		step_close(ex, i);
}

#endif

/* dag/tree/commit_build.c: versions from plans. The plain tree is what importing the same files
 * makes; hashes that collide, counts, and the order of commits. */
#include "dag/tree/commit_build.h"

#include "dag/import.h"
#include "tests/dag/share_make.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MANY 6000 /* names: more than a basic directory takes */

struct room {
	struct fake *fake;
	struct data_budget *budget;
	char dir[64];
	struct tree_version version; /* the newest */
	uint64_t stamp;
};

static int room_open(void **state)
{
	struct room *room = xnew(struct room);

	room->fake = fake_new();
	room->budget = data_budget_new(DATA_OPEN_MAX, NULL, NULL);
	strcpy(room->dir, "/tmp/dagfs-commit-XXXXXX");
	assert_non_null(mkdtemp(room->dir));
	*state = room;
	return 0;
}

static int room_close(void **state)
{
	struct room *room = *state;
	char *command = xasprintf("rm -rf %s", room->dir);

	assert_int_equal(system(command), 0);
	free(command);
	data_budget_free(room->budget);
	fake_free(room->fake);
	free(room);
	return 0;
}

/* ---- plans ---- */

static struct plan_entry *plan_add(struct plan_dir *dir, struct bytes name, enum plan_kind kind)
{
	struct plan_entry *entry;
	uint8_t *copy = xcalloc(1, name.len);

	memcpy(copy, name.at, name.len);
	if (!(dir->count & (dir->count - 1))) /* as large as the next power of two */
		dir->entries = xrealloc(dir->entries, (dir->count * 2 + 1) * sizeof(*dir->entries));
	entry = &dir->entries[dir->count++];
	*entry = (struct plan_entry){ .name = bytes_of(copy, name.len),
				      .kind = kind,
				      .changed = true,
				      .mode = kind == PLAN_DIR ? 0755 : 0644,
				      .mtime = { 1000, 7 },
				      .id = 100 + dir->count };
	return entry;
}

/* A file of these bytes by its root alone: one raw block. */
static void plan_small(struct room *room, struct plan_dir *dir, struct bytes name,
		       struct bytes bytes)
{
	struct plan_entry *entry = plan_add(dir, name, PLAN_FILE);
	struct block *block;

	assert_int_equal(cid_of_data(&entry->root, 1, CODEC_RAW, HASH_SHA2_256, bytes), 0);
	entry->size = bytes.len;
	block = block_copy(&entry->root, bytes);
	assert_int_equal(blocks_put(room->fake->blocks, block), 0);
	block_unref(block);
}

/* A file that was written to. */
static void plan_written(struct room *room, struct plan_dir *dir, const char *name,
			 struct bytes bytes)
{
	struct plan_entry *entry = plan_add(dir, bytes_str(name), PLAN_FILE);
	struct data_config config;
	struct data_cut cut;
	struct data *data;

	data_config_init(&config);
	config.blocks = room->fake->blocks;
	config.budget = room->budget;
	data = data_new(&config, NULL, 0);
	assert_int_equal(data_write(data, 0, bytes, &room->fake->wait), 0);
	if (data_cut(data, 1, &entry->snapshot, &cut))
		data_cut_done(data, &cut, true);
	data_free(data);
}

static void plan_symlink(struct plan_dir *dir, const char *name, const char *target)
{
	struct plan_entry *entry = plan_add(dir, bytes_str(name), PLAN_SYMLINK);

	entry->memory = xasprintf("%s", target);
	entry->target = bytes_str(entry->memory);
}

static int build(struct room *room, struct commit_plan *plan)
{
	struct tree_version version = { 0 };

	plan->pen = 77;
	plan->stamp = ++room->stamp;
	plan->before = room->version;
	plan->top.base = room->version.state;
	int err = commit_build(room->fake->blocks, plan, &room->fake->wait, &version);

	if (!err) {
		assert_true(cid_equal(&plan->top.link, &version.state));
		room->version = version;
	}
	return err;
}

static void build_and_release(struct room *room, struct commit_plan *plan)
{
	assert_int_equal(build(room, plan), 0);
	plan_dir_release(&plan->top);
	*plan = (struct commit_plan){ 0 };
}

static void assert_counts(const struct room *room, uint64_t files, uint64_t added, uint64_t changed,
			  uint64_t removed, uint64_t new_bytes)
{
	assert_int_equal(room->version.files, files);
	assert_int_equal(room->version.added, added);
	assert_int_equal(room->version.changed, changed);
	assert_int_equal(room->version.removed, removed);
	assert_int_equal(room->version.new_bytes, new_bytes);
}

static struct cid base_of(struct room *room, const char *name)
{
	struct radix *radix = radix_new(room->fake->blocks);
	struct manifest_entry entry;

	assert_int_equal(radix_lookup(radix, &room->version.state, bytes_str(name),
				      &room->fake->wait, &entry),
			 0);
	struct cid link = entry.dir.link;

	manifest_entry_release(&entry);
	radix_free(radix);
	return link;
}

/* ---- against importing ---- */

static void disk_write(const struct room *room, const char *name, struct bytes bytes)
{
	char *path = xasprintf("%s/%s", room->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.at, bytes.len), bytes.len);
	close(fd);
	free(path);
}

static void disk_dir(const struct room *room, const char *name)
{
	char *path = xasprintf("%s/%s", room->dir, name);

	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
}

static void assert_root_is_imported(struct room *room)
{
	struct store *store = store_new_memory();
	struct blocks *blocks = blocks_new(store, NULL);
	char got[CID_TEXT_MAX], want[CID_TEXT_MAX];
	struct import_config config;
	struct cid root;
	uint64_t size;

	assert_int_equal(import_profile(&config, "unixfs-v1-2025"), 0);
	config.hidden = true;
	assert_int_equal(import_path(blocks, room->dir, "top", &config, &room->fake->wait, &root,
				     &size, NULL),
			 0);
	assert_string_equal(cid_text(&room->version.root, got), cid_text(&root, want));
	blocks_free(blocks);
	store_close(store);
}

static void many_name(char out[static 32], unsigned number)
{
	snprintf(out, 32, "entry-number-%u", number);
}

static void put_many(struct room *room, struct plan_dir *dir)
{
	for (unsigned i = 0; i < MANY; i++) {
		char name[32], path[64];

		many_name(name, i);
		snprintf(path, sizeof(path), "many/%s", name);
		plan_small(room, dir, bytes_str(name), bytes_str(name));
		disk_write(room, path, bytes_str(name));
	}
}

static void put_everything(struct room *room, struct plan_dir *top)
{
	size_t size = (7u << 20) / 2 + 11;
	uint8_t *big = xcalloc(1, size);

	fake_fill(big, size, 5);
	plan_written(room, top, "big", bytes_of(big, size));
	disk_write(room, "big", bytes_of(big, size));
	plan_written(room, top, "chunk", bytes_of(big, 1 << 20));
	disk_write(room, "chunk", bytes_of(big, 1 << 20));
	free(big);
	plan_written(room, top, ".small", bytes_str("small"));
	disk_write(room, ".small", bytes_str("small"));
	plan_add(top, bytes_str("empty"), PLAN_FILE);
	disk_write(room, "empty", bytes_str(""));
	plan_symlink(top, "link", "../some/where");
	char *path = xasprintf("%s/link", room->dir);

	assert_int_equal(symlink("../some/where", path), 0);
	free(path);
}

static void a_tree_has_the_root_of_importing_the_same_files(void **state)
{
	struct room *room = *state;
	struct commit_plan plan = { 0 };
	struct plan_entry *many, *sub;
	char *path;

	assert_int_equal(build(room, &plan), 0); /* nothing at all */
	assert_root_is_imported(room);

	put_everything(room, &plan.top);
	plan_add(&plan.top, bytes_str("nothing"), PLAN_DIR);
	disk_dir(room, "nothing");
	sub = plan_add(&plan.top, bytes_str("sub"), PLAN_DIR);
	disk_dir(room, "sub");
	plan_small(room, &sub->dir, bytes_str("x"), bytes_str("x"));
	disk_write(room, "sub/x", bytes_str("x"));
	many = plan_add(&plan.top, bytes_str("many"), PLAN_DIR);
	disk_dir(room, "many");
	put_many(room, &many->dir);
	build_and_release(room, &plan);
	assert_root_is_imported(room);
	assert_counts(room, MANY + 6, MANY + 6, 0, 0, (7u << 20) / 2 + 11 + (1 << 20) + 5);

	/* The large directory becomes small enough for one block; in the other, an empty one comes.
	 */
	many = plan_add(&plan.top, bytes_str("many"), PLAN_DIR);
	many->changed = false;
	many->dir.base = base_of(room, "many");
	for (unsigned i = 100; i < MANY; i++) {
		char name[32];

		many_name(name, i);
		plan_add(&many->dir, bytes_str(name), PLAN_GONE);
		path = xasprintf("%s/many/%s", room->dir, name);
		assert_int_equal(unlink(path), 0);
		free(path);
	}
	sub = plan_add(&plan.top, bytes_str("sub"), PLAN_DIR);
	sub->changed = false;
	sub->dir.base = base_of(room, "sub");
	plan_add(&sub->dir, bytes_str("deeper"), PLAN_DIR);
	disk_dir(room, "sub/deeper");
	build_and_release(room, &plan);
	assert_root_is_imported(room);
	assert_counts(room, 106, 0, 0, MANY - 100, 0);
}

/* ---- names of one hash ---- */

static int count_entry(void *ctx, size_t index, const struct dir_entry *entry)
{
	(void)index;
	(void)entry;
	++*(size_t *)ctx;
	return 0;
}

static size_t plain_count(struct room *room, const struct cid *root)
{
	size_t count = 0;
	struct dir *dir;

	assert_int_equal(dir_open(room->fake->blocks, root, &room->fake->wait, &dir), 0);
	assert_int_equal(dir_each(dir, 0, &room->fake->wait, count_entry, &count), 0);
	dir_close(dir);
	return count;
}

static uint64_t manifest_count(struct room *room)
{
	struct radix *radix = radix_new(room->fake->blocks);
	struct radix_root root;

	assert_int_equal(radix_tell(radix, &room->version.state, &room->fake->wait, &root), 0);
	uint64_t count = root.entries;

	radix_root_release(&root);
	radix_free(radix);
	return count;
}

/* A HAMT has room for one of them: the first by bytes. The manifest has all. */
static void names_of_one_hash_are_all_in_the_manifest_and_one_in_a_hamt(void **state)
{
	struct room *room = *state;
	struct commit_plan plan = { 0 };
	uint8_t names[3][SHARE_COLLIDING_LEN], first = 0;
	struct dir_entry found;
	struct dir *dir;

	for (uint64_t i = 0, number = 1; i < 3; number++)
		if (share_colliding_name(number, names[i]))
			i++;
	for (uint8_t i = 0; i < 3; i++) {
		plan_small(room, &plan.top, bytes_of(names[i], SHARE_COLLIDING_LEN),
			   bytes_of(&i, 1));
		if (memcmp(names[i], names[first], SHARE_COLLIDING_LEN) < 0)
			first = i;
	}
	build_and_release(room, &plan);
	assert_int_equal(plain_count(room, &room->version.root), 3);
	assert_int_equal(manifest_count(room), 3);

	for (unsigned i = 0; i < MANY; i++) {
		char name[32];

		many_name(name, i);
		plan_small(room, &plan.top, bytes_str(name), bytes_str("x"));
	}
	build_and_release(room, &plan);
	assert_int_equal(manifest_count(room), MANY + 3);
	assert_counts(room, MANY + 3, MANY, 0, 0, 0);
	assert_int_equal(plain_count(room, &room->version.root), MANY + 1);
	assert_int_equal(dir_open(room->fake->blocks, &room->version.root, &room->fake->wait, &dir),
			 0);
	for (uint8_t i = 0; i < 3; i++)
		assert_int_equal(dir_lookup(dir, bytes_of(names[i], SHARE_COLLIDING_LEN),
					    &room->fake->wait, &found),
				 i == first ? 0 : -ENOENT);
	dir_close(dir);

	plan_add(&plan.top, bytes_of(names[first], SHARE_COLLIDING_LEN), PLAN_GONE);
	build_and_release(room, &plan);
	assert_int_equal(plain_count(room, &room->version.root), MANY + 1);
	assert_counts(room, MANY + 2, 0, 0, 1, 0);
}

/* ---- counts and order ---- */

static void equal_bytes_written_again_are_not_new(void **state)
{
	struct room *room = *state;
	struct commit_plan plan = { 0 };
	struct cid before;

	plan_written(room, &plan.top, "a", bytes_str("bytes"));
	plan_written(room, &plan.top, "b", bytes_str("others"));
	build_and_release(room, &plan);
	assert_counts(room, 2, 2, 0, 0, 11);
	assert_int_equal(room->version.size, 11);
	before = room->version.state;
	plan_written(room, &plan.top, "a", bytes_str("bytes"));
	build_and_release(room, &plan);
	assert_counts(room, 2, 0, 0, 0, 0);
	assert_true(cid_equal(&before, &room->version.state)); /* its dot stays, too */
	plan_written(room, &plan.top, "a", bytes_str("new"));
	build_and_release(room, &plan);
	assert_counts(room, 2, 0, 1, 0, 3);
	assert_int_equal(room->version.size, 9);
	assert_false(cid_equal(&before, &room->version.state));
}

static void plan_number(struct room *room, struct commit_plan *plan, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	plan_small(room, &plan->top, bytes_str(text), bytes_str(text));
	plan->top.entries[plan->top.count - 1].id = number + 1000;
}

static void states_are_equal_whatever_the_order_of_commits(void **state)
{
	struct room *room = *state;
	struct commit_plan plan = { 0 };
	struct cid states[4], roots[4];
	static const uint64_t orders[4][5] = {
		{ 0, 1, 2, 3, 4 }, { 4, 3, 2, 1, 0 }, { 2, 4, 0, 3, 1 }, { 3, 0, 4, 1, 2 }
	};

	for (size_t o = 0; o < 4; o++) {
		room->version = (struct tree_version){ 0 };
		for (size_t i = 0; i < 5; i++) {
			for (uint64_t k = 0; k < 400; k++)
				plan_number(room, &plan,
					    orders[o][i] * 400 + (o % 2 ? 399 - k : k));
			room->stamp = orders[o][i];
			build_and_release(room, &plan);
		}
		assert_int_equal(room->version.files, 2000);
		states[o] = room->version.state;
		roots[o] = room->version.root;
		assert_true(cid_equal(&states[o], &states[0]));
		assert_true(cid_equal(&roots[o], &roots[0]));
	}
}

#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(a_tree_has_the_root_of_importing_the_same_files),
		IN_ROOM(names_of_one_hash_are_all_in_the_manifest_and_one_in_a_hamt),
		IN_ROOM(equal_bytes_written_again_are_not_new),
		IN_ROOM(states_are_equal_whatever_the_order_of_commits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

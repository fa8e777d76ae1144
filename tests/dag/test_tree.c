/* dag/tree.h: a directory that changes, as mounts use it: names, bytes, cuts, versions, opening
 * again. */
#include "dag/dag.h"
#include "dag/share.h"
#include "dag/tree.h"
#include "net/base/alloc.h"
#include "tests/dag/tree_room.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/xattr.h>

static void made_names_are_found_and_listed(void **state)
{
	struct tree_room *room = *state;
	struct tree_attr attr;

	room_mkdir(room, "a");
	room_write(room, "a/one", "hello", 5);
	assert_int_equal(tree_find(room->tree, "a/one", &room->wait, &attr), 0);
	assert_int_equal(attr.size, 5);
	assert_true(S_ISREG(attr.mode));
	tree_forget(room->tree, attr.node, 1);
	assert_int_equal(tree_find(room->tree, "a/two", &room->wait, &attr), -ENOENT);
	assert_int_equal(tree_find(room->tree, "a/one/x", &room->wait, &attr), -ENOTDIR);
	room_expect(room, "a/\na/one=hello\n");
}

static void what_was_cut_is_there_after_opening_again(void **state)
{
	struct tree_room *room = *state;

	room_mkdir(room, "a");
	room_mkdir(room, "a/b");
	room_write(room, "a/b/file", "some bytes", 10);
	assert_int_equal(tree_sync(room->tree, &room->wait), 0);
	room_reopen(room);
	room_expect(room, "a/\na/b/\na/b/file=some bytes\n");
	assert_int_equal(room_unlink(room, "a/b", "file", false), 0);
	room_write(room, "a/other", "x", 1);
	room_reopen(room);
	room_expect(room, "a/\na/b/\na/other=x\n");
}

static void a_version_has_the_cids_of_adding_the_same_files(void **state)
{
	struct tree_room *room = *state;
	struct tree_version version;

	room_mkdir(room, "a");
	room_write(room, "a/one", "hello", 5);
	room_write(room, "empty", "", 0);
	assert_int_equal(tree_commit(room->tree, "first", &room->wait, &version), 0);
	assert_int_equal(version.no, 1);
	assert_int_equal(version.files, 2);
	assert_int_equal(version.size, 5);
	assert_int_equal(version.added, 2);
	room_expect_root(room, &version.root);
	room_expect(room, "a/\na/one=hello\nempty=\n");
	room_reopen(room);
	room_expect(room, "a/\na/one=hello\nempty=\n");
}

static void changes_after_a_version_lie_over_it(void **state)
{
	struct tree_room *room = *state;
	struct tree_version version;

	room_mkdir(room, "a");
	room_mkdir(room, "a/b");
	room_write(room, "a/one", "hello", 5);
	room_write(room, "a/b/two", "two", 3);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	assert_int_equal(room_rename(room, "a", "b", "", "moved", 0), 0);
	room_write(room, "moved/three", "3", 1);
	room_write(room, "a/one", "other", 5);
	room_expect(room, "a/\na/one=other\nmoved/\nmoved/three=3\nmoved/two=two\n");
	room_reopen(room);
	room_expect(room, "a/\na/one=other\nmoved/\nmoved/three=3\nmoved/two=two\n");
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	assert_int_equal(version.no, 2);
	assert_int_equal(version.files, 3);
	room_expect_root(room, &version.root);
	room_reopen(room);
	room_expect(room, "a/\na/one=other\nmoved/\nmoved/three=3\nmoved/two=two\n");
	assert_int_equal(room_unlink(room, "", "moved", true), -ENOTEMPTY);
	assert_int_equal(room_unlink(room, "moved", "two", false), 0);
	assert_int_equal(room_unlink(room, "moved", "three", false), 0);
	assert_int_equal(room_unlink(room, "", "moved", true), 0);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	assert_int_equal(version.files, 1);
	assert_int_equal(version.removed, 2);
	room_expect_root(room, &version.root);
}

static void a_file_that_is_unlinked_stays_while_it_is_open(void **state)
{
	struct tree_room *room = *state;
	struct tree_file *file;
	struct tree_attr attr;

	room_write(room, "gone", "still here", 10);
	assert_int_equal(tree_find(room->tree, "gone", &room->wait, &attr), 0);
	assert_int_equal(tree_file_open(room->tree, attr.node, true, false, &room->wait, &file), 0);
	assert_int_equal(room_unlink(room, "", "gone", false), 0);
	assert_int_equal(tree_sync(room->tree, &room->wait), 0);
	assert_int_equal(tree_file_write(file, 10, false, bytes_str("!"), &room->wait), 0);
	assert_int_equal(tree_sync(room->tree, &room->wait), 0);
	room_expect_bytes(room, file, "still here!");
	tree_file_close(file);
	tree_forget(room->tree, attr.node, 1);
	room_reopen(room);
	room_expect(room, "");
}

static void attributes_are_kept_by_versions(void **state)
{
	struct tree_room *room = *state;
	struct tree_set set = { .what = TREE_SET_MODE | TREE_SET_MTIME,
				.mode = 0751,
				.mtime = { 1000, 500 } };
	struct tree_version version;
	struct tree_attr attr;
	struct buf value = { 0 };

	room_write(room, "x", "x", 1);
	assert_int_equal(tree_find(room->tree, "x", &room->wait, &attr), 0);
	uint64_t node = attr.node, id = attr.id;

	assert_int_equal(tree_set(room->tree, node, &set, &room->wait, &attr), 0);
	assert_int_equal(tree_xattr_set(room->tree, node, "user.note", bytes_str("n"), 0), 0);
	assert_int_equal(tree_xattr_set(room->tree, node, "trusted.x", bytes_str("n"), 0),
			 -ENOTSUP);
	assert_int_equal(tree_xattr_set(room->tree, node, "user.dagfs.x", bytes_str("n"), 0),
			 -EPERM);
	tree_forget(room->tree, node, 1);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	for (int round = 0; round < 2; round++) {
		room_reopen(room);
		assert_int_equal(tree_find(room->tree, "x", &room->wait, &attr), 0);
		assert_int_equal(attr.mode, S_IFREG | 0751);
		assert_int_equal(attr.mtime.tv_sec, 1000);
		assert_int_equal(attr.mtime.tv_nsec, 500);
		assert_int_equal(attr.id, id);
		buf_clear(&value);
		assert_int_equal(tree_xattr_get(room->tree, attr.node, "user.note", &value), 0);
		assert_int_equal(value.len, 1);
		tree_forget(room->tree, attr.node, 1);
	}
	buf_release(&value);
}

static void large_files_are_written_read_and_committed(void **state)
{
	struct tree_room *room = *state;
	size_t size = 5 * (1 << 20) + 12345;
	char *bytes = malloc(size);
	struct tree_version version;

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 + i / 4096);
	room_write(room, "big", bytes, size);
	assert_int_equal(tree_sync(room->tree, &room->wait), 0);
	room_expect_file(room, "big", bytes, size);
	room_reopen(room);
	room_expect_file(room, "big", bytes, size);
	memset(bytes + 3000000, 'x', 100000);
	room_overwrite(room, "big", 3000000, bytes + 3000000, 100000);
	room_reopen(room);
	room_expect_file(room, "big", bytes, size);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	assert_int_equal(version.size, size);
	room_expect_root(room, &version.root);
	room_reopen(room);
	room_expect_file(room, "big", bytes, size);
	free(bytes);
}

static void listing_goes_on_where_it_stopped_while_names_change(void **state)
{
	struct tree_room *room = *state;
	struct tree_version version;
	char name[32];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		room_write(room, name, "", 0);
		if (i == 150)
			assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	}
	for (int i = 0; i < 300; i += 3) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(room_unlink(room, "", name, false), 0);
	}
	assert_int_equal(room_count(room, 7, false), 200);
	assert_int_equal(room_count(room, 7, true), 200);
	room_reopen(room);
	assert_int_equal(room_count(room, 1, true), 200);
}

static void an_exchange_of_names_is_one_step(void **state)
{
	struct tree_room *room = *state;
	struct tree_version version;

	room_mkdir(room, "d");
	room_write(room, "d/x", "x", 1);
	room_write(room, "f", "f", 1);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	assert_int_equal(room_rename(room, "", "d", "", "f", RENAME_EXCHANGE), 0);
	room_expect(room, "d=f\nf/\nf/x=x\n");
	assert_int_equal(room_rename(room, "", "f", "f", "in", 0), -EINVAL);
	assert_int_equal(room_rename(room, "", "d", "", "f", 0), -EISDIR);
	assert_int_equal(room_rename(room, "", "d", "", "f", RENAME_NOREPLACE), -EEXIST);
	room_reopen(room);
	room_expect(room, "d=f\nf/\nf/x=x\n");
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	room_expect_root(room, &version.root);
}

static void collections_leave_what_versions_and_changes_need(void **state)
{
	struct tree_room *room = *state;
	struct sweep_source source = sweep_shares(room->work);
	uint64_t removed, freed;
	struct tree_version version;

	room_write(room, "old", "old bytes", 9);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	room_write(room, "new", "new bytes", 9);
	assert_int_equal(tree_sync(room->tree, &room->wait), 0);
	assert_int_equal(
		dag_sweep(room->store, &source, 1, &room->wait, NULL, NULL, &removed, &freed), 0);
	room_reopen(room);
	room_expect(room, "new=new bytes\nold=old bytes\n");
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
	room_expect_root(room, &version.root);
}

static int see_difference(void *ctx, const struct tree_diff_item *item)
{
	buf_printf(ctx, "%c%s%s %d %d\n", "+~-"[item->what], item -> path,
		   S_ISDIR(item->type) ? "/" : "", (int)item->before, (int)item->after);
	return 0;
}

static void versions_are_compared_by_what_their_names_show(void **state)
{
	struct tree_room *room = *state;
	struct blocks *blocks = blocks_new(room->store, NULL);
	struct tree_version before, after;
	struct buf text = { 0 };

	room_mkdir(room, "d");
	room_mkdir(room, "d/e");
	room_write(room, "d/e/x", "x", 1);
	room_write(room, "same", "same", 4);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &before), 0);
	room_write(room, "d/e/x", "xyz", 3);
	assert_int_equal(room_rename(room, "", "d", "", "f", 0), 0);
	room_write(room, "d", "now a file", 10);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &after), 0);
	assert_int_equal(
		tree_diff(blocks, &before.state, &after.state, &room->wait, see_difference, &text),
		0);
	char *got = buf_take_text(&text);

	assert_non_null(strstr(got, "-d/ 0 0\n-d/e/ 0 0\n-d/e/x 1 0\n+d 0 10\n"));
	assert_non_null(strstr(got, "+f/ 0 0\n+f/e/ 0 0\n+f/e/x 0 3\n"));
	assert_null(strstr(got, "same"));
	free(got);
	assert_int_equal(
		tree_diff(blocks, &after.state, &after.state, &room->wait, see_difference, &text),
		0);
	assert_int_equal(text.len, 0);
	blocks_free(blocks);
}

/* 600 directories within each other, below a name. */
static void make_chain(struct tree_room *room, const char *name)
{
	const struct tree_new how = { .mode = S_IFDIR | 0755 };
	struct tree_attr attr;
	uint64_t dir = TREE_ROOT;

	for (int i = 0; i < 600; i++) {
		assert_int_equal(tree_create(room->tree, dir, bytes_str(i ? "d" : name), &how,
					     &room->wait, &attr),
				 0);
		if (dir != TREE_ROOT)
			tree_forget(room->tree, dir, 1);
		dir = attr.node;
	}
	tree_forget(room->tree, dir, 1);
}

static void a_rename_brings_nothing_too_deep(void **state)
{
	struct tree_room *room = *state;
	struct tree_version version;
	struct buf path = { 0 };

	make_chain(room, "a");
	make_chain(room, "b");
	buf_add_str(&path, "a");
	for (int i = 0; i < 400; i++)
		buf_add_str(&path, "/d");
	char *deep = buf_take_text(&path);

	for (int round = 0; round < 2; round++) { /* in memory, and of the base */
		assert_int_equal(room_rename(room, "", "b", deep, "in", 0), -ENAMETOOLONG);
		deep[strlen(deep) - 200] = 0;
		assert_int_equal(room_rename(room, "", "b", deep, "in", 0), 0);
		assert_int_equal(room_rename(room, deep, "in", "", "b", 0), 0);
		deep[strlen(deep)] = '/';
		assert_int_equal(tree_commit(room->tree, NULL, &room->wait, &version), 0);
		room_reopen(room);
	}
	free(deep);
}

static void a_second_opening_is_refused(void **state)
{
	struct tree_room *room = *state;
	struct tree *other;

	assert_int_equal(tree_open(room->work, room->store, NULL, &room->config, &other), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(made_names_are_found_and_listed),
		ROOM_TEST(what_was_cut_is_there_after_opening_again),
		ROOM_TEST(a_version_has_the_cids_of_adding_the_same_files),
		ROOM_TEST(changes_after_a_version_lie_over_it),
		ROOM_TEST(a_file_that_is_unlinked_stays_while_it_is_open),
		ROOM_TEST(attributes_are_kept_by_versions),
		ROOM_TEST(large_files_are_written_read_and_committed),
		ROOM_TEST(listing_goes_on_where_it_stopped_while_names_change),
		ROOM_TEST(an_exchange_of_names_is_one_step),
		ROOM_TEST(collections_leave_what_versions_and_changes_need),
		ROOM_TEST(versions_are_compared_by_what_their_names_show),
		ROOM_TEST(a_rename_brings_nothing_too_deep),
		ROOM_TEST(a_second_opening_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

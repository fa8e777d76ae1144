/* dag/tree.h: trees that follow versions made elsewhere, states and plain directories alike. */
#include "tests/dag/tree_room.h"

#include <cmocka.h>

/* What was told of changes: "NAME" of entries, in any order. */
struct heard {
	struct tree_watch watch;
	char names[4096];
	size_t attrs;
};

static void on_changed(struct tree_watch *watch, enum tree_change what, uint64_t dir,
		       struct bytes name, uint64_t node)
{
	struct heard *heard = container_of(watch, struct heard, watch);
	size_t len = strlen(heard->names);

	(void)dir;
	(void)node;
	if (what == TREE_ENTRY)
		snprintf(heard->names + len, sizeof(heard->names) - len, "[%.*s]", (int)name.len,
			 name.at);
	else
		heard->attrs++;
}

/* Two versions of the room's share. */
static void make_versions(struct tree_room *room, struct tree_version *before,
			  struct tree_version *after)
{
	room_mkdir(room, "dir");
	room_mkdir(room, "dir/sub");
	room_write(room, "dir/sub/file", "old", 3);
	room_write(room, "dir/same", "same", 4);
	room_write(room, "gone", "gone", 4);
	room_mkdir(room, "becomes-file");
	room_write(room, "becomes-dir", "x", 1);
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, before), 0);
	room_write(room, "dir/sub/file", "newer", 5);
	room_write(room, "dir/sub/more", "more", 4);
	assert_int_equal(room_unlink(room, "", "gone", false), 0);
	assert_int_equal(room_unlink(room, "", "becomes-file", true), 0);
	assert_int_equal(room_unlink(room, "", "becomes-dir", false), 0);
	room_write(room, "becomes-file", "f", 1);
	room_mkdir(room, "becomes-dir");
	assert_int_equal(tree_commit(room->tree, NULL, &room->wait, after), 0);
}

static const char text_before[] = "becomes-dir=x\nbecomes-file/\ndir/\ndir/same=same\ndir/sub/\n"
				  "dir/sub/file=old\ngone=gone\n";
static const char text_after[] = "becomes-dir/\nbecomes-file=f\ndir/\ndir/same=same\ndir/sub/\n"
				 "dir/sub/file=newer\ndir/sub/more=more\n";

/* The room with another tree in it. */
static void expect(struct tree_room *room, struct tree *follower, const char *text)
{
	struct tree_room other = *room;

	other.tree = follower;
	room_expect(&other, text);
}

static void follow_from_to(struct tree_room *room, const struct cid *before,
			   const struct cid *after)
{
	struct heard heard = { .watch = { .changed = on_changed } };
	struct tree_file *file;
	struct tree_attr dir, attr;
	struct tree *tree;

	assert_int_equal(tree_follow(room->store, NULL, before, &tree), 0);
	tree_watch(tree, &heard.watch);
	expect(room, tree, text_before);
	assert_int_equal(tree_find(tree, "dir/sub", &room->wait, &dir), 0);
	assert_int_equal(tree_find(tree, "dir/sub/file", &room->wait, &attr), 0);
	assert_int_equal(tree_file_open(tree, attr.node, false, false, &room->wait, &file), 0);
	assert_int_equal(tree_file_open(tree, attr.node, true, false, &room->wait, &file), -EROFS);
	assert_int_equal(tree_take(tree, after, &room->wait), 0);
	/* The open file stays as it was; the directory is the new one, under its old number. */
	room_expect_bytes(room, file, "old");
	tree_file_close(file);
	tree_forget(tree, attr.node, 1);
	assert_int_equal(tree_lookup(tree, dir.node, bytes_str("more"), &room->wait, &attr), 0);
	tree_forget(tree, attr.node, 1);
	tree_forget(tree, dir.node, 1);
	expect(room, tree, text_after);
	assert_non_null(strstr(heard.names, "[gone]"));
	assert_non_null(strstr(heard.names, "[file]"));
	assert_non_null(strstr(heard.names, "[becomes-dir]"));
	assert_null(strstr(heard.names, "[same]"));
	assert_int_equal(tree_take(tree, after, &room->wait), 0);
	expect(room, tree, text_after);
	tree_unwatch(tree, &heard.watch);
	assert_int_equal(tree_close(tree), 0);
}

static void states_are_followed(void **state)
{
	struct tree_room *room = *state;
	struct tree_version before, after;

	make_versions(room, &before, &after);
	follow_from_to(room, &before.state, &after.state);
}

static void plain_directories_are_followed(void **state)
{
	struct tree_room *room = *state;
	struct tree_version before, after;

	make_versions(room, &before, &after);
	follow_from_to(room, &before.root, &after.root);
}

static void a_state_may_take_the_place_of_a_plain_directory(void **state)
{
	struct tree_room *room = *state;
	struct tree_version before, after;
	struct tree *tree;

	make_versions(room, &before, &after);
	assert_int_equal(tree_follow(room->store, NULL, &before.root, &tree), 0);
	expect(room, tree, text_before);
	assert_int_equal(tree_take(tree, &before.state, &room->wait), 0);
	expect(room, tree, text_before);
	assert_int_equal(tree_take(tree, &after.root, &room->wait), 0);
	expect(room, tree, text_after);
	assert_int_equal(tree_close(tree), 0);
}

static void what_cannot_be_read_changes_nothing(void **state)
{
	struct tree_room *room = *state;
	struct tree_version before, after;
	struct cid absent;
	struct tree *tree;

	make_versions(room, &before, &after);
	assert_int_equal(tree_follow(room->store, NULL, &before.state, &tree), 0);
	expect(room, tree, text_before);
	assert_int_equal(cid_of_data(&absent, 1, CODEC_DAG_CBOR, HASH_SHA2_256, bytes_str("?")), 0);
	assert_int_equal(tree_take(tree, &absent, &room->wait), -EHOSTUNREACH);
	assert_int_equal(cid_of_data(&absent, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("more")), 0);
	assert_int_equal(tree_take(tree, &absent, &room->wait), -ENOTDIR);
	expect(room, tree, text_before);
	assert_int_equal(tree_close(tree), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(states_are_followed),
		ROOM_TEST(plain_directories_are_followed),
		ROOM_TEST(a_state_may_take_the_place_of_a_plain_directory),
		ROOM_TEST(what_cannot_be_read_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

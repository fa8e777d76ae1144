#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/mount/inode.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

struct table {
	struct inodes inodes;
	struct store *store;
	struct root *root;
	struct wait wait;
};

static struct cid put(struct table *t, uint64_t codec, struct bytes data)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, codec, HASH_SHA2_256, data), 0);
	struct block *block = block_copy(&cid, data);

	assert_int_equal(store_put(t->store, block, 0, NULL, NULL), 0);
	block_unref(block);
	return cid;
}

static struct cid put_number(struct table *t, unsigned i)
{
	return put(t, CODEC_RAW, bytes_of(&i, sizeof i));
}

static int setup(void **state)
{
	struct table *t = xnew(struct table);

	inodes_init(&t->inodes, 1000, 100, false);
	t->store = store_new_memory();
	struct cid cid = put_number(t, 0xffffffff);

	t->root = root_new(t->store, NULL, &cid);
	assert_int_equal(wait_init(&t->wait), 0);
	wait_start(&t->wait, 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct table *t = *state;

	inodes_release(&t->inodes);
	root_unref(t->root);
	store_close(t->store);
	wait_release(&t->wait);
	free(t);
	return 0;
}

static const struct dag_stat file_stat = { .type = DAG_FILE, .size = 513, .tree_size = 600 };
static const struct dag_stat dir_stat = { .type = DAG_DIRECTORY };

static void equal_files_share_an_inode(void **state)
{
	struct table *t = *state;
	struct cid cid = put_number(t, 1), other = put_number(t, 2);
	struct place a = { 20, 1 }, b = { 21, 2 };
	struct inode *inode = inode_enter(&t->inodes, t->root, &cid, a, &file_stat);

	assert_ptr_equal(inode_enter(&t->inodes, t->root, &cid, b, &file_stat), inode);
	assert_ptr_equal(inode_known(&t->inodes, &cid, b), inode);
	assert_int_equal(inode->lookups, 3);
	assert_ptr_not_equal(inode_enter(&t->inodes, t->root, &other, a, &file_stat), inode);
	assert_ptr_equal(inode_find(&t->inodes, inode->ino), inode);
}

static void equal_directories_do_not(void **state)
{
	struct table *t = *state;
	struct cid cid = put(t, CODEC_DAG_PB, bytes_str("x"));
	struct place a = { 20, 1 }, b = { 20, 2 };
	struct inode *inode = inode_enter(&t->inodes, t->root, &cid, a, &dir_stat);

	assert_null(inode_known(&t->inodes, &cid, b));
	struct inode *second = inode_enter(&t->inodes, t->root, &cid, b, &dir_stat);

	assert_ptr_not_equal(second, inode);
	assert_ptr_equal(inode_known(&t->inodes, &cid, a), inode);
	assert_ptr_equal(inode_known(&t->inodes, &cid, b), second);
}

static void forgotten_when_the_last_lookup_goes(void **state)
{
	struct table *t = *state;
	struct cid cid = put_number(t, 1);
	struct inode *inode =
		inode_enter(&t->inodes, t->root, &cid, (struct place){ 0 }, &file_stat);
	uint64_t ino = inode->ino;

	inode_enter(&t->inodes, t->root, &cid, (struct place){ 0 }, &file_stat);
	inode_forget(&t->inodes, ino, 1);
	assert_ptr_equal(inode_find(&t->inodes, ino), inode);
	inode_forget(&t->inodes, ino, 1);
	assert_null(inode_find(&t->inodes, ino));
	inode_forget(&t->inodes, ino, 1); /* unknown: nothing happens */
}

static void many_are_found_again(void **state)
{
	struct table *t = *state;
	enum { COUNT = 3000 };
	static uint64_t numbers[COUNT];

	for (unsigned i = 0; i < COUNT; i++) {
		struct cid cid = put_number(t, i);

		numbers[i] = inode_enter(&t->inodes, t->root, &cid, (struct place){ 0 }, &file_stat)
				     ->ino;
		assert_true(numbers[i] >= INODE_FIRST);
	}
	assert_int_equal(t->inodes.count, COUNT);
	for (unsigned i = 0; i < COUNT; i += 2)
		inode_forget(&t->inodes, numbers[i], 1);
	for (unsigned i = 0; i < COUNT; i++) {
		struct inode *inode = inode_find(&t->inodes, numbers[i]);
		struct cid want = put_number(t, i), got;

		if (i % 2 == 0) {
			assert_null(inode);
			continue;
		}
		assert_true(inode_cid(inode, &got));
		assert_true(cid_equal(&got, &want));
	}
}

static void a_taken_number_is_passed_over(void **state)
{
	struct table *t = *state;
	struct cid cid = put_number(t, 1), other = put_number(t, 2);
	struct inode *inode =
		inode_enter(&t->inodes, t->root, &other, (struct place){ 0 }, &file_stat);
	uint64_t ino = inode_number(&cid, (struct place){ 0 });

	/* As if the other's hash were the same. */
	struct inode **slot = &t->inodes.slots[inode->ino & (t->inodes.cap - 1)];

	assert_ptr_equal(*slot, inode);
	*slot = NULL;
	inode->ino = ino;
	t->inodes.slots[ino & (t->inodes.cap - 1)] = inode;
	struct inode *second =
		inode_enter(&t->inodes, t->root, &cid, (struct place){ 0 }, &file_stat);

	assert_int_equal(second->ino, ino + 1);
	assert_ptr_equal(inode_known(&t->inodes, &cid, (struct place){ 0 }), second);
}

static void attributes_are_shown_as_stored(void **state)
{
	struct table *t = *state;
	struct dag_stat stored = file_stat;
	struct cid cid = put_number(t, 1), other = put_number(t, 2);
	struct stat st;

	inode_attributes(&t->inodes,
			 inode_enter(&t->inodes, t->root, &cid, (struct place){ 0 }, &stored), &st);
	assert_int_equal(st.st_mode, S_IFREG | 0444);
	assert_int_equal(st.st_size, 513);
	assert_int_equal(st.st_blocks, 2);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 100);
	assert_int_equal(st.st_mtim.tv_sec, 0);
	assert_int_equal(st.st_mtim.tv_nsec, 0);
	assert_int_equal(st.st_ctim.tv_sec, 0);
	stored.mode = 07640;
	stored.has_mtime = true;
	stored.mtime = -5;
	stored.mtime_nanos = 7;
	inode_attributes(&t->inodes,
			 inode_enter(&t->inodes, t->root, &other, (struct place){ 0 }, &stored),
			 &st);
	assert_int_equal(st.st_mode, S_IFREG | S_ISVTX | 0640);
	assert_int_equal(st.st_mtim.tv_sec, -5);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
}

static void open_files_are_bounded(void **state)
{
	struct table *t = *state;
	struct view *kept, *view;
	struct inode *first = NULL;

	for (unsigned i = 0; i < VIEWS_MAX + 50; i++) {
		struct cid cid = put_number(t, i);
		struct inode *inode =
			inode_enter(&t->inodes, t->root, &cid, (struct place){ 0 }, &file_stat);

		assert_int_equal(view_get(&t->inodes, inode, &t->wait, &view), 0);
		if (i == 0) {
			first = inode;
			kept = view;
		} else {
			view_put(&t->inodes, view);
		}
		assert_true(t->inodes.view_count <= VIEWS_MAX);
	}
	/* What is in use stays. */
	assert_ptr_equal(first->view, kept);
	view_put(&t->inodes, kept);
}

static void a_view_in_use_outlives_its_inode(void **state)
{
	struct table *t = *state;
	struct cid cid = put_number(t, 1);
	struct inode *inode =
		inode_enter(&t->inodes, t->root, &cid, (struct place){ 0 }, &file_stat);
	struct view *view;

	assert_int_equal(view_get(&t->inodes, inode, &t->wait, &view), 0);
	inode_forget(&t->inodes, inode->ino, 1);
	assert_int_equal(file_size(view->file), sizeof(unsigned));
	view_put(&t->inodes, view);
	assert_int_equal(t->inodes.view_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(equal_files_share_an_inode, setup, teardown),
		cmocka_unit_test_setup_teardown(equal_directories_do_not, setup, teardown),
		cmocka_unit_test_setup_teardown(forgotten_when_the_last_lookup_goes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(many_are_found_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_taken_number_is_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(attributes_are_shown_as_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(open_files_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_view_in_use_outlives_its_inode, setup, teardown),
	};

	return cmocka_run_group_tests_name("fs/inode", tests, NULL, NULL);
}

/* dag/tree/diff.c: trees that are deep, hostile, or compared with nothing; the order in which
 * differences are told. tests/dag/test_commit_model.c compares random versions. */
#include "dag/tree.h"

#include "tests/dag/share_make.h"

#include <sys/stat.h>

#define DEEP 1000 /* directories within each other, as a tree has them */
#define DEEPER 40000

struct told {
	size_t count, deepest;
	struct buf text;
};

static int tell(void *ctx, const struct tree_diff_item *item)
{
	struct told *told = ctx;
	size_t len = strlen(item->path);

	told->count++;
	told->deepest = len > told->deepest ? len : told->deepest;
	if (told->text.len < 4096)
		buf_printf(&told->text, "%c%.20s%s %d %d\n", "+~-"[item->what], item -> path,
			   S_ISDIR(item->type) ? "/" : "", (int)item->before, (int)item->after);
	return 0;
}

static int stop(void *ctx, const struct tree_diff_item *item)
{
	(void)item;
	return ++*(int *)ctx == 2 ? 99 : 0;
}

/* A directory with one directory in it; link: what is below. */
static struct radix_root wrap(struct fake *fake, struct radix *radix, struct bytes name,
			      const struct radix_root *below)
{
	struct manifest_dot dot = { 1, 10, 20 };
	struct manifest_entry entry = { .name = name, .has_dir = true };
	struct radix_change change = { name, &entry };
	struct radix_root root;

	entry.dir = (struct manifest_dir){ .dots = &dot,
					   .dot_count = 1,
					   .link = below->cid,
					   .tree = share_cid(CODEC_DAG_PB, 1),
					   .spans = below->spans,
					   .span_count = below->span_count };
	assert_int_equal(radix_edit(radix, &(struct cid){ 0 }, &change, 1, &fake->wait, &root), 0);
	return root;
}

static struct cid chain(struct fake *fake, size_t depth, struct bytes name)
{
	struct radix *radix = radix_new(fake->blocks);
	struct radix_root root = { 0 };

	for (size_t i = 0; i < depth; i++) {
		struct radix_root above = wrap(fake, radix, name, &root);

		radix_root_release(&root);
		root = above;
	}
	struct cid link = root.cid;

	radix_root_release(&root);
	radix_free(radix);
	return link;
}

static void the_longest_paths_are_told(void **unused)
{
	struct fake *fake = fake_new();
	struct told told = { 0 };
	uint8_t name[255];

	(void)unused;
	memset(name, 'n', sizeof(name));
	struct cid deep = chain(fake, DEEP, bytes_of(name, sizeof(name)));

	assert_int_equal(
		tree_diff(fake->blocks, &(struct cid){ 0 }, &deep, &fake->wait, tell, &told), 0);
	assert_int_equal(told.count, DEEP);
	assert_int_equal(told.deepest, DEEP * 256 - 1);
	buf_release(&told.text);
	fake_free(fake);
}

/* No tree is so deep: a state of somebody else may be. */
static void endless_directories_are_refused(void **unused)
{
	struct fake *fake = fake_new();
	struct told told = { 0 };

	(void)unused;
	struct cid deeper = chain(fake, DEEPER, bytes_str("n"));

	assert_int_equal(
		tree_diff(fake->blocks, &(struct cid){ 0 }, &deeper, &fake->wait, tell, &told),
		-EBADMSG);
	assert_int_equal(
		tree_diff(fake->blocks, &deeper, &(struct cid){ 0 }, &fake->wait, tell, &told),
		-EBADMSG);
	buf_release(&told.text);
	fake_free(fake);
}

static void directories_come_before_what_is_in_them(void **unused)
{
	struct fake *fake = fake_new();
	struct told told = { 0 };
	int calls = 0;

	(void)unused;
	struct cid three = chain(fake, 3, bytes_str("d")), one = chain(fake, 1, bytes_str("d"));

	assert_int_equal(tree_diff(fake->blocks, &one, &three, &fake->wait, tell, &told), 0);
	assert_int_equal(
		tree_diff(fake->blocks, &three, &(struct cid){ 0 }, &fake->wait, tell, &told), 0);
	buf_add_u8(&told.text, 0);
	assert_string_equal((char *)told.text.at, "+d/d/ 0 0\n+d/d/d/ 0 0\n-d/ 0 0\n-d/d/ 0 0\n"
						  "-d/d/d/ 0 0\n");
	assert_int_equal(
		tree_diff(fake->blocks, &(struct cid){ 0 }, &three, &fake->wait, stop, &calls), 99);
	assert_int_equal(calls, 2);
	buf_release(&told.text);
	fake_free(fake);
}

static void a_state_that_is_missing_is_an_error(void **unused)
{
	struct fake *fake = fake_new();
	struct cid missing = share_cid(CODEC_DAG_CBOR, 3), one = chain(fake, 1, bytes_str("d"));
	struct told told = { 0 };

	(void)unused;
	fake_go_offline(fake);
	assert_true(tree_diff(fake->blocks, &missing, &one, &fake->wait, tell, &told) < 0);
	assert_true(tree_diff(fake->blocks, &one, &missing, &fake->wait, tell, &told) < 0);
	assert_int_equal(told.count, 0);
	buf_release(&told.text);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_paths_are_told),
		cmocka_unit_test(endless_directories_are_refused),
		cmocka_unit_test(directories_come_before_what_is_in_them),
		cmocka_unit_test(a_state_that_is_missing_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

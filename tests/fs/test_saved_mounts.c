/* mounts.json: what was saved is read back; what is no such list is refused whole. */
#include "fs/saved_mounts.h"

#include "fs/put_file.h"
#include "fs/repo.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int make_dir(void **state)
{
	char *dir = xstrdup("/tmp/dagfs-saved-XXXXXX");

	*state = mkdtemp(dir);
	return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
	char *command = xasprintf("rm -rf %s", (char *)*state);
	int err = system(command);

	free(command);
	free(*state);
	return err;
}

static int add(const char *repo, const char *source, const char *point, const char *options)
{
	struct saved_mount mount = {
		.source = (char *)source,
		.mountpoint = (char *)point,
		.options = (char *)options,
		.offline = source == NULL,
	};
	char *why;
	int err = saved_mounts_add(repo, &mount, &why);

	assert_true(!err == !why);
	free(why);
	return err;
}

static size_t count_of(const char *repo)
{
	struct saved_mounts list;
	char *why;
	size_t count;

	assert_int_equal(saved_mounts_read(repo, &list, &why), 0);
	count = list.count;
	saved_mounts_release(&list);
	return count;
}

static void saved_mounts_are_read_back_in_order(void **state)
{
	const char *repo = *state;
	struct saved_mounts list;
	char *why;

	assert_int_equal(count_of(repo), 0); /* no file */
	assert_int_equal(add(repo, "/ipfs/one", "/mnt/1", "allow_other"), 0);
	assert_int_equal(add(repo, NULL, "/mnt/ä \"quoted\"", ""), 0);
	assert_int_equal(add(repo, "/ipfs/three", "/mnt/1", "timeout=5s"), 0); /* in its place */
	assert_int_equal(saved_mounts_read(repo, &list, &why), 0);
	assert_int_equal(list.count, 2);
	assert_null(list.at[0].source);
	assert_true(list.at[0].offline);
	assert_string_equal(list.at[0].mountpoint, "/mnt/ä \"quoted\"");
	assert_ptr_equal(saved_mounts_find(&list, "/mnt/1"), &list.at[1]);
	assert_string_equal(list.at[1].source, "/ipfs/three");
	assert_string_equal(list.at[1].options, "timeout=5s");
	assert_null(saved_mounts_find(&list, "/mnt"));
	saved_mounts_release(&list);
	assert_int_equal(saved_mounts_remove(repo, "/mnt/1", &why), 0);
	assert_int_equal(saved_mounts_remove(repo, "/mnt/1", &why), -ENOENT);
	assert_string_equal(why, "no saved mount at /mnt/1");
	free(why);
	assert_int_equal(count_of(repo), 1);
}

static void limit_of_saved_mounts_refuses_one_more(void **state)
{
	const char *repo = *state;
	char point[32];

	for (int i = 0; i < SAVED_MOUNTS_MAX; i++) {
		snprintf(point, sizeof(point), "/mnt/%d", i);
		assert_int_equal(add(repo, "/ipfs/x", point, ""), 0);
	}
	assert_int_equal(add(repo, "/ipfs/x", "/mnt/more", ""), -EMFILE);
	assert_int_equal(add(repo, "/ipfs/y", "/mnt/0", ""), 0);
	assert_int_equal(count_of(repo), SAVED_MOUNTS_MAX);
}

static void texts_that_cannot_be_kept_are_refused(void **state)
{
	const char *repo = *state;
	char *many = xcalloc(1, PATH_MAX + 1);

	memset(many, 'x', PATH_MAX);
	assert_int_equal(add(repo, "/ipfs/x", "/mnt/\xff", ""), -EINVAL);
	assert_int_equal(add(repo, "/ipfs/x", "mnt", ""), -EINVAL);
	assert_int_equal(add(repo, "", "/mnt", ""), -EINVAL);
	assert_int_equal(add(repo, many, "/mnt", ""), -EINVAL);
	many[0] = '/';
	assert_int_equal(add(repo, "/ipfs/x", many, ""), -EINVAL);
	free(many);
	many = xcalloc(1, SAVED_OPTIONS_MAX + 2);
	memset(many, 'x', SAVED_OPTIONS_MAX + 1);
	assert_int_equal(add(repo, "/ipfs/x", "/mnt", many), -EINVAL);
	many[SAVED_OPTIONS_MAX] = 0;
	assert_int_equal(add(repo, "/ipfs/x", "/mnt", many), 0);
	assert_int_equal(count_of(repo), 1);
	free(many);
}

static void file_that_is_no_list_is_refused_and_kept(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[1]",
		"[{\"Source\":\"/ipfs/x\"}]",
		"[{\"Mountpoint\":\"mnt\"}]",
		"[{\"Mountpoint\":\"/a\",\"Options\":7}]",
		"[{\"Mountpoint\":\"/a\"},{\"Mountpoint\":\"/a\"}]",
		"[{\"Mountpoint\":\"/a\"}] x",
		"[{\"Mountpoint\":\"/a\",\"Mountpoint\":\"/b\"}]",
	};
	const char *repo = *state;
	char *file = repo_file(repo, "mounts.json");

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct saved_mounts list;
		char *why;

		assert_int_equal(put_file(file, bytes_str(texts[i]), 0600), 0);
		assert_int_equal(saved_mounts_read(repo, &list, &why), -EBADMSG);
		assert_int_equal(list.count, 0);
		assert_non_null(strstr(why, "mounts.json"));
		free(why);
		assert_int_equal(add(repo, "/ipfs/x", "/mnt", ""), -EBADMSG);
	}
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(saved_mounts_are_read_back_in_order, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(limit_of_saved_mounts_refuses_one_more, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(texts_that_cannot_be_kept_are_refused, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(file_that_is_no_list_is_refused_and_kept, make_dir,
						remove_dir),
	};

	return cmocka_run_group_tests_name("fs/saved_mounts", tests, NULL, NULL);
}

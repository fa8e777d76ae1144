/* fs/keystore.c: files of keys in a scratch repository. */
#include "fs/keystore.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[48];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/dagfs-test-keystore.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	struct keystore_entry *entries;
	char path[80];
	size_t count;

	(void)state;
	if (keystore_list(dir, &entries, &count))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (keystore_rm(dir, entries[i].name))
			return -1;
	keystore_list_free(entries, count);
	snprintf(path, sizeof path, "%s/keystore", dir);
	/* Nothing but keys was made. */
	return (access(path, F_OK) == 0 && rmdir(path)) || rmdir(dir);
}

static struct private_key *new_key(void)
{
	int err;
	struct private_key *key = private_key_new(KEY_ED25519, 0, &err);

	assert_non_null(key);
	return key;
}

static void put(const char *name)
{
	struct private_key *key = new_key();

	assert_int_equal(keystore_put(dir, name, key), 0);
	private_key_free(key);
}

static void key_is_found_by_its_name_alone(void **state)
{
	struct private_key *key = new_key(), *found;
	struct stat st;
	char path[80];

	(void)state;
	assert_int_equal(keystore_get(dir, "a", &found), -ENOENT);
	assert_int_equal(keystore_put(dir, "a", key), 0);
	assert_int_equal(keystore_put(dir, "a", key), -EEXIST);
	assert_int_equal(keystore_get(dir, "a", &found), 0);
	assert_true(bytes_equal(public_key_proto(private_key_public(key)),
				public_key_proto(private_key_public(found))));
	private_key_free(found);
	private_key_free(key);
	/* As Kubo names it, and for its owner alone. */
	snprintf(path, sizeof path, "%s/keystore/key_me", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(keystore_rm(dir, "a"), 0);
	assert_int_equal(keystore_rm(dir, "a"), -ENOENT);
}

static void names_of_any_bytes_stay_within_the_directory(void **state)
{
	static const char *const names[] = { "..",	   "../x", "/",	 "\xff\xfe",
					     "two\nlines", "Key",  "key" };
	char longest[KEY_NAME_MAX + 2];
	struct keystore_entry *entries;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		put(names[i]);
	memset(longest, 'x', sizeof longest);
	longest[KEY_NAME_MAX + 1] = 0;
	assert_int_equal(keystore_name_check(longest), -ENAMETOOLONG);
	longest[KEY_NAME_MAX] = 0;
	assert_int_equal(keystore_name_check(longest), 0);
	put(longest);
	assert_int_equal(keystore_name_check(""), -EINVAL);
	assert_int_equal(keystore_list(dir, &entries, &count), 0);
	assert_int_equal(count, ARRAY_LEN(names) + 1);
	for (size_t i = 1; i < count; i++)
		assert_true(strcmp(entries[i - 1].name, entries[i].name) < 0);
	keystore_list_free(entries, count);
}

static void rename_replaces_only_if_forced(void **state)
{
	struct private_key *found;
	bool replaced;

	(void)state;
	put("a");
	put("b");
	assert_int_equal(keystore_rename(dir, "c", "d", false, &replaced), -ENOENT);
	assert_int_equal(keystore_rename(dir, "a", "b", false, &replaced), -EEXIST);
	assert_int_equal(keystore_rename(dir, "a", "b", true, &replaced), 0);
	assert_true(replaced);
	assert_int_equal(keystore_get(dir, "a", &found), -ENOENT);
	assert_int_equal(keystore_rename(dir, "b", "c", false, &replaced), 0);
	assert_false(replaced);
}

static void damaged_file_is_told_and_can_be_removed(void **state)
{
	struct keystore_entry *entries;
	struct private_key *found;
	char path[80];
	size_t count;
	FILE *file;

	(void)state;
	put("a");
	snprintf(path, sizeof path, "%s/keystore/key_me", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("no key", file);
	fclose(file);
	assert_int_equal(keystore_get(dir, "a", &found), -EBADMSG);
	assert_int_equal(keystore_list(dir, &entries, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(entries[0].err, -EBADMSG);
	keystore_list_free(entries, count);
	assert_int_equal(keystore_rm(dir, "a"), 0);
}

#define KEYSTORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEYSTORE_TEST(key_is_found_by_its_name_alone),
		KEYSTORE_TEST(names_of_any_bytes_stay_within_the_directory),
		KEYSTORE_TEST(rename_replaces_only_if_forced),
		KEYSTORE_TEST(damaged_file_is_told_and_can_be_removed),
	};

	return cmocka_run_group_tests_name("fs/keystore", tests, NULL, NULL);
}

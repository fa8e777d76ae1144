#include "fs/put_file.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[48], file[64], beside[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/dagfs-test-put-file.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof file, "%s/file", dir);
	snprintf(beside, sizeof beside, "%s/file.new", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir); /* nothing is left beside */
}

static void assert_holds(const char *text)
{
	char found[64] = "";
	FILE *in = fopen(file, "r");

	assert_non_null(in);
	size_t len = fread(found, 1, sizeof found - 1, in);

	fclose(in);
	assert_int_equal(len, strlen(text));
	assert_string_equal(found, text);
}

static void new_file_has_the_given_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put_file(file, bytes_str("one"), 0600), 0);
	assert_holds("one");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void old_file_keeps_owner_and_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put_file(file, bytes_str("one"), 0600), 0);
	assert_int_equal(chmod(file, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(file, 65534, 65534), 0);
	assert_int_equal(put_file(file, bytes_str("two"), 0600), 0);
	assert_holds("two");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 65534 : geteuid());
}

static void failed_write_leaves_the_old_file(void **state)
{
	struct rlimit before, none = { 2, 0 };

	(void)state;
	assert_int_equal(put_file(file, bytes_str("one"), 0600), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	int err = put_file(file, bytes_str("another"), 0600);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(err, -EFBIG);
	assert_holds("one");
}

static void remains_of_a_killed_writer_are_replaced(void **state)
{
	(void)state;
	int fd = open(beside, O_WRONLY | O_CREAT, 0400);

	assert_int_equal(write(fd, "half", 4), 4);
	close(fd);
	assert_int_equal(put_file(file, bytes_str("whole"), 0600), 0);
	assert_holds("whole");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(new_file_has_the_given_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(old_file_keeps_owner_and_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_write_leaves_the_old_file, setup, teardown),
		cmocka_unit_test_setup_teardown(remains_of_a_killed_writer_are_replaced, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

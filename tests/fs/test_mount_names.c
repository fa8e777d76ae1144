/* Changing names and attributes through a real mount, over a small tree in memory. */
#include "tests/fs/written_mount.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- names ---- */

static void directories_and_symlinks_come_and_go(void **state)
{
	struct fixture *f = *state;
	char target[16] = { 0 }, names[256];

	start(f, "rw");
	umask(022);
	OK(mkdir(IN(f->m, "d"), 0777));
	assert_int_equal(stat_of(f, "d").st_mode, S_IFDIR | 0755);
	put_file_text(f, "d/x", "1");
	OK(symlink("d/x", IN(f->m, "l")));
	assert_text(f->m, "l", "1");
	assert_int_equal(readlink(IN(f->m, "l"), target, sizeof target), 3);
	assert_string_equal(target, "d/x");
	FAILS(EEXIST, mkdir(IN(f->m, "d"), 0777));
	FAILS(ENOTEMPTY, rmdir(IN(f->m, "d")));
	FAILS(EISDIR, unlink(IN(f->m, "d")));
	FAILS(ENOTDIR, rmdir(IN(f->m, "d/x")));
	FAILS(EEXIST, symlink("y", IN(f->m, "l")));
	OK(unlink(IN(f->m, "d/x")));
	OK(rmdir(IN(f->m, "d")));
	assert_string_equal(names_of(f, "", names), "l ");
	assert_int_equal(stat_errno(f->m, "d"), ENOENT);
	OK(mkdir(IN(f->m, "d"), 0700));
	OK(mknod(IN(f->m, "d/plain"), S_IFREG | 0600, 0));
	assert_int_equal(stat_of(f, "d/plain").st_mode, S_IFREG | 0600);
}

static int rename2(struct fixture *f, const char *from, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, IN(f->m, from), AT_FDCWD, IN(f->m, to), flags);
}

static void rename_heeds_its_flags(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	put_file_text(f, "a", "1");
	put_file_text(f, "b", "2");
	OK(mkdir(IN(f->m, "d"), 0755));
	FAILS(EEXIST, rename2(f, "a", "b", RENAME_NOREPLACE));
	OK(rename2(f, "a", "b", RENAME_EXCHANGE));
	assert_text(f->m, "a", "2");
	assert_text(f->m, "b", "1");
	OK(rename2(f, "a", "d", RENAME_EXCHANGE));
	assert_text(f->m, "d", "2");
	OK(rename2(f, "d", "a/x", RENAME_NOREPLACE));
	assert_text(f->m, "a/x", "2");
	OK(rename2(f, "b", "a/x", 0));
	assert_text(f->m, "a/x", "1");
	assert_int_equal(stat_errno(f->m, "b"), ENOENT);
	FAILS(ENOENT, rename2(f, "b", "c", 0));
	FAILS(EINVAL, rename2(f, "a/x", "c", RENAME_WHITEOUT));
	FAILS(EINVAL, rename2(f, "a", "a/y", 0));
	OK(mkdir(IN(f->m, "e"), 0755));
	FAILS(ENOTEMPTY, rename2(f, "e", "a", 0));
	OK(rename2(f, "a", "e", 0));
	assert_text(f->m, "e/x", "1");
}

static void too_long_names_are_refused(void **state)
{
	struct fixture *f = *state;
	char name[257];

	memset(name, 'n', 256);
	name[256] = 0;
	start(f, "rw");
	FAILS(ENAMETOOLONG, mkdir(IN(f->m, name), 0755));
	FAILS(ENAMETOOLONG, open(IN(f->m, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	FAILS(ENAMETOOLONG, symlink("x", IN(f->m, name)));
	name[255] = 0;
	OK(mkdir(IN(f->m, name), 0755));
	OK(rename(IN(f->m, name), IN(f->m, "short")));
	name[255] = 'n';
	FAILS(ENAMETOOLONG, rename(IN(f->m, "short"), IN(f->m, name)));
}

/* A listing under way tells each name that stays once. */
static void listing_goes_on_while_names_change(void **state)
{
	struct fixture *f = *state;
	unsigned seen[200] = { 0 };
	char name[16];

	start(f, "rw");
	OK(mkdir(IN(f->m, "d"), 0755));
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "d/%u", i);
		put_file_text(f, name, "");
	}
	DIR *dir = opendir(IN(f->m, "d"));
	struct dirent *entry;
	unsigned told = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		unsigned i = (unsigned)atoi(entry->d_name);

		assert_true(i < 200);
		seen[i]++;
		snprintf(name, sizeof name, "d/%u", i);
		if (++told % 2 == 0)
			OK(unlink(IN(f->m, name)));
	}
	closedir(dir);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(seen[i], 1);
	char names[256];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "d/%u", i);
		unlink(IN(f->m, name));
	}
	assert_string_equal(names_of(f, "d", names), "");
}

/* ---- attributes ---- */

static void modes_and_times_are_set(void **state)
{
	struct fixture *f = *state;
	const struct timespec times[] = { { 5, 0 }, { 1234567890, 987654321 } };
	const struct timespec skip[] = { { 7, 0 }, { 0, UTIME_OMIT } };
	const struct timespec now[] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

	start(f, "rw,suid");
	put_file_text(f, "a", "1");
	OK(chmod(IN(f->m, "a"), 04751));
	assert_int_equal(stat_of(f, "a").st_mode, S_IFREG | 04751);
	OK(utimensat(AT_FDCWD, IN(f->m, "a"), times, 0));
	assert_int_equal(stat_of(f, "a").st_mtim.tv_sec, 1234567890);
	assert_int_equal(stat_of(f, "a").st_mtim.tv_nsec, 987654321);
	OK(utimensat(AT_FDCWD, IN(f->m, "a"), skip, 0));
	assert_int_equal(stat_of(f, "a").st_mtim.tv_sec, 1234567890);
	int fd = opened(f, "a", O_WRONLY);

	assert_int_equal(write(fd, "2", 1), 1);
	assert_true(stat_of(f, "a").st_mtim.tv_sec > 1234567890);
	OK(futimens(fd, times));
	OK(close(fd));
	assert_int_equal(stat_of(f, "a").st_mtim.tv_sec, 1234567890);
	OK(utimensat(AT_FDCWD, IN(f->m, "a"), now, 0));
	assert_true(stat_of(f, "a").st_mtim.tv_sec > 1234567890);
	assert_int_equal(stat_of(f, "a").st_nlink, 1);
}

static void owner_is_who_mounted(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	put_file_text(f, "a", "1");
	OK(chown(IN(f->m, "a"), getuid(), getgid()));
	OK(chown(IN(f->m, "a"), (uid_t)-1, (gid_t)-1));
	FAILS(EPERM, chown(IN(f->m, "a"), getuid() + 1, (gid_t)-1));
	FAILS(EPERM, chown(IN(f->m, "a"), (uid_t)-1, getgid() + 1));
	assert_int_equal(stat_of(f, "a").st_uid, getuid());
}

static void quiet_changes_no_owner_and_no_complaint(void **state)
{
	struct fixture *f = *state;

	start(f, "rw,quiet");
	put_file_text(f, "a", "1");
	OK(chown(IN(f->m, "a"), getuid() + 1, getgid() + 1));
	assert_int_equal(stat_of(f, "a").st_uid, getuid());
}

/* What a process without the right to keep them does. */
static int write_without_fsetid(const char *path)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || syscall(SYS_capget, &header, caps))
			_exit(2);
		caps[0].effective &= ~(1u << CAP_FSETID);
		if (syscall(SYS_capset, &header, caps) || write(fd, "x", 1) != 1)
			_exit(3);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void writing_takes_the_set_id_bits(void **state)
{
	struct fixture *f = *state;

	start(f, "rw,suid");
	put_file_text(f, "a", "1");
	OK(chmod(IN(f->m, "a"), 06755));
	assert_int_equal(write_without_fsetid(IN(f->m, "a")), 0);
	assert_int_equal(stat_of(f, "a").st_mode, S_IFREG | 0755);
	OK(chmod(IN(f->m, "a"), 06755));
	OK(chown(IN(f->m, "a"), getuid(), getgid()));
	assert_int_equal(stat_of(f, "a").st_mode, S_IFREG | 0755);
}

static void attributes_of_users_are_kept(void **state)
{
	struct fixture *f = *state;
	char value[TREE_XATTRS_MAX + 1] = { 0 };

	start(f, "rw");
	put_file_text(f, "a", "1");
	const char *path = IN(f->m, "a");

	OK(setxattr(path, "user.one", "1", 1, XATTR_CREATE));
	FAILS(EEXIST, setxattr(path, "user.one", "2", 1, XATTR_CREATE));
	FAILS(ENODATA, setxattr(path, "user.two", "2", 1, XATTR_REPLACE));
	OK(setxattr(path, "user.empty", "", 0, 0));
	assert_int_equal(getxattr(path, "user.one", value, sizeof value), 1);
	assert_int_equal(value[0], '1');
	assert_int_equal(getxattr(path, "user.empty", value, sizeof value), 0);
	assert_int_equal(listxattr(path, value, sizeof value), 20);
	assert_memory_equal(value, "user.one\0user.empty", 20);
	FAILS(ERANGE, listxattr(path, value, 5));
	OK(removexattr(path, "user.one"));
	FAILS(ENODATA, removexattr(path, "user.one"));
	FAILS(ENODATA, getxattr(path, "user.one", value, sizeof value));
	FAILS(ENOSPC, setxattr(path, "user.large", value, sizeof value, 0));
	FAILS(EPERM, setxattr(path, "user.ipfs.cid", "x", 1, 0));
	FAILS(EOPNOTSUPP, setxattr(path, "trusted.x", "x", 1, 0));
	FAILS(EOPNOTSUPP, getxattr(path, "security.selinux", value, sizeof value));
	FAILS(EOPNOTSUPP, setxattr(path, "system.posix_acl_access", "\2\0\0\0", 4, 0));
}

static void what_no_tree_can_hold_is_refused(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	put_file_text(f, "a", "1");
	FAILS(EPERM, link(IN(f->m, "a"), IN(f->m, "b")));
	FAILS(EPERM, mkfifo(IN(f->m, "p"), 0644));
	FAILS(EPERM, mknod(IN(f->m, "s"), S_IFSOCK | 0644, 0));
	FAILS(EOPNOTSUPP, open(f->m->point, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644));
	put_file_text(f, "c", "still served");
	assert_text(f->m, "c", "still served");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(directories_and_symlinks_come_and_go),
		WITH(rename_heeds_its_flags),
		WITH(too_long_names_are_refused),
		WITH(listing_goes_on_while_names_change),
		WITH(modes_and_times_are_set),
		WITH(owner_is_who_mounted),
		WITH(quiet_changes_no_owner_and_no_complaint),
		WITH(writing_takes_the_set_id_bits),
		WITH(attributes_of_users_are_kept),
		WITH(what_no_tree_can_hold_is_refused),
	};

	return cmocka_run_group_tests_name("fs/mount/names", tests, NULL, NULL);
}

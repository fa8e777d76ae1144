/* Real mounts of what is stored here. */
#include "tests/fs/mounted.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define LEAF 65536
#define LEAVES 40

static struct cid put_link(struct blocks *blocks, const char *target)
{
	struct unixfs unixfs = { .type = UNIXFS_SYMLINK,
				 .has_data = true,
				 .data = bytes_str(target) };

	return put_unixfs(blocks, NULL, 0, &unixfs);
}

/* a, big, cbor, empty/, link -> a, sub/{a, empty/} */
static struct cid make_tree(struct blocks *blocks)
{
	struct child sub[] = {
		{ "a", put_text(blocks, "alpha") },
		{ "empty", put_dir(blocks, NULL, 0) },
	};
	struct child top[] = {
		{ "a", sub[0].cid },
		{ "big", put_file(blocks, LEAVES, LEAF) },
		{ "cbor", put(blocks, CODEC_DAG_CBOR, bytes_of("\xa0", 1)) },
		{ "empty", sub[1].cid },
		{ "link", put_link(blocks, "a") },
		{ "sub", put_dir(blocks, sub, ARRAY_LEN(sub)) },
	};

	return put_dir(blocks, top, ARRAY_LEN(top));
}

static unsigned count_names(const char *dir)
{
	DIR *open = opendir(dir);
	unsigned count = 0;

	assert_non_null(open);
	errno = 0;
	while (readdir(open))
		count++;
	assert_int_equal(errno, 0);
	closedir(open);
	return count;
}

static void a_tree_reads_as_it_is(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);
	struct stat a, b;
	char target[8] = { 0 };

	mounted_start(m, &root, 0, false);
	assert_int_equal(count_names(m->point), 2 + 6);
	assert_int_equal(count_names(IN(m, "empty")), 2);
	assert_text(m, "a", "alpha");
	assert_text(m, "link", "alpha");
	assert_text(m, "sub/a", "alpha");
	assert_text(m, "cbor", "\xa0");
	assert_int_equal(readlink(IN(m, "link"), target, sizeof target), 1);
	assert_int_equal(stat(IN(m, "a"), &a), 0);
	assert_int_equal(stat(IN(m, "sub/a"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_mode, S_IFREG | 0444);
	assert_int_equal(stat(IN(m, "empty"), &a), 0);
	assert_int_equal(stat(IN(m, "sub/empty"), &b), 0);
	assert_int_not_equal(a.st_ino, b.st_ino);
	assert_int_equal(stat(m->point, &a), 0);
	assert_int_equal(stat(IN(m, "sub/.."), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
}

/* Also where a child came only after the listing. */
static void listed_numbers_are_those_of_stat(void **state)
{
	struct mounted *m = *state;
	const struct child below = { "small", put_text(m->far_blocks, "alpha") };
	struct child top[] = {
		{ "big", put_file(m->far_blocks, 3, 10) },
		{ "dir", put_dir(m->far_blocks, &below, 1) },
		{ "link", put_link(m->far_blocks, "small") },
		{ "local", put_dir(m->blocks, NULL, 0) },
		{ "small", below.cid },
	};
	struct cid root = put_dir(m->blocks, top, ARRAY_LEN(top));
	ino_t listed[ARRAY_LEN(top)];
	struct dirent *entry;
	struct stat st;
	unsigned count = 0;

	mounted_start(m, &root, 0, false);
	atomic_store(&m->far->silent, true);
	DIR *open = opendir(m->point);

	assert_non_null(open);
	while ((entry = readdir(open)))
		for (size_t i = 0; i < ARRAY_LEN(top); i++)
			if (strcmp(entry->d_name, top[i].name) == 0) {
				listed[i] = entry->d_ino;
				count++;
			}
	closedir(open);
	atomic_store(&m->far->silent, false);
	assert_int_equal(count, ARRAY_LEN(top));
	for (size_t i = 0; i < ARRAY_LEN(top); i++) {
		assert_int_equal(lstat(IN(m, top[i].name), &st), 0);
		assert_int_equal(st.st_ino, listed[i]);
		assert_int_equal(st.st_nlink, 1);
	}
}

static void nothing_can_be_written(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);

	mounted_start(m, &root, 0, false);
	assert_int_equal(stat_errno(m, "none"), ENOENT);
	assert_int_equal(stat_errno(m, "none"), ENOENT);
	assert_int_equal(stat_errno(m, "a/none"), ENOTDIR);
	assert_true(open(IN(m, "a"), O_WRONLY) < 0 && errno == EROFS);
	assert_true(open(IN(m, "new"), O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
	assert_true(mkdir(IN(m, "new"), 0700) < 0 && errno == EROFS);
	assert_true(unlink(IN(m, "a")) < 0 && errno == EROFS);
	assert_true(chmod(IN(m, "a"), 0600) < 0 && errno == EROFS);
	assert_true(setxattr(IN(m, "a"), "user.x", "y", 1, 0) < 0 && errno == EROFS);
}

static void bytes_of_large_files_are_right(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);
	uint64_t size = (uint64_t)LEAVES * LEAF, starts[] = { 0, LEAF - 1, size / 2 + 7, size - 3 };
	uint8_t got[5];

	mounted_start(m, &root, 0, false);
	int fd = open(IN(m, "big"), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		ssize_t len = pread(fd, got, sizeof got, (off_t)starts[i]);

		assert_int_equal(len,
				 starts[i] + sizeof got > size ? size - starts[i] : sizeof got);
		for (ssize_t k = 0; k < len; k++)
			assert_int_equal(got[k], file_byte(starts[i] + (uint64_t)k));
	}
	assert_int_equal(pread(fd, got, sizeof got, (off_t)size), 0);
	const uint8_t *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	for (uint64_t i = 0; i < size; i++)
		if (map[i] != file_byte(i))
			fail_msg("byte %llu", (unsigned long long)i);
	munmap((void *)map, size);
	close(fd);
}

static void long_names_are_too_long(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);
	static const char *const folders[] = { "", "ipfs/", "sub/" };
	char name[300];

	for (int tree = 0; tree < 2; tree++) {
		mounted_start(m, tree ? &root : NULL, 0, true);
		for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
			if (stat_errno(m, folders[i]))
				continue;
			int len = snprintf(name, sizeof name, "%s%0255d", folders[i], 0);

			assert_int_equal(stat_errno(m, name), ENOENT);
			strcpy(name + len, "0");
			assert_int_equal(stat_errno(m, name), ENAMETOOLONG);
		}
		mounted_stop(m, false);
	}
}

static void attributes_tell_of_blocks(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);
	char value[CID_TEXT_MAX] = { 0 }, text[CID_TEXT_MAX];
	struct statvfs fs;

	mounted_start(m, &root, 0, false);
	assert_int_equal(getxattr(m->point, "user.ipfs.cid", NULL, 0),
			 strlen(cid_text(&root, text)));
	assert_int_equal(getxattr(m->point, "ipfs.cid", value, 5), -1);
	assert_int_equal(errno, ERANGE);
	assert_true(getxattr(m->point, "ipfs.cid", value, sizeof value) > 0);
	assert_string_equal(value, text);
	memset(value, 0, sizeof value);
	assert_true(getxattr(IN(m, "big"), "user.dagfs.local_blocks", value, sizeof value) > 0);
	assert_string_equal(value, "41");
	assert_true(getxattr(IN(m, "big"), "user.dagfs.blocks", value, sizeof value) > 0);
	assert_string_equal(value, "41");
	memset(value, 0, sizeof value);
	assert_true(getxattr(IN(m, "big"), "user.dagfs.pinned", value, sizeof value) > 0);
	assert_string_equal(value, "no");
	assert_int_equal(getxattr(m->point, "user.other", value, sizeof value), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(statvfs(m->point, &fs), 0);
	assert_int_equal(fs.f_namemax, 255);
	assert_true(fs.f_flag & ST_RDONLY);
}

static void assert_no_attribute(const char *path, const char *name, int want)
{
	char value[8];

	assert_int_equal(lgetxattr(path, name, value, sizeof value), -1);
	if (errno != want)
		fail_msg("%s: %s", name, strerror(errno));
}

static void attributes_of_others_are_not_supported(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);
	const char *names[] = { "security.capability", "security.selinux", "trusted.overlay.opaque",
				"system.posix_acl_access", "com.apple.FinderInfo" };
	char value[8];

	mounted_start(m, &root, 0, false);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_no_attribute(m->point, names[i], EOPNOTSUPP);
		assert_no_attribute(IN(m, "a"), names[i], EOPNOTSUPP);
		assert_no_attribute(IN(m, "link"), names[i], EOPNOTSUPP);
	}
	assert_no_attribute(IN(m, "a"), "user.other", ENODATA);
	/* Nothing is listed: what is listed is copied. */
	assert_int_equal(listxattr(m->point, NULL, 0), 0);
	assert_int_equal(listxattr(IN(m, "a"), value, sizeof value), 0);
	assert_int_equal(llistxattr(IN(m, "link"), value, sizeof value), 0);
	assert_true(lgetxattr(IN(m, "link"), "ipfs.cid", NULL, 0) > 0);
}

static void broken_children_do_not_hide_the_others(void **state)
{
	struct mounted *m = *state;
	struct cid gone;

	assert_int_equal(cid_of_data(&gone, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("gone")), 0);
	struct child top[] = {
		{ "bad", put(m->blocks, CODEC_DAG_PB, bytes_str("\xff\xff")) },
		{ "gone", gone },
		{ "ok", put_text(m->blocks, "fine") },
	};
	struct cid root = put_dir(m->blocks, top, ARRAY_LEN(top));

	mounted_start(m, &root, 0, true);
	assert_int_equal(count_names(m->point), 2 + 3);
	assert_int_equal(stat_errno(m, "bad"), EIO);
	assert_int_equal(stat_errno(m, "gone"), EHOSTUNREACH);
	assert_int_equal(stat_errno(m, "none"), ENOENT);
	assert_text(m, "ok", "fine");
	put_text(m->blocks, "gone"); /* it came after all */
	assert_text(m, "gone", "gone");
}

static void the_namespace_shows_any_root(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks), gone;
	char text[CID_TEXT_MAX], path[400];

	assert_int_equal(cid_of_data(&gone, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("gone")), 0);
	mounted_start(m, NULL, 0, true);
	assert_int_equal(count_names(m->point), 2 + 1);
	assert_int_equal(count_names(IN(m, "ipfs")), 2);
	snprintf(path, sizeof path, "ipfs/%s/sub/a", cid_text(&root, text));
	assert_text(m, path, "alpha");
	snprintf(path, sizeof path, "ipfs/%s", cid_text(&gone, text));
	assert_int_equal(stat_errno(m, path), EHOSTUNREACH);
	assert_int_equal(stat_errno(m, "ipfs/nonsense"), ENOENT);
	assert_int_equal(stat_errno(m, "other"), ENOENT);
	put_text(m->blocks, "gone");
	assert_text(m, path, "gone");
}

static void large_directories_are_whole(void **state)
{
	struct mounted *m = *state;
	enum { COUNT = 3000 };
	struct child *children = xcalloc(COUNT, sizeof *children);
	char(*names)[16] = xcalloc(COUNT, sizeof *names);

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof names[i], "f%04u", i);
		children[i] = (struct child){ names[i], put_text(m->blocks, names[i]) };
	}
	struct cid root = put_dir(m->blocks, children, COUNT);

	free(children);
	mounted_start(m, &root, 0, false);
	assert_int_equal(count_names(m->point), COUNT + 2);
	for (unsigned i = 0; i < COUNT; i += 7)
		assert_text(m, names[i], names[i]);
	free(names);
}

/* ---- mounting and unmounting ---- */

static void assert_refused(struct mounted *m, const char *point, struct store *store, int want)
{
	struct mount_config config = { .mountpoint = point };
	struct mount *mount;
	char *why = NULL;

	assert_int_equal(mount_start(&config, store, NULL, NULL, NULL, m, &mount, &why), want);
	assert_non_null(why);
	free(why);
}

static void unfit_mountpoints_are_refused(void **state)
{
	struct mounted *m = *state;
	char file[64];

	assert_refused(m, IN(m, "none"), m->local, -ENOENT);
	snprintf(file, sizeof file, "%s/file", m->dir);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	assert_refused(m, file, m->local, -ENOTDIR);
	unlink(file);
	mounted_start(m, NULL, 0, true);
	assert_refused(m, m->point, m->local, -EBUSY);
}

static void directories_with_entries_need_nonempty(void **state)
{
	struct mounted *m = *state;
	char file[64];

	snprintf(file, sizeof file, "%s/file", m->point);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	assert_refused(m, m->point, m->local, -ENOTEMPTY);
	m->options = "nonempty";
	mounted_start(m, NULL, 0, true);
	assert_int_equal(stat_errno(m, "file"), ENOENT);
	mounted_stop(m, false);
	assert_int_equal(unlink(file), 0);
}

static void options_work_or_are_refused_by_name(void **state)
{
	struct mounted *m = *state;
	static const char *const refused[] = { "rw",
					       "max_read=4095",
					       "max_read=1048577",
					       "max_read=",
					       "max_read=4096k",
					       "unheard_of",
					       "blkdev",
					       "fd=3" };
	struct cid root = make_tree(m->blocks);

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct mount_config config = { .mountpoint = m->point, .options = refused[i] };
		char name[32], *why = NULL;
		struct mount *mount;

		assert_true(mount_start(&config, m->local, NULL, NULL, NULL, m, &mount, &why) < 0);
		snprintf(name, sizeof name, " %s", refused[i]);
		if (!strstr(why, name))
			fail_msg("%s: %s", refused[i], why);
		free(why);
	}
	m->options = "ro,,noexec,max_read=8192,max_read=4096";
	mounted_start(m, &root, 0, false);
	struct statvfs fs;
	uint8_t got[10000];

	assert_int_equal(statvfs(m->point, &fs), 0);
	assert_true(fs.f_flag & ST_NOEXEC && fs.f_flag & ST_NOSUID && fs.f_flag & ST_RDONLY);
	int fd = open(IN(m, "big"), O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, got, sizeof got), sizeof got);
	for (size_t i = 0; i < sizeof got; i++)
		assert_int_equal(got[i], file_byte(i));
	close(fd);
}

static void set_id_bits_are_shown_when_asked_for(void **state)
{
	struct mounted *m = *state;
	struct unixfs unixfs = { .type = UNIXFS_FILE, .mode = 06755 },
		      dir = { .type = UNIXFS_DIRECTORY, .mode = 03755 };
	struct child top[] = {
		{ "dir", put_unixfs(m->blocks, NULL, 0, &dir) },
		{ "file", put_unixfs(m->blocks, NULL, 0, &unixfs) },
	};
	struct cid root = put_dir(m->blocks, top, ARRAY_LEN(top));
	struct stat st;

	mounted_start(m, &root, 0, false);
	assert_int_equal(stat(IN(m, "file"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	assert_int_equal(stat(IN(m, "dir"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | S_ISVTX | 0755);
	mounted_stop(m, false);
	m->options = "suid";
	mounted_start(m, &root, 0, false);
	assert_int_equal(stat(IN(m, "file"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	assert_int_equal(stat(IN(m, "dir"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 03755);
}

static void the_store_is_not_mounted_over(void **state)
{
	struct mounted *m = *state;
	struct store_config config = { .map_bytes = 1 << 20, .no_sync = true };
	struct store *store;
	char command[128];

	assert_int_equal(store_open_lmdb(IN(m, "store"), &config, &store), 0);
	assert_refused(m, m->point, store, -EINVAL);
	assert_refused(m, m->dir, store, -EINVAL);
	store_close(store);
	snprintf(command, sizeof command, "rm -r %s/store", m->point);
	assert_int_equal(system(command), 0);
}

static void files_and_absent_roots_are_refused(void **state)
{
	struct mounted *m = *state;
	struct mount_config config = { .mountpoint = m->point,
				       .root = put_text(m->blocks, "a file") };
	struct mount *mount;
	char *why = NULL;

	assert_int_equal(mount_start(&config, m->local, NULL, NULL, NULL, m, &mount, &why),
			 -ENOTDIR);
	free(why);
	assert_int_equal(cid_of_data(&config.root, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("?")), 0);
	assert_int_equal(mount_start(&config, m->local, NULL, NULL, NULL, m, &mount, &why),
			 -EHOSTUNREACH);
	free(why);
}

static void busy_mounts_stay_unless_forced(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);

	mounted_start(m, &root, 0, false);
	int fd = open(IN(m, "a"), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(mount_stop(m->mount, false), -EBUSY);
	assert_text(m, "sub/a", "alpha");
	mounted_stop(m, true);
	assert_int_equal(stat_errno(m, "a"), ENOENT);
	close(fd);
	assert_int_equal(m->ended, 0);
}

static void unmounting_from_outside_is_told(void **state)
{
	struct mounted *m = *state;

	mounted_start(m, NULL, 0, false);
	assert_int_equal(umount2(m->point, 0), 0);
	while (!atomic_load(&m->ended))
		sched_yield();
	mounted_stop(m, false);
	assert_int_equal(m->ended, 1);
	mounted_start(m, NULL, 0, false);
	mounted_stop(m, false);
	assert_int_equal(m->ended, 1);
}

/* A process that was killed leaves a dead mount behind. */
static void lazily_unmounted_is_told_while_in_use(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m->blocks);
	char got[5];

	mounted_start(m, &root, 0, false);
	int fd = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct mount *detached = m->mount;

	assert_true(fd >= 0);
	assert_int_equal(umount2(m->point, MNT_DETACH), 0);
	while (!atomic_load(&m->detached))
		sched_yield();
	assert_int_equal(m->ended, 0);
	/* Another one at its place outlives it, and meanwhile what is in use is served. */
	mounted_start(m, &root, 0, false);
	int below = openat(fd, "sub/a", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(below, got, sizeof got), sizeof got);
	assert_memory_equal(got, "alpha", sizeof got);
	close(below);
	assert_int_equal(mount_stop(detached, true), 0);
	assert_int_equal(faccessat(fd, "none", F_OK, 0), -1);
	assert_int_equal(errno, ENOTCONN);
	close(fd);
	assert_text(m, "sub/a", "alpha");
	assert_int_equal(m->detached, 1);
}

static void detached_mounts_end_with_their_last_user(void **state)
{
	struct mounted *m = *state;

	mounted_start(m, NULL, 0, false);
	int fd = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(umount2(m->point, MNT_DETACH), 0);
	while (!atomic_load(&m->detached))
		sched_yield();
	close(fd);
	while (!atomic_load(&m->ended))
		sched_yield();
	mounted_stop(m, false);
}

static void dead_mounts_are_taken_away(void **state)
{
	struct mounted *m = *state;
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		mounted_start(m, NULL, 0, false);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(stat_errno(m, "ipfs"), ENOTCONN);
	mounted_start(m, NULL, 0, false);
	assert_int_equal(stat_errno(m, "ipfs"), 0);
}

#define MOUNT_TEST(name) cmocka_unit_test_setup_teardown(name, mounted_setup, mounted_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(a_tree_reads_as_it_is),
		MOUNT_TEST(listed_numbers_are_those_of_stat),
		MOUNT_TEST(nothing_can_be_written),
		MOUNT_TEST(bytes_of_large_files_are_right),
		MOUNT_TEST(long_names_are_too_long),
		MOUNT_TEST(attributes_tell_of_blocks),
		MOUNT_TEST(attributes_of_others_are_not_supported),
		MOUNT_TEST(broken_children_do_not_hide_the_others),
		MOUNT_TEST(the_namespace_shows_any_root),
		MOUNT_TEST(large_directories_are_whole),
		MOUNT_TEST(unfit_mountpoints_are_refused),
		MOUNT_TEST(directories_with_entries_need_nonempty),
		MOUNT_TEST(options_work_or_are_refused_by_name),
		MOUNT_TEST(set_id_bits_are_shown_when_asked_for),
		MOUNT_TEST(the_store_is_not_mounted_over),
		MOUNT_TEST(files_and_absent_roots_are_refused),
		MOUNT_TEST(busy_mounts_stay_unless_forced),
		MOUNT_TEST(unmounting_from_outside_is_told),
		MOUNT_TEST(lazily_unmounted_is_told_while_in_use),
		MOUNT_TEST(detached_mounts_end_with_their_last_user),
		MOUNT_TEST(dead_mounts_are_taken_away),
	};

	return cmocka_run_group_tests_name("fs/mount", tests, NULL, NULL);
}

/* Writing through a real mount, over a small tree in memory: bytes, what lasts, writers that wait,
 * and trees beside each other. */
#include "tests/fs/written_mount.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define WRITERS                                                                                    \
	64 /* more than may wait on threads of the mount at once, with others still served */

/* ---- bytes ---- */

static void written_bytes_are_read_through_another_descriptor(void **state)
{
	struct fixture *f = *state;
	char got[16] = { 0 };

	start(f, "rw");
	int fd = opened(f, "a", O_CREAT | O_EXCL | O_RDWR), other = opened(f, "a", O_RDONLY);

	assert_int_equal(pwrite(fd, "first", 5, 0), 5);
	assert_int_equal(pread(other, got, sizeof got, 0), 5);
	assert_string_equal(got, "first");
	assert_int_equal(pwrite(fd, "F", 1, 0), 1);
	assert_int_equal(pwrite(fd, "!", 1, 7), 1);
	assert_int_equal(pread(other, got, sizeof got, 0), 8);
	assert_memory_equal(got, "First\0\0!", 8);
	assert_int_equal(stat_of(f, "a").st_size, 8);
	close(other);
	OK(close(fd));
	FAILS(EEXIST, open(IN(f->m, "a"), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644));
}

static void appended_bytes_follow_each_other(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	int one = opened(f, "a", O_CREAT | O_WRONLY | O_APPEND);
	int other = opened(f, "a", O_WRONLY | O_APPEND);

	assert_int_equal(write(one, "1", 1), 1);
	assert_int_equal(write(other, "22", 2), 2);
	assert_int_equal(pwrite(one, "3", 1, 0), 1);
	/* The tree's end counts, whatever the kernel thinks it is. */
	buf_add_u8(&written(f)->nodes[1].data, 'x');
	assert_int_equal(write(one, "4", 1), 1);
	assert_int_equal(written(f)->nodes[1].data.len, 6);
	assert_memory_equal(written(f)->nodes[1].data.at, "1223x4", 6);
	close(one);
	close(other);
}

static void opening_with_trunc_empties_in_one_step(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	put_file_text(f, "a", "a long text");
	int reader = opened(f, "a", O_RDONLY);
	char got[16];

	put_file_text(f, "a", "new");
	assert_int_equal(pread(reader, got, sizeof got, 0), 3);
	close(reader);
	assert_text(f->m, "a", "new");
	OK(truncate(IN(f->m, "a"), 1));
	assert_text(f->m, "a", "n");
	OK(truncate(IN(f->m, "a"), 4097));
	assert_int_equal(stat_of(f, "a").st_size, 4097);
	FAILS(EFBIG, truncate(IN(f->m, "a"), (off_t)WRITTEN_FILE_MAX + 1));
}

static void large_writes_arrive_whole(void **state)
{
	struct fixture *f = *state;
	size_t len = (size_t)(3 << 20) + 17;
	uint8_t *data = xcalloc(1, len), *got = xcalloc(1, len);

	start(f, "rw");
	for (size_t i = 0; i < len; i++)
		data[i] = file_byte(i);
	int fd = opened(f, "a", O_CREAT | O_RDWR);

	assert_int_equal(write(fd, data, len), len);
	OK(close(fd));
	assert_int_equal(written(f)->nodes[1].data.len, len);
	assert_memory_equal(written(f)->nodes[1].data.at, data, len);
	fd = opened(f, "a", O_RDONLY);
	assert_int_equal(read(fd, got, len), len);
	assert_memory_equal(got, data, len);
	close(fd);
	free(data);
	free(got);
}

static void shared_mapping_is_written_at_msync(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	int fd = opened(f, "a", O_CREAT | O_RDWR);

	OK(ftruncate(fd, 8192));
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	memcpy(map + 4090, "across pages", 12);
	OK(msync(map, 8192, MS_SYNC));
	assert_memory_equal(written(f)->nodes[1].data.at + 4090, "across pages", 12);
	memcpy(map, "late", 4);
	OK(munmap(map, 8192));
	OK(close(fd));
	fd = opened(f, "a", O_RDONLY);
	char got[4];

	assert_int_equal(read(fd, got, 4), 4);
	assert_memory_equal(got, "late", 4);
	close(fd);
}

/* A mapping of a file opened to append has its places all the same. */
static void mapping_of_an_appended_file_keeps_its_place(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	put_file_text(f, "a", "0123456789");
	int fd = opened(f, "a", O_RDWR | O_APPEND);
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	map[0] = 'x';
	OK(msync(map, 4096, MS_SYNC));
	OK(munmap(map, 4096));
	OK(close(fd));
	assert_text(f->m, "a", "x123456789");
}

static void unlinked_file_lives_while_it_is_open(void **state)
{
	struct fixture *f = *state;
	char got[16] = { 0 };
	struct stat st;

	start(f, "rw");
	put_file_text(f, "a", "kept");
	int fd = opened(f, "a", O_RDWR);

	OK(unlink(IN(f->m, "a")));
	put_file_text(f, "a", "another");
	assert_int_equal(pwrite(fd, "K", 1, 0), 1);
	OK(fsync(fd));
	assert_int_equal(pread(fd, got, sizeof got, 0), 4);
	assert_string_equal(got, "Kept");
	OK(fstat(fd, &st));
	assert_int_equal(st.st_size, 4);
	OK(ftruncate(fd, 2));
	OK(close(fd));
	assert_text(f->m, "a", "another");
}

static void holes_are_punched_found_and_filled(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	int fd = opened(f, "a", O_CREAT | O_RDWR);
	char data[16384];

	memset(data, 'x', sizeof data);
	assert_int_equal(write(fd, data, sizeof data), sizeof data);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 16384);
	FAILS(ENXIO, lseek(fd, 16384, SEEK_DATA));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 4096);
	assert_int_equal(lseek(fd, 4096, SEEK_DATA), 12288);
	assert_int_equal(pread(fd, data, 4096, 4096), 4096);
	assert_int_equal(data[0], 0);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 20000));
	assert_int_equal(lseek(fd, 0, SEEK_END), 20000);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 30000));
	assert_int_equal(lseek(fd, 0, SEEK_END), 20000);
	OK(fallocate(fd, 0, 0, 30000));
	assert_int_equal(lseek(fd, 0, SEEK_END), 30000);
	FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
	FAILS(EFBIG, fallocate(fd, 0, 0, (off_t)WRITTEN_FILE_MAX + 1));
	OK(close(fd));
}

static void ranges_are_copied_by_the_tree(void **state)
{
	struct fixture *f = *state;
	off_t from = 2, to = 1;

	start(f, "rw");
	put_file_text(f, "a", "0123456789");
	int from_fd = opened(f, "a", O_RDONLY), out = opened(f, "b", O_CREAT | O_RDWR);

	assert_int_equal(copy_file_range(from_fd, &from, out, &to, 100, 0), 8);
	assert_int_equal(from, 10);
	assert_int_equal(copy_file_range(from_fd, &from, out, &to, 100, 0), 0);
	char got[16];

	assert_int_equal(pread(out, got, sizeof got, 0), 9);
	assert_memory_equal(got, "\00023456789", 9);
	close(from_fd);
	OK(close(out));
}

/* ---- lasting ---- */

static void syncing_asks_the_tree(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	int fd = opened(f, "a", O_CREAT | O_WRONLY), dir = opened(f, "", O_RDONLY | O_DIRECTORY);

	OK(fsync(fd));
	assert_int_equal(written(f)->syncs, 1);
	OK(fdatasync(fd));
	assert_int_equal(written(f)->syncs, 2);
	OK(fsync(dir));
	assert_int_equal(written(f)->syncs, 3);
	close(dir);
	OK(close(fd));
	assert_int_equal(written(f)->syncs, 3);
}

static void late_error_is_told_by_close_once(void **state)
{
	struct fixture *f = *state;

	start(f, "rw");
	int fd = opened(f, "a", O_CREAT | O_WRONLY);

	written(f)->late_error = -ENOSPC;
	FAILS(ENOSPC, fsync(fd));
	OK(fsync(fd));
	written(f)->late_error = -EIO;
	FAILS(EIO, close(fd));
}

static void await_waiting(struct fixture *f, unsigned count)
{
	for (uint64_t end_ms = monotonic_ms() + WAIT_S * 1000;
	     monotonic_ms() < end_ms && written_waiting(f->tree) < count;)
		usleep(5000);
	assert_true(written_waiting(f->tree) >= count);
}

static pid_t start_writer(struct fixture *f, const char *name)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(IN(f->m, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

		_exit(fd >= 0 && write(fd, "late", 4) == 4 ? 0 : 1);
	}
	assert_true(pid > 0);
	return pid;
}

static void waiting_writer_is_ended_by_a_signal(void **state)
{
	struct fixture *f = *state;
	int status;

	start(f, "rw");
	put_file_text(f, "a", "served");
	written_fill(f->tree, true);
	pid_t pid = start_writer(f, "w");

	await_waiting(f, 1);
	assert_text(f->m, "a", "served");
	OK(kill(pid, SIGKILL));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(written_waiting(f->tree), 0);
	pid = start_writer(f, "w");
	await_waiting(f, 1);
	written_fill(f->tree, false);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_text(f->m, "w", "late");
}

static void many_waiting_writers_leave_others_served(void **state)
{
	struct fixture *f = *state;
	pid_t pids[WRITERS];
	char name[16];

	start(f, "rw");
	put_file_text(f, "a", "served");
	written_fill(f->tree, true);
	for (unsigned i = 0; i < WRITERS; i++) {
		snprintf(name, sizeof name, "w%u", i);
		pids[i] = start_writer(f, name);
	}
	await_waiting(f, MOUNT_THREADS_MAX - 8);
	assert_text(f->m, "a", "served");
	OK(mkdir(IN(f->m, "d"), 0755));
	written_fill(f->tree, false);
	for (unsigned i = 0; i < WRITERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
		snprintf(name, sizeof name, "w%u", i);
		assert_text(f->m, name, "late");
	}
}

/* ---- the mount ---- */

static void read_only_mount_refuses_all_changes(void **state)
{
	struct fixture *f = *state;
	struct statvfs vfs;

	start(f, "ro");
	FAILS(EROFS, mkdir(IN(f->m, "d"), 0755));
	FAILS(EROFS, open(IN(f->m, "a"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	OK(statvfs(f->m->point, &vfs));
	assert_true(vfs.f_flag & ST_RDONLY);
}

static void writable_mount_is_told_so(void **state)
{
	struct fixture *f = *state;
	struct statvfs vfs;

	start(f, NULL);
	OK(statvfs(f->m->point, &vfs));
	assert_false(vfs.f_flag & ST_RDONLY);
	assert_int_equal(vfs.f_namemax, 255);
}

/* One mount, two trees: each decides. */
static void fixed_tree_beside_is_read_only(void **state)
{
	struct fixture *f = *state;
	const struct child children[] = { { "leaf", put_text(f->m->blocks, "fixed text") } };
	struct cid sub = put_dir(f->m->blocks, children, 1);
	off_t zero = 0;

	written(f)->fixed = root_new(f->m->local, NULL, &sub);
	start(f, "rw");
	put_file_text(f, "a", "1");
	assert_text(f->m, "fixed/leaf", "fixed text");
	FAILS(EROFS, mkdir(IN(f->m, "fixed/d"), 0755));
	FAILS(EROFS, unlink(IN(f->m, "fixed/leaf")));
	FAILS(EROFS, rename(IN(f->m, "fixed/leaf"), IN(f->m, "x")));
	FAILS(EROFS, rename(IN(f->m, "a"), IN(f->m, "fixed/x")));
	FAILS(EROFS, chmod(IN(f->m, "fixed/leaf"), 0600));
	FAILS(EROFS, truncate(IN(f->m, "fixed/leaf"), 0));
	FAILS(EROFS, setxattr(IN(f->m, "fixed/leaf"), "user.x", "1", 1, 0));
	FAILS(EROFS, symlink("x", IN(f->m, "fixed/l")));
	FAILS(EROFS, mkfifo(IN(f->m, "fixed/p"), 0644));
	FAILS(EROFS, link(IN(f->m, "a"), IN(f->m, "fixed/l")));
	FAILS(EROFS, open(IN(f->m, "fixed/new"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	int leaf = opened(f, "fixed/leaf", O_RDONLY), out = opened(f, "a", O_RDWR);

	OK(fsync(leaf));
	assert_int_equal(lseek(leaf, 0, SEEK_HOLE), 10);
	assert_int_equal(copy_file_range(leaf, &zero, out, NULL, 100, 0), 10);
	close(leaf);
	OK(close(out));
	assert_text(f->m, "a", "fixed text");
	char cid[CID_TEXT_MAX] = { 0 };

	assert_true(getxattr(IN(f->m, "fixed/leaf"), "user.ipfs.cid", cid, sizeof cid) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(written_bytes_are_read_through_another_descriptor),
		WITH(appended_bytes_follow_each_other),
		WITH(opening_with_trunc_empties_in_one_step),
		WITH(large_writes_arrive_whole),
		WITH(shared_mapping_is_written_at_msync),
		WITH(mapping_of_an_appended_file_keeps_its_place),
		WITH(unlinked_file_lives_while_it_is_open),
		WITH(holes_are_punched_found_and_filled),
		WITH(ranges_are_copied_by_the_tree),
		WITH(syncing_asks_the_tree),
		WITH(late_error_is_told_by_close_once),
		WITH(waiting_writer_is_ended_by_a_signal),
		WITH(many_waiting_writers_leave_others_served),
		WITH(read_only_mount_refuses_all_changes),
		WITH(writable_mount_is_told_so),
		WITH(fixed_tree_beside_is_read_only),
	};

	return cmocka_run_group_tests_name("fs/mount/write", tests, NULL, NULL);
}

/* Files of many small pieces on a real mount: the kernel believes that a short reply is the end. */
#include "tests/fs/mounted.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void assert_size(int fd, uint64_t want)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, want);
}

static void assert_bytes(const uint8_t *got, uint64_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (got[i] != file_byte(from + i))
			fail_msg("byte %llu", (unsigned long long)(from + i));
}

static void read_in_turn(int fd, uint64_t size)
{
	uint8_t got[10000];
	uint64_t at = 0;
	ssize_t len;

	while ((len = read(fd, got, sizeof got)) > 0) {
		assert_bytes(got, at, (size_t)len);
		at += (uint64_t)len;
	}
	assert_int_equal(len, 0);
	assert_int_equal(at, size);
	assert_size(fd, size);
}

static void read_here_and_there(int fd, uint64_t size)
{
	uint8_t got[3000];
	unsigned seed = 1;

	for (int i = 0; i < 50; i++) {
		seed = seed * 1103515245 + 12345;
		uint64_t at = (seed >> 4) % size, left = size - at;
		ssize_t len = pread(fd, got, sizeof got, (off_t)at);

		assert_int_equal(len, left < sizeof got ? left : sizeof got);
		assert_bytes(got, at, (size_t)len);
	}
	assert_size(fd, size);
}

static void read_mapped(int fd, uint64_t size)
{
	const uint8_t *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_bytes(map + size - 1, size - 1, 1);
	assert_bytes(map + size / 2, size / 2, (size_t)(size - size / 2));
	assert_bytes(map, 0, size);
	munmap((void *)map, size);
	assert_size(fd, size);
}

/* Each way first, on a cold cache: what it reads is what the kernel learns of the size. */
static void check_all_ways(struct mounted *m, struct blocks *blocks, size_t leaves, size_t leaf_len)
{
	static void (*const ways[])(int fd, uint64_t size) = { read_in_turn, read_here_and_there,
							       read_mapped };
	struct child file = { "file", put_file(blocks, leaves, leaf_len) };
	struct cid root = put_dir(blocks, &file, 1);

	for (size_t first = 0; first < ARRAY_LEN(ways); first++) {
		mounted_start(m, &root, 0, false);
		for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
			int fd = open(IN(m, "file"), O_RDONLY | O_CLOEXEC);

			assert_true(fd >= 0);
			ways[(first + i) % ARRAY_LEN(ways)](fd, leaves * leaf_len);
			close(fd);
		}
		mounted_stop(m, false);
	}
}

static void files_of_many_pieces_are_whole(void **state)
{
	static const struct {
		size_t leaves, len;
	} files[] = { { 20000, 1 }, { 65, 1 }, { 3001, 1000 }, { 200, 4096 }, { 65, 16385 } };
	struct mounted *m = *state;

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		check_all_ways(m, m->blocks, files[i].leaves, files[i].len);
}

static void remote_files_of_many_pieces_are_whole(void **state)
{
	struct mounted *m = *state;

	check_all_ways(m, m->far_blocks, 2000, 1);
	check_all_ways(m, m->far_blocks, 1500, 1000);
}

#define BOMB_SIZE (1u << 20)

/* Pieces of one byte, each at the end of a chain of nodes of its own length: a read is long work,
 * though all of it is stored. */
static struct cid put_bomb(struct blocks *blocks)
{
	struct unixfs unixfs = { .type = UNIXFS_FILE, .has_filesize = true, .filesize = 1 };
	struct child child = { "", put_text(blocks, "x") };
	uint64_t sizes[64];

	unixfs.blocksizes = sizes;
	unixfs.blocksize_count = 1;
	sizes[0] = 1;
	for (int i = 0; i < 58; i++)
		child.cid = put_unixfs(blocks, &child, 1, &unixfs);
	for (int level = 0; level < 5; level++) {
		struct child many[16];

		for (size_t i = 0; i < ARRAY_LEN(many); i++) {
			many[i] = child;
			sizes[i] = unixfs.filesize;
		}
		unixfs.filesize *= ARRAY_LEN(many);
		unixfs.blocksize_count = ARRAY_LEN(many);
		child.cid = put_unixfs(blocks, many, ARRAY_LEN(many), &unixfs);
	}
	assert_int_equal(unixfs.filesize, BOMB_SIZE);
	return child.cid;
}

/* The kernel waits for the answer of a request it has sent, whatever signal came. */
static void killed_reader_of_long_work_ends(void **state)
{
	struct mounted *m = *state;
	struct child file = { "bomb", put_bomb(m->blocks) };
	struct cid root = put_dir(m->blocks, &file, 1);
	int status;

	mounted_start(m, &root, 0, false);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		static uint8_t got[BOMB_SIZE];
		int fd = open(IN(m, "bomb"), O_RDONLY | O_CLOEXEC | O_DIRECT);

		for (;;)
			if (pread(fd, got, sizeof got, 0) != sizeof got)
				_exit(1);
	}
	usleep(50000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	/* libfuse keeps an interrupt that came after its answer until another request comes, and
	 * forgets it at the end. */
	static const char *const absent[] = { "absent", "absent too", "and absent" };
	struct stat st;

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(stat(IN(m, absent[i]), &st), -1);
}

#define MOUNT_TEST(name) cmocka_unit_test_setup_teardown(name, mounted_setup, mounted_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(files_of_many_pieces_are_whole),
		MOUNT_TEST(remote_files_of_many_pieces_are_whole),
		MOUNT_TEST(killed_reader_of_long_work_ends),
	};

	return cmocka_run_group_tests_name("fs/mount_read", tests, NULL, NULL);
}

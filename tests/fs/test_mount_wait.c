/* Real mounts whose blocks are elsewhere: waiting, giving up, asking ahead. */
#include "tests/fs/mounted.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <sys/wait.h>

#define LEAF 65536
#define LEAVES 40
#define LONG_MS 600000

static struct cid absent(const char *text)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str(text)), 0);
	return cid;
}

static void await(const atomic_uint *number, unsigned at_least)
{
	while (atomic_load(number) < at_least)
		usleep(1000);
}

/* here/ is stored; there, and the leaves of big, are not. */
static struct cid make_tree(struct mounted *m)
{
	struct child here[] = { { "a", put_text(m->blocks, "alpha") } };
	struct child top[] = {
		{ "big", put_file(m->far_blocks, LEAVES, LEAF) },
		{ "here", put_dir(m->blocks, here, ARRAY_LEN(here)) },
		{ "there", put_text(m->far_blocks, "far away") },
	};

	return put_dir(m->blocks, top, ARRAY_LEN(top));
}

static void blocks_come_when_needed(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m);

	mounted_start(m, &root, LONG_MS, false);
	assert_text(m, "there", "far away");
	assert_text(m, "here/a", "alpha");
}

static void no_answer_ends_at_the_deadline(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m);

	mounted_start(m, &root, 50, false);
	atomic_store(&m->far->silent, true);
	assert_int_equal(stat_errno(m, "there"), ETIMEDOUT);
	assert_int_equal(stat_errno(m, "nothing"), ENOENT);
	assert_text(m, "here/a", "alpha");
	atomic_store(&m->far->silent, false);
	assert_text(m, "there", "far away"); /* not remembered as absent */
}

static void reads_end_at_the_deadline(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m);
	char byte;

	mounted_start(m, &root, 50, false);
	int fd = open(IN(m, "big"), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	atomic_store(&m->far->silent, true);
	assert_int_equal(read(fd, &byte, 1), -1);
	assert_int_equal(errno, ETIMEDOUT);
	atomic_store(&m->far->silent, false);
	while (pread(fd, &byte, 1, 5) != 1) /* a failed range is not waited for again at once */
		assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal((uint8_t)byte, file_byte(5));
	close(fd);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void a_signal_ends_the_wait(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m);
	char path[IN_MAX];
	int status;

	mounted_start(m, &root, LONG_MS, false);
	in(m, "there", path);
	atomic_store(&m->far->silent, true);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct sigaction action = { .sa_handler = on_signal };
		struct stat st;

		sigaction(SIGUSR1, &action, NULL);
		_exit(stat(path, &st) ? errno : 0);
	}
	await(&m->far->waiting, 1);
	kill(pid, SIGUSR1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EINTR);
	assert_int_equal(m->far->waiting, 0);
}

/* Some programs read around the page cache. */
static void a_signal_ends_a_direct_read(void **state)
{
	struct mounted *m = *state;
	struct child file = { "far", put_file(m->far_blocks, 4, LEAF) };
	struct cid root = put_dir(m->far_blocks, &file, 1);
	int status;

	mounted_start(m, &root, LONG_MS, false);
	int fd = open(IN(m, "far"), O_RDONLY | O_CLOEXEC | O_DIRECT);

	assert_true(fd >= 0);
	atomic_store(&m->far->silent, true);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct sigaction action = { .sa_handler = on_signal };
		static _Alignas(4096) uint8_t got[4096];

		sigaction(SIGUSR1, &action, NULL);
		_exit(read(fd, got, sizeof got) < 0 ? errno : 0);
	}
	await(&m->far->waiting, 1);
	kill(pid, SIGUSR1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EINTR);
	close(fd);
}

struct reader {
	pthread_t thread;
	int fd, step, wrong;
};

static void *read_all(void *ctx)
{
	struct reader *reader = ctx;
	uint8_t *at = xcalloc(1, 32768);
	uint64_t size = (uint64_t)LEAVES * LEAF;

	for (uint64_t i = 0; i < size; i += 32768) {
		uint64_t from = (i * (unsigned)reader->step) % size;
		ssize_t len = pread(reader->fd, at, 32768, (off_t)from);

		for (ssize_t k = 0; k < len; k++)
			reader->wrong += at[k] != file_byte(from + (uint64_t)k);
		reader->wrong += len != 32768;
	}
	free(at);
	return NULL;
}

static void many_read_one_file(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m);
	struct reader readers[8];

	mounted_start(m, &root, LONG_MS, false);
	int fd = open(IN(m, "big"), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (int i = 0; i < 8; i++) {
		readers[i] = (struct reader){ .fd = fd, .step = 2 * i + 1 };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]),
				 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
	close(fd);
}

struct visitor {
	pthread_t thread;
	char path[IN_MAX];
	int err;
};

static void *visit(void *ctx)
{
	struct visitor *visitor = ctx;
	struct stat st;

	visitor->err = stat(visitor->path, &st) ? errno : 0;
	return NULL;
}

/* More than there are threads wait for blocks; local ones are served all the same, and stopping
 * ends all. */
static void waiting_stops_nobody_else(void **state)
{
	struct mounted *m = *state;
	enum { COUNT = MOUNT_THREADS_MAX + 20 };
	struct child here[] = { { "a", put_text(m->blocks, "alpha") } };
	struct child top[COUNT + 1];
	char names[COUNT][8];
	static struct visitor visitors[COUNT];

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof names[i], "n%u", i);
		top[i] = (struct child){ names[i], absent(names[i]) };
	}
	top[COUNT] = (struct child){ "here", put_dir(m->blocks, here, 1) };
	struct cid root = put_dir(m->blocks, top, COUNT + 1);

	mounted_start(m, &root, LONG_MS, false);
	atomic_store(&m->far->silent, true);
	for (unsigned i = 0; i < COUNT; i++) {
		in(m, names[i], visitors[i].path);
		assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
	}
	await(&m->far->waiting, MOUNT_THREADS_MAX - 8);
	assert_text(m, "here/a", "alpha");
	mounted_stop(m, true);
	for (unsigned i = 0; i < COUNT; i++) {
		pthread_join(visitors[i].thread, NULL);
		assert_int_not_equal(visitors[i].err, 0);
	}
}

/* Requests put off because too many wait are served in the end. */
static void all_that_wait_are_served(void **state)
{
	struct mounted *m = *state;
	enum { COUNT = MOUNT_THREADS_MAX + 20 };
	struct child top[COUNT];
	char names[COUNT][8];
	static struct visitor visitors[COUNT];

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof names[i], "n%u", i);
		top[i] = (struct child){ names[i], put_text(m->far_blocks, names[i]) };
	}
	struct cid root = put_dir(m->blocks, top, COUNT);

	mounted_start(m, &root, 50, false);
	atomic_store(&m->far->silent, true);
	for (unsigned i = 0; i < COUNT; i++) {
		in(m, names[i], visitors[i].path);
		assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		pthread_join(visitors[i].thread, NULL);
		assert_int_equal(visitors[i].err, ETIMEDOUT);
	}
}

/* ---- asking ahead ---- */

static int visit_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)path;
	(void)st;
	(void)at;
	return kind == FTW_NS || kind == FTW_DNR;
}

static void a_walk_takes_few_round_trips(void **state)
{
	struct mounted *m = *state;
	enum { DIRS = 30, FILES = 20 };
	struct child dirs[DIRS], files[FILES];
	char dir_names[DIRS][16], names[FILES][16], text[32];

	for (unsigned d = 0; d < DIRS; d++) {
		for (unsigned f = 0; f < FILES; f++) {
			snprintf(names[f], sizeof names[f], "f%u", f);
			snprintf(text, sizeof text, "%u of %u", f, d);
			files[f] = (struct child){ names[f], put_text(m->far_blocks, text) };
		}
		snprintf(dir_names[d], sizeof dir_names[d], "d%u", d);
		dirs[d] = (struct child){ dir_names[d], put_dir(m->far_blocks, files, FILES) };
	}
	struct cid root = put_dir(m->blocks, dirs, DIRS);

	mounted_start(m, &root, LONG_MS, false);
	assert_int_equal(nftw(m->point, visit_entry, 16, FTW_PHYS), 0);
	/* One for the directories, at worst one for the files of each: never one for each file. */
	print_message("round trips: %u\n", m->far->trips);
	assert_true(m->far->trips <= 2 + 2 * DIRS);
}

static void one_name_fetches_no_neighbours(void **state)
{
	struct mounted *m = *state;
	struct cid root = make_tree(m);

	mounted_start(m, &root, LONG_MS, false);
	assert_text(m, "there", "far away");
	assert_int_equal(m->far->asked, 0);
}

static void list_dir(struct mounted *m, const char *name)
{
	char path[IN_MAX];

	in(m, name, path);
	DIR *dir = opendir(path);

	assert_non_null(dir);
	while (readdir(dir))
		;
	closedir(dir);
}

static bool is_under_way(struct far *far, const struct cid *cid)
{
	bool found = false;

	pthread_mutex_lock(&far->lock);
	for (size_t i = 0; i < far->under_way_count && !found; i++)
		found = cid_equal(&far->under_way[i], cid);
	pthread_mutex_unlock(&far->lock);
	return found;
}

static void a_walk_asks_for_all_before_it_waits(void **state)
{
	struct mounted *m = *state;
	enum { DIRS = 3 };
	struct child dirs[DIRS], sub[DIRS];
	char names[DIRS][16], text[32];

	for (unsigned d = 0; d < DIRS; d++) {
		snprintf(text, sizeof text, "below %u", d);
		snprintf(names[d], sizeof names[d], "d%u", d);
		struct child file = { "file", put_text(m->far_blocks, text) };

		sub[d] = (struct child){ "sub", put_dir(m->far_blocks, &file, 1) };
		dirs[d] = (struct child){ names[d], put_dir(m->blocks, &sub[d], 1) };
	}
	struct cid root = put_dir(m->blocks, dirs, DIRS);

	mounted_start(m, &root, LONG_MS, false);
	atomic_store(&m->far->silent, true);
	list_dir(m, ".");
	list_dir(m, "d0");
	await(&m->far->waits, 1);
	for (unsigned d = 0; d < DIRS; d++)
		assert_true(is_under_way(m->far, &sub[d].cid));
	/* The next of the walk, whichever was asked for last. */
	assert_true(cid_equal(&m->far->waited_first, &sub[0].cid));
}

static void a_walk_keeps_within_its_credit(void **state)
{
	struct mounted *m = *state;
	enum { DIRS = 10, FILES = 600, CREDIT = 1024 /* of one listing */ };
	struct child *files = xcalloc(FILES, sizeof *files), dirs[DIRS];
	char(*names)[16] = xcalloc(FILES, sizeof *names), dir_names[DIRS][16], text[32];

	for (unsigned d = 0; d < DIRS; d++) {
		for (unsigned f = 0; f < FILES; f++) {
			snprintf(names[f], sizeof names[f], "f%03u", f);
			snprintf(text, sizeof text, "%u of %u", f, d);
			files[f] = (struct child){ names[f], put_text(m->far_blocks, text) };
		}
		snprintf(dir_names[d], sizeof dir_names[d], "d%u", d);
		dirs[d] = (struct child){ dir_names[d], put_dir(m->blocks, files, FILES) };
	}
	struct cid root = put_dir(m->blocks, dirs, DIRS);

	free(files);
	free(names);
	mounted_start(m, &root, LONG_MS, false);
	atomic_store(&m->far->silent, true);
	list_dir(m, ".");
	list_dir(m, "d0");
	await(&m->far->asked, FILES + CREDIT); /* by the listing; ahead of it */
	mounted_stop(m, true);
	assert_true(m->far->asked <= FILES + CREDIT + FILES);
}

#define MOUNT_TEST(name) cmocka_unit_test_setup_teardown(name, mounted_setup, mounted_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(blocks_come_when_needed),
		MOUNT_TEST(no_answer_ends_at_the_deadline),
		MOUNT_TEST(reads_end_at_the_deadline),
		MOUNT_TEST(a_signal_ends_the_wait),
		MOUNT_TEST(a_signal_ends_a_direct_read),
		MOUNT_TEST(many_read_one_file),
		MOUNT_TEST(waiting_stops_nobody_else),
		MOUNT_TEST(all_that_wait_are_served),
		MOUNT_TEST(a_walk_takes_few_round_trips),
		MOUNT_TEST(a_walk_asks_for_all_before_it_waits),
		MOUNT_TEST(a_walk_keeps_within_its_credit),
		MOUNT_TEST(one_name_fetches_no_neighbours),
	};

	return cmocka_run_group_tests_name("fs/mount_wait", tests, NULL, NULL);
}

/* A mount of the small tree of written_tree.h, and the words of its tests. */
#ifndef TESTS_FS_WRITTEN_MOUNT_H
#define TESTS_FS_WRITTEN_MOUNT_H

#include "tests/fs/mounted.h"
#include "tests/fs/written_tree.h"

#include <dirent.h>

#define WAIT_S 20

struct fixture {
	struct mounted *m;
	struct mount_tree *tree;
};

static inline int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	mounted_setup((void **)&f->m);
	f->tree = written_new();
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	mounted_stop(f->m, true);
	mount_tree_unref(f->tree);
	mounted_teardown((void **)&f->m);
	free(f);
	return 0;
}

static inline int try_start(struct fixture *f, const char *options)
{
	struct mount_config config = { .mountpoint = f->m->point,
				       .source = "test",
				       .tree = f->tree,
				       .timeout_ms = 5000,
				       .options = options };
	char *why = NULL;
	int err = mount_start(&config, f->m->local, NULL, NULL, mounted_end, f->m, &f->m->mount,
			      &why);

	free(why);
	return err;
}

static inline void start(struct fixture *f, const char *options)
{
	assert_int_equal(try_start(f, options), 0);
}

static inline struct written *written(struct fixture *f)
{
	return written_of(f->tree);
}

/* ---- shorthands ---- */

#define OK(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			fail_msg("%s: %s", #call, strerror(errno));                                \
	} while (0)

#define FAILS(want, call)                                                                          \
	do {                                                                                       \
		assert_true((call) < 0);                                                           \
		assert_int_equal(errno, want);                                                     \
	} while (0)

static inline int opened(struct fixture *f, const char *name, int flags)
{
	int fd = open(IN(f->m, name), flags | O_CLOEXEC, 0644);

	if (fd < 0)
		fail_msg("open %s: %s", name, strerror(errno));
	return fd;
}

static inline void put_file_text(struct fixture *f, const char *name, const char *text)
{
	int fd = opened(f, name, O_CREAT | O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	OK(close(fd));
}

static inline struct stat stat_of(struct fixture *f, const char *name)
{
	struct stat st;

	OK(lstat(IN(f->m, name), &st));
	return st;
}

/* Each name with a space after it, in the listing's order; few and short ones. */
static inline const char *names_of(struct fixture *f, const char *name, char out[static 256])
{
	DIR *dir = opendir(IN(f->m, name));
	struct dirent *entry;

	assert_non_null(dir);
	out[0] = 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			strcat(strcat(out, entry->d_name), " ");
	closedir(dir);
	return out;
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif

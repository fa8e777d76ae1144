/* A store, a config and a folder for tests of importing. */
#ifndef TESTS_DAG_IMPORT_ROOM_H
#define TESTS_DAG_IMPORT_ROOM_H

#include "dag/import.h"
#include "net/base/alloc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct room {
	struct store *store;
	struct blocks *blocks;
	struct import_config config;
	struct wait wait;
	char dir[64];
	struct buf events;
};

static inline int room_open(void **state)
{
	struct room *room = xnew(struct room);

	room->store = store_new_memory();
	room->blocks = blocks_new(room->store, NULL);
	assert_int_equal(import_profile(&room->config, "unixfs-v1-2025"), 0);
	assert_int_equal(wait_init(&room->wait), 0);
	wait_start(&room->wait, 0);
	strcpy(room->dir, "/tmp/dagfs-import-XXXXXX");
	assert_non_null(mkdtemp(room->dir));
	*state = room;
	return 0;
}

static inline int room_close(void **state)
{
	struct room *room = *state;
	char *command = xasprintf("rm -rf %s", room->dir);

	assert_int_equal(system(command), 0);
	free(command);
	wait_release(&room->wait);
	blocks_free(room->blocks);
	store_close(room->store);
	buf_release(&room->events);
	free(room);
	return 0;
}

static inline void room_put_file(const struct room *room, const char *name, struct bytes data)
{
	char *path = xasprintf("%s/%s", room->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data.at, data.len), data.len);
	close(fd);
	free(path);
}

static inline void room_put_dir(const struct room *room, const char *name)
{
	char *path = xasprintf("%s/%s", room->dir, name);

	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
}

static inline void room_put_link(const struct room *room, const char *name, const char *target)
{
	char *path = xasprintf("%s/%s", room->dir, name);

	assert_int_equal(symlink(target, path), 0);
	free(path);
}

/* What stands at dir + below, as "top". */
static inline int room_import(struct room *room, const char *below, char text[static CID_TEXT_MAX],
			      uint64_t *size, char **failed)
{
	char *path = xasprintf("%s%s", room->dir, below);
	struct cid cid = { 0 };
	int err = import_path(room->blocks, path, "top", &room->config, &room->wait, &cid, size,
			      failed);

	if (!err)
		cid_text(&cid, text);
	free(path);
	return err;
}

#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

#endif

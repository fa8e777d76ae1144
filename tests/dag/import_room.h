/* A store, a config and a folder for tests of importing. */
#ifndef TESTS_DAG_IMPORT_ROOM_H
#define TESTS_DAG_IMPORT_ROOM_H

#include "dag/import.h"
#include "net/base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct room {
	struct store *store;
	struct blocks blocks;
	struct import_config config;
	struct wait wait;
	char dir[64];
	struct buf events;
};

static inline int room_open(void **state)
{
	struct room *room = xnew(struct room);

	room->store = store_new_memory();
	blocks_init(&room->blocks, room->store, NULL);
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
	blocks_release(&room->blocks);
	store_close(room->store);
	buf_release(&room->events);
	free(room);
	return 0;
}

#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

#endif

/* dag/import/import_seen.c: files known from before are not read again, unless anything of theirs
 * changed or is missing. */
#include "dag/import/import_seen.h"
#include "tests/dag/import_data.h"
#include "tests/dag/import_room.h"

#include <time.h>

static void open_db(struct room *room, struct db **db)
{
	assert_int_equal(db_open_temp(db), 0);
	room->config.seen = *db;
}

static uint64_t remembered(struct db *db)
{
	struct db_txn *txn;
	uint64_t count;

	assert_int_equal(db_flush(db), 0);
	assert_int_equal(db_begin(db, false, &txn), 0);
	count = db_count(txn, "added");
	db_abort(txn);
	return count;
}

/* A file is known by what its CID would not be: the entry is made to lie. */
static struct cid lie(struct room *room, struct db *db)
{
	const struct import_config *config = &room->config;
	struct import_config made = *config;
	char *path = xasprintf("%s/f", room->dir);
	struct import_seen_file file = { 0 };
	struct block *block;
	struct import_seen *seen;
	struct stat stat_now;

	made.seen = db;
	seen = import_seen_open(room->blocks, &made);
	assert_int_equal(stat(path, &stat_now), 0);
	import_seen_name(seen, path, &stat_now, &file);
	assert_int_equal(cid_of_data(&file.root.cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("lie")),
			 0);
	file.root.file_size = file.root.tsize = 3;
	block = block_copy(&file.root.cid, bytes_str("lie"));
	assert_int_equal(blocks_put(room->blocks, block), 0);
	block_unref(block);
	import_seen_note(seen, &file);
	import_seen_close(seen);
	assert_int_equal(db_flush(db), 0);
	free(path);
	return file.root.cid;
}

static void check_is(struct room *room, const char *below, const struct cid *cid, bool expected)
{
	char text[CID_TEXT_MAX], other[CID_TEXT_MAX];
	uint64_t size;

	assert_int_equal(room_import(room, below, text, &size, NULL), 0);
	assert_int_equal(strcmp(text, cid_text(cid, other)) == 0, expected);
}

static void known_files_are_not_read(void **state)
{
	struct room *room = *state;
	struct db *db;
	struct cid cid;

	open_db(room, &db);
	room_put_file(room, "f", bytes_str("truth"));
	cid = lie(room, db);
	check_is(room, "/f", &cid, true);
	room->config.seen = NULL;
	check_is(room, "/f", &cid, false);
	room->config.seen = db;
	room->config.only_hash = true;
	check_is(room, "/f", &cid, false);
	db_close(db);
}

static void changed_files_are_read(void **state)
{
	struct room *room = *state;
	char *path = xasprintf("%s/f", room->dir), *moved = xasprintf("%s/g", room->dir);
	struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
	struct db *db;
	struct cid cid;

	open_db(room, &db);
	room_put_file(room, "f", bytes_str("truth"));
	cid = lie(room, db);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0); /* mtime and ctime */
	check_is(room, "/f", &cid, false);
	cid = lie(room, db);
	check_is(room, "/f", &cid, true);
	assert_int_equal(link(path, moved), 0); /* the same inode by another name */
	check_is(room, "/g", &cid, false);
	cid = lie(room, db);
	room_put_file(room, "f", bytes_str("another size"));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	check_is(room, "/f", &cid, false);
	free(path);
	free(moved);
	db_close(db);
}

static void other_settings_are_another_file(void **state)
{
	struct room *room = *state;
	struct import_config good = room->config;
	struct db *db;
	struct cid cid;

	open_db(room, &db);
	good.seen = db;
	room_put_file(room, "f", bytes_str("truth"));
	cid = lie(room, db);
#define OTHER(change)                                                                              \
	do {                                                                                       \
		room->config = good;                                                               \
		change;                                                                            \
		check_is(room, "/f", &cid, false);                                                 \
	} while (0)
	OTHER(room->config.raw_leaves = false);
	OTHER(room->config.cid_version = 0);
	OTHER(room->config.hash_code = HASH_BLAKE3);
	OTHER(room->config.inline_max = 1);
	OTHER(strcpy(room->config.chunker, "size-1024"));
	OTHER(room->config.links_max = 5);
	OTHER(room->config.layout = LAYOUT_TRICKLE);
	OTHER(room->config.preserve_mode = true);
	OTHER(room->config.preserve_mtime = true);
	OTHER(room->config.mode = 0600);
	OTHER(room->config.has_mtime = true);
#undef OTHER
	room->config = good;
	room->config.threads = 1;
	room->config.dir_links_max = 3;
	check_is(room, "/f", &cid, true);
	db_close(db);
}

static void check_without(struct room *room, const char *expected, const char *gone)
{
	char text[CID_TEXT_MAX];
	struct cid cid;
	uint64_t size;

	assert_int_equal(cid_from_text(&cid, gone), 0);
	assert_int_equal(store_delete(room->store, cid_hash_bytes(&cid)), 0);
	assert_int_equal(room_import(room, "/f", text, &size, NULL), 0);
	assert_string_equal(text, expected);
	assert_true(blocks_has(room->blocks, &cid));
}

/* Whatever took a block away: the file is read again, and all of it is there again. */
static void files_with_missing_blocks_are_read(void **state)
{
	struct room *room = *state;
	struct timespec nap = { .tv_sec = 4 };
	struct buf data = { 0 };
	struct db *db;
	char root[CID_TEXT_MAX], first[CID_TEXT_MAX], last[CID_TEXT_MAX];
	uint64_t size;

	open_db(room, &db);
	import_data(&data, "splitmix64", 20000);
	room_put_file(room, "f", buf_bytes(&data));
	room_put_file(room, "first", bytes_of(data.at, 1000));
	room_put_file(room, "last", bytes_of(data.at + 19000, 1000));
	strcpy(room->config.chunker, "size-1000");
	room->config.links_max = 3; /* three levels above the leaves */
	assert_int_equal(room_import(room, "/f", root, &size, NULL), 0);
	assert_int_equal(remembered(db), 0); /* it has changed just now */
	nanosleep(&nap, NULL);
	for (unsigned i = 0; i < 4; i++) {
		room->config.raw_leaves = i % 2;
		room->config.layout = i / 2 ? LAYOUT_TRICKLE : LAYOUT_BALANCED;
		assert_int_equal(room_import(room, "/f", root, &size, NULL), 0);
		assert_int_equal(remembered(db), i + 1);
		check_without(room, root, root);
		if (i == 2)
			continue; /* a leaf alone is no file then */
		room->config.layout = LAYOUT_BALANCED;
		room->config.seen = NULL;
		assert_int_equal(room_import(room, "/first", first, &size, NULL), 0);
		assert_int_equal(room_import(room, "/last", last, &size, NULL), 0);
		room->config.layout = i / 2 ? LAYOUT_TRICKLE : LAYOUT_BALANCED;
		room->config.seen = db;
		check_without(room, root, first);
		check_without(room, root, last);
	}
	buf_release(&data);
	db_close(db);
}

/* What is known may have become cached only: it is kept again. */
static void cached_blocks_are_kept(void **state)
{
	struct room *room = *state;
	struct store_config config = { .no_sync = true };
	struct blocks *memory = room->blocks;
	char *path = xasprintf("%s/store", room->dir);
	struct store_stat stat;
	struct block *block;
	struct store *store;
	struct cid cid;
	struct db *db;

	open_db(room, &db);
	room_put_file(room, "f", bytes_str("truth"));
	assert_int_equal(store_open_lmdb(path, &config, &store), 0);
	cid = lie(room, db); /* into the store in memory */
	block = block_copy(&cid, bytes_str("lie"));
	assert_int_equal(store_put(store, block, STORE_WAIT, NULL, NULL), 0);
	block_unref(block);
	assert_int_equal(store_sync(store), 0);
	room->blocks = blocks_new(store, NULL);
	check_is(room, "/f", &cid, true);
	assert_int_equal(store_sync(store), 0);
	assert_int_equal(store_stat(store, &stat), 0);
	assert_int_equal(stat.kept_blocks, 1);
	blocks_free(room->blocks);
	room->blocks = memory;
	store_close(store);
	db_close(db);
	free(path);
}

static void fresh_times_are_not_trusted(void **state)
{
	struct stat stat = { .st_mtim = { 100, 0 }, .st_ctim = { 100, 0 } };

	(void)state;
	assert_false(import_seen_settled(&stat, 99));
	assert_false(import_seen_settled(&stat, 102));
	assert_true(import_seen_settled(&stat, 103));
	stat.st_ctim.tv_sec = 101;
	assert_false(import_seen_settled(&stat, 103));
	stat.st_ctim.tv_sec = 100;
	stat.st_mtim.tv_sec = 1000; /* the future */
	assert_false(import_seen_settled(&stat, 103));
}

static void put_entry(struct db_txn *txn, unsigned i, uint8_t when)
{
	uint8_t key[16] = { 0 }, value[30] = { 1 };

	key[0] = (uint8_t)(i * 37);
	key[1] = (uint8_t)(i >> 8);
	key[2] = (uint8_t)i;
	value[17] = when;
	assert_int_equal(db_put(txn, "added", bytes_of(key, 16), bytes_of(value, 30)), 0);
}

static int count_old(void *ctx, struct bytes key, struct bytes value)
{
	unsigned *counts = ctx;

	(void)key;
	counts[value.at[17]]++;
	return 0;
}

/* The oldest go first, and of one age as many as must. */
static void old_entries_go(void **state)
{
	unsigned counts[4] = { 0 };
	struct db_txn *txn;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	assert_int_equal(import_seen_prune(db, 10, 5), 0); /* no table */
	assert_int_equal(db_begin(db, true, &txn), 0);
	for (unsigned i = 0; i < 30000; i++)
		put_entry(txn, i, (uint8_t)(i % 3));
	assert_int_equal(db_commit(txn), 0);
	assert_int_equal(import_seen_prune(db, 30000, 5), 0);
	assert_int_equal(remembered(db), 30000);
	assert_int_equal(import_seen_prune(db, 29999, 15000), 0);
	assert_int_equal(db_begin(db, false, &txn), 0);
	db_each(txn, "added", bytes_of(NULL, 0), bytes_of(NULL, 0), count_old, counts);
	db_abort(txn);
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 5000);
	assert_int_equal(counts[2], 10000);
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(known_files_are_not_read),
		IN_ROOM(changed_files_are_read),
		IN_ROOM(other_settings_are_another_file),
		IN_ROOM(files_with_missing_blocks_are_read),
		IN_ROOM(cached_blocks_are_kept),
		cmocka_unit_test(fresh_times_are_not_trusted),
		cmocka_unit_test(old_entries_go),
	};

	return cmocka_run_group_tests_name("dag/import_seen", tests, NULL, NULL);
}

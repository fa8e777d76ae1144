/* dag/sweep.c: what pins keep, and what goes. */
#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "tests/dag/import_data.h"
#include "tests/exchange/store_helper.h"

#include <sys/mman.h>

struct room {
	struct db *db;
	struct store *store;
	struct blocks *blocks;
	struct wait wait;
	struct cid kept, junk;
	uint64_t gone, gone_bytes;
	bool pin_when_begun;
	struct cid others[2]; /* roots of a second source: recursive, and not */
	int source_err;
};

/* A file of 20 leaves of our own seed. */
static void make_tree(struct room *room, unsigned seed, struct cid *root)
{
	struct import_config config;
	struct buf data = { 0 };
	uint64_t size;
	int fd = memfd_create("sweep", MFD_CLOEXEC);

	assert_int_equal(import_profile(&config, "unixfs-v1-2025"), 0);
	strcpy(config.chunker, "size-100");
	import_data(&data, "splitmix64", 2000);
	data.at[0] ^= (uint8_t)seed; /* the other leaves are shared */
	for (unsigned i = 10; i < 20; i++)
		data.at[100 * i] ^= (uint8_t)seed;
	assert_int_equal(write(fd, data.at, data.len), data.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(import_fd(room->blocks, fd, &config, &room->wait, root, &size), 0);
	assert_int_equal(store_sync(room->store), 0);
	close(fd);
	buf_release(&data);
}

static struct room *room_open(struct store *store)
{
	struct room *room = xnew(struct room);

	assert_int_equal(db_open_temp(&room->db), 0);
	room->store = store;
	room->blocks = blocks_new(room->store, NULL);
	assert_int_equal(wait_init(&room->wait), 0);
	wait_start(&room->wait, 0);
	make_tree(room, 1, &room->kept);
	make_tree(room, 2, &room->junk);
	return room;
}

static int open_memory(void **state)
{
	*state = room_open(store_new_memory());
	return 0;
}

static int open_disk(void **state)
{
	*state = room_open(scratch_store(&(struct store_config){ .no_sync = true }));
	return 0;
}

static int room_close(void **state)
{
	struct room *room = *state;

	wait_release(&room->wait);
	blocks_free(room->blocks);
	store_close(room->store);
	db_close(room->db);
	free(room);
	scratch_remove();
	return 0;
}

static int pin(struct room *room, const struct cid *cid, enum pin_kind kind)
{
	return pin_add(room->db, room->blocks, cid, kind, NULL, &room->wait, 1000, NULL, NULL);
}

/* A source that is asked after the pins: they are listed already. */
static int pin_late(void *ctx, sweep_root_fn *root, void *sweep)
{
	struct room *room = ctx;

	(void)root;
	(void)sweep;
	if (room->pin_when_begun)
		assert_int_equal(pin(room, &room->kept, PIN_RECURSIVE), 0);
	return room->source_err;
}

/* Roots that no pin names. */
static int tell_others(void *ctx, sweep_root_fn *root, void *sweep)
{
	struct room *room = ctx;
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++)
		if (cid_is_set(&room->others[i]))
			err = root(sweep, &room->others[i], i == 0);
	return err;
}

static void on_gone(void *ctx, struct bytes multihash, size_t len)
{
	struct room *room = ctx;

	assert_true(multihash.len > 0);
	room->gone++;
	room->gone_bytes += len;
}

static int sweep(struct room *room)
{
	const struct sweep_source sources[] = { sweep_pins(room->db),
						{ .each = pin_late, .ctx = room },
						{ .each = tell_others, .ctx = room } };
	uint64_t removed, freed;
	int err = dag_sweep(room->store, sources, ARRAY_LEN(sources), &room->wait, on_gone, room,
			    &removed, &freed);

	assert_int_equal(room->gone, removed);
	if (!err && !room->pin_when_begun) /* what was stored anew frees its old place */
		assert_int_equal(room->gone_bytes, freed);
	return err;
}

static uint64_t count(struct room *room)
{
	struct store_stat stat;

	assert_int_equal(store_stat(room->store, &stat), 0);
	return stat.blocks;
}

static int ignore_bad(void *ctx, const struct cid *cid, int err)
{
	(void)cid;
	(void)err;
	++*(unsigned *)ctx;
	return 0;
}

static void check_whole(struct room *room)
{
	struct pin found;
	unsigned bad = 0;

	assert_int_equal(pin_get(room->db, &room->kept, &found), 0);
	assert_int_equal(pin_verify(room->db, room->blocks, &found, &room->wait, ignore_bad, &bad),
			 0);
	assert_int_equal(bad, 0);
}

static void a_recursive_pin_keeps_its_tree(void **state)
{
	struct room *room = *state;
	uint64_t before = count(room);

	assert_int_equal(pin(room, &room->kept, PIN_RECURSIVE), 0);
	assert_int_equal(sweep(room), 0);
	assert_int_equal(room->gone, 12); /* 11 leaves and a root; the others are shared */
	assert_int_equal(count(room), before - 12);
	check_whole(room);
	assert_false(blocks_has(room->blocks, &room->junk));
	room->gone = room->gone_bytes = 0;
	assert_int_equal(pin_rm(room->db, &room->kept, PIN_RECURSIVE), 0);
	assert_int_equal(sweep(room), 0);
	assert_int_equal(count(room), 0);
}

static void a_direct_pin_keeps_one_block(void **state)
{
	struct room *room = *state;

	assert_int_equal(pin(room, &room->kept, PIN_DIRECT), 0);
	assert_int_equal(sweep(room), 0);
	assert_int_equal(count(room), 1);
	assert_true(blocks_has(room->blocks, &room->kept));
}

static void a_pin_still_wanted_keeps_what_is_there(void **state)
{
	struct room *room = *state;
	struct block *block;
	uint64_t before = count(room);

	assert_int_equal(store_get(room->store, &room->kept, &block), 0);
	assert_int_equal(store_delete(room->store, cid_hash_bytes(&block->cid)), 0);
	assert_true(pin(room, &room->kept, PIN_RECURSIVE) < 0);
	assert_int_equal(store_put(room->store, block, STORE_WAIT, NULL, NULL), 0);
	assert_int_equal(store_sync(room->store), 0);
	block_unref(block);

	struct pin wanted;

	if (pin_get(room->db, &room->kept, &wanted) == -ENOENT) /* nothing came: not remembered */
		return;
	assert_int_equal(sweep(room), 0);
	assert_int_equal(count(room), before - 12);
}

static void a_pin_made_meanwhile_is_whole(void **state)
{
	struct room *room = *state;

	room->pin_when_begun = true;
	assert_int_equal(sweep(room), 0);
	check_whole(room);
}

static void interrupted_it_removes_nothing(void **state)
{
	struct room *room = *state;
	uint64_t before = count(room);

	assert_int_equal(pin(room, &room->kept, PIN_RECURSIVE), 0);
	wait_cancel(&room->wait);
	assert_int_equal(sweep(room), -EINTR);
	assert_int_equal(count(room), before);
	wait_start(&room->wait, 0);
	check_whole(room);
}

static void roots_of_every_source_stay(void **state)
{
	struct room *room = *state;
	uint64_t before = count(room);

	room->others[0] = room->kept;
	assert_int_equal(sweep(room), 0);
	assert_int_equal(count(room), before - 12);
	room->others[1] = room->kept;
	room->others[0] = (struct cid){ 0 };
	room->gone = room->gone_bytes = 0;
	assert_int_equal(sweep(room), 0);
	assert_int_equal(count(room), 1);
	assert_true(blocks_has(room->blocks, &room->kept));
}

static void a_source_that_fails_removes_nothing(void **state)
{
	struct room *room = *state;
	uint64_t before = count(room);

	room->source_err = -EIO;
	assert_int_equal(sweep(room), -EIO);
	assert_int_equal(count(room), before);
}

static void what_an_open_batch_made_stays_until_it_ends(void **state)
{
	struct room *room = *state;

	blocks_batch_begin(room->blocks);
	make_tree(room, 1, &room->kept);
	assert_int_equal(sweep(room), 0);
	assert_int_equal(room->gone, 12);
	room->gone = room->gone_bytes = 0;
	assert_int_equal(pin_record(room->db, &room->kept, PIN_RECURSIVE, "", 0, 0), 0);
	blocks_batch_end(room->blocks);
	assert_int_equal(sweep(room), 0);
	check_whole(room);
	assert_int_equal(pin_rm(room->db, &room->kept, PIN_RECURSIVE), 0);
	assert_int_equal(sweep(room), 0);
	assert_int_equal(count(room), 0);
}

#define OF(kind, test)                                                                             \
	{                                                                                          \
		.name = #test " (" #kind ")", .test_func = test, .setup_func = open_##kind,        \
		.teardown_func = room_close                                                        \
	}
#define BOTH(test) OF(memory, test), OF(disk, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_recursive_pin_keeps_its_tree),
		BOTH(a_direct_pin_keeps_one_block),
		BOTH(a_pin_still_wanted_keeps_what_is_there),
		BOTH(a_pin_made_meanwhile_is_whole),
		BOTH(interrupted_it_removes_nothing),
		BOTH(roots_of_every_source_stay),
		BOTH(a_source_that_fails_removes_nothing),
		BOTH(what_an_open_batch_made_stays_until_it_ends),
	};

	return cmocka_run_group_tests_name("dag/sweep", tests, NULL, NULL);
}

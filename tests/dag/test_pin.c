/* dag/pin.c and pin_walk.c: records, kinds, interruption, what is below, damage. */
#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "tests/dag/fake.h"
#include "tests/dag/import_data.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define CHUNKS 20

struct room {
	struct db *db;
	struct store *store;
	struct blocks *blocks;
	struct wait wait;
	struct cid root, leaf;
	uint64_t tree_size;
};

/* A file of CHUNKS leaves, two of them alike. */
static void make_tree(struct room *room)
{
	struct import_config config;
	struct buf data = { 0 };
	int fd = memfd_create("pin", MFD_CLOEXEC);

	assert_int_equal(import_profile(&config, "unixfs-v1-2025"), 0);
	strcpy(config.chunker, "size-100");
	import_data(&data, "splitmix64", CHUNKS * 100);
	memcpy(data.at + 500, data.at, 100);
	assert_int_equal(write(fd, data.at, data.len), data.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(
		import_fd(room->blocks, fd, &config, &room->wait, &room->root, &room->tree_size),
		0);
	assert_int_equal(
		cid_of_data(&room->leaf, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(data.at + 900, 100)),
		0);
	assert_int_equal(store_sync(room->store), 0);
	close(fd);
	buf_release(&data);
}

static int room_open(void **state)
{
	struct room *room = xnew(struct room);

	assert_int_equal(db_open_temp(&room->db), 0);
	room->store = store_new_memory();
	room->blocks = blocks_new(room->store, NULL);
	assert_int_equal(wait_init(&room->wait), 0);
	wait_start(&room->wait, 0);
	make_tree(room);
	*state = room;
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
	return 0;
}

static int add(struct room *room, const struct cid *cid, enum pin_kind kind, const char *name)
{
	return pin_add(room->db, room->blocks, cid, kind, name, &room->wait, 1000, NULL, NULL);
}

static int count_pin(void *ctx, const struct pin *pin)
{
	(void)pin;
	++*(int *)ctx;
	return 0;
}

static int pins(struct room *room)
{
	int count = 0;

	assert_int_equal(pin_each(room->db, count_pin, &count), 0);
	return count;
}

static void last_progress(void *ctx, const struct pin_progress *progress)
{
	*(struct pin_progress *)ctx = *progress;
}

static void recursive_pins_count_each_block_once(void **state)
{
	struct room *room = *state;
	struct pin_progress seen = { 0 };
	struct pin pin;

	assert_int_equal(pins(room), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), -ENOENT);
	assert_int_equal(pin_add(room->db, room->blocks, &room->root, PIN_RECURSIVE, "tree",
				 &room->wait, 1000, last_progress, &seen),
			 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_true(cid_equal(&pin.cid, &room->root));
	assert_int_equal(pin.kind, PIN_RECURSIVE);
	assert_int_equal(pin.state, PIN_DONE);
	assert_string_equal(pin.name, "tree");
	assert_int_equal(pin.blocks, CHUNKS - 1 + 1);
	assert_int_equal(pin.bytes, room->tree_size - 100);
	assert_int_equal(seen.blocks, pin.blocks);
	assert_int_equal(seen.bytes, pin.bytes);
	assert_int_equal(seen.total_bytes, room->tree_size);

	/* Again: only the name changes, and only when there is one. */
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_string_equal(pin.name, "tree");
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, "other"), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_string_equal(pin.name, "other");
	assert_int_equal(pin.blocks, CHUNKS);
	assert_int_equal(pins(room), 1);
}

static void kinds_are_not_mixed_up(void **state)
{
	struct room *room = *state;
	struct pin pin;

	assert_int_equal(pin_rm(room->db, &room->root, PIN_DIRECT), -ENOENT);
	assert_int_equal(add(room, &room->root, PIN_DIRECT, "d"), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_int_equal(pin.kind, PIN_DIRECT);
	assert_int_equal(pin.blocks, 1);
	assert_int_equal(pin_rm(room->db, &room->root, PIN_RECURSIVE), -EEXIST);
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_int_equal(pin.kind, PIN_RECURSIVE);
	assert_string_equal(pin.name, "d");
	assert_int_equal(add(room, &room->root, PIN_DIRECT, NULL), -EEXIST);
	assert_int_equal(pin_record(room->db, &room->root, PIN_DIRECT, NULL, 1, 1), -EEXIST);
	assert_int_equal(pin_rm(room->db, &room->root, PIN_DIRECT), -EEXIST);
	assert_int_equal(pin_rm(room->db, &room->root, PIN_RECURSIVE), 0);
	assert_int_equal(pin_rm(room->db, &room->root, PIN_RECURSIVE), -ENOENT);
	assert_int_equal(pins(room), 0);
}

static void names_have_a_limit(void **state)
{
	struct room *room = *state;
	char name[PIN_NAME_MAX + 2];
	struct pin pin;

	memset(name, 'n', sizeof(name) - 1);
	name[PIN_NAME_MAX + 1] = '\0';
	assert_int_equal(add(room, &room->root, PIN_DIRECT, name), -ENAMETOOLONG);
	assert_int_equal(pin_record(room->db, &room->root, PIN_DIRECT, name, 1, 1), -ENAMETOOLONG);
	assert_int_equal(pins(room), 0);
	name[PIN_NAME_MAX] = '\0';
	assert_int_equal(pin_record(room->db, &room->root, PIN_DIRECT, name, 7, 8), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_string_equal(pin.name, name);
	assert_int_equal(pin.blocks, 7);
	assert_int_equal(pin.bytes, 8);
}

static int note_bad(void *ctx, const struct cid *cid, int err)
{
	struct room *room = ctx;

	assert_true(cid_equal(cid, &room->leaf));
	assert_int_equal(err, -ENOENT);
	room->tree_size++;
	return 0;
}

static int count_cid(void *ctx, const struct cid *cid)
{
	(void)cid;
	++*(int *)ctx;
	return 0;
}

/* A block that is missing leaves the pin wanted; when it is there the pin goes on. */
static void what_is_missing_stays_wanted(void **state)
{
	struct room *room = *state;
	struct block *leaf;
	struct pin pin;
	uint64_t size = room->tree_size;
	int indirect = 0;

	assert_int_equal(store_get(room->store, &room->leaf, &leaf), 0);
	assert_int_equal(store_delete(room->store, cid_hash_bytes(&room->leaf)), 0);
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, "t"), -EHOSTUNREACH);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_int_equal(pin.state, PIN_WANTED);
	wait_start(&room->wait, 0);
	assert_int_equal(pin_verify(room->db, room->blocks, &pin, &room->wait, note_bad, room), 0);
	assert_int_equal(room->tree_size, size + 1);
	assert_int_equal(
		pin_each_indirect(room->db, room->blocks, &room->wait, count_cid, &indirect), 0);
	assert_int_equal(indirect, CHUNKS - 2);

	assert_int_equal(blocks_put(room->blocks, leaf), 0);
	block_unref(leaf);
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_int_equal(pin.state, PIN_DONE);
	assert_string_equal(pin.name, "t");
	wait_start(&room->wait, 0);
	assert_int_equal(pin_verify(room->db, room->blocks, &pin, &room->wait, note_bad, room), 0);
	assert_int_equal(room->tree_size, size + 1);
}

/* A direct pin is one until the recursive one that comes over it is done. */
static void a_direct_pin_stays_meanwhile(void **state)
{
	struct room *room = *state;
	struct block *leaf;
	struct pin pin;

	assert_int_equal(add(room, &room->root, PIN_DIRECT, "d"), 0);
	assert_int_equal(store_get(room->store, &room->leaf, &leaf), 0);
	assert_int_equal(store_delete(room->store, cid_hash_bytes(&room->leaf)), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(add(room, &room->root, PIN_RECURSIVE, NULL), -EHOSTUNREACH);
		assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
		assert_int_equal(pin.kind, PIN_RECURSIVE);
		assert_int_equal(pin.state, PIN_WANTED);
		assert_true(pin.direct);
		assert_string_equal(pin.name, "d");
	}
	/* Given up: what was before. */
	assert_int_equal(pin_rm(room->db, &room->root, PIN_RECURSIVE), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_true(pin.kind == PIN_DIRECT && pin.state == PIN_DONE && !pin.direct);
	/* The other way round. */
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, NULL), -EHOSTUNREACH);
	assert_int_equal(pin_rm(room->db, &room->root, PIN_DIRECT), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_true(pin.kind == PIN_RECURSIVE && pin.state == PIN_WANTED && !pin.direct);
	assert_int_equal(pin_rm(room->db, &room->root, PIN_DIRECT), -EEXIST);
	assert_int_equal(pin_rm(room->db, &room->root, PIN_RECURSIVE), 0);
	/* Done. */
	assert_int_equal(add(room, &room->root, PIN_DIRECT, NULL), 0);
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, NULL), -EHOSTUNREACH);
	assert_int_equal(blocks_put(room->blocks, leaf), 0);
	block_unref(leaf);
	wait_start(&room->wait, 0);
	assert_int_equal(pin_go_on(room->db, room->blocks, &room->root, &room->wait, 1000, &pin),
			 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), 0);
	assert_true(pin.kind == PIN_RECURSIVE && pin.state == PIN_DONE && !pin.direct);
}

/* Roots are not told as indirect, nor blocks below direct pins; shared blocks once. */
static void indirect_ones_are_below_recursive(void **state)
{
	struct room *room = *state;
	int count = 0;

	assert_int_equal(add(room, &room->root, PIN_DIRECT, NULL), 0);
	assert_int_equal(pin_each_indirect(room->db, room->blocks, &room->wait, count_cid, &count),
			 0);
	assert_int_equal(count, 0);
	assert_int_equal(add(room, &room->root, PIN_RECURSIVE, NULL), 0);
	wait_start(&room->wait, 0);
	assert_int_equal(pin_each_indirect(room->db, room->blocks, &room->wait, count_cid, &count),
			 0);
	assert_int_equal(count, CHUNKS - 1);
	assert_int_equal(add(room, &room->leaf, PIN_RECURSIVE, NULL), 0);
	count = 0;
	wait_start(&room->wait, 0);
	assert_int_equal(pin_each_indirect(room->db, room->blocks, &room->wait, count_cid, &count),
			 0);
	assert_int_equal(count, CHUNKS - 2);
}

struct remover {
	struct room *room;
	bool done;
};

static void remove_meanwhile(void *ctx, const struct pin_progress *progress)
{
	struct remover *remover = ctx;

	(void)progress;
	if (!remover->done)
		assert_int_equal(pin_rm(remover->room->db, &remover->room->root, PIN_RECURSIVE), 0);
	remover->done = true;
}

/* Whoever removes a wanted pin stops it: it does not come back at its end. */
static void removed_while_fetched(void **state)
{
	struct room *room = *state;
	struct remover remover = { .room = room };
	struct import_config config;
	struct buf data = { 0 };
	int fd = memfd_create("pin", MFD_CLOEXEC);

	assert_int_equal(import_profile(&config, "unixfs-v1-2025"), 0);
	strcpy(config.chunker, "size-100");
	import_data(&data, "splitmix64", 60000);
	assert_int_equal(write(fd, data.at, data.len), data.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(
		import_fd(room->blocks, fd, &config, &room->wait, &room->root, &room->tree_size),
		0);
	close(fd);
	buf_release(&data);
	assert_int_equal(pin_add(room->db, room->blocks, &room->root, PIN_RECURSIVE, "x",
				 &room->wait, 1000, remove_meanwhile, &remover),
			 -ECANCELED);
	assert_true(remover.done);
	assert_int_equal(pins(room), 0);
}

/* ---- what is fetched: from a far store ---- */

#define SAME 40

struct far {
	struct db *db;
	struct fake *fake;
	struct cid same[SAME], same_dir, old_leaf, new_leaf, old, new;
};

/* Two directories that share one of SAME leaves, and have a leaf of their own. */
static int far_open(void **state)
{
	struct far *far = xnew(struct far);
	struct fake_child children[SAME], top[2];
	char text[24];

	assert_int_equal(db_open_temp(&far->db), 0);
	far->fake = fake_new();
	for (int i = 0; i < SAME; i++) {
		snprintf(text, sizeof(text), "leaf %02d", i);
		far->same[i] = fake_put(far->fake, CODEC_RAW, bytes_str(text));
		children[i] = (struct fake_child){ far->same[i], "leaf", 7 };
	}
	far->same_dir = fake_dir(far->fake, children, SAME);
	far->old_leaf = fake_put(far->fake, CODEC_RAW, bytes_str("before"));
	far->new_leaf = fake_put(far->fake, CODEC_RAW, bytes_str("after"));
	top[0] = (struct fake_child){ far->same_dir, "a", 100 };
	top[1] = (struct fake_child){ far->old_leaf, "b", 6 };
	far->old = fake_dir(far->fake, top, 2);
	top[1] = (struct fake_child){ far->new_leaf, "b", 5 };
	far->new = fake_dir(far->fake, top, 2);
	*state = far;
	return 0;
}

static int far_close(void **state)
{
	struct far *far = *state;

	fake_free(far->fake);
	db_close(far->db);
	free(far);
	return 0;
}

static int far_add(struct far *far, const struct cid *cid, enum pin_kind kind, const char *name)
{
	return pin_add(far->db, far->fake->blocks, cid, kind, name, &far->fake->wait, 1000, NULL,
		       NULL);
}

static int far_update(struct far *far, bool unpin)
{
	return pin_update(far->db, far->fake->blocks, &far->old, &far->new, unpin, &far->fake->wait,
			  1000, NULL, NULL);
}

static void assert_whole(struct far *far, const struct cid *cid, const char *name, uint64_t blocks)
{
	struct pin pin;

	assert_int_equal(pin_get(far->db, cid, &pin), 0);
	assert_int_equal(pin.state, PIN_DONE);
	assert_int_equal(pin.kind, PIN_RECURSIVE);
	assert_string_equal(pin.name, name);
	assert_int_equal(pin.blocks, blocks);
	wait_start(&far->fake->wait, 0);
	assert_int_equal(
		pin_verify(far->db, far->fake->blocks, &pin, &far->fake->wait, note_bad, NULL), 0);
}

static void update_fetches_differences(void **state)
{
	struct far *far = *state;
	struct pin pin;
	unsigned asked, trips;

	assert_int_equal(far_update(far, true), -ENOENT);
	assert_int_equal(far_add(far, &far->old, PIN_DIRECT, NULL), 0);
	assert_int_equal(far_update(far, true), -EEXIST);
	assert_int_equal(pin_get(far->db, &far->new, &pin), -ENOENT);
	assert_int_equal(far_add(far, &far->old, PIN_RECURSIVE, "tree"), 0);

	asked = far->fake->asked;
	trips = far->fake->trips;
	assert_int_equal(far_update(far, false), 0);
	assert_true(far->fake->asked - asked <= 1 && far->fake->trips - trips <= 2);
	assert_whole(far, &far->new, "tree", SAME + 3);
	assert_whole(far, &far->old, "tree", SAME + 3);

	/* Again, now without the old one; its own name stays. */
	assert_int_equal(far_add(far, &far->new, PIN_RECURSIVE, "mine"), 0);
	assert_int_equal(far_update(far, true), 0);
	assert_whole(far, &far->new, "mine", SAME + 3);
	assert_int_equal(pin_get(far->db, &far->old, &pin), -ENOENT);
	assert_int_equal(far_update(far, true), -ENOENT);
}

/* The record is as that of `pin add`; progress tells of what came, and claims no total. */
static void update_records_all(void **state)
{
	struct far *far = *state;
	struct pin_progress seen = { 0 };
	struct pin updated, added;

	assert_int_equal(far_add(far, &far->old, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(pin_update(far->db, far->fake->blocks, &far->old, &far->new, true,
				    &far->fake->wait, 1000, last_progress, &seen),
			 0);
	assert_int_equal(seen.blocks, 2);
	assert_int_equal(seen.total_bytes, 0);
	assert_int_equal(pin_get(far->db, &far->new, &updated), 0);
	assert_int_equal(pin_rm(far->db, &far->new, PIN_RECURSIVE), 0);
	assert_int_equal(far_add(far, &far->new, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(pin_get(far->db, &far->new, &added), 0);
	assert_int_equal(updated.blocks, added.blocks);
	assert_int_equal(updated.bytes, added.bytes);
}

/* To itself: nothing changes, above all it is not removed. */
static void update_to_the_same(void **state)
{
	struct far *far = *state;

	assert_int_equal(far_add(far, &far->old, PIN_RECURSIVE, "t"), 0);
	assert_int_equal(pin_update(far->db, far->fake->blocks, &far->old, &far->old, true,
				    &far->fake->wait, 1000, NULL, NULL),
			 0);
	assert_whole(far, &far->old, "t", SAME + 3);
}

/* A pin with a hole says nothing about what is below it. */
static void update_from_a_damaged_pin(void **state)
{
	struct far *far = *state;

	assert_int_equal(far_add(far, &far->old, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(store_delete(far->fake->local, cid_hash_bytes(&far->same[7])), 0);
	assert_int_equal(far_update(far, true), 0);
	assert_whole(far, &far->new, "", SAME + 3);
}

static int count_bad(void *ctx, const struct cid *cid, int err)
{
	(void)cid;
	assert_int_equal(err, -ENOENT);
	++*(int *)ctx;
	return 0;
}

/* One verifier for many: what is broken is told of each pin above it, and only of those. */
static void verifying_many(void **state)
{
	struct far *far = *state;
	struct pin_verifier *verifier = pin_verifier_new(far->fake->blocks, &far->fake->wait);
	struct pin old = { .cid = far->old, .kind = PIN_RECURSIVE };
	struct pin new = { .cid = far->new, .kind = PIN_RECURSIVE };
	struct pin leaf = { .cid = far->new_leaf, .kind = PIN_DIRECT };
	int bad = 0;

	assert_int_equal(far_add(far, &far->old, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(far_add(far, &far->new, PIN_RECURSIVE, NULL), 0);
	assert_int_equal(store_delete(far->fake->local, cid_hash_bytes(&far->new_leaf)), 0);
	wait_start(&far->fake->wait, 0);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(pin_verifier_check(verifier, &new, count_bad, &bad), 0);
		assert_int_equal(bad, 2 * i - 1);
		assert_int_equal(pin_verifier_check(verifier, &old, count_bad, &bad), 0);
		assert_int_equal(pin_verifier_check(verifier, &leaf, count_bad, &bad), 0);
		assert_int_equal(bad, 2 * i);
	}
	pin_verifier_free(verifier);

	/* Whole first; then what it shares with the other is missing for both. */
	assert_int_equal(store_delete(far->fake->local, cid_hash_bytes(&far->same[3])), 0);
	verifier = pin_verifier_new(far->fake->blocks, &far->fake->wait);
	bad = 0;
	assert_int_equal(pin_verifier_check(verifier, &old, count_bad, &bad), 0);
	assert_int_equal(bad, 1);
	assert_int_equal(pin_verifier_check(verifier, &new, count_bad, &bad), 0);
	assert_int_equal(bad, 3);
	pin_verifier_free(verifier);
}

/* The same bytes as a leaf and as a node: its links count. */
static void bytes_of_two_codecs(void **state)
{
	struct far *far = *state;
	struct cid raw;

	assert_int_equal(cid_make(&raw, 1, CODEC_RAW, cid_hash_bytes(&far->same_dir)), 0);
	struct fake_child children[] = { { raw, "a", 1 }, { far->same_dir, "b", 1 } };
	struct cid top = fake_dir(far->fake, children, 2);

	assert_int_equal(far_add(far, &top, PIN_RECURSIVE, NULL), 0);
	assert_whole(far, &top, "", SAME + 3);
	assert_true(store_has(far->fake->local, cid_hash_bytes(&far->same[SAME - 1])));
}

static void going_on_makes_no_records(void **state)
{
	struct far *far = *state;
	struct block *leaf;
	struct pin pin;

	assert_int_equal(
		pin_go_on(far->db, far->fake->blocks, &far->new, &far->fake->wait, 1000, &pin),
		-ENOENT);
	assert_int_equal(pin_get(far->db, &far->new, &pin), -ENOENT);

	assert_int_equal(store_get(far->fake->far, &far->new_leaf, &leaf), 0);
	assert_int_equal(store_delete(far->fake->far, cid_hash_bytes(&far->new_leaf)), 0);
	assert_int_equal(far_add(far, &far->new, PIN_RECURSIVE, "n"), -ETIMEDOUT);
	assert_int_equal(
		pin_go_on(far->db, far->fake->blocks, &far->new, &far->fake->wait, 1000, &pin),
		-ETIMEDOUT);
	assert_int_equal(pin.state, PIN_WANTED);
	assert_int_equal(pin.blocks, SAME + 2);
	assert_int_equal(store_put(far->fake->far, leaf, STORE_WAIT, NULL, NULL), 0);
	block_unref(leaf);
	assert_int_equal(
		pin_go_on(far->db, far->fake->blocks, &far->new, &far->fake->wait, 1000, &pin), 0);
	assert_whole(far, &far->new, "n", SAME + 3);
	/* Done: nothing to do. */
	assert_int_equal(pin_go_on(far->db, NULL, &far->new, NULL, 0, &pin), 0);
	assert_int_equal(pin.blocks, SAME + 3);
}

static void damaged_records_are_errors(void **state)
{
	struct room *room = *state;
	struct db_txn *txn;
	struct pin pin;

	assert_int_equal(db_begin(room->db, true, &txn), 0);
	assert_int_equal(db_put(txn, "pins", cid_bytes(&room->root), bytes_str("\xff\xff")), 0);
	assert_int_equal(db_commit(txn), 0);
	assert_int_equal(pin_get(room->db, &room->root, &pin), -EIO);
	assert_int_equal(db_begin(room->db, true, &txn), 0);
	assert_int_equal(db_del(txn, "pins", cid_bytes(&room->root)), 0);
	assert_int_equal(db_put(txn, "pins", bytes_str("no cid"), bytes_str("\x08")), 0);
	assert_int_equal(db_commit(txn), 0);
	assert_int_equal(pin_each(room->db, count_pin, &(int){ 0 }), -EIO);
}

#define FAR(test) cmocka_unit_test_setup_teardown(test, far_open, far_close)
#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(recursive_pins_count_each_block_once),
		IN_ROOM(kinds_are_not_mixed_up),
		IN_ROOM(names_have_a_limit),
		IN_ROOM(what_is_missing_stays_wanted),
		IN_ROOM(a_direct_pin_stays_meanwhile),
		IN_ROOM(indirect_ones_are_below_recursive),
		IN_ROOM(removed_while_fetched),
		FAR(update_fetches_differences),
		FAR(update_records_all),
		FAR(update_to_the_same),
		FAR(update_from_a_damaged_pin),
		FAR(verifying_many),
		FAR(bytes_of_two_codecs),
		FAR(going_on_makes_no_records),
		IN_ROOM(damaged_records_are_errors),
	};

	return cmocka_run_group_tests_name("dag/pin", tests, NULL, NULL);
}

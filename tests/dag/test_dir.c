#include "tests/dag/fake.h"

#include "dag/dir_private.h"

#include <stdio.h>

static struct dir *open_dir(struct fake *fake, const struct cid *cid)
{
	struct dir *dir;

	assert_int_equal(dir_open(fake->blocks, cid, &fake->wait, &dir), 0);
	return dir;
}

static int look_up(struct fake *fake, struct dir *dir, const char *name, struct dir_entry *entry)
{
	return dir_lookup(dir, bytes_str(name), &fake->wait, entry);
}

static struct cid leaf(const char *text)
{
	struct cid cid;

	cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str(text));
	return cid;
}

struct listing {
	char names[4096];
	size_t next, stop;
};

static int list_one(void *ctx, size_t index, const struct dir_entry *entry)
{
	struct listing *listing = ctx;
	size_t len = strlen(listing->names);

	assert_int_equal(index, listing->next++);
	snprintf(listing->names + len, sizeof(listing->names) - len, "%.*s ", (int)entry->name.len,
		 (const char *)entry->name.at);
	return index == listing->stop ? 7 : 0;
}

static const char *names_of(struct fake *fake, struct dir *dir, struct listing *listing)
{
	*listing = (struct listing){ .stop = SIZE_MAX };
	assert_int_equal(dir_each(dir, 0, &fake->wait, list_one, listing), 0);
	return listing->names;
}

static void basic_directories(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = fake_load_car(fake, "car/dir-v0.car");
	struct dir *dir = open_dir(fake, &root);
	struct listing listing;
	struct dir_entry entry;
	size_t count;

	(void)state;
	assert_string_equal(names_of(fake, dir, &listing), "Z a a.txt aa b.txt \xc3\xa9 ");
	assert_int_equal(dir_count(dir, &fake->wait, &count), 0);
	assert_int_equal(count, 6);
	assert_int_equal(look_up(fake, dir, "aa", &entry), 0);
	assert_int_equal(look_up(fake, dir, "aaa", &entry), -ENOENT);
	assert_int_equal(look_up(fake, dir, "", &entry), -ENOENT);
	assert_int_equal(fake->trips, 1); /* children are nobody's business */
	listing = (struct listing){ .next = 2, .stop = 3 };
	assert_int_equal(dir_each(dir, 2, &fake->wait, list_one, &listing), 7);
	assert_string_equal(listing.names, "a.txt aa ");
	listing = (struct listing){ .stop = SIZE_MAX };
	assert_int_equal(dir_each(dir, 99, &fake->wait, list_one, &listing), 0);
	assert_string_equal(listing.names, "");
	dir_close(dir);
	dir_close(NULL);
	fake_free(fake);
}

static int count_left_out(void *ctx, const struct dir_entry *entry, const char *why)
{
	char *names = ctx;

	assert_true(strlen(why) > 0);
	sprintf(names + strlen(names), "<%.*s>", (int)(entry->name.len < 3 ? entry->name.len : 3),
		(const char *)entry->name.at);
	return 0;
}

/* Names that would lead out of the directory, or cannot be shown, are neither listed nor found, but
 * told apart. */
static void hostile_names_are_left_out(void **state)
{
	char long_name[257] = { 0 }, max_name[256] = { 0 };
	struct fake *fake = fake_new();
	struct fake_child children[] = {
		{ leaf("1"), "", 1 },	    { leaf("2"), ".", 1 },   { leaf("3"), "..", 1 },
		{ leaf("4"), "a/b", 1 },    { leaf("5"), "/", 1 },   { leaf("6"), long_name, 1 },
		{ leaf("7"), "dup", 1 },    { leaf("8"), "dup", 1 }, { leaf("9"), "...", 1 },
		{ leaf("a"), max_name, 1 }, { leaf("b"), "..a", 1 },
	};
	struct dir_entry entry;
	struct listing listing;

	(void)state;
	memset(long_name, 'x', 256);
	memset(max_name, 'y', 255);
	struct cid root = fake_dir(fake, children, ARRAY_LEN(children));
	struct dir *dir = open_dir(fake, &root);

	for (int listed = 0; listed < 2; listed++) {
		for (size_t i = 0; i < 6; i++)
			assert_int_equal(look_up(fake, dir, children[i].name, &entry), -ENOENT);
		assert_int_equal(look_up(fake, dir, "dup", &entry), 0);
		assert_true(cid_equal(&entry.cid, &children[6].cid));
		assert_int_equal(look_up(fake, dir, max_name, &entry), 0);
		assert_non_null(strstr(names_of(fake, dir, &listing), "dup ... yyy"));
		assert_int_equal(listing.next, 4);
	}
	char left_out[64] = "";

	assert_int_equal(dir_each_left_out(dir, &fake->wait, count_left_out, left_out), 0);
	assert_string_equal(left_out, "<><.><..><a/b></><xxx><dup>");
	assert_false(dir_name_ok(bytes_of("a\0b", 3)));
	dir_close(dir);
	fake_free(fake);
}

static void wide_directories_are_indexed(void **state)
{
	enum { COUNT = 5000 };
	struct fake *fake = fake_new();
	struct fake_child *children = xcalloc(COUNT, sizeof(*children));
	char(*names)[16] = xcalloc(COUNT, 16);
	struct dir_entry entry;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(names[i], 16, "entry-%05zu", i);
		children[i] = (struct fake_child){ leaf(names[i]), names[i], i };
	}
	struct cid root = fake_dir(fake, children, COUNT);
	struct dir *dir = open_dir(fake, &root);

	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(look_up(fake, dir, names[i], &entry), 0);
		assert_true(cid_equal(&entry.cid, &children[i].cid));
		assert_int_equal(entry.tsize, i);
		assert_int_equal(look_up(fake, dir, "entry-99999", &entry), -ENOENT);
	}
	dir_close(dir);
	free(children);
	free(names);
	fake_free(fake);
}

static void check_hamt(const char *car, size_t entries, unsigned trips_max)
{
	struct fake *fake = fake_new();
	struct cid root = fake_load_car(fake, car);
	struct dir *dir = open_dir(fake, &root);
	struct dir_entry entry;
	char name[32];
	size_t count;

	assert_int_equal(look_up(fake, dir, "file-7", &entry), 0);
	assert_int_equal(dir_count(dir, &fake->wait, &count), 0);
	assert_int_equal(count, entries);
	assert_true(fake->trips <= trips_max);
	for (size_t i = 0; i < entries; i++) {
		snprintf(name, sizeof(name), "file-%zu", i);
		assert_int_equal(look_up(fake, dir, name, &entry), 0);
		assert_bytes_equal(entry.name, bytes_str(name));
		assert_int_equal(entry.cid.codec, CODEC_RAW);
	}
	snprintf(name, sizeof(name), "file-%zu", entries);
	assert_int_equal(look_up(fake, dir, name, &entry), -ENOENT);
	assert_int_equal(look_up(fake, dir, "00", &entry), -ENOENT);
	dir_close(dir);

	/* Offline, with all shards stored: lookups and lists as before. */
	fake_go_offline(fake);
	dir = open_dir(fake, &root);
	assert_int_equal(look_up(fake, dir, "file-99", &entry), 0);
	assert_int_equal(dir_count(dir, &fake->wait, &count), 0);
	dir_close(dir);
	fake_free(fake);
}

static void hamts_of_boxo(void **state)
{
	(void)state;
	check_hamt("car/hamt-100-v1.car", 100, 5);
	check_hamt("car/hamt-1000-v0.car", 1000, 7);
	check_hamt("car/hamt-100-fanout8-v1.car", 100, 12);
}

static void lookups_touch_only_their_path(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = fake_load_car(fake, "car/hamt-1000-v0.car");
	struct dir *dir = open_dir(fake, &root);
	struct dir_entry entry;

	(void)state;
	assert_int_equal(look_up(fake, dir, "file-500", &entry), 0);
	assert_true(fake->trips <= 3);
	assert_int_equal(fake->asked, 0);
	unsigned trips = fake->trips;

	assert_int_equal(look_up(fake, dir, "file-500", &entry), 0);
	assert_int_equal(fake->trips, trips);
	dir_close(dir);
	fake_free(fake);
}

/* A shard of the default fanout with one link. */
static struct cid one_link_shard(struct fake *fake, unsigned index, const char *name,
				 const struct cid *to, uint64_t fanout)
{
	struct hamt_shape shape;
	struct hamt_bitmap map = { 0 };
	struct buf bitmap = { 0 };
	char link[64];

	assert_int_equal(hamt_shape(&shape, fanout), 0);
	hamt_prefix(&shape, index, link);
	strcat(link, name);
	hamt_bitmap_set(&map, index, true);
	hamt_bitmap_encode(&bitmap, &map);
	struct fake_child child = { *to, link, 1 };
	struct unixfs unixfs = {
		.type = UNIXFS_HAMT_SHARD,
		.has_data = true,
		.data = buf_bytes(&bitmap),
		.hash_type = HASH_MURMUR3_X64_64,
		.fanout = fanout,
	};
	struct cid cid = fake_node(fake, &child, 1, &unixfs);

	buf_release(&bitmap);
	return cid;
}

/* Entries count only where their hash leads: list and lookup agree. */
static void misplaced_entries_are_left_out(void **state)
{
	struct fake *fake = fake_new();
	struct cid file = leaf("x");
	unsigned right = (unsigned)(hamt_hash(bytes_str("name")) >> 56);
	unsigned second = (unsigned)(hamt_hash(bytes_str("name")) >> 48 & 255);
	struct dir_entry entry;
	size_t count;

	(void)state;
	for (unsigned at = 0; at < 256; at++) {
		struct cid root = one_link_shard(fake, at, "name", &file, 256);
		struct dir *dir = open_dir(fake, &root);

		assert_int_equal(look_up(fake, dir, "name", &entry), at == right ? 0 : -ENOENT);
		assert_int_equal(dir_count(dir, &fake->wait, &count), 0);
		assert_int_equal(count, at == right);
		dir_close(dir);

		/* The same a level further down: right slot below, any slot above. */
		struct cid below = one_link_shard(fake, second, "name", &file, 256);

		root = one_link_shard(fake, at, "", &below, 256);
		dir = open_dir(fake, &root);
		assert_int_equal(dir_count(dir, &fake->wait, &count), 0);
		assert_int_equal(count, at == right);
		assert_int_equal(look_up(fake, dir, "name", &entry), at == right ? 0 : -ENOENT);
		dir_close(dir);
	}
	fake_free(fake);
}

static void bad_child_shards(void **state)
{
	struct fake *fake = fake_new();
	unsigned index = (unsigned)(hamt_hash(bytes_str("name")) >> 56);
	struct cid file = leaf("x");
	struct cid bad[] = {
		one_link_shard(fake, 3, "name", &file, 16), /* another fanout */
		fake_dir(fake, NULL, 0),
		fake_put(fake, CODEC_RAW, bytes_str("raw")),
		fake_put(fake, CODEC_DAG_PB, bytes_str("no pb")),
	};
	struct dir_entry entry;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cid root = one_link_shard(fake, index, "", &bad[i], 256);
		struct dir *dir = open_dir(fake, &root);

		assert_int_equal(look_up(fake, dir, "name", &entry), -EBADMSG);
		assert_int_equal(dir_count(dir, &fake->wait, &count), -EBADMSG);
		dir_close(dir);
	}
	fake_free(fake);
}

static void depth_is_limited(void **state)
{
	struct fake *fake = fake_new();
	uint64_t hash = hamt_hash(bytes_str("name"));
	struct cid file = leaf("x");
	struct dir_entry entry;
	size_t count;

	(void)state;
	for (unsigned levels = 8; levels <= 9; levels++) {
		struct cid cid = file;

		for (unsigned i = levels; i > 0; i--)
			cid = one_link_shard(fake,
					     i > 8 ? 0 : (unsigned)(hash >> (64 - 8 * i) & 255),
					     i == levels ? "name" : "", &cid, 256);
		struct dir *dir = open_dir(fake, &cid);
		int want = levels == 8 ? 0 : -EBADMSG;

		assert_int_equal(look_up(fake, dir, "name", &entry), want);
		assert_int_equal(dir_count(dir, &fake->wait, &count), want);
		dir_close(dir);
	}
	fake_free(fake);
}

static void missing_shards_and_interruption(void **state)
{
	struct fake *fake = fake_new();
	struct cid gone = leaf("never stored");
	struct dir_entry entry;
	size_t count;

	(void)state;
	gone = fake_put(fake, CODEC_DAG_PB, bytes_str("gone"));
	store_delete(fake->far, cid_hash_bytes(&gone));
	struct cid root = one_link_shard(fake, (unsigned)(hamt_hash(bytes_str("name")) >> 56), "",
					 &gone, 256);
	struct dir *dir = open_dir(fake, &root);

	assert_int_equal(look_up(fake, dir, "name", &entry), -ETIMEDOUT);
	assert_int_equal(dir_count(dir, &fake->wait, &count), -ETIMEDOUT);
	wait_cancel(&fake->wait);
	assert_int_equal(look_up(fake, dir, "name", &entry), -EINTR);
	dir_close(dir);
	fake_free(fake);
}

struct user {
	struct dir *dir;
	unsigned first;
	bool bad;
};

static void *use_dir(void *ctx)
{
	struct user *user = ctx;
	struct dir_entry entry;
	struct wait wait;
	size_t count = 0;
	char name[32];

	wait_init(&wait);
	wait_start(&wait, 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file-%u", (user->first + i * 7) % 1000);
		if (dir_lookup(user->dir, bytes_str(name), &wait, &entry) ||
		    !bytes_equal(entry.name, bytes_str(name)))
			user->bad = true;
		if (i == 20 && (dir_count(user->dir, &wait, &count) || count != 1000))
			user->bad = true;
	}
	wait_release(&wait);
	return NULL;
}

static void many_threads_share_a_directory(void **state)
{
	struct fake *fake = fake_new();
	struct cid root = fake_load_car(fake, "car/hamt-1000-v0.car");
	struct dir *dir = open_dir(fake, &root);
	struct user users[4];
	pthread_t threads[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		users[i] = (struct user){ dir, i * 250, false };
		pthread_create(&threads[i], NULL, use_dir, &users[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(users[i].bad);
	}
	dir_close(dir);
	fake_free(fake);
}

static void other_blocks_are_refused_as_directories(void **state)
{
	struct fake *fake = fake_new();
	struct cid cids[] = {
		fake_put(fake, CODEC_RAW, bytes_str("raw")),
		fake_file(fake, bytes_str("a"), NULL, 0),
		fake_put(fake, CODEC_DAG_CBOR, bytes_str("\xf6")),
		fake_put(fake, CODEC_DAG_PB, bytes_str("junk")),
	};
	struct dir *dir;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cids); i++)
		assert_int_equal(dir_open(fake->blocks, &cids[i], &fake->wait, &dir),
				 i == 3 ? -EBADMSG : -ENOTDIR);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic_directories),
		cmocka_unit_test(hostile_names_are_left_out),
		cmocka_unit_test(wide_directories_are_indexed),
		cmocka_unit_test(hamts_of_boxo),
		cmocka_unit_test(lookups_touch_only_their_path),
		cmocka_unit_test(misplaced_entries_are_left_out),
		cmocka_unit_test(bad_child_shards),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(missing_shards_and_interruption),
		cmocka_unit_test(many_threads_share_a_directory),
		cmocka_unit_test(other_blocks_are_refused_as_directories),
	};
	return cmocka_run_group_tests_name("dag/dir", tests, NULL, NULL);
}

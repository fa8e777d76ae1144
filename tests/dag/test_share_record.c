/* dag/tree/share_record.c: records of shares and versions, taken names, damaged records, what
 * removing takes, and which versions history keeps. */
#include "dag/tree/share_record.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define NOW_MS (UINT64_C(20000) * DAY_MS + 5 * HOUR_MS)

static const char *const tables[] = { "nodes", "names", "sizes", "leaves", "spans", "versions" };

static int db_room_open(void **state)
{
	struct db *db;

	assert_int_equal(db_open_temp(&db), 0);
	*state = db;
	return 0;
}

static int db_room_close(void **state)
{
	db_close(*state);
	return 0;
}

static struct cid cid_of_number(uint64_t number)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256,
				     bytes_of((uint8_t *)&number, sizeof(number))),
			 0);
	return cid;
}

static struct share_record share_named(const char *name)
{
	struct share_record share = { .owner = true, .pen = UINT64_MAX, .last_stamp = 7, .no = 3 };
	struct private_key *key;
	int err;

	key = private_key_new(KEY_ED25519, 0, &err);
	assert_non_null(key);
	peer_id_of_key(&share.key, private_key_public(key));
	private_key_free(key);
	snprintf(share.name, sizeof(share.name), "%s", name);
	strcpy(share.label, "anna");
	return share;
}

static void assert_shares_equal(const struct share_record *a, const struct share_record *b)
{
	assert_int_equal(a->id, b->id);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->label, b->label);
	assert_true(bytes_equal(peer_id_bytes(&a->key), peer_id_bytes(&b->key)));
	assert_int_equal(a->owner, b->owner);
	assert_int_equal(a->publish, b->publish);
	assert_true(a->pen == b->pen && a->last_stamp == b->last_stamp && a->run == b->run);
	assert_int_equal(a->no, b->no);
	assert_true(cid_equal(&a->commit, &b->commit) && cid_equal(&a->root, &b->root) &&
		    cid_equal(&a->state, &b->state));
}

static struct bytes row_key(uint8_t out[static 4], uint32_t id)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(id >> (24 - 8 * i));
	return bytes_of(out, 4);
}

static void put_raw(struct db *db, const char *table, struct bytes key, struct bytes value)
{
	struct db_txn *txn;

	assert_int_equal(db_begin(db, true, &txn), 0);
	assert_int_equal(db_put(txn, table, key, value), 0);
	assert_int_equal(db_commit(txn), 0);
}

/* ---- shares ---- */

static void a_record_is_read_as_it_was_written(void **state)
{
	struct share_record share = share_named("plans"), got;
	struct db_txn *txn;
	char name[SHARE_NAME_MAX + 1];

	assert_int_equal(share_get(*state, 1, &got), -ENOENT);
	assert_int_equal(share_add(*state, &share), 0);
	assert_int_equal(share.id, 1);
	assert_int_equal(share_get(*state, 1, &got), 0);
	assert_shares_equal(&got, &share);

	memset(name, 'n', SHARE_NAME_MAX);
	name[SHARE_NAME_MAX] = 0;
	strcpy(share.name, name);
	strcpy(share.label, "abcdefghijkl");
	share.publish = true;
	share.run = UINT64_MAX - 1;
	share.commit = cid_of_number(1);
	share.root = cid_of_number(2);
	share.state = cid_of_number(3);
	assert_int_equal(db_begin(*state, true, &txn), 0);
	assert_int_equal(share_record_put(txn, &share), 0);
	assert_int_equal(db_commit(txn), 0);
	assert_int_equal(share_find(*state, name, &got), 0);
	assert_shares_equal(&got, &share);
	assert_int_equal(share_find(*state, "plans", &got), -ENOENT);
}

static void taken_and_bad_names_are_refused(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "a b", "\xc3\xa4", "a\n" };
	struct share_record a = share_named("a"), b = share_named("b"), c = share_named("a");
	struct share_record got, unknown = share_named("c");

	assert_int_equal(share_add(*state, &a), 0);
	assert_int_equal(share_add(*state, &b), 0);
	assert_int_equal(b.id, 2);
	assert_int_equal(share_add(*state, &c), -EEXIST);
	strcpy(b.name, "a");
	assert_int_equal(share_set(*state, &b), -EEXIST);
	assert_int_equal(share_get(*state, 2, &got), 0);
	assert_string_equal(got.name, "b");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct share_record share = share_named(bad[i]);

		assert_int_equal(share_add(*state, &share), -EINVAL);
		strcpy(b.name, bad[i]);
		assert_int_equal(share_set(*state, &b), -EINVAL);
	}
	unknown.id = 99;
	assert_int_equal(share_set(*state, &unknown), -ENOENT);
	unknown.key = (struct peer_id){ 0 };
	assert_int_equal(share_add(*state, &unknown), -EINVAL);
}

static void setting_writes_name_label_and_publish_alone(void **state)
{
	struct share_record share = share_named("plans"), want, got;

	assert_int_equal(share_add(*state, &share), 0);
	want = share;
	strcpy(want.name, "Plans.2026-a_b");
	strcpy(want.label, "b");
	want.publish = true;
	share = want;
	share.pen = share.no = share.last_stamp = share.run = 1;
	share.owner = false;
	share.commit = cid_of_number(1);
	assert_int_equal(share_set(*state, &share), 0);
	assert_int_equal(share_get(*state, want.id, &got), 0);
	assert_shares_equal(&got, &want);
	assert_int_equal(share_set(*state, &share), 0); /* its own name is not taken */
}

static int count_share(void *ctx, const struct share_record *share)
{
	*(uint32_t *)ctx += share->id;
	return 0;
}

static int stop_share(void *ctx, const struct share_record *share)
{
	(void)ctx;
	return share->id == 2 ? 77 : 0;
}

/* A share is not lost because the record of another is. */
static void damaged_records_are_refused_and_others_are_found(void **state)
{
	struct share_record share, got;
	uint8_t key[4];
	uint32_t sum = 0;
	struct db_txn *txn;
	struct bytes value;

	for (int i = 0; i < 3; i++) {
		share = share_named(i == 0 ? "a" : i == 1 ? "b" : "c");
		assert_int_equal(share_add(*state, &share), 0);
	}
	assert_int_equal(share_each(*state, stop_share, NULL), 77);
	assert_int_equal(db_begin(*state, false, &txn), 0);
	assert_int_equal(db_get(txn, "share", row_key(key, 1), &value), 0);
	size_t len = value.len;
	uint8_t *good = xcalloc(1, len + 1);

	memcpy(good, value.at, len);
	db_abort(txn);
	for (size_t cut = 0; cut < len; cut++) {
		put_raw(*state, "share", row_key(key, 1), bytes_of(good, cut));
		assert_int_equal(share_get(*state, 1, &got), -EIO);
	}
	put_raw(*state, "share", row_key(key, 1), bytes_of(good, len + 1));
	assert_int_equal(share_get(*state, 1, &got), -EIO);
	good[0] = 2;
	put_raw(*state, "share", row_key(key, 1), bytes_of(good, len));
	assert_int_equal(share_get(*state, 1, &got), -EIO);
	assert_int_equal(share_find(*state, "c", &got), 0);
	assert_int_equal(got.id, 3);
	assert_int_equal(share_find(*state, "a", &got), -EIO); /* it might be that one */
	assert_int_equal(share_each(*state, count_share, &sum), -EIO);
	assert_int_equal(sum, 5);
	share = share_named("d");
	assert_int_equal(share_add(*state, &share), -EIO); /* its name and id might be taken */
	assert_int_equal(share_remove(*state, 1), 0);
	assert_int_equal(share_find(*state, "a", &got), -ENOENT);
	assert_int_equal(share_add(*state, &share), 0);
	assert_int_equal(share.id, 4);
	free(good);
}

static uint64_t rows(struct db *db, const char *table)
{
	struct db_txn *txn;

	assert_int_equal(db_begin(db, false, &txn), 0);
	uint64_t count = db_count(txn, table);

	db_abort(txn);
	return count;
}

static void removing_takes_the_rows_of_this_id_alone(void **state)
{
	struct share_record share = { 0 }, got;
	uint8_t key[12] = { 0 };

	for (int i = 0; i < 3; i++) {
		share = share_named(i == 0 ? "a" : i == 1 ? "b" : "c");
		assert_int_equal(share_add(*state, &share), 0);
	}
	assert_int_equal(share_remove(*state, 4), -ENOENT);
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (uint32_t id = 1; id <= 0x300; id = id < 3 ? id + 1 : id * 0x100)
			for (uint8_t row = 0; row < 5; row++) {
				row_key(key, id);
				key[11] = row;
				put_raw(*state, tables[t], bytes_of(key, sizeof(key)),
					bytes_str("x"));
			}
	assert_int_equal(share_remove(*state, 2), 0);
	assert_int_equal(share_get(*state, 2, &got), -ENOENT);
	assert_int_equal(share_remove(*state, 2), -ENOENT);
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		assert_int_equal(rows(*state, tables[t]), 15); /* ids 1, 3, 0x300 */
	assert_int_equal(rows(*state, "share"), 2);
}

/* ---- versions ---- */

static void add_version(struct db *db, uint32_t id, uint64_t at_ms, uint64_t no)
{
	struct tree_version version = { .no = no,
					.stamp = at_ms << 16 | 3,
					.pen = 9,
					.commit = cid_of_number(no),
					.root = cid_of_number(no + 1),
					.state = cid_of_number(no + 2),
					.files = no * 2,
					.size = no * 3,
					.added = 4,
					.changed = 5,
					.removed = 6,
					.new_bytes = UINT64_MAX };
	struct db_txn *txn;

	assert_int_equal(db_begin(db, true, &txn), 0);
	assert_int_equal(version_put(txn, id, &version), 0);
	assert_int_equal(db_commit(txn), 0);
}

struct seen_versions {
	uint64_t at_ms[64];
	struct tree_version last;
	size_t count;
};

static int see_version(void *ctx, const struct tree_version *version)
{
	struct seen_versions *seen = ctx;

	if (seen->count < ARRAY_LEN(seen->at_ms))
		seen->at_ms[seen->count] = version->stamp >> 16;
	if (seen->count)
		assert_true(seen->last.stamp < version->stamp);
	seen->last = *version;
	seen->count++;
	return 0;
}

static void versions_are_told_oldest_first_and_of_one_share(void **state)
{
	struct seen_versions seen = { 0 };
	struct cid commit = cid_of_number(2);

	add_version(*state, 1, 300, 2);
	add_version(*state, 1, 5, 1);
	add_version(*state, 2, 7, 1);
	assert_int_equal(share_each_version(*state, 1, see_version, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.at_ms[0], 5);
	assert_int_equal(seen.last.no, 2);
	assert_int_equal(seen.last.pen, 9);
	assert_int_equal(seen.last.files, 4);
	assert_int_equal(seen.last.size, 6);
	assert_int_equal(seen.last.added, 4);
	assert_int_equal(seen.last.changed, 5);
	assert_int_equal(seen.last.removed, 6);
	assert_true(seen.last.new_bytes == UINT64_MAX);
	assert_true(cid_equal(&seen.last.commit, &commit));
	assert_int_equal(share_each_version(*state, 3, see_version, &seen), 0);
	assert_int_equal(seen.count, 2);
}

static int thin_err(struct db *db)
{
	struct db_txn *txn;

	assert_int_equal(db_begin(db, true, &txn), 0);
	int err = versions_thin(txn, 1, NOW_MS);

	assert_int_equal(db_commit(txn), 0);
	return err;
}

static void thin(struct db *db, struct seen_versions *seen)
{
	*seen = (struct seen_versions){ 0 };
	assert_int_equal(thin_err(db), 0);
	assert_int_equal(share_each_version(db, 1, see_version, seen), 0);
}

static void a_damaged_version_is_refused_and_others_are_told_and_thinned(void **state)
{
	struct seen_versions seen = { 0 };
	uint8_t key[20] = { 0, 0, 0, 1 };

	add_version(*state, 1, NOW_MS - 400 * DAY_MS, 1);
	add_version(*state, 1, NOW_MS, 2);
	put_raw(*state, "versions", bytes_of(key, sizeof(key)), bytes_str("\1\2\3"));
	assert_int_equal(share_each_version(*state, 1, see_version, &seen), -EIO);
	assert_int_equal(seen.count, 2);
	assert_int_equal(thin_err(*state), 0);
	seen.count = 0;
	assert_int_equal(share_each_version(*state, 1, see_version, &seen), -EIO);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last.no, 2);
}

static void history_keeps_fewer_versions_the_older_they_are(void **state)
{
	static const struct {
		uint64_t age_ms;
		bool stays;
	} versions[] = {
		{ 91 * DAY_MS, false },
		{ 80 * DAY_MS + 2 * HOUR_MS, false }, /* of a day, the last */
		{ 80 * DAY_MS, true },
		{ 2 * DAY_MS + 20 * MINUTE_MS + 1, true }, /* another hour than the next */
		{ 2 * DAY_MS - MINUTE_MS, false },
		{ 2 * DAY_MS - 2 * MINUTE_MS, true },
		{ 2 * HOUR_MS, false },
		{ 2 * HOUR_MS - MINUTE_MS, true },
		{ 2 * HOUR_MS - 10 * MINUTE_MS, true },
		{ 30 * MINUTE_MS, true },
		{ 30 * MINUTE_MS - 1, true },
	};
	struct seen_versions seen;
	size_t kept = 0;

	thin(*state, &seen);
	assert_int_equal(seen.count, 0);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		add_version(*state, 1, NOW_MS - versions[i].age_ms, i + 1);
	thin(*state, &seen);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (versions[i].stays)
			assert_int_equal(seen.at_ms[kept++], NOW_MS - versions[i].age_ms);
	assert_int_equal(seen.count, kept);
}

static void the_newest_version_stays_however_old(void **state)
{
	struct seen_versions seen;

	add_version(*state, 1, NOW_MS - 400 * DAY_MS, 1);
	add_version(*state, 1, NOW_MS - 399 * DAY_MS, 2);
	thin(*state, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last.no, 2);
}

/* Of 10 100 versions, those that are spare by their age do not push out an old one. */
static void the_limit_counts_versions_that_are_kept(void **state)
{
	struct tree_version version = { .pen = 1 };
	struct seen_versions seen;
	struct db_txn *txn;

	add_version(*state, 1, NOW_MS - 30 * DAY_MS, 1);
	assert_int_equal(db_begin(*state, true, &txn), 0);
	for (uint64_t i = 0; i < 10100; i++) { /* in one stretch of 10 minutes */
		version.stamp = (NOW_MS - 2 * HOUR_MS) << 16 | i;
		assert_int_equal(version_put(txn, 1, &version), 0);
	}
	assert_int_equal(db_commit(txn), 0);
	thin(*state, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.at_ms[0], NOW_MS - 30 * DAY_MS);

	assert_int_equal(db_begin(*state, true, &txn), 0);
	for (uint64_t i = 0; i < 10000; i++) { /* all of the last hour would stay */
		version.stamp = (NOW_MS - MINUTE_MS) << 16 | i;
		assert_int_equal(version_put(txn, 1, &version), 0);
	}
	assert_int_equal(db_commit(txn), 0);
	thin(*state, &seen);
	assert_int_equal(seen.count, 10000);
	assert_int_equal(seen.at_ms[0], NOW_MS - MINUTE_MS);
}

#define IN_DB(test) cmocka_unit_test_setup_teardown(test, db_room_open, db_room_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DB(a_record_is_read_as_it_was_written),
		IN_DB(taken_and_bad_names_are_refused),
		IN_DB(setting_writes_name_label_and_publish_alone),
		IN_DB(damaged_records_are_refused_and_others_are_found),
		IN_DB(removing_takes_the_rows_of_this_id_alone),
		IN_DB(versions_are_told_oldest_first_and_of_one_share),
		IN_DB(a_damaged_version_is_refused_and_others_are_told_and_thinned),
		IN_DB(history_keeps_fewer_versions_the_older_they_are),
		IN_DB(the_newest_version_stays_however_old),
		IN_DB(the_limit_counts_versions_that_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

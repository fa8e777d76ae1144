/* The store of value records: the best one, ends of life, quotas, restarts, floods, and what is
 * ours. */
#include "routing/kad/values.h"

#include "net/db/db.h"
#include "routing/kad/msg.h"
#include "routing/kad/server.h"
#include "tests/routing/ipns_make.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void);
#define memory_used() __sanitizer_get_current_allocated_bytes()
#else
#include <malloc.h>
#define memory_used() mallinfo2().uordblks
#endif

#define MS 1000000ull /* in ns */
#define NOW_NS (1763700000000ull * MS)

static struct peer_id peer_of(uint32_t number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20 } };

	memcpy(id.bytes + 2, &number, sizeof(number));
	return id;
}

/* Records of "n": digits, the greater the better; 'x' is none, and a first '0' ends with 1 s. */
static unsigned checks;

static int digit_validate(struct bytes key, struct bytes value, uint64_t wallclock_ns)
{
	(void)key;
	(void)wallclock_ns;
	checks++;
	return value.len > 0 && value.at[0] != 'x' ? 0 : -EBADMSG;
}

static int digit_compare(struct bytes a, struct bytes b)
{
	return a.at[0] - b.at[0];
}

static uint64_t digit_expires(struct bytes value)
{
	return value.at[0] == '0' ? NOW_NS + 1000 * MS : UINT64_MAX;
}

static const struct record_rules digits = { "n", digit_validate, digit_compare, digit_expires };

static void begin(struct kad_values *store, struct db *db, uint64_t now_ns)
{
	struct peer_id self = peer_of(0);

	checks = 0;
	kad_values_init(store, db, "t", &self, &digits, 1, now_ns);
}

static int put(struct kad_values *store, const char *key, const char *value, uint32_t from,
	       uint64_t now_ns)
{
	struct peer_id peer = peer_of(from);

	return kad_values_put(store, bytes_str(key), bytes_str(value), &peer, now_ns);
}

static bool holds(struct kad_values *store, const char *key, const char *value, uint64_t now_ns)
{
	const struct kad_value *entry = kad_values_get(store, bytes_str(key), now_ns);

	return value ? entry && bytes_equal(buf_bytes(&entry->value), bytes_str(value)) : !entry;
}

/* One put after the other, none faster than signatures are checked. */
static uint64_t at(unsigned number)
{
	return NOW_NS + number * 1000 * MS;
}

static void the_best_value_is_kept(void **state)
{
	struct kad_values store;
	char text[16];

	(void)state;
	begin(&store, NULL, NOW_NS);
	assert_int_equal(put(&store, "/m/1", "5", 1, NOW_NS), -EKEYREJECTED);
	assert_int_equal(put(&store, "n/1", "5", 1, NOW_NS), -EKEYREJECTED);
	assert_int_equal(put(&store, "/n/", "5", 1, NOW_NS), -EKEYREJECTED);
	assert_int_equal(put(&store, "/pk/1", "5", 1, NOW_NS), -EBADMSG);
	assert_int_equal(put(&store, "/ipns/1", "5", 1, NOW_NS), -EBADMSG);
	assert_int_equal(put(&store, "/n/1", "x", 1, NOW_NS), -EBADMSG);
	assert_int_equal(put(&store, "/n/1", "5", 1, NOW_NS), 0);
	assert_int_equal(put(&store, "/n/1", "4", 1, NOW_NS), -ESTALE);
	assert_int_equal(put(&store, "/n/1", "6", 1, NOW_NS), 0);
	assert_true(holds(&store, "/n/1", "6", NOW_NS));
	assert_true(holds(&store, "/n/1", NULL, NOW_NS + KAD_VALUE_TTL_MS * MS));
	assert_int_equal(store.keys.count, 0);
	for (unsigned i = 0; i <= KAD_VALUES_PEER_MAX; i++) {
		snprintf(text, sizeof(text), "/n/%u", i);
		assert_int_equal(put(&store, text, "1", 1, at(i)),
				 i < KAD_VALUES_PEER_MAX ? 0 : -EAGAIN);
	}
	kad_values_sweep(&store, at(KAD_VALUES_PEER_MAX) + KAD_VALUE_TTL_MS * MS);
	assert_int_equal(store.keys.count, 0);
	assert_int_equal(store.peers.count, 0);
	assert_int_equal(store.bytes, 0);
	kad_values_release(&store);
}

static void end_of_life_of_a_record_comes_before_the_ttl(void **state)
{
	struct kad_values store;

	(void)state;
	begin(&store, NULL, NOW_NS);
	assert_int_equal(put(&store, "/n/1", "0", 1, NOW_NS), 0);
	assert_int_equal(put(&store, "/n/2", "0", 1, NOW_NS), 0);
	assert_true(holds(&store, "/n/1", "0", NOW_NS + 1000 * MS));
	assert_true(holds(&store, "/n/1", NULL, NOW_NS + 1000 * MS + 1));
	kad_values_sweep(&store, NOW_NS + 1000 * MS + 1);
	assert_int_equal(store.keys.count, 0);
	kad_values_release(&store);
}

static uint64_t distance_of(const struct kad_values *store, const char *key)
{
	struct place id = place_of_key(bytes_str(key));

	return place_distance(&store->place, &id);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Of all that many peers put, the nearest to us stay, and what is ours. */
static void full_store_drops_the_farthest_records(void **state)
{
	enum { PUTS = 4 * KAD_VALUES_MAX };
	struct kad_values store;
	uint64_t *distances = calloc(PUTS, sizeof(*distances)), limit;
	char key[16];

	(void)state;
	begin(&store, NULL, NOW_NS);
	assert_int_equal(put(&store, "/n/own", "1", 0, NOW_NS), 0);
	for (unsigned i = 0; i < PUTS; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		distances[i] = distance_of(&store, key);
		int err = put(&store, key, "1", 1 + i, at(i));

		assert_true(err == 0 || err == -EAGAIN);
		assert_true(store.keys.count <= KAD_VALUES_MAX);
	}
	assert_int_equal(store.keys.count, KAD_VALUES_MAX);
	assert_true(holds(&store, "/n/own", "1", at(PUTS)));
	qsort(distances, PUTS, sizeof(*distances), by_size);
	limit = distances[KAD_VALUES_MAX - 2]; /* one is ours */
	for (unsigned i = 0; i < PUTS; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		assert_true(holds(&store, key, distance_of(&store, key) <= limit ? "1" : NULL,
				  at(PUTS)));
	}
	/* Ours comes in wherever it lies, and what is there may become better. */
	assert_int_equal(put(&store, "/n/own2", "1", 0, at(PUTS)), 0);
	assert_int_equal(put(&store, "/n/own", "2", 0, at(PUTS)), 0);
	assert_int_equal(store.keys.count, KAD_VALUES_MAX);
	kad_values_release(&store);
	free(distances);
}

/* One peer that puts without end displaces no more than its share, whatever it puts. */
static void one_peer_displaces_no_more_than_its_share(void **state)
{
	struct kad_values store;
	unsigned left = 0, kept = 0;
	char key[16];

	(void)state;
	begin(&store, NULL, NOW_NS);
	for (unsigned i = 0; i < KAD_VALUES_MAX; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		assert_int_equal(put(&store, key, "1", 1 + i / KAD_VALUES_PEER_MAX, at(i)), 0);
	}
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "/n/e%u", i);
		kept += put(&store, key, "1", 1000000, at(KAD_VALUES_MAX + i)) == 0;
	}
	assert_true(kept >= KAD_VALUES_PEER_MAX); /* its own may go for its nearer ones */
	for (unsigned i = 0; i < KAD_VALUES_MAX; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		left += holds(&store, key, "1", at(KAD_VALUES_MAX + 20000));
	}
	assert_true(left >= KAD_VALUES_MAX - KAD_VALUES_PEER_MAX);
	kad_values_release(&store);
}

/* What has ended goes before anything else, near or not. */
static void full_store_drops_expired_records_first(void **state)
{
	struct kad_values store;
	char key[16];

	(void)state;
	begin(&store, NULL, NOW_NS);
	for (unsigned i = 0; i < KAD_VALUES_MAX; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		assert_int_equal(put(&store, key, i < KAD_VALUES_PEER_MAX ? "0" : "1",
				     1 + i / KAD_VALUES_PEER_MAX,
				     i < KAD_VALUES_PEER_MAX ? NOW_NS : at(i)),
				 0);
	}
	for (unsigned i = 0; i < KAD_VALUES_PEER_MAX; i++) {
		snprintf(key, sizeof(key), "/n/f%u", i);
		assert_int_equal(put(&store, key, "1", 1, at(KAD_VALUES_MAX + i)), 0);
	}
	assert_int_equal(store.keys.count, KAD_VALUES_MAX);
	for (unsigned i = KAD_VALUES_PEER_MAX; i < KAD_VALUES_MAX; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		assert_true(holds(&store, key, "1", at(KAD_VALUES_MAX + KAD_VALUES_PEER_MAX)));
	}
	kad_values_release(&store);
}

static void bytes_of_all_records_are_limited(void **state)
{
	struct kad_values store;
	struct buf big = { 0 };
	const unsigned bigs_max = KAD_VALUES_BYTES_MAX / ROUTING_VALUE_MAX;
	struct peer_id peer;
	char key[16];

	(void)state;
	begin(&store, NULL, NOW_NS);
	memset(buf_reserve(&big, ROUTING_VALUE_MAX), '1', ROUTING_VALUE_MAX);
	big.len = ROUTING_VALUE_MAX;
	for (unsigned i = 0; i < bigs_max; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		peer = peer_of(1 + i / KAD_VALUES_PEER_MAX);
		assert_int_equal(
			kad_values_put(&store, bytes_str(key), buf_bytes(&big), &peer, at(i)), 0);
	}
	assert_int_equal(store.keys.count, bigs_max);
	/* A few more: as many go. */
	for (unsigned i = bigs_max; i < bigs_max + 50; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		peer = peer_of(1 + i / KAD_VALUES_PEER_MAX);
		kad_values_put(&store, bytes_str(key), buf_bytes(&big), &peer, at(i));
		assert_true(store.bytes <= KAD_VALUES_BYTES_MAX);
		assert_int_equal(store.keys.count, bigs_max);
	}
	/* Small ones fit beside; then a large one in place of a small one costs another. */
	snprintf(key, sizeof(key), "/n/%u", bigs_max + 51);
	if (store.bytes + 1 <= KAD_VALUES_BYTES_MAX) {
		assert_int_equal(put(&store, key, "1", 0, at(bigs_max + 51)), 0);
		assert_int_equal(kad_values_put(&store, bytes_str(key), buf_bytes(&big),
						&store.self, at(bigs_max + 52)),
				 0);
		assert_int_equal(store.keys.count, bigs_max);
		assert_true(store.bytes <= KAD_VALUES_BYTES_MAX);
	}
	buf_add_u8(&big, '1');
	assert_int_equal(kad_values_put(&store, bytes_str("/n/0"), buf_bytes(&big), &peer, NOW_NS),
			 -EMSGSIZE);
	kad_values_release(&store);
	buf_release(&big);
}

/* A signature is checked when a record comes, not each time that it is asked for or comes again. */
static void a_record_is_checked_once(void **state)
{
	struct kad_values store;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	begin(&store, db, NOW_NS);
	assert_int_equal(put(&store, "/n/1", "5", 1, NOW_NS), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(holds(&store, "/n/1", "5", NOW_NS + i));
		assert_int_equal(put(&store, "/n/1", "5", 2, NOW_NS + i), 0);
	}
	assert_int_equal(checks, 1);
	/* So soon it is no news at all; later it lives on for it. */
	assert_int_equal(store.peers.count, 1);
	assert_int_equal(put(&store, "/n/1", "5", 2, NOW_NS + KAD_VALUE_SETTLED_MS * MS), 0);
	assert_int_equal(checks, 1);
	assert_true(holds(&store, "/n/1", "5", NOW_NS + KAD_VALUE_TTL_MS * MS));
	kad_values_release(&store);
	/* After a restart once more: disks are not to be trusted. */
	assert_int_equal(db_flush(db), 0);
	begin(&store, db, NOW_NS + KAD_VALUE_TTL_MS * MS);
	assert_int_equal(store.keys.count, 1);
	assert_int_equal(checks, 0);
	assert_true(holds(&store, "/n/1", "5", NOW_NS + KAD_VALUE_TTL_MS * MS));
	assert_true(holds(&store, "/n/1", "5", NOW_NS + KAD_VALUE_TTL_MS * MS));
	assert_int_equal(checks, 1);
	kad_values_release(&store);
	db_close(db);
}

/* Whoever puts what must be checked, and however much: the loop does so many and no more. */
static void signatures_are_bounded(void **state)
{
	const unsigned seconds = 20, per_second = 1000 / KAD_CHECK_MS;
	struct kad_values store;
	unsigned before;
	char key[16];

	(void)state;
	begin(&store, NULL, NOW_NS);
	/* One peer with bad ones only: refused as bad, then unseen; its own share is all it takes.
	 */
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(put(&store, "/n/1", "x", 1, NOW_NS),
				 i < KAD_CHECK_PEER_BURST ? -EBADMSG : -EAGAIN);
	assert_int_equal(checks, KAD_CHECK_PEER_BURST);
	assert_int_equal(put(&store, "/n/1", "5", 2, NOW_NS), 0);
	/* Ever new names: all together have a limit too. */
	for (unsigned ms = 0; ms < seconds * 1000; ms++) {
		snprintf(key, sizeof(key), "/n/%u", ms);
		put(&store, key, "x", 3 + ms, NOW_NS + ms * MS);
	}
	assert_in_range(checks, KAD_CHECK_BURST, KAD_CHECK_BURST + seconds * per_second);
	/* Neither what is known already, nor our own, nor what no rules are for, waits for it. */
	before = checks;
	assert_int_equal(put(&store, "/n/1", "5", 3, NOW_NS + seconds * 1000 * MS), 0);
	assert_int_equal(put(&store, "/m/1", "5", 3, NOW_NS + seconds * 1000 * MS), -EKEYREJECTED);
	assert_int_equal(checks, before);
	assert_int_equal(put(&store, "/n/own", "5", 0, NOW_NS + seconds * 1000 * MS), 0);
	kad_values_release(&store);
}

/* What a restart left to be checked is neither given unchecked nor lost. */
static void records_loaded_unchecked_are_neither_given_nor_lost(void **state)
{
	struct kad_values store;
	unsigned given = 0;
	char key[16];
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	begin(&store, db, NOW_NS);
	for (unsigned i = 0; i < 2 * KAD_CHECK_BURST; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		assert_int_equal(put(&store, key, "5", 1 + i, at(i)), 0);
	}
	assert_int_equal(put(&store, "/n/own", "5", 0, NOW_NS), 0);
	kad_values_release(&store);
	assert_int_equal(db_flush(db), 0);
	begin(&store, db, at(1000));
	for (unsigned i = 0; i < 2 * KAD_CHECK_BURST; i++) {
		snprintf(key, sizeof(key), "/n/%u", i);
		given += holds(&store, key, "5", at(1000));
	}
	assert_int_equal(given, KAD_CHECK_BURST);
	assert_int_equal(checks, KAD_CHECK_BURST);
	assert_true(holds(&store, "/n/own", "5", at(1000)));
	/* Nor is a worse one taken in its place. */
	assert_int_equal(put(&store, key, "4", 1, at(1000)), -EAGAIN);
	assert_true(holds(&store, key, "5", at(1001)));
	assert_int_equal(put(&store, key, "4", 1, at(1001)), -ESTALE);
	assert_int_equal(store.keys.count, 2 * KAD_CHECK_BURST + 1);
	kad_values_release(&store);
	db_close(db);
}

static uint64_t records_in(struct db *db)
{
	struct db_txn *txn;
	uint64_t count;

	assert_int_equal(db_flush(db), 0);
	assert_int_equal(db_begin(db, false, &txn), 0);
	count = db_count(txn, "t");
	db_abort(txn);
	return count;
}

static void invalid_records_do_not_survive_a_restart(void **state)
{
	struct kad_values store;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	begin(&store, db, NOW_NS);
	assert_int_equal(put(&store, "/n/1", "5", 1, NOW_NS), 0);
	assert_int_equal(put(&store, "/n/2", "0", 1, NOW_NS + 1), 0);
	kad_values_release(&store);
	assert_int_equal(db_post(db, "t", bytes_str("/n/3"), bytes_str("x")), 0);
	assert_int_equal(db_post(db, "t", bytes_str("/m/3"), bytes_str("x")), 0);
	assert_int_equal(records_in(db), 4);
	begin(&store, db, NOW_NS);
	assert_int_equal(store.keys.count, 2);
	assert_int_equal(records_in(db), 2);
	kad_values_sweep(&store, NOW_NS + KAD_VALUE_TTL_MS * MS);
	assert_int_equal(records_in(db), 0);
	kad_values_release(&store);
	db_close(db);
}

static void public_key_record_must_match_its_name(void **state)
{
	const uint8_t seed[32] = { 7 };
	struct identity *identity = identity_from_seed(seed);
	struct bytes proto = public_key_proto(identity_public(identity));
	struct peer_id id, peer = peer_of(1);
	struct kad_values store;
	struct buf key = { 0 }, value = { 0 };

	(void)state;
	begin(&store, NULL, NOW_NS);
	peer_id_of_identity(&id, identity);
	buf_add_str(&key, "/pk/");
	buf_add(&key, peer_id_bytes(&id));
	buf_add(&value, proto);
	pb_put_u64(&value, 9, 1); /* bytes that would only fill a disk */
	assert_int_equal(kad_values_put(&store, buf_bytes(&key), buf_bytes(&value), &peer, NOW_NS),
			 -EBADMSG);
	assert_int_equal(kad_values_put(&store, buf_bytes(&key), proto, &peer, NOW_NS), 0);
	key.at[key.len - 1] ^= 1;
	assert_int_equal(kad_values_put(&store, buf_bytes(&key), proto, &peer, NOW_NS),
			 -EKEYREJECTED);
	assert_int_equal(store.keys.count, 1);
	kad_values_release(&store);
	buf_release(&key);
	buf_release(&value);
	identity_free(identity);
}

static void newer_name_record_replaces_the_older(void **state)
{
	struct buf key = { 0 }, old = { 0 }, new = { 0 };
	struct peer_id peer = peer_of(1);
	struct kad_values store;

	(void)state;
	begin(&store, NULL, NOW_NS);
	ipns_key(&key, 1);
	ipns_make(&old, 1, (struct ipns_make){ .sequence = 1 });
	ipns_make(&new, 1, (struct ipns_make){ .sequence = 2, .eol = "2025-11-21T05:00:00Z" });
	assert_int_equal(kad_values_put(&store, buf_bytes(&key), buf_bytes(&old), &peer, NOW_NS),
			 0);
	assert_int_equal(kad_values_put(&store, buf_bytes(&key), buf_bytes(&new), &peer, NOW_NS),
			 0);
	assert_int_equal(kad_values_put(&store, buf_bytes(&key), buf_bytes(&old), &peer, NOW_NS),
			 -ESTALE);
	/* The better one has ended: then the other will do. */
	assert_non_null(kad_values_get(&store, buf_bytes(&key), 1763701200000ull * MS));
	assert_null(kad_values_get(&store, buf_bytes(&key), 1763701200000ull * MS + 1));
	assert_int_equal(kad_values_put(&store, buf_bytes(&key), buf_bytes(&old), &peer,
					1763701200000ull * MS + 1),
			 0);
	kad_values_release(&store);
	buf_release(&key);
	buf_release(&old);
	buf_release(&new);
}

/* Advisory row 24: 100 000 PUT_VALUEs with keys of one byte leave nothing behind. */
static void a_flood_leaves_disk_and_memory_as_they_were(void **state)
{
	struct buf request = { 0 }, out = { 0 }, value = { 0 };
	struct kad_values store;
	struct kad_server_view view = { .values = &store };
	size_t before = 0;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	begin(&store, db, NOW_NS);
	memset(buf_reserve(&value, 1000), '1', 1000);
	value.len = 1000;
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t letter = (uint8_t)i;
		struct kad_record record = { .key = bytes_of(&letter, 1),
					     .value = buf_bytes(&value) };
		struct peer_id from = peer_of(i);

		buf_clear(&request);
		buf_clear(&out);
		kad_msg_begin(&request, KAD_PUT_VALUE, record.key);
		kad_msg_record(&request, &record);
		kad_msg_end(&request);
		assert_int_equal(kad_server_answer(&view, &from, buf_bytes(&request), &out),
				 -EKEYREJECTED);
		if (i == 1000)
			before = memory_used();
	}
	assert_true(memory_used() <= before + 4096);
	assert_int_equal(store.keys.count, 0);
	assert_int_equal(store.peers.count, 0);
	assert_int_equal(records_in(db), 0);
	kad_values_release(&store);
	db_close(db);
	buf_release(&request);
	buf_release(&out);
	buf_release(&value);
}

static bool is_due(struct kad_values *store, const char *key, uint64_t now_ns)
{
	struct buf due = { 0 };
	bool is = kad_values_due(store, now_ns, &due);

	if (is)
		assert_true(bytes_equal(buf_bytes(&due), bytes_str(key)));
	buf_release(&due);
	return is;
}

static void own_values_come_due_again(void **state)
{
	const uint64_t again_ns = KAD_VALUE_AGAIN_MS * MS, retry_ns = KAD_VALUE_RETRY_MS * MS;
	struct kad_values store;
	struct db *db;

	(void)state;
	assert_int_equal(db_open_temp(&db), 0);
	begin(&store, db, NOW_NS);
	assert_int_equal(put(&store, "/n/1", "5", 1, NOW_NS), 0);
	assert_false(is_due(&store, "", NOW_NS + again_ns));
	assert_int_equal(put(&store, "/n/2", "5", 0, NOW_NS), 0);
	/* Until somebody has it, soon; then every few hours. */
	assert_false(is_due(&store, "", NOW_NS + retry_ns - MS));
	assert_true(is_due(&store, "/n/2", NOW_NS + retry_ns));
	assert_false(is_due(&store, "", NOW_NS + 2 * retry_ns - MS));
	kad_values_told(&store, bytes_str("/n/1"), NOW_NS);
	kad_values_told(&store, bytes_str("/n/2"), NOW_NS);
	assert_false(is_due(&store, "", NOW_NS + again_ns - MS));
	/* Another's better record of our key is told by us as well. */
	assert_int_equal(put(&store, "/n/2", "6", 3, NOW_NS + 1), 0);
	assert_true(is_due(&store, "/n/2", NOW_NS + again_ns));
	kad_values_told(&store, bytes_str("/n/2"), NOW_NS + again_ns);
	/* A clock turned back does not silence it. */
	assert_true(is_due(&store, "/n/2", NOW_NS - 1000 * MS));
	/* What another told first becomes ours when we put it. */
	assert_int_equal(put(&store, "/n/3", "5", 1, NOW_NS), 0);
	assert_int_equal(put(&store, "/n/3", "5", 0, NOW_NS + 1), 0);
	kad_values_told(&store, bytes_str("/n/2"), NOW_NS);
	assert_true(is_due(&store, "/n/3", NOW_NS + retry_ns));
	kad_values_release(&store);
	/* A restart knows which are ours. */
	assert_int_equal(db_flush(db), 0);
	begin(&store, db, NOW_NS + 1);
	assert_false(is_due(&store, "", NOW_NS + again_ns - MS));
	assert_true(is_due(&store, "/n/3", NOW_NS + again_ns));
	assert_false(is_due(&store, "", NOW_NS + again_ns));
	kad_values_release(&store);
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_value_is_kept),
		cmocka_unit_test(end_of_life_of_a_record_comes_before_the_ttl),
		cmocka_unit_test(full_store_drops_the_farthest_records),
		cmocka_unit_test(one_peer_displaces_no_more_than_its_share),
		cmocka_unit_test(full_store_drops_expired_records_first),
		cmocka_unit_test(bytes_of_all_records_are_limited),
		cmocka_unit_test(a_record_is_checked_once),
		cmocka_unit_test(signatures_are_bounded),
		cmocka_unit_test(records_loaded_unchecked_are_neither_given_nor_lost),
		cmocka_unit_test(invalid_records_do_not_survive_a_restart),
		cmocka_unit_test(public_key_record_must_match_its_name),
		cmocka_unit_test(newer_name_record_replaces_the_older),
		cmocka_unit_test(a_flood_leaves_disk_and_memory_as_they_were),
		cmocka_unit_test(own_values_come_due_again),
	};

	return cmocka_run_group_tests_name("routing/values", tests, NULL, NULL);
}

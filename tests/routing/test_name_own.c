/* Own names in the db: which sequence comes next, also beside what the network has, what a record
 * made anew goes on from, and what is read of damaged rows. */
#include "routing/names/own.h"

#include "net/base/alloc.h"
#include "net/db/db.h"
#include "routing/names.h"
#include "routing/record/ipns.h"
#include "routing/record/ipns_write.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS (3600ull * 1000)
#define NS_PER_MS 1000000ull
#define NOW_NS (1795000000ull * 1000000000)
#define A "/ipfs/bafkqaaa"
#define B "/ipfs/bafkqabddmfzgk"

struct bench {
	struct db *db;
	struct private_key *key;
	struct peer_id name;
};

static int setup(void **state)
{
	struct bench *bench = xnew(struct bench);
	int err;

	bench->key = private_key_new(KEY_ED25519, 0, &err);
	peer_id_of_key(&bench->name, private_key_public(bench->key));
	*state = bench;
	return db_open_temp(&bench->db);
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	db_close(bench->db);
	private_key_free(bench->key);
	free(bench);
	return 0;
}

static struct name_new new_of(const char *value)
{
	return (struct name_new){ .value = bytes_str(value),
				  .lifetime_ms = NAME_LIFETIME_MS,
				  .ttl_ms = NAME_TTL_MS };
}

static int make_at(struct bench *bench, const struct name_new *new, uint64_t now_ns)
{
	return name_own_make(bench->db, bench->key, new, now_ns, NULL);
}

static uint64_t make(struct bench *bench, const char *value)
{
	struct name_new new = new_of(value);
	struct name_record record;
	struct buf made = { 0 };
	uint64_t sequence;
	static uint64_t now_ns = NOW_NS;

	now_ns += NS_PER_MS;
	assert_int_equal(name_own_make(bench->db, bench->key, &new, now_ns, &made), 0);
	assert_int_equal(name_record_check(&record, &bench->name, buf_bytes(&made), now_ns), 0);
	assert_false(record.expired);
	sequence = record.sequence;
	buf_release(&made);
	return sequence;
}

/* What is stored as our own. */
struct stored {
	char value[64];
	uint64_t sequence, eol_ns, told_ms;
	size_t commit_len;
};

static struct stored stored(struct bench *bench)
{
	struct name_record record;
	struct stored out = { 0 };
	struct name_own own;

	assert_int_equal(name_own_get(bench->db, &bench->name, &own), 0);
	assert_int_equal(name_record_check(&record, &bench->name, buf_bytes(&own.record), NOW_NS),
			 0);
	assert_in_range(record.value.len, 1, sizeof(out.value) - 1);
	memcpy(out.value, record.value.at, record.value.len);
	out.sequence = record.sequence;
	out.eol_ns = record.eol_ns;
	out.told_ms = own.told_ms;
	out.commit_len = record.commit.len;
	name_own_release(&own);
	return out;
}

/* The network has a record that was made with our key elsewhere. */
static void see(struct bench *bench, const char *value, uint64_t sequence, uint64_t end_ns)
{
	struct ipns_content content = { .value = bytes_str(value),
					.sequence = sequence,
					.eol = eol_of_ns(end_ns) };
	struct buf record = { 0 };

	assert_int_equal(ipns_write(&content, bench->key, &record), 0);
	name_seen(bench->db, &bench->name, buf_bytes(&record));
	buf_release(&record);
}

static void tell(struct bench *bench, uint64_t now_ms)
{
	struct name_own own;

	assert_int_equal(name_own_get(bench->db, &bench->name, &own), 0);
	name_own_told(bench->db, &own, now_ms);
	name_own_release(&own);
	assert_int_equal(db_flush(bench->db), 0);
}

static void sequence_grows_when_the_value_changes(void **state)
{
	struct bench *bench = *state;
	struct name_new new = new_of(B);

	assert_int_equal(make(bench, A), 0);
	assert_int_equal(make(bench, A), 0);
	assert_int_equal(make(bench, B), 1);
	assert_int_equal(make(bench, A), 2);
	/* A commit is content, too. */
	new = new_of(A);
	new.commit = bytes_str("commit");
	assert_int_equal(make_at(bench, &new, NOW_NS + HOUR_MS * NS_PER_MS), 0);
	assert_int_equal(stored(bench).sequence, 3);
	assert_int_equal(stored(bench).commit_len, 6);
	/* For those who want each to be newer. */
	new.always_next = true;
	assert_int_equal(make_at(bench, &new, NOW_NS + 2 * HOUR_MS * NS_PER_MS), 0);
	assert_int_equal(stored(bench).sequence, 4);
}

static void shorter_life_needs_a_higher_sequence(void **state)
{
	struct bench *bench = *state;
	struct name_new new = new_of(A);

	assert_int_equal(make(bench, A), 0);
	new.lifetime_ms = HOUR_MS;
	assert_int_equal(make_at(bench, &new, NOW_NS), 0);
	assert_int_equal(stored(bench).sequence, 1);
}

static void given_sequence_must_be_above_the_last(void **state)
{
	struct bench *bench = *state;
	struct name_new new = new_of(A);

	new.sequence_given = true;
	new.sequence = 7;
	assert_int_equal(make_at(bench, &new, NOW_NS), 0);
	assert_int_equal(make_at(bench, &new, NOW_NS), -ERANGE);
	new.sequence = 6;
	assert_int_equal(make_at(bench, &new, NOW_NS), -ERANGE);
	new.sequence = (uint64_t)INT64_MAX + 1;
	assert_int_equal(make_at(bench, &new, NOW_NS), -EINVAL);
	new.sequence = INT64_MAX;
	assert_int_equal(make_at(bench, &new, NOW_NS), 0);
	new = new_of(B);
	assert_int_equal(make_at(bench, &new, NOW_NS), -ERANGE);
	assert_int_equal(stored(bench).sequence, INT64_MAX);
	assert_string_equal(stored(bench).value, A);
}

static void sequence_goes_on_above_what_the_network_has(void **state)
{
	struct bench *bench = *state;
	uint64_t end_ns = NOW_NS + NAME_LIFETIME_MS * NS_PER_MS;

	assert_int_equal(make(bench, A), 0);
	see(bench, B, 41, end_ns);
	assert_int_equal(make(bench, A), 42);
	/* Without any record of our own, too. */
	private_key_free(bench->key);
	bench->key = private_key_new(KEY_ED25519, 0, &(int){ 0 });
	peer_id_of_key(&bench->name, private_key_public(bench->key));
	see(bench, B, 9, end_ns);
	assert_int_equal(make(bench, A), 10);
}

static void renewed_record_lives_longer_and_says_the_same(void **state)
{
	struct bench *bench = *state;
	struct stored before, after;

	assert_int_equal(name_own_renew(bench->db, bench->key, NOW_NS), -ENOENT);
	make(bench, B);
	tell(bench, 5);
	before = stored(bench);
	assert_int_equal(before.told_ms, 5);
	assert_int_equal(name_own_renew(bench->db, bench->key, NOW_NS + HOUR_MS * NS_PER_MS), 0);
	after = stored(bench);
	assert_int_equal(after.sequence, before.sequence);
	assert_string_equal(after.value, B);
	assert_int_equal(after.eol_ns, NOW_NS + (HOUR_MS + NAME_LIFETIME_MS) * NS_PER_MS);
	assert_int_equal(after.told_ms, 0); /* it is another record */
	/* A clock that was put back: what others have must not be better. */
	assert_int_equal(name_own_renew(bench->db, bench->key, NOW_NS), 0);
	assert_int_equal(stored(bench).sequence, before.sequence + 1);
}

/* A restored backup: the network knows what was published after it. */
static void renewal_takes_the_newer_content_that_was_told_elsewhere(void **state)
{
	struct bench *bench = *state;

	make(bench, A);
	tell(bench, 5);
	see(bench, B, 12, NOW_NS + HOUR_MS * NS_PER_MS);
	assert_int_equal(name_own_renew(bench->db, bench->key, NOW_NS), 0);
	assert_string_equal(stored(bench).value, B);
	assert_int_equal(stored(bench).sequence, 12);
}

static void renewal_puts_untold_content_above_what_the_network_has(void **state)
{
	struct bench *bench = *state;

	make(bench, A);
	see(bench, B, 12, NOW_NS + HOUR_MS * NS_PER_MS);
	assert_int_equal(name_own_renew(bench->db, bench->key, NOW_NS), 0);
	assert_string_equal(stored(bench).value, A);
	assert_int_equal(stored(bench).sequence, 13);
}

static void lives_and_values_out_of_bounds_are_refused(void **state)
{
	struct bench *bench = *state;
	char large[NAME_VALUE_MAX + 2];
	struct name_new new = new_of("");

	assert_int_equal(make_at(bench, &new, NOW_NS), -EINVAL);
	new = new_of(A);
	new.lifetime_ms = UINT64_MAX;
	assert_int_equal(make_at(bench, &new, NOW_NS), -EINVAL);
	new = new_of(A);
	new.ttl_ms = UINT64_MAX / 2;
	assert_int_equal(make_at(bench, &new, NOW_NS), -EINVAL);
	memset(large, 'x', sizeof(large));
	large[NAME_VALUE_MAX + 1] = 0;
	new = new_of(large);
	assert_int_equal(make_at(bench, &new, NOW_NS), -EMSGSIZE);
	large[NAME_VALUE_MAX] = 0;
	new = new_of(large);
	assert_int_equal(make_at(bench, &new, NOW_NS), 0);
}

static int count_own(void *ctx, const struct name_own *own)
{
	(void)own;
	++*(unsigned *)ctx;
	return 0;
}

static void the_best_record_that_is_stored_is_told(void **state)
{
	struct bench *bench = *state;
	struct name_record record;
	struct buf out = { 0 };
	unsigned count = 0;

	assert_int_equal(name_stored(bench->db, &bench->name, &out), -ENOENT);
	see(bench, B, 3, NOW_NS - 1);
	assert_int_equal(db_flush(bench->db), 0);
	assert_int_equal(name_stored(bench->db, &bench->name, &out), 0);
	assert_int_equal(name_record_check(&record, &bench->name, buf_bytes(&out), NOW_NS), 0);
	assert_int_equal(record.sequence, 3);
	assert_true(record.expired);
	make(bench, A);
	buf_clear(&out);
	assert_int_equal(name_stored(bench->db, &bench->name, &out), 0);
	assert_int_equal(name_record_check(&record, &bench->name, buf_bytes(&out), NOW_NS), 0);
	assert_int_equal(record.sequence, 4);
	assert_int_equal(name_own_each(bench->db, count_own, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(name_forget(bench->db, &bench->name), 0);
	assert_int_equal(name_forget(bench->db, &bench->name), 0);
	buf_release(&out);
}

/* As a stranger's disk may have it. */
static void rows_that_are_none_of_ours_are_passed_over(void **state)
{
	struct bench *bench = *state;
	static const char *const rows[] = { "", "\1", "\2\0\0\0\0\0\0\0\0",
					    "\1\0 eight bytes and again eight bytes" };
	struct name_own own;
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct db_txn *txn;

		assert_int_equal(db_begin(bench->db, true, &txn), 0);
		assert_int_equal(
			db_put(txn, "names", peer_id_bytes(&bench->name),
			       bytes_of((const uint8_t *)rows[i], i == 2 ? 9 : strlen(rows[i]))),
			0);
		assert_int_equal(db_put(txn, "names", bytes_str("no name"), bytes_str("\1")), 0);
		assert_int_equal(db_put(txn, "names_seen", peer_id_bytes(&bench->name),
					bytes_str("no record")),
				 0);
		assert_int_equal(
			db_put(txn, "names_told", peer_id_bytes(&bench->name), bytes_str("\1")), 0);
		assert_int_equal(db_commit(txn), 0);
		if (i < 3)
			assert_int_not_equal(name_own_get(bench->db, &bench->name, &own), 0);
		name_own_each(bench->db, count_own, &count);
		assert_int_equal(make(bench, A), 0);
		assert_int_equal(stored(bench).sequence, 0);
	}
	assert_in_range(count, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(sequence_grows_when_the_value_changes),
		TEST(shorter_life_needs_a_higher_sequence),
		TEST(given_sequence_must_be_above_the_last),
		TEST(sequence_goes_on_above_what_the_network_has),
		TEST(renewed_record_lives_longer_and_says_the_same),
		TEST(renewal_takes_the_newer_content_that_was_told_elsewhere),
		TEST(renewal_puts_untold_content_above_what_the_network_has),
		TEST(lives_and_values_out_of_bounds_are_refused),
		TEST(the_best_record_that_is_stored_is_told),
		TEST(rows_that_are_none_of_ours_are_passed_over),
	};

	return cmocka_run_group_tests_name("routing/name_own", tests, NULL, NULL);
}

/* dag/share/commit.c and seen.c: what is made is read again, and nothing else is. */
#include "dag/share.h"
#include "net/base/alloc.h"
#include "tests/dag/share_make.h"

#include <errno.h>
#include <string.h>

#include <cmocka.h>

static struct private_key *make_key(void)
{
	int err;
	struct private_key *key = private_key_new(KEY_ED25519, 0, &err);

	assert_non_null(key);
	return key;
}

static struct pen make_pen(const struct private_key *writer, const char *nonce)
{
	struct pen pen = { 0 };

	assert_int_equal(writer_key(private_key_public(writer), pen.key), 0);
	pen.id = pen_id(pen.key, bytes_str(nonce));
	strcpy(pen.label, "anna");
	return pen;
}

static void make_commit(const struct private_key *writer, struct commit *commit, struct buf *out)
{
	struct pen pen = make_pen(writer, "n");

	*commit = (struct commit){ .at = 77, .no = 3, .files = 5, .size = 1000 };
	commit->pen = pen.id;
	commit->tree = share_cid(CODEC_DAG_PB, 1);
	commit->state = share_cid(CODEC_DAG_CBOR, 2);
	commit->prev = share_cid(CODEC_DAG_CBOR, 3);
	strcpy(commit->note, "note");
	assert_int_equal(seen_write(&commit->seen, &pen, 50, 50), 0);
	assert_int_equal(seen_write(&commit->seen, &pen, 77, 50), 0);
	assert_int_equal(commit_make(commit, writer, out), 0);
}

static void a_commit_is_read_as_it_was_made(void **state)
{
	struct private_key *writer = make_key();
	struct commit commit, read;
	struct buf block = { 0 }, again = { 0 };

	(void)state;
	make_commit(writer, &commit, &block);
	assert_int_equal(commit_decode(&read, buf_bytes(&block)), 0);
	assert_int_equal(commit_verify(&read), 0);
	assert_int_equal(read.at, 77);
	assert_int_equal(read.files, 5);
	assert_string_equal(read.note, "note");
	assert_true(cid_equal(&read.prev, &commit.prev));
	assert_true(seen_equal(&read.seen, &commit.seen));
	assert_int_equal(commit_make(&read, writer, &again), 0);
	assert_int_equal(again.len, block.len);
	assert_memory_equal(again.at, block.at, block.len);
	buf_release(&again);
	buf_release(&block);
	commit_release(&read);
	commit_release(&commit);
	private_key_free(writer);
}

static void every_changed_byte_of_a_commit_is_noticed(void **state)
{
	struct private_key *writer = make_key();
	struct commit commit, read;
	struct buf block = { 0 };

	(void)state;
	make_commit(writer, &commit, &block);
	for (size_t i = 0; i < block.len; i++) {
		block.at[i] ^= 1;
		if (!commit_decode(&read, buf_bytes(&block)))
			assert_int_equal(commit_verify(&read), -EKEYREJECTED);
		commit_release(&read);
		block.at[i] ^= 1;
	}
	for (size_t len = 0; len < block.len; len++) {
		assert_int_not_equal(commit_decode(&read, bytes_of(block.at, len)), 0);
		commit_release(&read);
	}
	buf_add_u8(&block, 0);
	assert_int_equal(commit_decode(&read, buf_bytes(&block)), -EBADMSG);
	buf_release(&block);
	commit_release(&commit);
	private_key_free(writer);
}

static void a_commit_that_has_not_seen_itself_is_not_made(void **state)
{
	struct private_key *writer = make_key();
	struct commit commit;
	struct buf block = { 0 };

	(void)state;
	make_commit(writer, &commit, &block);
	commit.at++;
	assert_int_equal(commit_make(&commit, writer, &block), -EINVAL);
	buf_release(&block);
	commit_release(&commit);
	private_key_free(writer);
}

static void runs_of_one_pen_are_extended_and_at_last_fused(void **state)
{
	struct private_key *writer = make_key();
	struct pen pen = make_pen(writer, "n");
	struct seen seen = { 0 };

	(void)state;
	for (uint64_t run = 1; run <= SEEN_RUNS_WRITTEN_MAX + 1; run++) {
		assert_int_equal(seen_write(&seen, &pen, run * 100, run * 100), 0);
		assert_int_equal(seen_write(&seen, &pen, run * 100 + 10, run * 100), 0);
	}
	assert_int_equal(seen_find(&seen, pen.id)->run_count, SEEN_RUNS_WRITTEN_MAX);
	assert_true(seen_contains(&seen, pen.id, 105));
	assert_true(seen_contains(&seen, pen.id, 150)); /* the two oldest are one */
	assert_false(seen_contains(&seen, pen.id, 350));
	assert_int_equal(seen_write(&seen, &pen, 900, 900), -EINVAL);
	assert_int_equal(seen_span(&seen, pen.id, 340, 420), SEEN_SOME);
	assert_int_equal(seen_newest(&seen, 350), 310);
	seen_release(&seen);
	private_key_free(writer);
}

static void a_union_has_all_of_both_in_either_order(void **state)
{
	struct private_key *writer = make_key();
	uint64_t random = 7;

	(void)state;
	for (int round = 0; round < 500; round++) {
		struct seen a = { 0 }, b = { 0 }, ab = { 0 }, ba = { 0 }, read = { 0 };
		struct buf bytes = { 0 };
		struct seen *both[] = { &a, &b };

		for (int i = 0; i < 2; i++)
			for (int k = 0; k < 5; k++) {
				char nonce[2] = { (char)('a' + share_random(&random) % 3), 0 };
				struct pen pen = make_pen(writer, nonce);
				uint64_t stamp = (uint64_t)k * 10 + share_random(&random) % 9 + 1;

				(void)seen_write(both[i], &pen, stamp, stamp);
			}
		seen_copy(&ab, &a);
		seen_copy(&ba, &b);
		assert_int_equal(seen_union(&ab, &b), 0);
		assert_int_equal(seen_union(&ba, &a), 0);
		assert_true(seen_equal(&ab, &ba));
		assert_true(seen_within(&a, &ab) && seen_within(&b, &ab));
		seen_encode(&ab, &bytes);
		struct cursor c = cursor_over(buf_bytes(&bytes));

		assert_int_equal(seen_decode(&read, &c), 0);
		assert_true(seen_equal(&read, &ab));
		buf_release(&bytes);
		seen_release(&a);
		seen_release(&b);
		seen_release(&ab);
		seen_release(&ba);
		seen_release(&read);
	}
	private_key_free(writer);
}

static void a_pen_of_two_keys_is_refused(void **state)
{
	struct private_key *one = make_key(), *two = make_key();
	struct pen a = make_pen(one, "n"), b = make_pen(two, "n");
	struct seen x = { 0 }, y = { 0 };

	(void)state;
	b.id = a.id;
	assert_int_equal(seen_write(&x, &a, 1, 1), 0);
	assert_int_equal(seen_write(&y, &b, 2, 2), 0);
	assert_int_equal(seen_union(&x, &y), -EKEYREJECTED);
	assert_int_equal(seen_write(&x, &b, 3, 3), -EKEYREJECTED);
	seen_release(&x);
	seen_release(&y);
	private_key_free(one);
	private_key_free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_is_read_as_it_was_made),
		cmocka_unit_test(every_changed_byte_of_a_commit_is_noticed),
		cmocka_unit_test(a_commit_that_has_not_seen_itself_is_not_made),
		cmocka_unit_test(runs_of_one_pen_are_extended_and_at_last_fused),
		cmocka_unit_test(a_union_has_all_of_both_in_either_order),
		cmocka_unit_test(a_pen_of_two_keys_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

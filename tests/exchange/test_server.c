/* Ledgers: what a peer wants of us, in which order it is served, and how little a greedy one gains.
 */
#include "exchange/bitswap/server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WANTS_MAX 8

/* A store of sizes: block n is there when n is below here. */
struct shop {
	struct bitswap_server server;
	unsigned here;
	size_t size; /* of each */
	unsigned wakes, looks;
};

static struct cid numbered(unsigned n)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(&n, sizeof(n))),
			 0);
	return cid;
}

static int shop_size(void *ctx, const struct cid *cid, size_t *size)
{
	struct shop *shop = ctx;

	shop->looks++;
	for (unsigned n = 0; n < shop->here; n++) {
		struct cid one = numbered(n);

		if (!bytes_equal(cid_hash_bytes(&one), cid_hash_bytes(cid)))
			continue;
		*size = shop->size;
		return 0;
	}
	return -ENOENT;
}

static void shop_wake(void *ctx)
{
	((struct shop *)ctx)->wakes++;
}

static void shop_open(struct shop *shop, unsigned here, size_t size)
{
	static const struct bitswap_server_ops ops = { .size = shop_size, .wake = shop_wake };

	*shop = (struct shop){ .here = here, .size = size };
	bitswap_server_init(&shop->server, WANTS_MAX, &ops, shop);
}

static void apply(struct bitswap_server_peer *peer, const struct bitswap_entry *entries,
		  size_t count, bool full)
{
	struct buf list = { 0 }, out = { 0 };
	struct bitswap_summary summary;

	for (size_t i = 0; i < count; i++)
		bitswap_msg_add_entry(&list, &entries[i]);
	bitswap_msg_add_wantlist(&out, buf_bytes(&list), full);
	struct cursor c = cursor_over(buf_bytes(&out));

	cursor_uvarint(&c);
	struct bytes message = bytes_of(c.at, cursor_left(&c));

	assert_int_equal(bitswap_msg_check(message, &summary), 0);
	bitswap_server_message(peer, message, &summary);
	buf_release(&list);
	buf_release(&out);
}

static struct bitswap_entry want(unsigned n, int32_t priority)
{
	return (struct bitswap_entry){ .cid = numbered(n), .priority = priority };
}

static void ask(struct bitswap_server_peer *peer, struct bitswap_entry entry)
{
	apply(peer, &entry, 1, false);
}

static unsigned next(struct bitswap_server_peer *peer)
{
	struct bitswap_task task;

	if (!bitswap_server_pop(peer, &task))
		return 999;
	for (unsigned n = 0; n < 100; n++) {
		struct cid one = numbered(n);

		if (cid_equal(&one, &task.cid))
			return n;
	}
	return 998;
}

static struct bitswap_summary presences(struct bitswap_server_peer *peer)
{
	struct bitswap_summary summary;

	assert_int_equal(bitswap_msg_check(buf_bytes(&peer->presences), &summary), 0);
	buf_clear(&peer->presences);
	peer->presence_count = 0;
	return summary;
}

static void close_shop(struct shop *shop, struct bitswap_server_peer *peer)
{
	bitswap_server_remove(peer);
	assert_int_equal(shop->server.lacking.count, 0);
	bitswap_server_release(&shop->server);
}

static void serves_by_priority_then_age(void **state)
{
	(void)state;
	struct shop shop;

	shop_open(&shop, 10, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	ask(peer, want(1, 5));
	ask(peer, want(2, 9));
	ask(peer, want(3, 5));
	ask(peer, want(4, 7));
	assert_int_equal(shop.wakes, 1);
	assert_int_equal(peer->pending_bytes, 20000);
	assert_int_equal(bitswap_server_peek(peer), 5000);
	assert_int_equal(next(peer), 2);
	assert_int_equal(next(peer), 4);
	assert_int_equal(next(peer), 1);
	assert_int_equal(next(peer), 3);
	assert_int_equal(next(peer), 999);
	assert_int_equal(peer->wants.count, 0);
	assert_int_equal(peer->pending_bytes, 0);
	close_shop(&shop, peer);
}

static void want_have_of_a_small_block_gets_the_block(void **state)
{
	(void)state;
	struct shop shop;
	struct bitswap_entry entry = want(1, 1);

	entry.have = true;
	shop_open(&shop, 10, BITSWAP_HAVE_AS_BLOCK_MAX);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	ask(peer, entry);
	assert_int_equal(presences(peer).presences, 0);
	assert_int_equal(next(peer), 1);
	shop.size++;
	ask(peer, entry);
	assert_int_equal(presences(peer).presences, 1);
	assert_int_equal(next(peer), 999);
	assert_int_equal(peer->wants.count, 0);
	/* An empty block is a block. */
	shop.size = 0;
	ask(peer, entry);
	assert_int_equal(next(peer), 1);
	close_shop(&shop, peer);
}

static void want_for_a_missing_block_is_answered_and_kept(void **state)
{
	(void)state;
	struct shop shop;
	struct bitswap_entry quiet = want(1, 1), loud = want(2, 1);

	loud.send_dont_have = true;
	shop_open(&shop, 0, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	ask(peer, quiet);
	ask(peer, loud);
	assert_int_equal(presences(peer).presences, 1);
	assert_int_equal(next(peer), 999);
	assert_int_equal(shop.server.lacking.count, 2);
	/* The same bytes under another name wake the want, which keeps the name it asked by. */
	struct cid one = numbered(1), two = numbered(2);

	bitswap_server_have(&shop.server, cid_hash_bytes(&one), 5000);
	bitswap_server_have(&shop.server, cid_hash_bytes(&two), 5000);
	bitswap_server_have(&shop.server, cid_hash_bytes(&two), 5000);
	assert_int_equal(next(peer), 1);
	assert_int_equal(next(peer), 2);
	assert_int_equal(shop.server.lacking.count, 0);
	close_shop(&shop, peer);
}

static void cancel_sticks_and_full_clears(void **state)
{
	(void)state;
	struct shop shop;

	shop_open(&shop, 10, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);
	struct bitswap_entry entries[3] = { want(1, 1), want(2, 1), want(1, 0) };

	entries[2].cancel = true;
	apply(peer, entries, 3, false);
	assert_int_equal(peer->wants.count, 1);
	/* Whatever the order. */
	struct bitswap_entry swapped[2] = { entries[2], entries[0] };

	apply(peer, swapped, 2, false);
	assert_int_equal(peer->wants.count, 1);
	struct bitswap_entry three = want(3, 1);

	apply(peer, &three, 1, true);
	assert_int_equal(peer->wants.count, 1);
	assert_int_equal(next(peer), 3);
	close_shop(&shop, peer);
}

static void block_beats_have(void **state)
{
	(void)state;
	struct shop shop;
	struct bitswap_entry have = want(1, 1);

	have.have = true;
	shop_open(&shop, 0, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);
	struct cid one = numbered(1);

	ask(peer, have);
	ask(peer, want(1, 1));
	ask(peer, have);
	bitswap_server_have(&shop.server, cid_hash_bytes(&one), 5000);
	assert_int_equal(next(peer), 1);
	close_shop(&shop, peer);
}

/* At the limit what we lack goes first, the oldest of it; then what matters less; what is wanted
 * less than all we have is not taken. */
static void newest_wins_at_the_limit(void **state)
{
	(void)state;
	struct shop shop;

	shop_open(&shop, 50, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	for (unsigned n = 60; n < 60 + WANTS_MAX; n++)
		ask(peer, want(n, 100));
	assert_int_equal(peer->wants.count, WANTS_MAX);
	for (unsigned n = 0; n < WANTS_MAX; n++)
		ask(peer, want(n, (int32_t)(10 + n)));
	assert_int_equal(peer->wants.count, WANTS_MAX);
	assert_int_equal(peer->best.len, WANTS_MAX);
	assert_int_equal(shop.server.lacking.count, 0);
	ask(peer, want(20, 50));
	ask(peer, want(21, 1));
	assert_int_equal(peer->wants.count, WANTS_MAX);
	assert_int_equal(next(peer), 20);
	for (unsigned n = WANTS_MAX - 1; n > 0; n--)
		assert_int_equal(next(peer), n);
	assert_int_equal(next(peer), 999);
	close_shop(&shop, peer);
}

static void identity_and_unknown_hashes(void **state)
{
	(void)state;
	struct shop shop;
	struct bitswap_entry entry = { .priority = 1, .send_dont_have = true };

	shop_open(&shop, 10, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	assert_int_equal(cid_make(&entry.cid, 1, CODEC_RAW, bytes_of("\0\2hi", 4)), 0);
	ask(peer, entry);
	assert_false(bitswap_server_has_mail(peer));
	/* md5 (0xd5): never. */
	assert_int_equal(cid_make(&entry.cid, 1, CODEC_RAW,
				  bytes_of("\xd5\x01\x10"
					   "0123456789abcdef",
					   19)),
			 0);
	ask(peer, entry);
	assert_int_equal(presences(peer).presences, 1);
	assert_int_equal(peer->wants.count, 0);
	close_shop(&shop, peer);
}

static void peers_are_served_in_turns(void **state)
{
	(void)state;
	struct shop shop;

	shop_open(&shop, 50, 5000);
	struct bitswap_server_peer *greedy = bitswap_server_add(&shop.server, NULL);
	struct bitswap_server_peer *modest = bitswap_server_add(&shop.server, NULL);

	for (unsigned n = 0; n < WANTS_MAX; n++)
		ask(greedy, want(n, 100));
	ask(modest, want(1, 1));
	assert_ptr_equal(bitswap_server_next(&shop.server), greedy);
	assert_int_equal(next(greedy), 0);
	bitswap_server_again(greedy);
	assert_ptr_equal(bitswap_server_next(&shop.server), modest);
	assert_int_equal(next(modest), 1);
	bitswap_server_again(modest);
	assert_ptr_equal(bitswap_server_next(&shop.server), greedy);
	assert_null(bitswap_server_next(&shop.server));
	bitswap_server_remove(modest);
	close_shop(&shop, greedy);
}

static void want_whose_block_vanished_is_answered_and_kept(void **state)
{
	(void)state;
	struct shop shop;
	struct bitswap_task task;
	struct bitswap_entry entry = want(1, 1);

	entry.send_dont_have = true;
	shop_open(&shop, 10, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	ask(peer, entry);
	assert_true(bitswap_server_pop(peer, &task));
	bitswap_server_missed(peer, &task);
	assert_int_equal(presences(peer).presences, 1);
	assert_int_equal(shop.server.lacking.count, 1);
	bitswap_server_have(&shop.server, cid_hash_bytes(&task.cid), 7);
	assert_int_equal(next(peer), 1);
	close_shop(&shop, peer);
}

/* CVE-2023-25568: wants by the million cost what the ledger may hold, and go with the peer. */
static void flood_is_bounded(void **state)
{
	(void)state;
	struct shop shop;

	shop_open(&shop, 0, 0);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);
	struct bitswap_entry entry = { .priority = 1, .send_dont_have = true };

	for (unsigned n = 0; n < 20000; n++) {
		entry.cid = numbered(n);
		ask(peer, entry);
		assert_in_range(peer->wants.count, 1, WANTS_MAX);
	}
	assert_int_equal(shop.server.lacking.count, WANTS_MAX);
	assert_int_equal(peer->presence_count, BITSWAP_PRESENCES_MAX);
	close_shop(&shop, peer);
}

/* Random wants, updates and cancels, against a list that is searched through. */
static void ledger_agrees_with_a_plain_list(void **state)
{
	(void)state;
	enum { BLOCKS = 24 };
	struct shop shop;
	int32_t listed[BLOCKS]; /* priority; 0: not wanted */
	uint64_t order[BLOCKS] = { 0 };
	unsigned count = 0;

	memset(listed, 0, sizeof(listed));
	srandom(7);
	shop_open(&shop, BLOCKS, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	for (unsigned step = 1; step < 3000; step++) {
		unsigned n = (unsigned)random() % BLOCKS, least = BLOCKS, best = 999;
		int32_t priority = 1 + (int32_t)(random() % 6);

		for (unsigned i = 0; i < BLOCKS; i++)
			if (listed[i] && (least == BLOCKS || listed[i] < listed[least] ||
					  (listed[i] == listed[least] && order[i] > order[least])))
				least = i;
		if (random() % 4 == 0) {
			struct bitswap_entry cancel = want(n, 0);

			cancel.cancel = true;
			ask(peer, cancel);
			count -= listed[n] != 0;
			listed[n] = 0;
		} else {
			ask(peer, want(n, priority));
			if (!listed[n] && count == WANTS_MAX && listed[least] < priority) {
				listed[least] = 0;
				count--;
			}
			if (listed[n] || count < WANTS_MAX) {
				order[n] = listed[n] ? order[n] : step;
				count += !listed[n];
				listed[n] = priority;
			}
		}
		assert_int_equal(peer->wants.count, count);
		if (step % 10)
			continue;
		for (unsigned i = 0; i < BLOCKS; i++)
			if (listed[i] && (best == 999 || listed[i] > listed[best] ||
					  (listed[i] == listed[best] && order[i] < order[best])))
				best = i;
		assert_int_equal(next(peer), best);
		if (best != 999) {
			listed[best] = 0;
			count--;
		}
	}
	close_shop(&shop, peer);
}

/* However much is waited for, a turn looks at so much; all is looked at, also what is told of
 * twice. */
static void rechecks_go_in_steps(void **state)
{
	(void)state;
	struct shop shop;

	shop_open(&shop, 0, 5000);
	struct bitswap_server_peer *peer = bitswap_server_add(&shop.server, NULL);

	for (unsigned n = 0; n < WANTS_MAX; n++)
		ask(peer, want(n, 1));
	shop.looks = 0;
	assert_false(bitswap_server_recheck_some(&shop.server, 3));
	assert_int_equal(shop.looks, 0);
	bitswap_server_recheck(&shop.server);
	assert_true(bitswap_server_recheck_some(&shop.server, 3));
	assert_int_equal(shop.looks, 3);
	shop.here = WANTS_MAX;
	bitswap_server_recheck(&shop.server); /* those seen come after those that were not */
	shop.looks = 0;
	assert_true(bitswap_server_recheck_some(&shop.server, WANTS_MAX - 1));
	assert_false(bitswap_server_recheck_some(&shop.server, WANTS_MAX));
	assert_int_equal(shop.looks, WANTS_MAX);
	assert_int_equal(next(peer), 0);
	assert_int_equal(shop.server.lacking.count, 0);
	/* What goes while it is due is not looked at. */
	shop.here = 0;
	ask(peer, want(50, 1));
	bitswap_server_recheck(&shop.server);
	close_shop(&shop, peer);
	assert_false(bitswap_server_recheck_some(&shop.server, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_by_priority_then_age),
		cmocka_unit_test(want_have_of_a_small_block_gets_the_block),
		cmocka_unit_test(want_for_a_missing_block_is_answered_and_kept),
		cmocka_unit_test(cancel_sticks_and_full_clears),
		cmocka_unit_test(block_beats_have),
		cmocka_unit_test(newest_wins_at_the_limit),
		cmocka_unit_test(identity_and_unknown_hashes),
		cmocka_unit_test(peers_are_served_in_turns),
		cmocka_unit_test(ledger_agrees_with_a_plain_list),
		cmocka_unit_test(rechecks_go_in_steps),
		cmocka_unit_test(want_whose_block_vanished_is_answered_and_kept),
		cmocka_unit_test(flood_is_bounded),
	};

	return cmocka_run_group_tests_name("exchange/server", tests, NULL, NULL);
}

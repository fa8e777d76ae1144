/* Whom a session asks, and what it does when nobody answers. */
#include "tests/exchange/bitswap_rig.h"

static void have_then_block(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid cid = rig_cid(1);

	rig_get(rig, session, 1);
	assert_int_equal(rig_mail(rig, a).haves, 1);
	assert_int_equal(rig_mail(rig, b).haves, 1);
	bitswap_client_have(b, &cid);
	assert_int_equal(rig_mail(rig, a).blocks, 0);
	assert_int_equal(rig_mail(rig, b).blocks, 1);
	/* A second HAVE asks nobody twice. */
	bitswap_client_have(a, &cid);
	assert_int_equal(rig_mail(rig, a).blocks, 0);
	rig_block(rig, b, 1);
	assert_int_equal(rig_mail(rig, a).cancels, 1);
	assert_int_equal(rig_mail(rig, b).cancels, 0);
	rig_free(rig);
}

/* Children of a root go straight to who had the root, and to no one else. */
static void children_go_to_members(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid root = rig_cid(1);

	rig_get(rig, session, 1);
	rig_mail(rig, a);
	rig_mail(rig, b);
	bitswap_client_have(a, &root);
	rig_mail(rig, a);
	rig_block(rig, a, 1);
	rig_mail(rig, b);
	for (unsigned i = 2; i < 10; i++)
		rig_get(rig, session, i);
	assert_int_equal(rig_mail(rig, a).blocks, 8);
	struct rig_mail mail = rig_mail(rig, b);

	assert_int_equal(mail.blocks + mail.haves, 0);
	rig_free(rig);
}

static void dont_have_goes_to_the_next(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peers[2] = { rig_peer(rig, 1), rig_peer(rig, 2) };
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid cid = rig_cid(1);

	bitswap_session_join(session, peers[0]);
	bitswap_session_join(session, peers[1]);
	rig_get(rig, session, 1);
	unsigned first = rig_mail(rig, peers[0]).blocks ? 0 : 1;

	if (first == 1)
		assert_int_equal(rig_mail(rig, peers[1]).blocks, 1);
	bitswap_client_dont_have(peers[first], &cid);
	assert_int_equal(rig_mail(rig, peers[!first]).blocks, 1);
	assert_int_equal(rig_mail(rig, peers[first]).blocks, 0);
	/* Both said no: there is no one else, so routing is asked at once. */
	bitswap_client_dont_have(peers[!first], &cid);
	bitswap_client_run(&rig->client);
	assert_int_equal(rig->searches, 1);
	/* It came to have it after all. */
	bitswap_client_have(peers[first], &cid);
	assert_int_equal(rig_mail(rig, peers[first]).blocks, 1);
	rig_free(rig);
}

static void wants_spread_over_members(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *fast = rig_peer(rig, 1), *slow = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	bitswap_session_join(session, fast);
	bitswap_session_join(session, slow);
	fast->rate = 100u << 20;
	slow->rate = 10u << 20;
	for (unsigned i = 0; i < 110; i++)
		rig_get(rig, session, i);
	unsigned to_fast = rig_mail(rig, fast).blocks, to_slow = rig_mail(rig, slow).blocks;

	assert_int_equal(to_fast + to_slow, 110);
	assert_in_range(to_slow, 5, 20);
	rig_free(rig);
}

/* One was asked for all while it was alone, and is slow; then comes a fast one. */
static void idle_fast_peer_takes_over_wants_of_a_slow_one(void **state)
{
	enum { COUNT = 400, LEN = 100000 };
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *slow = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	slow->rate = 1000 * 1000;
	slow->block_size = LEN;
	for (unsigned i = 0; i < COUNT; i++)
		rig_get(rig, session, i);
	assert_int_equal(rig_mail(rig, slow).blocks, COUNT);
	struct bitswap_client_peer *fast = rig_peer(rig, 2);

	fast->rate = 10 * 1000 * 1000;
	fast->block_size = LEN;
	bitswap_session_join(session, fast);
	rig_wait(rig, 200);
	rig_block(rig, slow, 0); /* something happens: it is looked around */
	unsigned taken = rig_mail(rig, fast).blocks;

	assert_int_equal(taken, bitswap_outbox_room(fast, false));
	assert_int_equal(rig_mail(rig, slow).cancels, taken);
	assert_int_equal(slow->flying + fast->flying, COUNT - 1);
	/* The last of the slow one's; those next to come stay. */
	for (unsigned i = 1; i < 100; i++) {
		struct cid cid = rig_cid(i);

		assert_true(
			bitswap_ask_find(bitswap_client_want(&rig->client, &cid), slow)->flying);
	}
	rig_wait(rig, 200);
	rig_block(rig, slow, 1); /* the fast one is not done yet */
	assert_int_equal(rig_mail(rig, fast).blocks, 0);
	rig_free(rig);
}

/* It has sent no block, only some bytes of the first: the other is asked for all, and takes over
 * the last. */
static void peer_that_sends_a_trickle_counts_as_slow(void **state)
{
	enum { FIRST = 4 };
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *slow = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	for (unsigned i = 0; i < FIRST; i++)
		rig_get(rig, session, i);
	assert_int_equal(rig_mail(rig, slow).blocks, FIRST);
	for (unsigned i = 0; i < 30; i++) {
		rig_wait(rig, 100);
		bitswap_outbox_progress(slow, 3000);
	}
	assert_in_range(bitswap_outbox_rate(slow), 25000, 35000);
	/* Who comes now is asked whether it has it, without waiting for anything. */
	struct bitswap_client_peer *fast = rig_peer(rig, 2);
	struct rig_mail asked = rig_mail(rig, fast);

	assert_int_equal(asked.haves, 1);
	bitswap_client_have(fast, &asked.first);
	assert_int_equal(rig_mail(rig, fast).blocks, FIRST);
	assert_int_equal(rig_mail(rig, slow).cancels, FIRST);
	/* What was seen of it is not forgotten, and it is asked for nothing that the other has no
	 * room for just now. */
	assert_in_range(bitswap_outbox_rate(slow), 25000, 35000);
	fast->rate = 10 * 1000 * 1000;
	for (unsigned i = FIRST; i < FIRST + 60; i++)
		rig_get(rig, session, i);
	assert_true(rig_mail(rig, fast).blocks > 20);
	assert_int_equal(rig_mail(rig, slow).blocks, 0);
	/* After a while it is tried again, with one. */
	slow->rate_ms -= 10000;
	rig_block(rig, slow, 0); /* something happens: it is looked around */
	assert_int_equal(rig_mail(rig, slow).blocks, 1);
	rig_free(rig);
}

static void silent_peer_has_its_want_asked_of_another(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	bitswap_session_join(session, a);
	bitswap_session_join(session, b);
	a->rate = 1u << 30;
	rig_get(rig, session, 1);
	assert_int_equal(rig_mail(rig, a).blocks, 1);
	rig_wait(rig, 900);
	assert_int_equal(rig_mail(rig, b).blocks, 0);
	/* Something moves: it is at work. */
	bitswap_outbox_progress(a, 1);
	rig_wait(rig, 900);
	assert_int_equal(rig_mail(rig, b).blocks, 0);
	rig_wait(rig, 200);
	assert_int_equal(rig_mail(rig, b).blocks, 1);
	/* It is not given up for that: the late block still counts, and the other is told. */
	assert_int_equal(a->flying, 1);
	assert_true(rig_block(rig, a, 1));
	assert_int_equal(rig_mail(rig, b).cancels, 1);
	rig_free(rig);
}

/* Who was silent is asked after all others, and for one block at a time, until it delivers. */
static void peer_that_was_silent_is_asked_last(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid second = rig_cid(2);

	bitswap_session_join(session, a);
	bitswap_session_join(session, b);
	a->rate = 1u << 30;
	rig_get(rig, session, 1);
	assert_int_equal(rig_mail(rig, a).blocks, 1);
	rig_wait(rig, 1000);
	assert_int_equal(rig_mail(rig, b).blocks, 1);
	assert_int_equal(bitswap_outbox_room(a, false), 1);
	/* Though it is faster and says that it has the next one. */
	rig_get(rig, session, 2);
	bitswap_client_have(a, &second);
	assert_int_equal(rig_mail(rig, a).blocks, 0);
	assert_int_equal(rig_mail(rig, b).blocks, 1);
	rig_block(rig, a, 1);
	assert_true(bitswap_outbox_room(a, false) > 1);
	rig_get(rig, session, 3);
	assert_int_equal(rig_mail(rig, a).blocks, 1);
	rig_free(rig);
}

/* Rubbish all the time is not silence, but it is no delivery either. */
static void peer_that_sends_other_bytes_has_its_want_asked_of_another(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	unsigned ms = 0, asked = 0;

	bitswap_session_join(session, a);
	bitswap_session_join(session, b);
	a->rate = 1u << 30;
	rig_get(rig, session, 1);
	assert_int_equal(rig_mail(rig, a).blocks, 1);
	for (; ms < 20000 && asked == 0; ms += 200) {
		bitswap_outbox_progress(a, 1000);
		rig_wait(rig, 200);
		asked = rig_mail(rig, b).blocks;
	}
	assert_int_equal(asked, 1);
	assert_in_range(ms, 9000, 11000);
	rig_free(rig);
}

/* With nobody else to ask there is nothing but patience. */
static void single_peer_is_waited_for_until_the_deadline(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	bitswap_session_join(session, a);
	rig_get(rig, session, 1);
	assert_int_equal(rig_mail(rig, a).blocks, 1);
	rig_wait(rig, 4900);
	assert_int_equal(rig_mail(rig, a).blocks, 0);
	assert_int_equal(a->strikes, 0);
	rig_free(rig);
}

/* The budget is full: sessions are fed in turns, and one gets no more because it was there first.
 */
static void starved_sessions_take_turns(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1);
	struct bitswap_session *one = bitswap_session_new(&rig->client);
	struct bitswap_session *other = bitswap_session_new(&rig->client);
	struct cid first = rig_cid(100);

	bitswap_session_join(one, a);
	bitswap_session_join(other, a);
	rig->budget.max = 4 * a->block_size;
	for (unsigned i = 0; i < 20; i++)
		rig_get(rig, one, i);
	assert_int_equal(rig_mail(rig, a).blocks, 4);
	for (unsigned i = 100; i < 120; i++)
		rig_get(rig, other, i);
	assert_int_equal(rig_mail(rig, a).blocks, 0);
	assert_int_equal(rig->budget.peak, rig->budget.max);
	/* First those who waited first, then the other. */
	rig_block(rig, a, 0);
	assert_int_equal(rig_mail(rig, a).blocks, 1);
	rig_block(rig, a, 1);
	struct rig_mail mail = rig_mail(rig, a);

	assert_int_equal(mail.blocks, 1);
	assert_true(cid_equal(&mail.first, &first));
	/* What is given up makes room as well. */
	bitswap_session_free(one);
	assert_true(rig_mail(rig, a).blocks >= 3);
	bitswap_session_free(other);
	assert_int_equal(rig->budget.asked, 0);
	rig_free(rig);
}

static void idle_session_asks_again_and_searches_for_one(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	rig_get(rig, session, 1);
	rig_get(rig, session, 2);
	assert_int_equal(rig_mail(rig, a).haves, 2);
	assert_int_equal(rig_mail(rig, b).haves, 2);
	rig_wait(rig, RIG_IDLE_MS - 1);
	assert_int_equal(rig->searches, 0);
	rig_wait(rig, 1);
	assert_int_equal(rig->searches, 1);
	assert_int_equal(rig_mail(rig, a).haves, 2);
	/* The next tick is later. */
	rig_wait(rig, 2 * RIG_IDLE_MS - 1);
	assert_int_equal(rig->searches, 1);
	rig_wait(rig, 1);
	assert_int_equal(rig->searches, 2);
	rig_free(rig);
}

/* And again and again, until the deadline: somebody may come. */
static void without_peers_routing_is_asked_until_the_deadline(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid cid = rig_cid(1);
	uint64_t now_ms = timers_now(rig->timers);

	assert_non_null(bitswap_client_get(session, &cid, now_ms + 20000, rig_got, rig));
	bitswap_client_run(&rig->client);
	assert_int_equal(rig->searches, 1);
	for (unsigned asked = 2; asked < 6; asked++) {
		bitswap_client_searched(&rig->client, &cid, 0);
		bitswap_client_run(&rig->client);
		assert_int_equal(rig->searches, asked - 1);
		rig_wait(rig, asked * RIG_IDLE_MS);
		assert_int_equal(rig->searches, asked);
		assert_int_equal(rig->failed, 0);
	}
	struct bitswap_client_peer *peer = rig_peer(rig, 1);

	assert_int_equal(rig_mail(rig, peer).blocks, 1);
	bitswap_outbox_remove(peer);
	rig_wait(rig, 20000);
	assert_int_equal(rig->failed, 1);
	assert_int_equal(rig->err, -ETIMEDOUT);
	rig_free(rig);
}

static void busy_routing_is_asked_later(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid other = rig_cid(9);

	rig->search_result = -EAGAIN;
	rig_get(rig, session, 1);
	bitswap_client_run(&rig->client);
	assert_int_equal(rig->failed, 0);
	rig->search_result = 0;
	bitswap_client_searched(&rig->client, &other, 0);
	bitswap_client_run(&rig->client);
	assert_int_equal(rig->searches, 2);
	rig_free(rig);
}

static void lost_peer_gives_its_wants_back(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	for (unsigned i = 0; i < 20; i++)
		rig_get(rig, session, i);
	assert_int_equal(rig_mail(rig, a).blocks, 20);
	struct bitswap_client_peer *b = rig_peer(rig, 2);

	bitswap_outbox_remove(a);
	assert_int_equal(rig_mail(rig, b).blocks, 20);
	/* And comes back: everything is said again. */
	bitswap_outbox_remove(b);
	a = rig_peer(rig, 1);
	assert_int_equal(rig_mail(rig, a).blocks, 20);
	assert_int_equal(rig->failed, 0);
	rig_free(rig);
}

static void useless_members_leave(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	bitswap_session_join(session, a);
	rig_mail(rig, b);
	for (unsigned i = 0; i < 16; i++)
		rig_get(rig, session, i);
	assert_int_equal(rig_mail(rig, a).blocks, 16);
	for (unsigned i = 0; i < 16; i++) {
		struct cid cid = rig_cid(i);

		bitswap_client_dont_have(a, &cid);
	}
	assert_int_equal(session->member_count, 0);
	assert_int_equal(rig_mail(rig, b).haves, 16);
	rig_free(rig);
}

static void old_peers_get_want_blocks(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	a->haves = false;
	rig_get(rig, session, 1);
	struct rig_mail mail = rig_mail(rig, a);

	assert_int_equal(mail.blocks, 1);
	assert_false(mail.last.send_dont_have);
	assert_int_equal(rig_mail(rig, b).haves, 1);
	rig_free(rig);
}

/* The first to answer has delivered before the others could say that they have it too. */
static void session_that_gets_on_still_asks_other_peers(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1), *b = rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	rig_get(rig, session, 1);
	rig_mail(rig, a);
	rig_mail(rig, b);
	assert_true(rig_block(rig, a, 1));
	rig_get(rig, session, 2);
	rig_get(rig, session, 3);
	assert_int_equal(rig_mail(rig, a).blocks, 2);

	struct rig_mail mail = rig_mail(rig, b);
	struct cid cid = rig_cid(3);

	assert_int_equal(mail.haves, 1); /* of the youngest, and not again at once */
	rig_get(rig, session, 4);
	assert_int_equal(rig_mail(rig, b).haves, 0);
	bitswap_client_have(b, &cid);
	assert_int_equal(session->member_count, 2);
	rig_free(rig);
}

/* A message brings many blocks in one moment: all of them count for its peer's rate. */
static void blocks_of_one_message_are_one_rate_sample(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *a = rig_peer(rig, 1);

	rig_peer(rig, 2);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 16; i++) {
			struct bitswap_get *get = rig_get(rig, session, round * 16 + i);

			assert_non_null(get);
			bitswap_client_have(a, &get->want->cid);
		}
		rig_mail(rig, a);
		rig_wait(rig, 200);
		for (unsigned i = 0; i < 16; i++)
			rig_block(rig, a, round * 16 + i);
	}
	/* 16 blocks of 4 bytes in 200 ms */
	assert_in_range(a->rate, 300, 340);
	rig_free(rig);
}

/* As many as a session remembers say HAVE to all and send nothing, again and again; one comes later
 * and means it. */
static void members_that_never_deliver_make_room_for_others(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *liars[BITSWAP_MEMBERS_MAX], *honest;
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	const unsigned wants = 16;

	for (unsigned i = 0; i < BITSWAP_MEMBERS_MAX; i++)
		liars[i] = rig_peer(rig, (uint8_t)(i + 1));
	honest = rig_peer(rig, 200);
	for (unsigned i = 0; i < wants; i++)
		rig_get(rig, session, i);
	for (unsigned turn = 0; turn < 600 && rig->got < wants; turn++) {
		for (unsigned i = 0; i < BITSWAP_MEMBERS_MAX; i++)
			if (rig_mail(rig, liars[i]).haves)
				for (unsigned n = 0; n < wants; n++) {
					struct cid cid = rig_cid(n);

					bitswap_client_have(liars[i], &cid);
				}
		struct rig_mail mail = rig_mail(rig, honest);

		for (unsigned n = 0; n < wants; n++) {
			struct cid cid = rig_cid(n);

			if (mail.haves)
				bitswap_client_have(honest, &cid);
			if (mail.blocks && bitswap_client_want(&rig->client, &cid) &&
			    bitswap_ask_find(bitswap_client_want(&rig->client, &cid), honest)
				    ->block)
				rig_block(rig, honest, n);
		}
		rig_wait(rig, 50);
	}
	assert_int_equal(rig->got, wants);
	assert_non_null(bitswap_session_member(session, honest));
	rig_free(rig);
}

/* All of many peers are asked for all there is and say no: work for each answer, not for each peer
 * at each. */
static void dont_haves_of_hundreds_of_peers_cost_little_each(void **state)
{
	enum { PEERS = 600 };
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct bitswap_client_peer *peers[PEERS];

	for (unsigned i = 0; i < PEERS; i++) {
		struct peer_id id = { .len = 34,
				      .bytes = { 0x12, 0x20, (uint8_t)(i >> 8), (uint8_t)i } };

		peers[i] = bitswap_outbox_add(&rig->client, &id, NULL);
		bitswap_outbox_able(peers[i], BITSWAP_ABLE);
	}
	for (unsigned n = 0; n < BITSWAP_BROADCAST_MAX + 1; n++)
		rig_get(rig, session, n);
	for (unsigned i = 0; i < PEERS; i++) {
		assert_int_equal(rig_mail(rig, peers[i]).haves, BITSWAP_BROADCAST_MAX);
		assert_int_equal(rig->searches, 0);
		for (unsigned n = 0; n < BITSWAP_BROADCAST_MAX; n++) {
			struct cid cid = rig_cid(n);

			bitswap_client_dont_have(peers[i], &cid);
		}
		bitswap_client_run(&rig->client);
	}
	assert_int_equal(rig->searches, 1);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(have_then_block),
		cmocka_unit_test(children_go_to_members),
		cmocka_unit_test(dont_have_goes_to_the_next),
		cmocka_unit_test(wants_spread_over_members),
		cmocka_unit_test(idle_fast_peer_takes_over_wants_of_a_slow_one),
		cmocka_unit_test(peer_that_sends_a_trickle_counts_as_slow),
		cmocka_unit_test(silent_peer_has_its_want_asked_of_another),
		cmocka_unit_test(peer_that_was_silent_is_asked_last),
		cmocka_unit_test(peer_that_sends_other_bytes_has_its_want_asked_of_another),
		cmocka_unit_test(single_peer_is_waited_for_until_the_deadline),
		cmocka_unit_test(starved_sessions_take_turns),
		cmocka_unit_test(idle_session_asks_again_and_searches_for_one),
		cmocka_unit_test(without_peers_routing_is_asked_until_the_deadline),
		cmocka_unit_test(busy_routing_is_asked_later),
		cmocka_unit_test(lost_peer_gives_its_wants_back),
		cmocka_unit_test(useless_members_leave),
		cmocka_unit_test(old_peers_get_want_blocks),
		cmocka_unit_test(session_that_gets_on_still_asks_other_peers),
		cmocka_unit_test(blocks_of_one_message_are_one_rate_sample),
		cmocka_unit_test(members_that_never_deliver_make_room_for_others),
		cmocka_unit_test(dont_haves_of_hundreds_of_peers_cost_little_each),
	};

	return cmocka_run_group_tests_name("exchange/session", tests, NULL, NULL);
}

/* Wants, their waiters, and what goes into each peer's messages. */
#include "tests/exchange/bitswap_rig.h"

static void one_want_serves_all_sessions(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *a = bitswap_session_new(&rig->client);
	struct bitswap_session *b = bitswap_session_new(&rig->client);

	rig_get(rig, a, 1);
	rig_get(rig, b, 1);
	rig_get(rig, b, 1);
	assert_int_equal(rig->client.wants.count, 1);
	struct rig_mail mail = rig_mail(rig, peer);

	assert_int_equal(mail.blocks, 1);
	assert_int_equal(mail.haves, 0);
	assert_true(mail.last.send_dont_have);
	assert_int_equal(mail.last.priority, INT32_MAX);
	assert_int_equal(rig->got, 0);
	assert_true(rig_block(rig, peer, 1));
	assert_int_equal(rig->got, 3);
	assert_int_equal(rig->unwanted, 1);
	assert_false(rig_block(rig, peer, 1));
	/* It delivered: no need to cancel. */
	assert_int_equal(rig_mail(rig, peer).cancels, 0);
	rig_free(rig);
}

static void earlier_wants_come_first(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	for (unsigned i = 0; i < 10; i++)
		rig_get(rig, session, i);
	struct rig_mail mail = rig_mail(rig, peer);
	struct cid first = rig_cid(0), last = rig_cid(9);

	assert_int_equal(mail.blocks, 10);
	assert_true(cid_equal(&mail.first, &first));
	assert_true(cid_equal(&mail.last.cid, &last));
	assert_int_equal(mail.last.priority, INT32_MAX - 9);
	rig_free(rig);
}

static void cancelled_get_does_not_run(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct bitswap_get *unsent = rig_get(rig, session, 1);

	/* What was never said is not taken back. */
	bitswap_client_cancel(unsent);
	struct rig_mail mail = rig_mail(rig, peer);

	assert_int_equal(mail.blocks + mail.cancels, 0);

	struct bitswap_get *get = rig_get(rig, session, 1), *other = rig_get(rig, session, 1);

	assert_int_equal(rig_mail(rig, peer).blocks, 1);
	bitswap_client_cancel(get);
	assert_int_equal(rig_mail(rig, peer).cancels, 0);
	bitswap_client_cancel(other);
	assert_int_equal(rig_mail(rig, peer).cancels, 1);
	assert_int_equal(rig->got + rig->failed, 0);
	bitswap_client_cancel(NULL);
	rig_free(rig);
}

/* Go reads a cancel and a want of one CID in one message as the cancel. */
static void wanted_again_is_not_cancelled(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	struct bitswap_get *get = rig_get(rig, session, 1);
	rig_mail(rig, peer);
	bitswap_client_cancel(get);
	rig_get(rig, session, 1);
	struct rig_mail mail = rig_mail(rig, peer);

	assert_int_equal(mail.cancels, 0);
	assert_int_equal(mail.blocks, 1);
	rig_free(rig);
}

static void deadline_ends_a_get(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid cid = rig_cid(1);

	assert_non_null(
		bitswap_client_get(session, &cid, timers_now(rig->timers) + 50, rig_got, rig));
	rig_mail(rig, peer);
	rig_wait(rig, 49);
	assert_int_equal(rig->failed, 0);
	rig_wait(rig, 1);
	assert_int_equal(rig->failed, 1);
	assert_int_equal(rig->err, -ETIMEDOUT);
	assert_int_equal(rig->client.wants.count, 0);
	assert_int_equal(rig_mail(rig, peer).cancels, 1);
	rig_free(rig);
}

/* A get that times out in 5 s; what it is told of. */
static struct wait_tried tried_in_vain(struct rig *rig, struct bitswap_session *session,
				       void (*meanwhile)(struct rig *rig))
{
	struct wait_tried tried = { 0 };
	struct cid cid = rig_cid(1);
	struct bitswap_get *get =
		bitswap_client_get(session, &cid, timers_now(rig->timers) + 5000, rig_got, rig);

	get->tried = &tried;
	meanwhile(rig);
	rig_wait(rig, 5000);
	assert_int_equal(rig->err, -ETIMEDOUT);
	return tried;
}

static struct bitswap_client_peer *peers[3];

static void all_say_no(struct rig *rig)
{
	struct cid cid = rig_cid(1);

	for (unsigned i = 0; i < 3; i++) {
		rig_mail(rig, peers[i]);
		bitswap_client_dont_have(peers[i], &cid);
	}
	bitswap_client_looking(&rig->client, &cid, 0);
	bitswap_client_looking(&rig->client, &cid, 2);
	bitswap_client_looking(&rig->client, &cid, 1);
}

static void timeout_tells_peers_asked_and_known_and_providers(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct wait_tried tried;

	for (uint8_t i = 0; i < 3; i++)
		peers[i] = rig_peer(rig, i);
	bitswap_outbox_able(rig_peer(rig, 9), BITSWAP_UNABLE);
	tried = tried_in_vain(rig, bitswap_session_new(&rig->client), all_say_no);
	assert_true(tried.told);
	assert_int_equal(tried.asked, 3);
	assert_int_equal(tried.known, 4);
	assert_int_equal(tried.providers, 2);
	rig_free(rig);
}

static void only_one_comes_and_goes(struct rig *rig)
{
	for (unsigned i = 0; i < 3; i++) {
		struct bitswap_client_peer *peer = rig_peer(rig, 1);

		assert_int_equal(rig_mail(rig, peer).blocks, 1);
		bitswap_outbox_remove(peer);
	}
}

static void timeout_tells_of_a_peer_that_came_and_went_once(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct wait_tried tried =
		tried_in_vain(rig, bitswap_session_new(&rig->client), only_one_comes_and_goes);

	assert_int_equal(tried.asked, 1);
	assert_int_equal(tried.known, 0);
	assert_int_equal(tried.providers, WAIT_NOT_LOOKED);
	rig_free(rig);
}

static void wants_are_bounded(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	for (unsigned i = 0; i < RIG_WANTS_MAX; i++)
		assert_non_null(rig_get(rig, session, i));
	assert_null(rig_get(rig, session, RIG_WANTS_MAX));
	assert_non_null(rig_get(rig, session, 0)); /* one that is wanted already */
	/* Only so many are asked of a peer before it answers. */
	struct rig_mail mail = rig_mail(rig, peer);

	assert_in_range(mail.blocks, 16, BITSWAP_FLYING_MAX);
	unsigned flying = mail.blocks, asked = flying;

	for (unsigned i = 0; i < flying; i++)
		assert_true(rig_block(rig, peer, i));
	asked += rig_mail(rig, peer).blocks;
	assert_in_range(asked, 2 * flying, flying + BITSWAP_FLYING_MAX);
	rig_free(rig);
	/* All ended by the session. */
}

static void session_end_cancels(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *a = bitswap_session_new(&rig->client);
	struct bitswap_session *b = bitswap_session_new(&rig->client);

	rig_get(rig, a, 1);
	rig_get(rig, a, 2);
	rig_get(rig, b, 2);
	bitswap_session_free(a);
	assert_int_equal(rig->failed, 2);
	assert_int_equal(rig->err, -ECANCELED);
	struct cid two = rig_cid(2);
	struct rig_mail mail = rig_mail(rig, peer);

	assert_int_equal(mail.blocks, 1);
	assert_true(cid_equal(&mail.last.cid, &two));
	rig_free(rig);
}

static void bad_cids_are_refused_later(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_session *session = bitswap_session_new(&rig->client);
	struct cid identity;

	assert_int_equal(cid_make(&identity, 1, CODEC_RAW, bytes_of("\0\2hi", 4)), 0);
	assert_non_null(bitswap_client_get(session, &identity, RIG_FOREVER, rig_got, rig));
	assert_int_equal(rig->failed, 0);
	bitswap_client_run(&rig->client);
	assert_int_equal(rig->err, -EBADMSG);
	assert_int_equal(rig->searches, 0);
	rig_free(rig);
}

static void resend_says_everything_again(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct bitswap_session *session = bitswap_session_new(&rig->client);

	for (unsigned i = 0; i < 5; i++)
		rig_get(rig, session, i);
	assert_int_equal(rig_mail(rig, peer).blocks, 5);
	assert_int_equal(rig_mail(rig, peer).blocks, 0);
	rig_block(rig, peer, 0);
	bitswap_outbox_resend(peer);
	assert_int_equal(rig_mail(rig, peer).blocks, 4);
	rig_free(rig);
}

/* got() may do anything, also end those that come after it in the same delivery. */
struct rude {
	struct rig *rig;
	struct bitswap_session *session, *doomed;
	unsigned calls;
};

static void rude_got(void *ctx, int err, struct block *block)
{
	struct rude *rude = ctx;

	rude->calls++;
	block_unref(block);
	if (err)
		return;
	if (rude->doomed)
		bitswap_session_free(rude->doomed);
	rude->doomed = NULL;
	rig_get(rude->rig, rude->session, 2);
}

static void waiters_may_call_back(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	struct bitswap_client_peer *peer = rig_peer(rig, 1);
	struct rude rude = { .rig = rig };
	struct cid cid = rig_cid(1);

	rude.session = bitswap_session_new(&rig->client);
	rude.doomed = bitswap_session_new(&rig->client);
	bitswap_client_get(rude.session, &cid, RIG_FOREVER, rude_got, &rude);
	bitswap_client_get(rude.doomed, &cid, RIG_FOREVER, rude_got, &rude);
	rig_mail(rig, peer);
	rig_block(rig, peer, 1);
	assert_int_equal(rude.calls, 2);
	assert_int_equal(rig_mail(rig, peer).blocks, 1);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_want_serves_all_sessions),
		cmocka_unit_test(earlier_wants_come_first),
		cmocka_unit_test(cancelled_get_does_not_run),
		cmocka_unit_test(wanted_again_is_not_cancelled),
		cmocka_unit_test(deadline_ends_a_get),
		cmocka_unit_test(timeout_tells_peers_asked_and_known_and_providers),
		cmocka_unit_test(timeout_tells_of_a_peer_that_came_and_went_once),
		cmocka_unit_test(wants_are_bounded),
		cmocka_unit_test(session_end_cancels),
		cmocka_unit_test(bad_cids_are_refused_later),
		cmocka_unit_test(resend_says_everything_again),
		cmocka_unit_test(waiters_may_call_back),
	};

	return cmocka_run_group_tests_name("exchange/wantlist", tests, NULL, NULL);
}

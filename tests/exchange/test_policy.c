/* Who may have which block: ledgers that ask a policy, and two real peers of which one is refused.
 */
#include "tests/exchange/exchange_lab.h"

#include "exchange/bitswap/server.h"

/* ---- a ledger ---- */

struct desk {
	struct bitswap_server server;
	bool here, allowed;
	void *asked_for; /* the owner in the last question */
};

static int desk_size(void *ctx, const struct cid *cid, size_t *size)
{
	(void)cid;
	*size = 5000;
	return ((struct desk *)ctx)->here ? 0 : -ENOENT;
}

static void desk_wake(void *ctx)
{
	(void)ctx;
}

static bool desk_may_have(void *ctx, void *owner, const struct cid *cid)
{
	struct desk *desk = ctx;

	(void)cid;
	desk->asked_for = owner;
	return desk->allowed;
}

static struct bitswap_server_peer *desk_open(struct desk *desk, bool here, bool allowed)
{
	static const struct bitswap_server_ops ops = { desk_size, desk_wake, desk_may_have };

	*desk = (struct desk){ .here = here, .allowed = allowed };
	bitswap_server_init(&desk->server, 8, &ops, desk);
	return bitswap_server_add(&desk->server, desk);
}

static void desk_close(struct desk *desk, struct bitswap_server_peer *peer)
{
	assert_int_equal(peer->wants.count, 0);
	bitswap_server_remove(peer);
	assert_int_equal(desk->server.lacking.count, 0);
	bitswap_server_release(&desk->server);
}

static struct cid ask(struct bitswap_server_peer *peer, bool have)
{
	struct bitswap_entry entry = { .priority = 1, .have = have, .send_dont_have = true };
	struct buf list = { 0 }, out = { 0 };
	struct bitswap_summary summary;

	assert_int_equal(cid_of_data(&entry.cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("x")), 0);
	bitswap_msg_add_entry(&list, &entry);
	bitswap_msg_add_wantlist(&out, buf_bytes(&list), false);
	struct cursor c = cursor_over(buf_bytes(&out));

	cursor_uvarint(&c);
	struct bytes message = bytes_of(c.at, cursor_left(&c));

	assert_int_equal(bitswap_msg_check(message, &summary), 0);
	bitswap_server_message(peer, message, &summary);
	buf_release(&list);
	buf_release(&out);
	return entry.cid;
}

struct presence {
	unsigned haves, dont_haves;
};

static void on_presence(void *ctx, const struct cid *cid, bool have)
{
	struct presence *presence = ctx;

	(void)cid;
	if (have)
		presence->haves++;
	else
		presence->dont_haves++;
}

static void assert_said(struct bitswap_server_peer *peer, unsigned haves, unsigned dont_haves)
{
	static const struct bitswap_visitor visitor = { .on_presence = on_presence };
	struct presence presence = { 0 };

	bitswap_msg_walk(buf_bytes(&peer->presences), &visitor, &presence);
	assert_int_equal(presence.haves, haves);
	assert_int_equal(presence.dont_haves, dont_haves);
	buf_clear(&peer->presences);
	peer->presence_count = 0;
}

static void refused_want_is_answered_dont_have_and_not_kept(void **state)
{
	struct desk desk;
	struct bitswap_server_peer *peer = desk_open(&desk, true, false);

	(void)state;
	ask(peer, true);
	assert_said(peer, 0, 1);
	ask(peer, false);
	assert_said(peer, 0, 1);
	assert_ptr_equal(desk.asked_for, &desk);
	assert_int_equal(bitswap_server_peek(peer), -ENOENT);
	desk.here = false;
	ask(peer, false);
	assert_said(peer, 0, 1);
	desk_close(&desk, peer);
	/* And where it may have it, it is told and given. */
	peer = desk_open(&desk, true, true);
	ask(peer, true);
	assert_said(peer, 1, 0);
	ask(peer, false);
	assert_int_equal(bitswap_server_peek(peer), 5000);
	desk.allowed = false;
	assert_int_equal(bitswap_server_peek(peer), -ENOENT);
	assert_said(peer, 0, 1);
	desk_close(&desk, peer);
}

static void new_block_is_not_sent_to_a_peer_that_lost_its_permission(void **state)
{
	struct desk desk;
	struct bitswap_server_peer *peer = desk_open(&desk, false, true);
	struct cid cid = ask(peer, false);

	(void)state;
	assert_int_equal(peer->wants.count, 1);
	desk.allowed = false;
	bitswap_server_have(&desk.server, cid_hash_bytes(&cid), 5000);
	assert_int_equal(bitswap_server_peek(peer), -ENOENT);
	assert_int_equal(peer->wants.count, 0);
	/* A want that waits is dropped too when the refused peer repeats it. */
	desk.allowed = true;
	ask(peer, false);
	assert_int_equal(peer->wants.count, 1);
	desk.allowed = false;
	ask(peer, false);
	desk_close(&desk, peer);
}

/* ---- real peers ---- */

static bool all_but_one(void *ctx, const struct peer_id *peer, const struct cid *cid)
{
	(void)cid;
	return !peer_id_equal(peer, ctx);
}

static void one_peer_is_refused_and_another_is_served(void **state)
{
	struct fixture *f = xnew(struct fixture);
	struct exchange_config config = { .may_have = all_but_one };
	struct block *block = numbered(1, 100000);
	struct exchange_session *refused, *served;
	struct exchange_ledger ledger;

	(void)state;
	f->lab = lab_new();
	node_start(f, 1, NULL, NULL);
	node_start(f, 2, NULL, NULL);
	config.policy_ctx = (void *)swarm_self(f->nodes[1].swarm);
	node_start(f, 0, NULL, &config);
	put(&f->nodes[0], block);
	for (unsigned i = 1; i < 3; i++)
		assert_int_equal(lab_connect(f->lab, f->nodes[i].swarm, f->nodes[0].swarm), 0);
	refused = exchange_session_new(f->nodes[1].exchange);
	served = exchange_session_new(f->nodes[2].exchange);
	exchange_get(refused, &block->cid, lab_deadline(f->lab, 2000), on_got, f);
	get(f, served, &block->cid);
	until(f, 2);
	assert_int_equal(f->got, 1);
	assert_int_equal(f->failed, 1);
	assert_true(store_has(f->nodes[2].store, cid_hash_bytes(&block->cid)));
	assert_false(store_has(f->nodes[1].store, cid_hash_bytes(&block->cid)));
	assert_int_equal(stats(&f->nodes[0]).blocks_sent, 1);
	assert_int_equal(
		exchange_ledger(f->nodes[0].exchange, swarm_self(f->nodes[1].swarm), &ledger), 0);
	assert_int_equal(ledger.bytes_sent, 0);
	assert_int_equal(
		exchange_ledger(f->nodes[0].exchange, swarm_self(f->nodes[2].swarm), &ledger), 0);
	assert_int_equal(ledger.bytes_sent, 100000);
	block_unref(block);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_want_is_answered_dont_have_and_not_kept),
		cmocka_unit_test(new_block_is_not_sent_to_a_peer_that_lost_its_permission),
		cmocka_unit_test(one_peer_is_refused_and_another_is_served),
	};

	return cmocka_run_group_tests_name("exchange/policy", tests, NULL, NULL);
}

/* What the swarm is told of peers that bring blocks, or are served. */
#include "tests/exchange/exchange_lab.h"

#define BLOCKS 20

static int look(void *ctx, const struct swarm_peer *peer)
{
	*(struct swarm_peer *)ctx = *peer;
	return 1;
}

/* The one peer that it is connected to. */
static struct swarm_peer peer_of(struct node *node)
{
	struct swarm_peer peer = { 0 };

	assert_int_equal(swarm_each_peer(node->swarm, look, &peer), 1);
	return peer;
}

static void fetch(struct fixture *f, struct exchange_session *session, unsigned count)
{
	struct block *blocks[BLOCKS];

	for (unsigned i = 0; i < count; i++) {
		blocks[i] = numbered(i, 1000);
		put(&f->nodes[1], blocks[i]);
		assert_non_null(get(f, session, &blocks[i]->cid));
		block_unref(blocks[i]);
	}
	until(f, count);
	assert_int_equal(f->got, count);
}

static void peer_that_delivers_or_is_served_gains_worth(void **state)
{
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[0].exchange);

	(void)state;
	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	lab_run(f->lab, 100);
	assert_int_equal(peer_of(&f->nodes[0]).worth, 0);
	assert_false(peer_of(&f->nodes[0]).is_protected);
	assert_int_equal(peer_of(&f->nodes[1]).worth, 0);
	fetch(f, session, BLOCKS);
	assert_true(peer_of(&f->nodes[0]).is_protected);
	assert_true(peer_of(&f->nodes[0]).worth > peer_of(&f->nodes[1]).worth);
	assert_true(peer_of(&f->nodes[1]).worth > 1);
	assert_false(peer_of(&f->nodes[1]).is_protected);
	exchange_session_free(session);
	/* Without an exchange nothing is worth anything. */
	for (unsigned i = 0; i < 2; i++) {
		exchange_free(f->nodes[i].exchange);
		f->nodes[i].exchange = NULL;
		assert_int_equal(peer_of(&f->nodes[i]).worth, 0);
		assert_false(peer_of(&f->nodes[i]).is_protected);
	}
	stop(f);
}

static void peer_that_wants_only_missing_blocks_gains_little_worth(void **state)
{
	struct fixture *f = start(2);
	struct exchange_session *session = exchange_session_new(f->nodes[0].exchange);
	struct block *missing = numbered(1, 1000);

	(void)state;
	assert_int_equal(lab_connect(f->lab, f->nodes[0].swarm, f->nodes[1].swarm), 0);
	assert_non_null(get(f, session, &missing->cid));
	for (int i = 0; i < 500 && peer_of(&f->nodes[1]).worth == 0; i++)
		lab_run(f->lab, 10);
	assert_int_equal(peer_of(&f->nodes[1]).worth, 1);
	assert_false(peer_of(&f->nodes[0]).is_protected);
	block_unref(missing);
	exchange_session_free(session);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_that_delivers_or_is_served_gains_worth),
		cmocka_unit_test(peer_that_wants_only_missing_blocks_gains_little_worth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

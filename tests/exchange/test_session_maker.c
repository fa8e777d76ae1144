/* Bitswap over sessions that no muxer makes (tests/net/direct_session.h). */
#include "tests/exchange/exchange_lab.h"
#include "tests/net/direct_session.h"

static void blocks_come_over_sessions_of_another_maker(void **state)
{
	enum { COUNT = 60 };
	struct direct_board board = { 0 };
	struct fixture *f = start(0);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		f->nodes[i].swarm = direct_swarm(f->lab, &board, (uint8_t)(i + 1));
		f->nodes[i].store = store_new_memory();
		f->nodes[i].exchange =
			exchange_new(f->nodes[i].swarm, NULL, f->nodes[i].store, NULL);
	}
	assert_int_equal(direct_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	for (unsigned i = 0; i < COUNT; i++) {
		struct block *block = numbered(i, 1 + i * 17000);

		put(&f->nodes[0], block);
		assert_non_null(get(f, session, &block->cid));
		block_unref(block);
	}
	until(f, COUNT);
	assert_int_equal(f->got, COUNT);
	assert_int_equal(stats(&f->nodes[1]).duplicate_blocks, 0);
	assert_int_equal(board.sessions, 2);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_come_over_sessions_of_another_maker),
	};

	return cmocka_run_group_tests_name("exchange/session maker", tests, NULL, NULL);
}

#include "net/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
	unsigned number;
	struct list node;
};

/* The numbers are from, from + 1 and so on, both ways round. */
static void assert_numbers(struct list *head, unsigned from, unsigned count)
{
	unsigned seen = 0;

	list_for_each(item, head, struct item, node) {
		assert_int_equal(item->number, from + seen++);
		assert_ptr_equal(item->node.next->prev, &item->node);
		assert_ptr_equal(item->node.prev->next, &item->node);
	}
	assert_int_equal(seen, count);
}

static void all_move_in_order(void **state)
{
	struct list to, from;
	struct item items[5];

	(void)state;
	list_init(&to);
	list_init(&from);
	list_move_all(&to, &from);
	assert_true(list_empty(&to) && list_empty(&from));
	for (unsigned i = 0; i < 5; i++) {
		items[i].number = i;
		list_add_tail(i < 2 ? &to : &from, &items[i].node);
	}
	list_move_all(&to, &from);
	assert_true(list_empty(&from));
	assert_numbers(&to, 0, 5);
	list_move_all(&from, &to); /* to an empty one */
	assert_true(list_empty(&to));
	assert_numbers(&from, 0, 5);
	list_move_all(&from, &to); /* nothing */
	assert_numbers(&from, 0, 5);
	list_remove(&items[0].node);
	assert_numbers(&from, 1, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_move_in_order),
	};

	return cmocka_run_group_tests_name("net/list", tests, NULL, NULL);
}

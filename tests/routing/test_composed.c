/* Merging: scripted parts that tell on command. */
#include "routing/routing.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A router with one search, which the test answers by hand. */
struct fake {
	struct router router;
	struct routing_query query;
	bool running, cancelled, freed, refuses, closes_late;
	unsigned asked, noted;
	int can_provide;
	void (*closed)(void *ctx);
	void *closed_ctx;
	routing_peer_fn *on_peer;
	routing_provider_fn *on_provider;
	routing_value_fn *on_value;
	routing_done_fn *on_done;
	void *ctx;
};

static void fake_cancel(struct routing_query *query)
{
	struct fake *fake = container_of(query, struct fake, query);

	assert_true(fake->running);
	fake->running = false;
	fake->cancelled = true;
}

static struct routing_query *fake_start(struct router *router, void *ctx)
{
	struct fake *fake = container_of(router, struct fake, router);

	if (fake->refuses)
		return NULL;
	fake->running = true;
	fake->asked++;
	fake->ctx = ctx;
	fake->query.cancel = fake_cancel;
	return &fake->query;
}

static struct routing_query *fake_peer(struct router *router, const struct peer_id *peer,
				       uint64_t deadline_ms, routing_peer_fn *done, void *ctx)
{
	(void)peer;
	(void)deadline_ms;
	container_of(router, struct fake, router)->on_peer = done;
	return fake_start(router, ctx);
}

static struct routing_query *fake_providers(struct router *router, struct bytes multihash,
					    unsigned count_max, uint64_t deadline_ms,
					    routing_provider_fn *found, routing_done_fn *done,
					    void *ctx)
{
	(void)multihash;
	(void)count_max;
	(void)deadline_ms;
	container_of(router, struct fake, router)->on_provider = found;
	container_of(router, struct fake, router)->on_done = done;
	return fake_start(router, ctx);
}

static struct routing_query *fake_provide(struct router *router, struct bytes multihash,
					  uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	(void)multihash;
	(void)deadline_ms;
	container_of(router, struct fake, router)->on_done = done;
	return fake_start(router, ctx);
}

static struct routing_query *fake_get(struct router *router, struct bytes key, unsigned records_max,
				      uint64_t deadline_ms, routing_value_fn *found,
				      routing_done_fn *done, void *ctx)
{
	(void)key;
	(void)records_max;
	(void)deadline_ms;
	container_of(router, struct fake, router)->on_value = found;
	container_of(router, struct fake, router)->on_done = done;
	return fake_start(router, ctx);
}

static void fake_close(struct router *router, void (*done)(void *ctx), void *ctx)
{
	struct fake *fake = container_of(router, struct fake, router);

	fake->freed = true;
	fake->closed = done;
	fake->closed_ctx = ctx;
	if (!fake->closes_late)
		done(ctx);
}

static int fake_compare(struct router *router, struct bytes key, struct bytes a, struct bytes b)
{
	(void)router;
	(void)key;
	return bytes_cmp(a, b);
}

static int fake_can_provide(struct router *router)
{
	return container_of(router, struct fake, router)->can_provide;
}

static void fake_note_own(struct router *router, struct bytes multihash, bool have)
{
	(void)multihash;
	(void)have;
	container_of(router, struct fake, router)->noted++;
}

static const struct router_ops ops = { .find_peer = fake_peer,
				       .find_providers = fake_providers,
				       .provide = fake_provide,
				       .get_value = fake_get,
				       .close = fake_close,
				       .compare = fake_compare,
				       .can_provide = fake_can_provide,
				       .note_own = fake_note_own };

static void tell_done(struct fake *fake, int err, unsigned count)
{
	fake->running = false;
	fake->on_done(fake->ctx, err, count);
}

struct heard {
	unsigned done, found, count;
	int err;
	char value[8];
	struct routing_query *cancel;
};

static void on_done(void *ctx, int err, unsigned count)
{
	struct heard *heard = ctx;

	heard->done++;
	heard->err = err;
	heard->count = count;
}

static void on_provider(void *ctx, const struct peer_info *info)
{
	struct heard *heard = ctx;

	(void)info;
	heard->found++;
	routing_cancel(heard->cancel);
}

static void on_peer(void *ctx, int err, const struct peer_info *info)
{
	on_done(ctx, err, info ? 1 : 0);
}

static void on_value(void *ctx, struct bytes value)
{
	struct heard *heard = ctx;

	heard->found++;
	memcpy(heard->value, value.at, value.len);
	heard->value[value.len] = 0;
}

struct pair {
	struct fake a, b;
	struct loop *loop;
	struct router *router;
	struct heard heard;
};

static void pair_init_as(struct pair *pair, struct composed_part a, struct composed_part b)
{
	memset(pair, 0, sizeof(*pair));
	pair->loop = loop_new_virtual(1000);
	pair->a.router.ops = pair->b.router.ops = &ops;
	a.router = &pair->a.router;
	b.router = &pair->b.router;
	pair->router = composed_new(pair->loop, (struct composed_part[]){ a, b }, 2);
}

static void pair_init(struct pair *pair)
{
	pair_init_as(pair, (struct composed_part){ 0 }, (struct composed_part){ 0 });
}

static void pair_free(struct pair *pair)
{
	router_close(pair->router, NULL, NULL);
	assert_true(pair->a.freed && pair->b.freed);
	assert_false(pair->a.running || pair->b.running);
	loop_free(pair->loop);
}

static const struct bytes key = { (const uint8_t *)"k", 1 };

static void providers_are_given_once(void **state)
{
	struct peer_info one = { .id = { .len = 1, .bytes = { 1 } } },
			 two = { .id = { .len = 1, .bytes = { 2 } } };
	struct pair p;

	(void)state;
	pair_init(&p);
	assert_non_null(
		routing_find_providers(p.router, key, 0, 1, on_provider, on_done, &p.heard));
	p.a.on_provider(p.a.ctx, &one);
	p.b.on_provider(p.b.ctx, &one);
	p.b.on_provider(p.b.ctx, &two);
	tell_done(&p.a, -ETIMEDOUT, 1);
	assert_int_equal(p.heard.done, 0);
	tell_done(&p.b, 0, 2);
	assert_int_equal(p.heard.done, 1);
	assert_int_equal(p.heard.err, 0);
	assert_int_equal(p.heard.count, 2);
	/* Enough: the other is cancelled. */
	assert_non_null(
		routing_find_providers(p.router, key, 1, 1, on_provider, on_done, &p.heard));
	p.a.on_provider(p.a.ctx, &one);
	assert_true(p.a.cancelled && p.b.cancelled);
	assert_int_equal(p.heard.done, 2);
	/* Cancelled from inside. */
	p.heard.cancel =
		routing_find_providers(p.router, key, 0, 1, on_provider, on_done, &p.heard);
	p.b.on_provider(p.b.ctx, &one);
	assert_false(p.a.running || p.b.running);
	assert_int_equal(p.heard.done, 2);
	pair_free(&p);
}

static void first_good_peer_wins(void **state)
{
	struct peer_info one = { .id = { .len = 1, .bytes = { 1 } } };
	struct pair p;

	(void)state;
	pair_init(&p);
	routing_find_peer(p.router, &one.id, 1, on_peer, &p.heard);
	p.a.running = false;
	p.a.on_peer(p.a.ctx, -ENOENT, NULL);
	assert_int_equal(p.heard.done, 0);
	p.b.running = false;
	p.b.on_peer(p.b.ctx, 0, &one);
	assert_int_equal(p.heard.err, 0);
	assert_int_equal(p.heard.count, 1);
	p.a.refuses = true;
	routing_find_peer(p.router, &one.id, 1, on_peer, &p.heard);
	p.b.running = false;
	p.b.on_peer(p.b.ctx, -ENOENT, NULL);
	assert_int_equal(p.heard.err, -ENOENT);
	p.b.refuses = true;
	assert_null(routing_find_peer(p.router, &one.id, 1, on_peer, &p.heard));
	assert_null(routing_put_value(p.router, key, key, 1, on_done, &p.heard));
	pair_free(&p);
}

static void one_success_is_enough_to_have_provided(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p);
	routing_provide(p.router, key, 1, on_done, &p.heard);
	tell_done(&p.a, 0, 3);
	tell_done(&p.b, -EHOSTUNREACH, 0);
	assert_int_equal(p.heard.err, 0);
	assert_int_equal(p.heard.count, 3);
	routing_provide(p.router, key, 1, on_done, &p.heard);
	tell_done(&p.a, -EHOSTUNREACH, 0);
	tell_done(&p.b, -EHOSTUNREACH, 0);
	assert_int_equal(p.heard.err, -EHOSTUNREACH);
	pair_free(&p);
}

static void only_better_values_are_passed_on(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p);
	routing_get_value(p.router, key, 0, 1, on_value, on_done, &p.heard);
	p.a.on_value(p.a.ctx, bytes_str("2"));
	p.b.on_value(p.b.ctx, bytes_str("1"));
	p.b.on_value(p.b.ctx, bytes_str("3"));
	tell_done(&p.a, 0, 1);
	tell_done(&p.b, -ETIMEDOUT, 2);
	assert_int_equal(p.heard.found, 2);
	assert_string_equal(p.heard.value, "3");
	assert_int_equal(p.heard.err, 0);
	routing_get_value(p.router, key, 0, 1, on_value, on_done, &p.heard);
	pair_free(&p);
}

static void count_closed(void *ctx)
{
	++*(unsigned *)ctx;
}

static void closing_waits_for_the_last_part(void **state)
{
	unsigned closed = 0;
	struct pair p;

	(void)state;
	pair_init(&p);
	p.a.closes_late = p.b.closes_late = true;
	assert_non_null(routing_provide(p.router, key, 1, on_done, &p.heard));
	router_close(p.router, count_closed, &closed);
	assert_true(p.a.freed && p.b.freed && p.a.cancelled && p.b.cancelled);
	assert_int_equal(closed, 0);
	p.b.closed(p.b.closed_ctx);
	assert_int_equal(closed, 0);
	p.a.closed(p.a.closed_ctx);
	assert_int_equal(closed, 1);
	loop_free(p.loop);
	/* Parts that are closed at once, none, and no router. */
	pair_init(&p);
	router_close(p.router, count_closed, &closed);
	assert_int_equal(closed, 2);
	router_close(composed_new(p.loop, NULL, 0), count_closed, &closed);
	assert_int_equal(closed, 3);
	loop_free(p.loop);
	router_close(NULL, count_closed, &closed);
	assert_int_equal(closed, 4);
	assert_int_equal(p.heard.done, 0);
}

static void provider_is_given_again_with_other_protocols(void **state)
{
	static const char *const gateway[] = { "transport-ipfs-gateway-http" };
	static const char *const bitswap[] = { ROUTING_BITSWAP };
	struct peer_info one = { .id = { .len = 1, .bytes = { 1 } },
				 .protocols = gateway,
				 .protocol_count = 1 };
	struct pair p;

	(void)state;
	assert_false(routing_reached_by(&one, ROUTING_BITSWAP));
	pair_init(&p);
	routing_find_providers(p.router, key, 0, 1, on_provider, on_done, &p.heard);
	p.a.on_provider(p.a.ctx, &one);
	p.b.on_provider(p.b.ctx, &one);
	assert_int_equal(p.heard.found, 1);
	one.protocols = bitswap;
	assert_true(routing_reached_by(&one, ROUTING_BITSWAP));
	p.b.on_provider(p.b.ctx, &one);
	assert_int_equal(p.heard.found, 2);
	one.protocol_count = 0;
	assert_true(routing_reached_by(&one, ROUTING_BITSWAP));
	pair_free(&p);
}

static const struct composed_part side_by_side = { 0 }, second = { .rank = 7 };

static void part_is_asked_after_its_delay(void **state)
{
	struct pair p;

	(void)state;
	pair_init_as(&p, side_by_side, (struct composed_part){ .delay_ms = 500 });
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	assert_true(p.a.running);
	loop_turn(p.loop, 1499);
	assert_int_equal(p.b.asked, 0);
	loop_turn(p.loop, 1500);
	assert_true(p.b.running);
	tell_done(&p.a, -ENOENT, 0);
	tell_done(&p.b, -ENOENT, 0);
	assert_int_equal(p.heard.err, -ENOENT);
	/* It is waited for when the other is over before; then it refuses. */
	p.b.refuses = true;
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	tell_done(&p.a, -ENOENT, 0);
	assert_int_equal(p.heard.done, 1);
	loop_turn(p.loop, 2000);
	assert_int_equal(p.heard.done, 2);
	assert_int_equal(p.heard.err, -ENOENT);
	/* The deadline comes first. */
	p.b.refuses = false;
	routing_get_value(p.router, key, 0, 2100, on_value, on_done, &p.heard);
	tell_done(&p.a, -ENOENT, 0);
	loop_turn(p.loop, 2100);
	assert_int_equal(p.heard.done, 3);
	assert_int_equal(p.heard.err, -ETIMEDOUT);
	assert_int_equal(p.b.asked, 1);
	pair_free(&p);
}

static void delayed_part_is_not_asked_when_the_other_was_enough(void **state)
{
	struct peer_info one = { .id = { .len = 1, .bytes = { 1 } } };
	struct pair p;

	(void)state;
	pair_init_as(&p, side_by_side, (struct composed_part){ .delay_ms = 500 });
	routing_find_peer(p.router, &one.id, 60000, on_peer, &p.heard);
	p.a.running = false;
	p.a.on_peer(p.a.ctx, 0, &one);
	assert_int_equal(p.heard.done, 1);
	/* Cancelled, and closed, before the delay is over. */
	routing_cancel(routing_find_peer(p.router, &one.id, 60000, on_peer, &p.heard));
	assert_false(p.a.running);
	routing_find_peer(p.router, &one.id, 60000, on_peer, &p.heard);
	assert_int_equal(p.b.asked, 0);
	pair_free(&p);
	assert_int_equal(p.heard.done, 1);
}

static void part_over_its_time_limit_is_given_up(void **state)
{
	struct pair p;

	(void)state;
	pair_init_as(&p, (struct composed_part){ .timeout_ms = 300 }, side_by_side);
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	loop_turn(p.loop, 1300);
	assert_true(p.a.cancelled && p.b.running);
	assert_int_equal(p.heard.done, 0);
	p.b.on_value(p.b.ctx, bytes_str("1"));
	tell_done(&p.b, 0, 1);
	assert_int_equal(p.heard.err, 0);
	/* The limit counts from the end of the delay; nobody else has it. */
	pair_free(&p);
	pair_init_as(&p, (struct composed_part){ .delay_ms = 100, .timeout_ms = 300 },
		     side_by_side);
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	tell_done(&p.b, -ENOENT, 0);
	loop_turn(p.loop, 1100);
	assert_true(p.a.running);
	loop_turn(p.loop, 1399);
	assert_int_equal(p.heard.done, 0);
	loop_turn(p.loop, 1400);
	assert_true(p.a.cancelled);
	assert_int_equal(p.heard.done, 1);
	assert_int_equal(p.heard.err, -ETIMEDOUT);
	pair_free(&p);
}

static void next_rank_is_asked_when_the_first_found_too_little(void **state)
{
	struct peer_info one = { .id = { .len = 1, .bytes = { 1 } } };
	struct peer_info two = { .id = { .len = 1, .bytes = { 2 } } };
	struct pair p;

	(void)state;
	/* Not by their order in the list. */
	pair_init_as(&p, second, side_by_side);
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	assert_int_equal(p.a.asked, 0);
	tell_done(&p.b, -ENOENT, 0);
	assert_true(p.a.running);
	p.a.on_value(p.a.ctx, bytes_str("1"));
	tell_done(&p.a, 0, 1);
	assert_int_equal(p.heard.err, 0);
	/* The first has a value: enough. */
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	p.b.on_value(p.b.ctx, bytes_str("1"));
	tell_done(&p.b, 0, 1);
	assert_int_equal(p.heard.done, 2);
	assert_int_equal(p.a.asked, 1);
	/* Two providers are asked for, and the first has one. */
	routing_find_providers(p.router, key, 2, 60000, on_provider, on_done, &p.heard);
	p.b.on_provider(p.b.ctx, &one);
	tell_done(&p.b, 0, 1);
	assert_true(p.a.running);
	p.a.on_provider(p.a.ctx, &two);
	assert_int_equal(p.heard.done, 3);
	assert_int_equal(p.heard.count, 2);
	/* Keys are told to all. */
	routing_provide(p.router, key, 60000, on_done, &p.heard);
	tell_done(&p.b, 0, 1);
	tell_done(&p.a, 0, 1);
	assert_int_equal(p.heard.count, 2);
	/* A first rank that does not offer it. */
	p.b.refuses = true;
	assert_non_null(routing_provide(p.router, key, 60000, on_done, &p.heard));
	tell_done(&p.a, 0, 1);
	assert_int_equal(p.heard.done, 5);
	pair_free(&p);
}

static void error_ends_the_ranks_unless_it_is_ignored(void **state)
{
	struct pair p;

	(void)state;
	pair_init_as(&p, side_by_side, second);
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	tell_done(&p.a, -EHOSTUNREACH, 0);
	assert_int_equal(p.heard.done, 1);
	assert_int_equal(p.heard.err, -EHOSTUNREACH);
	assert_int_equal(p.b.asked, 0);
	pair_free(&p);

	pair_init_as(&p, (struct composed_part){ .ignore_errors = true, .timeout_ms = 10 }, second);
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	tell_done(&p.a, -EHOSTUNREACH, 0);
	assert_true(p.b.running);
	tell_done(&p.b, -ENOENT, 0);
	assert_int_equal(p.heard.err, -ENOENT);
	/* A time limit is an error like others. */
	routing_get_value(p.router, key, 0, 60000, on_value, on_done, &p.heard);
	loop_turn(p.loop, 1010);
	assert_true(p.b.running);
	pair_free(&p);
}

static void note_ready(void *ctx)
{
	++*(unsigned *)ctx;
}

static void announcing_is_possible_when_one_part_can(void **state)
{
	unsigned ready = 0;
	struct router_watch watch = { .on_ready = note_ready, .ctx = &ready };
	struct pair p;

	(void)state;
	pair_init(&p);
	assert_int_equal(p.router->ops->can_provide(p.router), 0);
	p.a.can_provide = -EAGAIN;
	assert_int_equal(p.router->ops->can_provide(p.router), 0);
	p.b.can_provide = -EHOSTUNREACH;
	assert_int_equal(p.router->ops->can_provide(p.router), -EAGAIN);
	p.a.can_provide = -EHOSTUNREACH;
	assert_int_equal(p.router->ops->can_provide(p.router), -EHOSTUNREACH);
	router_watch(p.router, &watch);
	router_ready(&p.b.router);
	assert_int_equal(ready, 1);
	router_unwatch(p.router, &watch);
	routing_note_own(p.router, key, true);
	assert_true(p.a.noted == 1 && p.b.noted == 1);
	pair_free(&p);
	assert_null(p.a.router.watches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(providers_are_given_once),
		cmocka_unit_test(first_good_peer_wins),
		cmocka_unit_test(one_success_is_enough_to_have_provided),
		cmocka_unit_test(only_better_values_are_passed_on),
		cmocka_unit_test(provider_is_given_again_with_other_protocols),
		cmocka_unit_test(closing_waits_for_the_last_part),
		cmocka_unit_test(part_is_asked_after_its_delay),
		cmocka_unit_test(delayed_part_is_not_asked_when_the_other_was_enough),
		cmocka_unit_test(part_over_its_time_limit_is_given_up),
		cmocka_unit_test(next_rank_is_asked_when_the_first_found_too_little),
		cmocka_unit_test(error_ends_the_ranks_unless_it_is_ignored),
		cmocka_unit_test(announcing_is_possible_when_one_part_can),
	};

	return cmocka_run_group_tests_name("routing/composed", tests, NULL, NULL);
}

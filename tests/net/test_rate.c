/* The token bucket and its queue, on a clock of the test's own. */
#include "net/base/rate.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MB 1000000u

struct user {
	struct rate *rate;
	struct rate_turn turn;
	uint64_t spent;
	bool done; /* wants no further turn */
};

struct fixture {
	struct timers *timers;
	struct rate rate;
	uint64_t now_ms;
};

static void start(struct fixture *f, uint64_t per_second)
{
	f->now_ms = 1000;
	f->timers = timers_new();
	timers_run(f->timers, f->now_ms);
	rate_init(&f->rate, f->timers, per_second);
}

static void stop(struct fixture *f)
{
	rate_release(&f->rate);
	timers_free(f->timers);
}

static void run(struct fixture *f, uint64_t ms)
{
	for (uint64_t end = f->now_ms + ms; f->now_ms < end;)
		timers_run(f->timers, ++f->now_ms);
}

/* Uses its quantum and wants another. */
static void go(void *ctx)
{
	struct user *user = ctx;

	rate_spend(user->rate, user->rate->quantum);
	user->spent += user->rate->quantum;
	if (!user->done)
		rate_wait(user->rate, &user->turn);
}

static void user_start(struct user *user, struct rate *rate)
{
	*user = (struct user){ .rate = rate };
	rate_turn_init(&user->turn, go, user);
	rate_wait(rate, &user->turn);
}

static void no_limit_costs_nothing(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 0);
	assert_false(rate_limited(&f.rate));
	stop(&f);
}

static void the_rate_holds(void **state)
{
	static const uint64_t rates[] = { 100, 20000, MB, 4 * MB, 100 * MB };
	struct fixture f;
	struct user user;

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		uint64_t most = rates[i] * 10 + rates[i] / 10 + 2 * RATE_QUANTUM_MAX;

		start(&f, rates[i]);
		user_start(&user, &f.rate);
		run(&f, 10000);
		assert_true(user.spent <= most);
		if (rates[i] <= MB)
			assert_true(user.spent + RATE_QUANTUM_MAX >= rates[i] * 9);
		rate_leave(&user.turn);
		stop(&f);
	}
}

static void users_get_equal_shares(void **state)
{
	enum { USERS = 7 };
	struct user users[USERS];
	struct fixture f;

	(void)state;
	start(&f, MB);
	for (int i = 0; i < USERS; i++)
		user_start(&users[i], &f.rate);
	assert_false(rate_may(&f.rate)); /* others were there before */
	run(&f, 5000);
	for (int i = 1; i < USERS; i++)
		assert_in_range(users[i].spent + f.rate.quantum - users[0].spent, 0,
				2 * f.rate.quantum);
	/* Who leaves is not called, and the others share what was its part. */
	rate_leave(&users[0].turn);
	uint64_t before = users[0].spent;

	run(&f, 1000);
	assert_int_equal(users[0].spent, before);
	for (int i = 1; i < USERS; i++)
		rate_leave(&users[i].turn);
	stop(&f);
}

static void debt_delays_the_next_user(void **state)
{
	struct fixture f;
	struct user user;

	(void)state;
	start(&f, MB);
	assert_true(rate_may(&f.rate));
	rate_spend(&f.rate, 2 * MB);
	assert_false(rate_may(&f.rate));
	user_start(&user, &f.rate);
	user.done = true;
	run(&f, 1800);
	assert_int_equal(user.spent, 0);
	run(&f, 300);
	assert_int_equal(user.spent, f.rate.quantum);
	stop(&f);
}

static void an_idle_bucket_saves_little(void **state)
{
	struct fixture f;
	struct user user;

	(void)state;
	start(&f, MB);
	run(&f, 100000);
	assert_int_equal(timers_next(f.timers), TIMER_NEVER); /* nobody waits: nothing ticks */
	user_start(&user, &f.rate);
	run(&f, 100);
	assert_in_range(user.spent, MB / 20, MB / 4);
	rate_leave(&user.turn);
	stop(&f);
}

static void smallest_and_largest_rates_work(void **state)
{
	struct fixture f;
	struct user user;

	(void)state;
	start(&f, 1);
	assert_int_equal(f.rate.quantum, RATE_QUANTUM_MIN);
	stop(&f);
	start(&f, UINT64_MAX);
	assert_true(f.rate.per_second == RATE_PER_SECOND_MAX);
	assert_int_equal(f.rate.quantum, RATE_QUANTUM_MAX);
	f.now_ms += UINT64_C(1) << 40; /* asleep for long */
	timers_run(f.timers, f.now_ms);
	user_start(&user, &f.rate);
	user.done = true;
	run(&f, 2);
	assert_true(f.rate.level > 0 && f.rate.level <= f.rate.level_max);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_limit_costs_nothing),
		cmocka_unit_test(the_rate_holds),
		cmocka_unit_test(users_get_equal_shares),
		cmocka_unit_test(debt_delays_the_next_user),
		cmocka_unit_test(an_idle_bucket_saves_little),
		cmocka_unit_test(smallest_and_largest_rates_work),
	};

	return cmocka_run_group_tests_name("net/rate", tests, NULL, NULL);
}

#include "net/base/random.h"
#include "net/base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY 300

struct run {
	struct timers *timers;
	struct timer timer, other;
	int number;
	int fired;
	int *log; /* NULL-safe: where numbers go */
	size_t *logged;
};

static void on_fire(void *ctx)
{
	struct run *run = ctx;

	assert_false(timer_running(&run->timer));
	run->fired++;
	if (run->log)
		run->log[(*run->logged)++] = run->number;
}

static void fires_in_order_of_time_then_start(void **state)
{
	struct timers *timers = timers_new();
	struct run runs[5] = { 0 };
	static const uint64_t delays[] = { 30, 10, 20, 10, 10 };
	static const int expected[] = { 1, 3, 4, 2, 0 };
	int log[5];
	size_t logged = 0;

	(void)state;
	timers_run(timers, 1000);
	for (int i = 0; i < 5; i++) {
		runs[i] = (struct run){ .number = i, .log = log, .logged = &logged };
		timer_start(timers, &runs[i].timer, delays[i], on_fire, &runs[i]);
	}
	assert_int_equal(timers_next(timers), 1010);
	timers_run(timers, 1009);
	assert_int_equal(logged, 0);
	timers_run(timers, 1010);
	assert_int_equal(logged, 3);
	assert_int_equal(timers_now(timers), 1010);
	timers_run(timers, 2000);
	assert_int_equal(logged, 5);
	assert_memory_equal(log, expected, sizeof log);
	assert_true(timers_next(timers) == TIMER_NEVER);
	timers_free(timers);
}

static void stop_and_move(void **state)
{
	struct timers *timers = timers_new();
	struct run a = { 0 }, b = { 0 };

	(void)state;
	timer_stop(timers, &a.timer);
	timer_start(timers, &a.timer, 10, on_fire, &a);
	timer_start(timers, &b.timer, 20, on_fire, &b);
	timer_start(timers, &a.timer, 30, on_fire, &a);
	assert_int_equal(timers_next(timers), 20);
	timer_stop(timers, &b.timer);
	timer_stop(timers, &b.timer);
	assert_false(timer_running(&b.timer));
	timers_run(timers, 30);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 0);
	timers_free(timers);
}

static void on_again(void *ctx)
{
	struct run *run = ctx;

	run->fired++;
	timer_start(run->timers, &run->timer, 0, on_again, run);
}

static void on_past(void *ctx)
{
	struct run *run = ctx;

	timer_start_at(run->timers, &run->other, 1, on_fire, run);
}

/* A timer that always starts itself for now must not hold the round. */
static void started_in_a_round_waits_for_the_next(void **state)
{
	struct timers *timers = timers_new();
	struct run again = { .timers = timers }, past = { .timers = timers }, late = { 0 };

	(void)state;
	timer_start_at(timers, &again.timer, 5, on_again, &again);
	timer_start_at(timers, &past.timer, 6, on_past, &past);
	timer_start_at(timers, &late.timer, 10, on_fire, &late);
	timers_run(timers, 10);
	assert_int_equal(again.fired, 1);
	assert_int_equal(past.fired, 0);
	assert_int_equal(late.fired, 1); /* not shut out by those started for the past */
	assert_true(timers_next(timers) <= 10);
	timers_run(timers, 10);
	assert_int_equal(again.fired, 2);
	assert_int_equal(past.fired, 1);
	timer_stop(timers, &again.timer);
	timers_free(timers);
}

static void on_stop_other(void *ctx)
{
	struct run *run = ctx;

	timer_stop(run->timers, &run->other);
}

static void callback_may_stop_another_that_is_due(void **state)
{
	struct timers *timers = timers_new();
	struct run run = { .timers = timers };

	(void)state;
	timer_start(timers, &run.timer, 1, on_stop_other, &run);
	timer_start(timers, &run.other, 1, on_fire, &run);
	timers_run(timers, 50);
	assert_int_equal(run.fired, 0);
	timers_free(timers);
}

static void timer_started_for_never_does_not_fire(void **state)
{
	struct timers *timers = timers_new();
	struct run a = { 0 }, b = { 0 };

	(void)state;
	timers_run(timers, 100);
	timer_start(timers, &a.timer, TIMER_NEVER, on_fire, &a);
	timer_start(timers, &b.timer, TIMER_NEVER - 50, on_fire, &b);
	assert_true(timers_next(timers) == TIMER_NEVER);
	timers_run(timers, UINT64_MAX);
	assert_int_equal(a.fired + b.fired, 0);
	timers_run(timers, 5); /* the clock does not go back */
	assert_true(timers_now(timers) == UINT64_MAX);
	timer_stop(timers, &a.timer);
	timer_stop(timers, &b.timer);
	timers_free(timers);
}

static uint64_t fixed_clock(void *ctx)
{
	return *(uint64_t *)ctx;
}

static void delay_counts_from_the_drivers_clock(void **state)
{
	struct timers *timers = timers_new();
	struct run run = { 0 };
	uint64_t now_ms = 500;

	(void)state;
	timers_run(timers, 100);
	timers_set_clock(timers, fixed_clock, &now_ms);
	timer_start(timers, &run.timer, 10, on_fire, &run);
	assert_int_equal(timers_next(timers), 510);
	timer_stop(timers, &run.timer);
	timers_free(timers);
}

/* The heap holds through random starts, moves and stops. */
static void random_history_fires_all_in_order(void **state)
{
	struct timers *timers = timers_new();
	struct random random = random_seeded(3);
	struct run runs[MANY] = { 0 };
	uint64_t now_ms = 0;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		struct run *run = &runs[random_below(&random, MANY)];

		if (random_below(&random, 3))
			timer_start(timers, &run->timer, random_below(&random, 100), on_fire, run);
		else
			timer_stop(timers, &run->timer);
		if (step % 50 == 0) {
			now_ms += random_below(&random, 40);
			timers_run(timers, now_ms);
			assert_true(timers_next(timers) > now_ms);
		}
		uint64_t earliest = TIMER_NEVER;

		for (int i = 0; i < MANY; i++) {
			if (timer_running(&runs[i].timer) && runs[i].timer.at_ms < earliest)
				earliest = runs[i].timer.at_ms;
		}
		assert_true(timers_next(timers) == earliest);
	}
	for (int i = 0; i < MANY; i++)
		timer_stop(timers, &runs[i].timer);
	timers_free(timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fires_in_order_of_time_then_start),
		cmocka_unit_test(stop_and_move),
		cmocka_unit_test(started_in_a_round_waits_for_the_next),
		cmocka_unit_test(callback_may_stop_another_that_is_due),
		cmocka_unit_test(timer_started_for_never_does_not_fire),
		cmocka_unit_test(delay_counts_from_the_drivers_clock),
		cmocka_unit_test(random_history_fires_all_in_order),
	};
	return cmocka_run_group_tests_name("net/timer", tests, NULL, NULL);
}

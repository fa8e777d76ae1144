#include "net/base/alloc.h"
#include "net/base/loop.h"
#include "net/base/wait.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define POSTS 2000
#define THREADS 4
#define LONG_MS 60000 /* a bound that a passing test never meets */

struct job {
	struct inbox_item item;
	struct timer timer;
	struct loop *loop;
	int *order;
	int number, ran;
};

static void count_run(struct inbox_item *item)
{
	struct job *job = container_of(item, struct job, item);

	job->ran++;
	if (job->order)
		assert_int_equal((*job->order)++, job->number);
}

static void stop_loop(void *ctx)
{
	struct job *job = ctx;

	job->ran++;
	loop_stop(job->loop);
}

static void new_and_free(void **state)
{
	struct loop *loop = loop_new();

	(void)state;
	loop_run_for(loop, LONG_MS); /* nothing to do: returns at once */
	loop_free(loop);
	loop_free(NULL);
}

static void timers_run_on_the_monotonic_clock(void **state)
{
	struct loop *loop = loop_new();
	struct job job = { .loop = loop };
	uint64_t start_ms = monotonic_ms();

	(void)state;
	timer_start(loop_timers(loop), &job.timer, 20, stop_loop, &job);
	loop_run(loop);
	assert_int_equal(job.ran, 1);
	/* The kernel's coarse clock may be a tick behind. */
	assert_true(monotonic_ms() + 10 >= start_ms + 20);
	assert_true(timers_now(loop_timers(loop)) <= monotonic_ms());
	assert_true(timers_now(loop_timers(loop)) + 10 >= start_ms + 20);
	loop_free(loop);
}

static void on_tick(void *ctx)
{
	struct job *job = ctx;

	if (++job->ran < 100)
		timer_start(loop_timers(job->loop), &job->timer, 0, on_tick, job);
}

static void run_for_ends_when_nothing_is_left(void **state)
{
	struct loop *loop = loop_new();
	struct job job = { .loop = loop };

	(void)state;
	timer_start(loop_timers(loop), &job.timer, 1, on_tick, &job);
	loop_run_for(loop, LONG_MS);
	assert_int_equal(job.ran, 100);
	timer_start(loop_timers(loop), &job.timer, LONG_MS, on_tick, &job);
	loop_run_for(loop, 1);
	assert_int_equal(job.ran, 100);
	timer_stop(loop_timers(loop), &job.timer);
	loop_free(loop);
}

/* From an inbox item, a timer earlier than the armed one: the loop must not oversleep. */
static void start_earlier_timer(struct inbox_item *item)
{
	struct job *job = container_of(item, struct job, item);

	timer_start(loop_timers(job->loop), &job->timer, 1, stop_loop, job);
}

static void *post_it(void *ctx)
{
	struct job *job = ctx;

	loop_post(job->loop, &job->item);
	return NULL;
}

static void posted_work_rearms_the_alarm(void **state)
{
	struct loop *loop = loop_new();
	struct job far = { .loop = loop };
	struct job near = { .loop = loop, .item.run = start_earlier_timer };
	pthread_t thread;

	(void)state;
	timer_start(loop_timers(loop), &far.timer, LONG_MS, stop_loop, &far);
	assert_int_equal(pthread_create(&thread, NULL, post_it, &near), 0);
	loop_run(loop);
	pthread_join(thread, NULL);
	assert_int_equal(near.ran, 1);
	assert_int_equal(far.ran, 0);
	timer_stop(loop_timers(loop), &far.timer);
	loop_free(loop);
}

struct poster {
	struct loop *loop;
	struct job jobs[POSTS];
	int order;
};

static void *post_many(void *ctx)
{
	struct poster *poster = ctx;

	for (int i = 0; i < POSTS; i++)
		loop_post(poster->loop, &poster->jobs[i].item);
	return NULL;
}

struct finisher {
	struct loop *loop;
	pthread_t threads[THREADS];
};

static void *stop_after(void *ctx)
{
	struct finisher *finisher = ctx;

	for (int i = 0; i < THREADS; i++)
		pthread_join(finisher->threads[i], NULL);
	loop_stop(finisher->loop);
	return NULL;
}

/* Every post runs, in its thread's order, however wake-ups were merged. */
static void all_posts_run_in_order(void **state)
{
	struct finisher finisher = { .loop = loop_new() };
	struct poster *posters = xcalloc(THREADS, sizeof *posters);
	pthread_t last;

	(void)state;
	for (int t = 0; t < THREADS; t++) {
		posters[t].loop = finisher.loop;
		for (int i = 0; i < POSTS; i++)
			posters[t].jobs[i] = (struct job){ .item.run = count_run,
							   .order = &posters[t].order,
							   .number = i };
		pthread_create(&finisher.threads[t], NULL, post_many, &posters[t]);
	}
	pthread_create(&last, NULL, stop_after, &finisher);
	loop_run(finisher.loop);
	pthread_join(last, NULL);
	loop_free(finisher.loop);
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(posters[t].order, POSTS);
	free(posters);
}

static void post_again(struct inbox_item *item)
{
	struct job *job = container_of(item, struct job, item);

	if (++job->ran < 3)
		loop_post(job->loop, item);
}

static void late_posts_run_in_free(void **state)
{
	struct loop *loop = loop_new();
	struct job job = { .loop = loop, .item.run = post_again };

	(void)state;
	loop_post(loop, &job.item);
	loop_free(loop);
	assert_int_equal(job.ran, 3);
}

static void stop_before_run_is_not_lost(void **state)
{
	struct loop *loop = loop_new();
	struct job job = { .loop = loop };

	(void)state;
	loop_stop(loop);
	loop_run(loop);
	timer_start(loop_timers(loop), &job.timer, 1, stop_loop, &job);
	loop_run(loop); /* and it counted once */
	assert_int_equal(job.ran, 1);
	loop_free(loop);
}

/* A loop that only waits sleeps: almost no context switch in a while. */
static void idle_loop_does_not_wake(void **state)
{
	struct loop *loop = loop_new();
	struct job job = { .loop = loop };
	struct rusage before, after;

	(void)state;
	timer_start(loop_timers(loop), &job.timer, 200, stop_loop, &job);
	getrusage(RUSAGE_THREAD, &before);
	loop_run(loop);
	getrusage(RUSAGE_THREAD, &after);
	assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, 5);
	loop_free(loop);
}

static void broken_pipe_is_an_error_code(void **state)
{
	struct loop *loop = loop_new();
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	close(ends[1]);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_and_free),
		cmocka_unit_test(timers_run_on_the_monotonic_clock),
		cmocka_unit_test(run_for_ends_when_nothing_is_left),
		cmocka_unit_test(posted_work_rearms_the_alarm),
		cmocka_unit_test(all_posts_run_in_order),
		cmocka_unit_test(late_posts_run_in_free),
		cmocka_unit_test(stop_before_run_is_not_lost),
		cmocka_unit_test(idle_loop_does_not_wake),
		cmocka_unit_test(broken_pipe_is_an_error_code),
	};
	return cmocka_run_group_tests_name("net/loop", tests, NULL, NULL);
}

/* The event loop: libuv, our timers, and the inbox by which other threads reach the loop thread.
 * One uv_timer stands for all our timers. Posted items wait in a list under a lock, and one
 * uv_async wakes the loop for any number of them. Everything but loop_post() and loop_stop()
 * belongs to the loop thread. */
#include "net/base/loop.h"

#include "net/base/alloc.h"
#include "net/base/log.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

/* One uv_timer stands for all our timers and is armed again, when the earliest has changed, just
 * before the loop goes to sleep: no start or stop in between costs a thing, and a loop with nothing
 * to do sleeps without end. */
struct loop {
	uv_loop_t uv;
	struct timers *timers;
	uv_timer_t alarm;
	uint64_t alarm_ms; /* what the alarm is armed for, or TIMER_NEVER */
	uv_prepare_t before_sleep;
	uv_timer_t limit; /* of loop_run_for() */
	uv_async_t wake;
	atomic_bool stop;
	pthread_mutex_t lock;	  /* first, last */
	struct inbox_item *first; /* bounded by the items' owners, who embed them */
	struct inbox_item **last;
};

static uint64_t on_clock(void *ctx)
{
	struct loop *loop = ctx;

	return uv_now(&loop->uv);
}

static void on_alarm(uv_timer_t *alarm)
{
	struct loop *loop = container_of(alarm, struct loop, alarm);

	loop->alarm_ms = TIMER_NEVER; /* it fired: armed no more */
	timers_run(loop->timers, uv_now(&loop->uv));
}

static void loop_arm(struct loop *loop)
{
	uint64_t next_ms = timers_next(loop->timers);

	if (next_ms == loop->alarm_ms)
		return;
	loop->alarm_ms = next_ms;
	if (next_ms == TIMER_NEVER) {
		uv_timer_stop(&loop->alarm);
		return;
	}
	uint64_t now_ms = uv_now(&loop->uv);

	uv_timer_start(&loop->alarm, on_alarm, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

static void on_before_sleep(uv_prepare_t *prepare)
{
	loop_arm(container_of(prepare, struct loop, before_sleep));
}

static struct inbox_item *take_all(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct inbox_item *item = loop->first;

	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->lock);
	return item;
}

/* Whether there was anything. */
static bool drain(struct loop *loop)
{
	struct inbox_item *item = take_all(loop);
	bool any = item != NULL;

	while (item) {
		struct inbox_item *next = item->next;

		item->run(item); /* may free or post item */
		item = next;
	}
	return any;
}

static void on_wake(uv_async_t *wake)
{
	struct loop *loop = container_of(wake, struct loop, wake);

	drain(loop);
	if (atomic_load(&loop->stop))
		uv_stop(&loop->uv);
}

static void on_limit(uv_timer_t *limit)
{
	uv_stop(limit->loop);
}

static void loop_must(int err)
{
	if (err)
		log_error("loop", "cannot start: %s", uv_strerror(err));
	assert(!err); /* out of descriptors before anything was opened: nothing to go on with */
}

/* A loop with all its handles, for real and virtual time alike. Its own handles are unreferenced,
 * so that they do not keep loop_run_for() waiting. */
static struct loop *loop_make(void)
{
	struct loop *loop = xnew(struct loop);

	/* A peer that hangs up is an error code of a write, not the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	loop_must(uv_loop_init(&loop->uv));
	loop_must(uv_timer_init(&loop->uv, &loop->alarm));
	loop_must(uv_timer_init(&loop->uv, &loop->limit));
	loop_must(uv_prepare_init(&loop->uv, &loop->before_sleep));
	loop_must(uv_async_init(&loop->uv, &loop->wake, on_wake));
	loop_must(uv_prepare_start(&loop->before_sleep, on_before_sleep));
	uv_unref((uv_handle_t *)&loop->before_sleep);
	uv_unref((uv_handle_t *)&loop->limit);
	uv_unref((uv_handle_t *)&loop->wake);
	loop_must(pthread_mutex_init(&loop->lock, NULL));
	atomic_init(&loop->stop, false);
	loop->last = &loop->first;
	loop->alarm_ms = TIMER_NEVER;
	loop->timers = timers_new();
	return loop;
}

struct loop *loop_new(void)
{
	struct loop *loop = loop_make();

	timers_run(loop->timers, uv_now(&loop->uv));
	timers_set_clock(loop->timers, on_clock, loop);
	return loop;
}

struct loop *loop_new_virtual(uint64_t now_ms)
{
	struct loop *loop = loop_make();

	timers_run(loop->timers, now_ms);
	return loop;
}

static void assert_closing(uv_handle_t *handle, void *ctx)
{
	(void)ctx;
	if (!uv_is_closing(handle))
		log_error("loop", "left open: %s", uv_handle_type_name(uv_handle_get_type(handle)));
	assert(uv_is_closing(handle));
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (drain(loop))
		;
	uv_close((uv_handle_t *)&loop->alarm, NULL);
	uv_close((uv_handle_t *)&loop->limit, NULL);
	uv_close((uv_handle_t *)&loop->before_sleep, NULL);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	/* Close callbacks may still close what hangs on them; then a handle that is open was
	 * forgotten, and waiting for it would never end. */
	uv_run(&loop->uv, UV_RUN_NOWAIT);
	uv_walk(&loop->uv, assert_closing, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	while (drain(loop))
		;
	int err = uv_loop_close(&loop->uv);

	assert(!err);
	(void)err;
	timers_free(loop->timers);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

struct timers *loop_timers(struct loop *loop)
{
	return loop->timers;
}

/* libuv looks for something alive before it first prepares: the alarm must be armed by then. */
static void loop_turns(struct loop *loop)
{
	uv_update_time(&loop->uv);
	loop_arm(loop);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_run(struct loop *loop)
{
	/* Alive without anything else: work may come from other threads. */
	uv_ref((uv_handle_t *)&loop->wake);
	while (!atomic_exchange(&loop->stop, false))
		loop_turns(loop);
	uv_unref((uv_handle_t *)&loop->wake);
}

void loop_run_for(struct loop *loop, uint64_t timeout_ms)
{
	drain(loop); /* what is in the inbox already counts as left to do */
	uv_update_time(&loop->uv);
	uv_timer_start(&loop->limit, on_limit, timeout_ms, 0);
	if (!atomic_load(&loop->stop))
		loop_turns(loop);
	uv_timer_stop(&loop->limit);
	drain(loop);
	atomic_store(&loop->stop, false);
}

void loop_turn(struct loop *loop, uint64_t now_ms)
{
	drain(loop);
	timers_run(loop->timers, now_ms);
	drain(loop);
	if (uv_loop_alive(&loop->uv)) /* a system call: only when something closes */
		uv_run(&loop->uv, UV_RUN_NOWAIT);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	uv_async_send(&loop->wake);
}

void loop_post(struct loop *loop, struct inbox_item *item)
{
	item->next = NULL;
	pthread_mutex_lock(&loop->lock);
	*loop->last = item;
	loop->last = &item->next;
	pthread_mutex_unlock(&loop->lock);
	uv_async_send(&loop->wake);
}

/* The loop thread's engine: a libuv loop, the timers it drives, and the inbox by which other
 * threads ask it for work. */
#ifndef NET_BASE_LOOP_H
#define NET_BASE_LOOP_H

#include "net/base/timer.h"

struct uv_loop_s;
struct loop;

/* Something to run on the loop thread. Embedded by its owner, who keeps it alive until run(). */
struct inbox_item {
	void (*run)(struct inbox_item *item); /* loop thread; may free item */
	struct inbox_item *next;
};

/* A loop is created, run and freed by one thread. Never NULL; ignores SIGPIPE in the whole process.
 */
struct loop *loop_new(void);
/* Before this, the caller calls uv_close() for every handle (the callbacks may be still to come),
 * stops every timer and joins the threads that post. Asserts that no handle leaked. Items still in
 * the inbox are run. NULL is ignored. */
void loop_free(struct loop *loop);
/* For the few files that may use libuv themselves (scripts/check-layers). */
struct uv_loop_s *loop_uv(struct loop *loop);
/* Their clock is uv_now(): monotonic_ms() as of the event being handled. */
struct timers *loop_timers(struct loop *loop);

/* Runs until loop_stop() (any thread), then returns with the loop still whole. */
void loop_run(struct loop *loop);
/* Runs until nothing is left to do, until loop_stop(), or for timeout_ms. For tests and shutdown.
 * An open handle, a request, a timer and an item posted before are things left to do; a post that
 * may come is not. */
void loop_run_for(struct loop *loop, uint64_t timeout_ms);
/* A loop for the simulator. Only loop_turn() runs it and moves its clock; loop_run() and
 * loop_run_for() must not be used. Many nodes share one loop. Sockets do not work on it. */
struct loop *loop_new_virtual(uint64_t now_ms);
/* One round at now_ms (never back): what is in the inbox, then the timers that are due, then what
 * those posted, then libuv's close callbacks. The driver comes again at timers_next(). */
void loop_turn(struct loop *loop, uint64_t now_ms);

/* Any thread and signal handlers. Stops the next run when none is running. */
void loop_stop(struct loop *loop);

/* Any thread. One wake-up may stand for many posts; items run in the order posted. Items posted
 * after the loop ended and before loop_free() are run by loop_free(). item is the loop's until
 * run(). */
void loop_post(struct loop *loop, struct inbox_item *item);

#endif

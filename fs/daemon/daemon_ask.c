/* A call of the daemon's own, run on its loop for a thread that waits for its answers: what a name
 * leads to, telling the network of one. Any thread but the loop's; the loop runs until it returned.
 */
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/wait.h"

#include <pthread.h>
#include <stdlib.h>

struct question {
	struct daemon *daemon;
	struct wait *wait; /* the asking thread's */
	const char *name;
	json_t *args;
	struct api_call call; /* the loop's */
	struct inbox_item begin, cancel;
	api_asked_fn *item;
	void *ctx;
	bool ended; /* the loop's */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done, cancel_done;
	int err;
	char *why;
};

/* The asking thread sleeps: its item() may run here. */
static void question_item(struct api_call *call, json_t *item)
{
	struct question *question = container_of(call, struct question, call);

	if (question->item)
		question->item(question->ctx, item);
}

static void question_trouble(struct api_call *call, const char *message, const json_t *details)
{
	(void)call;
	(void)message;
	(void)details;
}

static void question_end(struct api_call *call, int err, const char *message)
{
	struct question *question = container_of(call, struct question, call);

	question->ended = true;
	pthread_mutex_lock(&question->lock);
	question->err = err;
	question->why = message ? xstrdup(message) : NULL;
	question->done = true;
	wait_wake(question->wait);
	pthread_cond_signal(&question->wake);
	pthread_mutex_unlock(&question->lock);
}

static const struct api_sink question_sink = {
	.item = question_item,
	.trouble = question_trouble,
	.end = question_end,
};

static void on_begin(struct inbox_item *item)
{
	struct question *question = container_of(item, struct question, begin);
	const struct api_row *row = api_row(question->name);
	char *why = NULL;
	int err;

	question->call = (struct api_call){
		.row = row, .args = question->args, .host = question->daemon, .sink = &question_sink
	};
	err = row && row->run_daemon ? api_check(row, question->args, &why) : -ENOTSUP;
	if (err)
		api_end(&question->call, err, why);
	else
		api_run(&question->call, true);
	free(why);
}

static void on_give_up(struct inbox_item *item)
{
	struct question *question = container_of(item, struct question, cancel);

	if (!question->ended)
		api_cancel(&question->call);
	pthread_mutex_lock(&question->lock);
	question->cancel_done = true;
	pthread_cond_signal(&question->wake);
	pthread_mutex_unlock(&question->lock);
}

static bool is_done(struct question *question)
{
	pthread_mutex_lock(&question->lock);
	bool done = question->done;

	pthread_mutex_unlock(&question->lock);
	return done;
}

/* The loop ends a call that is given up at once, so the second wait is short. */
static int question_wait(struct question *question, struct wait *wait)
{
	int err = 0;

	while (!is_done(question) && !err)
		err = wait_sleep(wait);
	if (!err)
		return question->err;
	loop_post(question->daemon->loop, &question->cancel);
	pthread_mutex_lock(&question->lock);
	while (!question->done || !question->cancel_done)
		pthread_cond_wait(&question->wake, &question->lock);
	pthread_mutex_unlock(&question->lock);
	return err;
}

int daemon_ask(struct daemon *daemon, const char *call, json_t *args, struct wait *wait,
	       api_asked_fn *item, void *ctx, char **why)
{
	uint64_t now_ms = monotonic_ms(), left_ms = 0;
	struct question question = {
		.daemon = daemon,
		.wait = wait,
		.name = call,
		.args = args,
		.begin.run = on_begin,
		.cancel.run = on_give_up,
		.item = item,
		.ctx = ctx,
	};
	int err;

	if (!args)
		return -EINVAL;
	if (wait->deadline_ms != UINT64_MAX)
		left_ms = wait->deadline_ms > now_ms ? wait->deadline_ms - now_ms : 1;
	json_object_set_new(args, "timeout", json_integer((json_int_t)left_ms));
	if (left_ms)
		wait->deadline_ms += CLI_GRACE_MS; /* it tells itself that nobody answered */
	pthread_mutex_init(&question.lock, NULL);
	pthread_cond_init(&question.wake, NULL);
	loop_post(daemon->loop, &question.begin);
	err = question_wait(&question, wait);
	pthread_cond_destroy(&question.wake);
	pthread_mutex_destroy(&question.lock);
	json_decref(args);
	if (why && err)
		*why = question.why;
	else
		free(question.why);
	return err;
}

/* Calls that block, run by the daemon: each on a thread of its own, as the command line runs it in
 * its own process. What it yields goes to the loop, in order, and from there to the client.
 *
 *	loop: daemon_run_job() --thread--> row->jobs_run() --answers, as posts--> loop: item,
 *trouble, end ^cancel: the job's wait is ended, and its end is awaited
 *
 * A job that is far ahead of the loop waits for it. */
#include "fs/daemon/daemon_private.h"
#include "fs/shares.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/thread.h"
#include "net/base/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 64
#define ANSWERS_MAX 1024 /* of one job, that the loop has not taken */

struct job {
	struct list node; /* in daemon->jobs */
	struct daemon *daemon;
	struct api_call *call; /* the client's; loop thread */
	struct api_call inner; /* the thread's */
	struct api_host host;  /* the thread's */
	struct wait wait;      /* the thread's */
	atomic_bool cancelled;
	pthread_t thread;
	struct inbox_item post;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t room;
	struct list answers; /* struct answer */
	size_t answer_count;
	bool posted, ended;
	int err;
	char *message;
};

struct answer {
	struct list node;
	json_t *item;
	char *trouble; /* NULL: it is an item, else item is the details */
};

/* ---- on the loop ---- */

static void job_free(struct job *job)
{
	struct daemon *daemon = job->daemon;

	list_remove(&job->node);
	wait_release(&job->wait);
	pthread_cond_destroy(&job->room);
	pthread_mutex_destroy(&job->lock);
	json_decref(job->inner.args);
	free(job->message);
	free(job);
	if (daemon->stopping)
		daemon_part_gone(daemon);
}

static void jobs_give(struct job *job, struct answer *answer)
{
	if (answer->trouble)
		api_trouble(job->call, answer->item, "%s", answer->trouble);
	else
		api_item(job->call, answer->item);
	free(answer->trouble);
	free(answer);
}

static void on_post(struct inbox_item *item)
{
	struct job *job = container_of(item, struct job, post);
	struct list taken;
	bool ended;

	list_init(&taken);
	pthread_mutex_lock(&job->lock);
	list_move_all(&taken, &job->answers);
	job->answer_count = 0;
	job->posted = false;
	ended = job->ended;
	pthread_cond_signal(&job->room);
	pthread_mutex_unlock(&job->lock);
	while (!list_empty(&taken)) {
		struct answer *answer = list_first(&taken, struct answer, node);

		list_remove(&answer->node);
		jobs_give(job, answer);
	}
	if (!ended)
		return;
	pthread_join(job->thread, NULL);
	api_end(job->call, job->err, job->message);
	job_free(job);
}

static void on_cancel(void *ctx)
{
	struct job *job = ctx;

	atomic_store(&job->cancelled, true);
	wait_cancel(&job->wait);
}

/* ---- on its thread ---- */

/* The lock is held. */
static void jobs_post(struct job *job)
{
	if (!job->posted)
		loop_post(job->daemon->loop, &job->post);
	job->posted = true;
}

/* Takes item and trouble. */
static void add_answer(struct job *job, json_t *item, char *trouble)
{
	struct answer *answer = xnew(struct answer);

	answer->item = item;
	answer->trouble = trouble;
	pthread_mutex_lock(&job->lock);
	while (job->answer_count >= ANSWERS_MAX)
		pthread_cond_wait(&job->room, &job->lock);
	list_add_tail(&job->answers, &answer->node);
	job->answer_count++;
	jobs_post(job);
	pthread_mutex_unlock(&job->lock);
}

/* Values are the loop's from then on: nothing of them is shared with this thread. */
static void on_item(struct api_call *call, json_t *item)
{
	add_answer(container_of(call, struct job, inner), json_deep_copy(item), NULL);
}

static void on_trouble(struct api_call *call, const char *message, const json_t *details)
{
	add_answer(container_of(call, struct job, inner), details ? json_deep_copy(details) : NULL,
		   xstrdup(message));
}

static void on_end(struct api_call *call, int err, const char *message)
{
	struct job *job = container_of(call, struct job, inner);

	job->err = err;
	job->message = message ? xstrdup(message) : NULL;
}

static const struct api_sink sink = { .item = on_item, .trouble = on_trouble, .end = on_end };

static struct wait *host_wait(struct api_host *host, uint64_t timeout_ms)
{
	struct job *job = container_of(host, struct job, host);

	wait_start(&job->wait, timeout_ms);
	if (atomic_load(&job->cancelled))
		wait_cancel(&job->wait);
	return &job->wait;
}

static struct fetcher *host_fetcher(struct api_host *host)
{
	return container_of(host, struct job, host)->daemon->fetcher;
}

static struct shares *host_shares(struct api_host *host)
{
	return container_of(host, struct job, host)->daemon->shares;
}

static int host_ask(struct api_host *host, const char *call, json_t *args, struct wait *wait,
		    api_asked_fn *item, void *ctx, char **why)
{
	return daemon_ask(container_of(host, struct job, host)->daemon, call, args, wait, item, ctx,
			  why);
}

static void host_provided(struct api_host *host, const struct cid *cid)
{
	(void)cid;
	daemon_shares_told(container_of(host, struct job, host)->daemon);
}

/* ---- a job ---- */

static void *jobs_run(void *ctx)
{
	struct job *job = ctx;

	api_run(&job->inner, false);
	pthread_mutex_lock(&job->lock);
	job->ended = true;
	jobs_post(job);
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

static unsigned job_count(const struct daemon *daemon)
{
	unsigned count = 0;

	list_for_each(job, &daemon->jobs, struct job, node)
		count++;
	return count;
}

static struct job *job_new(struct api_call *call)
{
	struct daemon *daemon = call->host;
	struct job *job = xnew(struct job);

	job->daemon = daemon;
	job->call = call;
	job->post.run = on_post;
	job->host = (struct api_host){
		.repo = daemon->repo,
		.repo_path = daemon->repo->path,
		.wait = host_wait,
		.fetcher = host_fetcher,
		.ask = host_ask,
		.provided = host_provided,
		.shares = host_shares,
	};
	job->inner = (struct api_call){
		.row = call->row,
		.args = json_deep_copy(call->args),
		.host = &job->host,
		.sink = &sink,
	};
	list_init(&job->answers);
	pthread_mutex_init(&job->lock, NULL);
	pthread_cond_init(&job->room, NULL);
	list_add_tail(&daemon->jobs, &job->node);
	return job;
}

void daemon_run_job(struct api_call *call)
{
	struct daemon *daemon = call->host;
	struct job *job;
	int err;

	if (daemon->stopping || job_count(daemon) >= JOBS_MAX) {
		api_end(call, -EAGAIN, daemon->stopping ? "the daemon ends" : "too many calls run");
		return;
	}
	job = job_new(call);
	err = wait_init(&job->wait);
	if (!err) {
		api_on_cancel(call, on_cancel, job);
		err = thread_start(&job->thread, jobs_run, job);
	}
	if (err) {
		job_free(job);
		api_end(call, err, NULL);
	}
}

/* Checks received blocks against their hashes, large ones on a thread of its own. Results come
 * back to the loop in one note for many. The door is for the loop thread. */
#include "exchange/bitswap/verify.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <pthread.h>
#include <stdlib.h>

/* What the loop runs when jobs are done. It outlives a verify that was freed while it was posted.
 */
struct report {
	struct inbox_item item;
	struct bitswap_verify *verify; /* NULL: freed */
};

struct bitswap_verify {
	struct loop *loop;
	size_t inline_max;
	bitswap_verified_fn *done;
	void *ctx;
	size_t queued; /* bytes; loop thread */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t more;
	struct list waiting, ready;
	struct report *report; /* posted and not yet run */
	bool stop;
};

struct bitswap_frame *bitswap_frame_new(struct buf *message)
{
	struct bitswap_frame *frame = xnew(struct bitswap_frame);

	atomic_init(&frame->refs, 1);
	frame->message = *message;
	*message = (struct buf){ 0 };
	return frame;
}

struct bitswap_frame *bitswap_frame_ref(struct bitswap_frame *frame)
{
	atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
	return frame;
}

void bitswap_frame_unref(struct bitswap_frame *frame)
{
	if (atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) > 1)
		return;
	buf_release(&frame->message);
	free(frame);
}

static void job_free(struct bitswap_job *job)
{
	bitswap_frame_unref(job->frame);
	free(job);
}

struct bitswap_verify *bitswap_verify_new(struct loop *loop, size_t inline_max,
					  bitswap_verified_fn *done, void *ctx)
{
	struct bitswap_verify *verify = xnew(struct bitswap_verify);

	verify->loop = loop;
	verify->inline_max = inline_max;
	verify->done = done;
	verify->ctx = ctx;
	pthread_mutex_init(&verify->lock, NULL);
	pthread_cond_init(&verify->more, NULL);
	list_init(&verify->waiting);
	list_init(&verify->ready);
	return verify;
}

static void verify_finish(struct bitswap_verify *verify, struct bitswap_job *job)
{
	verify->done(verify->ctx, job);
	job_free(job);
}

/* Loop thread. */
static void on_report(struct inbox_item *item)
{
	struct report *report = container_of(item, struct report, item);
	struct bitswap_verify *verify = report->verify;
	struct list ready;

	free(report);
	if (!verify)
		return;
	list_init(&ready);
	pthread_mutex_lock(&verify->lock);
	verify->report = NULL;
	list_move_all(&ready, &verify->ready);
	pthread_mutex_unlock(&verify->lock);
	while (!list_empty(&ready)) {
		struct bitswap_job *job = list_first(&ready, struct bitswap_job, node);

		list_remove(&job->node);
		verify->queued -= job->data.len;
		verify_finish(verify, job);
	}
}

/* With the lock held. */
static void verify_post(struct bitswap_verify *verify)
{
	if (verify->report)
		return;
	verify->report = xnew(struct report);
	verify->report->verify = verify;
	verify->report->item.run = on_report;
	loop_post(verify->loop, &verify->report->item);
}

/* The hashing thread: takes jobs as they wait, and posts what is ready to the loop. */
static void *verify_run(void *ctx)
{
	struct bitswap_verify *verify = ctx;

	pthread_mutex_lock(&verify->lock);
	while (!verify->stop) {
		if (list_empty(&verify->waiting)) {
			pthread_cond_wait(&verify->more, &verify->lock);
			continue;
		}
		struct bitswap_job *job = list_first(&verify->waiting, struct bitswap_job, node);

		list_remove(&job->node);
		pthread_mutex_unlock(&verify->lock);
		job->err = bitswap_msg_name(&job->prefix, job->data, &job->cid);
		pthread_mutex_lock(&verify->lock);
		list_add_tail(&verify->ready, &job->node);
		verify_post(verify);
	}
	pthread_mutex_unlock(&verify->lock);
	return NULL;
}

size_t bitswap_verify_queued(const struct bitswap_verify *verify)
{
	return verify->queued;
}

void bitswap_verify_submit(struct bitswap_verify *verify, struct bitswap_job *job)
{
	bool small = job->data.len <= verify->inline_max;

	if (!small && !verify->started) {
		int err = thread_start(&verify->thread, verify_run, verify);

		verify->started = !err;
		if (err)
			log_warn("bitswap", "blocks are hashed on the loop err=\"%s\"",
				 err_text(err));
	}
	if (small || !verify->started) { /* without a thread: slowly, but done */
		job->err = bitswap_msg_name(&job->prefix, job->data, &job->cid);
		verify_finish(verify, job);
		return;
	}
	verify->queued += job->data.len;
	pthread_mutex_lock(&verify->lock);
	list_add_tail(&verify->waiting, &job->node);
	pthread_cond_signal(&verify->more);
	pthread_mutex_unlock(&verify->lock);
}

static void drop_all(struct list *jobs)
{
	while (!list_empty(jobs)) {
		struct bitswap_job *job = list_first(jobs, struct bitswap_job, node);

		list_remove(&job->node);
		job_free(job);
	}
}

void bitswap_verify_free(struct bitswap_verify *verify)
{
	if (!verify)
		return;
	pthread_mutex_lock(&verify->lock);
	verify->stop = true;
	pthread_cond_signal(&verify->more);
	pthread_mutex_unlock(&verify->lock);
	if (verify->started)
		pthread_join(verify->thread, NULL);
	if (verify->report)
		verify->report->verify = NULL;
	drop_all(&verify->waiting);
	drop_all(&verify->ready);
	pthread_mutex_destroy(&verify->lock);
	pthread_cond_destroy(&verify->more);
	free(verify);
}

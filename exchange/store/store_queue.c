/* The queue of blocks to be written: one thread verifies them, one commits them, many in one
 * transaction. A block waits a little for others unless a caller waits for it. Any thread may
 * put. */
#include "exchange/store/store_queue_private.h"

#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#define KEPT_BATCH_BYTES (16u << 20) /* of one transaction, which waits for the disk once */
/* Of one that does not wait. LMDB writes a transaction with one call, for which the kernel takes
 * memory in pieces as large as the call allows. Pieces of 2 MiB and more are those that a virtual
 * machine gives back to its host while they are free: to touch one again costs several times the
 * copy. */
#define CACHE_BATCH_BYTES (1u << 20)
#define LINGER_MS 100  /* how long a block waits for others before its batch is written */
#define FAILURES_MAX 8 /* blocks that fail alone before a pass is given up */
#define RETRY_MS 1000
#define QUIET_MS 60000 /* without a failure, before writing is said to go on */

/* ---- items; the lock is held ---- */

static bool much_room(const struct store_queue *queue)
{
	if (queue->stuck)
		return queue->verify_bytes <= STUCK_VERIFY_MAX / 2;
	return queue->bytes <= STORE_QUEUE_MAX / 2 && queue->guest_bytes <= queue->guest_max / 2;
}

/* Logged once for all, because a full disk loses hundreds. */
static void lose(struct store_queue *queue, struct queue_item *item)
{
	if (item->guest)
		queue->lost_guests++;
	queue_finish(queue, item);
}

/* Logs one line when writing begins to fail and one when it works again. Callers that wait for a
 * block or sync get the error themselves; for other blocks this log is all there is. The lock is
 * held. */
static void log_pass(struct store_queue *queue, int err)
{
	if (err && queue->guest_failed && !queue->told) {
		log_error("store", "cannot write: %s; what is fetched is not kept until it can",
			  err_text(err));
		queue->told = true;
	}
	if (!err && queue->told && monotonic_ms() >= queue->quiet_until_ms) {
		log_info("store", "can write again; blocks not kept meanwhile: %llu",
			 (unsigned long long)queue->lost_guests);
		queue->told = false;
		queue->lost_guests = 0;
	}
	if (err)
		queue->quiet_until_ms = monotonic_ms() + QUIET_MS;
}

/* ---- the verifier ---- */

static void verify_one(struct store_queue *queue, struct queue_item *item)
{
	struct block *block = item->block;
	bool verify = item->verify;
	int err = verify ? cid_verify(&block->cid, block->data) : 0;

	item->sum = XXH3_64bits(block->data.at, block->data.len);
	item->summed = true;

	pthread_mutex_lock(&queue->lock);
	if (verify && !err && !item->dropped)
		queue_show(queue, item);
	pthread_mutex_unlock(&queue->lock);
	if (item->verified)
		item->verified(item->ctx, err, block);
	pthread_mutex_lock(&queue->lock);
	if (verify)
		queue->verify_bytes -= item->cost;
	item->verify = false;
	if (err)
		queue_finish(queue, item);
	else if (verify && queue->stuck && !item->batch)
		lose(queue, item); /* it can be fetched again */
	else
		queue_make_ready(queue, item);
	pthread_mutex_unlock(&queue->lock);
}

static void *run_verifier(void *ctx)
{
	struct store_queue *queue = ctx;

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		while (list_empty(&queue->unverified) && !queue->closing)
			pthread_cond_wait(&queue->to_verify, &queue->lock);
		if (list_empty(&queue->unverified))
			break;
		struct queue_item *item = list_first(&queue->unverified, struct queue_item, step);

		list_remove(&item->step);
		pthread_mutex_unlock(&queue->lock);
		verify_one(queue, item);
		pthread_mutex_lock(&queue->lock);
	}
	queue->verifier_done = true;
	pthread_cond_signal(&queue->to_commit);
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

/* ---- the committer ---- */

/* Sleeps until there may be something to do; the lock is held. */
static void wait_for_work(struct store_queue *queue)
{
	uint64_t at_ms = UINT64_MAX;

	if (queue->stuck)
		at_ms = queue->retry_at_ms;
	else if (!list_empty(&queue->ready))
		at_ms = queue->ready_since_ms + LINGER_MS;
	if (at_ms == UINT64_MAX) {
		pthread_cond_wait(&queue->to_commit, &queue->lock);
		return;
	}
	struct timespec at = { .tv_sec = (time_t)(at_ms / 1000),
			       .tv_nsec = (long)(at_ms % 1000 * 1000000) };

	pthread_cond_timedwait(&queue->to_commit, &queue->lock, &at);
}

static bool due(const struct store_queue *queue)
{
	if (list_empty(&queue->ready))
		return false;
	if (queue->stuck)
		return queue->closing || queue->retry || monotonic_ms() >= queue->retry_at_ms;
	return queue_in_hurry(queue) || monotonic_ms() >= queue->ready_since_ms + LINGER_MS;
}

/* Is a batch of so many items and bytes full, so that it cannot take so many bytes more? */
static bool is_full(const struct store_queue *queue, size_t count, size_t bytes, size_t more)
{
	if (!count)
		return false;
	return count == QUEUE_BATCH_MAX ||
	       bytes + more > (queue->batch[0]->keep ? KEPT_BATCH_BYTES : CACHE_BATCH_BYTES);
}

/* Takes what one transaction may hold out of ready; the lock is held. */
static size_t take_batch(struct store_queue *queue)
{
	size_t count = 0, bytes = 0;

	list_for_each_safe(item, &queue->ready, struct queue_item, step) {
		if (is_full(queue, count, bytes, item->cost))
			break;
		if (count && item->keep != queue->batch[0]->keep)
			continue; /* of the next batch */
		queue_unready(queue, item);
		if (item->dropped) {
			queue_finish(queue, item);
			continue;
		}
		bytes += item->cost;
		item->committing = true;
		queue->batch[count++] = item;
	}
	queue->ready_since_ms = monotonic_ms();
	return count;
}

static void finish_batch(struct store_queue *queue, size_t at, size_t count)
{
	pthread_mutex_lock(&queue->lock);
	for (size_t i = at; i < at + count; i++)
		queue_finish(queue, queue->batch[i]);
	if (list_empty(&queue->live))
		queue->stuck = 0; /* a caller of sync puts again before the pass is done */
	pthread_mutex_unlock(&queue->lock);
}

/* Back to the end of ready, unless it was its last try; the lock is held. */
static void put_back(struct store_queue *queue, struct queue_item *item, bool last)
{
	item->committing = false;
	queue->guest_failed = queue->guest_failed || item->guest;
	if (last)
		lose(queue, item);
	else
		queue_make_ready(queue, item);
}

/* Takes the result of a pass; the lock is held. */
static void pass_done(struct store_queue *queue, int err)
{
	log_pass(queue, err);
	if (err) {
		queue->failed_passes++;
		queue->failure = err;
		queue->retry_at_ms = monotonic_ms() + RETRY_MS;
	}
	queue->stuck = err;
	queue->retry = false;
	pthread_cond_broadcast(&queue->progress);
}

/* After a pass: those from `at` on, which were not tried, go back before the first ones, which
 * failed, so that each has its turn. */
static void put_back_all(struct store_queue *queue, size_t failures, size_t at, size_t count,
			 int err, bool last)
{
	pthread_mutex_lock(&queue->lock);
	for (; at < count; at++)
		put_back(queue, queue->batch[at], last);
	for (size_t i = 0; i < failures; i++)
		put_back(queue, queue->batch[i], last);
	pass_done(queue, err);
	pthread_mutex_unlock(&queue->lock);
}

/* Commits the batch, in pieces when the whole fails; what fails alone goes back. At the last try
 * all are tried. */
static void commit_batch(struct store_queue *queue, size_t count, bool last)
{
	size_t at = 0, most = count, failures = 0;
	int err = 0;

	while (at < count && (last || failures < FAILURES_MAX)) {
		size_t some = most < count - at ? most : count - at, fits = 0;
		int why = queue->commit(queue->ctx, queue->batch + at, some, &fits);

		if (!why) {
			finish_batch(queue, at, some);
			at += some;
			most = failures ? 1 : count;
		} else if (some > 1) {
			most = fits && fits < some ? fits : some / 2;
		} else {
			err = why;
			pthread_mutex_lock(&queue->lock);
			queue_batch_failed(queue->batch[at], err);
			pthread_mutex_unlock(&queue->lock);
			queue->batch[failures++] = queue->batch[at++];
		}
	}
	put_back_all(queue, failures, at, count, err, last);
}

/* The lock is held, and let go of during calls. */
static void tell_rooms(struct store_queue *queue)
{
	while (!list_empty(&queue->rooms) && much_room(queue)) {
		struct room_waiter *waiter = list_first(&queue->rooms, struct room_waiter, link);

		list_remove(&waiter->link);
		pthread_mutex_unlock(&queue->lock);
		waiter->room(waiter->ctx);
		free(waiter);
		pthread_mutex_lock(&queue->lock);
	}
}

/* The committing thread: waits until a batch is due and commits it. Ends when the verifier has
 * ended and nothing is left. */
static void *run_committer(void *ctx)
{
	struct store_queue *queue = ctx;

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		tell_rooms(queue);
		if (due(queue)) {
			size_t count = take_batch(queue);

			if (!count) { /* all were dropped: nothing is left to be stuck on */
				pass_done(queue, 0);
				continue;
			}
			bool last = queue->closing;

			pthread_mutex_unlock(&queue->lock);
			commit_batch(queue, count, last);
			pthread_mutex_lock(&queue->lock);
		} else if (queue->verifier_done && list_empty(&queue->ready)) {
			break;
		} else {
			wait_for_work(queue);
		}
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

/* ---- the door ---- */

static void free_memory(struct store_queue *queue)
{
	list_for_each_safe(waiter, &queue->rooms, struct room_waiter, link)
		free(waiter);
	map_release(&queue->pending);
	pthread_cond_destroy(&queue->to_verify);
	pthread_cond_destroy(&queue->to_commit);
	pthread_cond_destroy(&queue->progress);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static void end_verifier(struct store_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closing = true;
	pthread_cond_signal(&queue->to_verify);
	pthread_cond_signal(&queue->to_commit);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->verifier, NULL);
}

int queue_new(queue_commit_fn *commit, void *ctx, struct store_queue **out)
{
	struct store_queue *queue = xnew(struct store_queue);
	pthread_condattr_t monotonic;

	queue->commit = commit;
	queue->ctx = ctx;
	queue->guest_max = STORE_QUEUE_MAX;
	list_init(&queue->live);
	list_init(&queue->unverified);
	list_init(&queue->ready);
	list_init(&queue->rooms);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->to_verify, NULL);
	pthread_cond_init(&queue->to_commit, &monotonic);
	pthread_cond_init(&queue->progress, NULL);
	pthread_condattr_destroy(&monotonic);

	int err = thread_start(&queue->verifier, run_verifier, queue);

	if (!err) {
		err = thread_start(&queue->committer, run_committer, queue);
		if (err)
			end_verifier(queue);
	}
	if (err) {
		free_memory(queue);
		return err;
	}
	*out = queue;
	return 0;
}

void queue_free(struct store_queue *queue)
{
	end_verifier(queue);
	pthread_join(queue->committer, NULL);
	free_memory(queue);
}

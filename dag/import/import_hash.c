/* The pool that hashes leaves. Jobs wait in two lists, one in the owner's order and one for the
 * threads; a job's ready flag is all that they share without the lock. Threads start with the
 * first leaf that is worth it. Any number of threads; one owner. */
#include "dag/import/import_hash.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct hash_pool {
	const struct import_config *config;
	unsigned wanted, started;
	pthread_t threads[IMPORT_THREADS_MAX];

	/* The owner's: every job, oldest first. */
	struct job *first, **last;
	size_t bytes, count;

	/* Shared. */
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct job *work_first, **work_last;
	struct job *awaited; /* the owner sleeps until this is ready */
	bool closing;
};

struct hash_pool *hash_pool_new(const struct import_config *config)
{
	struct hash_pool *pool = xnew(struct hash_pool);
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = config->threads;

	if (threads == 0)
		threads = processors > 0 ? (unsigned)processors : 1;
	pool->wanted = threads < IMPORT_THREADS_MAX ? threads : IMPORT_THREADS_MAX;
	pool->config = config;
	pool->last = &pool->first;
	pool->work_last = &pool->work_first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	return pool;
}

static void hash_run(const struct hash_pool *pool, struct job *job)
{
	job->err = builder_name(pool->config, job->version, job->codec, job->data, &job->cid);
	atomic_store_explicit(&job->ready, true, memory_order_release);
}

static void *hash_thread(void *arg)
{
	struct hash_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct job *job = pool->work_first;

		if (pool->closing)
			break;
		if (!job) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		pool->work_first = job->next_work;
		if (!pool->work_first)
			pool->work_last = &pool->work_first;
		pthread_mutex_unlock(&pool->lock);
		hash_run(pool, job);
		/* From here on the owner may have freed the job: only its address is used. */
		pthread_mutex_lock(&pool->lock);
		if (pool->awaited == job)
			pthread_cond_signal(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Whether there is at least one thread. */
static bool start_threads(struct hash_pool *pool)
{
	while (pool->started < pool->wanted) {
		int err = thread_start(&pool->threads[pool->started], hash_thread, pool);

		if (err) {
			log_warn("import", "no more threads err=\"%s\"", err_text(err));
			pool->wanted = pool->started;
			break;
		}
		pool->started++;
	}
	return pool->started > 0;
}

void hash_give(struct hash_pool *pool, struct job *job)
{
	job->next = NULL;
	*pool->last = job;
	pool->last = &job->next;
	pool->bytes += job->data.len;
	pool->count++;
	if (job->kind != JOB_LEAF) {
		atomic_store_explicit(&job->ready, true, memory_order_relaxed);
		return;
	}
	if (job->data.len < HASH_INLINE_MAX || !start_threads(pool)) {
		hash_run(pool, job);
		return;
	}
	job->next_work = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->work_last = job;
	pool->work_last = &job->next_work;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

static void await(struct hash_pool *pool, struct job *job)
{
	pthread_mutex_lock(&pool->lock);
	pool->awaited = job;
	while (!atomic_load_explicit(&job->ready, memory_order_acquire))
		pthread_cond_wait(&pool->done, &pool->lock);
	pool->awaited = NULL;
	pthread_mutex_unlock(&pool->lock);
}

struct job *hash_take(struct hash_pool *pool, bool must_wait)
{
	struct job *job = pool->first;

	if (!job)
		return NULL;
	if (!atomic_load_explicit(&job->ready, memory_order_acquire)) {
		if (!must_wait)
			return NULL;
		await(pool, job);
	}
	pool->first = job->next;
	if (!pool->first)
		pool->last = &pool->first;
	pool->bytes -= job->data.len;
	pool->count--;
	return job;
}

bool hash_full(const struct hash_pool *pool)
{
	return pool->bytes >= HASH_BYTES_MAX || pool->count >= HASH_JOBS_MAX;
}

void job_free(struct job *job)
{
	leaf_drop(job->leaf);
	free(job);
}

void hash_pool_free(struct hash_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++)
		pthread_join(pool->threads[i], NULL);
	while (pool->first) {
		struct job *job = pool->first;

		pool->first = job->next;
		job_free(job);
	}
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->done);
	free(pool);
}

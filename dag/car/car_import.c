/* One thread reads and cuts, some hash and put: hashing costs more than all the rest. Blocks wait
 * between them in a queue of bounded bytes. Whoever fails first says why, and all stop. */
#include "dag/car.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_LEN (256u << 10)
#define THREADS_MAX 8
#define QUEUE_BLOCKS_MAX 4096
#define INLINE_MAX 4096 /* smaller ones cost less than handing them over */

struct item {
	struct item *next;
	struct block *block;
	uint64_t offset;
};

struct importing {
	struct blocks *blocks;
	struct car_import *result;
	unsigned wanted, started;
	pthread_t threads[THREADS_MAX];

	/* Shared. */
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	struct item *first, **last;
	size_t bytes, count;
	bool closing;
	int err; /* the first; result's why, offset and bad belong to it */
};

static void fail_at(struct importing *im, int err, const char *why, uint64_t offset,
		    const struct cid *bad)
{
	pthread_mutex_lock(&im->lock);
	if (!im->err) {
		im->err = err;
		im->result->why = why;
		im->result->offset = offset;
		im->result->bad = *bad;
	}
	pthread_cond_broadcast(&im->room);
	pthread_mutex_unlock(&im->lock);
}

/* Takes the block. */
static void check_and_put(struct importing *im, struct block *block, uint64_t offset)
{
	int err = cid_allowed(&block->cid);

	if (err) {
		fail_at(im, err, "hash function not allowed", offset, &block->cid);
	} else if ((err = cid_verify(&block->cid, block->data))) {
		fail_at(im, err == -ENOTSUP ? -EBADMSG : err,
			err == -ENOTSUP ? "hash function not known"
					: "block does not match its CID",
			offset, &block->cid);
	} else if (!cid_is_identity(&block->cid)) { /* those carry their block themselves */
		err = blocks_put(im->blocks, block);
		if (err)
			fail_at(im, err, NULL, offset, &block->cid);
	}
	block_unref(block);
}

/* Takes blocks from the reader's queue, verifies them and puts them into the store. */
static void *hash_thread(void *arg)
{
	struct importing *im = arg;

	pthread_mutex_lock(&im->lock);
	for (;;) {
		struct item *item = im->first;

		if (!item) {
			if (im->closing)
				break;
			pthread_cond_wait(&im->work, &im->lock);
			continue;
		}
		im->first = item->next;
		if (!im->first)
			im->last = &im->first;
		im->bytes -= item->block->data.len;
		im->count--;
		bool failed = im->err != 0;

		pthread_cond_signal(&im->room);
		pthread_mutex_unlock(&im->lock);
		if (failed)
			block_unref(item->block);
		else
			check_and_put(im, item->block, item->offset);
		free(item);
		pthread_mutex_lock(&im->lock);
	}
	pthread_mutex_unlock(&im->lock);
	return NULL;
}

/* Whether there is at least one thread. */
static bool start_threads(struct importing *im)
{
	while (im->started < im->wanted) {
		int err = thread_start(&im->threads[im->started], hash_thread, im);

		if (err) {
			log_warn("car", "no more threads err=\"%s\"", err_text(err));
			im->wanted = im->started;
			break;
		}
		im->started++;
	}
	return im->started > 0;
}

static void hand_over(struct importing *im, struct block *block, uint64_t offset)
{
	struct item *item = xnew(struct item);

	item->block = block;
	item->offset = offset;
	pthread_mutex_lock(&im->lock);
	while ((im->bytes >= CAR_QUEUE_MAX || im->count >= QUEUE_BLOCKS_MAX) && !im->err)
		pthread_cond_wait(&im->room, &im->lock);
	*im->last = item;
	im->last = &item->next;
	im->bytes += block->data.len;
	im->count++;
	pthread_cond_signal(&im->work);
	pthread_mutex_unlock(&im->lock);
}

static int failure(struct importing *im)
{
	pthread_mutex_lock(&im->lock);
	int err = im->err;

	pthread_mutex_unlock(&im->lock);
	return err;
}

static int on_block(void *ctx, struct block *block, uint64_t offset)
{
	struct importing *im = ctx;

	im->result->blocks++;
	im->result->bytes += block->data.len;
	if (block->data.len <= INLINE_MAX || !start_threads(im))
		check_and_put(im, block, offset);
	else
		hand_over(im, block, offset);
	return failure(im);
}

static int on_header(void *ctx, unsigned version, const struct cid *roots, size_t count)
{
	struct importing *im = ctx;
	struct car_import *result = im->result;

	(void)version;
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (size_t k = 0; k < result->root_count && !known; k++)
			known = cid_equal(&result->roots[k], &roots[i]);
		if (known)
			continue;
		result->roots =
			xrealloc(result->roots, (result->root_count + 1) * sizeof(*result->roots));
		result->roots[result->root_count++] = roots[i];
	}
	return 0;
}

static int read_all(struct importing *im, struct car_reader *reader, int fd, struct wait *wait,
		    car_progress_fn *progress, void *ctx)
{
	uint8_t *at = xrealloc(NULL, READ_LEN);
	uint64_t total = 0;
	int err;

	for (;;) {
		ssize_t n = wait_read(wait, fd, at, READ_LEN);

		if (n < 0)
			err = (int)n;
		else
			err = n ? car_feed(reader, bytes_of(at, (size_t)n)) : car_end(reader);
		if (n <= 0 || err)
			break;
		total += (uint64_t)n;
		if (progress)
			err = progress(ctx, total);
		if (err)
			break;
	}
	free(at);
	if (err == -EBADMSG || err == -EMSGSIZE) {
		uint64_t offset;
		const char *why = car_why(reader, &offset);

		fail_at(im, err, why, offset, &(struct cid){ 0 });
	}
	return err;
}

static void end_threads(struct importing *im)
{
	pthread_mutex_lock(&im->lock);
	im->closing = true;
	pthread_cond_broadcast(&im->work);
	pthread_mutex_unlock(&im->lock);
	for (unsigned i = 0; i < im->started; i++)
		pthread_join(im->threads[i], NULL);
}

int car_import(struct blocks *blocks, int fd, struct wait *wait, car_progress_fn *progress,
	       void *ctx, struct car_import *result)
{
	static const struct car_events events = { .header = on_header, .block = on_block };
	struct importing im = { .blocks = blocks, .result = result };
	struct car_reader *reader = car_reader_new(&events, &im);
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int err;

	im.wanted = processors < 1	       ? 1
		    : processors > THREADS_MAX ? THREADS_MAX
					       : (unsigned)processors;
	im.last = &im.first;
	pthread_mutex_init(&im.lock, NULL);
	pthread_cond_init(&im.work, NULL);
	pthread_cond_init(&im.room, NULL);
	result->why = NULL;
	result->offset = 0;
	result->bad = (struct cid){ 0 };
	err = read_all(&im, reader, fd, wait, progress, ctx);
	end_threads(&im);
	if (im.err)
		err = im.err;
	car_reader_free(reader);
	pthread_mutex_destroy(&im.lock);
	pthread_cond_destroy(&im.work);
	pthread_cond_destroy(&im.room);
	return err;
}

void car_import_release(struct car_import *result)
{
	free(result->roots);
	*result = (struct car_import){ 0 };
}

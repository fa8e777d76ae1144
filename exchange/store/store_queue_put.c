/* What callers do with the queue: put a block, wait until it is written, find it meanwhile, drop
 * it. Whoever puts waits, or is refused, while the queue is full. Any thread. */
#include "exchange/store/store_queue_private.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define ITEM_COST 256 /* of an item beside its bytes */

static bool has_room(const struct store_queue *queue, unsigned flags)
{
	if (queue->stuck && (flags & STORE_VERIFY))
		return queue->verify_bytes < STUCK_VERIFY_MAX;
	if (!(flags & STORE_WAIT) && queue->guest_bytes >= queue->guest_max)
		return false;
	return queue->bytes < STORE_QUEUE_MAX;
}

/* Room for one more, waiting when allowed; the lock is held. */
static int wait_for_room(struct store_queue *queue, const struct queue_batch *batch, unsigned flags)
{
	bool verify = flags & STORE_VERIFY;

	for (;;) {
		if (batch && batch->err)
			return batch->err;
		if (queue->stuck && !verify && (!batch || !has_room(queue, flags)))
			return queue->stuck;
		if (has_room(queue, flags))
			return 0;
		if (!(flags & STORE_WAIT))
			return -EAGAIN;
		pthread_cond_wait(&queue->progress, &queue->lock);
	}
}

static struct queue_item *item_new(struct block *block, unsigned flags, store_verified_fn *verified,
				   void *ctx)
{
	struct queue_item *item = xnew(struct queue_item);

	item->block = block_ref(block);
	item->cost = block->data.len + ITEM_COST;
	item->verify = flags & STORE_VERIFY;
	item->keep = flags & STORE_KEEP;
	item->guest = !(flags & STORE_WAIT);
	item->verified = verified;
	item->ctx = ctx;
	list_init(&item->step);
	list_init(&item->own);
	/* A caller that may wait is not the loop thread, so it computes the sum itself, beside
	 * others. */
	if ((flags & STORE_WAIT) && !item->verify) {
		item->sum = XXH3_64bits(block->data.at, block->data.len);
		item->summed = true;
	}
	return item;
}

int queue_add(struct store_queue *queue, struct queue_batch *batch, struct block *block,
	      unsigned flags, store_verified_fn *verified, void *ctx)
{
	struct queue_item *item = item_new(block, flags, verified, ctx);

	pthread_mutex_lock(&queue->lock);
	int err = wait_for_room(queue, batch, flags);

	if (err) {
		pthread_mutex_unlock(&queue->lock);
		block_unref(block);
		free(item);
		return err;
	}
	item->seq = queue->next_seq++;
	queue->bytes += item->cost;
	if (item->guest)
		queue->guest_bytes += item->cost;
	list_add_tail(&queue->live, &item->live);
	if (batch)
		queue_batch_attach(batch, item);
	if (item->verify)
		queue->verify_bytes += item->cost;
	else
		queue_show(queue, item);
	if (item->verify || verified) {
		list_add_tail(&queue->unverified, &item->step);
		pthread_cond_signal(&queue->to_verify);
	} else {
		queue_make_ready(queue, item);
	}
	pthread_mutex_unlock(&queue->lock);
	return 0;
}

int queue_put(struct store_queue *queue, struct block *block, unsigned flags,
	      store_verified_fn *verified, void *ctx)
{
	return queue_add(queue, NULL, block, flags, verified, ctx);
}

static bool queue_put_reached(struct store_queue *queue, uint64_t seq)
{
	return list_empty(&queue->live) ||
	       list_first(&queue->live, struct queue_item, live)->seq >= seq;
}

int queue_sync(struct store_queue *queue)
{
	int err = 0;

	pthread_mutex_lock(&queue->lock);
	uint64_t seq = queue->next_seq, failed_passes = queue->failed_passes;

	queue->syncing++;
	queue->retry = true;
	pthread_cond_signal(&queue->to_commit);
	while (!queue_put_reached(queue, seq) && queue->failed_passes == failed_passes)
		pthread_cond_wait(&queue->progress, &queue->lock);
	queue->syncing--;
	if (!queue_put_reached(queue, seq))
		err = queue->failure;
	pthread_mutex_unlock(&queue->lock);
	return err;
}

void queue_when_room(struct store_queue *queue, void (*room)(void *ctx), void *ctx)
{
	struct room_waiter *waiter = xnew(struct room_waiter);

	waiter->room = room;
	waiter->ctx = ctx;
	pthread_mutex_lock(&queue->lock);
	list_add_tail(&queue->rooms, &waiter->link);
	pthread_cond_signal(&queue->to_commit);
	pthread_mutex_unlock(&queue->lock);
}

void queue_limit(struct store_queue *queue, uint64_t more, uint64_t less)
{
	pthread_mutex_lock(&queue->lock);
	queue->guest_parts += more - less;
	queue->guest_max = queue->guest_parts > 0 && queue->guest_parts < STORE_QUEUE_MAX
				   ? queue->guest_parts
				   : STORE_QUEUE_MAX;
	pthread_mutex_unlock(&queue->lock);
}

uint64_t queue_queued(const struct store_queue *queue)
{
	return queue->guest_bytes;
}

struct block *queue_find(struct store_queue *queue, struct bytes multihash)
{
	struct block *block = NULL;

	if (!atomic_load(&queue->visible))
		return NULL;
	pthread_mutex_lock(&queue->lock);
	struct queue_item *item = map_get(&queue->pending, multihash);

	if (item)
		block = block_ref(item->block);
	pthread_mutex_unlock(&queue->lock);
	return block;
}

bool queue_keep(struct store_queue *queue, struct bytes multihash)
{
	pthread_mutex_lock(&queue->lock);
	struct queue_item *item = map_get(&queue->pending, multihash);
	bool can = item && (item->keep || !item->committing);

	if (can && !item->keep) /* the committer reads it without the lock */
		item->keep = true;
	pthread_mutex_unlock(&queue->lock);
	return can;
}

/* Marks the items of this name; false when one is in the committer's hand. The lock is held. */
static bool drop_items(struct store_queue *queue, struct bytes multihash, bool *any)
{
	list_for_each(item, &queue->live, struct queue_item, live) {
		if (!bytes_equal(cid_hash_bytes(&item->block->cid), multihash))
			continue;
		if (item->committing)
			return false;
		*any = *any || !item->dropped;
		item->dropped = true;
		queue_hide(queue, item);
	}
	return true;
}

bool queue_drop(struct store_queue *queue, struct bytes multihash)
{
	bool any = false;

	pthread_mutex_lock(&queue->lock);
	while (!drop_items(queue, multihash, &any))
		pthread_cond_wait(&queue->progress, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
	return any;
}

void queue_retry(struct store_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->stuck) {
		queue->retry = true;
		pthread_cond_signal(&queue->to_commit);
	}
	pthread_mutex_unlock(&queue->lock);
}

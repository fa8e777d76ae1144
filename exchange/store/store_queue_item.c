/* One block in the queue: found by its name or hidden, ready for the disk or not, of a batch or of
 * none. The lock is held. */
#include "exchange/store/store_queue_private.h"

#include "net/base/wait.h"

#include <stdlib.h>

#define EAGER_BYTES (4u << 20) /* ready: committed without waiting for more */

void queue_show(struct store_queue *queue, struct queue_item *item)
{
	if (!map_set(&queue->pending, cid_hash_bytes(&item->block->cid), item))
		atomic_fetch_add(&queue->visible, 1);
}

void queue_hide(struct store_queue *queue, struct queue_item *item)
{
	struct bytes multihash = cid_hash_bytes(&item->block->cid);

	if (map_get(&queue->pending, multihash) != item)
		return;
	map_remove(&queue->pending, multihash);
	atomic_fetch_sub(&queue->visible, 1);
}

bool queue_in_hurry(const struct store_queue *queue)
{
	return queue->closing || queue->syncing || queue->ready_bytes >= EAGER_BYTES ||
	       queue->guest_bytes > queue->guest_max / 2;
}

void queue_make_ready(struct store_queue *queue, struct queue_item *item)
{
	bool alone = list_empty(&queue->ready);

	if (alone)
		queue->ready_since_ms = monotonic_ms();
	list_add_tail(&queue->ready, &item->step);
	queue->ready_bytes += item->cost;
	if (alone || queue_in_hurry(queue))
		pthread_cond_signal(&queue->to_commit);
}

void queue_unready(struct store_queue *queue, struct queue_item *item)
{
	list_remove(&item->step);
	queue->ready_bytes -= item->cost;
}

void queue_batch_attach(struct queue_batch *batch, struct queue_item *item)
{
	item->batch = batch;
	item->own_seq = batch->next_seq++;
	list_add_tail(&batch->items, &item->own);
}

void queue_batch_failed(struct queue_item *item, int err)
{
	struct queue_batch *batch = item->batch;

	if (!batch)
		return;
	if (!item->failed)
		batch->failed++;
	item->failed = true;
	if (!batch->err)
		batch->err = err;
}

void queue_batch_detach(struct queue_item *item)
{
	struct queue_batch *batch = item->batch;

	if (!batch)
		return;
	list_remove(&item->own);
	if (item->failed && !--batch->failed)
		batch->err = 0;
	item->failed = false;
	item->batch = NULL;
}

void queue_finish(struct store_queue *queue, struct queue_item *item)
{
	queue_hide(queue, item);
	queue_batch_detach(item);
	list_remove(&item->live);
	list_remove(&item->step);
	queue->bytes -= item->cost;
	if (item->guest)
		queue->guest_bytes -= item->cost;
	block_unref(item->block);
	free(item);
	pthread_cond_broadcast(&queue->progress);
	if (!list_empty(&queue->rooms))
		pthread_cond_signal(&queue->to_commit);
}

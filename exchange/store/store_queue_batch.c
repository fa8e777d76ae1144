/* Batches in the queue: items that have one error, and are waited for or given up together. Any
 * thread. */
#include "exchange/store/store_queue_private.h"

void queue_batch_init(struct queue_batch *batch)
{
	*batch = (struct queue_batch){ 0 };
	list_init(&batch->items);
}

int queue_batch_put(struct store_queue *queue, struct queue_batch *batch, struct block *block)
{
	return queue_add(queue, batch, block, STORE_KEEP | STORE_WAIT, NULL, NULL);
}

bool queue_batch_adopt(struct store_queue *queue, struct queue_batch *batch, struct bytes multihash)
{
	if (!atomic_load(&queue->visible))
		return false;
	pthread_mutex_lock(&queue->lock);
	struct queue_item *item = map_get(&queue->pending, multihash);
	bool mine = item && item->batch == batch;
	bool can = item && !item->batch && !item->dropped && (item->keep || !item->committing);

	if (can) {
		if (!item->keep) /* the committer reads it without the lock */
			item->keep = true;
		item->adopted = true;
		queue_batch_attach(batch, item);
	}
	pthread_mutex_unlock(&queue->lock);
	return mine || can;
}

static bool queue_batch_reached(const struct queue_batch *batch, uint64_t seq)
{
	return list_empty(&batch->items) ||
	       list_first(&batch->items, struct queue_item, own)->own_seq >= seq;
}

int queue_batch_commit(struct store_queue *queue, struct queue_batch *batch)
{
	pthread_mutex_lock(&queue->lock);
	uint64_t seq = batch->next_seq;

	batch->err = 0;
	queue->syncing++;
	if (!queue_batch_reached(batch, seq)) {
		queue->retry = true;
		pthread_cond_signal(&queue->to_commit);
	}
	while (!queue_batch_reached(batch, seq) && !batch->err) {
		pthread_cond_wait(&queue->progress, &queue->lock);
		/* A pass ends early when others' blocks fail: then ours had no try. */
		if (queue->stuck && !queue->retry) {
			queue->retry = true;
			pthread_cond_signal(&queue->to_commit);
		}
	}
	queue->syncing--;
	int err = queue_batch_reached(batch, seq) ? 0 : batch->err;

	pthread_mutex_unlock(&queue->lock);
	return err;
}

/* Blocks given up were the newest of their names: others of these names may be queued. */
static void show_older(struct store_queue *queue)
{
	list_for_each(item, &queue->live, struct queue_item, live) {
		if (!item->verify && !item->dropped &&
		    !map_get(&queue->pending, cid_hash_bytes(&item->block->cid)))
			queue_show(queue, item);
	}
}

static void give_up(struct store_queue *queue, struct queue_batch *batch)
{
	list_for_each_safe(item, &batch->items, struct queue_item, own) {
		queue_batch_detach(item);
		if (item->adopted)
			continue;
		queue_hide(queue, item);
		item->dropped = true; /* when it is in the committer's hand */
		if (item->committing)
			continue;
		queue_unready(queue, item);
		queue_finish(queue, item);
	}
	show_older(queue);
	if (list_empty(&queue->ready))
		queue->stuck = 0; /* nothing is left to be stuck on, or the pass that runs tells */
	queue->retry = true;	  /* others may have room now */
	pthread_cond_signal(&queue->to_commit);
}

void queue_batch_end(struct store_queue *queue, struct queue_batch *batch)
{
	pthread_mutex_lock(&queue->lock);
	if (batch->failed)
		give_up(queue, batch);
	list_for_each_safe(item, &batch->items, struct queue_item, own)
		queue_batch_detach(item);
	pthread_mutex_unlock(&queue->lock);
}

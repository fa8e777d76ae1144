/* The inside of the queue, between its files: store_queue.c has the threads, store_queue_item.c one
 * block in it, store_queue_put.c and store_queue_batch.c what callers do. */
#ifndef EXCHANGE_STORE_QUEUE_PRIVATE_H
#define EXCHANGE_STORE_QUEUE_PRIVATE_H

#include "exchange/store/store_queue.h"
#include "net/base/map.h"

#include <pthread.h>

#define STUCK_VERIFY_MAX (8u << 20) /* bytes to be verified while stuck */

struct room_waiter {
	struct list link;
	void (*room)(void *ctx);
	void *ctx;
};

struct store_queue {
	queue_commit_fn *commit;
	void *ctx;
	pthread_t verifier, committer;
	pthread_mutex_t lock;
	pthread_cond_t to_verify, to_commit; /* work for a thread */
	pthread_cond_t progress;	     /* items finished, or a pass failed */
	struct list live;		     /* every item, oldest first */
	struct list unverified, ready;
	struct list rooms;     /* of struct room_waiter */
	struct map pending;    /* multihash -> newest verified item */
	atomic_size_t visible; /* items in pending */
	size_t bytes, verify_bytes, ready_bytes;
	atomic_size_t guest_bytes, guest_max;
	uint64_t guest_parts; /* the sum of those who have a budget; 0: nobody has */
	uint64_t next_seq;
	uint64_t ready_since_ms; /* when ready stopped being empty */
	uint64_t retry_at_ms;
	uint64_t failed_passes;
	unsigned syncing;
	int stuck;   /* 0 or the error of the last pass */
	int failure; /* of the last pass that failed */
	bool retry, closing, verifier_done;
	bool guest_failed; /* a block that nobody waits for was not written */
	bool told;	   /* the log says that writing fails */
	uint64_t quiet_until_ms, lost_guests;
	struct queue_item *batch[QUEUE_BATCH_MAX]; /* committer's */
};

/* ---- items: the lock is held ---- */

/* queue_find() finds it from now on, or no longer. */
void queue_show(struct store_queue *queue, struct queue_item *item);
void queue_hide(struct store_queue *queue, struct queue_item *item);
/* Whether a batch is to be written without waiting for more blocks. */
bool queue_in_hurry(const struct store_queue *queue);
/* It waits for the committer, or no longer. */
void queue_make_ready(struct store_queue *queue, struct queue_item *item);
void queue_unready(struct store_queue *queue, struct queue_item *item);
/* The end of an item. */
void queue_finish(struct store_queue *queue, struct queue_item *item);

/* An item becomes the newest of a batch. */
void queue_batch_attach(struct queue_batch *batch, struct queue_item *item);
/* It could not be written, or ends: its batch minds. */
void queue_batch_failed(struct queue_item *item, int err);
void queue_batch_detach(struct queue_item *item);

/* ---- putting ---- */

/* As queue_put(), for a batch unless it is NULL. */
int queue_add(struct store_queue *queue, struct queue_batch *batch, struct block *block,
	      unsigned flags, store_verified_fn *verified, void *ctx);

#endif

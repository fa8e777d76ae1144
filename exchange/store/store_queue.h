/* The queue of blocks on their way to the disk, and the two threads that empty it: one hashes what
 * must be verified, one commits what is verified in batches, so that hashing goes on while the disk
 * syncs. A block is found here from the moment it is verified until it is committed.
 *
 * A batch that fails is cut until the blocks that do fit are written. What does not fit stays
 * queued (and is found) and is tried again once a second, at each sync and when told that there is
 * room; until that succeeds the queue is "stuck": own blocks are refused with the error, blocks to
 * be verified are verified, shown and forgotten. A block of a batch is refused only when another of
 * that batch failed, or when the queue is full too: others' blocks may have been larger. */
#ifndef EXCHANGE_STORE_QUEUE_H
#define EXCHANGE_STORE_QUEUE_H

#include "exchange/store/store.h"
#include "net/base/list.h"

#define QUEUE_BATCH_MAX 8192 /* items of one commit */

struct queue_item {
	struct list live;	   /* all, in order of seq */
	struct list own;	   /* of its batch */
	struct queue_batch *batch; /* NULL: of none */
	uint64_t own_seq;	   /* within the batch */
	struct list step;	   /* to be verified, or ready to be committed */
	struct block *block;
	uint64_t seq;
	size_t cost;  /* of STORE_QUEUE_MAX */
	uint64_t sum; /* XXH3-64 of the data, when summed */
	bool summed, verify;
	bool guest;	 /* put without STORE_WAIT: counts against store_limit_add() */
	bool keep;	 /* STORE_KEEP: all items of one commit are alike */
	bool committing; /* the committer has it */
	bool dropped;	 /* deleted meanwhile: not to be written */
	bool failed;	 /* at the last try */
	bool adopted;	 /* somebody else put it, and may count on it */
	store_verified_fn *verified;
	void *ctx;
};

/* Items that have one error. The queue's lock guards it; zeroed is not valid: queue_batch_init()
 * first. */
struct queue_batch {
	struct list items; /* not written yet, in order of own_seq */
	uint64_t next_seq;
	size_t failed; /* items that could not be written at their last try */
	int err;       /* 0, or that of the first since the last commit began */
};

/* Writes count blocks in one transaction: 0 when they are durable. On failure none of them is
 * acknowledged, and *fits says how many of the first ones had room (0 when unknown). Committer
 * thread.
 */
typedef int queue_commit_fn(void *ctx, struct queue_item **items, size_t count, size_t *fits);

struct store_queue;

/* 0 or -errno (threads). ctx is borrowed. */
int queue_new(queue_commit_fn *commit, void *ctx, struct store_queue **out);
/* Writes what is queued; what cannot be written is lost. */
void queue_free(struct store_queue *queue);

/* As store_put(), store_sync(), store_when_room(), store_limit_add() and store_queued(). */
int queue_put(struct store_queue *queue, struct block *block, unsigned flags,
	      store_verified_fn *verified, void *ctx);
int queue_sync(struct store_queue *queue);
void queue_when_room(struct store_queue *queue, void (*room)(void *ctx), void *ctx);
void queue_limit(struct store_queue *queue, uint64_t more, uint64_t less);
uint64_t queue_queued(const struct store_queue *queue);

/* ---- batches: store_queue_batch.c ---- */

void queue_batch_init(struct queue_batch *batch);
/* As store_batch_put(). */
int queue_batch_put(struct store_queue *queue, struct queue_batch *batch, struct block *block);
/* A queued block becomes one of the batch, to be kept; false when there is none, or it is another
 * batch's, or on its way to the cache. */
bool queue_batch_adopt(struct store_queue *queue, struct queue_batch *batch,
		       struct bytes multihash);
/* As store_batch_commit(). */
int queue_batch_commit(struct store_queue *queue, struct queue_batch *batch);
/* Its blocks are nobody's from now on. When one of them failed those that are not written are given
 * up. */
void queue_batch_end(struct store_queue *queue, struct queue_batch *batch);

/* ---- finding and dropping ---- */

/* A reference to a verified block that is queued, or NULL. Nearly free while nothing is queued. */
struct block *queue_find(struct store_queue *queue, struct bytes multihash);
/* A queued block becomes one to be kept; false when there is none or it is in the committer's hand.
 */
bool queue_keep(struct store_queue *queue, struct bytes multihash);
/* Forgets the queued blocks of this name, waiting for a commit that has one in hand. Whether there
 * were any that are not written. */
bool queue_drop(struct store_queue *queue, struct bytes multihash);
/* There may be room on the disk again. */
void queue_retry(struct store_queue *queue);

#endif

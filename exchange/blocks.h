/* A source of blocks, for one tree or one open file: what straight-line code gets, views and puts,
 * whatever stands behind it. blocks_new() makes the one that there is today; blocks_ops.h tells how
 * another is made.
 *
 * Any thread but the loop's; several threads may use one source at once. A block that is handed out
 * was checked against its CID. */
#ifndef EXCHANGE_BLOCKS_H
#define EXCHANGE_BLOCKS_H

#include "exchange/store/store.h"
#include "net/base/wait.h"

struct fetcher;

struct blocks;

/* A source over the store, then the fetcher (NULL: offline), both borrowed. Cheap: the fetcher's
 * session is opened by the first miss. Never NULL. */
struct blocks *blocks_new(struct store *store, struct fetcher *fetcher);
/* NULL is ignored. No read may be open. */
void blocks_free(struct blocks *blocks);

/* ---- reading ---- */

/* One reference to a verified block: identity CIDs from the CID itself, the empty raw block without
 * asking, then the store, then the fetcher. -EBADMSG CID not allowed; -EHOSTUNREACH not stored and
 * offline; -ETIMEDOUT (wait->tried tells more); -EINTR; -EIO corrupt here and not to be had
 * elsewhere. wait was started by the caller. */
int blocks_get(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct block **out);
/* The same without asking anybody: never fetches, never waits. -ENOENT not stored; -EIO corrupt
 * here; -EBADMSG. */
int blocks_get_stored(struct blocks *blocks, const struct cid *cid, struct block **out);
/* Is it in the store (or identity)? Never fetches. */
bool blocks_has(struct blocks *blocks, const struct cid *cid);
/* How many bytes a stored block has, without a copy of it. Never fetches. -ENOENT; -EIO; -EBADMSG.
 */
int blocks_size(struct blocks *blocks, const struct cid *cid, size_t *size);
/* Does blocks_get() ask others for what is not stored? If not, asking ahead is of no use. */
bool blocks_fetches(const struct blocks *blocks);
/* Make sure it is in the store or in memory soon; never waits, never fails. Skips what is stored
 * already. At most EXCHANGE_PREFETCH_MAX CIDs a call count, the rest is ignored. */
#define EXCHANGE_PREFETCH_MAX 1024
void exchange_prefetch(struct blocks *blocks, const struct cid *cids, size_t count);

/* A short look at stored blocks, on one thread; at most one at a time per thread. While it is open,
 * data handed out stays valid: the store's own memory, without a copy. Never keep one while waiting
 * for anything. */
struct blocks_read {
	struct blocks *blocks;
	void *state; /* the source's */
};

/* 0, or -errno, and then the end must not follow. */
int blocks_read_begin(struct blocks *blocks, struct blocks_read *read);
/* *data borrows until blocks_read_end(). -ENOENT not stored, and for every identity CID; -EIO
 * corrupt here: blocks_get() may heal it. */
int blocks_read_get(struct blocks_read *read, const struct cid *cid, struct bytes *data);
void blocks_read_end(struct blocks_read *read);

/* ---- writing ---- */

/* A block of our own making: already hashed. Borrows it for the call. Waits when the store's queue
 * is full. */
int blocks_put(struct blocks *blocks, struct block *block);
/* A stored block is kept from now on, not only cached. block is NULL, or what blocks_get() gave for
 * cid: then it is stored if it is not there any more. Identity CIDs need no keeping. Waits when the
 * store's queue is full. -ENOENT not stored, -EIO corrupt here (both without block only);
 * blocks_put()'s. */
int blocks_keep(struct blocks *blocks, const struct cid *cid, const struct block *block);
/* Until the end, what is put and kept through this source is one batch, as store_batch_begin()'s:
 * blocks_sync() tells of these blocks alone, and no collection takes them. Record what is to stay
 * before the end. Within a batch another beginning goes on with the same one. On one thread, while
 * no other puts; blocks_free() ends what is open. */
void blocks_batch_begin(struct blocks *blocks);
void blocks_batch_end(struct blocks *blocks);
/* In a batch as store_batch_commit(), else as store_sync(). */
int blocks_sync(struct blocks *blocks);
/* As store_epoch(): changes when a collection begins and when it ends. */
uint64_t blocks_epoch(struct blocks *blocks);

#endif

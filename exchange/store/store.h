/* Where blocks rest. One interface, two stores: LMDB on disk (the cache and what is pinned) and
 * memory (tests, simulator). Blocks are keyed by multihash, whatever CID names them.
 *
 * A block is cached (it was fetched by reading) or kept (added, pinned, imported). The quota counts
 * what is cached: when it is passed, the oldest cached blocks go, but for those read since they
 * came. What is kept goes by store_sweep() and store_delete() alone. A block may be there twice,
 * cached and kept; then the counts of store_stat() count it twice.
 *
 * Any thread. Reads run where they are called and never wait for writers. Writes are queued to the
 * store's own threads, one that verifies and one that groups them into transactions; nobody sees a
 * block before it was verified.
 * Several processes may open one LMDB store. */
#ifndef EXCHANGE_STORE_H
#define EXCHANGE_STORE_H

#include "exchange/store/block.h"

struct store;

#define STORE_QUEUE_MAX (64u << 20) /* bytes of blocks queued for the writer */
#define STORE_PATH_MAX                                                                             \
	4032 /* of the directory; files in it have 64 more, which is what the kernel takes */

struct store_config {
	uint64_t map_bytes; /* most address space of one generation [chosen]: small ones fill up */
	uint64_t quota_bytes;	   /* disk space of what is cached; 0: no limit */
	uint64_t generation_bytes; /* tests only: size of a generation [chosen] */
	bool no_sync;		   /* tests only: never wait for the disk */
};

/* Directory dir is created (0700) when missing. A store of layout version 1 is taken in. On a
 * read-only file system one that exists can be read, and whatever would write is -EROFS. 0; -EIO:
 * not a store, a version not known, cut off (logged); -errno. */
int store_open_lmdb(const char *dir, const struct store_config *config, struct store **out);
struct store *store_new_memory(void);
/* Waits for queued writes. NULL is ignored. No read may be open. */
void store_close(struct store *store);

/* ---- reading ---- */

/* A short-lived snapshot, on one thread; at most one at a time per thread. While it is open, data
 * handed out stays valid without copying. Never keep one while waiting for anything. */
struct store_read {
	struct store *store;
	void *txn;
};

int store_read_begin(struct store *store, struct store_read *read);
/* *data borrows until store_read_end(). -ENOENT; -EIO when the stored bytes fail their checksum
 * (logged with the multihash; the block counts as absent for the exchange, which may fetch it
 * again). */
int store_read_get(struct store_read *read, struct bytes multihash, struct bytes *data);
void store_read_end(struct store_read *read);

/* One block, copied: one reference. -ENOENT, -EIO. Blocks still queued for the writer and verified
 * are found too. */
int store_get(struct store *store, const struct cid *cid, struct block **out);
/* Its size without reading it: 0 or -ENOENT. */
int store_size(struct store *store, struct bytes multihash, size_t *size);
bool store_has(struct store *store, struct bytes multihash);

/* ---- writing ---- */

enum store_put_flags {
	STORE_VERIFY = 1, /* hash first; done gets -EBADMSG when it does not match, and nothing is
			     stored */
	STORE_WAIT = 2,	  /* when the queue is full wait for room (never on the loop thread) */
	STORE_KEEP = 4,	  /* to be kept; else it is cached */
};

/* Runs on a thread of the store, once (in the memory store, and for identity CIDs, before
 * store_put() returns): the block was verified (0) or refused. It may be seen by others from now
 * on; it need not be on disk yet. */
typedef void store_verified_fn(void *ctx, int err, struct block *block);

/* Queue a block; takes a reference of its own. verified may be NULL. -EAGAIN when the queue is full
 * and STORE_WAIT is not given; -EMSGSIZE over BLOCK_MAX. While the disk is full (-ENOSPC) or broken
 * (-EIO) blocks of our own are refused with that error; blocks to be verified are still verified,
 * told and then forgotten. A block that is there already costs a lookup and a comparison; one that
 * rotted is replaced. verified will not run after an error. */
int store_put(struct store *store, struct block *block, unsigned flags, store_verified_fn *verified,
	      void *ctx);
/* The most bytes that blocks put without STORE_WAIT may hold in the queue; one block more fits.
 * Each caller with a budget for such blocks adds its part, and drops it at its end; all of them
 * share the sum, at most STORE_QUEUE_MAX, which it is while there are none. Any thread. The memory
 * store queues nothing. */
void store_limit_add(struct store *store, uint64_t bytes);
void store_limit_drop(struct store *store, uint64_t bytes);
/* Bytes that they have now. Nearly free. */
uint64_t store_queued(struct store *store);
/* A cached block is to be kept from now on. Waits when the queue is full; never on the loop thread.
 * -ENOENT; -EIO; as store_put(). Durable after store_sync(). */
int store_keep(struct store *store, struct bytes multihash);
/* Wait until all that this process put before is stored: what is kept is on disk; what is cached
 * survives the end of any process, but perhaps not a power cut (never torn: it is there whole, or
 * not). 0, -ENOSPC, -EIO: something that is queued, of anybody in this process, could not be
 * written just now, and is tried again. For an error of one's own: batches. */
int store_sync(struct store *store);
/* ---- batches ----
 *
 * Blocks that are put or kept as one piece of work, with an error and durability of their own, and
 * held against collection meanwhile:
 *
 *	batch = store_batch_begin()
 *	store_batch_put(), store_batch_keep()	any number, on any threads
 *	store_batch_commit()			what was put and kept is durable
 *	... record what is to stay: a pin, a share's entry ...
 *	store_batch_end()
 *
 * From its put or keep until the end of the batch no collection of this or another process takes a
 * block of it; nor after that, if what is recorded before the end names it as a root or has a root
 * above it. A process that dies ends its batches. (The lease is a list beside the store that
 * whoever sweeps reads; store_delete() does not look at it.) */
struct store_batch;

/* Never NULL, and makes nothing on disk yet. All batches are ended before store_close(). */
struct store_batch *store_batch_begin(struct store *store);
/* A block of our own (already verified), to be kept. Waits for room in the queue; never on the loop
 * thread. -EMSGSIZE over BLOCK_MAX; while a block of this batch could not be written, the error of
 * that; -ENOSPC, -EIO when the queue is full of blocks that cannot be written; -EFBIG over 2^27
 * blocks; -EROFS; -errno of the lease. */
int store_batch_put(struct store_batch *batch, struct block *block);
/* A stored or queued block is to be kept. -ENOENT; -EIO; as store_batch_put(). */
int store_batch_keep(struct store_batch *batch, struct bytes multihash);
/* Waits until all that was put and kept before is on disk, and survives a power cut. 0, or the
 * first error of this batch's own blocks: those that could not be written are still queued and
 * tried again now and then, so another commit may succeed. */
int store_batch_commit(struct store_batch *batch);
/* The lease ends. What is not written yet still is, unless a block could not be: then all that is
 * not written is given up. NULL is ignored. */
void store_batch_end(struct store_batch *batch);

/* Ask to be told on a thread of the store when the queue has room again, once (memory store: at
 * once). Not told when the store is closed before. */
void store_when_room(struct store *store, void (*room)(void *ctx), void *ctx);

/* Remove now, durably. -ENOENT. */
int store_delete(struct store *store, struct bytes multihash);

/* ---- whole store ---- */

struct store_stat {
	uint64_t blocks, bytes;						       /* stored */
	uint64_t disk_bytes;						       /* used on disk */
	uint64_t kept_blocks, kept_disk_bytes, cache_blocks, cache_disk_bytes; /* of these */
	uint64_t quota_bytes;
	char path[STORE_PATH_MAX];
	unsigned version;
};

int store_stat(struct store *store, struct store_stat *stat);
/* Every block once, in key order, in batches of short snapshots (blocks put or removed meanwhile
 * may be missed). Non-zero from each() stops and is returned. data borrows for the call. */
typedef int store_each_fn(void *ctx, struct bytes multihash, struct bytes data);
int store_each(struct store *store, store_each_fn *each, void *ctx);

/* ---- damage ---- */

/* Looks at every page that leads to blocks (not at the blocks themselves), and sets aside the parts
 * of the store where one is damaged; blocks that lie whole in there move, the others are gone. How
 * many parts it were (0 is well), -errno. *saved: blocks that moved. Writers wait meanwhile. */
int store_check(struct store *store, uint64_t *saved);
/* Did blocks that were kept get lost so, now or earlier? With noted, not any more: whoever can ask
 * for them knows. */
bool store_lost(struct store *store, bool noted);
/* A file of this name in the store's directory has the next opening do as store_check() does. A
 * process that dies while it reads the store makes it (from its signal handler): LMDB follows a
 * damaged page wherever it leads. */
#define STORE_SUSPECT "suspect"

/* ---- collection ----
 *
 * In three steps, beside readers and writers of all processes:
 *
 *	store_sweep_begin()	what is put or kept from now on stays, even if it was stored before
 *	... decide what else is to stay: pins as they are now ...
 *	store_sweep()		the rest goes
 *	store_sweep_end()
 *
 * What was put before the beginning and is reachable from no pin yet may go, unless an open batch
 * holds it: whoever makes a tree and records it at its end has a batch. Without one: whoever sees
 * that store_epoch() is the same after its last record as before its first block has lost nothing.
 */

/* Waits for a sweep or an eviction that is running. 0, -errno. */
int store_sweep_begin(struct store *store);
void store_sweep_end(struct store *store);
/* Changes when a sweep begins and when it ends, in any process. */
uint64_t store_epoch(struct store *store);

struct store_sweep_fns {
	/* 1: the block stays; 0: it may go; negative: stop. Asked more than once for a block; must
	 * not turn from 1 to 0. */
	int (*keep)(void *ctx, struct bytes multihash);
	/* The block is going (may be NULL). */
	void (*gone)(void *ctx, struct bytes multihash, size_t len);
};

/* Removes blocks, and gives their space back to the disk. *removed counts blocks, *freed their
 * bytes. Without store_sweep_begin() it begins and ends by itself. Stopped or interrupted it has
 * removed some garbage and nothing else. */
int store_sweep(struct store *store, const struct store_sweep_fns *fns, void *ctx,
		uint64_t *removed, uint64_t *freed);

#endif

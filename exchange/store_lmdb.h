/* The store on disk, between its two halves: store_lmdb.c opens and reads, store_lmdb_write.c
 * writes.
 *
 * One environment in the store's directory:
 *   table "meta"    "version" -> u64 LE; "bytes" -> u64 LE, sum of the sizes of all blocks
 *   table "blocks"  multihash -> u64 LE XXH3-64 of the data | data
 *
 * Locks, in this order: map, writing, then LMDB's own. */
#ifndef EXCHANGE_STORE_LMDB_H
#define EXCHANGE_STORE_LMDB_H

#include "exchange/store_private.h"
#include "exchange/store_queue.h"

#include <lmdb.h>
#include <pthread.h>

#define RECORD_HEAD 8u
#define IDLE_READS 64 /* read transactions kept for the next read */
#define CHECKED_SLOTS (1u << 16)

struct store_lmdb {
	struct store store;
	MDB_env *env;
	MDB_dbi meta, blocks;
	struct store_queue *queue;
	pthread_mutex_t writing; /* around every write transaction of this process */
	pthread_rwlock_t
		map; /* held for reading by transactions, for writing while the map moves */
	uint64_t quota_bytes;
	char path[256];
	_Atomic(MDB_txn *) idle[IDLE_READS];
	/* Tags of records whose checksum this process has seen to be right. Lossy: one that was
	 * pushed out is checked again. */
	_Atomic uint64_t checked[CHECKED_SLOTS];
};

static inline struct store_lmdb *lmdb_of(struct store *store)
{
	return container_of(store, struct store_lmdb, store);
}

static inline MDB_val val_of(struct bytes bytes)
{
	return (MDB_val){ .mv_size = bytes.len, .mv_data = (void *)bytes.at };
}

static inline struct bytes bytes_of_val(const MDB_val *val)
{
	return bytes_of(val->mv_data, val->mv_size);
}

/* The one place where LMDB's codes become ours. */
int lmdb_err(int rc);
/* Takes in that another process made the map larger, or makes it larger by more bytes, when all
 * transactions have ended. The caller has none open: then, after some seconds, -ETIMEDOUT. */
int lmdb_resize(struct store_lmdb *lmdb, size_t more);
/* A number of the meta table; 0 when absent. */
int lmdb_meta_get(struct store_lmdb *lmdb, MDB_txn *txn, const char *name, uint64_t *value);
int lmdb_meta_put(struct store_lmdb *lmdb, MDB_txn *txn, const char *name, uint64_t value);

/* ---- the write half ---- */

queue_commit_fn lmdb_commit; /* ctx is the struct store_lmdb */
int lmdb_delete(struct store *store, struct bytes multihash);
int lmdb_sweep(struct store *store, store_keep_fn *keep, void *ctx, uint64_t *removed,
	       uint64_t *freed);

#endif

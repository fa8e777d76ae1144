/* A generation: one LMDB environment in a directory of its own. Blocks are only ever added to the
 * newest of their class; room is made by deleting whole generations, so no free list of LMDB is
 * ever searched for a large value.
 *
 *   table "meta"    "version" -> u64 LE; "bytes" -> u64 LE, sum of the sizes of all blocks;
 *                   "closed" -> u64 LE, not 0: nobody may add to it any more
 *   table "blocks"  multihash -> u64 LE XXH3-64 of the data | data
 *
 * Any thread. Locks, in this order: writing (of one generation), then LMDB's own. */
#ifndef EXCHANGE_STORE_GEN_H
#define EXCHANGE_STORE_GEN_H

#include "net/base/bytes.h"
#include "net/db/lmdb_map.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define GEN_PATH_MAX 4096
#define GEN_RECORD_HEAD 8u
#define GEN_RECENT_BITS (1u << 19)
#define GEN_GROW_BYTES ((size_t)4 << 20) /* removing needs a few pages, even from a full map */

enum gen_class { GEN_KEPT, GEN_CACHE, GEN_CLASSES };

struct gen {
	atomic_uint refs;
	enum gen_class class;
	unsigned number; /* never used twice in a store: the larger, the newer */
	char path[GEN_PATH_MAX];
	MDB_env *env;
	bool read_only; /* as the file system is */
	MDB_dbi meta, blocks;
	pthread_mutex_t writing; /* around every write transaction of this process */
	unsigned writes;	 /* of them, so far */
	struct lmdb_map map;
	/* Cache class: a bit for each block that was read since it was written here; blocks share
	 * bits. */
	_Atomic uint32_t *recent;
};

static inline MDB_val val_of(struct bytes bytes)
{
	return (MDB_val){ .mv_size = bytes.len, .mv_data = (void *)bytes.at };
}

static inline struct bytes bytes_of_val(const MDB_val *val)
{
	return bytes_of(val->mv_data, val->mv_size);
}

/* Bytes of the block in a record. */
static inline size_t gen_data_len(const MDB_val *record)
{
	return record->mv_size > GEN_RECORD_HEAD ? record->mv_size - GEN_RECORD_HEAD : 0;
}

/* The one place where LMDB's codes become ours. */
int gen_err(int rc);

struct gen_config {
	uint64_t map_bytes; /* 0: as the file says */
	bool no_sync;
	bool create; /* make its tables */
};

/* One reference. -EIO: no generation, of an unknown version, or shorter than its last page
 * (logged); -errno. */
int gen_open(const char *path, enum gen_class class, unsigned number,
	     const struct gen_config *config, struct gen **out);
struct gen *gen_ref(struct gen *gen);
/* NULL is ignored. The last one closes it. */
void gen_unref(struct gen *gen);

/* Pages used, in bytes: what the file takes, free pages in it included. */
uint64_t gen_used(struct gen *gen);
struct gen_stat {
	uint64_t blocks, bytes, disk_bytes;
};
int gen_stat(struct gen *gen, struct gen_stat *stat);
/* Takes in that another process made the map larger, or makes it larger by more bytes, when all
 * transactions have ended. The caller has none open: then, after some seconds, -ETIMEDOUT. */
int gen_resize(struct gen *gen, size_t more);

/* Of the map as it is now. */
uint64_t gen_map_bytes(struct gen *gen);

/* The map is held where it is until it is let go: by every transaction. */
void gen_map_hold(struct gen *gen);
void gen_map_release(struct gen *gen);

/* A read transaction: *txn is renewed, or begun when it is NULL. The map is held until
 * gen_read_stop(), which keeps *txn for the next time. On failure *txn is NULL and the map is not
 * held. */
int gen_read_start(struct gen *gen, MDB_txn **txn);
void gen_read_stop(struct gen *gen, MDB_txn *txn);

/* A write transaction; holds the map, and waits for other writers. -EROFS where the file system is
 * read-only; -errno. */
int gen_write_begin(struct gen *gen, MDB_txn **txn);
/* Commits when rc (an LMDB code) is 0, else gives up; 0 or -errno. */
int gen_write_end(struct gen *gen, MDB_txn *txn, int rc);
void gen_write_drop(struct gen *gen, MDB_txn *txn); /* gives up */

/* A number of the meta table; 0 when absent. LMDB codes. */
int gen_meta_get(struct gen *gen, MDB_txn *txn, const char *name, uint64_t *value);
int gen_meta_put(struct gen *gen, MDB_txn *txn, const char *name, uint64_t value);
/* Adds a record unless the key is there (MDB_KEYEXIST, *record is the one there). LMDB codes. */
int gen_add(struct gen *gen, MDB_txn *txn, struct bytes multihash, MDB_val *record);

/* After its commit nothing is added to the generation. Calling it again does nothing. */
int gen_close_writing(struct gen *gen);
int gen_is_closed(struct gen *gen, MDB_txn *txn, bool *closed); /* an LMDB code */

/* What is cached is written without waiting for the disk: a process may die at any moment, but
 * after a power cut such a generation may be torn. gen_settle() waits for the disk and notes the
 * last transaction in the file "settled"; a generation whose last transaction is another one is not
 * settled. */
int gen_settle(struct gen *gen);
bool gen_is_settled(struct gen *gen);
/* The same of one that is not open, by its first pages alone. */
bool gen_dir_is_settled(const char *path);

/* Remember that a block was read, and tell. */
void gen_touch(struct gen *gen, struct bytes multihash);
bool gen_touched(const struct gen *gen, struct bytes multihash);

#endif

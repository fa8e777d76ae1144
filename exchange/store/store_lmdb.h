/* The store on disk, between its parts: store_dir.c knows which generations there are, store_lmdb.c
 * reads them, store_lmdb_write.c adds and deletes blocks, store_sweep.c deletes generations.
 *
 * In the store's directory:
 *   state            64 bytes, shared by all processes (struct store_shared)
 *   lock             flock()ed for moments: shared while the set of generations is read,
 *                    exclusive while it is changed
 *   janitor          flock()ed by the one process that sweeps or evicts
 *   kept-000001/     generations of what was asked to be kept,
 *   cache-000002/    and of what was fetched by reading; numbers are never used twice
 *   lease-N          what an open batch holds against collection: store_lease.h
 *   reserve          1 MiB of nothing, see sweep_make_reserve()
 *   suspect lost bad-... see store_repair.c
 *   new-... dead-... generations being made or deleted; leftovers are removed at the next opening
 *
 * A block only ever moves to a newer generation, and is copied before its old place is deleted. So
 * whoever looks through an older list of generations finds it, and a crash leaves duplicates at
 * worst.
 *
 * Locks, in this order: lists, flock, then those of store_gen.h. */
#ifndef EXCHANGE_STORE_LMDB_H
#define EXCHANGE_STORE_LMDB_H

#include "exchange/store/store_gen.h"
#include "exchange/store/store_private.h"
#include "exchange/store/store_queue.h"

#define IDLE_READS 64 /* snapshots kept for the next read */
#define CHECKED_SLOTS (1u << 16)

/* Little-endian and eight-byte aligned, as it lies in the file. */
struct store_shared {
	uint64_t magic;
	uint32_t version;
	_Atomic uint32_t bell; /* futex: janitors wait for it to change */
	_Atomic uint64_t list; /* changes after the set of generations did */
	/* Odd while blocks are swept. Then what is put and lies in a generation below the floors is
	 * written again. */
	_Atomic uint64_t epoch;
	_Atomic uint32_t floors[GEN_CLASSES];
	_Atomic uint32_t next_number;
	uint8_t boot[16]; /* of the system, when this was last opened */
	uint32_t spare;
};

/* Generations, those kept first, newest first in each class. Immutable but for the counter. */
struct gens {
	atomic_uint refs;
	uint64_t version; /* of store_shared.list */
	size_t count, kept;
	struct gen *at[];
};

struct snapshot_part {
	MDB_txn *txn;
	bool open;
};

/* What a read looks through: read transactions, begun when they are first needed. */
struct snapshot {
	struct gens *gens;
	size_t last; /* where a block was found: the next one may be there too */
	struct snapshot_part parts[];
};

struct store_lmdb {
	struct store store;
	struct store_config config;
	char path[STORE_PATH_MAX];
	struct store_shared *shared;
	int dir_fd;	   /* the directory itself, wherever it is moved; -1: not open */
	atomic_bool moved; /* that was told */
	bool read_only; /* as the file system is: nothing is made, noted or taken in, and no thread
			   of ours evicts */
	struct store_queue *queue;
	pthread_mutex_t lists; /* guards current */
	struct gens *current;
	_Atomic(struct snapshot *) idle[IDLE_READS];
	pthread_t janitor;
	int sweep_fd;		  /* of the janitor's lock, while this process sweeps */
	struct lease_set *leased; /* then: what open batches hold */
	atomic_bool closing;
	atomic_int evict_err;	     /* of the last eviction: told once */
	atomic_bool cached;	     /* this process added to the cache */
	struct queue_item **missing; /* committer's: of a batch, what is not stored yet */
	/* Tags of records whose checksum this process has seen to be right. Lossy: one that was
	 * pushed out is checked again. */
	_Atomic uint64_t checked[CHECKED_SLOTS];
};

static inline struct store_lmdb *lmdb_of(struct store *store)
{
	return container_of(store, struct store_lmdb, store);
}

/* ---- store_gens.c ---- */

void gens_free(struct gens *gens); /* that nobody else has seen */
void gens_unref(struct gens *gens);
/* The newest of a class, borrowed; NULL when there is none. */
struct gen *gens_newest(const struct gens *gens, enum gen_class class);
/* Bytes used by a class. */
uint64_t gens_used(const struct gens *gens, enum gen_class class);
void snapshot_free(struct snapshot *snapshot);
/* One that nobody uses, for this reader alone; NULL: there is none. */
struct snapshot *snapshot_take_idle(struct store_lmdb *lmdb);
/* For the next reader; its transactions are stopped. */
void snapshot_give_idle(struct store_lmdb *lmdb, struct snapshot *snapshot);
/* Lets go of kept snapshots, so that deleted generations are closed. */
void snapshot_drop_idle(struct store_lmdb *lmdb);

/* ---- store_setup.c ---- */

/* Opens or makes the directory's state, takes in a store of version 1, opens all generations. */
int store_dir_open(struct store_lmdb *lmdb);
void store_dir_close(struct store_lmdb *lmdb);

/* ---- store_dir.c: the set of generations ---- */

/* The list as it is now; one reference. */
int store_dir_gens(struct store_lmdb *lmdb, struct gens **out);
/* Makes a new generation, unless another process has made one after last, which is closed (NULL:
 * there was none). */
int store_dir_roll(struct store_lmdb *lmdb, enum gen_class class, struct gen *last);
/* Takes a generation out of the set and deletes its files. Open reads of it go on. */
int store_dir_remove(struct store_lmdb *lmdb, struct gen *gen);
/* The size at which a generation is closed. */
uint64_t store_dir_limit(const struct store_lmdb *lmdb, const struct gens *gens,
			 enum gen_class class);
/* The one that may sweep and evict: a descriptor to close, or -EAGAIN (when not to wait), -errno.
 */
int store_dir_janitor_lock(struct store_lmdb *lmdb, bool wait);
/* Wakes the janitors of all processes. */
void store_dir_ring(struct store_lmdb *lmdb);
/* Sleeps until the bell is no longer what it was. */
void store_dir_wait(struct store_lmdb *lmdb, uint32_t was);

/* ---- store_boot.c ---- */

/* When the system was started since the store was last opened: what is not settled of the cache
 * becomes leftovers. The file lock (exclusive) is held, no list is loaded yet. */
void store_boot_check(struct store_lmdb *lmdb);

/* ---- store_snapshot.c ---- */

int snapshot_begin(struct store_lmdb *lmdb, struct snapshot **out);
void snapshot_end(struct store_lmdb *lmdb, struct snapshot *snapshot);
/* The transaction of generation i is begun, unless it is already. */
int snapshot_open_part(struct snapshot *snapshot, size_t i);
/* The record in generation i of the snapshot. -ENOENT, -errno. */
int snapshot_find(struct snapshot *snapshot, size_t i, struct bytes multihash,
		  struct bytes *record);
/* The data of a record, checked the first time this process meets it at this place. -EIO. */
int lmdb_open_record(struct store_lmdb *lmdb, const struct gen *gen, struct bytes multihash,
		     struct bytes record, struct bytes *data);

/* ---- store_lmdb_write.c ---- */

queue_commit_fn lmdb_commit; /* ctx is the struct store_lmdb */
int lmdb_delete(struct store *store, struct bytes multihash);
int lmdb_keep(struct store *store, struct bytes multihash);
int lmdb_copy_to_keep(struct store_lmdb *lmdb, struct bytes multihash, struct block **block);

/* ---- store_lmdb_txn.c ---- */

/* An LMDB code. */
int lmdb_delete_in(struct gen *gen, MDB_txn *txn, struct bytes multihash);
/* A write transaction in the newest generation of a class (one reference), made when there is none
 * and when the last is full. On success the map of source (may be NULL) is held too. */
int lmdb_write_begin(struct store_lmdb *lmdb, enum gen_class class, struct gen *source,
		     struct gen **gen, MDB_txn **txn);
/* The same in this generation. *closed: it may not be added to, and no transaction is begun. */
int lmdb_write_begin_in(struct gen *gen, struct gen *source, MDB_txn **txn, bool *closed);

/* ---- store_lmdb_batch.c ---- */

struct store_batch *lmdb_batch_begin(struct store *store);
int lmdb_batch_put(struct store_batch *batch, struct block *block);
int lmdb_batch_keep(struct store_batch *batch, struct bytes multihash);
int lmdb_batch_commit(struct store_batch *batch);
void lmdb_batch_end(struct store_batch *batch);

/* ---- store_sweep.c ---- */

/* Space put aside, so that a collection can begin on a full disk: made when there is room. */
void sweep_make_reserve(struct store_lmdb *lmdb);
int lmdb_sweep_begin(struct store *store);
void lmdb_sweep_end(struct store *store);
int lmdb_sweep(struct store *store, const struct store_sweep_fns *fns, void *ctx, uint64_t *removed,
	       uint64_t *freed);

/* ---- store_punch.c ---- */

/* Gives the free pages of a generation back to the disk. *freed: bytes. -EOPNOTSUPP where the file
 * system knows no holes; -errno. */
int gen_punch(struct gen *gen, uint64_t *freed);

/* ---- store_rewrite.c: old generations, walked and copied ---- */

/* Tells of each block of a generation: 1, 0, or a negative errno to stop. Called without locks. */
typedef int rewrite_fn(void *ctx, struct gen *gen, struct bytes multihash, uint64_t len);
/* Until fn is not 0, which is returned. */
int rewrite_look(struct gen *gen, rewrite_fn *fn, void *ctx);
/* Copies the blocks for which fn says 1 to the newest generation of the class, in batches. */
int rewrite_copy(struct store_lmdb *lmdb, struct gen *gen, rewrite_fn *fn, void *ctx);
/* Deletes the blocks for which fn says 0 where they are, for want of room to copy the others, and
 * opens the generation again: what finds no room elsewhere is written into its free pages. */
int rewrite_prune(struct gen *gen, rewrite_fn *fn, void *ctx);
/* Is it in a generation of the class numbered from at_least on? */
bool rewrite_lies_in(struct store_lmdb *lmdb, enum gen_class class, unsigned at_least,
		     struct bytes multihash);

/* ---- store_evict.c ---- */

/* The thread that evicts, and lets go of what others deleted. */
int janitor_start(struct store_lmdb *lmdb);
void janitor_stop(struct store_lmdb *lmdb);
/* The disk is full, and what is cached gives way to what is kept: the oldest generation of it goes.
 * False: nothing went. */
bool evict_for_room(struct store_lmdb *lmdb);
/* More is cached than the quota allows. */
bool janitor_needed(struct store_lmdb *lmdb);

#endif

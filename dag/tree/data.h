/* The content of one changing file: what is new of it in memory, over an immutable base.
 *
 * A file is cut into chunks as `add` cuts it (1 MiB). Each chunk is
 *	base	bytes of the old root, read when they are asked for;
 *	block	a block of its own, by CID;
 *	zero	a hole; runs of them are one record;
 * and on top of any of these lie grains (64 KiB), each with one dirty stretch of bytes in memory.
 *
 *	data_new()				over a base, or empty
 *	data_load_size(), _leaf(), _span()	what cuts wrote, after a restart
 *	data_write() ... data_view()		any number, on any threads
 *	data_seal()				chunks become blocks: at close, or when wholly
 *written data_cut() ... data_cut_done()		what is to be written to disk data_cut(,
 *&snapshot)			a commit begins
 *	... data_snapshot_root()
 *	... data_rebase()			and ends
 *
 * Any thread but the loop's. One lock a file; it is never held while waiting, hashing or reading. A
 * wait ends what waits for blocks or for room. Where a base or a block must be read, errors are
 * blocks_get()'s; -EIO if it does not have the size it was said to have. */
#ifndef DAG_TREE_DATA_H
#define DAG_TREE_DATA_H

#include "dag/file.h"
#include "dag/tree/file_edit.h"

#include <pthread.h>

#define DATA_GRAIN 65536u
#define DATA_SIZE_MAX (UINT64_C(1) << 43) /* bytes of a file: 8 TiB; more is -EFBIG */
#define DATA_WRITE_MAX (16u << 20)	  /* bytes of one data_write() */
#define DATA_OPEN_MAX (64u << 20)	  /* the usual limit of a budget */

struct data;
struct data_snapshot;

/* ---- room ---- */

/* Counts the memory of all dirty bytes, of any number of files. Who writes over the limit waits
 * until there is room. full() (may be NULL) is called by such a writer, with no lock held, each
 * time before it sleeps: it is to see to a cut, after which data_shed() makes room. */
struct data_budget;
struct data_budget *data_budget_new(uint64_t limit, void (*full)(void *ctx), void *ctx);
/* Nobody waits for it any more, and all its files are freed. NULL is ignored. */
void data_budget_free(struct data_budget *budget);
uint64_t data_budget_used(struct data_budget *budget);

/* ---- a file ---- */

struct data_config {
	struct blocks *blocks;	    /* borrowed */
	struct data_budget *budget; /* borrowed */
	struct file_edit_config edit;
	uint32_t grain; /* [DATA_GRAIN]; edit.chunk is a multiple of it, at most 64 grains */
	/* Reads bytes [from, from + len) of a grain that a cut wrote under this generation and that
	 * data_shed() or data_load_span() left on disk. -ENOENT: that record is not there any more,
	 * or has not all of them, because a later cut changed it. Called without a lock. NULL:
	 * nothing is left on disk, data_shed() does nothing. */
	int (*load)(void *ctx, uint64_t generation, uint32_t grain, uint32_t from, uint8_t *at,
		    size_t len);
	void *ctx;
	/* Held for reading at each step that changes the file's bytes or size, below which only
	 * the file's own lock is taken. Whoever holds it for writing takes cuts of several files at
	 * one moment. Borrowed; NULL: none. */
	pthread_rwlock_t *moment;
};

/* Fills in the layout that `dagfs add` has by default, and grains of DATA_GRAIN; the rest is the
 * caller's. */
void data_config_init(struct data_config *config);

/* base NULL: an empty file. size: of the base, as the manifest says. Copies config. Never waits. */
struct data *data_new(const struct data_config *config, const struct cid *base, uint64_t size);
/* Nobody uses it any more, no cut of it is open; snapshots may be. NULL is ignored. */
void data_free(struct data *data);

uint64_t data_size(struct data *data);
/* Bytes that are not holes; of the base, all count. */
uint64_t data_held(struct data *data);
/* Is there anything that data_cut() would write? */
bool data_is_dirty(struct data *data);
/* Does it hold what the base does, as far as it knows without comparing? Then *base (may be NULL)
 * is its root; not set: an empty file that has no root yet. */
bool data_is_base(struct data *data, struct cid *base);
/* Bytes of memory that this file has of the budget. */
uint64_t data_bytes(struct data *data);

/* ---- reading ---- */

/* Bytes without a copy if all of them are of the base (as file_view(): valid until released, on the
 * same thread, soon, before any other wait); else a copy, as they were at one moment. */
struct data_view {
	const struct iovec *iov;
	int count;
	size_t len; /* less than asked for at the end of the file; and as file_view() */
	/* private */
	struct iovec one;
	struct file_view view;
	struct file_shared *base;
	uint8_t *copy;
};
int data_view(struct data *data, uint64_t at, size_t len, struct wait *wait,
	      struct data_view *view);
void data_view_release(struct data_view *view);
/* Bytes copied (short only at the end of the file), or -errno. */
ssize_t data_read(struct data *data, uint64_t at, void *to, size_t len, struct wait *wait);
/* SEEK_DATA or SEEK_HOLE: the place; -ENXIO behind the end; -EINVAL. Holes are chunks of zeros and
 * what was never written around others; in the base too, if it has our layout. */
int64_t data_seek(struct data *data, uint64_t at, int whence, struct wait *wait);

/* ---- changing ----
 *
 * All or nothing: after an error nothing changed. -EFBIG over DATA_SIZE_MAX. They return the new
 * size by data_size() alone. */

/* Behind the end: the gap is a hole. Waits for room. Reads below when the bytes do not touch what
 * is dirty in the same grain. -EINVAL over DATA_WRITE_MAX. */
int data_write(struct data *data, uint64_t at, struct bytes bytes, struct wait *wait);
/* As data_write() at the end of the file at that moment; *at tells where. */
int data_append(struct data *data, struct bytes bytes, struct wait *wait, uint64_t *at);
/* Never waits and reads nothing; longer: a hole. -EFBIG. */
int data_truncate(struct data *data, uint64_t size);
/* At least so long: what is new is a hole. As data_truncate(). */
int data_extend(struct data *data, uint64_t size);
/* Zeros; the size stays. What is behind the end is left out. Whole chunks become holes. (One step
 * for each of both edges and the middle.) */
int data_punch(struct data *data, uint64_t at, uint64_t len, struct wait *wait);
/* As data_punch(), and the file becomes at least at + len long. */
int data_zero(struct data *data, uint64_t at, uint64_t len, struct wait *wait);
/* Copies [at, at + len) of from to to_at of to. If both places are equally far into their chunks
 * and both files have one config, whole chunks go by CID (and are kept in the store: fetched if
 * they are not there), the rest by bytes. The bytes copied: fewer at the end of from, or if an
 * error came after some; or -errno. -EINVAL: ranges of one file overlap. */
ssize_t data_copy(struct data *from, uint64_t at, struct data *to, uint64_t to_at, uint64_t len,
		  struct wait *wait);

/* ---- chunks become blocks ---- */

enum data_seal { DATA_SEAL_FULL, DATA_SEAL_ALL };
/* Fills, hashes and puts (blocks_put(), of config->blocks) chunks that have dirty bytes: all of
 * them, or those of which every byte is dirty. Their memory becomes the block's, and stays until a
 * cut has written the block's CID. A chunk that is written meanwhile stays as it is. Chunks of
 * nothing but zeros become holes. */
int data_seal(struct data *data, enum data_seal which, struct wait *wait);
/* May DATA_SEAL_FULL find anything? Cheap: for asking after each write. */
bool data_has_full(struct data *data);

/* The same for one chunk in steps, for hashing elsewhere: the bytes of the chunk as they are now,
 * copied to at, which has room for edit.chunk; returns how many. -ENOENT: the chunk has nothing
 * dirty. *mark tells data_filled() what was seen. */
ssize_t data_fill(struct data *data, uint64_t chunk, uint8_t *at, struct wait *wait,
		  uint64_t *mark);
/* The next chunk at or behind *chunk that data_seal() would take. From 0 on a look at all begins:
 * data_has_full() is false until another chunk becomes full. */
bool data_next(struct data *data, enum data_seal which, uint64_t *chunk);
/* The chunk is this block, which was put; keeps a reference. False: it was written meanwhile. */
bool data_filled(struct data *data, uint64_t chunk, uint64_t mark, struct block *block);

/* ---- cuts ----
 *
 * Records of one file: `size` and `floor`; for each item
 *	DATA_LEAF	"leaves"[chunk] = cid, len
 *	DATA_ZERO	"leaves"[chunk] = a run of `count` chunks of zeros
 *	DATA_SPAN	"spans"[grain] = from, bytes
 * A cut is written so, all in the given generation:
 *	1. if drop_from is not UINT64_MAX, all bytes from there on go: leaves of chunks and spans of
 *	   grains that begin at or behind it are removed; of the leaf and the span before it (if
 *	   they reach over it) len becomes smaller, and a span without bytes is removed;
 *	2. items in their order: a LEAF or ZERO first removes all leaves and spans of its chunks;
 *each is then put, in place of what is there. Loading is the same in the other direction: for each
 *generation, oldest first, data_load_size(), then all its leaves in the order of keys, then all its
 *spans. A generation of which only size and floor were written counts, too. */

enum data_kind { DATA_LEAF, DATA_ZERO, DATA_SPAN };

struct data_item {
	enum data_kind kind;
	uint32_t at;	     /* chunk; of a SPAN the grain */
	uint32_t count;	     /* ZERO: chunks */
	uint32_t from;	     /* SPAN: where in the grain its bytes begin */
	struct bytes bytes;  /* SPAN: 1..grain bytes, borrowed until data_cut_done() */
	struct cid cid;	     /* LEAF */
	uint32_t len;	     /* LEAF: bytes of the block that count; behind them is a hole */
	struct block *block; /* LEAF: to be put again if a collection ran; borrowed until
				data_cut_done(). NULL: data_copy() took it from another file, and
				blocks_keep() tells whether it is still there */
	void *ref;	     /* private */
	uint64_t mark;	     /* private */
};

struct data_cut {
	uint64_t generation;
	uint64_t size;
	uint64_t floor;	    /* the least size since this generation began: what older ones have
			       behind it is gone */
	uint64_t drop_from; /* the least size since the last cut that was written; UINT64_MAX: it
			       did not become smaller */
	struct data_item *items; /* in the order of the file; a chunk before its spans */
	size_t count;
	size_t bytes; /* of all spans */
};

/* What changed since the last cut that was done well, with references to its bytes: they are not
 * copied, and do not change. Afterwards nothing is dirty. generation: under which the records will
 * stand; it grows. If snapshot is not NULL, a commit begins: *snapshot is the file as it is in this
 * moment, and what comes later belongs to higher generations; at most one snapshot that is to be
 * rebased to is open at a time. At most one cut of a file is open at a time. Never waits. False:
 * there is nothing to be written (then cut is empty, and done need not be called; the snapshot is
 * made all the same). */
bool data_cut(struct data *data, uint64_t generation, struct data_snapshot **snapshot,
	      struct data_cut *cut);
/* written: the transaction is on disk. Else all of it is dirty again, as far as it was not changed
 * since. Releases the cut. */
void data_cut_done(struct data *data, struct data_cut *cut, bool written);
/* Forgets the memory of stretches that are on disk (config.load reads them), those written longest
 * ago first, until about `bytes` are freed. Returns how many were. */
uint64_t data_shed(struct data *data, uint64_t bytes);

/* After data_new(), before any other use: what cuts wrote. -EBADMSG: it cannot be so (the record is
 * damaged; nothing changed). */
int data_load_size(struct data *data, uint64_t generation, uint64_t floor, uint64_t size);
/* cid NULL: a run of count chunks of zeros; else count is 1. */
int data_load_leaf(struct data *data, uint32_t chunk, uint32_t count, const struct cid *cid,
		   uint32_t len);
/* The bytes stay on disk until they are asked for by config.load. Those in a run of zeros are
 * loaded at once: its errors. */
int data_load_span(struct data *data, uint64_t generation, uint32_t grain, uint32_t from,
		   uint32_t len);

/* ---- commits ---- */

/* The root of the file as it was: makes blocks of what is not one yet, without changing the data,
 * and the nodes above. A base of another layout is cut anew, whole. An empty file gives the empty
 * raw block. Also *size, the file's bytes, and *tree_size, cumulative as `add` prints; either may
 * be NULL. What it puts goes through blocks, which outlives the snapshot and is not recorded
 * anywhere: the caller holds it by a batch. */
int data_snapshot_root(struct data_snapshot *snapshot, struct blocks *blocks, struct wait *wait,
		       struct cid *root, uint64_t *size, uint64_t *tree_size);
/* Bytes as they were; as data_read(). */
ssize_t data_snapshot_read(struct data_snapshot *snapshot, uint64_t at, void *to, size_t len,
			   struct wait *wait);
uint64_t data_snapshot_size(const struct data_snapshot *snapshot);
/* root (data_snapshot_root()'s) is the new base: what did not change since the snapshot is read
 * from there, and its memory is free. Generations up to the snapshot's may be removed from disk. No
 * cut is open, and the one that made the snapshot was written; else the commit is to be given up by
 * data_snapshot_free(). Never waits. */
void data_rebase(struct data *data, struct data_snapshot *snapshot, const struct cid *root);
/* NULL is ignored. */
void data_snapshot_free(struct data_snapshot *snapshot);

#endif

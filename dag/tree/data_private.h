/* How the content of a changing file stands in memory. Private to dag/tree/data*.c.
 *
 *	data -> image -> runs, in order -> chunk -> grains
 *
 * A snapshot is an image of its own that shares the chunks. Chunks and grains are reference
 * counted, and immutable (but for the marks of cuts, which the data's lock guards) while more than
 * one refers to them: who changes one of those makes a copy first. */
#ifndef DAG_TREE_DATA_PRIVATE_H
#define DAG_TREE_DATA_PRIVATE_H

#include "dag/tree/data.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <pthread.h>

#define DATA_CID_MAX 72 /* CIDv1 of a raw leaf, digest of 64 bytes */
#define DATA_GRAINS_MAX 64
#define DATA_NONE UINT64_MAX

/* ---- budget ---- */

/* Waits until bytes more fit, and counts them. -EINTR, -ETIMEDOUT. */
int data_budget_reserve(struct data_budget *budget, uint64_t bytes, struct wait *wait);
void data_budget_add(struct data_budget *budget, uint64_t bytes); /* never waits */
void data_budget_drop(struct data_budget *budget, uint64_t bytes);

/* ---- the base, shared by images and views ---- */

struct file_shared {
	atomic_uint refs;
	struct blocks *blocks;
	struct cid cid;
	uint64_t size;
	pthread_mutex_t lock;
	struct file *file; /* opened by the first reader; guarded by lock */
	int fits;	   /* -1 not known; guarded by lock */
};
struct file_shared *file_shared_new(struct blocks *blocks, const struct cid *cid, uint64_t size);
struct file_shared *file_shared_ref(struct file_shared *base);
void file_shared_unref(struct file_shared *base); /* NULL is ignored */
/* Borrowed as long as base. -EIO: of another size. */
int file_shared_open(struct file_shared *base, struct wait *wait, struct file **file);
/* As file_edit_fits(), remembered. */
int file_shared_fits(struct file_shared *base, const struct file_edit_config *config,
		     struct wait *wait);

/* ---- grains and chunks ---- */

struct grain {
	atomic_uint refs;
	struct data_budget *budget;
	uint32_t from, len;  /* the stretch */
	uint32_t cap;	     /* bytes of memory */
	uint8_t *bytes;	     /* NULL: on disk only */
	bool dirty;	     /* to be written by the next cut */
	bool cutting;	     /* being written by an open one */
	uint64_t generation; /* on disk under it, if not dirty */
	uint64_t written;    /* tick of the last write */
};
/* One reference; the stretch is empty. */
struct grain *grain_new(struct data_budget *budget, uint32_t cap);
struct grain *grain_ref(struct grain *grain);
void grain_unref(struct grain *grain); /* NULL is ignored */

enum under { UNDER_BASE, UNDER_ZERO, UNDER_BLOCK };

struct chunk {
	atomic_uint refs;
	struct data_budget *budget;
	enum under under;
	bool dirty;	     /* what is under the grains is to be written by the next cut */
	uint32_t under_len;  /* BLOCK: bytes of it that count; zeros follow */
	uint32_t block_len;  /* BLOCK: all its bytes; 0: not known */
	uint64_t mark;	     /* tick of the last change of any kind */
	uint64_t under_mark; /* tick of the last time that `under` was set */
	uint8_t cid_len;
	uint8_t cid[DATA_CID_MAX];
	struct block *block; /* kept until a cut has written its CID */
	uint32_t grain_count;
	struct grain *grains[]; /* NULL: nothing dirty there */
};
struct chunk *chunk_new(const struct data_config *config);
/* Another one with references to the same grains. */
struct chunk *chunk_copy(const struct chunk *chunk);
struct chunk *chunk_ref(struct chunk *chunk);
void chunk_unref(struct chunk *chunk); /* NULL is ignored */
bool chunk_has_grains(const struct chunk *chunk);
bool chunk_is_full(const struct chunk *chunk, uint32_t grain); /* every byte is dirty */
void chunk_drop_grains(struct chunk *chunk);
/* len: bytes that count; block_len: all, 0 if not known. */
void chunk_set_block(struct chunk *chunk, const struct cid *cid, uint32_t len, uint32_t block_len,
		     struct block *block);
/* Is the chunk, which has this length, not just what a block holds? Where the block's length is not
 * known it is taken for the chunk's. */
bool chunk_is_open(const struct chunk *chunk, uint32_t len);
/* It is of the base under its grains. */
void chunk_set_base(struct chunk *chunk);
void chunk_cid(const struct chunk *chunk, struct cid *cid);

/* ---- images ---- */

struct run {
	uint32_t first, count;
	struct chunk *chunk; /* count is 1; NULL: zeros */
	bool dirty;	     /* zeros: as of a chunk */
	uint64_t mark;	     /* zeros: tick when they were made */
};

/* Where no run is: the base up to limit, then zeros. */
struct image {
	struct file_shared *base; /* NULL: none, and limit is 0 */
	uint64_t limit;		  /* bytes of the base that count; at most its size and this one */
	uint64_t size;
	struct run *runs;
	size_t count, cap;
};
void image_copy(struct image *to, const struct image *from);
void image_release(struct image *image);
/* The first run that ends behind this chunk: its index, or count. */
size_t image_find(const struct image *image, uint32_t chunk);
/* The run of this chunk, or NULL. */
struct run *image_run(const struct image *image, uint32_t chunk);
/* Chunks of the file, and bytes of one of them. */
uint32_t image_chunks(const struct image *image, const struct data_config *config);
uint32_t image_chunk_len(const struct image *image, const struct data_config *config,
			 uint32_t chunk);
/* Bytes of the base that count in a chunk. */
uint32_t image_base_len(const struct image *image, const struct data_config *config,
			uint32_t chunk);
/* Removes what lies in [first, first + count), splitting runs of zeros: their parts become dirty.
 * True: there was something. */
bool image_clear(struct image *image, uint32_t first, uint32_t count);
/* Where there is nothing. Takes the reference of run->chunk. */
void image_insert(struct image *image, const struct run *run);

/* ---- pieces: where the bytes of a range are, at one moment ---- */

enum piece_kind { PIECE_ZERO, PIECE_BASE, PIECE_BLOCK, PIECE_GRAIN, PIECE_DISK };
struct piece {
	enum piece_kind kind;
	size_t len;
	uint64_t from;	     /* in the base, block, or grain */
	struct chunk *chunk; /* BLOCK: one reference */
	struct block *block; /* BLOCK: one reference; NULL: it is in the store, and stays */
	struct grain *grain; /* GRAIN, DISK: one reference */
	uint32_t grain_at;   /* DISK: number of the grain */
};
struct pieces {
	const struct data_config *config;
	struct file_shared *base; /* one reference, if a piece is of it */
	struct piece *at;
	size_t count, cap;
	size_t len;
	bool is_snapshot; /* whose blocks all have records: only the store has them */
};
/* Appends the pieces of [at, end), which may reach over the end of the file: zeros. */
void pieces_collect(struct pieces *pieces, const struct data_config *config,
		    const struct image *image, uint64_t at, uint64_t end);
/* -EAGAIN: what was on disk is not there any more: collect again. */
int pieces_read(const struct pieces *pieces, uint8_t *to, struct wait *wait);
void pieces_release(struct pieces *pieces);

/* ---- the file ---- */

struct data {
	struct data_config config;
	uint32_t per_chunk;   /* grains */
	pthread_mutex_t lock; /* guards all that follows, and the marks in chunks and grains */
	struct image now;
	uint64_t tick;	/* grows with each change */
	bool dirty;	/* data_cut() has something to write */
	bool full_hint; /* a chunk may be wholly dirty */
	/* Of cuts. */
	uint64_t generation;	  /* of the last that was written */
	uint64_t cut_size, floor; /* that it wrote */
	uint64_t drop_from;	  /* least size since; DATA_NONE */
	/* Of the snapshot that is to be rebased to. */
	uint64_t low; /* least size since */
};

struct data_snapshot {
	struct data_config config;
	struct image image;
	uint64_t tick;	     /* changes of the data up to it are in the image */
	uint64_t generation; /* and all that is on disk under this one or lower */
	uint64_t root_size;  /* of the root that was made */
};

/* The lock, for a step that changes bytes or size: within the moment of whoever cuts several. */
static inline void data_change_lock(struct data *data)
{
	if (data->config.moment)
		pthread_rwlock_rdlock(data->config.moment);
	pthread_mutex_lock(&data->lock);
}

static inline void data_change_unlock(struct data *data)
{
	pthread_mutex_unlock(&data->lock);
	if (data->config.moment)
		pthread_rwlock_unlock(data->config.moment);
}

/* All with the lock held. */
/* The chunk for changing: nobody else refers to it; mark and dirty are set. */
struct chunk *data_own_chunk(struct data *data, uint32_t chunk);
/* The same for a run that has one. */
struct chunk *data_own_run(struct data *data, struct run *run);
/* [first, first + count) are a hole. */
void data_set_zero(struct data *data, uint32_t first, uint32_t count);
/* The chunk is this block; as chunk_set_block(). */
void data_set_block(struct data *data, uint32_t chunk, const struct cid *cid, uint32_t len,
		    uint32_t block_len, struct block *block);
void data_set_size(struct data *data, uint64_t size);
/* The largest size of such a file. Without the lock, too. */
uint64_t data_size_max(const struct data *data);

/* Reads an image that nobody changes. Errors as data_read(). */
ssize_t image_read(const struct image *image, const struct data_config *config, uint64_t at,
		   uint8_t *to, size_t len, struct wait *wait);

#endif

/* New roots of changed files, equal to those that `add` makes of the same bytes, by building only
 * what changed.
 *
 * The layout is unixfs-v1-2025's: chunks of one size but for the last, raw leaves, CIDv1, balanced.
 * Node (level, first chunk) covers width^level chunks. Where level, first and count are as in the
 * old file and no chunk below changed, its CID is kept; else it is built from its children. A
 * single chunk is its own root; an empty file is the empty raw block. So the work depends on what
 * changed, and runs of zero chunks cost a node a level.
 *
 * Any thread but the loop's; one struct file_chunks belongs to one thread at a time. Waits, for
 * blocks of the old file, obey the caller's struct wait; errors are blocks_get()'s, -EBADMSG for
 * nodes that are not what they must be, and blocks_put()'s. */
#ifndef DAG_TREE_FILE_EDIT_H
#define DAG_TREE_FILE_EDIT_H

#include "exchange/exchange.h"

#define FILE_EDIT_CHUNKS_MAX (UINT64_C(1) << 32)

struct file_edit_config {
	uint32_t chunk;	    /* bytes [1 MiB]; at most CHUNK_MAX */
	uint32_t width;	    /* links of a node [1024]; at least 2 */
	uint64_t hash_code; /* [sha2-256] */
};

/* What `dagfs add` does by default. */
void file_edit_config_init(struct file_edit_config *config);

/* One change: a chunk that is a block now, or a run of chunks of zeros. */
struct file_change {
	uint64_t chunk; /* index of the first */
	uint64_t count; /* 1, or more for zeros */
	struct cid cid; /* not set: zeros */
};

/* A file as it is to be: of old, all chunks that no change names. Where the new file is longer,
 * chunks that neither the old file has nor a change names are zeros. The last chunk of the new file
 * has size - chunk * index bytes: if it is not as long as in the old file, a change must name it
 * (so must the old last chunk, if it was short and is not the last now). */
struct file_edit {
	const struct cid *old; /* root that file_edit_fits(); NULL: none */
	uint64_t old_size;
	uint64_t size;
	const struct file_change *changes; /* in order, not overlapping */
	size_t count;
};

/* Makes and puts the new nodes, and zero chunks if there are any; not the blocks that changes name.
 * *tree_size (may be NULL): cumulative, as `add` prints. -EFBIG over FILE_EDIT_CHUNKS_MAX. */
int file_edit_make(struct blocks *blocks, const struct file_edit_config *config,
		   const struct file_edit *edit, struct wait *wait, struct cid *root,
		   uint64_t *tree_size);

/* Is root a file of exactly this layout and size? Reads the nodes on the left and right edge alone:
 * every node tells the sizes of its children, and a node of another shape somewhere else is found
 * when it is read (-EBADMSG). 1; 0: another layout; -errno. */
int file_edit_fits(struct blocks *blocks, const struct file_edit_config *config,
		   const struct cid *root, uint64_t size, struct wait *wait);

/* Cuts the bytes of any file anew in this layout; puts leaves and nodes. */
int file_recut(struct blocks *blocks, const struct file_edit_config *config, const struct cid *old,
	       struct wait *wait, struct cid *root, uint64_t *size);

/* The CID of a chunk full of zeros, len bytes; puts the block if blocks is not NULL. */
int file_zero_chunk(struct blocks *blocks, const struct file_edit_config *config, uint32_t len,
		    struct cid *cid);

/* ---- the chunks of a file that fits ---- */

/* A cursor, which keeps the path to where it read last. */
struct file_chunks;
struct file_chunks *file_chunks_new(struct blocks *blocks, const struct file_edit_config *config,
				    const struct cid *root, uint64_t size);
void file_chunks_free(struct file_chunks *chunks); /* NULL is ignored */
/* Chunk index (below the file's count). len may be NULL. */
int file_chunk(struct file_chunks *chunks, uint64_t index, struct wait *wait, struct cid *cid,
	       uint32_t *len);
/* How many chunks from index on are full and nothing but zeros, or (zeros false) are not; known by
 * their CIDs and those of nodes, so that a hole of any size takes a node a level. */
int file_chunks_run(struct file_chunks *chunks, uint64_t index, bool zeros, struct wait *wait,
		    uint64_t *count);

#endif

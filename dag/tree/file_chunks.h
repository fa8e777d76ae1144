/* The nodes of a file of our layout, by level and first chunk. Private to dag/tree/file_*.c. */
#ifndef DAG_TREE_FILE_CHUNKS_H
#define DAG_TREE_FILE_CHUNKS_H

#include "dag/import/builder.h"
#include "dag/tree/file_edit.h"

#define FILE_LEVELS_MAX 33 /* of 2^32 chunks and 2 links a node */

/* The numbers of one file: level 0 are chunks, level `height` is the root. */
struct file_shape {
	uint64_t size, count; /* bytes; chunks: of an empty file none */
	uint32_t chunk;
	unsigned height;
	uint64_t spans[FILE_LEVELS_MAX]; /* chunks below a full node of each level */
};

/* -EFBIG. */
int file_shape_init(struct file_shape *shape, const struct file_edit_config *config, uint64_t size);
/* Chunks below node (level, first). */
uint64_t file_shape_chunks(const struct file_shape *shape, unsigned level, uint64_t first);
/* Bytes of count chunks from first on. */
uint64_t file_shape_bytes(const struct file_shape *shape, uint64_t first, uint64_t count);

const struct file_shape *file_chunks_shape(const struct file_chunks *chunks);
/* Node or chunk (level, first), level at most the height and first a multiple of its span. The
 * root's tsize is told only with root_tsize, for which its block must be read. */
int file_chunks_node(struct file_chunks *chunks, unsigned level, uint64_t first, bool root_tsize,
		     struct wait *wait, struct child *node);

/* Nodes of nothing but zeros: each is made once. Zero-initialise with builder set. */
struct file_zeros {
	struct builder builder; /* only_hash: nothing is put */
	unsigned known;		/* levels */
	struct child levels[FILE_LEVELS_MAX];
};
void file_zeros_init(struct file_zeros *zeros, struct blocks *blocks,
		     const struct file_edit_config *config, bool only_hash);
/* A full node of this level. */
int file_zeros_node(struct file_zeros *zeros, const struct file_edit_config *config, unsigned level,
		    struct child *node);
/* A chunk of len zeros, at most config->chunk. */
int file_zeros_chunk(struct file_zeros *zeros, uint32_t len, struct child *leaf);
/* The builder of this layout. */
void file_edit_builder(struct builder *builder, struct blocks *blocks,
		       const struct file_edit_config *config, bool only_hash);
/* Names a leaf, and puts it unless only_hash. */
int file_edit_leaf(const struct builder *builder, struct bytes data, struct child *leaf);

#endif

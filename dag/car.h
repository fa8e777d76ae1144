/* CAR archives: blocks in a row (wire/dag section 7). Reading takes CARv1 and CARv2 as a stream
 * that is never sought in, in memory bounded by one block (importing: CAR_QUEUE_MAX); a CARv2's
 * index is skipped, only its place is checked. Writing makes CARv1, depth first, each block once.
 *
 * The reader is pure: bytes in, blocks out, nothing verified. car_import() verifies and stores. Any
 * thread but the loop's. */
#ifndef DAG_CAR_H
#define DAG_CAR_H

#include "exchange/exchange.h"

#define CAR_HEADER_MAX 32768
#define CAR_ROOTS_MAX 1024
#define CAR_SECTION_MAX (BLOCK_MAX + 200) /* CID and block */
#define CAR_QUEUE_MAX (8u << 20)	  /* bytes of blocks waiting to be hashed by car_import() */

/* ---- reading ---- */

/* Non-zero stops the reader, and car_feed() returns it. */
struct car_events {
	/* Once, before all blocks. roots is borrowed for the call; there may be none. version 1
	 * or 2. */
	int (*header)(void *ctx, unsigned version, const struct cid *roots, size_t count);
	/* Takes the block (one reference). Not verified. Identity CIDs are told as any
	 * others. offset: of its section, from the start of the archive. */
	int (*block)(void *ctx, struct block *block, uint64_t offset);
};

struct car_reader;

struct car_reader *car_reader_new(const struct car_events *events, void *ctx);
void car_reader_free(struct car_reader *reader); /* NULL is ignored */
/* The next bytes, cut anywhere. 0; -EBADMSG malformed; -EMSGSIZE over a limit; what an event
 * returned. After an error no more may be fed. */
int car_feed(struct car_reader *reader, struct bytes in);
/* There is no more: -EBADMSG when the archive is not whole. */
int car_end(struct car_reader *reader);
/* After -EBADMSG or -EMSGSIZE: what is wrong (static text), and where the faulty part begins. */
const char *car_why(const struct car_reader *reader, uint64_t *offset);

/* ---- importing ---- */

struct car_import {
	struct cid *roots; /* in order, each once; of all archives imported into this */
	size_t root_count;
	uint64_t blocks, bytes; /* of blocks read; those of identity CIDs too, which are checked and
				   need no storing */
	/* After a failure: what is wrong with the archive (static text; NULL: not the archive's
	 * fault), where, and with which block (not set: none) */
	const char *why;
	uint64_t offset;
	struct cid bad;
};

/* Called on the calling thread now and then: bytes of the archive read so far. Non-zero stops and
 * is returned. */
typedef int car_progress_fn(void *ctx, uint64_t bytes);

/* All of fd (file, pipe...) into the store, each block hashed first, on several threads. Blocks
 * that came before a failure stay. Not synced: blocks_sync() before telling anybody. result is
 * zeroed before the first of several imports and released with car_import_release(). -EBADMSG,
 * -EMSGSIZE with why; -EINTR by wait; read()'s and blocks_put()'s errors. */
int car_import(struct blocks *blocks, int fd, struct wait *wait, car_progress_fn *progress,
	       void *ctx, struct car_import *result);
void car_import_release(struct car_import *result);

/* ---- writing ---- */

enum car_scope {
	CAR_BLOCK,  /* the root's own block */
	CAR_ENTITY, /* a file whole; of a directory what its listing needs (all shards), without its
		     * children; of anything else its block */
	CAR_ALL,    /* everything below */
};

/* Appends what stands before a block's bytes: section length and CID. */
void car_put_section(struct buf *out, const struct cid *cid, size_t data_len);
/* Appends a CARv1 header. */
void car_put_header(struct buf *out, const struct cid *roots, size_t count);

/* head, then data (may be empty), to the archive. 0, or an error that ends the export. */
typedef int car_write_fn(void *ctx, struct bytes head, struct bytes data);

/* A CARv1 of root: depth first, links in order, each block once, those of identity CIDs too, as
 * Kubo has it. timeout_ms: per block. Memory: 32 bytes a block. Errors as dag_walk(), and write's;
 * the archive is incomplete then. */
int car_export(struct blocks *blocks, const struct cid *root, enum car_scope scope,
	       struct wait *wait, uint64_t timeout_ms, car_write_fn *write, void *ctx);

#endif

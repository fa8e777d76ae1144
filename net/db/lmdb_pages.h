/* A file of LMDB's, read without LMDB, which believes what its pages say: a damaged page that leads to others may take it
 * anywhere. Facts of LMDB's format: version 1 (0.9.x), 64-bit, little-endian.
 *
 * Any thread. Nothing is mapped: a disk that fails is -EIO here. */
#ifndef NET_BASE_LMDB_PAGES_H
#define NET_BASE_LMDB_PAGES_H

#include "net/base/bytes.h"

#define LMDB_TAIL_PAGES 64 /* at the end, allocated and freed by one transaction, may never be written */

/* Is every page that leads to a record, of the last transaction in the file, what it should be, and none in two places? The
 * caller keeps writers away. Of pages of large values only the first has a head; it is looked at when heads is set (one read
 * for each of them). name is for the log, NULL: nothing is logged. 0; -EIO: damaged (logged: which page and why); -errno. */
int lmdb_pages_check(int fd, const char *name, bool heads);

/* Where a record was found. They come in this order. */
enum lmdb_where {
	LMDB_REACHED, /* the tree of its table leads there */
	LMDB_LOOSE,   /* nothing does: because a page that did is damaged, or it is of an earlier transaction */
	LMDB_FREED,   /* the list of free pages has it: it is of an earlier transaction */
};

struct lmdb_found {
	enum lmdb_where where;
	struct bytes table; /* of one that was reached: the table's name */
	struct bytes key, value;
};

/* What the file says of itself. */
struct lmdb_tally {
	uint64_t records; /* in all tables */
	bool whole;	  /* all tables and all free pages are known */
};

/* Non-zero stops and is returned. The bytes are lent for the call. */
typedef int lmdb_found_fn(void *ctx, const struct lmdb_found *found);
/* Every record with a value of at most value_max bytes that can be read, whatever leads there; whether it is whole the caller must
 * tell by what it knows of records. Some come more than once. 0 or -errno. */
int lmdb_pages_salvage(int fd, size_t value_max, lmdb_found_fn *each, void *ctx, struct lmdb_tally *tally);

#endif

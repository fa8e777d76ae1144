/* Reads an LMDB file without LMDB, because LMDB trusts its pages and may crash on a damaged one.
 * Facts of LMDB's format: version 1 (0.9.x), 64-bit, little-endian.
 *
 * Any thread. Nothing is mapped: a disk that fails is -EIO here. */
#ifndef NET_DB_LMDB_PAGES_H
#define NET_DB_LMDB_PAGES_H

#include "net/base/bytes.h"

#define LMDB_TAIL_PAGES 64 /* at the end, may be missing: one transaction used and freed them */

/* Checks that every page that leads to a record of the last transaction is what it should be, and
 * that none is used twice. The caller keeps writers away. Of the pages of a large value only the
 * first has a head, which is checked if heads is set (one read for each such value). name is for
 * the log; NULL: nothing is logged. 0; -EIO: damaged (the log says which page and why); -errno. */
int lmdb_pages_check(int fd, const char *name, bool heads);

/* Where a record was found. Records come in this order. */
enum lmdb_where {
	LMDB_REACHED, /* the tree of its table leads there */
	LMDB_LOOSE,   /* no page leads there: one is damaged, or the record is of an earlier
			 transaction */
	LMDB_FREED,   /* it is on a free page, so it is of an earlier transaction */
};

struct lmdb_found {
	enum lmdb_where where;
	struct bytes table; /* the table's name, if LMDB_REACHED */
	struct bytes key, value;
};

/* What the file says about itself. */
struct lmdb_tally {
	uint64_t records; /* in all tables */
	bool whole;	  /* all tables and all free pages are known */
};

/* Non-zero stops and is returned. The bytes are lent for the call. */
typedef int lmdb_found_fn(void *ctx, const struct lmdb_found *found);
/* Calls each() for every readable record with a value of at most value_max bytes, wherever it lies.
 * Some come more than once. The caller judges whether a record is whole. 0 or -errno. */
int lmdb_pages_salvage(int fd, size_t value_max, lmdb_found_fn *each, void *ctx,
		       struct lmdb_tally *tally);

#endif

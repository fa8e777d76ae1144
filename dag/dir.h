/* Directories: basic ones and HAMT shards of any depth (wire/dag sections 2 and 4). Any thread but
 * the loop's; one struct dir may be used by many threads at once. Some entries are left out, and
 * only dir_each_left_out() gives them: names that no file system can show ("", ".", "..", with '/'
 * or NUL, over 255 bytes), all duplicates but the first, and in a HAMT entries that are not where
 * the hash of their name leads (a lookup could not find them). A loaded HAMT takes at most 262 144
 * shards and 512 MiB, else -EFBIG. */
#ifndef DAG_DIR_H
#define DAG_DIR_H

#include "exchange/exchange.h"

struct dir;

struct dir_entry {
	struct bytes name; /* borrowed from the dir, until dir_close() */
	struct cid cid;
	uint64_t tsize; /* what the link claims; a hint */
};

/* Only the directory's own block. -ENOTDIR; -EBADMSG; blocks_get()'s errors. Borrows blocks for its
 * life. */
int dir_open(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct dir **out);
void dir_close(struct dir *dir); /* NULL is ignored */

/* Needs at most one block a level. -ENOENT only when the name is proven absent. */
int dir_lookup(struct dir *dir, struct bytes name, struct wait *wait, struct dir_entry *out);
/* Loads missing shards side by side, then gives the entries in a fixed order, beginning at index
 * `from`. A non-zero return of each() stops and is returned. The blocks of children are not
 * needed. */
typedef int dir_each_fn(void *ctx, size_t index, const struct dir_entry *entry);
int dir_each(struct dir *dir, size_t from, struct wait *wait, dir_each_fn *each, void *ctx);
/* Gives the entries that dir_each() leaves out, in a fixed order, with the reason (static text);
 * loads and stops as it. */
typedef int dir_left_out_fn(void *ctx, const struct dir_entry *entry, const char *why);
int dir_each_left_out(struct dir *dir, struct wait *wait, dir_left_out_fn *each, void *ctx);
/* Entries, once listed; loads as dir_each(). */
int dir_count(struct dir *dir, struct wait *wait, size_t *count);

#endif

/* The file of a generation, read without LMDB, which believes what its pages say: a damaged page that leads to others
 * may take it anywhere. Facts of LMDB's format: version 1 (0.9.x), 64-bit, little-endian.
 *
 * Any thread. Nothing is mapped: a disk that fails is -EIO here. */
#ifndef EXCHANGE_STORE_PAGES_H
#define EXCHANGE_STORE_PAGES_H

#include "net/base/bytes.h"

/* Is every page that leads to a record, of the last transaction in the file, what it should be, and none in two places? The
 * caller keeps writers away. Bytes of blocks are not looked at. name is for the log, NULL: nothing is logged. 0; -EIO: damaged (logged: which page and
 * why); -errno. */
int pages_check(int fd, const char *name);

/* Non-zero stops and is returned. The bytes are lent for the call. */
typedef int pages_each_fn(void *ctx, struct bytes multihash, struct bytes data);
/* Every block that lies whole in the file (its checksum is right), whatever leads there: also of transactions before the
 * last, so blocks that were deleted may come, and some come more than once. 0 or -errno. */
int pages_salvage(int fd, pages_each_fn *each, void *ctx);

#endif

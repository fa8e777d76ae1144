/* Records of shares within a transaction: tables "share" (by id) and "versions" (by id, stamp,
 * pen). The rest of what dag/tree.h says of them is in the same file. Private to dag/tree. Values
 * begin with u8 version 1; integers are big-endian. */
#ifndef DAG_TREE_SHARE_RECORD_H
#define DAG_TREE_SHARE_RECORD_H

#include "dag/tree.h"

/* -ENOENT; -EIO: it cannot be read. */
int share_record_get(struct db_txn *txn, uint32_t id, struct share_record *out);
/* As share_each(): -EIO, after all others were told, if a record cannot be read. */
int share_records_each(struct db_txn *txn, int (*each)(void *ctx, const struct share_record *share),
		       void *ctx);
int share_record_put(struct db_txn *txn, const struct share_record *share);
int version_put(struct db_txn *txn, uint32_t id, const struct tree_version *version);
/* Non-zero of each() stops and is returned. Oldest first. -EIO, after all others were told, if one
 * cannot be read. In a write transaction each() may delete
 * the version that it was given, by version_del(). */
int version_each(struct db_txn *txn, uint32_t id,
		 int (*each)(void *ctx, const struct tree_version *version), void *ctx);
int version_del(struct db_txn *txn, uint32_t id, uint64_t stamp, uint64_t pen);
/* All records of a share in a table whose keys begin with its id go. */
int share_rows_del(struct db_txn *txn, const char *table, uint32_t id);

/* Removes the versions that history does not keep: all of the last hour stay, one in 10 minutes of
 * a day, one an hour of 7 days, one a day of 90 days, at most 10 000; the newest always stays. A
 * damaged record stays, too. now: ms since 1970. */
int versions_thin(struct db_txn *txn, uint32_t id, uint64_t now_ms);

#endif

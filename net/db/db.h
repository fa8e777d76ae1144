/* Small records in named tables of one LMDB environment: pins, provider records, routing table,
 * names, peerstore, journal. Blocks have a store of their own (exchange/store/store.h).
 *
 * A transaction lives inside one function on one thread. Several processes may open one db. Keys
 * are 1..511 bytes, values up to DB_VALUE_MAX. Writing waits for other writers (other threads and
 * processes), and a durable commit waits for the disk: never long work between begin and commit,
 * and on the loop thread only db_post() and short reads. One process opens a directory once, and
 * does not fork while it is open. One thread may hold several reads, and reads beside one write. */
#ifndef NET_BASE_DB_H
#define NET_BASE_DB_H

#include "net/base/bytes.h"

#define DB_VALUE_MAX (1u << 20)
#define DB_TABLES_MAX 32

struct db;
struct db_txn;

/* Opens (creates) the environment in directory dir, mode 0700. map_bytes: the most it may ever hold
 * (virtual memory only, less where that is limited, until it is needed); all processes that open dir name the same. The parent of dir exists.
 * On a read-only file system one that exists can be read, and writing is -EROFS.
 * One that is damaged or of an older version is built anew first (see db_salvaged()), when no other process has it open: else
 * -EBUSY after some seconds. 0 or -errno; -EIO when nothing in it can be read; -ENOTSUP when it is of a newer version. */
int db_open(const char *dir, uint64_t map_bytes, struct db **out);
/* For tests: a db in a fresh directory under $TMPDIR or /tmp, 256 MiB at most, commits not synced,
 * removed at close. */
int db_open_temp(struct db **out);
/* Waits for posted writes. Every transaction has ended. NULL is ignored. */
void db_close(struct db *db);

/* A snapshot; with write: exclusive, and waits for the other writers. Ended by db_commit() or
 * db_abort() on the same thread. 0 or -errno (-ENOSPC when the map or disk is full, -EIO, -EAGAIN
 * when 512 reads are open). */
int db_begin(struct db *db, bool write, struct db_txn **out);
/* Durable when it returns 0. Ends the transaction in either case. After a db_put() or db_del() that
 * failed for want of space, disk or tables nothing is written and its error comes again. */
int db_commit(struct db_txn *txn);
/* Ends a read, or drops a write. NULL is ignored. */
void db_abort(struct db_txn *txn);

/* table is a name like "pins" of at most 31 characters; created by the first put. *value borrows
 * from the map until the transaction ends or, in a write one, until its next put or delete (so a
 * value is copied before it is put again). -ENOENT when the key or the table is absent, -EINVAL for
 * a key of bad length, -EIO when it is not what was written (logged; db_check() removes it). */
int db_get(struct db_txn *txn, const char *table, struct bytes key, struct bytes *value);
/* Replaces what was there. -EMSGSIZE over DB_VALUE_MAX, -EINVAL for a key of bad length, -ENOSPC,
 * -EAGAIN when it would be the 33rd table. */
int db_put(struct db_txn *txn, const char *table, struct bytes key, struct bytes value);
int db_del(struct db_txn *txn, const char *table, struct bytes key); /* -ENOENT when absent */
/* Number of records, damaged ones too; 0 when there is no such table. */
uint64_t db_count(struct db_txn *txn, const char *table);

/* Calls each(ctx, key, value) for the keys that begin with prefix, in key order, from key `from` on
 * when it is not empty; stops at the first non-zero return and returns it. key and value are
 * lent for the call. In a write transaction each() may put and delete, this key too. A damaged record
 * is passed over (logged), and at the end of all others there is -EIO. */
typedef int db_each_fn(void *ctx, struct bytes key, struct bytes value);
int db_each(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
	    db_each_fn *each, void *ctx);

/* Any thread, never waits: copies the record and lets a writer thread of the db put it (or delete
 * it, when value.at is NULL), in the order posted, many in one commit, soon; reads see it only
 * then. Once it is 0 a failure of the disk shows in the log and in db_flush(): for records that may
 * be lost. -EAGAIN when DB_POSTED_MAX or DB_POSTED_BYTES_MAX are queued, else as db_put(). */
#define DB_POSTED_MAX 65536
#define DB_POSTED_BYTES_MAX (64u << 20)
int db_post(struct db *db, const char *table, struct bytes key, struct bytes value);
/* Waits until everything posted before is committed. 0, or the first error since the last flush. */
int db_flush(struct db *db);

/* ---- damage ---- */

/* Looks at every record, and removes those that are not what was written; for each damaged() may put another in its place, in the
 * same transaction (NULL on a read-only file system, where they stay). Non-zero from it stops, and nothing
 * is changed. *count: how many they were. Other writers wait meanwhile. 0 or -errno. */
typedef int db_damaged_fn(void *ctx, struct db_txn *txn, const char *table, struct bytes key);
int db_check(struct db *db, db_damaged_fn *damaged, void *ctx, uint64_t *count);
/* Looks at every page that leads to records, believing none. 0; -EIO: the next db_open() saves what is whole; -errno. */
int db_check_pages(struct db *db);
/* A file of this name in the directory has the next db_open() do as db_check_pages() does. A process that dies while it reads
 * makes it (from its signal handler): LMDB follows a damaged page wherever it leads. */
#define DB_SUSPECT "suspect"

/* A damaged db was built anew of its whole records; the file as it was lies in DIR.damaged-N. */
struct db_salvage {
	uint64_t saved;
	uint64_t lost;
	bool sure; /* else nobody knows how many were lost, and some may be older than they were */
};
/* Was it, and db_salvage_told() did not run since? */
bool db_salvaged(struct db *db, struct db_salvage *out);
int db_salvage_told(struct db *db);
/* The file was gone, as its owner can tell: from now on it is as if nothing had been saved from it. 0 or -errno. */
int db_note_loss(struct db *db);

#endif

/* Small records in named tables of one LMDB environment: pins, provider records, routing table,
 * names, peerstore, journal. Blocks have a store of their own (exchange/store/store.h).
 *
 * A transaction lives inside one function on one thread. Several processes may open one db. Keys
 * are 1..511 bytes, values up to DB_VALUE_MAX. Writing waits for other writers (other threads and
 * processes), and a durable commit waits for the disk: never long work between begin and commit,
 * and on the loop thread only db_post() and short reads. One process opens a directory once, and
 * does not fork while it is open. One thread may hold several reads, and reads beside one write. */
#ifndef NET_DB_DB_H
#define NET_DB_DB_H

#include "net/base/bytes.h"

#define DB_VALUE_MAX (1u << 20)
#define DB_TABLES_MAX 32

struct db;
struct db_txn;

/* Opens the db in directory dir; creates it, mode 0700, if it is missing. The parent of dir exists.
 * map_bytes: the most that the db may ever hold; all processes that open dir name the same. It is
 * address space, and less of it is taken at first where that is limited. On a read-only file system
 * an existing db can be read, and writing fails with -EROFS. A db that is damaged or of an older
 * version is built anew first (see db_salvaged()); if another process has it open, -EBUSY after
 * some seconds. 0 or -errno; -EIO: nothing in it can be read; -ENOTSUP: it is of a newer
 * version. */
int db_open(const char *dir, uint64_t map_bytes, struct db **out);
/* For tests: a db in a fresh directory under $TMPDIR or /tmp, 256 MiB at most, commits not synced,
 * removed at close. */
int db_open_temp(struct db **out);
/* Waits for posted writes. Every transaction has ended. NULL is ignored. */
void db_close(struct db *db);

/* Begins a transaction. A read sees a snapshot. A write is exclusive, and waits for other writers.
 * The same thread ends it by db_commit() or db_abort(). 0 or -errno (-ENOSPC: the map or disk is
 * full; -EIO; -EAGAIN: 512 reads are open). */
int db_begin(struct db *db, bool write, struct db_txn **out);
/* Ends the transaction. When it returns 0, what was written is durable. If a db_put() or db_del()
 * failed because space, disk or tables were lacking, nothing is written and that error is returned
 * again. */
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

/* Calls each(ctx, key, value) for the keys that begin with prefix, in key order, beginning at key
 * `from` if it is not empty. Stops at the first non-zero return and returns it. key and value are
 * borrowed for the call. In a write transaction each() may put and delete, this key too. Damaged
 * records are logged and left out, and then the result is -EIO. */
typedef int db_each_fn(void *ctx, struct bytes key, struct bytes value);
int db_each(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
	    db_each_fn *each, void *ctx);

/* Copies the record, and lets a writer thread of the db put it soon; if value.at is NULL, delete
 * it. Any thread; never waits. Records are written in the order posted, many in one commit, and
 * reads see them only then. A later failure of the disk shows only in the log and in db_flush(), so
 * this is for records that may be lost. -EAGAIN: DB_POSTED_MAX or DB_POSTED_BYTES_MAX are queued;
 * else as db_put(). */
#define DB_POSTED_MAX 65536
#define DB_POSTED_BYTES_MAX (64u << 20)
int db_post(struct db *db, const char *table, struct bytes key, struct bytes value);
/* As db_post(), for records that nobody misses: a later failure shows in db_flush() alone. */
int db_post_hint(struct db *db, const char *table, struct bytes key, struct bytes value);
/* Waits until everything posted before is committed. 0, or the first error since the last flush. */
int db_flush(struct db *db);

/* ---- damage ---- */

/* Checks every record and removes damaged ones. For each it calls damaged(), which may put another
 * record in its place in the same transaction. On a read-only file system damaged records stay, and
 * txn is NULL. If damaged() returns non-zero, the check stops and nothing is changed. *count: how
 * many were damaged. Other writers wait meanwhile. 0 or -errno. */
typedef int db_damaged_fn(void *ctx, struct db_txn *txn, const char *table, struct bytes key);
int db_check(struct db *db, db_damaged_fn *damaged, void *ctx, uint64_t *count);
/* Checks every page that leads to records, without trusting any. 0; -EIO: damaged, and the next
 * db_open() saves what is whole; -errno. */
int db_check_pages(struct db *db);
/* If a file of this name is in the directory, the next db_open() does as db_check_pages() does. The
 * signal handler of a process that dies while it reads makes it, because LMDB may crash on a
 * damaged page. */
#define DB_SUSPECT "suspect"

/* A damaged db was built anew of its whole records; the file as it was lies in DIR.damaged-N. */
struct db_salvage {
	uint64_t saved;
	uint64_t lost;
	bool sure; /* if not set: lost is not known, and some records may be older versions */
};
/* True if it was, and db_salvage_told() has not run since. */
bool db_salvaged(struct db *db, struct db_salvage *out);
int db_salvage_told(struct db *db);
/* For an owner that knows that the file was lost: notes a salvage that saved nothing. 0 or
 * -errno. */
int db_note_loss(struct db *db);

#endif

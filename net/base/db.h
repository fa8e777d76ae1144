/* Small records in named tables of one LMDB environment: pins, provider records, routing table,
 * names, peerstore, journal. Blocks have a store of their own (exchange/store.h).
 *
 * A transaction lives inside one function on one thread. Several processes may open one db. Keys are
 * 1..511 bytes, values up to DB_VALUE_MAX. Writing waits for other writers (other threads and
 * processes), and a durable commit waits for the disk: never long work between begin and commit, and
 * on the loop thread only db_post(). */
#ifndef NET_BASE_DB_H
#define NET_BASE_DB_H

#include "net/base/bytes.h"

#define DB_VALUE_MAX (1u << 20)
#define DB_TABLES_MAX 32

struct db;
struct db_txn;

/* Opens (creates) the environment in directory dir, mode 0700. map_bytes: the most it may ever hold
 * (virtual memory only). 0 or -errno. */
int db_open(const char *dir, uint64_t map_bytes, struct db **out);
/* An anonymous db on tmpfs for tests, gone at close. */
int db_open_temp(struct db **out);
/* Waits for posted writes. NULL is ignored. */
void db_close(struct db *db);

/* write: exclusive. 0 or -errno (-ENOSPC when the map or disk is full, -EIO). */
int db_begin(struct db *db, bool write, struct db_txn **out);
/* Durable when it returns 0. Ends the transaction in either case. */
int db_commit(struct db_txn *txn);
/* Ends a read, or drops a write. NULL is ignored. */
void db_abort(struct db_txn *txn);

/* table is a name like "pins"; created by the first put. *value borrows from the map until the
 * transaction ends. -ENOENT when absent. */
int db_get(struct db_txn *txn, const char *table, struct bytes key, struct bytes *value);
int db_put(struct db_txn *txn, const char *table, struct bytes key, struct bytes value);
int db_del(struct db_txn *txn, const char *table, struct bytes key); /* -ENOENT when absent */
/* Number of records. */
uint64_t db_count(struct db_txn *txn, const char *table);

/* Calls each(ctx, key, value) for the keys that begin with prefix, in key order, from key `from` on
 * when it is not empty; stops at the first non-zero return and returns it. */
typedef int db_each_fn(void *ctx, struct bytes key, struct bytes value);
int db_each(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
	    db_each_fn *each, void *ctx);

/* Any thread, never waits: copies the record and lets a writer thread of the db put it (or delete it,
 * when value.at is NULL), many in one commit, soon. -EAGAIN when DB_POSTED_MAX are queued. */
#define DB_POSTED_MAX 65536
int db_post(struct db *db, const char *table, struct bytes key, struct bytes value);
/* Waits until everything posted before is committed. */
int db_flush(struct db *db);

#endif

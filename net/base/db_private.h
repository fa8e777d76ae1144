/* Inside of a db: db.c, and db_sum.c, which looks whether records are what was written. */
#ifndef NET_BASE_DB_PRIVATE_H
#define NET_BASE_DB_PRIVATE_H

#include "net/base/db.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define DB_TABLE_NAME_MAX 31
#define DB_TABLES (DB_TABLES_MAX + 1) /* with ... */
#define DB_SUMS "sums"		      /* ... this one: who has it has sums behind all values */
#define DB_SUM_LEN 8u

struct table {
	char name[DB_TABLE_NAME_MAX + 1];
	MDB_dbi dbi;
};

/* Table handles. LMDB allows one transaction at a time to open handles, makes them usable to others
 * when it commits, and a transaction cannot use a handle that came after its own beginning. So:
 *   - tables[0 .. count) are open for everybody; the array only grows, count under the lock;
 *   - db_begin() compares count with the records of the main database (one for each table); when
 *     another process has made more, they are opened there, under the lock, in a short transaction
 *     of their own, and beginning starts over. Nothing is opened in the middle of a read;
 *   - a write transaction creates tables behind count, for itself; there is only one, and while it
 *     lasts the main database cannot change, so nobody else opens anything. It commits them under
 *     the lock, or LMDB closes them when it aborts. */
struct db {
	MDB_env *env;
	MDB_dbi main;
	char *temp_dir; /* to be removed, or NULL */
	struct db_writer *writer;
	atomic_uint txns; /* open */
	atomic_uint writes; /* so far */
	bool read_only;	  /* as the file system is */
	pthread_mutex_t lock;
	size_t count;
	bool plain; /* read-only, and of a version whose records had no sums */
	struct table tables[DB_TABLES];
};

struct db_txn {
	struct db *db;
	MDB_txn *txn;
	bool write;
	size_t count;	/* tables it may use */
	size_t created; /* of them, made by itself */
	int err;	/* first failed write: the transaction is spoilt */
};

/* ---- db.c ---- */

/* As db_each(), with the sum behind the value, and whatever it says. */
int db_each_raw(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
		db_each_fn *each, void *ctx);

/* ---- db_sum.c: u64 LE, XXH3-64 of the value, seeded by that of the key ---- */

uint64_t db_sum(struct bytes key, struct bytes value);
/* Cuts the sum off. False: damaged. */
bool db_sum_take(struct bytes key, struct bytes *value);
void db_sum_write(uint8_t *at, uint64_t sum);
/* Writes sums behind all values when they have none. At opening. */
int db_sum_begin(struct db *db);

#endif

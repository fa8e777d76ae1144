/* Inside of a db: db.c; db_open.c; db_sum.c, which looks whether records are what was written;
 * db_repair.c, which builds it anew. */
#ifndef NET_DB_DB_PRIVATE_H
#define NET_DB_DB_PRIVATE_H

#include "net/db/db.h"
#include "net/db/lmdb_map.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define DB_TABLE_NAME_MAX 31
#define DB_TABLES (DB_TABLES_MAX + 1) /* with the one that tells the layout */
#define DB_KEY_MAX 511		      /* of LMDB as built */
#define DB_SUM_LEN 8u
#define DB_TAIL_MAX (DB_TABLE_NAME_MAX + 1 + DB_SUM_LEN)

/* The format of values in the file. Which one it is shows by the table that exists: none, DB_SUMS
 * or DB_LAYOUT. */
enum db_layout {
	DB_LAYOUT_PLAIN, /* value */
	DB_LAYOUT_SUMS,	 /* value | u64 LE, XXH3-64 of it, seeded by that of the key */
	/* value | name of the table | u8 its length | u64 LE, XXH3-64 of all that, seeded as above.
	 * So a record says by itself what it is. */
	DB_LAYOUT_NOW,
};
#define DB_SUMS "sums"
#define DB_LAYOUTS "layout-" /* of others this program knows nothing */
#define DB_LAYOUT DB_LAYOUTS "2"
#define DB_SALVAGED "salvaged" /* a record there: struct db_salvage */

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
	struct lmdb_map map; /* held by every transaction */
	uint64_t map_bytes;  /* as large as it may become */
	atomic_uint txns;    /* open */
	atomic_uint writes;  /* so far */
	bool read_only;	     /* as the file system is */
	pthread_mutex_t lock;
	size_t count;
	enum db_layout layout; /* not the last: read-only */
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

/* As db_each(), but the value has its sum behind it, which is not checked. */
int db_each_raw(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
		db_each_fn *each, void *ctx);

/* A write transaction that knows no table and follows no page. Keeps other writers away. */
int db_begin_blind(struct db *db, struct db_txn **out);
/* An LMDB code as -errno. */
int db_err(int rc);

/* ---- db_open.c ---- */

/* Opens it as it is, and only finds out its layout. With MDB_RDONLY it is read-only. */
int db_open_raw(const char *dir, uint64_t map_bytes, unsigned flags, struct db **out);

/* ---- db_sum.c ---- */

/* Bytes behind the values of a table. */
size_t db_tail_len(const char *table);
/* Writes it behind the value in record, which has room for it. */
void db_tail_write(const char *table, struct bytes key, uint8_t *record, size_t value_len);
/* Cuts it off; *table is borrowed from it. False: damaged. */
bool db_tail_take(struct bytes key, struct bytes *record, struct bytes *table);
/* Reduces a record of this table, of any layout, to its value. False: damaged. */
bool db_record_take(const struct db *db, const char *table, struct bytes key, struct bytes *record);

/* ---- db_repair.c ---- */

/* Builds the db anew from its whole records, because pages are damaged or the layout is old.
 * -EBUSY: another process has dir open, and nothing was done. -EIO: nothing could be read. If
 * no_memory is set, the file could not be mapped: then it is done only if damage is found, and
 * otherwise -ENOMEM. */
int db_rebuild(const char *dir, uint64_t map_bytes, bool no_memory);
/* Removes what a rebuild left that was killed at its very end. dir is open. */
void db_rebuilt(const char *dir);
bool db_suspected(const char *dir);
/* LMDB's assert callback: the file is damaged, and LMDB cannot return an error. Leaves a mark and
 * ends the process. */
void db_die(MDB_env *env, const char *text);

#endif

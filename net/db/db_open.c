/* Opening and closing a database. A damaged one, or one of an older layout, is built anew first;
 * since several processes may find that out at once, opening tries again until one of them has
 * done it. Any thread. */
#include "net/db/db_private.h"

#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/db/db_writer.h"
#include "net/db/lmdb_dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DB_READERS_MAX 512 /* read transactions at once, in all processes together */
#define DB_TEMP_MAP_BYTES (256u << 20)
#define DB_OPEN_TRIES                                                                              \
	60		/* while another process has open what is to be built anew: some seconds   \
			 */
#define DB_BUILT_MAX 10 /* it was, and still cannot be opened; lmdb_dir_forget() tells why some */

/* NOTLS: threads come and go, and one may read while it reads. No WRITEMAP: a stray pointer of ours
 * must not reach the file. */
static int try_env(struct db *db, const char *dir, uint64_t map_bytes, unsigned int flags)
{
	int rc = mdb_env_create(&db->env);

	if (rc)
		return rc;
	if ((rc = mdb_env_set_mapsize(db->env, map_bytes)) ||
	    (rc = mdb_env_set_maxdbs(db->env, DB_TABLES)) ||
	    (rc = mdb_env_set_maxreaders(db->env, DB_READERS_MAX)) ||
	    (rc = mdb_env_set_assert(db->env, db_die)) ||
	    (rc = mdb_env_open(db->env, dir, MDB_NOTLS | flags, 0600))) {
		mdb_env_close(db->env);
		db->env = NULL;
	}
	return rc;
}

/* Opens LMDB's environment with the largest map that the address space allows, and its main
 * database. */
static int open_env(struct db *db, const char *dir, uint64_t map_bytes, unsigned int flags)
{
	MDB_txn *txn;
	mdb_filehandle_t fd;
	int dead;
	uint64_t bytes = lmdb_map_first(map_bytes);
	int rc = try_env(db, dir, bytes, flags);

	while (rc == ENOMEM && (bytes = lmdb_map_next(bytes)))
		rc = try_env(db, dir, bytes, flags);
	if (rc || (rc = mdb_reader_check(db->env, &dead)) || (rc = mdb_env_get_fd(db->env, &fd)))
		return rc;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if ((rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn)))
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &db->main);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

/* *fresh: it has no tables. */
static int find_layout(struct db *db, bool *fresh)
{
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	*fresh = !err && !txn->count;
	db->layout = *fresh ? DB_LAYOUT_NOW : DB_LAYOUT_PLAIN;
	for (size_t i = 0; !err && i < txn->count; i++) {
		const char *name = db->tables[i].name;

		if (!strcmp(name, DB_LAYOUT))
			db->layout = DB_LAYOUT_NOW;
		else if (!strcmp(name, DB_SUMS) && db->layout == DB_LAYOUT_PLAIN)
			db->layout = DB_LAYOUT_SUMS;
		else if (!strncmp(name, DB_LAYOUTS, strlen(DB_LAYOUTS)))
			err = -ENOTSUP;
	}
	db_abort(txn);
	return err;
}

/* Opens the environment and finds out its layout. A fresh db is marked as one of the present
 * layout. */
static int open_here(const char *dir, uint64_t map_bytes, unsigned int flags, struct db *db)
{
	bool fresh;
	int err = db_err(open_env(db, dir, map_bytes, flags));

	if (!err && !db->read_only && db_suspected(dir))
		err = db_check_pages(db);
	if (!err)
		err = find_layout(db, &fresh);
	if (!err && fresh && !db->read_only) {
		struct db_txn *txn;

		err = db_begin(db, true, &txn);
		if (!err && (err = db_put(txn, DB_LAYOUT, bytes_str("made"), bytes_str("new"))))
			db_abort(txn);
		else if (!err)
			err = db_commit(txn);
	}
	return err;
}

int db_open_raw(const char *dir, uint64_t map_bytes, unsigned flags, struct db **out)
{
	struct db *db;
	int err;

	*out = NULL;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	db = xnew(struct db);
	pthread_mutex_init(&db->lock, NULL);
	atomic_init(&db->txns, 0);
	atomic_init(&db->writes, 0);
	db->writer = db_writer_new(db);
	db->map_bytes = map_bytes;
	db->read_only = flags & MDB_RDONLY;
	err = open_here(dir, map_bytes, flags, db);
	if (!err)
		*out = db;
	else
		db_close(db);
	return err;
}

/* 1: it must be built anew. */
static int open_once(const char *dir, uint64_t map_bytes, unsigned int flags, struct db **out)
{
	bool read_only;
	int err;

	*out = NULL;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	err = lmdb_dir_prepare(dir, DB_READERS_MAX, &read_only);
	if (!err)
		err = db_open_raw(dir, map_bytes, flags | (read_only ? MDB_RDONLY : 0), out);
	if (!err && (*out)->layout != DB_LAYOUT_NOW && !read_only) {
		db_close(*out);
		*out = NULL;
		err = 1;
	}
	return err;
}

/* The first pages tell LMDB how much to map. */
static bool may_be_damaged(int err)
{
	return err == 1 || err == -EIO || err == -ENOMEM || err == -EINVAL;
}

/* Opens the db, and builds it anew if that is necessary. Other processes may try the same: then
 * it waits a random time and opens again. */
static int open_with(const char *dir, uint64_t map_bytes, unsigned int flags, struct db **out)
{
	unsigned built = 0;

	for (unsigned tries = 0;; tries++) {
		int err = open_once(dir, map_bytes, flags, out);

		if (!err && !(*out)->read_only)
			db_rebuilt(dir);
		if (!may_be_damaged(err) || built == DB_BUILT_MAX)
			return err == 1 ? -EBUSY : err;
		int why = db_rebuild(dir, map_bytes, err == -ENOMEM);

		/* Where another process could open it, it is memory that lacks. */
		if (err == -ENOMEM && (why == -ENOMEM || why == -EBUSY))
			return err;
		built += !why;
		if (why == -EROFS || why == -ENOENT)
			return err == 1 ? why : err;
		if (why && (why != -EBUSY || tries == DB_OPEN_TRIES)) {
			if (why == -EBUSY)
				log_error("db",
					  "%s is %s, and another process has it open: end it (is "
					  "it a daemon?), then try again",
					  dir, err == 1 ? "of an older version" : "damaged");
			return why;
		}
		/* Whoever has it open may be waiting for us to close it. */
		if (why || built > 1)
			usleep(20000 + (useconds_t)(getpid() * 7919u + tries * 104729u) % 80000);
	}
}

int db_open(const char *dir, uint64_t map_bytes, struct db **out)
{
	return open_with(dir, map_bytes, 0, out);
}

static void remove_dir(char *dir)
{
	static const char *const names[] = { "data.mdb", "lock.mdb" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = xasprintf("%s/%s", dir, names[i]);

		unlink(path);
		free(path);
	}
	rmdir(dir);
	free(dir);
}

int db_open_temp(struct db **out)
{
	const char *base = getenv("TMPDIR");
	char *dir = xasprintf("%s/dagfs-db-XXXXXX", base && *base ? base : "/tmp");

	*out = NULL;
	if (!mkdtemp(dir)) {
		int err = -errno;

		free(dir);
		return err;
	}
	/* Nothing to keep: no waiting for the disk. */
	int err = open_with(dir, DB_TEMP_MAP_BYTES, MDB_NOSYNC, out);

	if (err)
		remove_dir(dir);
	else
		(*out)->temp_dir = dir;
	return err;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	db_writer_free(db->writer);
	assert(atomic_load(&db->txns) == 0); /* they would point into the map that goes now */
	if (db->env)
		mdb_env_close(db->env);
	if (db->temp_dir)
		remove_dir(db->temp_dir);
	pthread_mutex_destroy(&db->lock);
	free(db);
}

/* A db that is built anew: because its pages are damaged, or because it is of an older version.
 * LMDB believes its pages, and a process that follows a wrong one may die of it; so whoever dies
 * leaves it "suspect", and the next opening, like db_check_pages(), looks at every page.
 *
 * In the directory of the db:
 *   suspect      a process died of the file, or a check found it damaged
 *   new/         the db being built. It takes the old one's place by one rename(), so that a
 *                crash leaves one or the other
 * and beside it DIR.damaged-N/, the file as it was, for its owner to look at.
 *
 * Meanwhile no other process, of whatever version, has the db open: the lock that LMDB holds
 * (shared) while it has, is held here alone. */
#include "net/db/db_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/db/lmdb_dir.h"
#include "net/db/lmdb_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASIDE_MAX 1000
#define SALVAGE_LEN 17 /* of the record DB_SALVAGED: u64 LE saved, u64 LE lost, u8 sure */

static char *in_dir(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void remove_in(const char *dir, const char *name)
{
	char *path = in_dir(dir, name);

	if (remove(path) && errno != ENOENT)
		log_warn("db", "cannot remove %s: %s", path, err_text(-errno));
	free(path);
}

static int check_file(const char *dir)
{
	char *file = in_dir(dir, "data.mdb");
	int fd = open(file, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : 0;

	if (!err)
		err = lmdb_pages_check(fd, file, true);
	if (fd >= 0)
		close(fd);
	free(file);
	return err;
}

/* ---- suspicion ---- */

static void suspect(const char *dir)
{
	char *file = in_dir(dir, DB_SUSPECT);
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	free(file);
}

bool db_suspected(const char *dir)
{
	char *file = in_dir(dir, DB_SUSPECT);
	bool is = access(file, F_OK) == 0;

	free(file);
	return is;
}

void db_die(MDB_env *env, const char *text)
{
	const char *dir = "";

	mdb_env_get_path(env, &dir);
	suspect(dir);
	fprintf(stderr, "Error: %s is damaged: %s; the next command looks for what is whole\n", dir,
		text);
	_exit(EXIT_FAILURE);
}

int db_check_pages(struct db *db)
{
	struct db_txn *txn = NULL;
	const char *dir;
	int err = db->read_only ? 0 : db_begin_blind(db, &txn);

	if (err)
		return err;
	mdb_env_get_path(db->env, &dir);
	err = check_file(dir);
	db_abort(txn);
	if (err == -EIO && !db->read_only)
		suspect(dir);
	else if (!err && !db->read_only && db_suspected(dir))
		remove_in(dir, DB_SUSPECT);
	return err;
}

/* ---- building ---- */

/* All is put in one transaction. */
static int make_room(struct db *db, const char *dir)
{
	char *file = in_dir(dir, "data.mdb");
	struct stat old;
	MDB_envinfo info;
	uint64_t needed = stat(file, &old) ? 0 : 2 * (uint64_t)old.st_size;

	free(file);
	mdb_env_info(db->env, &info);
	if (needed <= info.me_mapsize || info.me_mapsize >= db->map_bytes)
		return 0;
	return lmdb_map_move(&db->map, db->env, needed < db->map_bytes ? needed : db->map_bytes, 0);
}

/* A fresh db beside the damaged one, with a transaction open in it. */
static int build_begin(const char *dir, uint64_t map_bytes, struct db **out, struct db_txn **txn)
{
	char *new = in_dir(dir, "new"), *file = in_dir(dir, "new/data.mdb");
	int err = 0;

	*out = NULL;
	if (unlink(file) && errno != ENOENT && errno != ENOTDIR)
		err = -errno;
	if (!err)
		err = db_open_raw(new, map_bytes, MDB_NOSYNC | MDB_NOLOCK, out);
	if (!err)
		err = make_room(*out, dir);
	if (!err)
		err = db_begin(*out, true, txn);
	if (!err && (err = db_put(*txn, DB_LAYOUT, bytes_str("made"), bytes_str("anew"))))
		db_abort(*txn);
	if (err) {
		db_close(*out);
		*out = NULL;
	}
	free(new);
	free(file);
	return err;
}

static void build_drop(const char *dir)
{
	remove_in(dir, "new/data.mdb");
	remove_in(dir, "new");
}

/* What is built takes the place of what is there. Ends txn and db. */
static int build_end(const char *dir, int lock, struct db *db, struct db_txn *txn, int err)
{
	char *from = in_dir(dir, "new/data.mdb"), *to = in_dir(dir, "data.mdb");

	if (err)
		db_abort(txn);
	else
		err = db_commit(txn);
	if (!err && mdb_env_sync(db->env, 1))
		err = -EIO;
	db_close(db);
	if (!err)
		err = lmdb_dir_forget(lock);
	if (!err && rename(from, to))
		err = -errno;
	if (!err)
		err = lmdb_dir_sync(dir);
	build_drop(dir);
	if (!err && db_suspected(dir))
		remove_in(dir, DB_SUSPECT);
	free(from);
	free(to);
	return err;
}

/* ---- of an older version ---- */

struct copying {
	struct db_txn *to;
	const char *table;
};

static int copy_one(void *ctx, struct bytes key, struct bytes value)
{
	const struct copying *copying = ctx;

	return db_put(copying->to, copying->table, key, value);
}

static int copy_all(struct db *from, struct db_txn *to)
{
	struct bytes none = { 0 };
	struct db_txn *txn;
	int err = db_begin(from, false, &txn);

	if (err)
		return err;
	for (size_t i = 0; i < txn->count && !err; i++) {
		struct copying copying = { to, from->tables[i].name };

		if (!strcmp(copying.table, DB_SUMS))
			continue;
		err = db_each(txn, copying.table, none, none, copy_one, &copying);
		if (err == -EIO && from->layout == DB_LAYOUT_SUMS)
			err = 0; /* what is damaged was told of, and is left behind */
	}
	db_abort(txn);
	return err;
}

/* 0 too when it is of this version. */
static int convert(const char *dir, int lock, uint64_t map_bytes)
{
	struct db *old, *new;
	struct db_txn *txn;
	int err = db_open_raw(dir, map_bytes, MDB_RDONLY | MDB_NOLOCK, &old);

	if (!err && old->layout != DB_LAYOUT_NOW &&
	    !(err = build_begin(dir, map_bytes, &new, &txn))) {
		err = build_end(dir, lock, new, txn, copy_all(old, txn));
		if (!err)
			log_info("db", "%s is brought to layout version %d", dir, DB_LAYOUT_NOW);
	}
	db_close(old);
	return err;
}

/* ---- damaged ---- */

struct saving {
	struct db_txn *txn;
	uint64_t saved, known; /* known: those of ours too */
};

/* An older one never replaces what the tree led to: that came first. What was freed is not of now.
 */
static int save_one(void *ctx, const struct lmdb_found *found)
{
	struct saving *saving = ctx;
	struct bytes value = found->value, table, there;
	char name[DB_TABLE_NAME_MAX + 1] = "";

	if (found->where == LMDB_FREED || !found->key.len || found->key.len > DB_KEY_MAX ||
	    !db_tail_take(found->key, &value, &table) || memchr(table.at, 0, table.len))
		return 0;
	memcpy(name, table.at, table.len);
	saving->known++;
	if (!strcmp(name, DB_LAYOUT) || db_get(saving->txn, name, found->key, &there) != -ENOENT)
		return 0;
	saving->saved++;
	return db_put(saving->txn, name, found->key, value);
}

static int put_note(struct db_txn *txn, const struct db_salvage *result)
{
	struct buf note = { 0 };

	buf_add_le64(&note, result->saved);
	buf_add_le64(&note, result->lost);
	buf_add_u8(&note, result->sure);
	int err = db_put(txn, DB_LAYOUT, bytes_str(DB_SALVAGED), buf_bytes(&note));

	buf_release(&note);
	return err;
}

int db_note_loss(struct db *db)
{
	const struct db_salvage unknown = { 0 };
	struct db_txn *txn;
	int err = db_begin(db, true, &txn);

	if (!err && (err = put_note(txn, &unknown)))
		db_abort(txn);
	else if (!err)
		err = db_commit(txn);
	return err;
}

/* Every whole record of the damaged file, into txn; result says how many were saved and lost. */
static int save_all(const char *dir, struct db_txn *txn, struct db_salvage *result)
{
	char *file = in_dir(dir, "data.mdb");
	struct saving saving = { .txn = txn };
	struct lmdb_tally tally;
	int fd = open(file, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : 0;

	if (!err)
		err = lmdb_pages_salvage(fd, DB_VALUE_MAX + DB_TAIL_MAX, save_one, &saving, &tally);
	if (fd >= 0)
		close(fd);
	if (!err && !saving.known) {
		log_error("db",
			  "%s is damaged, and nothing in it can be read: move it away to begin "
			  "without any records",
			  file);
		err = -EIO;
	}
	if (!err) {
		*result = (struct db_salvage){ .saved = saving.saved, .sure = tally.whole };
		if (tally.whole && tally.records > saving.known)
			result->lost = tally.records - saving.known;
		err = put_note(txn, result);
	}
	free(file);
	return err;
}

/* Another name for the file, so that there is one at any moment. *path: the directory it lies in
 * then. */
static int set_aside(const char *dir, char **path)
{
	char *file = in_dir(dir, "data.mdb");
	int err = -EEXIST;

	*path = NULL;
	for (unsigned i = 1; i < ASIDE_MAX && err == -EEXIST; i++) {
		free(*path);
		*path = xasprintf("%s.damaged-%u", dir, i);
		err = mkdir(*path, 0700) ? -errno : 0;
	}
	if (!err) {
		char *to = in_dir(*path, "data.mdb");

		if (link(file, to)) {
			err = -errno;
			rmdir(*path);
		}
		free(to);
	}
	free(file);
	return err;
}

static void repair_tell(const char *dir, const char *aside, const struct db_salvage *result)
{
	char lost[64] = "";

	if (!result->sure)
		snprintf(lost, sizeof lost, ", and whether others were lost cannot be known");
	else if (result->lost)
		snprintf(lost, sizeof lost, ", %llu were lost", (unsigned long long)result->lost);
	log_warn("db", "%s was damaged: %llu records were saved%s; the damaged file is in %s", dir,
		 (unsigned long long)result->saved, lost, aside);
}

static int salvage(const char *dir, int lock, uint64_t map_bytes)
{
	struct db_salvage result = { 0 };
	struct db_txn *txn;
	struct db *new;
	char *aside = NULL;
	int err = build_begin(dir, map_bytes, &new, &txn);

	if (err)
		return err;
	err = save_all(dir, txn, &result);
	if (!err)
		err = set_aside(dir, &aside);
	err = build_end(dir, lock, new, txn, err);
	if (!err)
		repair_tell(dir, aside, &result);
	free(aside);
	return err;
}

void db_rebuilt(const char *dir)
{
	char *new = in_dir(dir, "new");

	rmdir(new);
	free(new);
}

int db_rebuild(const char *dir, uint64_t map_bytes, bool no_memory)
{
	int lock = lmdb_dir_lock(dir);

	if (lock < 0)
		return lock;
	int err = check_file(dir);

	if (!err)
		err = no_memory ? -ENOMEM : convert(dir, lock, map_bytes);
	else if (err == -EIO)
		err = salvage(dir, lock, map_bytes);
	if (!err && db_suspected(dir))
		remove_in(dir, DB_SUSPECT);
	close(lock);
	return err;
}

bool db_salvaged(struct db *db, struct db_salvage *out)
{
	struct db_txn *txn;
	struct bytes value;
	bool is = false;

	if (db_begin(db, false, &txn))
		return false;
	if (!db_get(txn, DB_LAYOUT, bytes_str(DB_SALVAGED), &value) && value.len == SALVAGE_LEN) {
		struct cursor c = cursor_over(value);

		out->saved = cursor_le64(&c);
		out->lost = cursor_le64(&c);
		out->sure = cursor_u8(&c);
		is = true;
	}
	db_abort(txn);
	return is;
}

int db_salvage_told(struct db *db)
{
	struct db_txn *txn;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	err = db_del(txn, DB_LAYOUT, bytes_str(DB_SALVAGED));
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err == -ENOENT ? 0 : err;
}

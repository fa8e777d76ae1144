/* Generations whose pages are damaged. LMDB believes its pages, and a process that follows a wrong
 * one may die of it; so whoever dies leaves the file "suspect", and the next opening, like
 * store_check(), looks at every page that leads to blocks.
 *
 *   bad-000007/       a generation that was set aside; its whole blocks are being put into the
 *                     newest one. It goes when they are on disk; a crash before begins anew
 *   damaged-000007/   one in which nothing could be read, for its owner to look at
 *   lost              kept blocks may be missing since; stays until store_lost() was told that
 *                     this is known
 *
 * A damaged generation of the cache just goes. */
#include "exchange/store/block.h"
#include "exchange/store/store_dir.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/db/lmdb_pages.h"
#include "net/wire/multihash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static int open_data(const char *path)
{
	char file[GEN_PATH_MAX + 16];

	snprintf(file, sizeof file, "%s/data.mdb", path);
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Nothing to read, and LMDB would make an environment of it. */
static bool is_missing(const char *path)
{
	char file[GEN_PATH_MAX + 16];
	struct stat on_disk;

	snprintf(file, sizeof file, "%s/data.mdb", path);
	return stat(file, &on_disk) ? errno == ENOENT : on_disk.st_size == 0;
}

static int check_file(const char *path)
{
	int fd = open_data(path);

	if (fd < 0)
		return fd == -ENOENT ? -EIO : fd;
	int err = lmdb_pages_check(fd, path, false);

	close(fd);
	return err;
}

/* A generation that this process has not opened: LMDB is asked for its writers' lock alone, which
 * needs none of the pages but the first. */
static int check_closed(const char *path)
{
	MDB_env *env;
	MDB_txn *txn = NULL;

	if (is_missing(path))
		return -EIO;
	int rc = mdb_env_create(&env);

	if (rc)
		return gen_err(rc);
	rc = mdb_env_open(env, path, MDB_NOTLS, 0600);
	if (!rc)
		rc = mdb_txn_begin(env, NULL, 0, &txn);
	/* Not even that: then nobody else writes either. */
	int err = rc == MDB_VERSION_MISMATCH	      ? -ENOTSUP
		  : rc && rc != MDB_INVALID && rc < 0 ? gen_err(rc)
						      : check_file(path);

	mdb_txn_abort(txn);
	mdb_env_close(env);
	return err;
}

static int check_open(struct gen *gen)
{
	MDB_txn *txn;
	int err = gen_write_begin(gen, &txn);

	if (err)
		return err;
	err = check_file(gen->path);
	gen_write_drop(gen, txn);
	return err;
}

/* ---- setting aside ---- */

static int note_lost(const struct store_lmdb *lmdb)
{
	int fd = open(dir_path(lmdb, "lost", 0).text, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return dir_sync(lmdb);
}

/* The file lock (exclusive) is held. */
static int set_aside(struct store_lmdb *lmdb, const struct name *name)
{
	bool kept = name->class == GEN_KEPT;
	struct path from = dir_path(lmdb, dir_class_names[name->class], name->number);
	bool save = kept && !is_missing(from.text);
	int err = kept ? note_lost(lmdb) : 0;

	dir_changing(lmdb);
	if (!err)
		err = save ? dir_move(from.text, dir_path(lmdb, "bad", name->number).text)
			   : dir_bury(lmdb, name);
	if (!err)
		err = dir_sync(lmdb);
	if (err) {
		log_error("store", "cannot set aside %s: %s", from.text, err_text(err));
		return err;
	}
	log_warn("store", "%s is damaged and set aside%s", from.text,
		 !kept	? ": only cached blocks are lost"
		 : save ? ""
			: ": there is nothing to be read");
	if (!save)
		dir_delete_dead(lmdb, name->number);
	return 0;
}

int repair_look(struct store_lmdb *lmdb)
{
	struct name *names;
	size_t count;
	int found = 0, err = dir_names(lmdb, &names, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && !err; i++) {
		err = check_closed(
			dir_path(lmdb, dir_class_names[names[i].class], names[i].number).text);
		if (err == -EIO) {
			err = set_aside(lmdb, &names[i]);
			found += !err;
		}
	}
	free(names);
	if (!err)
		unlink(dir_path(lmdb, STORE_SUSPECT, 0).text);
	return err ? err : found;
}

bool repair_suspected(const struct store_lmdb *lmdb)
{
	return access(dir_path(lmdb, STORE_SUSPECT, 0).text, F_OK) == 0;
}

static int set_aside_open(struct store_lmdb *lmdb, const struct gen *gen)
{
	const struct name name = { .class = gen->class, .number = gen->number };

	pthread_mutex_lock(&lmdb->lists);
	int fd = dir_lock(lmdb, "lock", LOCK_EX), err = fd < 0 ? fd : set_aside(lmdb, &name);

	if (!err)
		err = dir_reload(lmdb);
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&lmdb->lists);
	snapshot_drop_idle(lmdb);
	return err;
}

/* ---- salvage ---- */

struct salvage {
	struct store_lmdb *lmdb;
	struct store_batch *batch;
	uint64_t blocks;
};

static bool is_whole(struct bytes multihash, struct bytes record)
{
	struct cursor c = cursor_over(record);
	uint64_t sum = cursor_le64(&c);
	struct bytes data = bytes_skip(record, GEN_RECORD_HEAD);
	struct multihash hash;

	return !c.bad && XXH3_64bits(data.at, data.len) == sum &&
	       multihash_decode(&hash, multihash) == (ssize_t)multihash.len;
}

/* A block is what its name says wherever it lies: also one that was deleted before. */
static int save_block(void *ctx, const struct lmdb_found *found)
{
	struct salvage *salvage = ctx;
	struct bytes multihash = found->key, data = bytes_skip(found->value, GEN_RECORD_HEAD);
	struct cid cid;
	size_t size;

	if (!is_whole(multihash, found->value) || cid_make(&cid, 1, CODEC_RAW, multihash) ||
	    !store_size(&salvage->lmdb->store, multihash, &size))
		return 0;
	if (cid_verify(&cid, data))
		return 0;
	struct block *block = block_copy(&cid, data);
	int err = store_batch_put(salvage->batch, block);

	salvage->blocks += !err;
	block_unref(block);
	return err;
}

/* Nothing could be read: whoever owns it may know better. */
static void repair_leave(const struct store_lmdb *lmdb, const char *path, unsigned number)
{
	struct path to = dir_path(lmdb, "damaged", number);
	int err = dir_move(path, to.text);

	if (err)
		log_error("store", "cannot rename %s: %s", path, err_text(err));
	else
		log_warn("store",
			 "%s holds nothing that can be read; remove it when you do not need it",
			 to.text);
}

/* Puts every whole block of a damaged generation into the store again, as one batch; then the
 * damaged one is deleted, or left if nothing in it could be read. */
static int salvage_one(struct store_lmdb *lmdb, unsigned number, uint64_t *saved)
{
	const struct path at = dir_path(lmdb, "bad", number);
	const char *path = at.text;
	struct salvage salvage = { .lmdb = lmdb };
	struct lmdb_tally tally;
	int fd = open_data(path);

	if (fd == -ENOENT) { /* a crash came before the file did */
		dir_delete(path);
		return 0;
	}
	if (fd < 0)
		return fd;
	log_info("store", "looking for blocks in %s", path);
	salvage.batch = store_batch_begin(&lmdb->store);
	int err = lmdb_pages_salvage(fd, GEN_RECORD_HEAD + BLOCK_MAX, save_block, &salvage, &tally);

	close(fd);
	if (!err)
		err = store_batch_commit(salvage.batch);
	store_batch_end(salvage.batch);
	if (err)
		return err;
	log_warn("store", "%llu blocks were saved from %s", (unsigned long long)salvage.blocks,
		 path);
	*saved += salvage.blocks;
	if (salvage.blocks)
		dir_delete(path);
	else
		repair_leave(lmdb, path, number);
	return 0;
}

void repair_salvage(struct store_lmdb *lmdb, uint64_t *saved)
{
	int lock = store_dir_janitor_lock(lmdb, false); /* a sweep leaves it to the next opening */
	DIR *dir = lock < 0 ? NULL : opendir(lmdb->path);
	struct dirent *entry;
	unsigned number;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "bad-%u", &number) != 1)
			continue;
		int err = salvage_one(lmdb, number, saved);

		if (err)
			log_error("store", "cannot save the blocks in %s/%s now: %s", lmdb->path,
				  entry->d_name, err_text(err));
	}
	if (dir)
		closedir(dir);
	if (lock >= 0)
		close(lock);
}

/* ---- on demand ---- */

int lmdb_check(struct store *store, uint64_t *saved)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	struct gens *gens;
	int found = 0, err = store_dir_gens(lmdb, &gens);

	*saved = 0;
	if (err)
		return err;
	for (size_t i = 0; i < gens->count && !err; i++) {
		struct gen *gen = gens->at[i];

		err = lmdb->read_only ? check_file(gen->path) : check_open(gen);
		if (err == -EIO && !lmdb->read_only) {
			err = set_aside_open(lmdb, gen);
			found += !err;
		}
	}
	gens_unref(gens);
	if (!err && found)
		repair_salvage(lmdb, saved);
	return err ? err : found;
}

bool lmdb_lost(struct store *store, bool noted)
{
	struct path path = dir_path(lmdb_of(store), "lost", 0);

	if (noted)
		unlink(path.text);
	return access(path.text, F_OK) == 0;
}

/* A generation: one LMDB environment with a part of the blocks. Once it is closed nothing is
 * added to it any more, so that removing it gives back its space at once. Any thread. */
#include "exchange/store/store_gen.h"

#include "exchange/store/store.h"
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
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define VERSION_MIN 1 /* a whole store of layout version 1 is a generation */
#define VERSION 2
#define READERS_MAX 1024 /* of all processes together */
#define TABLES_MAX 4
#define READERS_CHECKED                                                                            \
	64 /* writes from one look for readers that died to the next: they hold freed pages */
#define MAP_WAIT_MS 10000	    /* for other readers to end before the map moves */
#define DISK_FULL_BYTES (32u << 20) /* less free than the largest transaction may need */

int gen_err(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return -ENOSPC;
	case MDB_READERS_FULL:
		return -EAGAIN;
	}
	if (rc > 0)
		return -rc;
	log_error("store", "lmdb err=\"%s\"", mdb_strerror(rc));
	return -EIO;
}

void gen_map_hold(struct gen *gen)
{
	lmdb_map_hold(&gen->map);
}

void gen_map_release(struct gen *gen)
{
	lmdb_map_release(&gen->map);
}

uint64_t gen_map_bytes(struct gen *gen)
{
	MDB_envinfo info;

	lmdb_map_hold(&gen->map);
	mdb_env_info(gen->env, &info);
	lmdb_map_release(&gen->map);
	return info.me_mapsize;
}

int gen_resize(struct gen *gen, size_t more)
{
	return lmdb_map_move(&gen->map, gen->env, more ? gen_map_bytes(gen) + more : 0,
			     MAP_WAIT_MS);
}

/* ---- records ---- */

int gen_meta_get(struct gen *gen, MDB_txn *txn, const char *name, uint64_t *value)
{
	MDB_val key = val_of(bytes_str(name)), data;
	int rc = mdb_get(txn, gen->meta, &key, &data);

	*value = 0;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc)
		return rc;
	struct cursor c = cursor_over(bytes_of_val(&data));

	*value = cursor_le64(&c);
	return c.bad ? MDB_CORRUPTED : 0;
}

int gen_meta_put(struct gen *gen, MDB_txn *txn, const char *name, uint64_t value)
{
	struct buf text = { 0 };

	buf_add_le64(&text, value);
	MDB_val key = val_of(bytes_str(name)), data = val_of(buf_bytes(&text));
	int rc = mdb_put(txn, gen->meta, &key, &data, 0);

	buf_release(&text);
	return rc;
}

int gen_add(struct gen *gen, MDB_txn *txn, struct bytes multihash, MDB_val *record)
{
	MDB_val key = val_of(multihash);

	return mdb_put(txn, gen->blocks, &key, record, MDB_NOOVERWRITE);
}

static uint32_t recent_bit(struct bytes multihash)
{
	uint32_t bit = 0;

	/* The end of a digest is as good as a hash of it. */
	for (size_t i = 0; i < 4 && i < multihash.len; i++)
		bit = bit << 8 | multihash.at[multihash.len - 1 - i];
	return bit % GEN_RECENT_BITS;
}

void gen_touch(struct gen *gen, struct bytes multihash)
{
	uint32_t bit = recent_bit(multihash), mask = 1u << bit % 32;

	if (gen->recent &&
	    !(atomic_load_explicit(&gen->recent[bit / 32], memory_order_relaxed) & mask))
		atomic_fetch_or_explicit(&gen->recent[bit / 32], mask, memory_order_relaxed);
}

bool gen_touched(const struct gen *gen, struct bytes multihash)
{
	uint32_t bit = recent_bit(multihash);

	return gen->recent && (atomic_load_explicit(&gen->recent[bit / 32], memory_order_relaxed) &
			       1u << bit % 32);
}

/* ---- reading ---- */

static int read_once(struct gen *gen, MDB_txn **txn)
{
	gen_map_hold(gen);
	int rc = *txn ? mdb_txn_renew(*txn) : mdb_txn_begin(gen->env, NULL, MDB_RDONLY, txn);

	if (rc) {
		mdb_txn_abort(*txn);
		*txn = NULL;
		gen_map_release(gen);
	}
	return rc;
}

int gen_read_start(struct gen *gen, MDB_txn **txn)
{
	int rc = read_once(gen, txn);

	if (rc == MDB_MAP_RESIZED) {
		int err = gen_resize(gen, 0);

		if (err)
			return err;
		rc = read_once(gen, txn);
	} else if (rc == MDB_READERS_FULL) {
		mdb_reader_check(gen->env, NULL);
		rc = read_once(gen, txn);
	}
	return gen_err(rc);
}

/* A transaction that is reset keeps its place in the reader table: renewing it takes no lock. */
void gen_read_stop(struct gen *gen, MDB_txn *txn)
{
	mdb_txn_reset(txn);
	gen_map_release(gen);
}

uint64_t gen_used(struct gen *gen)
{
	MDB_envinfo info;
	MDB_stat stat;

	gen_map_hold(gen);
	mdb_env_info(gen->env, &info);
	mdb_env_stat(gen->env, &stat);
	gen_map_release(gen);
	return (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize;
}

int gen_stat(struct gen *gen, struct gen_stat *out)
{
	char file[GEN_PATH_MAX + 16];
	MDB_txn *txn = NULL;
	struct stat on_disk;
	MDB_stat table;
	int err = gen_read_start(gen, &txn);

	if (err)
		return err;
	*out = (struct gen_stat){ 0 };
	err = gen_err(mdb_stat(txn, gen->blocks, &table));
	if (!err)
		err = gen_err(gen_meta_get(gen, txn, "bytes", &out->bytes));
	gen_read_stop(gen, txn);
	mdb_txn_abort(txn);
	if (err)
		return err;
	out->blocks = table.ms_entries;
	snprintf(file, sizeof file, "%s/data.mdb", gen->path);
	if (!stat(file, &on_disk))
		out->disk_bytes = (uint64_t)on_disk.st_blocks * 512;
	return 0;
}

/* ---- writing ---- */

static void unlock(struct gen *gen)
{
	pthread_mutex_unlock(&gen->writing);
	gen_map_release(gen);
}

static int write_once(struct gen *gen, MDB_txn **txn)
{
	gen_map_hold(gen);
	pthread_mutex_lock(&gen->writing);
	if (++gen->writes % READERS_CHECKED == 0)
		mdb_reader_check(gen->env, NULL);
	int rc = mdb_txn_begin(gen->env, NULL, 0, txn);

	if (rc)
		unlock(gen);
	return rc;
}

int gen_write_begin(struct gen *gen, MDB_txn **txn)
{
	if (gen->read_only)
		return -EROFS;
	int rc = write_once(gen, txn);

	if (rc == MDB_MAP_RESIZED) {
		int err = gen_resize(gen, 0);

		if (err)
			return err;
		rc = write_once(gen, txn);
	}
	return gen_err(rc);
}

static bool is_disk_full(const struct gen *gen)
{
	struct statvfs disk;

	return !statvfs(gen->path, &disk) &&
	       (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES;
}

int gen_write_end(struct gen *gen, MDB_txn *txn, int rc)
{
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	unlock(gen);
	/* The write that fills a disk is a short one, and LMDB says EIO for that. */
	if (rc == EIO && is_disk_full(gen))
		return -ENOSPC;
	return gen_err(rc);
}

void gen_write_drop(struct gen *gen, MDB_txn *txn)
{
	mdb_txn_abort(txn);
	unlock(gen);
}

int gen_is_closed(struct gen *gen, MDB_txn *txn, bool *closed)
{
	uint64_t value;
	int rc = gen_meta_get(gen, txn, "closed", &value);

	*closed = value != 0;
	return rc;
}

static int close_once(struct gen *gen)
{
	bool closed;
	MDB_txn *txn;
	int err = gen_write_begin(gen, &txn);

	if (err)
		return err;
	int rc = gen_is_closed(gen, txn, &closed);

	if (!rc && closed) {
		gen_write_drop(gen, txn);
		return 0;
	}
	if (!rc)
		rc = gen_meta_put(gen, txn, "closed", 1);
	return gen_write_end(gen, txn, rc);
}

int gen_close_writing(struct gen *gen)
{
	int err = close_once(gen);

	if (err == -ENOSPC) {
		err = gen_resize(gen, GEN_GROW_BYTES);
		if (!err)
			err = close_once(gen);
	}
	if (!err && gen_settle(gen))
		log_warn("store", "%s may be lost in a power cut", gen->path);
	return err;
}

/* ---- settling ---- */

static bool noted_txn(const char *path, unsigned long long *txn)
{
	char file[GEN_PATH_MAX + 16];

	snprintf(file, sizeof file, "%s/settled", path);
	FILE *in = fopen(file, "re");
	bool noted = in && fscanf(in, "%llu", txn) == 1;

	if (in)
		fclose(in);
	return noted;
}

static uint64_t last_txn(struct gen *gen)
{
	MDB_envinfo info;

	gen_map_hold(gen);
	mdb_env_info(gen->env, &info);
	gen_map_release(gen);
	return info.me_last_txnid;
}

bool gen_is_settled(struct gen *gen)
{
	unsigned long long noted;

	return noted_txn(gen->path, &noted) && noted == last_txn(gen);
}

bool gen_dir_is_settled(const char *path)
{
	unsigned long long noted;
	MDB_envinfo info;
	MDB_env *env;

	if (!noted_txn(path, &noted) || mdb_env_create(&env))
		return false;
	bool same = !mdb_env_open(env, path, MDB_NOTLS | MDB_RDONLY, 0600) &&
		    !mdb_env_info(env, &info) && info.me_last_txnid == noted;

	mdb_env_close(env);
	return same;
}

/* Others may write while we wait: then what is noted is an earlier transaction, and it is not
 * settled. */
int gen_settle(struct gen *gen)
{
	char file[GEN_PATH_MAX + 16], making[GEN_PATH_MAX + 48];
	uint64_t last = last_txn(gen);

	if (gen->class != GEN_CACHE || gen->read_only || gen_is_settled(gen))
		return 0;
	int err = gen_err(mdb_env_sync(gen->env, 1));

	if (err)
		return err;
	snprintf(file, sizeof file, "%s/settled", gen->path);
	snprintf(making, sizeof making, "%s.%d", file, (int)getpid());
	FILE *out = fopen(making, "we");

	if (!out)
		return -errno;
	bool written = fprintf(out, "%llu\n", (unsigned long long)last) > 0;

	written = fclose(out) == 0 && written;
	if (written && rename(making, file) == 0)
		return 0;
	unlink(making);
	return -EIO;
}

/* ---- opening ---- */

/* LMDB found pages that cannot be, and would abort: there is no way back out of its functions. */
static void on_damage(MDB_env *env, const char *text)
{
	char file[GEN_PATH_MAX + 32];
	const char *path = "";

	mdb_env_get_path(env, &path);
	snprintf(file, sizeof file, "%s/../" STORE_SUSPECT, path);
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fprintf(stderr, "Error: %s is damaged: %s; the next command looks for what is whole\n",
		path, text);
	_exit(EXIT_FAILURE);
}

/* Opens the environment with a map of map_bytes. An LMDB code. */
static int open_env(struct gen *gen, uint64_t map_bytes, bool no_sync)
{
	unsigned flags = MDB_NOTLS | (no_sync ? MDB_NOSYNC : 0) | (gen->read_only ? MDB_RDONLY : 0);
	int rc = mdb_env_create(&gen->env);

	if (rc)
		return rc;
	if (map_bytes)
		rc = mdb_env_set_mapsize(gen->env, map_bytes);
	if (!rc)
		rc = mdb_env_set_maxreaders(gen->env, READERS_MAX);
	if (!rc)
		rc = mdb_env_set_maxdbs(gen->env, TABLES_MAX);
	if (!rc)
		rc = mdb_env_set_assert(gen->env, on_damage);
	if (!rc)
		rc = mdb_env_open(gen->env, gen->path, flags, 0600);
	if (rc) {
		mdb_env_close(gen->env);
		gen->env = NULL;
	}
	return rc;
}

/* A file shorter than its pages would end the process at the first look behind its end. An LMDB
 * code. */
static int check_length(struct gen *gen)
{
	uint64_t needed = gen_used(gen);
	struct stat on_disk;
	MDB_stat stat;
	int fd, rc = mdb_env_get_fd(gen->env, &fd);

	if (rc)
		return rc;
	if (fstat(fd, &on_disk))
		return errno;
	if ((uint64_t)on_disk.st_size >= needed)
		return 0;
	mdb_env_stat(gen->env, &stat);
	uint64_t missing = needed - (uint64_t)on_disk.st_size;

	if (missing <= (uint64_t)LMDB_TAIL_PAGES * stat.ms_psize)
		return gen->read_only ? 0
				      : posix_fallocate(fd, (off_t)(needed - stat.ms_psize),
							stat.ms_psize);
	log_error("store", "%s/data.mdb is cut off: %llu bytes are missing at its end", gen->path,
		  (unsigned long long)missing);
	return EIO;
}

/* Opens the tables; in a write transaction they are made when missing. */
static int open_tables(struct gen *gen, bool create)
{
	unsigned flags = create ? MDB_CREATE : 0;
	uint64_t version = 0;
	MDB_txn *txn;
	int rc = mdb_txn_begin(gen->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, "meta", flags, &gen->meta);
	if (!rc)
		rc = mdb_dbi_open(txn, "blocks", flags, &gen->blocks);
	if (!rc && create)
		rc = gen_meta_put(gen, txn, "version", VERSION);
	if (!rc)
		rc = gen_meta_get(gen, txn, "version", &version);
	if (!rc && (version < VERSION_MIN || version > VERSION)) {
		log_error("store",
			  "%s has layout version %llu; this program knows versions up to %d only",
			  gen->path, (unsigned long long)version, VERSION);
		rc = EIO;
	}
	if (!rc)
		return mdb_txn_commit(txn); /* keeps the handles of the tables */
	mdb_txn_abort(txn);
	return rc;
}

/* Opens the generation and its tables, with the largest map that the address space allows. A
 * missing, empty or foreign file is logged. An LMDB code. */
static int open_gen(struct gen *gen, const struct gen_config *config)
{
	uint64_t map_bytes = lmdb_map_first(config->map_bytes);
	char file[GEN_PATH_MAX + 16];
	struct stat on_disk;

	/* LMDB would make an empty environment of an empty file. */
	snprintf(file, sizeof file, "%s/data.mdb", gen->path);
	if (!config->create && stat(file, &on_disk) && errno != ENOENT)
		return errno;
	if (!config->create && (access(file, F_OK) || on_disk.st_size == 0)) {
		log_error("store", "%s is missing or empty", file);
		return EIO;
	}
	bool no_sync = config->no_sync || gen->class == GEN_CACHE;
	int err = lmdb_dir_prepare(gen->path, READERS_MAX, &gen->read_only);

	if (err)
		return -err;
	int rc = open_env(gen, map_bytes, no_sync);

	while (rc == ENOMEM && (map_bytes = lmdb_map_next(map_bytes)))
		rc = open_env(gen, map_bytes, no_sync);
	if (!rc)
		rc = check_length(gen);
	if (!rc)
		rc = open_tables(gen, config->create);
	if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_NOTFOUND) {
		log_error("store", "%s is not a block store", gen->path);
		return EIO;
	}
	int dead = 0;

	if (!rc)
		mdb_reader_check(gen->env, &dead);
	if (dead)
		log_info("store", "cleared %d readers of dead processes", dead);
	return rc;
}

int gen_open(const char *path, enum gen_class class, unsigned number,
	     const struct gen_config *config, struct gen **out)
{
	struct gen *gen = xnew(struct gen);

	atomic_init(&gen->refs, 1);
	gen->class = class;
	gen->number = number;
	snprintf(gen->path, sizeof gen->path, "%s", path);
	pthread_mutex_init(&gen->writing, NULL);
	if (class == GEN_CACHE)
		gen->recent = xcalloc(GEN_RECENT_BITS / 32, sizeof *gen->recent);
	int err = gen_err(open_gen(gen, config));

	if (err) {
		gen_unref(gen);
		return err;
	}
	*out = gen;
	return 0;
}

struct gen *gen_ref(struct gen *gen)
{
	atomic_fetch_add(&gen->refs, 1);
	return gen;
}

void gen_unref(struct gen *gen)
{
	if (!gen || atomic_fetch_sub(&gen->refs, 1) > 1)
		return;
	if (gen->env)
		mdb_env_close(gen->env);
	pthread_mutex_destroy(&gen->writing);
	free((void *)gen->recent);
	free(gen);
}

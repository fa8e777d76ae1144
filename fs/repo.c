/* A repository and its parts: opened in order, and, when a part was lost or damaged, noted before
 * anything can be collected. Any thread; one process opens a repository once.
 *
 *   config.json    identity.key (PrivateKey protobuf, 0600)    keystore/
 *   store/         blocks (exchange/store)                     records/   small records (net/db/db)
 *   work/          shares and their changes (dag/tree.h)       control.sock   while a daemon runs
 */
#include "fs/repo.h"
#include "fs/repo_place.h"

#include "dag/dag.h"
#include "dag/tree.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDENTITY_FILE_MAX 4096
#define RECORDS_MAP_BYTES (64ull << 30)

char *repo_find(const char *given, char **why)
{
	const char *path = given && *given ? given : getenv("DAGFS_PATH");
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (path && *path)
		return xstrdup(path);
	if (data && *data)
		return xasprintf("%s/dagfs", data);
	if (home && *home)
		return xasprintf("%s/.local/share/dagfs", home);
	*why = xstrdup("no place for a repository: give --repo DIR or set DAGFS_PATH or HOME");
	return NULL;
}

char *repo_file(const char *path, const char *name)
{
	return xasprintf("%s/%s", path, name);
}

static int load_identity(struct repo *repo, char **why)
{
	char *file = repo_file(repo->path, "identity.key");
	uint8_t proto[IDENTITY_FILE_MAX];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, proto, sizeof(proto));
	int err = len < 0 ? -errno : 0;

	if (!err)
		repo->identity = identity_decode(bytes_of(proto, (size_t)len), &err);
	if (err == -ENOENT || len == 0)
		*why = xasprintf("there is no identity in %s, the repository is half made: `dagfs "
				 "init` completes it",
				 file);
	else if (err)
		*why = xasprintf("cannot read the identity in %s: %s", file, err_text(err));
	if (fd >= 0)
		close(fd);
	explicit_bzero(proto, sizeof(proto));
	free(file);
	return err;
}

/* Sets or removes a record that says something by being there. */
static int repo_mark(struct repo *repo, const char *table, struct bytes key, bool on)
{
	struct db_txn *txn;
	int err = db_begin(repo->db, true, &txn);

	if (err)
		return err;
	err = on ? db_put(txn, table, key, bytes_of("", 0)) : db_del(txn, table, key);
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

int repo_provide(struct repo *repo, const struct cid *cid, bool provide)
{
	return repo_mark(repo, "provide", cid_hash_bytes(cid), provide);
}

/* A record of the table "repo" tells that blocks were lost. */
static int note_losses(struct repo *repo, bool lost)
{
	return repo_mark(repo, "repo", bytes_str("lost"), lost);
}

void repo_mind_losses(struct repo *repo)
{
	if (!store_lost(repo->store, false))
		return;
	int err = note_losses(repo, true);

	if (!err)
		err = pin_want_all(repo->db);
	if (err) {
		log_error("repo", "pins may be incomplete, and that cannot be noted err=%s",
			  err_text(err));
		return;
	}
	store_lost(repo->store, true);
	log_warn("repo", "pinned blocks may be missing: a daemon fetches them again, see `dagfs "
			 "pin verify`");
}

bool repo_has_losses(struct repo *repo)
{
	struct db_txn *txn;
	struct bytes value;

	if (db_begin(repo->db, false, &txn))
		return false;
	bool lost = db_get(txn, "repo", bytes_str("lost"), &value) != -ENOENT;

	db_abort(txn);
	return lost;
}

void repo_healed(struct repo *repo)
{
	int err = note_losses(repo, false);

	if (err)
		log_warn("repo", "cannot note that nothing is missing err=%s", err_text(err));
}

/* ---- damaged records ---- */

struct restoring {
	struct repo *repo;
	repo_pin_damaged_fn *told;
	void *ctx;
	struct repo_damage *damage;
};

/* Other tables remember what can be learned again. */
static int repo_restore(void *ctx, struct db_txn *txn, const char *table, struct bytes key)
{
	struct restoring *restoring = ctx;
	struct cid cid;

	if (!strcmp(table, "pins")) {
		bool named = !cid_from_bytes(&cid, key);

		restoring->damage->pins += named;
		restoring->damage->lost += !named;
		restoring->told(restoring->ctx, named ? &cid : NULL);
		return named && txn ? pin_restore(txn, &cid) : 0;
	}
	restoring->damage->others++;
	/* These say something by being there, unless it is the key that is damaged. */
	if (txn && (!strcmp(table, "repo") ||
		    (!strcmp(table, "provide") && store_has(restoring->repo->store, key))))
		return db_put(txn, table, key, bytes_of("", 0));
	return 0;
}

int repo_check_records(struct repo *repo, struct repo_damage *damage, repo_pin_damaged_fn *told,
		       void *ctx)
{
	struct restoring restoring = { repo, told, ctx, damage };
	uint64_t count;

	*damage = (struct repo_damage){ 0 };
	return db_check(repo->db, repo_restore, &restoring, &count);
}

/* ---- damaged pages of records ---- */

static int open_records(struct repo *repo, char **why)
{
	char *records = repo_file(repo->path, "records");
	int err = db_open(records, RECORDS_MAP_BYTES, &repo->db);

	if (err == -EBUSY)
		*why = xasprintf("the records in %s are damaged or of an older version, and "
				 "another process has them open: "
				 "end it first (is it a daemon?)",
				 records);
	else if (err)
		*why = xasprintf("cannot open the records in %s: %s", records, err_text(err));
	free(records);
	return err;
}

int repo_check_pages(struct repo *repo)
{
	char *why = NULL;
	int err = db_check_pages(repo->db);

	if (err != -EIO)
		return err;
	db_close(repo->db);
	repo->db = NULL;
	err = open_records(repo, &why);
	if (err)
		log_error("repo", "%s", why);
	free(why);
	return err;
}

bool repo_salvaged(struct repo *repo, struct db_salvage *salvage)
{
	return db_salvaged(repo->db, salvage);
}

bool repo_shares_salvaged(struct repo *repo, struct db_salvage *salvage)
{
	struct db *work;

	return repo_work(repo, false, &work) == 0 && db_salvaged(work, salvage);
}

bool repo_salvage_lost(const struct db_salvage *salvage)
{
	return salvage->lost || !salvage->sure;
}

int repo_salvage_told(struct repo *repo, const struct db_salvage *salvage)
{
	int err = salvage->sure ? 0 : note_losses(repo, true);

	if (!err && !salvage->sure)
		err = pin_want_all(repo->db);
	if (err == -EIO)
		err = 0; /* a record is damaged: that is looked at next */
	if (!err)
		err = db_salvage_told(repo->db);
	return err == -EROFS ? 0 : err;
}

/* ---- opening ---- */

static bool is_missing(const char *path, const char *name)
{
	char *file = repo_file(path, name);
	struct stat st;
	bool is = stat(file, &st) ? errno == ENOENT : st.st_size == 0;

	free(file);
	return is;
}

static bool has_pins(struct repo *repo)
{
	struct db_txn *txn;

	if (db_begin(repo->db, false, &txn))
		return false;
	bool has = db_count(txn, "pins") > 0;

	db_abort(txn);
	return has;
}

/* Blocks without records: nobody knows what was pinned, and a collection would take all. */
static void mind_lost_records(struct repo *repo)
{
	int err = db_note_loss(repo->db);

	if (err)
		log_error("repo", "pins are lost, and that cannot be noted err=%s", err_text(err));
	else
		log_warn("repo", "the records are gone: nobody knows what was pinned, see `dagfs "
				 "repo verify`");
}

/* Records without blocks. */
static void mind_lost_store(struct repo *repo)
{
	int err = note_losses(repo, true);

	if (!err)
		err = pin_want_all(repo->db);
	if (err)
		log_error("repo", "pins are incomplete, and that cannot be noted err=%s",
			  err_text(err));
	else
		log_warn("repo", "the blocks are gone: a daemon fetches pinned ones again, see "
				 "`dagfs pin verify`");
}

/* Opens records and blocks. If one of them is gone, that is noted before anything could be
 * collected as garbage. */
static int open_parts(struct repo *repo, char **why)
{
	char *blocks = repo_file(repo->path, "store");
	struct store_config config = { 0 };
	int err;

	config.map_bytes = config_size(repo->config, "Datastore.MapSize");
	config.quota_bytes = config_size(repo->config, "Datastore.StorageMax");
	bool store_gone = access(blocks, F_OK) != 0,
	     records_gone = !store_gone && is_missing(repo->path, "records/data.mdb");

	err = open_records(repo, why);
	if (err)
		goto out;
	if (records_gone)
		mind_lost_records(repo);
	err = store_open_lmdb(blocks, &config, &repo->store);
	if (err)
		*why = xasprintf("cannot open the block store in %s: %s", blocks, err_text(err));
	else
		repo_mind_losses(repo);
	if (!err && store_gone && has_pins(repo))
		mind_lost_store(repo);
out:
	free(blocks);
	return err;
}

/* The lock is held. */
static int open_work(struct repo *repo)
{
	char *dir = repo_file(repo->path, "work");
	int err = db_open(dir, TREE_MAP_BYTES, &repo->work);

	free(dir);
	return err;
}

int repo_work(struct repo *repo, bool make, struct db **out)
{
	int err = 0;

	pthread_mutex_lock(&repo->work_lock);
	if (!repo->work && !make && is_missing(repo->path, "work/data.mdb"))
		err = -ENOENT;
	else if (!repo->work)
		err = open_work(repo);
	*out = repo->work;
	pthread_mutex_unlock(&repo->work_lock);
	return err;
}

int repo_check_work_pages(struct repo *repo)
{
	struct db *work;
	int err = repo_work(repo, false, &work);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = db_check_pages(work);
	if (err != -EIO)
		return err;
	pthread_mutex_lock(&repo->work_lock);
	db_close(repo->work);
	repo->work = NULL;
	err = open_work(repo);
	pthread_mutex_unlock(&repo->work_lock);
	return err;
}

int repo_sweep_sources(struct repo *repo, struct sweep_source sources[static REPO_SOURCES_MAX],
		       size_t *count)
{
	struct db *work;
	int err = repo_work(repo, false, &work);

	*count = 0;
	sources[(*count)++] = sweep_pins(repo->db);
	if (!err)
		sources[(*count)++] = sweep_shares(work);
	return err == -ENOENT ? 0 : err;
}

int repo_make_parts(const char *path, struct config *config, char **why)
{
	struct repo repo = { .path = (char *)path, .config = config };
	int err = open_parts(&repo, why);

	store_close(repo.store);
	db_close(repo.db);
	return err;
}

int repo_open(const char *path, struct repo **out, char **why)
{
	int err = repo_place_check(path, why);

	if (err)
		return err;
	struct repo *repo = xnew(struct repo);
	char *file = repo_file(path, "config.json"), *wrong = NULL;

	repo->path = xstrdup(path);
	pthread_mutex_init(&repo->work_lock, NULL);
	if (access(file, F_OK)) {
		err = errno == ENOENT ? -ENOENT : -errno;
		*why = errno == ENOENT
			       ? xasprintf("no repository at %s: run `dagfs init` first", path)
			       : xasprintf("cannot look into %s: %s", path, err_text(err));
	} else {
		err = config_load(file, &repo->config, why);
	}
	if (!err && (err = config_check(repo->config, &wrong)))
		*why = xasprintf("%s: %s", file, wrong);
	free(wrong);
	if (!err)
		err = load_identity(repo, why);
	if (!err)
		err = open_parts(repo, why);
	free(file);
	if (err) {
		repo_close(repo);
		return err;
	}
	*out = repo;
	return 0;
}

void repo_close(struct repo *repo)
{
	if (!repo)
		return;
	store_close(repo->store);
	db_close(repo->db);
	db_close(repo->work);
	pthread_mutex_destroy(&repo->work_lock);
	identity_free(repo->identity);
	config_free(repo->config);
	free(repo->path);
	free(repo);
}

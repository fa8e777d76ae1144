/* A repository on disk (config.json, identity.key, keystore/, store/, records/, work/,
 * control.sock) and its parts opened. One process opens one repository once; several processes may
 * share it. */
#ifndef FS_REPO_H
#define FS_REPO_H

#include "dag/dag.h"
#include "exchange/exchange.h"
#include "fs/config.h"
#include "net/db/db.h"

#include <pthread.h>

struct repo {
	char *path;
	struct config *config;
	struct identity *identity;
	struct db *db;	     /* records/: pins, providers, peers, names, journal */
	struct store *store; /* store/: blocks */
	pthread_mutex_t work_lock;
	struct db *work; /* work/: shares, and what changed in them; NULL: not opened yet */
};

/* dir given with --repo, else $DAGFS_PATH, else $XDG_DATA_HOME/dagfs, else ~/.local/share/dagfs.
 * malloc'd; NULL and a message in *why (malloc'd) when none can be told. */
char *repo_find(const char *given, char **why);
/* Makes a new repository, or completes one that is half made: without a configuration or an
 * identity, or where they are empty. profile: "default" or "test". -EEXIST when there is one; as
 * repo_place_check(); -ENOSPC before anything is made when the disk has too little room; -errno.
 * *why (malloc'd) tells. */
int repo_init(const char *path, const char *profile, char **why);
/* For repo_init(): opens and closes what is made at the first opening. 0 or -errno. */
int repo_make_parts(const char *path, struct config *config, char **why);
/* Opens everything. 0, -ENOENT (no repository: *why tells to run `dagfs init`), as
 * repo_place_check(), -errno. */
int repo_open(const char *path, struct repo **out, char **why);
void repo_close(struct repo *repo); /* waits for queued writes; NULL is ignored */
/* The records of shares and of their changes (dag/tree.h), opened when they are first asked for;
 * the repository closes them. make: they are made when there are none, else -ENOENT. Errors of
 * db_open(). Any thread. */
int repo_work(struct repo *repo, bool make, struct db **out);
/* Who names blocks that must stay: pins, and shares if there are any. As repo_work(). */
#define REPO_SOURCES_MAX 2
int repo_sweep_sources(struct repo *repo, struct sweep_source sources[static REPO_SOURCES_MAX],
		       size_t *count);
/* When kept blocks were lost (store_lost()): pins are to be completed again. Done by repo_open(),
 * and after store_check(). */
void repo_mind_losses(struct repo *repo);
/* Are pins incomplete for that reason? Until repo_healed(). Any process. */
bool repo_has_losses(struct repo *repo);
void repo_healed(struct repo *repo);
/* Roots to be announced: the table "provide" has this one, or not any more. Durable when it returns
 * 0; -ENOENT: it was not there; -errno. */
int repo_provide(struct repo *repo, const struct cid *cid, bool provide);
/* Looks at the pages of the small records, and when they are damaged opens them anew, of what is
 * whole (repo->db becomes another one, or NULL). 0; -EBUSY: damaged, and another process has them
 * open; -errno. */
int repo_check_pages(struct repo *repo);
/* The same of work/, of which no tree is open in this process. 0 also if there is none. */
int repo_check_work_pages(struct repo *repo);
/* The small records were saved from a damaged file, and this was not told (repo_salvage_told())
 * yet. */
bool repo_salvaged(struct repo *repo, struct db_salvage *salvage);
/* The same of work/; false if there is none. */
bool repo_shares_salvaged(struct repo *repo, struct db_salvage *salvage);
/* Some may have been lost, which nobody knows by name? Then what they pinned would be collected. */
bool repo_salvage_lost(const struct db_salvage *salvage);
/* Told to somebody. When pins may be back that were removed, all are to be completed again. 0 or
 * -errno. */
int repo_salvage_told(struct repo *repo, const struct db_salvage *salvage);
struct repo_damage {
	uint64_t pins;	 /* kept again, recursively; names and counts are lost */
	uint64_t lost;	 /* pins of which nothing can be told */
	uint64_t others; /* of what is learned again, or stood there as a mark and does so again */
};
/* Looks at every small record and repairs what is damaged (on a read-only file system: looks). told
 * for each pin, NULL when its CID is lost. 0 or -errno. */
typedef void repo_pin_damaged_fn(void *ctx, const struct cid *cid);
int repo_check_records(struct repo *repo, struct repo_damage *damage, repo_pin_damaged_fn *told,
		       void *ctx);
/* path/name, malloc'd. */
char *repo_file(const char *path, const char *name);

#endif

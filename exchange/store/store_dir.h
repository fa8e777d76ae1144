/* The store's directory, between the files that change it: store_dir.c, store_setup.c,
 * store_repair.c, store_boot.c. */
#ifndef EXCHANGE_STORE_DIR_H
#define EXCHANGE_STORE_DIR_H

#include "exchange/store/store_lmdb.h"

extern const char *const dir_class_names[GEN_CLASSES];

struct path {
	char text[GEN_PATH_MAX];
};

/* A generation's name. */
struct name {
	enum gen_class class;
	unsigned number;
};

/* PREFIX-NUMBER in the directory, or PREFIX when number is 0. */
struct path dir_path(const struct store_lmdb *lmdb, const char *prefix, unsigned number);
/* flock()s a file; a descriptor whose close() ends the lock. -ESTALE: the directory was moved away
 * since it was opened, and what lies there now is not touched (logged once); -errno. */
int dir_lock(struct store_lmdb *lmdb, const char *name, int how);
/* Names that were made or changed are durable. 0 or -errno. */
int dir_sync(const struct store_lmdb *lmdb);
/* The generations, newest first in each class; free(*out). */
int dir_names(const struct store_lmdb *lmdb, struct name **out, size_t *count);
/* Deletes a generation's files and its directory. */
void dir_delete(const char *dir);
/* Takes a generation out of the set, for good: it becomes dead-N, or where it cannot be renamed (a
 * lower layer of an overlay file system, a mount point) an empty dead-N says so of the files that
 * lie under its name. dir_changing() was called. 0 or -errno. */
int dir_bury(const struct store_lmdb *lmdb, const struct name *name);
/* Deletes what dir_bury() took out. */
void dir_delete_dead(const struct store_lmdb *lmdb, unsigned number);
/* Could the generation be deleted now? To be asked before anything is copied out of it. */
bool dir_may_go(const struct store_lmdb *lmdb, const struct gen *gen);
/* Renames a generation's directory, file by file where it cannot be renamed whole: a crash leaves
 * it at from, or data.mdb at to. 0 or -errno. */
int dir_move(const char *from, const char *to);
/* Tells all processes that the set of generations becomes another one; the file lock (exclusive) is
 * held. Before the change: of a process that is killed in between, one that is told too late is
 * never told. */
void dir_changing(struct store_lmdb *lmdb);
/* Takes in the set as it is on disk. The locks on lists and of the file are held. */
int dir_reload(struct store_lmdb *lmdb);

/* ---- store_repair.c ---- */

/* For the opening, the file lock is held and no list is loaded: sets aside what is damaged. How
 * many generations, or -errno. */
int repair_look(struct store_lmdb *lmdb);
/* Was a process ended by the store's files? */
bool repair_suspected(const struct store_lmdb *lmdb);
/* Brings blocks that lie whole in what was set aside to the newest generation. For the end of the
 * opening. */
void repair_salvage(struct store_lmdb *lmdb, uint64_t *saved);
int lmdb_check(struct store *store, uint64_t *saved);
bool lmdb_lost(struct store *store, bool noted);

#endif

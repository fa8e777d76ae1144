/* What LMDB leaves to its callers before they open an environment. Any thread. */
#ifndef NET_DB_LMDB_DIR_H
#define NET_DB_LMDB_DIR_H

#include <stdbool.h>

/* LMDB maps its table of readers (lock.mdb in dir) without allocating it: on a full disk the first
 * look at a new page of it would end the process with SIGBUS. It is allocated here, for so many
 * readers. To be called before this process opens the environment: closing a descriptor drops the
 * locks of the file. *read_only: the file system is, and nothing was done; then the environment
 * opens with MDB_RDONLY alone. 0, -ENOSPC, -errno. */
int lmdb_dir_prepare(const char *dir, unsigned readers, bool *read_only);
/* Keeps all other processes, of any version, from opening the environment until the descriptor is
 * closed; they wait. Returns the descriptor; -EBUSY: one has it open; -errno. */
int lmdb_dir_lock(const char *dir);
/* Makes LMDB reset lock.mdb at the next opening. Called with that lock, before another data.mdb
 * takes the place of the present one. Processes that wait to open may fail with MDB_INVALID once. 0
 * or -errno. */
int lmdb_dir_forget(int lock);

/* Waits until changes of names in dir are on disk. 0 or -errno. Any thread. */
int lmdb_dir_sync(const char *dir);

#endif

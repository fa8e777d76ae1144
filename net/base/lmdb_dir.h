/* What LMDB leaves to its callers before they open an environment. Any thread. */
#ifndef NET_BASE_LMDB_DIR_H
#define NET_BASE_LMDB_DIR_H

#include <stdbool.h>

/* LMDB maps its table of readers (lock.mdb in dir) without allocating it: on a full disk the first look at a new page
 * of it would end the process with SIGBUS. It is allocated here, for so many readers. To be called before this process
 * opens the environment: closing a descriptor drops the locks of the file. *read_only: the file system is, and nothing
 * was done; then the environment opens with MDB_RDONLY alone. 0, -ENOSPC, -errno. */
int lmdb_dir_prepare(const char *dir, unsigned readers, bool *read_only);

#endif

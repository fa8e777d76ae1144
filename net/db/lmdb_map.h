/* The map of an LMDB environment: how much address space it takes, and moving it when it becomes larger. Address space may be
 * limited (RLIMIT_AS, containers): then maps begin small, and grow. Any thread. */
#ifndef NET_DB_LMDB_MAP_H
#define NET_DB_LMDB_MAP_H

#include <lmdb.h>
#include <stdatomic.h>
#include <stdint.h>

/* Zeroed is valid: nobody holds it. No pthread_rwlock: a thread may hold many maps, in any order, and some twice, and nobody who
 * waits for others keeps readers out. */
struct lmdb_map {
	_Atomic int32_t holders;
};

/* The map stays where it is until it is let go: around every transaction. */
void lmdb_map_hold(struct lmdb_map *map);
void lmdb_map_release(struct lmdb_map *map);

/* How many bytes to open an environment with: wanted (0: as the file says), or a small part of the address space that
 * this process may have. */
uint64_t lmdb_map_first(uint64_t wanted);
/* After ENOMEM: fewer bytes than tried; 0 when there is nothing to be tried any more. LMDB takes what the file needs at least. */
uint64_t lmdb_map_next(uint64_t tried);

/* Makes env's map so large, or as large as its file needs when that is more; with 0 as another process made it. Waits so long for
 * those who hold it; the caller does not. -ETIMEDOUT, -ENOMEM (the map is as it was), -errno. */
int lmdb_map_move(struct lmdb_map *map, MDB_env *env, uint64_t bytes, unsigned wait_ms);

#endif

/* The map of an LMDB environment: how much address space it takes, and moving it when it becomes
 * larger. Address space may be limited (RLIMIT_AS, containers): then maps begin small, and grow.
 * Any thread. */
#ifndef NET_DB_LMDB_MAP_H
#define NET_DB_LMDB_MAP_H

#include <lmdb.h>
#include <stdatomic.h>
#include <stdint.h>

/* Zeroed is valid and not held. It is no pthread_rwlock, because a thread may hold many maps in any
 * order, and one twice, and a waiting mover must not keep readers out. */
struct lmdb_map {
	_Atomic int32_t holders;
};

/* Keeps the map where it is until it is released. Around every transaction. */
void lmdb_map_hold(struct lmdb_map *map);
void lmdb_map_release(struct lmdb_map *map);

/* The map size to open an environment with: wanted (0: as the file says), or less if the address
 * space of this process is limited. */
uint64_t lmdb_map_first(uint64_t wanted);
/* The size to try after ENOMEM; 0: there is none left. LMDB takes at least what the file needs. */
uint64_t lmdb_map_next(uint64_t tried);

/* Makes env's map as large as bytes, or as the file needs; bytes 0: as another process made it.
 * Waits up to wait_ms until nobody holds the map; the caller must not hold it. -ETIMEDOUT, -ENOMEM
 * (the map is as before), -errno. */
int lmdb_map_move(struct lmdb_map *map, MDB_env *env, uint64_t bytes, unsigned wait_ms);

#endif

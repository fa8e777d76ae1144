/* LMDB gives up its map before it asks for a larger one, and an environment without a map is of
 * no use: so we ask first whether there is room. Any thread. */
#include "net/db/lmdb_map.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define MAP_MOVES (-1)
#define BYTES_LEAST ((uint64_t)8 << 20)
#define BYTES_SHORT ((uint64_t)1 << 34) /* tried first when what the file says is too much */
#define SHARE_PART 16 /* of a limited address space, for one environment at its beginning */
#define SPARE_BYTES ((uint64_t)8 << 20) /* left to others when a map grows */

static void map_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

void lmdb_map_hold(struct lmdb_map *map)
{
	int32_t holders = atomic_load_explicit(&map->holders, memory_order_relaxed);

	for (;;)
		if (holders == MAP_MOVES) {
			map_nap(); /* rare, and soon done */
			holders = atomic_load_explicit(&map->holders, memory_order_relaxed);
		} else if (atomic_compare_exchange_weak_explicit(&map->holders, &holders,
								 holders + 1, memory_order_acquire,
								 memory_order_relaxed)) {
			return;
		}
}

void lmdb_map_release(struct lmdb_map *map)
{
	atomic_fetch_sub_explicit(&map->holders, 1, memory_order_release);
}

/* 0: no limit. */
static uint64_t address_space(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY
		       ? 0
		       : (uint64_t)limit.rlim_cur;
}

uint64_t lmdb_map_first(uint64_t wanted)
{
	uint64_t most = address_space() / SHARE_PART;

	if (!most)
		return wanted;
	most = most > BYTES_LEAST ? most : BYTES_LEAST;
	return wanted && wanted < most ? wanted : most;
}

uint64_t lmdb_map_next(uint64_t tried)
{
	if (!tried)
		return BYTES_SHORT;
	return tried / 4 >= BYTES_LEAST ? tried / 4 : tried > BYTES_LEAST ? BYTES_LEAST : 0;
}

static bool has_address_space(uint64_t more)
{
	void *at = mmap(NULL, more + SPARE_BYTES, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return false;
	munmap(at, more + SPARE_BYTES);
	return true;
}

/* An LMDB code. Nobody holds the map. */
static int map_move(MDB_env *env, uint64_t bytes)
{
	MDB_envinfo info;
	MDB_stat stat;
	int rc = mdb_env_info(env, &info);

	if (!rc)
		rc = mdb_env_stat(env, &stat);
	if (rc)
		return rc;
	uint64_t used = (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize;

	if (!bytes && !address_space())
		return mdb_env_set_mapsize(env, 0);
	if (!bytes)
		bytes = used + BYTES_LEAST;
	bytes = bytes > used ? bytes : used;
	if (bytes > info.me_mapsize && !has_address_space(bytes - info.me_mapsize))
		return ENOMEM;
	return mdb_env_set_mapsize(env, bytes);
}

int lmdb_map_move(struct lmdb_map *map, MDB_env *env, uint64_t bytes, unsigned wait_ms)
{
	int32_t none = 0;

	/* The caller may wait for itself, reading while it writes: better an error. */
	for (unsigned waited = 0; !atomic_compare_exchange_strong(&map->holders, &none, MAP_MOVES);
	     waited++) {
		if (waited == wait_ms)
			return -ETIMEDOUT;
		map_nap();
		none = 0;
	}
	int rc = map_move(env, bytes);

	atomic_store(&map->holders, 0);
	return rc > 0 ? -rc : rc ? -EIO : 0;
}

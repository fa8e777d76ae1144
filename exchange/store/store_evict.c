/* Keeps the cache within its quota: removes the oldest generation of it, after copying what was
 * read lately into a newer one. A thread of its own (the janitor), woken through shared memory. */
#include "exchange/store/store_dir.h"

#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <errno.h>
#include <unistd.h>

struct eviction {
	struct store_lmdb *lmdb;
	uint64_t budget; /* bytes that may stay */
};

bool janitor_needed(struct store_lmdb *lmdb)
{
	uint64_t quota = lmdb->config.quota_bytes;
	struct gens *gens;

	if (!quota || store_dir_gens(lmdb, &gens))
		return false;
	bool needed = gens_used(gens, GEN_CACHE) > quota;

	gens_unref(gens);
	return needed;
}

/* Says 1 (copy it) for a block that was read since it was written there, as far as the budget
 * goes. */
static int was_read(void *ctx, struct gen *gen, struct bytes multihash, uint64_t len)
{
	struct eviction *eviction = ctx;

	if (atomic_load(&eviction->lmdb->closing))
		return -ECANCELED;
	if (len > eviction->budget || !gen_touched(gen, multihash) ||
	    rewrite_lies_in(eviction->lmdb, GEN_KEPT, 0, multihash))
		return 0;
	eviction->budget -= len;
	return 1;
}

static int evict_evict(struct store_lmdb *lmdb, struct gens *gens)
{
	struct gen *oldest = gens->at[gens->count - 1];
	struct eviction eviction = { .lmdb = lmdb, .budget = gen_used(oldest) / 2 };
	uint64_t most = lmdb->config.quota_bytes + 2 * store_dir_limit(lmdb, gens, GEN_CACHE);
	int err = dir_may_go(lmdb, oldest) ? 0 : -EACCES;

	if (!err && oldest == gens_newest(gens, GEN_CACHE))
		err = store_dir_roll(lmdb, GEN_CACHE, oldest);
	/* When more comes in than we can copy, nothing is copied. */
	if (!err && gens_used(gens, GEN_CACHE) < most)
		err = rewrite_copy(lmdb, oldest, was_read, &eviction);
	if (err && err != -ENOSPC)
		return err;
	return store_dir_remove(lmdb, oldest);
}

/* One generation. -EALREADY: nothing to do, or somebody else does it. */
static int evict_oldest(struct store_lmdb *lmdb)
{
	int fd = store_dir_janitor_lock(lmdb, false), err = -EALREADY;
	struct gens *gens;

	if (fd < 0)
		return -EALREADY;
	if (janitor_needed(lmdb) && !store_dir_gens(lmdb, &gens)) {
		if (gens->count > gens->kept)
			err = evict_evict(lmdb, gens);
		gens_unref(gens);
	}
	close(fd);
	if (err == -EALREADY || err == -ECANCELED)
		return err;
	/* Every batch that is cached tries it again. */
	if (err && err != atomic_exchange(&lmdb->evict_err, err))
		log_error("store", "cannot evict: %s", err_text(err));
	else if (!err)
		atomic_store(&lmdb->evict_err, 0);
	return err;
}

bool evict_for_room(struct store_lmdb *lmdb)
{
	int fd = store_dir_janitor_lock(lmdb, false), err = -ENOENT;
	struct gens *gens;

	if (fd < 0)
		return false;
	if (!store_dir_gens(lmdb, &gens)) {
		struct gen *oldest = gens->count > gens->kept ? gens->at[gens->count - 1] : NULL;

		/* Closed, so that nobody writes into what is gone. */
		err = oldest ? gen_close_writing(oldest) : -ENOENT;
		if (!err || err == -ENOSPC)
			err = store_dir_remove(lmdb, oldest);
		gens_unref(gens);
	}
	close(fd);
	return !err;
}

static void *run_janitor(void *ctx)
{
	struct store_lmdb *lmdb = ctx;

	for (;;) {
		uint32_t bell = atomic_load(&lmdb->shared->bell);
		struct gens *gens;

		if (atomic_load(&lmdb->closing))
			return NULL;
		/* Takes in what others deleted: until then our files keep its space. */
		if (!store_dir_gens(lmdb, &gens))
			gens_unref(gens);
		while (janitor_needed(lmdb) && !evict_oldest(lmdb))
			;
		store_dir_wait(lmdb, bell);
	}
}

int janitor_start(struct store_lmdb *lmdb)
{
	return thread_start(&lmdb->janitor, run_janitor, lmdb);
}

void janitor_stop(struct store_lmdb *lmdb)
{
	if (lmdb->read_only)
		return;
	atomic_store(&lmdb->closing, true);
	store_dir_ring(lmdb);
	pthread_join(lmdb->janitor, NULL);
}

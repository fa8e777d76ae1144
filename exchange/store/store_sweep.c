/* The store's part of garbage collection: removes what is not wanted from all generations that
 * existed when the sweep began. A generation with much garbage is copied without it and removed;
 * if the disk has no room for a copy, garbage is deleted in place. The calling thread. */
#include "exchange/store/store_dir.h"
#include "exchange/store/store_lease.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES (1u << 20)
#define GENS_FEW 8  /* more of a class: small ones are put together */
#define COPY_PART 8 /* a copy may take this part more */
#define COPY_SPARE ((uint64_t)8 << 20)

static void reserve_path(const struct store_lmdb *lmdb, char out[static GEN_PATH_MAX])
{
	snprintf(out, GEN_PATH_MAX, "%s/reserve", lmdb->path);
}

void sweep_make_reserve(struct store_lmdb *lmdb)
{
	char path[GEN_PATH_MAX];

	reserve_path(lmdb, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	if (fallocate(fd, 0, 0, RESERVE_BYTES))
		unlink(path);
	close(fd);
}

/* False: there is none. */
static bool use_reserve(const struct store_lmdb *lmdb)
{
	char path[GEN_PATH_MAX];

	reserve_path(lmdb, path);
	return !unlink(path);
}

/* The newest generation of a class is closed, unless it is empty; those from the floor on are not
 * swept. */
static int set_floor(struct store_lmdb *lmdb, enum gen_class class)
{
	struct gens *gens;
	struct gen_stat stat = { 0 };
	int err = store_dir_gens(lmdb, &gens);

	if (err)
		return err;
	struct gen *newest = gens_newest(gens, class);

	if (newest)
		err = gen_stat(newest, &stat);
	if (!err && stat.blocks)
		err = store_dir_roll(lmdb, class, newest);
	gens_unref(gens);
	if (!err)
		err = store_dir_gens(lmdb, &gens);
	if (err)
		return err;
	newest = gens_newest(gens, class);
	atomic_store(&lmdb->shared->floors[class], newest ? newest->number : 0);
	gens_unref(gens);
	return 0;
}

static int set_floors(struct store_lmdb *lmdb)
{
	int err = 0;

	for (unsigned class = 0; class < GEN_CLASSES && !err; class ++)
		err = set_floor(lmdb, class);
	return err;
}

int lmdb_sweep_begin(struct store *store)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	int fd = lmdb->read_only ? -EROFS : store_dir_janitor_lock(lmdb, true), err = 0;

	if (fd < 0)
		return fd;
	if (atomic_load(&lmdb->shared->epoch) % 2) /* the sweeping process died */
		atomic_fetch_add(&lmdb->shared->epoch, 1);
	err = set_floors(lmdb);
	if (err == -ENOSPC && use_reserve(lmdb))
		err = set_floors(lmdb);
	if (err) {
		close(fd);
		return err;
	}
	atomic_fetch_add(&lmdb->shared->epoch, 1);
	/* What is put from now on is written anew; so the leases as they are now name all that is
	 * not. */
	struct lease_set leased = { 0 };

	err = lease_set_gather(lmdb, &leased);
	if (err) {
		lease_set_release(&leased);
		atomic_fetch_add(&lmdb->shared->epoch, 1);
		close(fd);
		return err;
	}
	lmdb->sweep_fd = fd;
	lmdb->leased = xnew(struct lease_set);
	*lmdb->leased = leased;
	return 0;
}

void lmdb_sweep_end(struct store *store)
{
	struct store_lmdb *lmdb = lmdb_of(store);
	int fd = lmdb->sweep_fd;

	lease_set_release(lmdb->leased);
	free(lmdb->leased);
	lmdb->leased = NULL;
	sweep_make_reserve(lmdb);
	atomic_fetch_add(&lmdb->shared->epoch, 1);
	close(fd);
	store_dir_ring(lmdb);
}

struct sweep {
	struct store_lmdb *lmdb;
	const struct store_sweep_fns *fns;
	void *ctx;
	uint64_t *removed, *freed;
};

/* 1: to be copied. *wanted: the block stays, here or elsewhere. */
static int is_live(struct sweep *sweep, const struct gen *gen, struct bytes multihash, bool *wanted)
{
	int keep = sweep->fns->keep(sweep->ctx, multihash);

	if (!keep)
		keep = lease_set_has(sweep->lmdb->leased, multihash);
	*wanted = keep > 0;
	if (keep > 0 && gen->class == GEN_CACHE &&
	    rewrite_lies_in(sweep->lmdb, GEN_KEPT, 0, multihash))
		return 0;
	return keep;
}

struct weight {
	struct sweep *sweep;
	uint64_t live_bytes, garbage;
};

static int weigh(void *ctx, struct gen *gen, struct bytes multihash, uint64_t len)
{
	struct weight *weight = ctx;
	bool wanted;
	int live = is_live(weight->sweep, gen, multihash, &wanted);

	if (live < 0)
		return live;
	weight->live_bytes += live ? len : 0;
	weight->garbage += !live;
	return 0;
}

/* Copies take a little more than the blocks. */
static uint64_t needed_to_copy(uint64_t bytes)
{
	return bytes + bytes / COPY_PART + COPY_SPARE;
}

/* All there can be when it cannot be told. */
static uint64_t room_on_disk(const struct gen *gen)
{
	struct statvfs disk;

	return statvfs(gen->path, &disk) ? UINT64_MAX : (uint64_t)disk.f_bavail * disk.f_frsize;
}

static bool lies_in_new(struct sweep *sweep, struct bytes multihash)
{
	for (unsigned class = 0; class < GEN_CLASSES; class ++) {
		unsigned floor = atomic_load(&sweep->lmdb->shared->floors[class]);

		if (floor && rewrite_lies_in(sweep->lmdb, class, floor, multihash))
			return true;
	}
	return false;
}

static int sort_out(void *ctx, struct gen *gen, struct bytes multihash, uint64_t len)
{
	struct sweep *sweep = ctx;
	bool wanted;
	int live = is_live(sweep, gen, multihash, &wanted);

	if (live)
		return live;
	*sweep->freed += len;
	if (!wanted && !lies_in_new(sweep, multihash)) {
		*sweep->removed += 1;
		if (sweep->fns->gone)
			sweep->fns->gone(sweep->ctx, multihash, len);
	}
	return 0;
}

/* No room to copy what stays: garbage is deleted where it is, and its pages become holes. When that
 * finds no room either it goes on with what it has freed until then. */
static int prune(struct sweep *sweep, struct gen *gen, uint64_t live_bytes)
{
	uint64_t freed = 0, more = 0;
	int punched = 0, err = rewrite_prune(gen, sort_out, sweep);

	if (err == -ENOSPC && use_reserve(sweep->lmdb))
		err = rewrite_prune(gen, sort_out, sweep);
	for (;;) {
		punched = gen_punch(gen, &more);
		freed += more;
		if (err != -ENOSPC || !more)
			break;
		err = rewrite_prune(gen, sort_out, sweep);
	}
	if (!err && punched)
		log_warn("store",
			 "what was removed from %s has room for new blocks, but is not given back "
			 "to the disk (%s): copying what "
			 "stays would take %llu MiB more than are free",
			 gen->path, err_text(punched),
			 (unsigned long long)((needed_to_copy(live_bytes) - room_on_disk(gen)) >>
					      20) +
				 1);
	else if (!err)
		log_info("store", "%s has holes of %llu bytes now", gen->path,
			 (unsigned long long)freed);
	return err;
}

static int sweep_gen(struct sweep *sweep, struct gen *gen, bool small)
{
	struct weight weight = { .sweep = sweep };
	int err = rewrite_look(gen, weigh, &weight);

	if (err || (!weight.garbage && !small))
		return err;
	if (!dir_may_go(sweep->lmdb, gen)) {
		log_error("store",
			  "%s cannot be deleted, so nothing is copied out of it: its rights do not "
			  "allow it",
			  gen->path);
		return -EACCES;
	}
	if (room_on_disk(gen) <= needed_to_copy(weight.live_bytes)) {
		return weight.garbage ? prune(sweep, gen, weight.live_bytes) : 0;
	}
	err = rewrite_copy(sweep->lmdb, gen, sort_out, sweep);
	return err ? err : store_dir_remove(sweep->lmdb, gen);
}

static int sweep_class(struct sweep *sweep, const struct gens *gens, enum gen_class class)
{
	struct store_lmdb *lmdb = sweep->lmdb;
	unsigned floor = atomic_load(&lmdb->shared->floors[class]);
	uint64_t little = store_dir_limit(lmdb, gens, class) / GENS_FEW;
	size_t count = class == GEN_KEPT ? gens->kept : gens->count - gens->kept;
	int full = 0;

	for (size_t i = gens->count; i > 0; i--) {
		struct gen *gen = gens->at[i - 1];

		if (gen->class != class || gen->number >= floor)
			continue;
		int err = sweep_gen(sweep, gen, count > GENS_FEW && gen_used(gen) < little);

		if (err == -ENOSPC) /* others may need no room */
			full = err;
		else if (err)
			return err;
	}
	return full;
}

int lmdb_sweep(struct store *store, const struct store_sweep_fns *fns, void *ctx, uint64_t *removed,
	       uint64_t *freed)
{
	struct sweep sweep = {
		.lmdb = lmdb_of(store), .fns = fns, .ctx = ctx, .removed = removed, .freed = freed
	};
	struct gens *gens;

	/* What was put again since the beginning is found where it is written. */
	queue_sync(sweep.lmdb->queue);
	int err = store_dir_gens(sweep.lmdb, &gens);

	if (err)
		return err;
	/* What is cached makes room for copying what is kept. */
	int full = sweep_class(&sweep, gens, GEN_CACHE);

	err = full && full != -ENOSPC ? full : sweep_class(&sweep, gens, GEN_KEPT);
	gens_unref(gens);
	queue_retry(sweep.lmdb->queue);
	return err ? err : full;
}

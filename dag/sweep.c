/* Garbage collection: marks all blocks that the roots reach, then has the store remove the
 * others. Marks are 128-bit fingerprints in an open hash table, 19 to 29 bytes a block, so that
 * many millions of blocks fit into memory. The calling thread. */
#include "dag/sweep.h"

#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/random.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define CAP_MIN 1024

/* Fingerprints of blocks: 128 bits that nobody can aim at, as the seed is random. Open addressing;
 * all zero is free. */
struct marks {
	XXH128_hash_t *at;
	size_t count, cap;
	uint64_t seed;
};

struct sweep {
	struct store *store;
	struct wait *wait;
	sweep_gone_fn *gone;
	void *ctx;
	struct marks marks;
	struct marks only; /* if there are any: no other block goes */
	struct buf stack;  /* CIDs to look at, each before its length */
};

static bool is_free(const XXH128_hash_t *mark)
{
	return !mark->low64 && !mark->high64;
}

static XXH128_hash_t *slot_of(const struct marks *marks, XXH128_hash_t mark)
{
	size_t i = (size_t)((unsigned __int128)mark.high64 * marks->cap >> 64);

	while (!is_free(&marks->at[i]) && !XXH128_isEqual(marks->at[i], mark))
		i = i + 1 == marks->cap ? 0 : i + 1;
	return &marks->at[i];
}

/* By a half, at a load of 5/6: between 19 and 29 bytes each. */
static void sweep_grow(struct marks *marks)
{
	struct marks bigger = { .seed = marks->seed, .count = marks->count };

	bigger.cap = marks->cap ? marks->cap + marks->cap / 2 : CAP_MIN;
	bigger.at = xcalloc(bigger.cap, sizeof *bigger.at);
	for (size_t i = 0; i < marks->cap; i++)
		if (!is_free(&marks->at[i]))
			*slot_of(&bigger, marks->at[i]) = marks->at[i];
	free(marks->at);
	*marks = bigger;
}

/* codec 0: the block is to stay; else: its links as that codec were followed. */
static XXH128_hash_t mark_of(const struct marks *marks, struct bytes multihash, uint64_t codec)
{
	XXH128_hash_t mark = XXH3_128bits_withSeed(multihash.at, multihash.len,
						   marks->seed ^ codec * 0x9e3779b97f4a7c15u);

	mark.low64 |= 1; /* never free */
	return mark;
}

/* False when it was there. */
static bool marks_add(struct marks *marks, struct bytes multihash, uint64_t codec)
{
	XXH128_hash_t mark = mark_of(marks, multihash, codec), *slot;

	if (marks->count >= marks->cap / 6 * 5)
		sweep_grow(marks);
	slot = slot_of(marks, mark);
	if (!is_free(slot))
		return false;
	*slot = mark;
	marks->count++;
	return true;
}

static bool marks_has(const struct marks *marks, struct bytes multihash)
{
	return marks->cap && !is_free(slot_of(marks, mark_of(marks, multihash, 0)));
}

/* ---- marking ---- */

static int sweep_push(void *ctx, const struct cid *cid)
{
	struct sweep *sweep = ctx;

	if (!cid_is_identity(cid))
		marks_add(&sweep->marks, cid_hash_bytes(cid), 0);
	/* The same bytes have links as dag-pb and none as raw. */
	if (cid->codec == CODEC_RAW ||
	    (!cid_is_identity(cid) && !marks_add(&sweep->marks, cid_hash_bytes(cid), cid->codec)))
		return 0;
	if (sweep->stack.len > SWEEP_STACK_MAX)
		return -EFBIG;
	buf_add(&sweep->stack, cid_bytes(cid));
	buf_add_u8(&sweep->stack, (uint8_t)cid_bytes(cid).len);
	return 0;
}

static int sweep_pop(struct sweep *sweep, struct cid *cid)
{
	struct buf *stack = &sweep->stack;
	size_t len = stack->at[stack->len - 1];

	stack->len -= len + 1;
	return cid_from_bytes(cid, bytes_of(stack->at + stack->len, len));
}

static int add_root(void *ctx, const struct cid *cid, bool recursive)
{
	struct sweep *sweep = ctx;

	if (recursive)
		return sweep_push(sweep, cid);
	marks_add(&sweep->marks, cid_hash_bytes(cid), 0);
	return 0;
}

/* What is not stored (a pin on its way) has nothing below it to keep; nor has what is no node. */
static int look_below(struct sweep *sweep, const struct cid *cid)
{
	struct block *block;
	int err = store_get(sweep->store, cid, &block);

	if (err == -ENOENT)
		return 0;
	if (err)
		return err;
	err = dag_links(block->data, cid->codec, sweep_push, sweep);
	block_unref(block);
	return err == -EBADMSG || err == -ENOTSUP ? 0 : err;
}

static int mark_all(struct sweep *sweep, const struct sweep_source *sources, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++)
		err = sources[i].each(sources[i].ctx, add_root, sweep);
	while (!err && sweep->stack.len) {
		struct cid cid;

		err = wait_check(sweep->wait) == -EINTR ? -EINTR : sweep_pop(sweep, &cid);
		if (!err)
			err = look_below(sweep, &cid);
	}
	return err;
}

static int sweep_keep(void *ctx, struct bytes multihash)
{
	struct sweep *sweep = ctx;

	if (wait_check(sweep->wait) == -EINTR)
		return -EINTR;
	if (sweep->only.count && !marks_has(&sweep->only, multihash))
		return 1;
	return marks_has(&sweep->marks, multihash);
}

static void gone(void *ctx, struct bytes multihash, size_t len)
{
	struct sweep *sweep = ctx;

	if (sweep->gone)
		sweep->gone(sweep->ctx, multihash, len);
}

/* ---- pins ---- */

/* A process that was killed while it committed may have written its pins, which LMDB shows to
 * readers only when the next writer has taken over its lock. They would be listed again after their
 * blocks are gone. */
static int see_all_commits(struct db *db)
{
	struct db_txn *txn;
	int err = db_begin(db, true, &txn);

	if (!err)
		db_abort(txn);
	return err;
}

struct telling {
	sweep_root_fn *root;
	void *sweep;
};

static int tell_pin(void *ctx, const struct pin *pin)
{
	const struct telling *telling = ctx;

	return telling->root(telling->sweep, &pin->cid, pin->kind == PIN_RECURSIVE);
}

static int each_pin(void *ctx, sweep_root_fn *root, void *sweep)
{
	struct telling telling = { .root = root, .sweep = sweep };
	int err = see_all_commits(ctx);

	return err ? err : pin_each(ctx, tell_pin, &telling);
}

struct sweep_source sweep_pins(struct db *db)
{
	return (struct sweep_source){ .each = each_pin, .ctx = db };
}

/* ---- the whole ---- */

static int sweep_marked(struct sweep *sweep, const struct sweep_source *sources, size_t count,
			uint64_t *removed, uint64_t *freed)
{
	static const struct store_sweep_fns store_fns = { .keep = sweep_keep, .gone = gone };
	int err = store_sweep_begin(sweep->store);

	*removed = *freed = 0;
	if (err)
		return err;
	struct random random = random_system();

	sweep->marks.seed = random_u64(&random);
	/* After the beginning: the blocks of a root that is not listed yet are held by a batch, or
	 * stored anew. */
	err = mark_all(sweep, sources, count);
	if (!err)
		err = store_sweep(sweep->store, &store_fns, sweep, removed, freed);
	store_sweep_end(sweep->store);
	free(sweep->marks.at);
	buf_release(&sweep->stack);
	return err;
}

int dag_sweep(struct store *store, const struct sweep_source *sources, size_t count,
	      struct wait *wait, sweep_gone_fn *on_gone, void *ctx, uint64_t *removed,
	      uint64_t *freed)
{
	struct sweep sweep = { .store = store, .wait = wait, .gone = on_gone, .ctx = ctx };

	return sweep_marked(&sweep, sources, count, removed, freed);
}

int dag_sweep_only(struct store *store, const struct sweep_source *sources, size_t count,
		   const struct cid *cids, size_t cid_count, struct wait *wait,
		   sweep_gone_fn *on_gone, void *ctx)
{
	struct sweep sweep = { .store = store, .wait = wait, .gone = on_gone, .ctx = ctx };
	uint64_t removed, freed;
	int err;

	for (size_t i = 0; i < cid_count; i++)
		if (!cid_is_identity(&cids[i]))
			marks_add(&sweep.only, cid_hash_bytes(&cids[i]), 0);
	if (!sweep.only.count)
		return 0;
	err = sweep_marked(&sweep, sources, count, &removed, &freed);
	free(sweep.only.at);
	return err;
}

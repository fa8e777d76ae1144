/* Goes through all blocks of a generation, to copy the live ones to a newer generation or to
 * delete the others in place. Keys are read in pieces, each in a transaction of its own, so that
 * no reader holds old pages for long. The sweeping or evicting thread. */
#include "exchange/store/store_lmdb.h"

#include "net/wire/multihash.h"

#include <errno.h>

#define KEYS_MAX 4096		     /* looked at in one snapshot */
#define COPY_BYTES ((size_t)8 << 20) /* copied in one transaction: writers wait for it */

_Static_assert(MULTIHASH_MAX <= UINT8_MAX, "a key's length is one byte here");

/* Some keys of a generation, in order. */
struct keys {
	struct buf text; /* each: one byte length, multihash, u64 LE size of the block */
	struct buf next; /* the key to go on with; empty before the first and after the last */
};

/* Reads the next keys of a generation with the sizes of their blocks. */
static int keys_read(struct gen *gen, struct keys *keys)
{
	MDB_val key = val_of(buf_bytes(&keys->next)), record;
	MDB_cursor *cursor = NULL;
	MDB_txn *txn = NULL;
	int err = gen_read_start(gen, &txn);

	if (err)
		return err;
	buf_clear(&keys->text);
	int rc = mdb_cursor_open(txn, gen->blocks, &cursor);

	if (!rc)
		rc = mdb_cursor_get(cursor, &key, &record,
				    keys->next.len ? MDB_SET_RANGE : MDB_FIRST);
	for (size_t i = 0; !rc && i < KEYS_MAX; i++) {
		if (key.mv_size <= MULTIHASH_MAX) {
			buf_add_u8(&keys->text, (uint8_t)key.mv_size);
			buf_add(&keys->text, bytes_of_val(&key));
			buf_add_le64(&keys->text, gen_data_len(&record));
		}
		rc = mdb_cursor_get(cursor, &key, &record, MDB_NEXT);
	}
	buf_clear(&keys->next);
	if (!rc)
		buf_add(&keys->next, bytes_of_val(&key));
	if (cursor)
		mdb_cursor_close(cursor);
	gen_read_stop(gen, txn);
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : gen_err(rc);
}

static struct bytes next_key(struct cursor *c, uint64_t *len)
{
	struct bytes multihash = cursor_take(c, cursor_u8(c));

	*len = cursor_le64(c);
	return multihash;
}

int rewrite_look(struct gen *gen, rewrite_fn *fn, void *ctx)
{
	struct keys keys = { 0 };
	int err;

	do {
		err = keys_read(gen, &keys);
		struct cursor c = cursor_over(buf_bytes(&keys.text));

		while (!err && cursor_left(&c)) {
			uint64_t len;
			struct bytes multihash = next_key(&c, &len);

			err = fn(ctx, gen, multihash, len);
		}
	} while (!err && keys.next.len);
	buf_release(&keys.text);
	buf_release(&keys.next);
	return err;
}

/* Some keys, each as in struct keys; at least one. 0 or a negative errno to stop. */
typedef int batch_fn(void *ctx, struct bytes keys);

/* Gives the keys of a generation that are live by fn's word, or those that are not, to batch(). */
static int each_batch(struct gen *gen, rewrite_fn *fn, void *fn_ctx, bool live, batch_fn *batch,
		      void *ctx)
{
	struct keys keys = { 0 };
	struct buf some = { 0 };
	int err;

	do {
		err = keys_read(gen, &keys);
		struct cursor c = cursor_over(buf_bytes(&keys.text));

		buf_clear(&some);
		while (!err && cursor_left(&c)) {
			uint64_t len;
			const uint8_t *at = c.at;
			struct bytes multihash = next_key(&c, &len);
			int says = fn(fn_ctx, gen, multihash, len);

			if (says >= 0 && (says > 0) == live)
				buf_add(&some, bytes_of(at, (size_t)(c.at - at)));
			err = says < 0 ? says : 0;
		}
		if (!err && some.len)
			err = batch(ctx, buf_bytes(&some));
	} while (!err && keys.next.len);
	buf_release(&keys.text);
	buf_release(&keys.next);
	buf_release(&some);
	return err;
}

/* ---- copying ---- */

struct copy {
	struct store_lmdb *lmdb;
	struct gen *from, *to;
	MDB_txn *in, *out;
};

/* An LMDB code. What was deleted meanwhile stays so. */
static int copy_one(struct copy *copy, struct bytes multihash, uint64_t *bytes)
{
	MDB_val key = val_of(multihash), record;
	int rc = mdb_get(copy->in, copy->from->blocks, &key, &record);

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	uint64_t len = gen_data_len(&record);

	rc = gen_add(copy->to, copy->out, multihash, &record);
	if (!rc)
		*bytes += len;
	return rc == MDB_KEYEXIST ? 0 : rc;
}

/* In one transaction. An LMDB code. */
static int copy_some(struct copy *copy, struct cursor *c)
{
	uint64_t before, bytes, len;
	size_t done = 0;
	int rc = gen_meta_get(copy->to, copy->out, "bytes", &before);

	bytes = before;
	while (!rc && cursor_left(c) && done < COPY_BYTES) {
		struct bytes multihash = next_key(c, &len);

		rc = copy_one(copy, multihash, &bytes);
		done += len;
	}
	if (!rc && bytes != before)
		rc = gen_meta_put(copy->to, copy->out, "bytes", bytes);
	return rc;
}

/* *c moves behind what was copied. -ENOSPC with *map_full: another generation may do. */
static int copy_batch(struct copy *copy, struct cursor *c, bool *map_full)
{
	int rc = 0, err = lmdb_write_begin(copy->lmdb, copy->from->class, copy->from, &copy->to,
					   &copy->out);
	struct cursor next = *c;

	if (err)
		return err;
	/* Begun while nobody else can write to the other one: see lmdb_delete(). */
	copy->in = NULL;
	err = gen_read_start(copy->from, &copy->in);
	if (!err) {
		rc = copy_some(copy, &next);
		gen_read_stop(copy->from, copy->in);
		mdb_txn_abort(copy->in);
		err = gen_write_end(copy->to, copy->out, rc);
	} else {
		gen_write_drop(copy->to, copy->out);
	}
	gen_map_release(copy->from);
	*map_full = rc == MDB_MAP_FULL;
	if (!err)
		*c = next;
	return err;
}

static int copy_keys(void *ctx, struct bytes keys)
{
	struct copy *copy = ctx;
	struct cursor c = cursor_over(keys);
	bool map_full = false, before;
	int err = 0;

	while (!err && cursor_left(&c)) {
		before = map_full;
		copy->to = NULL;
		err = copy_batch(copy, &c, &map_full);
		if (map_full && !before)
			err = store_dir_roll(copy->lmdb, copy->from->class, copy->to);
		gen_unref(copy->to);
	}
	return err;
}

int rewrite_copy(struct store_lmdb *lmdb, struct gen *gen, rewrite_fn *fn, void *ctx)
{
	struct copy copy = { .lmdb = lmdb, .from = gen };

	return each_batch(gen, fn, ctx, true, copy_keys, &copy);
}

/* ---- deleting ---- */

/* In one transaction. */
static int delete_keys(struct gen *gen, struct bytes keys)
{
	struct cursor c = cursor_over(keys);
	MDB_txn *txn;
	int err = gen_write_begin(gen, &txn), rc = 0;

	if (err)
		return err;
	while (!rc && cursor_left(&c)) {
		uint64_t len;

		rc = lmdb_delete_in(gen, txn, next_key(&c, &len));
		rc = rc == MDB_NOTFOUND ? 0 : rc;
	}
	return gen_write_end(gen, txn, rc);
}

static int open_again(struct gen *gen)
{
	MDB_txn *txn;
	int err = gen_write_begin(gen, &txn);

	return err ? err : gen_write_end(gen, txn, gen_meta_put(gen, txn, "closed", 0));
}

static int prune_keys(void *ctx, struct bytes keys)
{
	struct gen *gen = ctx;
	int err = delete_keys(gen, keys);

	if (err == -ENOSPC &&
	    !gen_resize(gen, GEN_GROW_BYTES)) /* the map may be full, not the disk */
		err = delete_keys(gen, keys);
	return err;
}

int rewrite_prune(struct gen *gen, rewrite_fn *fn, void *ctx)
{
	int err = each_batch(gen, fn, ctx, false, prune_keys, gen);

	/* LMDB gives pages out again in the second transaction after the one that freed them. */
	for (unsigned i = 0; i < 2 && !err; i++)
		err = open_again(gen);
	return err;
}

bool rewrite_lies_in(struct store_lmdb *lmdb, enum gen_class class, unsigned at_least,
		     struct bytes multihash)
{
	struct snapshot *snapshot;
	struct bytes record;
	bool found = false;

	if (snapshot_begin(lmdb, &snapshot))
		return false;
	for (size_t i = 0; i < snapshot->gens->count && !found; i++) {
		const struct gen *gen = snapshot->gens->at[i];

		if (gen->class == class && gen->number >= at_least)
			found = !snapshot_find(snapshot, i, multihash, &record);
	}
	snapshot_end(lmdb, snapshot);
	return found;
}

/* A record of table "pins". Key: the CID, binary, as it was given. Value, protobuf:
 *   1 kind uint (0 direct, 1 recursive)   2 state uint (0 done, 1 wanted)   3 name string
 *   4 blocks uint64   5 bytes uint64   6 created, nanoseconds since 1970 */
#include "dag/pin.h"

#include "dag/dag.h"
#include "dag/pin_walk.h"
#include "net/base/err.h"
#include "net/wire/pb.h"

#include <string.h>

#define TABLE "pins"
#define PROGRESS_EVERY 16 /* blocks */
#define LOOK_EVERY 256	  /* blocks, at the record: was it removed? */
#define AHEAD_MAX 256

enum { FIELD_KIND = 1, FIELD_STATE, FIELD_NAME, FIELD_BLOCKS, FIELD_BYTES, FIELD_CREATED };

/* ---- records ---- */

static int decode(struct pin *pin, struct bytes key, struct bytes value)
{
	struct pb_reader r = pb_over(value);
	struct pb_field f;

	*pin = (struct pin){ 0 };
	if (cid_from_bytes(&pin->cid, key))
		return -EIO;
	while (pb_next(&r, &f)) {
		if (f.number == FIELD_KIND)
			pin->kind = pb_u64(&f) ? PIN_RECURSIVE : PIN_DIRECT;
		else if (f.number == FIELD_STATE)
			pin->state = pb_u64(&f) ? PIN_WANTED : PIN_DONE;
		else if (f.number == FIELD_BLOCKS)
			pin->blocks = pb_u64(&f);
		else if (f.number == FIELD_BYTES)
			pin->bytes = pb_u64(&f);
		if (f.number != FIELD_NAME)
			continue;

		struct bytes name = pb_bytes(&f);

		if (name.len > PIN_NAME_MAX)
			return -EIO;
		if (name.len)
			memcpy(pin->name, name.at, name.len);
		pin->name[name.len] = '\0';
	}
	return r.bad ? -EIO : 0;
}

static int put(struct db_txn *txn, const struct pin *pin)
{
	struct buf value = { 0 };
	int err;

	pb_put_u64(&value, FIELD_KIND, pin->kind == PIN_RECURSIVE);
	pb_put_u64(&value, FIELD_STATE, pin->state == PIN_WANTED);
	pb_put_str(&value, FIELD_NAME, pin->name);
	pb_put_u64(&value, FIELD_BLOCKS, pin->blocks);
	pb_put_u64(&value, FIELD_BYTES, pin->bytes);
	pb_put_u64(&value, FIELD_CREATED, wallclock_ns());
	err = db_put(txn, TABLE, cid_bytes(&pin->cid), buf_bytes(&value));
	buf_release(&value);
	return err;
}

static int get(struct db_txn *txn, const struct cid *cid, struct pin *pin)
{
	struct bytes value;
	int err = db_get(txn, TABLE, cid_bytes(cid), &value);

	return err ? err : decode(pin, cid_bytes(cid), value);
}

static int named(struct pin *pin, const struct cid *cid, enum pin_kind kind, const char *name)
{
	*pin = (struct pin){ .cid = *cid, .kind = kind };
	if (name && strlen(name) > PIN_NAME_MAX)
		return -ENAMETOOLONG;
	if (name)
		strcpy(pin->name, name);
	return 0;
}

/* Writes pin unless what stands there says otherwise: a pin that is done stays done, and a direct
 * pin does not replace a recursive one (-EEXIST). *old (zero when there was none) is what stood
 * there. */
static int begin(struct db *db, const struct pin *pin, bool has_name, struct pin *old)
{
	struct db_txn *txn;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	*old = (struct pin){ 0 };
	err = get(txn, &pin->cid, old);
	if (!err && old->kind == PIN_RECURSIVE && pin->kind == PIN_DIRECT) {
		err = -EEXIST;
	} else if (!err && old->kind == pin->kind && old->state == PIN_DONE) {
		if (has_name)
			strcpy(old->name, pin->name);
		err = put(txn, old);
	} else if (!err || err == -ENOENT) {
		struct pin wanted = *pin;

		if (!err && !has_name)
			strcpy(wanted.name, old->name);
		err = put(txn, &wanted);
	}
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

/* The record of a finished pin; its name may have been changed meanwhile, and it may have been
 * removed: -ECANCELED. */
static int finish(struct db *db, const struct pin *pin)
{
	struct db_txn *txn;
	struct pin now;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	err = get(txn, &pin->cid, &now);
	if (err == -ENOENT)
		err = -ECANCELED;
	if (!err) {
		now.state = PIN_DONE;
		now.kind = pin->kind == PIN_RECURSIVE ? pin->kind : now.kind;
		now.blocks = pin->blocks;
		now.bytes = pin->bytes;
		err = put(txn, &now);
	}
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

/* ---- making ---- */

struct adding {
	struct db *db;
	struct pin pin;
	struct blocks *blocks;
	const struct cid *from; /* pinned recursively: what is below it is left out; may be NULL */
	struct map below_from;
	pin_progress_fn *progress;
	void *ctx;
};

/* What is cached is kept from now on. What the daemon fetched may still be in its queue, and it may
 * die or have no room: whoever acknowledges the pin stores what is not there yet. */
static int keep_block(struct adding *adding, const struct block *block)
{
	struct store *store = adding->blocks->store;

	if (cid_is_identity(&block->cid) || !block->data.len)
		return 0;
	int err = store_keep(store, cid_hash_bytes(&block->cid));

	if (err != -ENOENT && err != -EIO)
		return err;
	return store_put(store, (struct block *)block, STORE_WAIT | STORE_KEEP, NULL, NULL);
}

static int count_block(void *ctx, const struct block *block, unsigned depth)
{
	struct adding *adding = ctx;
	struct pin now;

	(void)depth;
	adding->pin.blocks++;
	adding->pin.bytes += block->data.len;
	if (adding->pin.blocks % LOOK_EVERY == 0 &&
	    pin_get(adding->db, &adding->pin.cid, &now) == -ENOENT)
		return -ECANCELED;
	if (adding->progress && adding->pin.blocks % PROGRESS_EVERY == 0)
		adding->progress(adding->ctx, adding->pin.blocks, adding->pin.bytes);
	return keep_block(adding, block);
}

static bool is_below_from(void *ctx, const struct cid *cid)
{
	const struct adding *adding = ctx;

	return map_get(&adding->below_from, cid_bytes(cid));
}

static int fetch(struct adding *adding, struct blocks *blocks, struct wait *wait,
		 uint64_t timeout_ms)
{
	const struct dag_walk_config config = { .ahead_max = AHEAD_MAX, .skip_seen = true };
	struct block *block;
	int err;

	if (adding->pin.kind == PIN_RECURSIVE)
		return dag_walk(blocks, &adding->pin.cid, &config, wait, timeout_ms, count_block,
				adding->from ? is_below_from : NULL, adding);
	/* Not wait_start(): an interruption must not be lost. */
	wait->deadline_ms = timeout_ms ? monotonic_ms() + timeout_ms : UINT64_MAX;
	err = blocks_get(blocks, &adding->pin.cid, wait, &block);
	if (err)
		return err;
	err = count_block(adding, block, 0);
	block_unref(block);
	return err;
}

static int stop_at_bad(void *ctx, const struct cid *cid, int err)
{
	(void)ctx;
	(void)cid;
	return err;
}

static bool is_whole_tree(struct db *db, const struct cid *cid)
{
	struct pin pin;

	return pin_get(db, cid, &pin) == 0 && pin.kind == PIN_RECURSIVE && pin.state == PIN_DONE;
}

/* What is kept by the pin that is replaced. When a part of it is missing or damaged nobody can tell
 * which trees are whole: then nothing is left out. */
static int list_below_from(struct adding *adding, struct wait *wait)
{
	int err;

	map_release(&adding->below_from);
	adding->below_from = (struct map){ 0 };
	if (!adding->from)
		return 0;
	err = pin_walk(adding->blocks, adding->from, false, &adding->below_from, wait, stop_at_bad,
		       NULL);
	if (err && err != -EINTR) {
		adding->from = NULL;
		err = 0;
	}
	return err;
}

/* A collection that began or ended on the way may have removed what we met before, and what was
 * left out stays only while the pin is there that keeps it: then all is looked at again. */
static int fetch_all(struct adding *adding, struct wait *wait, uint64_t timeout_ms)
{
	struct store *store = adding->blocks->store;
	uint64_t epoch;
	bool again;
	int err;

	do {
		epoch = store_epoch(store);
		adding->pin.blocks = adding->pin.bytes = 0;
		err = list_below_from(adding, wait);
		if (!err)
			err = fetch(adding, adding->blocks, wait, timeout_ms);
		if (!err)
			err = store_sync(store);
		again = epoch != store_epoch(store);
		if (adding->from && !is_whole_tree(adding->db, adding->from)) {
			adding->from = NULL;
			again = true;
		}
	} while (!err && again);
	map_release(&adding->below_from);
	return err;
}

/* name may be NULL or "": as it was. */
static int make(struct adding *adding, const char *name, struct wait *wait, uint64_t timeout_ms)
{
	const struct pin asked = adding->pin;
	struct pin old;
	int err;

	adding->pin.state = PIN_WANTED;
	err = begin(adding->db, &adding->pin, name && *name, &old);
	if (err)
		return err;
	if (cid_is_set(&old.cid) && old.kind == asked.kind && old.state == PIN_DONE) {
		adding->pin = old;
	} else {
		err = fetch_all(adding, wait, timeout_ms);
		if (!err)
			err = finish(adding->db, &adding->pin);
	}
	/* Nothing came, so there is nothing that could go on later. */
	if (err && !adding->pin.blocks && !cid_is_set(&old.cid))
		pin_rm(adding->db, &asked.cid, asked.kind);
	if (!err && adding->progress)
		adding->progress(adding->ctx, adding->pin.blocks, adding->pin.bytes);
	return err;
}

int pin_add(struct db *db, struct blocks *blocks, const struct cid *cid, enum pin_kind kind,
	    const char *name, struct wait *wait, uint64_t timeout_ms, pin_progress_fn *progress,
	    void *ctx)
{
	struct adding adding = { .db = db, .blocks = blocks, .progress = progress, .ctx = ctx };
	int err = named(&adding.pin, cid, kind, name);

	return err ? err : make(&adding, name, wait, timeout_ms);
}

int pin_update(struct db *db, struct blocks *blocks, const struct cid *from, const struct cid *to,
	       bool unpin, struct wait *wait, uint64_t timeout_ms, pin_progress_fn *progress,
	       void *ctx)
{
	struct adding adding = {
		.db = db, .blocks = blocks, .from = from, .progress = progress, .ctx = ctx
	};
	struct pin old, before;
	int err = pin_get(db, from, &old);

	if (!err && (old.kind != PIN_RECURSIVE || old.state != PIN_DONE))
		err = -EEXIST;
	if (err || cid_equal(from, to))
		return err;
	/* A name that the new one has stays. */
	if (pin_get(db, to, &before) == 0 && before.name[0])
		strcpy(old.name, before.name);
	err = named(&adding.pin, to, PIN_RECURSIVE, old.name);
	if (!err)
		err = make(&adding, old.name, wait, timeout_ms);
	if (!err && unpin)
		err = pin_rm(db, from, PIN_RECURSIVE);
	return err == -ENOENT ? 0 : err;
}

int pin_go_on(struct db *db, struct blocks *blocks, const struct cid *cid, struct wait *wait,
	      uint64_t timeout_ms, struct pin *pin)
{
	struct adding adding = { .db = db, .blocks = blocks };
	int err = pin_get(db, cid, &adding.pin);

	if (!err && adding.pin.state == PIN_WANTED) {
		err = fetch_all(&adding, wait, timeout_ms);
		if (!err)
			err = finish(db, &adding.pin);
	}
	*pin = adding.pin;
	return err;
}

int pin_record(struct db *db, const struct cid *cid, enum pin_kind kind, const char *name,
	       uint64_t blocks, uint64_t bytes)
{
	struct db_txn *txn;
	struct pin pin, old;
	int err = named(&pin, cid, kind, name);

	if (!err)
		err = db_begin(db, true, &txn);
	if (err)
		return err;
	err = get(txn, cid, &old);
	if (!err && old.kind == PIN_RECURSIVE && kind == PIN_DIRECT)
		err = -EEXIST;
	if (!err && !pin.name[0])
		strcpy(pin.name, old.name);
	pin.blocks = blocks;
	pin.bytes = bytes;
	if (!err || err == -ENOENT)
		err = put(txn, &pin);
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

int pin_rm(struct db *db, const struct cid *cid, enum pin_kind kind)
{
	struct db_txn *txn;
	struct pin pin;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	err = get(txn, cid, &pin);
	if (!err && pin.kind != kind)
		err = -EEXIST;
	if (!err)
		err = db_del(txn, TABLE, cid_bytes(cid));
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

/* ---- looking ---- */

int pin_get(struct db *db, const struct cid *cid, struct pin *pin)
{
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	if (err)
		return err;
	err = get(txn, cid, pin);
	db_abort(txn);
	return err;
}

struct listing {
	int (*each)(void *ctx, const struct pin *pin);
	void *ctx;
};

static int list_one(void *ctx, struct bytes key, struct bytes value)
{
	const struct listing *listing = ctx;
	struct pin pin;
	int err = decode(&pin, key, value);

	return err ? err : listing->each(listing->ctx, &pin);
}

int pin_each(struct db *db, int (*each)(void *ctx, const struct pin *pin), void *ctx)
{
	struct listing listing = { .each = each, .ctx = ctx };
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	if (err)
		return err;
	err = db_each(txn, TABLE, bytes_of(NULL, 0), bytes_of(NULL, 0), list_one, &listing);
	db_abort(txn);
	return err;
}

struct indirect {
	struct buf roots; /* CIDs of recursive pins, each after its length */
	struct map is_root;
	int (*each)(void *ctx, const struct cid *cid);
	void *ctx;
};

static int add_root(void *ctx, const struct pin *pin)
{
	struct indirect *indirect = ctx;

	if (pin->kind != PIN_RECURSIVE)
		return 0;
	buf_add_u8(&indirect->roots, pin->cid.len);
	buf_add(&indirect->roots, cid_bytes(&pin->cid));
	map_set(&indirect->is_root, cid_bytes(&pin->cid), indirect);
	return 0;
}

static int each_indirect(void *ctx, const struct cid *cid, int err)
{
	const struct indirect *indirect = ctx;

	/* What is missing (a pin that is still wanted) is not there to be listed. */
	if (err == -ENOENT || map_get(&indirect->is_root, cid_bytes(cid)))
		return 0;
	return indirect->each(indirect->ctx, cid);
}

int pin_each_indirect(struct db *db, struct blocks *blocks, struct wait *wait,
		      int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	struct indirect indirect = { .each = each, .ctx = ctx };
	struct map seen = { 0 };
	int err = pin_each(db, add_root, &indirect);

	for (size_t at = 0; !err && at < indirect.roots.len; at += 1 + indirect.roots.at[at]) {
		struct cid root;

		err = cid_from_bytes(&root,
				     bytes_of(indirect.roots.at + at + 1, indirect.roots.at[at]));
		if (!err)
			err = pin_walk(blocks, &root, false, &seen, wait, each_indirect, &indirect);
	}
	map_release(&seen);
	map_release(&indirect.is_root);
	buf_release(&indirect.roots);
	return err;
}

struct verifying {
	int (*bad)(void *ctx, const struct cid *cid, int err);
	void *ctx;
};

static int tell_bad(void *ctx, const struct cid *cid, int err)
{
	const struct verifying *verifying = ctx;

	return err ? verifying->bad(verifying->ctx, cid, err) : 0;
}

int pin_verify(struct db *db, struct blocks *blocks, const struct pin *pin, struct wait *wait,
	       int (*bad)(void *ctx, const struct cid *cid, int err), void *ctx)
{
	struct verifying verifying = { .bad = bad, .ctx = ctx };
	struct map seen = { 0 };
	struct blocks offline;
	struct block *block;
	int err;

	(void)db;
	if (pin->kind == PIN_RECURSIVE) {
		err = pin_walk(blocks, &pin->cid, true, &seen, wait, tell_bad, &verifying);
		map_release(&seen);
		return err;
	}
	blocks_init(&offline, blocks->store, NULL);
	err = blocks_get(&offline, &pin->cid, wait, &block);
	if (!err) {
		err = cid_verify(&pin->cid, block->data) ? -EIO : 0;
		block_unref(block);
	}
	blocks_release(&offline);
	if (err == -EINTR)
		return err;
	return err ? bad(ctx, &pin->cid, err == -EHOSTUNREACH ? -ENOENT : -EIO) : 0;
}

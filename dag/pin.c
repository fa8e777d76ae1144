/* Pins: records in a db table that say which trees are kept. A pin is written as wanted first and
 * as done when all blocks are stored, so that an interrupted one goes on later. Any thread but
 * the loop's. */
/* A record of table "pins". Key: the CID, binary, as it was given. Value, protobuf:
 *   1 kind uint (0 direct, 1 recursive)   2 state uint (0 done, 1 wanted)   3 name string
 *   4 blocks uint64   5 bytes uint64   6 created, nanoseconds since 1970   7 direct uint (1: see
 *   struct pin) */
#include "dag/pin.h"

#include "dag/dag.h"
#include "dag/pin_walk.h"
#include "net/base/err.h"
#include "net/wire/pb.h"

#include <string.h>

#define TABLE "pins"
#define LOOK_EVERY 256 /* blocks, at the record: was it removed? */

enum {
	FIELD_KIND = 1,
	FIELD_STATE,
	FIELD_NAME,
	FIELD_BLOCKS,
	FIELD_BYTES,
	FIELD_CREATED,
	FIELD_DIRECT
};

/* ---- records ---- */

/* A record of the table as struct pin. -EIO: it is not one. */
static int pin_decode(struct pin *pin, struct bytes key, struct bytes value)
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
		else if (f.number == FIELD_DIRECT)
			pin->direct = pb_u64(&f);
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

static int pin_put(struct db_txn *txn, const struct pin *pin)
{
	struct buf value = { 0 };
	int err;

	pb_put_u64(&value, FIELD_KIND, pin->kind == PIN_RECURSIVE);
	pb_put_u64(&value, FIELD_STATE, pin->state == PIN_WANTED);
	pb_put_str(&value, FIELD_NAME, pin->name);
	pb_put_u64(&value, FIELD_BLOCKS, pin->blocks);
	pb_put_u64(&value, FIELD_BYTES, pin->bytes);
	pb_put_u64(&value, FIELD_CREATED, wallclock_ns());
	if (pin->direct)
		pb_put_u64(&value, FIELD_DIRECT, 1);
	err = db_put(txn, TABLE, cid_bytes(&pin->cid), buf_bytes(&value));
	buf_release(&value);
	return err;
}

static int pin_read(struct db_txn *txn, const struct cid *cid, struct pin *pin)
{
	struct bytes value;
	int err = db_get(txn, TABLE, cid_bytes(cid), &value);

	return err ? err : pin_decode(pin, cid_bytes(cid), value);
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
static int pin_begin(struct db *db, const struct pin *pin, bool has_name, struct pin *old)
{
	struct db_txn *txn;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	*old = (struct pin){ 0 };
	err = pin_read(txn, &pin->cid, old);
	if (!err && old->kind == PIN_RECURSIVE && pin->kind == PIN_DIRECT) {
		err = -EEXIST;
	} else if (!err && old->kind == pin->kind && old->state == PIN_DONE) {
		if (has_name)
			strcpy(old->name, pin->name);
		err = pin_put(txn, old);
	} else if (!err || err == -ENOENT) {
		struct pin wanted = *pin;

		/* What was acknowledged before stays so until there is more. */
		wanted.direct = old->direct || (cid_is_set(&old->cid) && old->kind == PIN_DIRECT &&
						old->state == PIN_DONE);
		if (!err && !has_name)
			strcpy(wanted.name, old->name);
		err = pin_put(txn, &wanted);
	}
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

/* The record of a finished pin; its name may have been changed meanwhile, and it may have been
 * removed: -ECANCELED. */
static int pin_finish(struct db *db, const struct pin *pin)
{
	struct db_txn *txn;
	struct pin now;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	err = pin_read(txn, &pin->cid, &now);
	if (err == -ENOENT || (!err && pin->kind == PIN_RECURSIVE && now.kind == PIN_DIRECT))
		err = -ECANCELED;
	if (!err) {
		now.state = PIN_DONE;
		now.direct = false;
		now.blocks = pin->blocks;
		now.bytes = pin->bytes;
		err = pin_put(txn, &now);
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
	struct pin_progress done;
	struct blocks *blocks;
	const struct cid *from; /* pinned recursively: what is below it is left out; may be NULL */
	struct pin_seen below_from;
	pin_progress_fn *progress;
	void *ctx;
};

/* 0 when the root does not tell: other codecs have no such field, and writers may leave it out. */
static uint64_t claimed_bytes(const struct block *root)
{
	struct dag_stat stat;

	if (dag_stat_block(root, &stat))
		return 0;
	return !stat.links || stat.tree_size > stat.block_size ? stat.tree_size : stat.size;
}

static int count_block(void *ctx, const struct block *block, unsigned depth)
{
	struct adding *adding = ctx;
	struct pin_progress *done = &adding->done;
	struct pin now;

	if (!depth && !adding->from)
		done->total_bytes = claimed_bytes(block);
	done->blocks++;
	done->bytes += block->data.len;
	if (done->blocks % LOOK_EVERY == 0 &&
	    pin_get(adding->db, &adding->pin.cid, &now) == -ENOENT)
		return -ECANCELED;
	if (adding->progress)
		adding->progress(adding->ctx, done);
	/* What is cached is kept from now on. What the daemon fetched may still be in its queue,
	 * and it may die or have no room: whoever acknowledges the pin stores what is not there
	 * yet. */
	return blocks_keep(adding->blocks, &block->cid, block);
}

static bool is_below_from(void *ctx, const struct cid *cid)
{
	const struct adding *adding = ctx;

	return pin_seen_has(&adding->below_from, cid);
}

static int fetch(struct adding *adding, struct blocks *blocks, struct wait *wait,
		 uint64_t timeout_ms)
{
	const struct dag_walk_config config = { .skip_seen = true };
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
	const struct pin_walk_config look = { 0 };
	int err;

	pin_seen_release(&adding->below_from);
	if (!adding->from)
		return 0;
	err = pin_walk(adding->blocks, adding->from, &look, &adding->below_from, wait, stop_at_bad,
		       NULL);
	if (err && err != -EINTR) {
		adding->from = NULL;
		err = 0;
	}
	return err;
}

static int count_stored(void *ctx, const struct cid *cid, int err)
{
	struct adding *adding = ctx;
	size_t size = 0;

	if (!err)
		(void)blocks_size(adding->blocks, cid, &size);
	adding->pin.blocks++;
	adding->pin.bytes += size;
	return 0;
}

/* For the record: the whole tree. When parts were left out, all is stored now and looked at. */
static int count_all(struct adding *adding, struct wait *wait)
{
	const struct pin_walk_config look = { 0 };
	struct pin_seen seen = { 0 };
	int err = 0;

	adding->pin.blocks = adding->done.blocks;
	adding->pin.bytes = adding->done.bytes;
	if (adding->from) {
		adding->pin.blocks = adding->pin.bytes = 0;
		err = pin_walk(adding->blocks, &adding->pin.cid, &look, &seen, wait, count_stored,
			       adding);
		pin_seen_release(&seen);
	}
	return err;
}

/* In a batch: no collection takes what was looked at. But what was left out stays only while the
 * pin is there that keeps it; when that is not sure all is looked at again. */
static int fetch_all(struct adding *adding, struct wait *wait, uint64_t timeout_ms)
{
	uint64_t epoch;
	bool again;
	int err;

	do {
		epoch = blocks_epoch(adding->blocks);
		adding->done = (struct pin_progress){ 0 };
		err = list_below_from(adding, wait);
		if (!err)
			err = fetch(adding, adding->blocks, wait, timeout_ms);
		if (!err)
			err = blocks_sync(adding->blocks);
		again = adding->from && epoch != blocks_epoch(adding->blocks);
		if (adding->from && !is_whole_tree(adding->db, adding->from)) {
			adding->from = NULL;
			again = true;
		}
	} while (!err && again);
	pin_seen_release(&adding->below_from);
	return err ? err : count_all(adding, wait);
}

/* Fetches, stores and records. */
static int pin_complete(struct adding *adding, struct wait *wait, uint64_t timeout_ms)
{
	blocks_batch_begin(adding->blocks);
	int err = fetch_all(adding, wait, timeout_ms);

	if (!err)
		err = pin_finish(adding->db, &adding->pin);
	blocks_batch_end(adding->blocks);
	return err;
}

/* name may be NULL or "": as it was. */
static int pin_make(struct adding *adding, const char *name, struct wait *wait, uint64_t timeout_ms)
{
	const struct pin asked = adding->pin;
	struct pin old;
	int err;

	adding->pin.state = PIN_WANTED;
	err = pin_begin(adding->db, &adding->pin, name && *name, &old);
	if (err)
		return err;
	if (cid_is_set(&old.cid) && old.kind == asked.kind && old.state == PIN_DONE) {
		adding->pin = old;
		adding->done = (struct pin_progress){ old.blocks, old.bytes, old.bytes };
	} else {
		err = pin_complete(adding, wait, timeout_ms);
	}
	/* Nothing came, so there is nothing that could go on later. */
	if (err && !adding->done.blocks && !cid_is_set(&old.cid))
		pin_rm(adding->db, &asked.cid, asked.kind);
	if (!err && adding->progress)
		adding->progress(adding->ctx, &adding->done);
	return err;
}

int pin_add(struct db *db, struct blocks *blocks, const struct cid *cid, enum pin_kind kind,
	    const char *name, struct wait *wait, uint64_t timeout_ms, pin_progress_fn *progress,
	    void *ctx)
{
	struct adding adding = { .db = db, .blocks = blocks, .progress = progress, .ctx = ctx };
	int err = named(&adding.pin, cid, kind, name);

	return err ? err : pin_make(&adding, name, wait, timeout_ms);
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
		err = pin_make(&adding, old.name, wait, timeout_ms);
	if (!err && unpin)
		err = pin_rm(db, from, PIN_RECURSIVE);
	return err == -ENOENT ? 0 : err;
}

int pin_go_on(struct db *db, struct blocks *blocks, const struct cid *cid, struct wait *wait,
	      uint64_t timeout_ms, struct pin *pin)
{
	struct adding adding = { .db = db, .blocks = blocks };
	int err = pin_get(db, cid, &adding.pin);

	if (!err && adding.pin.state == PIN_WANTED)
		err = pin_complete(&adding, wait, timeout_ms);
	*pin = adding.pin;
	if (err) {
		pin->blocks = adding.done.blocks;
		pin->bytes = adding.done.bytes;
	}
	return err;
}

static int want_again(void *ctx, struct bytes key, struct bytes value)
{
	struct pin pin;
	int err = pin_decode(&pin, key, value);

	if (err || pin.state == PIN_WANTED)
		return 0; /* what cannot be read is told of where it is listed */
	pin.state = PIN_WANTED;
	return pin_put(ctx, &pin);
}

int pin_want_all(struct db *db)
{
	struct db_txn *txn;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	err = db_each(txn, TABLE, (struct bytes){ 0 }, (struct bytes){ 0 }, want_again, txn);
	if (!err)
		return db_commit(txn);
	db_abort(txn);
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
	err = pin_read(txn, cid, &old);
	if (!err && old.kind == PIN_RECURSIVE && kind == PIN_DIRECT)
		err = -EEXIST;
	if (!err && !pin.name[0])
		strcpy(pin.name, old.name);
	pin.blocks = blocks;
	pin.bytes = bytes;
	if (!err || err == -ENOENT)
		err = pin_put(txn, &pin);
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

int pin_restore(struct db_txn *txn, const struct cid *cid)
{
	const struct pin pin = { .cid = *cid, .kind = PIN_RECURSIVE, .state = PIN_WANTED };

	return pin_put(txn, &pin);
}

int pin_rm(struct db *db, const struct cid *cid, enum pin_kind kind)
{
	struct db_txn *txn;
	struct pin pin;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	err = pin_read(txn, cid, &pin);
	if (!err && pin.direct) {
		pin.direct = false;
		if (kind == PIN_RECURSIVE) {
			pin.kind = PIN_DIRECT;
			pin.state = PIN_DONE;
		}
		err = pin_put(txn, &pin);
	} else if (!err) {
		err = pin.kind != kind ? -EEXIST : db_del(txn, TABLE, cid_bytes(cid));
	}
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
	err = pin_read(txn, cid, pin);
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
	int err = pin_decode(&pin, key, value);

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
	struct db *db;
	struct buf roots; /* CIDs of recursive pins that may have links, each after its length */
	int (*each)(void *ctx, const struct cid *cid);
	void *ctx;
};

static int add_root(void *ctx, const struct pin *pin)
{
	struct indirect *indirect = ctx;

	/* Nothing is below a leaf. */
	if (pin->kind != PIN_RECURSIVE || pin->cid.codec == CODEC_RAW)
		return 0;
	buf_add_u8(&indirect->roots, pin->cid.len);
	buf_add(&indirect->roots, cid_bytes(&pin->cid));
	return 0;
}

static int each_indirect(void *ctx, const struct cid *cid, int err)
{
	const struct indirect *indirect = ctx;
	struct pin pin;

	/* What is missing (a pin that is still wanted) is not there to be listed. */
	if (err == -ENOENT)
		return 0;
	if (pin_get(indirect->db, cid, &pin) == 0 && pin.kind == PIN_RECURSIVE)
		return 0;
	return indirect->each(indirect->ctx, cid);
}

int pin_each_indirect(struct db *db, struct blocks *blocks, struct wait *wait,
		      int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	const struct pin_walk_config look = { 0 };
	struct indirect indirect = { .db = db, .each = each, .ctx = ctx };
	struct pin_seen seen = { 0 };
	int err = pin_each(db, add_root, &indirect);

	for (size_t at = 0; !err && at < indirect.roots.len; at += 1 + indirect.roots.at[at]) {
		struct cid root;

		err = cid_from_bytes(&root,
				     bytes_of(indirect.roots.at + at + 1, indirect.roots.at[at]));
		if (!err)
			err = pin_walk(blocks, &root, &look, &seen, wait, each_indirect, &indirect);
	}
	pin_seen_release(&seen);
	buf_release(&indirect.roots);
	return err;
}

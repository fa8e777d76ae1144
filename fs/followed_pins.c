/* The table "followed": name -> version, the CID that is pinned, the one that is being pinned. */
#include "fs/followed_pins.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE "followed"
#define RECORD_VERSION 1

int followed_pin_target(const struct name_record *record, struct cid *commit, char **path)
{
	*commit = (struct cid){ 0 };
	*path = NULL;
	if (record->commit.len)
		return cid_from_bytes(commit, record->commit) ? -EBADMSG : 0;
	if (!record->value.len || memchr(record->value.at, 0, record->value.len))
		return -EBADMSG;
	*path = xasprintf("%.*s", (int)record->value.len, (const char *)record->value.at);
	return 0;
}

static int get_cid(struct cursor *c, struct cid *cid)
{
	struct bytes bytes = cursor_take(c, cursor_u8(c));

	*cid = (struct cid){ 0 };
	return bytes.len && cid_from_bytes(cid, bytes) ? -EIO : 0;
}

static int followed_pins_decode(struct followed_pin *out, struct bytes key, struct bytes value)
{
	struct cursor c = cursor_over(value);
	uint8_t version = cursor_u8(&c);
	int err = peer_id_from_bytes(&out->name, key) ? -EIO : 0;

	if (!err)
		err = get_cid(&c, &out->cid);
	if (!err)
		err = get_cid(&c, &out->next);
	return err || c.bad || cursor_left(&c) || version != RECORD_VERSION ? -EIO : 0;
}

int followed_pin_get(struct db *db, const struct peer_id *name, struct followed_pin *out)
{
	struct bytes value;
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	if (err)
		return err;
	err = db_get(txn, TABLE, peer_id_bytes(name), &value);
	if (!err)
		err = followed_pins_decode(out, peer_id_bytes(name), value);
	db_abort(txn);
	return err;
}

int followed_pin_put(struct db *db, const struct followed_pin *pin)
{
	struct buf value = { 0 };
	struct bytes before;
	struct db_txn *txn;
	int err = db_begin(db, true, &txn);

	if (err)
		return err;
	buf_add_u8(&value, RECORD_VERSION);
	buf_add_u8(&value, pin->cid.len);
	buf_add(&value, cid_bytes(&pin->cid));
	buf_add_u8(&value, pin->next.len);
	buf_add(&value, cid_bytes(&pin->next));
	if (db_get(txn, TABLE, peer_id_bytes(&pin->name), &before) == -ENOENT &&
	    db_count(txn, TABLE) >= FOLLOWED_PINS_MAX)
		err = -EMFILE;
	if (!err)
		err = db_put(txn, TABLE, peer_id_bytes(&pin->name), buf_bytes(&value));
	buf_release(&value);
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

struct walk {
	int (*each)(void *ctx, const struct followed_pin *pin);
	void *ctx;
};

/* One that is damaged is logged by the db and left out. */
static int walk_one(void *ctx, struct bytes key, struct bytes value)
{
	const struct walk *walk = ctx;
	struct followed_pin pin;

	return followed_pins_decode(&pin, key, value) ? 0 : walk->each(walk->ctx, &pin);
}

int followed_pins_each(struct db *db, int (*each)(void *ctx, const struct followed_pin *pin),
		       void *ctx)
{
	struct walk walk = { each, ctx };
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	if (err)
		return err;
	err = db_each(txn, TABLE, bytes_of(NULL, 0), bytes_of(NULL, 0), walk_one, &walk);
	db_abort(txn);
	return err;
}

struct forgetting {
	struct db_txn *txn;
	const struct cid *cid;
};

static int forget_one(void *ctx, struct bytes key, struct bytes value)
{
	const struct forgetting *forgetting = ctx;
	struct followed_pin pin;

	if (followed_pins_decode(&pin, key, value) || !cid_equal(&pin.cid, forgetting->cid))
		return 0;
	return db_del(forgetting->txn, TABLE, peer_id_bytes(&pin.name));
}

int followed_pins_forget(struct db *db, const struct cid *cid)
{
	struct forgetting forgetting = { .cid = cid };
	int err = db_begin(db, true, &forgetting.txn);

	if (err)
		return err;
	err = db_each(forgetting.txn, TABLE, bytes_of(NULL, 0), bytes_of(NULL, 0), forget_one,
		      &forgetting);
	if (!err || err == -EIO)
		return db_commit(forgetting.txn);
	db_abort(forgetting.txn);
	return err;
}

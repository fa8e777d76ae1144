/* Records of shares and of their versions, in the db of working trees.
 *
 *	share	id u32			-> version, flags, name, label, key, pen, stamps, base
 *	versions	id u32, stamp, pen	-> version, no, counts, CIDs */
#include "dag/tree/share_record.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_VERSION 1
#define FLAG_OWNER 1
#define FLAG_PUBLISH 2
#define HISTORY_MAX 10000
#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static void put_u64(struct buf *out, uint64_t value)
{
	buf_add_be32(out, (uint32_t)(value >> 32));
	buf_add_be32(out, (uint32_t)value);
}

static void put_short(struct buf *out, struct bytes bytes)
{
	buf_add_u8(out, (uint8_t)bytes.len);
	buf_add(out, bytes);
}

static struct bytes get_short(struct cursor *c)
{
	return cursor_take(c, cursor_u8(c));
}

static void get_text(struct cursor *c, char *out, size_t max)
{
	struct bytes text = get_short(c);

	if (text.len > max || (text.len && memchr(text.at, 0, text.len))) {
		c->bad = true;
		return;
	}
	if (text.len)
		memcpy(out, text.at, text.len);
	out[text.len] = 0;
}

static void get_cid(struct cursor *c, struct cid *cid)
{
	struct bytes bytes = get_short(c);

	*cid = (struct cid){ 0 };
	if (bytes.len && cid_from_bytes(cid, bytes))
		c->bad = true;
}

static void key_of(struct buf *key, uint32_t id)
{
	buf_clear(key);
	buf_add_be32(key, id);
}

/* ---- shares, within a transaction ---- */

static int share_decode(struct share_record *out, struct bytes key, struct bytes value)
{
	struct cursor k = cursor_over(key), c = cursor_over(value);
	uint8_t version = cursor_u8(&c), flags = cursor_u8(&c);
	struct bytes peer;

	*out = (struct share_record){ .id = cursor_be32(&k) };
	out->owner = flags & FLAG_OWNER;
	out->publish = flags & FLAG_PUBLISH;
	get_text(&c, out->name, SHARE_NAME_MAX);
	get_text(&c, out->label, SHARE_LABEL_MAX);
	peer = get_short(&c);
	out->pen = cursor_be64(&c);
	out->last_stamp = cursor_be64(&c);
	out->run = cursor_be64(&c);
	out->no = cursor_be64(&c);
	get_cid(&c, &out->commit);
	get_cid(&c, &out->root);
	get_cid(&c, &out->state);
	if (k.bad || cursor_left(&k) || c.bad || cursor_left(&c) || version != RECORD_VERSION ||
	    peer_id_from_bytes(&out->key, peer))
		return -EIO;
	return 0;
}

int share_record_get(struct db_txn *txn, uint32_t id, struct share_record *out)
{
	struct buf key = { 0 };
	struct bytes value;

	key_of(&key, id);
	int err = db_get(txn, "share", buf_bytes(&key), &value);

	if (!err)
		err = share_decode(out, buf_bytes(&key), value);
	buf_release(&key);
	return err;
}

int share_record_put(struct db_txn *txn, const struct share_record *share)
{
	struct buf key = { 0 }, value = { 0 };

	key_of(&key, share->id);
	buf_add_u8(&value, RECORD_VERSION);
	buf_add_u8(&value, (uint8_t)((share->owner ? FLAG_OWNER : 0) |
				     (share->publish ? FLAG_PUBLISH : 0)));
	put_short(&value, bytes_str(share->name));
	put_short(&value, bytes_str(share->label));
	put_short(&value, peer_id_bytes(&share->key));
	put_u64(&value, share->pen);
	put_u64(&value, share->last_stamp);
	put_u64(&value, share->run);
	put_u64(&value, share->no);
	put_short(&value, cid_bytes(&share->commit));
	put_short(&value, cid_bytes(&share->root));
	put_short(&value, cid_bytes(&share->state));
	int err = db_put(txn, "share", buf_bytes(&key), buf_bytes(&value));

	buf_release(&key);
	buf_release(&value);
	return err;
}

struct deleting {
	struct db_txn *txn;
	const char *table;
};

static int del_row(void *ctx, struct bytes key, struct bytes value)
{
	const struct deleting *deleting = ctx;
	uint8_t copy[512];

	(void)value;
	memcpy(copy, key.at, key.len); /* at most 511 bytes: db.h */
	return db_del(deleting->txn, deleting->table, bytes_of(copy, key.len));
}

int share_rows_del(struct db_txn *txn, const char *table, uint32_t id)
{
	struct deleting deleting = { .txn = txn, .table = table };
	struct buf prefix = { 0 };

	key_of(&prefix, id);
	int err = db_each(txn, table, buf_bytes(&prefix), bytes_of(NULL, 0), del_row, &deleting);

	buf_release(&prefix);
	return err == -EIO ? 0 : err; /* damaged ones are told of, and stay */
}

/* ---- shares, from outside ---- */

int share_get(struct db *work, uint32_t id, struct share_record *out)
{
	struct db_txn *txn;
	int err = db_begin(work, false, &txn);

	if (err)
		return err;
	err = share_record_get(txn, id, out);
	db_abort(txn);
	return err;
}

struct share_walk {
	int (*each)(void *ctx, const struct share_record *share);
	void *ctx;
	bool damaged; /* some record could not be read; the others are told */
};

static int walk_share(void *ctx, struct bytes key, struct bytes value)
{
	struct share_walk *walk = ctx;
	struct share_record share;

	if (share_decode(&share, key, value)) {
		walk->damaged = true;
		return 0;
	}
	return walk->each(walk->ctx, &share);
}

int share_records_each(struct db_txn *txn, int (*each)(void *, const struct share_record *),
		       void *ctx)
{
	struct share_walk walk = { .each = each, .ctx = ctx };
	int err = db_each(txn, "share", bytes_of(NULL, 0), bytes_of(NULL, 0), walk_share, &walk);

	return !err && walk.damaged ? -EIO : err;
}

int share_each(struct db *work, int (*each)(void *ctx, const struct share_record *share), void *ctx)
{
	struct db_txn *txn;
	int err = db_begin(work, false, &txn);

	if (err)
		return err;
	err = share_records_each(txn, each, ctx);
	db_abort(txn);
	return err;
}

struct share_search {
	const char *name;
	uint32_t not_id; /* another than this */
	uint32_t last_id;
	bool found;
	struct share_record *out;
};

static int search_share(void *ctx, const struct share_record *share)
{
	struct share_search *search = ctx;

	if (share->id > search->last_id)
		search->last_id = share->id;
	if (search->found || share->id == search->not_id || strcmp(share->name, search->name) != 0)
		return 0;
	search->found = true;
	if (search->out)
		*search->out = *share;
	return 0;
}

int share_find(struct db *work, const char *name, struct share_record *out)
{
	struct share_search search = { .name = name, .out = out };
	int err = share_each(work, search_share, &search);

	if (search.found) /* damaged records of others do not matter */
		return 0;
	return err ? err : -ENOENT;
}

static bool name_allowed(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);

	return len && len <= SHARE_NAME_MAX && strspn(name, allowed) == len && strcmp(name, ".") &&
	       strcmp(name, "..");
}

/* The name is allowed, and no other share has it. */
static int check_name(struct db_txn *txn, const struct share_record *share, uint32_t *last_id)
{
	struct share_search search = { .name = share->name, .not_id = share->id };
	int err = name_allowed(share->name) ? share_records_each(txn, search_share, &search)
					    : -EINVAL;

	*last_id = search.last_id;
	if (err)
		return err;
	return search.found ? -EEXIST : 0;
}

static int record_end(struct db_txn *txn, int err)
{
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

int share_add(struct db *work, struct share_record *share)
{
	uint32_t last_id;
	struct db_txn *txn;
	int err;

	share->id = 0;
	if (!peer_id_is_set(&share->key))
		return -EINVAL;
	err = db_begin(work, true, &txn);
	if (err)
		return err;
	err = check_name(txn, share, &last_id);
	if (!err && last_id == UINT32_MAX)
		err = -ENOSPC;
	if (!err) {
		share->id = last_id + 1;
		err = share_record_put(txn, share);
	}
	return record_end(txn, err);
}

int share_set(struct db *work, const struct share_record *share)
{
	struct share_record now;
	uint32_t last_id;
	struct db_txn *txn;
	int err = db_begin(work, true, &txn);

	if (err)
		return err;
	err = share_record_get(txn, share->id, &now);
	if (!err)
		err = check_name(txn, share, &last_id);
	if (!err) {
		memcpy(now.name, share->name, sizeof(now.name));
		memcpy(now.label, share->label, sizeof(now.label));
		now.publish = share->publish;
		err = share_record_put(txn, &now);
	}
	return record_end(txn, err);
}

int share_remove(struct db *work, uint32_t id)
{
	static const char *const tables[] = { "nodes",	"names", "sizes",
					      "leaves", "spans", "versions" };
	struct share_record share;
	struct db_txn *txn;
	struct buf key = { 0 };
	int err = db_begin(work, true, &txn);

	if (err)
		return err;
	err = share_record_get(txn, id, &share);
	if (err == -EIO) /* what cannot be read can be removed */
		err = 0;
	for (size_t i = 0; !err && i < ARRAY_LEN(tables); i++)
		err = share_rows_del(txn, tables[i], id);
	key_of(&key, id);
	if (!err)
		err = db_del(txn, "share", buf_bytes(&key));
	buf_release(&key);
	return record_end(txn, err);
}

/* ---- versions ---- */

static void version_key(struct buf *key, uint32_t id, uint64_t stamp, uint64_t pen)
{
	key_of(key, id);
	put_u64(key, stamp);
	put_u64(key, pen);
}

int version_put(struct db_txn *txn, uint32_t id, const struct tree_version *version)
{
	struct buf key = { 0 }, value = { 0 };

	version_key(&key, id, version->stamp, version->pen);
	buf_add_u8(&value, RECORD_VERSION);
	put_u64(&value, version->no);
	put_u64(&value, version->files);
	put_u64(&value, version->size);
	put_u64(&value, version->added);
	put_u64(&value, version->changed);
	put_u64(&value, version->removed);
	put_u64(&value, version->new_bytes);
	put_short(&value, cid_bytes(&version->commit));
	put_short(&value, cid_bytes(&version->root));
	put_short(&value, cid_bytes(&version->state));
	int err = db_put(txn, "versions", buf_bytes(&key), buf_bytes(&value));

	buf_release(&key);
	buf_release(&value);
	return err;
}

static int version_decode(struct tree_version *out, struct bytes key, struct bytes value)
{
	struct cursor k = cursor_over(bytes_skip(key, 4)), c = cursor_over(value);
	uint8_t version = cursor_u8(&c);

	*out = (struct tree_version){ .stamp = cursor_be64(&k) };
	out->pen = cursor_be64(&k);
	out->no = cursor_be64(&c);
	out->files = cursor_be64(&c);
	out->size = cursor_be64(&c);
	out->added = cursor_be64(&c);
	out->changed = cursor_be64(&c);
	out->removed = cursor_be64(&c);
	out->new_bytes = cursor_be64(&c);
	get_cid(&c, &out->commit);
	get_cid(&c, &out->root);
	get_cid(&c, &out->state);
	return k.bad || cursor_left(&k) || c.bad || cursor_left(&c) || version != RECORD_VERSION
		       ? -EIO
		       : 0;
}

struct version_walk {
	int (*each)(void *ctx, const struct tree_version *version);
	void *ctx;
	bool damaged;
};

static int walk_version(void *ctx, struct bytes key, struct bytes value)
{
	struct version_walk *walk = ctx;
	struct tree_version version;

	if (version_decode(&version, key, value)) {
		walk->damaged = true;
		return 0;
	}
	return walk->each(walk->ctx, &version);
}

int version_each(struct db_txn *txn, uint32_t id,
		 int (*each)(void *ctx, const struct tree_version *version), void *ctx)
{
	struct version_walk walk = { .each = each, .ctx = ctx };
	struct buf prefix = { 0 };

	key_of(&prefix, id);
	int err = db_each(txn, "versions", buf_bytes(&prefix), bytes_of(NULL, 0), walk_version,
			  &walk);

	buf_release(&prefix);
	return !err && walk.damaged ? -EIO : err;
}

int version_del(struct db_txn *txn, uint32_t id, uint64_t stamp, uint64_t pen)
{
	struct buf key = { 0 };

	version_key(&key, id, stamp, pen);
	int err = db_del(txn, "versions", buf_bytes(&key));

	buf_release(&key);
	return err;
}

int share_each_version(struct db *work, uint32_t id,
		       int (*each)(void *ctx, const struct tree_version *version), void *ctx)
{
	struct db_txn *txn;
	int err = db_begin(work, false, &txn);

	if (err)
		return err;
	err = version_each(txn, id, each, ctx);
	db_abort(txn);
	return err;
}

/* ---- what history keeps ---- */

/* Of versions of one age, one in so many ms stays; 0: all. UINT64_MAX: none. */
static uint64_t grid_of(uint64_t age_ms)
{
	if (age_ms <= HOUR_MS)
		return 0;
	if (age_ms <= DAY_MS)
		return 10 * MINUTE_MS;
	if (age_ms <= 7 * DAY_MS)
		return HOUR_MS;
	return age_ms <= 90 * DAY_MS ? DAY_MS : UINT64_MAX;
}

struct thinning {
	struct dot {
		uint64_t stamp, pen;
	} * dots;
	size_t count, cap;
};

static int collect_version(void *ctx, const struct tree_version *version)
{
	struct thinning *thinning = ctx;

	if (thinning->count == thinning->cap) {
		thinning->cap = thinning->cap ? thinning->cap * 2 : 256;
		thinning->dots = xrealloc(thinning->dots, thinning->cap * sizeof(*thinning->dots));
	}
	thinning->dots[thinning->count++] = (struct dot){ version->stamp, version->pen };
	return 0;
}

/* Is the version older than the hour, and another of its stretch of time newer? kept: how many
 * newer ones stay. */
static bool is_spare(const struct thinning *thinning, size_t i, uint64_t now_ms, size_t kept)
{
	uint64_t at = thinning->dots[i].stamp >> 16;
	uint64_t grid = grid_of(now_ms > at ? now_ms - at : 0);

	if (i + 1 == thinning->count)
		return false;
	if (grid == UINT64_MAX || kept >= HISTORY_MAX)
		return true;
	return grid && (thinning->dots[i + 1].stamp >> 16) / grid == at / grid;
}

int versions_thin(struct db_txn *txn, uint32_t id, uint64_t now_ms)
{
	struct thinning thinning = { 0 };
	size_t kept = 0;
	int err = version_each(txn, id, collect_version, &thinning);

	if (err == -EIO) /* a damaged one stays, and no commit fails for it */
		err = 0;
	for (size_t i = thinning.count; !err && i-- > 0;) {
		if (is_spare(&thinning, i, now_ms, kept))
			err = version_del(txn, id, thinning.dots[i].stamp, thinning.dots[i].pen);
		else
			kept++;
	}
	free(thinning.dots);
	return err == -ENOENT ? 0 : err;
}

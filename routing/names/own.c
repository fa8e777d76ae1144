/* Own names in the db. Other threads and processes make records; the loop notes which were told and
 * what it has seen of others. Each of the three tables has one kind of writer, so that a posted
 * write never undoes another's. */
#include "routing/names/own.h"

#include "net/base/alloc.h"
#include "net/db/db.h"
#include "routing/names.h"
#include "routing/record/ipns.h"
#include "routing/record/ipns_write.h"

#include <errno.h>
#include <string.h>

/*
 * Keys are binary names (peer ids).
 * "names"       u8 version 1 | u8 flags (1: without the first signature) | le64 lifetime_ms |
 *               le64 ttl_ms | le64 made_ms | record
 * "names_told"  u8 version 1 | le64 told_ms | le64 sequence | le64 eol_ns: which record was told
 * "names_seen"  the best record that came from the network, of own names and followed ones
 */
#define OWN "names"
#define TOLD "names_told"
#define SEEN "names_seen"
#define VERSION 1
#define FLAG_WITHOUT_V1 1
#define NS_PER_MS 1000000ull

/* ---- records ---- */

int name_record_read(struct name_record *out, struct bytes record, uint64_t now_ns)
{
	struct ipns_record decoded;
	int err = ipns_decode(&decoded, record);

	if (err)
		return err;
	*out = (struct name_record){ .bytes = record,
				     .value = decoded.value,
				     .commit = decoded.commit,
				     .sequence = decoded.sequence,
				     .ttl_ns = decoded.ttl_ns,
				     .eol_ns = eol_ns(&decoded.eol),
				     .has_v1 = decoded.has_v1 };
	out->expired = now_ns > out->eol_ns;
	return 0;
}

int name_record_check(struct name_record *out, const struct peer_id *name, struct bytes record,
		      uint64_t now_ns)
{
	struct ipns_record decoded;
	int err = ipns_decode(&decoded, record);

	if (!err)
		err = ipns_verify(&decoded, name);
	return err ? err : name_record_read(out, record, now_ns);
}

const char *name_record_eol(const struct name_record *record, char out[static NAME_EOL_TEXT_MAX])
{
	struct ipns_record decoded;

	_Static_assert(NAME_EOL_TEXT_MAX == EOL_TEXT_MAX, "one is the other");
	if (ipns_decode(&decoded, record->bytes) || !eol_text(&decoded.eol, out))
		*out = 0;
	return out;
}

int name_record_compare(struct bytes a, struct bytes b)
{
	return ipns_compare(a, b);
}

/* ---- reading ---- */

/* *record borrows from value. */
static int own_decode(struct name_own *own, struct bytes value, struct bytes *record)
{
	struct cursor c = cursor_over(value);
	uint8_t version = cursor_u8(&c), flags = cursor_u8(&c);

	own->without_v1 = flags & FLAG_WITHOUT_V1;
	own->lifetime_ms = cursor_le64(&c);
	own->ttl_ms = cursor_le64(&c);
	own->made_ms = cursor_le64(&c);
	*record = cursor_take(&c, cursor_left(&c));
	return c.bad || version != VERSION || record->len == 0 ? -EBADMSG : 0;
}

/* When the record was told; 0: never, or it was another one. */
static uint64_t told_ms_of(struct db_txn *txn, const struct peer_id *name, struct bytes record)
{
	struct ipns_record decoded;
	struct bytes value;
	struct cursor c;
	uint64_t told_ms;

	if (db_get(txn, TOLD, peer_id_bytes(name), &value) || ipns_decode(&decoded, record))
		return 0;
	c = cursor_over(value);
	if (cursor_u8(&c) != VERSION)
		return 0;
	told_ms = cursor_le64(&c);
	if (cursor_le64(&c) != decoded.sequence || cursor_le64(&c) != eol_ns(&decoded.eol))
		return 0;
	return c.bad ? 0 : told_ms;
}

static int own_fill(struct db_txn *txn, struct name_own *out, struct bytes value)
{
	struct bytes record;
	int err = own_decode(out, value, &record);

	if (err)
		return err;
	out->told_ms = told_ms_of(txn, &out->name, record);
	buf_add(&out->record, record);
	return 0;
}

static int own_read(struct db_txn *txn, const struct peer_id *name, struct name_own *out)
{
	struct bytes value;
	int err = db_get(txn, OWN, peer_id_bytes(name), &value);

	*out = (struct name_own){ .name = *name };
	return err ? err : own_fill(txn, out, value);
}

int name_own_get(struct db *db, const struct peer_id *name, struct name_own *out)
{
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	*out = (struct name_own){ 0 };
	if (err)
		return err;
	err = own_read(txn, name, out);
	db_abort(txn);
	return err;
}

void name_own_release(struct name_own *own)
{
	buf_release(&own->record);
}

struct each {
	struct db_txn *txn;
	name_own_fn *fn;
	void *ctx;
};

static int each_own(void *ctx, struct bytes key, struct bytes value)
{
	struct each *each = ctx;
	struct name_own own = { 0 };
	int err = 0;

	/* What is no record of ours is left alone. */
	if (!peer_id_from_bytes(&own.name, key) && !own_fill(each->txn, &own, value))
		err = each->fn(each->ctx, &own);
	name_own_release(&own);
	return err;
}

int name_own_each(struct db *db, name_own_fn *fn, void *ctx)
{
	struct each each = { .fn = fn, .ctx = ctx };
	int err = db_begin(db, false, &each.txn);

	if (err)
		return err;
	err = db_each(each.txn, OWN, bytes_of(NULL, 0), bytes_of(NULL, 0), each_own, &each);
	db_abort(each.txn);
	return err;
}

/* The record that came from the network, appended: -ENOENT there is none that decodes. */
static int seen_read(struct db_txn *txn, const struct peer_id *name, struct buf *out)
{
	struct ipns_record decoded;
	struct bytes value;
	int err = db_get(txn, SEEN, peer_id_bytes(name), &value);

	if (err)
		return err;
	if (ipns_decode(&decoded, value))
		return -ENOENT;
	buf_add(out, value);
	return 0;
}

int name_stored(struct db *db, const struct peer_id *name, struct buf *record)
{
	struct buf seen = { 0 };
	struct name_own own;
	struct db_txn *txn;
	int err = db_begin(db, false, &txn), other;

	if (err)
		return err;
	err = own_read(txn, name, &own);
	other = seen_read(txn, name, &seen);
	db_abort(txn);
	if (!other && (err || ipns_compare(buf_bytes(&seen), buf_bytes(&own.record)) > 0))
		buf_add(record, buf_bytes(&seen));
	else if (!err)
		buf_add(record, buf_bytes(&own.record));
	name_own_release(&own);
	buf_release(&seen);
	return other && err ? err : 0;
}

/* ---- making ---- */

/* Of both tables, in the transaction that is to write. A damaged record is as none: the network
 * may know more of it. */
struct known {
	struct name_own own;
	bool has_own;
	struct buf seen;
	struct ipns_record best; /* of both; borrows from them */
	bool has_best, seen_best;
};

static void known_read(struct known *known, struct db_txn *txn, const struct peer_id *name,
		       struct bytes told)
{
	struct ipns_record decoded;
	bool has_seen = seen_read(txn, name, &known->seen) == 0;

	if (told.len > 0 && ipns_decode(&decoded, told) == 0 &&
	    (!has_seen || ipns_compare(told, buf_bytes(&known->seen)) > 0)) {
		buf_clear(&known->seen);
		buf_add(&known->seen, told);
		has_seen = true;
	}
	known->has_own = own_read(txn, name, &known->own) == 0 &&
			 ipns_decode(&known->best, buf_bytes(&known->own.record)) == 0;
	known->seen_best =
		has_seen && (!known->has_own || ipns_compare(buf_bytes(&known->seen),
							     buf_bytes(&known->own.record)) > 0);
	known->has_best = known->has_own || has_seen;
	if (known->seen_best)
		ipns_decode(&known->best, buf_bytes(&known->seen));
}

static void known_release(struct known *known)
{
	name_own_release(&known->own);
	buf_release(&known->seen);
}

/* Writes content's record into the transaction and appends it to out. */
static int own_write(struct db_txn *txn, const struct private_key *key,
		     const struct ipns_content *content, const struct name_own *how,
		     struct buf *out)
{
	struct buf record = { 0 }, value = { 0 };
	int err = ipns_write(content, key, &record);

	buf_add_u8(&value, VERSION);
	buf_add_u8(&value, how->without_v1 ? FLAG_WITHOUT_V1 : 0);
	buf_add_le64(&value, how->lifetime_ms);
	buf_add_le64(&value, how->ttl_ms);
	buf_add_le64(&value, how->made_ms);
	buf_add(&value, buf_bytes(&record));
	if (!err)
		err = db_put(txn, OWN, peer_id_bytes(&how->name), buf_bytes(&value));
	if (!err && out)
		buf_add(out, buf_bytes(&record));
	buf_release(&record);
	buf_release(&value);
	return err;
}

/* False: there is none after it. */
static bool next_sequence(uint64_t *sequence)
{
	if (*sequence >= INT64_MAX)
		return false;
	++*sequence;
	return true;
}

static int pick_sequence(const struct known *known, const struct name_new *new,
			 struct ipns_content *content)
{
	const struct ipns_record *best = &known->best;

	content->sequence = new->sequence_given ? new->sequence : 0;
	if (!known->has_best)
		return 0;
	if (new->sequence_given)
		return new->sequence > best->sequence ? 0 : -ERANGE;
	content->sequence = best->sequence;
	/* With the same sequence, others take what lives longer. */
	if (!new->always_next && bytes_equal(best->value, new->value) &&
	    bytes_equal(best->commit, new->commit) && eol_cmp(&content->eol, &best->eol) > 0)
		return 0;
	return next_sequence(&content->sequence) ? 0 : -ERANGE;
}

static bool add_ms(uint64_t now_ns, uint64_t ms, uint64_t *out)
{
	uint64_t ns;

	return !__builtin_mul_overflow(ms, NS_PER_MS, &ns) && ns <= INT64_MAX &&
	       !__builtin_add_overflow(now_ns, ns, out) && *out <= INT64_MAX;
}

int name_own_make(struct db *db, const struct private_key *key, const struct name_new *new,
		  uint64_t now_ns, struct buf *record)
{
	struct name_own how = { .lifetime_ms = new->lifetime_ms,
				.ttl_ms = new->ttl_ms,
				.made_ms = now_ns / NS_PER_MS,
				.without_v1 = new->without_v1 };
	struct ipns_content content = { .value = new->value,
					.commit = new->commit,
					.without_v1 = new->without_v1 };
	struct known known = { 0 };
	struct db_txn *txn;
	uint64_t end_ns;
	int err;

	if (new->value.len == 0 || !add_ms(now_ns, new->lifetime_ms, &end_ns) ||
	    !add_ms(0, new->ttl_ms, &content.ttl_ns))
		return -EINVAL;
	if (new->value.len > NAME_VALUE_MAX || new->commit.len > NAME_COMMIT_MAX)
		return -EMSGSIZE;
	content.eol = eol_of_ns(end_ns);
	peer_id_of_key(&how.name, private_key_public(key));
	err = db_flush(db); /* what this process has seen counts */
	if (!err)
		err = db_begin(db, true, &txn);
	if (err)
		return err;
	known_read(&known, txn, &how.name, new->known);
	err = pick_sequence(&known, new, &content);
	if (!err)
		err = own_write(txn, key, &content, &how, record);
	known_release(&known);
	if (err)
		db_abort(txn);
	return err ? err : db_commit(txn);
}

/* The content that goes on: see name_own_renew() in names.h. False: no sequence is left. */
static bool renewed(const struct known *known, struct ipns_content *content)
{
	bool untold = known->has_own && known->own.told_ms == 0 && known->seen_best;
	struct ipns_record own;

	content->sequence = known->best.sequence;
	content->value = known->best.value;
	content->commit = known->best.commit;
	if (!untold || ipns_decode(&own, buf_bytes(&known->own.record)))
		return true;
	content->value = own.value;
	content->commit = own.commit;
	return next_sequence(&content->sequence);
}

int name_own_renew(struct db *db, const struct private_key *key, uint64_t now_ns)
{
	struct ipns_content content = { 0 };
	struct known known = { 0 };
	struct peer_id name;
	struct db_txn *txn;
	uint64_t end_ns;
	int err = db_flush(db);

	if (!err)
		err = db_begin(db, true, &txn);
	if (err)
		return err;
	peer_id_of_key(&name, private_key_public(key));
	known_read(&known, txn, &name, bytes_of(NULL, 0));
	known.own.name = name;
	if (!known.has_own) {
		known.own.lifetime_ms = NAME_LIFETIME_MS;
		known.own.ttl_ms = known.best.ttl_ns / NS_PER_MS;
		known.own.without_v1 = known.has_best && !known.best.has_v1;
	}
	known.own.made_ms = now_ns / NS_PER_MS;
	if (!known.has_best)
		err = -ENOENT;
	else if (!add_ms(now_ns, known.own.lifetime_ms, &end_ns) ||
		 !add_ms(0, known.own.ttl_ms, &content.ttl_ns))
		err = -EBADMSG;
	content.eol = eol_of_ns(err ? 0 : end_ns);
	content.without_v1 = known.own.without_v1;
	if (!err && !renewed(&known, &content))
		err = -ERANGE;
	/* Never with an earlier end than the record has that the network has. */
	if (!err && known.best.sequence == content.sequence &&
	    eol_cmp(&content.eol, &known.best.eol) <= 0 && !next_sequence(&content.sequence))
		err = -ERANGE;
	if (!err)
		err = own_write(txn, key, &content, &known.own, NULL);
	known_release(&known);
	if (err)
		db_abort(txn);
	return err ? err : db_commit(txn);
}

int name_keep(struct db *db, const struct peer_id *name, struct bytes record)
{
	struct buf stored = { 0 };
	struct db_txn *txn;
	int order = 1, err = db_flush(db);

	if (!err && name_stored(db, name, &stored) == 0)
		order = ipns_compare(record, buf_bytes(&stored));
	buf_release(&stored);
	if (!err && order < 0)
		err = -ESTALE;
	if (err || order == 0)
		return err;
	err = db_begin(db, true, &txn);
	if (err)
		return err;
	err = db_put(txn, SEEN, peer_id_bytes(name), record);
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err;
}

int name_forget(struct db *db, const struct peer_id *name)
{
	struct db_txn *txn;
	int err = db_flush(db);

	if (!err)
		err = db_begin(db, true, &txn);
	if (err)
		return err;
	err = db_del(txn, SEEN, peer_id_bytes(name));
	if (!err)
		return db_commit(txn);
	db_abort(txn);
	return err == -ENOENT ? 0 : err;
}

/* ---- notes of the loop ---- */

void name_own_told(struct db *db, const struct name_own *own, uint64_t now_ms)
{
	struct ipns_record decoded;
	struct buf value = { 0 };

	if (ipns_decode(&decoded, buf_bytes(&own->record)))
		return;
	buf_add_u8(&value, VERSION);
	buf_add_le64(&value, now_ms);
	buf_add_le64(&value, decoded.sequence);
	buf_add_le64(&value, eol_ns(&decoded.eol));
	db_post(db, TOLD, peer_id_bytes(&own->name), buf_bytes(&value));
	buf_release(&value);
}

void name_seen(struct db *db, const struct peer_id *name, struct bytes record)
{
	db_post(db, SEEN, peer_id_bytes(name), record);
}

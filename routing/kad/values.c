/* Value records, in memory and in a db table. Records are validated and ranked by the rules of
 * their namespace before they are kept. A peer has a share of the records and of the signature
 * checks; when the store is full, the records farthest from us go. Loop thread. */
#include "routing/kad/values.h"

#include "net/base/alloc.h"
#include "net/db/db.h"
#include "routing/record/ipns.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * In the table: key    the record's key
 *               value  le64 milliseconds since 1970 | u8 length of the teller's id | id | record
 */

#define NS_PER_MS 1000000
#define BUILT_IN 2 /* rules */

/* ---- rules ---- */

/* "/pk/" | multihash of a public key; the value is the key's protobuf. */
static int pk_validate(struct bytes key, struct bytes value, uint64_t wallclock_ns)
{
	struct public_key public;
	struct peer_id named, is;
	int err;

	(void)wallclock_ns;
	if (peer_id_from_bytes(&named, bytes_skip(key, strlen("/pk/"))))
		return -EBADMSG;
	err = public_key_decode(&public, value);
	if (err)
		return err;
	/* Otherwise anybody could append bytes to a good key. */
	if (!bytes_equal(public_key_proto(&public), value))
		return -EBADMSG;
	peer_id_of_key(&is, &public);
	return peer_id_equal(&named, &is) ? 0 : -EKEYREJECTED;
}

static int pk_compare(struct bytes a, struct bytes b)
{
	(void)a;
	(void)b;
	return 0;
}

const struct record_rules *kad_values_rules(const struct kad_values *store, struct bytes key)
{
	for (size_t i = 0; i < store->rules_count; i++) {
		struct bytes space = bytes_str(store->rules[i].space);

		if (key.len > space.len + 2 && key.at[0] == '/' && key.at[space.len + 1] == '/' &&
		    bytes_start_with(bytes_skip(key, 1), space))
			return &store->rules[i];
	}
	return NULL;
}

/* What is told without a look at the record itself. */
static int check_form(const struct kad_values *store, struct bytes key, struct bytes value)
{
	if (key.len > ROUTING_KEY_MAX || value.len > ROUTING_VALUE_MAX)
		return -EMSGSIZE;
	return kad_values_rules(store, key) ? 0 : -EKEYREJECTED;
}

int kad_values_check(const struct kad_values *store, struct bytes key, struct bytes value,
		     uint64_t now_ns)
{
	int err = check_form(store, key, value);

	return err ? err : kad_values_rules(store, key)->validate(key, value, now_ns);
}

/* ---- records ---- */

static uintptr_t count_of(const struct kad_values *store, const struct peer_id *peer)
{
	return (uintptr_t)map_get(&store->peers, peer_id_bytes(peer));
}

static void count_add(struct kad_values *store, const struct peer_id *peer, int change)
{
	uintptr_t count = count_of(store, peer) + (uintptr_t)change;

	if (count > 0)
		map_set(&store->peers, peer_id_bytes(peer), (void *)count);
	else
		map_remove(&store->peers, peer_id_bytes(peer));
}

static void free_value(struct kad_value *entry)
{
	buf_release(&entry->value);
	free(entry);
}

static void value_drop(struct kad_values *store, struct bytes key, struct kad_value *entry)
{
	if (store->db)
		db_post(store->db, store->table, key, bytes_of(NULL, 0));
	count_add(store, &entry->from, -1);
	store->bytes -= entry->value.len;
	map_remove(&store->keys, key);
	free_value(entry);
}

static bool is_younger(const struct kad_value *entry, uint64_t now_ms, uint64_t age_ms)
{
	return now_ms <= entry->told_ms || now_ms - entry->told_ms < age_ms;
}

static bool is_alive(const struct kad_value *entry, uint64_t now_ns)
{
	return is_younger(entry, now_ns / NS_PER_MS, KAD_VALUE_TTL_MS) &&
	       (!entry->checked || now_ns <= entry->expires_ns);
}

static void set_checked(const struct kad_values *store, struct bytes key, struct kad_value *entry)
{
	const struct record_rules *rules = kad_values_rules(store, key);

	entry->checked = true;
	entry->expires_ns =
		rules->expires_ns ? rules->expires_ns(buf_bytes(&entry->value)) : UINT64_MAX;
}

static void value_keep(struct kad_values *store, struct bytes key, const struct kad_value *entry)
{
	struct buf out = { 0 };

	if (!store->db)
		return;
	buf_add_le64(&out, entry->told_ms);
	buf_add_u8(&out, entry->from.len);
	buf_add(&out, peer_id_bytes(&entry->from));
	buf_add(&out, buf_bytes(&entry->value));
	db_post(store->db, store->table, key, buf_bytes(&out));
	buf_release(&out);
}

/* ---- room ---- */

static uint64_t distance_of(const struct kad_values *store, struct bytes key)
{
	struct place id = place_of_key(key);

	return place_distance(&store->place, &id);
}

/* Its teller may have it here. old (may be NULL): what it replaces. */
static bool has_share(const struct kad_values *store, const struct kad_value *old,
		      const struct peer_id *from)
{
	return (old && peer_id_equal(&old->from, from)) ||
	       count_of(store, from) < KAD_VALUES_PEER_MAX;
}

static bool values_fits(const struct kad_values *store, const struct kad_value *old,
			struct bytes value)
{
	size_t freed = old ? old->value.len : 0;

	return (old || store->keys.count < KAD_VALUES_MAX) &&
	       store->bytes - freed + value.len <= KAD_VALUES_BYTES_MAX;
}

/* A record that wants in, so far from us (0: it is our own). */
struct newcomer {
	const struct kad_value *old;
	struct bytes value;
	uint64_t distance;
};

static bool may_go(const struct kad_value *entry, const struct newcomer *newcomer)
{
	return entry != newcomer->old && !entry->own && entry->distance > newcomer->distance;
}

/* There is room, or enough may go. */
static bool could_fit(const struct kad_values *store, const struct newcomer *newcomer)
{
	size_t freed = newcomer->old ? newcomer->old->value.len : 0, going = 0, at = 0;
	struct bytes key;
	void *value;

	if (values_fits(store, newcomer->old, newcomer->value))
		return true;
	while (map_next(&store->keys, &at, &key, &value)) {
		if (!may_go(value, newcomer))
			continue;
		freed += ((struct kad_value *)value)->value.len;
		going++;
	}
	return (newcomer->old || going > 0) &&
	       store->bytes - freed + newcomer->value.len <= KAD_VALUES_BYTES_MAX;
}

/* After could_fit(). */
static void make_room(struct kad_values *store, const struct newcomer *newcomer)
{
	while (!values_fits(store, newcomer->old, newcomer->value)) {
		struct kad_value *farthest = NULL;
		struct bytes key, far = { 0 };
		void *value;
		size_t at = 0;

		while (map_next(&store->keys, &at, &key, &value)) {
			struct kad_value *entry = value;

			if (!may_go(entry, newcomer) ||
			    (farthest && entry->distance <= farthest->distance))
				continue;
			farthest = entry;
			far = key;
		}
		assert(farthest);
		value_drop(store, far, farthest);
	}
}

/* Keeps a record in memory and counts it. The caller has made room. */
static int value_insert(struct kad_values *store, struct bytes key, struct bytes value,
			const struct peer_id *from, uint64_t told_ms)
{
	struct kad_value *entry = map_get(&store->keys, key);

	if (!has_share(store, entry, from) || !values_fits(store, entry, value))
		return -EAGAIN;
	if (entry) {
		count_add(store, &entry->from, -1);
		store->bytes -= entry->value.len;
	} else {
		entry = xnew(struct kad_value);
		entry->distance = distance_of(store, key);
		map_set(&store->keys, key, entry);
	}
	buf_clear(&entry->value);
	buf_add(&entry->value, value);
	store->bytes += value.len;
	entry->from = *from;
	entry->told_ms = told_ms;
	entry->checked = false;
	entry->own = entry->own || peer_id_equal(from, &store->self);
	count_add(store, from, 1);
	return 0;
}

/* ---- put ---- */

/* What is told again and again costs neither a signature nor a write. */
static bool is_settled(const struct kad_values *store, const struct kad_value *old,
		       struct bytes value, const struct peer_id *from, uint64_t now_ms)
{
	bool becomes_own = !old->own && peer_id_equal(from, &store->self);

	return !becomes_own && bytes_equal(buf_bytes(&old->value), value) &&
	       is_younger(old, now_ms, KAD_VALUE_SETTLED_MS);
}

/* Before any work is done for it: there is a place for it. */
static int find_place(struct kad_values *store, const struct newcomer *newcomer,
		      const struct peer_id *from, uint64_t now_ns)
{
	if (!has_share(store, newcomer->old, from) ||
	    !values_fits(store, newcomer->old, newcomer->value))
		kad_values_sweep(store, now_ns);
	return has_share(store, newcomer->old, from) && could_fit(store, newcomer) ? 0 : -EAGAIN;
}

/* It may be kept in place of old. */
static int values_judge(struct kad_values *store, struct bytes key, const struct newcomer *newcomer,
			const struct peer_id *from, uint64_t now_ns)
{
	struct bytes old = newcomer->old ? buf_bytes(&newcomer->old->value) : bytes_of(NULL, 0);
	int err;

	if (newcomer->old && bytes_equal(old, newcomer->value))
		return 0;
	if (!peer_id_equal(from, &store->self) &&
	    !kad_check_rate_take(&store->rate, from, now_ns / NS_PER_MS))
		return -EAGAIN;
	err = kad_values_check(store, key, newcomer->value, now_ns);
	if (!err && newcomer->old &&
	    kad_values_rules(store, key)->compare(old, newcomer->value) > 0)
		err = -ESTALE;
	return err;
}

int kad_values_put(struct kad_values *store, struct bytes key, struct bytes value,
		   const struct peer_id *from, uint64_t now_ns)
{
	bool own = peer_id_equal(from, &store->self);
	struct newcomer newcomer = { .value = value };
	struct kad_value *entry;
	int err = check_form(store, key, value);

	if (err)
		return err;
	newcomer.old = kad_values_get(store, key, now_ns);
	if (!newcomer.old && map_get(&store->keys, key))
		return -EAGAIN; /* which of the two is better cannot be told now */
	newcomer.distance = own ? 0 : distance_of(store, key);
	if (newcomer.old && is_settled(store, newcomer.old, value, from, now_ns / NS_PER_MS))
		return 0;
	err = find_place(store, &newcomer, from, now_ns);
	if (!err)
		err = values_judge(store, key, &newcomer, from, now_ns);
	if (err)
		return err;
	make_room(store, &newcomer);
	err = value_insert(store, key, value, from, now_ns / NS_PER_MS);
	assert(!err);
	entry = map_get(&store->keys, key);
	set_checked(store, key, entry);
	if (own)
		entry->due_ms = entry->told_ms + KAD_VALUE_RETRY_MS;
	value_keep(store, key, entry);
	return 0;
}

const struct kad_value *kad_values_get(struct kad_values *store, struct bytes key, uint64_t now_ns)
{
	struct kad_value *entry = map_get(&store->keys, key);

	if (!entry || (is_alive(entry, now_ns) && entry->checked))
		return entry;
	if (is_alive(entry, now_ns) && !entry->own &&
	    !kad_check_rate_take(&store->rate, NULL, now_ns / NS_PER_MS))
		return NULL;
	if (!is_alive(entry, now_ns) ||
	    kad_values_check(store, key, buf_bytes(&entry->value), now_ns)) {
		value_drop(store, key, entry);
		return NULL;
	}
	set_checked(store, key, entry);
	return entry;
}

void kad_values_sweep(struct kad_values *store, uint64_t now_ns)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&store->keys, &at, &key, &value))
		if (!is_alive(value, now_ns))
			value_drop(store, key, value);
}

/* ---- our own ---- */

bool kad_values_due(struct kad_values *store, uint64_t now_ns, struct buf *out)
{
	uint64_t now_ms = now_ns / NS_PER_MS;
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&store->keys, &at, &key, &value)) {
		struct kad_value *entry = value;

		/* Due far ahead means that the clock was turned back. */
		if (!entry->own ||
		    (entry->due_ms > now_ms && entry->due_ms - now_ms <= KAD_VALUE_AGAIN_MS))
			continue;
		entry->due_ms = now_ms + KAD_VALUE_RETRY_MS;
		buf_add(out, key);
		return true;
	}
	return false;
}

void kad_values_told(struct kad_values *store, struct bytes key, uint64_t now_ns)
{
	struct kad_value *entry = map_get(&store->keys, key);

	if (entry && entry->own)
		entry->due_ms = now_ns / NS_PER_MS + KAD_VALUE_AGAIN_MS;
}

/* ---- start and end ---- */

struct loading {
	struct kad_values *store;
	uint64_t now_ns;
};

static int load_one(void *ctx, struct bytes key, struct bytes in)
{
	struct loading *loading = ctx;
	struct kad_values *store = loading->store;
	struct cursor c = cursor_over(in);
	struct kad_value entry = { .told_ms = cursor_le64(&c) };
	struct bytes from = cursor_take(&c, cursor_u8(&c));
	struct bytes value = cursor_take(&c, cursor_left(&c));
	int err = c.bad ? -EBADMSG : peer_id_from_bytes(&entry.from, from);

	if (!err && (!is_alive(&entry, loading->now_ns) || value.len > ROUTING_VALUE_MAX ||
		     !kad_values_rules(store, key)))
		err = -ESTALE;
	/* What the clock of before called later than now lives no longer for it. */
	if (entry.told_ms > loading->now_ns / NS_PER_MS)
		entry.told_ms = loading->now_ns / NS_PER_MS;
	if (!err)
		err = value_insert(store, key, value, &entry.from, entry.told_ms);
	if (err)
		db_post(store->db, store->table, key, bytes_of(NULL, 0));
	else
		kad_values_told(store, key, entry.told_ms * NS_PER_MS);
	return 0;
}

void kad_values_init(struct kad_values *store, struct db *db, const char *table,
		     const struct peer_id *self, const struct record_rules *rules, size_t count,
		     uint64_t now_ns)
{
	struct loading loading = { .store = store, .now_ns = now_ns };
	struct db_txn *txn;

	*store = (struct kad_values){ .db = db,
				      .self = *self,
				      .place = place_of_key(peer_id_bytes(self)) };
	for (size_t i = 0; i < count && i < KAD_RULES_MAX - BUILT_IN; i++)
		store->rules[store->rules_count++] = rules[i];
	store->rules[store->rules_count++] = (struct record_rules){ .space = "pk",
								    .validate = pk_validate,
								    .compare = pk_compare };
	store->rules[store->rules_count++] = ipns_rules;
	snprintf(store->table, sizeof(store->table), "%s", table);
	if (!db || db_begin(db, false, &txn))
		return;
	db_each(txn, table, bytes_of(NULL, 0), bytes_of(NULL, 0), load_one, &loading);
	db_abort(txn);
}

void kad_values_release(struct kad_values *store)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&store->keys, &at, &key, &value))
		free_value(value);
	map_release(&store->keys);
	map_release(&store->peers);
	*store = (struct kad_values){ 0 };
}

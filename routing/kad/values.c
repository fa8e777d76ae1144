#include "routing/kad/values.h"

#include "net/base/alloc.h"
#include "net/base/db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * In the table: key    the record's key
 *               value  le64 milliseconds since 1970 | u8 length of the teller's id | id | record
 */

#define NS_PER_MS 1000000

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

int kad_values_check(const struct kad_values *store, struct bytes key, struct bytes value,
		     uint64_t now_ns)
{
	const struct record_rules *rules = kad_values_rules(store, key);

	if (key.len > ROUTING_KEY_MAX || value.len > ROUTING_VALUE_MAX)
		return -EMSGSIZE;
	return rules ? rules->validate(key, value, now_ns) : -EKEYREJECTED;
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

static void drop(struct kad_values *store, struct bytes key, struct kad_value *entry)
{
	if (store->db)
		db_post(store->db, store->table, key, bytes_of(NULL, 0));
	count_add(store, &entry->from, -1);
	map_remove(&store->keys, key);
	free_value(entry);
}

static bool is_young(const struct kad_value *entry, uint64_t now_ns)
{
	uint64_t now_ms = now_ns / NS_PER_MS;

	return now_ms <= entry->told_ms || now_ms - entry->told_ms < KAD_VALUE_TTL_MS;
}

static void keep(struct kad_values *store, struct bytes key, const struct kad_value *entry)
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

static int insert(struct kad_values *store, struct bytes key, struct bytes value,
		  const struct peer_id *from, uint64_t told_ms)
{
	struct kad_value *entry = map_get(&store->keys, key);
	bool same_teller = entry && peer_id_equal(&entry->from, from);

	if ((!entry && store->keys.count >= KAD_VALUES_MAX) ||
	    (!same_teller && count_of(store, from) >= KAD_VALUES_PEER_MAX))
		return -EAGAIN;
	if (entry) {
		count_add(store, &entry->from, -1);
	} else {
		entry = xnew(struct kad_value);
		map_set(&store->keys, key, entry);
	}
	buf_clear(&entry->value);
	buf_add(&entry->value, value);
	entry->from = *from;
	entry->told_ms = told_ms;
	count_add(store, from, 1);
	return 0;
}

int kad_values_put(struct kad_values *store, struct bytes key, struct bytes value,
		   const struct peer_id *from, uint64_t now_ns)
{
	const struct kad_value *old;
	int err = kad_values_check(store, key, value, now_ns);

	if (err)
		return err;
	old = kad_values_get(store, key, now_ns);
	if (old && kad_values_rules(store, key)->compare(buf_bytes(&old->value), value) > 0)
		return -ESTALE;
	err = insert(store, key, value, from, now_ns / NS_PER_MS);
	if (!err)
		keep(store, key, map_get(&store->keys, key));
	return err;
}

const struct kad_value *kad_values_get(struct kad_values *store, struct bytes key, uint64_t now_ns)
{
	struct kad_value *entry = map_get(&store->keys, key);

	if (entry && (!is_young(entry, now_ns) ||
		      kad_values_check(store, key, buf_bytes(&entry->value), now_ns))) {
		drop(store, key, entry);
		return NULL;
	}
	return entry;
}

void kad_values_sweep(struct kad_values *store, uint64_t now_ns)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&store->keys, &at, &key, &value))
		if (!is_young(value, now_ns))
			drop(store, key, value);
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

	if (!err && (!is_young(&entry, loading->now_ns) || value.len > ROUTING_VALUE_MAX ||
		     !kad_values_rules(store, key)))
		err = -ESTALE;
	if (!err)
		err = insert(store, key, value, &entry.from, entry.told_ms);
	if (err)
		db_post(store->db, store->table, key, bytes_of(NULL, 0));
	return 0;
}

void kad_values_init(struct kad_values *store, struct db *db, const char *table,
		     const struct record_rules *rules, size_t count, uint64_t now_ns)
{
	struct loading loading = { .store = store, .now_ns = now_ns };
	struct db_txn *txn;

	*store = (struct kad_values){ .db = db, .rules_count = 1 };
	store->rules[0] = (struct record_rules){ "pk", pk_validate, pk_compare };
	for (size_t i = 0; i < count && store->rules_count < KAD_RULES_MAX; i++)
		store->rules[store->rules_count++] = rules[i];
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

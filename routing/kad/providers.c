/* Provider records: in memory for answers, in a db table for restarts. When the store is full,
 * room is made by taking records from peers that have more than the newcomer. Loop thread. */
#include "routing/kad/providers.h"

#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/db/db.h"
#include "routing/kad/msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * In the table: key    uv8(length of the key) | key | peer id
 *               value  le64 milliseconds since 1970 when it was told
 */

#define VALUE_LEN 8
#define LOOKS_MAX 64 /* keys looked at to make room for one record */

/* A peer with records. */
struct provider {
	struct peer_id id;
	size_t count; /* of its records */
};

struct record {
	struct provider *peer;
	uint64_t told_ms;
};

struct kad_provider_key {
	struct record *records; /* oldest first */
	size_t count, cap;
};

static bool is_alive(const struct kad_providers *store, const struct record *record,
		     uint64_t now_ms)
{
	return now_ms < record->told_ms || now_ms - record->told_ms < store->ttl_ms;
}

/* ---- the table ---- */

static void db_key(struct buf *out, struct bytes key, const struct peer_id *peer)
{
	buf_add_u8(out, (uint8_t)key.len);
	buf_add(out, key);
	buf_add(out, peer_id_bytes(peer));
}

static void record_keep(struct kad_providers *store, struct bytes key, const struct peer_id *peer,
			uint64_t told_ms)
{
	struct buf name = { 0 }, value = { 0 };
	int err;

	if (!store->db)
		return;
	db_key(&name, key, peer);
	buf_add_le64(&value, told_ms);
	err = db_post(store->db, store->table, buf_bytes(&name), buf_bytes(&value));
	if (err)
		log_debug("kad", "provider record not kept err=%d", err);
	buf_release(&name);
	buf_release(&value);
}

static void record_unkeep(struct kad_providers *store, struct bytes key, const struct peer_id *peer)
{
	struct buf name = { 0 };

	if (!store->db)
		return;
	db_key(&name, key, peer);
	db_post(store->db, store->table, buf_bytes(&name), bytes_of(NULL, 0));
	buf_release(&name);
}

/* ---- in memory ---- */

/* The provider of a record that is to be added: counted. */
static struct provider *provider_join(struct kad_providers *store, const struct peer_id *peer)
{
	struct provider *provider = map_get(&store->peers, peer_id_bytes(peer));

	if (!provider) {
		provider = xnew(struct provider);
		provider->id = *peer;
		map_set(&store->peers, peer_id_bytes(peer), provider);
	}
	provider->count++;
	store->count++;
	return provider;
}

static void provider_leave(struct kad_providers *store, struct provider *provider)
{
	store->count--;
	if (--provider->count > 0)
		return;
	map_remove(&store->peers, peer_id_bytes(&provider->id));
	free(provider);
}

static void drop_at(struct kad_providers *store, struct kad_provider_key *entry, size_t at)
{
	provider_leave(store, entry->records[at].peer);
	memmove(&entry->records[at], &entry->records[at + 1],
		(entry->count - at - 1) * sizeof(*entry->records));
	entry->count--;
}

/* From the table too. */
static void forget_at(struct kad_providers *store, struct bytes key, struct kad_provider_key *entry,
		      size_t at)
{
	record_unkeep(store, key, &entry->records[at].peer->id);
	drop_at(store, entry, at);
}

static void free_key(struct kad_provider_key *entry)
{
	free(entry->records);
	free(entry);
}

static void drop_expired(struct kad_providers *store, struct bytes key,
			 struct kad_provider_key *entry, uint64_t now_ms)
{
	for (size_t i = entry->count; i-- > 0;)
		if (!is_alive(store, &entry->records[i], now_ms))
			forget_at(store, key, entry, i);
}

static size_t record_find(const struct kad_provider_key *entry, const struct peer_id *peer)
{
	size_t at = 0;

	while (at < entry->count && !peer_id_equal(&entry->records[at].peer->id, peer))
		at++;
	return at;
}

/* A record of entry that is over, or of a peer with more than share; entry->count when none is. */
static size_t find_spare(const struct kad_providers *store, const struct kad_provider_key *entry,
			 size_t share, uint64_t now_ms)
{
	size_t at = 0;

	while (at < entry->count && is_alive(store, &entry->records[at], now_ms) &&
	       entry->records[at].peer->count <= share)
		at++;
	return at;
}

/* Makes room in a full store: takes a record of a peer that has more than this one. Each call goes
 * on where the last one ended; peers with most records are met soonest. False: no peer has more. */
static bool make_room(struct kad_providers *store, const struct peer_id *peer, uint64_t now_ms)
{
	const struct provider *provider = map_get(&store->peers, peer_id_bytes(peer));
	size_t share = provider ? provider->count + 1 : 1;
	struct bytes key;
	void *value;

	if (store->hand > store->keys.count)
		store->hand = 0;
	for (unsigned looks = 0; looks < LOOKS_MAX; looks++) {
		if (!map_next(&store->keys, &store->hand, &key, &value)) {
			store->hand = 0;
			continue;
		}
		struct kad_provider_key *entry = value;
		size_t at = find_spare(store, entry, share, now_ms);

		if (at == entry->count)
			continue;
		store->displaced += is_alive(store, &entry->records[at], now_ms);
		forget_at(store, key, entry, at);
		if (entry->count == 0) {
			map_remove(&store->keys, key);
			free_key(entry);
		}
		return true;
	}
	return false;
}

static bool has_room(struct kad_providers *store, struct bytes key, const struct peer_id *peer,
		     uint64_t now_ms)
{
	struct kad_provider_key *entry = map_get(&store->keys, key);
	const struct provider *provider = map_get(&store->peers, peer_id_bytes(peer));

	if (provider && provider->count >= KAD_PROVIDERS_PEER_MAX)
		return false;
	if (entry && entry->count >= KAD_PROVIDERS_KEY_MAX)
		drop_expired(store, key, entry, now_ms);
	if (entry && entry->count >= KAD_PROVIDERS_KEY_MAX)
		return false;
	return store->count < KAD_PROVIDERS_TOTAL_MAX || make_room(store, peer, now_ms);
}

/* Puts a record in memory as the youngest of its key. -EAGAIN: no room. */
static int record_put(struct kad_providers *store, struct bytes key, const struct peer_id *peer,
		      uint64_t told_ms, uint64_t now_ms)
{
	struct kad_provider_key *entry = map_get(&store->keys, key);
	size_t at;

	if (entry && (at = record_find(entry, peer)) < entry->count) {
		drop_at(store, entry, at);
	} else if (!has_room(store, key, peer, now_ms)) {
		store->refused++;
		return -EAGAIN;
	}
	entry = map_get(&store->keys, key); /* it may have gone, to make room */
	if (!entry) {
		entry = xnew(struct kad_provider_key);
		map_set(&store->keys, key, entry);
	}
	if (entry->count == entry->cap) {
		entry->cap = entry->cap ? entry->cap * 2 : 1;
		entry->records = xrealloc(entry->records, entry->cap * sizeof(*entry->records));
	}
	entry->records[entry->count++] =
		(struct record){ .peer = provider_join(store, peer), .told_ms = told_ms };
	return 0;
}

int kad_providers_add(struct kad_providers *store, struct bytes key, const struct peer_id *peer,
		      uint64_t now_ms)
{
	int err;

	if (key.len == 0 || key.len > KAD_KEY_MAX)
		return -EINVAL;
	err = record_put(store, key, peer, now_ms, now_ms);
	if (!err)
		record_keep(store, key, peer, now_ms);
	return err;
}

void kad_providers_remove(struct kad_providers *store, struct bytes key, const struct peer_id *peer)
{
	struct kad_provider_key *entry = map_get(&store->keys, key);
	size_t at;

	if (!entry || (at = record_find(entry, peer)) == entry->count)
		return;
	forget_at(store, key, entry, at);
	if (entry->count == 0) {
		map_remove(&store->keys, key);
		free_key(entry);
	}
}

size_t kad_providers_get(const struct kad_providers *store, struct bytes key, uint64_t now_ms,
			 struct peer_id *out, size_t max)
{
	const struct kad_provider_key *entry = map_get(&store->keys, key);
	size_t count = 0;

	for (size_t i = entry ? entry->count : 0; i-- > 0 && count < max;)
		if (is_alive(store, &entry->records[i], now_ms))
			out[count++] = entry->records[i].peer->id;
	return count;
}

void kad_providers_sweep(struct kad_providers *store, uint64_t now_ms)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&store->keys, &at, &key, &value)) {
		struct kad_provider_key *entry = value;

		drop_expired(store, key, entry, now_ms);
		if (entry->count == 0) {
			map_remove(&store->keys, key);
			free_key(entry);
		}
	}
}

size_t kad_providers_keys(const struct kad_providers *store)
{
	return store->keys.count;
}

/* ---- start and end ---- */

struct loading {
	struct kad_providers *store;
	uint64_t now_ms;
};

static int load_one(void *ctx, struct bytes name, struct bytes value)
{
	struct loading *loading = ctx;
	struct cursor c = cursor_over(name), v = cursor_over(value);
	size_t len = cursor_u8(&c);
	struct bytes key = cursor_take(&c, len);
	struct record record = { .told_ms = cursor_le64(&v) };
	struct peer_id peer;
	int err = -EBADMSG;

	if (!c.bad && !v.bad && value.len == VALUE_LEN && key.len > 0 && key.len <= KAD_KEY_MAX)
		err = peer_id_from_bytes(&peer, bytes_skip(name, 1 + len));
	if (!err && !is_alive(loading->store, &record, loading->now_ms))
		err = -ETIMEDOUT;
	if (!err)
		err = record_put(loading->store, key, &peer, record.told_ms, loading->now_ms);
	if (err)
		db_post(loading->store->db, loading->store->table, name, bytes_of(NULL, 0));
	return 0;
}

void kad_providers_init(struct kad_providers *store, struct db *db, const char *table,
			uint64_t ttl_ms, uint64_t now_ms)
{
	struct loading loading = { .store = store, .now_ms = now_ms };
	struct db_txn *txn;

	*store = (struct kad_providers){ .db = db, .ttl_ms = ttl_ms };
	snprintf(store->table, sizeof(store->table), "%s", table);
	if (!db || db_begin(db, false, &txn))
		return;
	db_each(txn, table, bytes_of(NULL, 0), bytes_of(NULL, 0), load_one, &loading);
	db_abort(txn);
}

void kad_providers_release(struct kad_providers *store)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&store->keys, &at, &key, &value))
		free_key(value);
	at = 0;
	while (map_next(&store->peers, &at, &key, &value))
		free(value);
	map_release(&store->keys);
	map_release(&store->peers);
	*store = (struct kad_providers){ 0 };
}

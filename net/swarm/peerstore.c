/* Addresses of peers, each with its end of life. Peers that have answered and peers only heard of
 * are kept in two lists, so that invented peers cannot drive out real ones. Addresses that
 * answered are also kept in a table of the db. Loop thread. */
#include "net/swarm/peerstore.h"

#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/log.h"
#include "net/base/map.h"
#include "net/base/wait.h"
#include "net/db/db.h"
#include "net/net.h"
#include "net/wire/varint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The record of a peer in table "peers" (key: peer id):
 *   uv  seq of its signed record, 0 none
 *   per address that answered:  uv end of life, ms since 1970 | uv length | address
 */
#define TABLE "peers"
#define KNOWN_OVERHEAD 48 /* of an address in memory, for the byte limit */
#define GOOD_MAX                                                                                   \
	(PEERSTORE_PEERS_MAX / 4 *                                                                 \
	 3) /* peers that answered: above, the oldest of them goes first */

struct known {
	uint64_t until_ms; /* loop clock */
	uint64_t good_ms;  /* when it last answered; 0: never seen to */
	uint64_t added;	   /* order of arrival */
	bool identified;   /* told by identify: a signed record replaces it */
	uint16_t len;
	uint8_t addr[];
};

struct entry {
	struct list used; /* of store->good or store->hearsay */
	bool good;	  /* an address has answered */
	struct peer_id id;
	struct known **known; /* most peers have one or two; up to SWARM_PEER_ADDRS_MAX */
	size_t count, cap;
	uint64_t seq;
	bool stored;
};

struct peerstore {
	struct timers *timers;
	struct db *db;
	struct map peers;
	struct list good, hearsay; /* struct entry.used, least recently used first */
	size_t good_count;
	size_t bytes;
	uint64_t added;
};

/* ---- entries ---- */

static void forget_known(struct peerstore *store, struct entry *entry, size_t i)
{
	store->bytes -= KNOWN_OVERHEAD + entry->known[i]->len;
	free(entry->known[i]);
	entry->known[i] = entry->known[--entry->count];
}

static void forget_entry(struct peerstore *store, struct entry *entry)
{
	if (entry->stored && store->db)
		db_post(store->db, TABLE, peer_id_bytes(&entry->id), (struct bytes){ 0 });
	while (entry->count > 0)
		forget_known(store, entry, 0);
	list_remove(&entry->used);
	store->good_count -= entry->good;
	map_remove(&store->peers, peer_id_bytes(&entry->id));
	free(entry->known);
	free(entry);
}

static void expire(struct peerstore *store, struct entry *entry)
{
	uint64_t now = timers_now(store->timers);

	for (size_t i = entry->count; i-- > 0;)
		if (entry->known[i]->until_ms <= now)
			forget_known(store, entry, i);
}

static struct entry *entry_find(const struct peerstore *store, const struct peer_id *peer)
{
	return map_get(&store->peers, peer_id_bytes(peer));
}

static struct entry *peerstore_touch(struct peerstore *store, const struct peer_id *peer)
{
	struct entry *entry = entry_find(store, peer);

	if (!entry) {
		entry = xnew(struct entry);
		entry->id = *peer;
		list_init(&entry->used);
		map_set(&store->peers, peer_id_bytes(peer), entry);
	}
	list_remove(&entry->used);
	list_add_tail(entry->good ? &store->good : &store->hearsay, &entry->used);
	return entry;
}

static void answered(struct peerstore *store, struct entry *entry)
{
	store->good_count += !entry->good;
	entry->good = true;
	list_remove(&entry->used);
	list_add_tail(&store->good, &entry->used);
}

/* Of peers that never answered to what we know of them there are as many as somebody cares to make
 * up: those go first, but a part is theirs. Never the one just touched: it is the last of its list.
 */
static void make_room(struct peerstore *store)
{
	while (store->peers.count > PEERSTORE_PEERS_MAX ||
	       (store->bytes > PEERSTORE_BYTES_MAX && store->peers.count > 1)) {
		bool good = store->good_count > GOOD_MAX || list_empty(&store->hearsay) ||
			    store->hearsay.next->next == &store->hearsay;
		struct list *list = good && store->good_count > 0 ? &store->good : &store->hearsay;

		forget_entry(store, list_first(list, struct entry, used));
	}
}

static struct known *find_known(const struct entry *entry, const struct multiaddr *addr)
{
	for (size_t i = 0; i < entry->count; i++)
		if (entry->known[i]->len == addr->len &&
		    memcmp(entry->known[i]->addr, addr->bytes, addr->len) == 0)
			return entry->known[i];
	return NULL;
}

/* Which to give up for a new one: never answered before answered, then the oldest. */
static size_t worst_known(const struct entry *entry)
{
	size_t worst = 0;

	for (size_t i = 1; i < entry->count; i++) {
		const struct known *a = entry->known[i], *b = entry->known[worst];

		if (a->good_ms != b->good_ms ? a->good_ms < b->good_ms : a->added < b->added)
			worst = i;
	}
	return worst;
}

/* Adds an address or prolongs its life. If the peer has too many, its worst address makes
 * room. */
static struct known *add_known(struct peerstore *store, struct entry *entry,
			       const struct multiaddr *addr, uint64_t ttl_ms)
{
	struct known *known = find_known(entry, addr);
	uint64_t until;

	if (ttl_ms > PEERSTORE_TTL_MAX_MS)
		ttl_ms = PEERSTORE_TTL_MAX_MS;
	until = timers_now(store->timers) + ttl_ms;
	if (!known) {
		expire(store, entry);
		if (entry->count == SWARM_PEER_ADDRS_MAX)
			forget_known(store, entry, worst_known(entry));
		known = xcalloc(1, sizeof(*known) + addr->len);
		known->len = addr->len;
		memcpy(known->addr, addr->bytes, addr->len);
		known->added = ++store->added;
		if (entry->count == entry->cap) {
			entry->cap = entry->cap ? entry->cap * 2 : 1;
			entry->known = xrealloc(entry->known, entry->cap * sizeof(*entry->known));
		}
		entry->known[entry->count++] = known;
		store->bytes += KNOWN_OVERHEAD + addr->len;
	}
	if (known->until_ms < until)
		known->until_ms = until;
	return known;
}

/* ---- the table ---- */

/* Queues the peer's record for the db: only addresses that have answered. */
static void entry_save(struct peerstore *store, struct entry *entry)
{
	uint64_t now = timers_now(store->timers);
	uint64_t wall = wallclock_ns() / 1000000;
	struct buf out = { 0 };

	if (!store->db)
		return;
	buf_add_uvarint(&out, entry->seq);
	for (size_t i = 0; i < entry->count; i++) {
		const struct known *known = entry->known[i];

		if (!known->good_ms || known->until_ms <= now)
			continue;
		buf_add_uvarint(&out, wall + (known->until_ms - now));
		buf_add_uvarint(&out, known->len);
		buf_add(&out, bytes_of(known->addr, known->len));
	}
	if (db_post(store->db, TABLE, peer_id_bytes(&entry->id), buf_bytes(&out)) == 0)
		entry->stored = true;
	buf_release(&out);
}

/* A record read back. -EBADMSG: leave it out. */
static int load_record(struct peerstore *store, struct entry *entry, struct bytes value)
{
	uint64_t wall = wallclock_ns() / 1000000;
	struct cursor c = cursor_over(value);
	struct multiaddr addr;

	entry->seq = cursor_uvarint(&c);
	while (!c.bad && cursor_left(&c) > 0) {
		uint64_t until = cursor_uvarint(&c);
		uint64_t len = cursor_uvarint(&c);
		struct bytes bytes = cursor_take(&c, len > MULTIADDR_MAX ? SIZE_MAX : (size_t)len);

		if (c.bad || multiaddr_from_bytes(&addr, bytes) != 0)
			return -EBADMSG;
		if (until > wall)
			add_known(store, entry, &addr, until - wall)->good_ms = 1;
	}
	return c.bad ? -EBADMSG : 0;
}

static int on_record(void *ctx, struct bytes key, struct bytes value)
{
	struct peerstore *store = ctx;
	struct peer_id id;
	struct entry *entry;

	if (peer_id_from_bytes(&id, key) != 0) {
		db_post(store->db, TABLE, key, (struct bytes){ 0 });
		return 0;
	}
	entry = peerstore_touch(store, &id);
	entry->stored = true;
	answered(store, entry);
	if (load_record(store, entry, value) != 0 || entry->count == 0)
		forget_entry(store, entry);
	make_room(store);
	return 0;
}

static void peers_load(struct peerstore *store)
{
	struct db_txn *txn;
	int err = db_begin(store->db, false, &txn);

	if (!err) {
		err = db_each(txn, TABLE, (struct bytes){ 0 }, (struct bytes){ 0 }, on_record,
			      store);
		db_abort(txn);
	}
	if (err && err != -ENOENT)
		log_warn("swarm", "peers not read err=%d", err);
}

/* ---- the store ---- */

struct peerstore *peerstore_new(struct timers *timers, struct db *db)
{
	struct peerstore *store = xnew(struct peerstore);

	store->timers = timers;
	store->db = db;
	list_init(&store->good);
	list_init(&store->hearsay);
	if (db)
		peers_load(store);
	return store;
}

void peerstore_free(struct peerstore *store)
{
	if (!store)
		return;
	store->db = NULL; /* what is in the table stays there */
	list_for_each_safe(entry, &store->good, struct entry, used)
		forget_entry(store, entry);
	list_for_each_safe(entry, &store->hearsay, struct entry, used)
		forget_entry(store, entry);
	map_release(&store->peers);
	free(store);
}

void peerstore_add(struct peerstore *store, const struct peer_id *peer,
		   const struct multiaddr *addr, uint64_t ttl_ms)
{
	if (ttl_ms == 0)
		return;
	add_known(store, peerstore_touch(store, peer), addr, ttl_ms);
	make_room(store);
}

void peerstore_good(struct peerstore *store, const struct peer_id *peer,
		    const struct multiaddr *addr)
{
	struct entry *entry = peerstore_touch(store, peer);
	struct known *known = add_known(store, entry, addr, PEERSTORE_GOOD_MS);

	known->good_ms = timers_now(store->timers) + 2; /* later than what was read back */
	answered(store, entry);
	make_room(store);
	entry_save(store, entry);
}

void peerstore_drop(struct peerstore *store, const struct peer_id *peer,
		    const struct multiaddr *addr)
{
	struct entry *entry = entry_find(store, peer);

	for (size_t i = 0; entry && i < entry->count; i++) {
		struct known *known = entry->known[i];

		if (known->len != addr->len || memcmp(known->addr, addr->bytes, addr->len) != 0)
			continue;
		forget_known(store, entry, i);
		if (entry->stored)
			entry_save(store, entry);
		return;
	}
}

int peerstore_certify(struct peerstore *store, const struct peer_id *peer, uint64_t seq,
		      const struct multiaddr *addrs, size_t count, uint64_t ttl_ms)
{
	struct entry *entry = peerstore_touch(store, peer);

	if (seq < entry->seq)
		return -ESTALE;
	entry->seq = seq < (1ull << 63) ? seq : (1ull << 63) - 1;
	for (size_t i = entry->count; i-- > 0;)
		if (entry->known[i]->identified)
			forget_known(store, entry, i);
	for (size_t i = count; i-- > 0;) {
		struct known *known = add_known(store, entry, &addrs[i], ttl_ms);

		known->identified = !known->good_ms;
	}
	make_room(store);
	return 0;
}

static int by_goodness(const void *a, const void *b)
{
	const struct known *x = *(struct known *const *)a, *y = *(struct known *const *)b;

	if (x->good_ms != y->good_ms)
		return x->good_ms > y->good_ms ? -1 : 1;
	return x->added > y->added ? -1 : 1;
}

size_t peerstore_addrs(struct peerstore *store, const struct peer_id *peer, struct multiaddr *addrs,
		       size_t max)
{
	struct entry *entry = entry_find(store, peer);
	size_t n;

	if (!entry)
		return 0;
	expire(store, entry);
	if (entry->count > 1)
		qsort(entry->known, entry->count, sizeof(entry->known[0]), by_goodness);
	n = entry->count < max ? entry->count : max;
	for (size_t i = 0; i < n; i++) {
		addrs[i].len = entry->known[i]->len;
		memcpy(addrs[i].bytes, entry->known[i]->addr, addrs[i].len);
	}
	return n;
}

size_t peerstore_count(const struct peerstore *store)
{
	return store->peers.count;
}

/* Announces the keys that we provide, again and again. A scan reads the list in the db in slices,
 * keys that are due go into a set, and sweeps tell the peers around them. Loop thread. */
#include "routing/kad/provide.h"

#include "net/db/db.h"
#include "net/base/log.h"
#include "routing/kad/kad.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * "provide"          key multihash   value ignored
 * "provided.wan"     key multihash   value le64 milliseconds since 1970 when it was announced last
 *
 * scan -> due keys into the set -> work -> a sweep in each part of the space -> the times are noted
 * A full set stops the scan, which goes on when half of it is through. Behind the scan of the
 * list comes one of the times, which drops those of keys no more in the list. Keys that nobody took
 * wait in the set until retry; those that left the list meanwhile are sifted out at the end of a scan.
 */

#define LIST "provide"
#define WAKE_MS 200
#define RETRY_MIN_MS 30000
#define RETRY_MAX_MS (10ull * 60 * 1000)
#define NO_ADDR_MS 60000 /* how often to look whether we have an address */
#define UNKEPT_WARN_MS (3600ull * 1000) /* at most one warning in this time */
#define SLOTS 256	 /* moments of an interval at which keys come due */
#define SOONEST_PART 8	 /* no key comes due again within 1/8 of the interval */

struct item {
	struct list node;
	struct buf key;
	uint64_t told_ms;
};

static void scan(void *ctx);
static void work(void *ctx);

/* ---- the set ---- */

/* False: no room. */
static bool enqueue(struct kad *kad, struct bytes key)
{
	struct kad_provide *provide = &kad->provide;
	int err = due_add(&provide->due, key);

	if (err)
		return err == -EEXIST;
	/* Peers that ask us learn of us even before others were told. */
	kad_providers_add(&kad->providers, key, &kad->table.self, kad_wall_ms());
	if (!timer_running(&provide->work))
		timer_start(kad->timers, &provide->work, 0, work, kad);
	return true;
}

static bool enqueue_listed(struct kad *kad, struct bytes key)
{
	struct due_key *due;

	if (!enqueue(kad, key))
		return false;
	due = due_find(&kad->provide.due, key);
	if (due)
		due->listed = kad->db != NULL;
	return true;
}

/* A key comes due: the next scan is not later than that. */
static void due_at(struct kad *kad, uint64_t wall_ms)
{
	struct kad_provide *provide = &kad->provide;
	uint64_t now_ms = kad_wall_ms();

	if (wall_ms >= provide->next_wall_ms)
		return;
	provide->next_wall_ms = wall_ms;
	if (!provide->scanning)
		timer_start(kad->timers, &provide->scan, wall_ms > now_ms ? wall_ms - now_ms : 0,
			    scan, kad);
}

/* A key was announced. */
static void note(struct kad *kad, const struct due_key *key)
{
	struct bytes name = due_key_bytes(key);
	struct item *item = map_get(&kad->provide.memory, name);
	uint64_t now_ms = kad_wall_ms();
	struct buf value = { 0 };

	kad->provide.announced++;
	due_at(kad, kad_provide_due_ms(&key->id, now_ms, kad->config.reprovide_ms));
	if (item)
		item->told_ms = now_ms;
	if (!kad->db)
		return;
	buf_add_le64(&value, now_ms);
	if (db_post(kad->db, kad->provide.table, name, buf_bytes(&value)))
		kad->provide.unkept++;
	buf_release(&value);
}

static void retry(void *ctx)
{
	struct kad *kad = ctx;

	due_retry(&kad->provide.due);
	timer_start(kad->timers, &kad->provide.work, 0, work, kad);
}

static void retry_later(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	if (timer_running(&provide->retry))
		return;
	provide->backoff_ms = provide->backoff_ms ? provide->backoff_ms * 2 : RETRY_MIN_MS;
	if (provide->backoff_ms > RETRY_MAX_MS)
		provide->backoff_ms = RETRY_MAX_MS;
	timer_start(kad->timers, &provide->retry, provide->backoff_ms, retry, kad);
}

/* A scan that waited for room in the set. */
static void go_on(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	timer_start(kad->timers, &provide->work, 0, work, kad);
	if (!provide->full || provide->due.count > DUE_KEYS_MAX / 2)
		return;
	provide->full = false;
	timer_start(kad->timers, &provide->scan, 0, scan, kad);
}

static void on_told(void *ctx, struct due_key *key)
{
	struct kad_provide_part *part = ctx;

	part->kad->provide.backoff_ms = 0;
	note(part->kad, key);
}

/* Peers that took the messages and keep no record of us: their table is full, or they keep little. */
static void count_unkept(struct kad *kad, const struct kad_region_sweep *sweep)
{
	struct kad_provide *provide = &kad->provide;

	provide->confirmed_peers += sweep->confirmed;
	provide->unkept_peers += sweep->unkept;
	if (sweep->unkept == 0 || kad_now(kad) < provide->warn_ms)
		return;
	provide->warn_ms = kad_now(kad) + UNKEPT_WARN_MS;
	log_warn("kad",
		 "peers keep no record of what was announced to them, others may not find it: "
		 "keys_announced=%" PRIu64 " peers_asked=%" PRIu64 " peers_without=%" PRIu64,
		 provide->announced, provide->confirmed_peers, provide->unkept_peers);
}

static void on_swept(void *ctx, size_t failed)
{
	struct kad_provide_part *part = ctx;
	struct kad_provide *provide = &part->kad->provide;

	count_unkept(part->kad, &part->sweep);
	if (failed > 0) {
		log_debug("kad", "announcing failed keys=%zu", failed);
		retry_later(part->kad);
	}
	if (provide->unkept > 0)
		log_warn("kad", "times of announcing not kept keys=%u", provide->unkept);
	provide->unkept = 0;
	go_on(part->kad);
}

/* The next region of a part, round and round. */
static void part_work(struct kad_provide_part *part)
{
	const struct due_set *due = &part->kad->provide.due;
	struct due_key *key;

	if (part->sweep.running)
		return;
	key = due_next(due, &part->sweep.bounds, &part->at);
	if (!key)
		key = due_next(due, &part->sweep.bounds, &part->sweep.bounds.id);
	if (!key)
		return;
	part->at = key->id;
	kad_region_sweep_start(&part->sweep, key);
}

static void work(void *ctx)
{
	struct kad *kad = ctx;
	struct kad_provide *provide = &kad->provide;
	struct multiaddr addr;

	if (kad->table.peers == 0 || provide->due.count == 0)
		return; /* kad_provide_wake() or enqueue() comes */
	if (kad_own_addrs(kad, &addr, 1) == 0) {
		timer_start(kad->timers, &provide->work, NO_ADDR_MS, work, kad);
		return;
	}
	for (unsigned i = 0; i < KAD_PROVIDE_SWEEPS; i++)
		part_work(&provide->parts[i]);
}

/* ---- the scan ---- */

uint64_t kad_provide_due_ms(const struct place *id, uint64_t told_ms, uint64_t interval_ms)
{
	uint64_t slot = id->bytes[0], soonest, late;
	uint64_t phase = interval_ms / SLOTS * slot + interval_ms % SLOTS * slot / SLOTS;

	if (interval_ms == 0 || told_ms > UINT64_MAX / 2 || interval_ms > UINT64_MAX / 8)
		return UINT64_MAX;
	soonest = told_ms + interval_ms / SOONEST_PART + 1;
	late = (soonest + interval_ms - phase) % interval_ms;
	return late ? soonest + interval_ms - late : soonest;
}

struct slice {
	struct kad *kad;
	struct db_txn *txn;
	uint64_t now_ms;
	unsigned left;
	bool full;
};

/* One key of the list. False: the set is full. */
static bool look(struct slice *slice, struct bytes key, uint64_t told_ms)
{
	uint64_t due = 0;

	if (key.len > KAD_KEY_MAX)
		return true;
	/* When the clock was set back since, the time tells nothing. */
	if (told_ms > 0 && told_ms <= slice->now_ms) {
		struct place id = place_of_key(key);

		due = kad_provide_due_ms(&id, told_ms, slice->kad->config.reprovide_ms);
	}
	if (due <= slice->now_ms)
		return enqueue_listed(slice->kad, key);
	due_at(slice->kad, due);
	return true;
}

static int look_record(void *ctx, struct bytes key, struct bytes value)
{
	struct slice *slice = ctx;
	struct kad_provide *provide = &slice->kad->provide;
	struct bytes told = { 0 };
	struct cursor c;

	(void)value;
	if (bytes_equal(key, buf_bytes(&provide->at)))
		return 0;
	if (slice->left-- == 0)
		return 1;
	if (provide->cleaning) {
		if (db_get(slice->txn, LIST, key, &told) == -ENOENT &&
		    !due_find(&provide->due, key)) {
			db_post(slice->kad->db, provide->table, key, bytes_of(NULL, 0));
			kad_providers_remove(&slice->kad->providers, key, &slice->kad->table.self);
		}
	} else {
		db_get(slice->txn, provide->table, key, &told);
		c = cursor_over(told);
		if (!look(slice, key, told.len == 8 ? cursor_le64(&c) : 0)) {
			slice->full = true;
			return 1;
		}
	}
	buf_clear(&provide->at);
	buf_add(&provide->at, key);
	return 0;
}

/* More of the table of this phase is to come: true. */
static bool scan_slice(struct slice *slice)
{
	struct kad *kad = slice->kad;
	const char *table = kad->provide.cleaning ? kad->provide.table : LIST;
	int more;

	if (db_begin(kad->db, false, &slice->txn))
		return false;
	more = db_each(slice->txn, table, bytes_of(NULL, 0), buf_bytes(&kad->provide.at),
		       look_record, slice);
	db_abort(slice->txn);
	return more == 1;
}

static bool still_listed(void *ctx, const struct due_key *key)
{
	struct slice *slice = ctx;
	struct bytes name = due_key_bytes(key), value;

	if (!key->listed || db_get(slice->txn, LIST, name, &value) != -ENOENT)
		return true;
	kad_providers_remove(&slice->kad->providers, name, &slice->kad->table.self);
	return false;
}

/* More is to come: true. */
static bool sift_slice(struct slice *slice)
{
	struct kad_provide *provide = &slice->kad->provide;
	bool more;

	if (!provide->due.count || db_begin(slice->kad->db, false, &slice->txn))
		return false;
	more = due_sift(&provide->due, &provide->sifted, KAD_PROVIDE_SLICE_MAX, still_listed,
				   slice);
	db_abort(slice->txn);
	return more;
}

/* Through: when to look again. */
static void scan_over(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;
	uint64_t now_ms = kad_wall_ms(), delay = kad->config.reprovide_ms;

	provide->scanning = provide->cleaning = false;
	buf_clear(&provide->at);
	if (provide->next_wall_ms < now_ms + delay)
		delay = provide->next_wall_ms > now_ms ? provide->next_wall_ms - now_ms : 0;
	/* Keys that come due one by one are gathered a little. */
	if (delay < WAKE_MS)
		delay = WAKE_MS;
	timer_start(kad->timers, &provide->scan, provide->again ? 0 : delay, scan, kad);
}

static void scan_memory(struct slice *slice)
{
	struct kad_provide *provide = &slice->kad->provide;

	list_for_each(item, &provide->items, struct item, node)
	{
		if (look(slice, buf_bytes(&item->key), item->told_ms))
			continue;
		slice->full = true;
		return;
	}
}

static void scan(void *ctx)
{
	struct kad *kad = ctx;
	struct kad_provide *provide = &kad->provide;
	struct slice slice = { .kad = kad, .now_ms = kad_wall_ms(), .left = KAD_PROVIDE_SLICE_MAX };

	if (!provide->scanning) {
		provide->scanning = true;
		provide->again = false;
		provide->next_wall_ms = UINT64_MAX;
	}
	if (!kad->db) {
		scan_memory(&slice);
		provide->full = slice.full;
		if (!slice.full)
			scan_over(kad);
		return;
	}
	if (scan_slice(&slice)) {
		provide->full = slice.full;
		if (!slice.full) /* else go_on() does */
			timer_start(kad->timers, &provide->scan, 0, scan, kad);
	} else if (!provide->cleaning) {
		provide->cleaning = true;
		provide->sifted = 0;
		buf_clear(&provide->at);
		timer_start(kad->timers, &provide->scan, 0, scan, kad);
	} else if (sift_slice(&slice)) {
		timer_start(kad->timers, &provide->scan, 0, scan, kad);
	} else {
		scan_over(kad);
	}
}

static void scan_now(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	provide->again = true;
	if (!provide->scanning)
		timer_start(kad->timers, &provide->scan, 0, scan, kad);
}

/* ---- the door ---- */

static int keep_in_memory(struct kad_provide *provide, struct bytes key)
{
	struct item *item;

	if (map_get(&provide->memory, key))
		return 0;
	if (provide->memory.count >= KAD_PROVIDE_MEMORY_MAX)
		return -EAGAIN;
	item = xnew(struct item);
	buf_add(&item->key, key);
	list_add_tail(&provide->items, &item->node);
	map_set(&provide->memory, key, item);
	return 0;
}

static void item_free(struct item *item)
{
	list_remove(&item->node);
	buf_release(&item->key);
	free(item);
}

int kad_provide_start(struct router *router, struct bytes multihash)
{
	struct kad *kad = kad_of(router);
	int err;

	if (multihash.len == 0 || multihash.len > KAD_KEY_MAX)
		return -EINVAL;
	err = kad->db ? db_post(kad->db, LIST, multihash, bytes_of("", 0))
		      : keep_in_memory(&kad->provide, multihash);
	if (!err && !enqueue(kad, multihash))
		scan_now(kad);
	return err;
}

int kad_provide_stop(struct router *router, struct bytes multihash)
{
	struct kad *kad = kad_of(router);
	struct kad_provide *provide = &kad->provide;
	struct due_key *due = due_find(&provide->due, multihash);
	struct item *item = map_remove(&provide->memory, multihash);
	int err = 0;

	if (due) {
		due_drop(&provide->due, due);
		go_on(kad);
	}
	if (item)
		item_free(item);
	if (kad->db) {
		err = db_post(kad->db, LIST, multihash, bytes_of(NULL, 0));
		db_post(kad->db, provide->table, multihash, bytes_of(NULL, 0));
	}
	kad_providers_remove(&kad->providers, multihash, &kad->table.self);
	return err;
}

void kad_provide_changed(struct router *router)
{
	scan_now(kad_of(router));
}

void kad_provide_wake(struct kad *kad)
{
	due_retry(&kad->provide.due);
	timer_start(kad->timers, &kad->provide.work, WAKE_MS, work, kad);
}

unsigned kad_provide_pending(const struct kad *kad)
{
	return (unsigned)kad->provide.due.count;
}

void kad_provide_begin(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	snprintf(provide->table, sizeof(provide->table), "provided.%s",
		 kad->config.lan ? "lan" : "wan");
	list_init(&provide->items);
	for (unsigned i = 0; i < KAD_PROVIDE_SWEEPS; i++) {
		struct kad_provide_part *part = &provide->parts[i];
		struct place_region bounds = { .bits = KAD_PROVIDE_SWEEP_BITS };

		bounds.id.bytes[0] = (uint8_t)(i << (8 - KAD_PROVIDE_SWEEP_BITS));
		part->kad = kad;
		part->at = bounds.id;
		kad_region_sweep_init(&part->sweep, kad, &provide->due, &bounds, on_told, on_swept,
				      part);
	}
	timer_start(kad->timers, &provide->scan, 0, scan, kad);
}

void kad_provide_end(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	timer_stop(kad->timers, &provide->scan);
	timer_stop(kad->timers, &provide->work);
	timer_stop(kad->timers, &provide->retry);
	for (unsigned i = 0; i < KAD_PROVIDE_SWEEPS; i++)
		kad_region_sweep_stop(&provide->parts[i].sweep);
	due_release(&provide->due);
	while (!list_empty(&provide->items))
		item_free(list_first(&provide->items, struct item, node));
	map_release(&provide->memory);
	buf_release(&provide->at);
}

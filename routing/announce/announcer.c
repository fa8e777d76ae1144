/* The list of what is announced, and the work at what is due: each part of the key space goes
 * through its keys round and round, a region at a time if the router offers that, else key by key.
 * Keys that nobody took wait until the next try, which is later each time. Loop thread. */
#include "routing/announce/announcer.h"

#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/db/db.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_MIN_MS 30000
#define RETRY_MAX_MS (10ull * 60 * 1000)
#define LOOK_MS 60000			/* when the router cannot announce, it is asked again */
#define ONE_MS (2ull * 60 * 1000)	/* for one key, when the router takes them one by one */
#define UNKEPT_WARN_MS (3600ull * 1000) /* at most one warning in so long */
#define INTERVAL_MS (22ull * 3600 * 1000)

static void work(void *ctx);

/* ---- the set ---- */

bool announcer_enqueue(struct announcer *announcer, struct bytes key)
{
	int err = due_add(&announcer->due, key);

	if (err)
		return err == -EEXIST;
	/* Peers that ask us before anybody was told hear of us all the same. */
	routing_note_own(announcer->router, key, true);
	if (!timer_running(&announcer->work))
		timer_start(announcer->timers, &announcer->work, 0, work, announcer);
	return true;
}

/* A key was announced. */
static void announcer_note(struct announcer *announcer, const struct due_key *key)
{
	struct bytes name = due_key_bytes(key);
	struct announcer_item *item = map_get(&announcer->memory, name);
	uint64_t now_ms = announcer_wall_ms();
	struct buf value = { 0 };

	announcer->announced++;
	announcer->backoff_ms = 0;
	announcer_due_at(announcer, announcer_due_ms(&key->id, now_ms, announcer->interval_ms));
	if (item)
		item->told_ms = now_ms;
	if (!announcer->db)
		return;
	buf_add_le64(&value, now_ms);
	if (db_post(announcer->db, announcer->table, name, buf_bytes(&value)))
		announcer->unkept++;
	buf_release(&value);
}

static void announcer_retry(void *ctx)
{
	struct announcer *announcer = ctx;

	due_retry(&announcer->due);
	timer_start(announcer->timers, &announcer->work, 0, work, announcer);
}

static void retry_later(struct announcer *announcer)
{
	if (timer_running(&announcer->retry))
		return;
	announcer->backoff_ms = announcer->backoff_ms ? announcer->backoff_ms * 2 : RETRY_MIN_MS;
	if (announcer->backoff_ms > RETRY_MAX_MS)
		announcer->backoff_ms = RETRY_MAX_MS;
	timer_start(announcer->timers, &announcer->retry, announcer->backoff_ms, announcer_retry,
		    announcer);
}

/* There is room in the set: a scan may have waited for it. */
static void go_on(struct announcer *announcer)
{
	timer_start(announcer->timers, &announcer->work, 0, work, announcer);
	if (!announcer->full || announcer->due.count > DUE_KEYS_MAX / 2)
		return;
	announcer->full = false;
	announcer_scan_go_on(announcer);
}

/* ---- at work ---- */

/* Peers that took the messages and keep no record of us: their table is full, or they keep little.
 */
static void count_unkept(struct announcer *announcer, const struct routing_announced *result)
{
	uint64_t now_ms = timers_now(announcer->timers);

	announcer->confirmed_peers += result->confirmed;
	announcer->unkept_peers += result->unkept;
	if (result->unkept == 0 || now_ms < announcer->warn_ms)
		return;
	announcer->warn_ms = now_ms + UNKEPT_WARN_MS;
	log_warn("announce",
		 "peers keep no record of what was announced to them, others may not find it: "
		 "keys_announced=%" PRIu64 " peers_asked=%" PRIu64 " peers_without=%" PRIu64,
		 announcer->announced, announcer->confirmed_peers, announcer->unkept_peers);
}

static void on_told(void *ctx, struct due_key *key)
{
	struct announcer_part *part = ctx;

	announcer_note(part->announcer, key);
}

static void on_announced(void *ctx, const struct routing_announced *result)
{
	struct announcer_part *part = ctx;
	struct announcer *announcer = part->announcer;

	part->query = NULL;
	count_unkept(announcer, result);
	if (result->failed > 0) {
		log_debug("announce", "announcing failed router=%s keys=%zu",
			  announcer->router->name, result->failed);
		retry_later(announcer);
	}
	if (announcer->unkept > 0)
		log_warn("announce", "times of announcing not kept keys=%u", announcer->unkept);
	announcer->unkept = 0;
	go_on(announcer);
}

/* The key that was announced alone is let go: it leaves the set, or waits. */
static void on_provided(void *ctx, int err, unsigned count)
{
	struct announcer_part *part = ctx;
	struct due_key *key = part->key;
	struct routing_announced result = { 0 };

	(void)count;
	part->key = NULL;
	key->held = false;
	if (key->gone || !err) {
		if (!key->gone)
			announcer_note(part->announcer, key);
		due_drop(&part->announcer->due, key);
	} else {
		/* The others of the part fare no better now, and are more than are to be tried in
		 * vain. */
		result.failed = due_defer(&part->announcer->due, &part->bounds);
	}
	on_announced(part, &result);
}

static void part_start(struct announcer_part *part, struct due_key *key)
{
	struct announcer *announcer = part->announcer;
	struct router *router = announcer->router;

	if (router->ops->provide_region) {
		part->query = router->ops->provide_region(router, &announcer->due, &part->bounds,
							  key, on_told, on_announced, part);
	} else {
		part->query =
			routing_provide(router, due_key_bytes(key),
					timers_now(announcer->timers) + ONE_MS, on_provided, part);
		part->key = part->query ? key : NULL;
		key->held = part->query != NULL;
	}
	if (!part->query) /* a limit of searches in flight */
		timer_start(announcer->timers, &announcer->work, LOOK_MS, work, announcer);
}

/* The next keys of a part, round and round. */
static void part_work(struct announcer_part *part)
{
	const struct due_set *due = &part->announcer->due;
	struct due_key *key;

	if (part->query)
		return;
	key = due_next(due, &part->bounds, &part->at);
	if (!key)
		key = due_next(due, &part->bounds, &part->bounds.id);
	if (!key)
		return;
	part->at = key->id;
	part_start(part, key);
}

static void work(void *ctx)
{
	struct announcer *announcer = ctx;
	const struct router_ops *ops = announcer->router->ops;
	int err = ops->can_provide ? ops->can_provide(announcer->router) : 0;

	if (announcer->due.count == 0 || err == -EAGAIN)
		return; /* announcer_enqueue() or on_ready() comes */
	if (err) {
		timer_start(announcer->timers, &announcer->work, LOOK_MS, work, announcer);
		return;
	}
	for (unsigned i = 0; i < ANNOUNCE_PARTS; i++)
		part_work(&announcer->parts[i]);
}

static void on_ready(void *ctx)
{
	struct announcer *announcer = ctx;

	due_retry(&announcer->due);
	timer_start(announcer->timers, &announcer->work, ANNOUNCE_WAKE_MS, work, announcer);
}

/* ---- the door ---- */

static int keep_in_memory(struct announcer *announcer, struct bytes key)
{
	struct announcer_item *item;

	if (map_get(&announcer->memory, key))
		return 0;
	if (announcer->memory.count >= ANNOUNCE_MEMORY_MAX)
		return -EAGAIN;
	item = xnew(struct announcer_item);
	buf_add(&item->key, key);
	list_add_tail(&announcer->items, &item->node);
	map_set(&announcer->memory, key, item);
	return 0;
}

static void item_free(struct announcer_item *item)
{
	list_remove(&item->node);
	buf_release(&item->key);
	free(item);
}

int announcer_start(struct announcer *announcer, struct bytes multihash)
{
	int err;

	if (multihash.len == 0 || multihash.len > ROUTING_KEY_MAX)
		return -EINVAL;
	err = announcer->db ? db_post(announcer->db, ANNOUNCE_LIST, multihash, bytes_of("", 0))
			    : keep_in_memory(announcer, multihash);
	if (!err && !announcer_enqueue(announcer, multihash))
		announcer_scan_now(announcer);
	return err;
}

int announcer_stop(struct announcer *announcer, struct bytes multihash)
{
	struct due_key *due = due_find(&announcer->due, multihash);
	struct announcer_item *item = map_remove(&announcer->memory, multihash);
	int err = 0;

	if (due) {
		due_drop(&announcer->due, due);
		go_on(announcer);
	}
	if (item)
		item_free(item);
	if (announcer->db) {
		err = db_post(announcer->db, ANNOUNCE_LIST, multihash, bytes_of(NULL, 0));
		db_post(announcer->db, announcer->table, multihash, bytes_of(NULL, 0));
	}
	routing_note_own(announcer->router, multihash, false);
	return err;
}

void announcer_changed(struct announcer *announcer)
{
	announcer_scan_now(announcer);
}

void announcer_stats(const struct announcer *announcer, struct announcer_stats *stats)
{
	*stats = (struct announcer_stats){ .announced = announcer->announced,
					   .pending = announcer->due.count,
					   .confirmed = announcer->confirmed_peers,
					   .unkept = announcer->unkept_peers };
}

struct announcer *announcer_new(struct router *router, struct loop *loop, struct db *db,
				const struct announcer_config *config)
{
	struct announcer *announcer = xnew(struct announcer);

	announcer->router = router;
	announcer->timers = loop_timers(loop);
	announcer->db = db;
	announcer->interval_ms = config->interval_ms ? config->interval_ms : INTERVAL_MS;
	snprintf(announcer->table, sizeof(announcer->table), "provided.%s", config->name);
	list_init(&announcer->items);
	for (unsigned i = 0; i < ANNOUNCE_PARTS; i++) {
		struct announcer_part *part = &announcer->parts[i];

		part->announcer = announcer;
		part->bounds.bits = ANNOUNCE_PART_BITS;
		part->bounds.id.bytes[0] = (uint8_t)(i << (8 - ANNOUNCE_PART_BITS));
		part->at = part->bounds.id;
	}
	announcer->watch = (struct router_watch){ .on_ready = on_ready, .ctx = announcer };
	router_watch(router, &announcer->watch);
	announcer_scan_go_on(announcer);
	return announcer;
}

void announcer_free(struct announcer *announcer)
{
	if (!announcer)
		return;
	router_unwatch(announcer->router, &announcer->watch);
	timer_stop(announcer->timers, &announcer->scan);
	timer_stop(announcer->timers, &announcer->work);
	timer_stop(announcer->timers, &announcer->retry);
	for (unsigned i = 0; i < ANNOUNCE_PARTS; i++)
		routing_cancel(announcer->parts[i].query);
	due_release(&announcer->due);
	while (!list_empty(&announcer->items))
		item_free(list_first(&announcer->items, struct announcer_item, node));
	map_release(&announcer->memory);
	buf_release(&announcer->at);
	free(announcer);
}

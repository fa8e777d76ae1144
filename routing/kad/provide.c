#include "routing/kad/provide.h"

#include "net/base/db.h"
#include "net/base/log.h"
#include "routing/kad/kad.h"
#include "routing/kad/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * "provide"          key multihash   value ignored
 * "provided.wan"     key multihash   value le64 milliseconds since 1970 when it was announced last
 *
 * scan -> due keys into the queue -> work -> a provide query each -> the time is noted
 * A full queue stops the scan, which goes on when half of it is through. Behind the scan of the
 * list comes one of the times, which drops those of keys no more in the list.
 */

#define LIST "provide"
#define ANNOUNCE_MS (3ull * 60 * 1000)
#define WAKE_MS 200
#define RETRY_MIN_MS 30000
#define RETRY_MAX_MS (10ull * 60 * 1000)
#define NO_ADDR_MS 60000 /* look again so often whether we have an address */
#define EARLY_PART 8	 /* keys are spread over the last 1/8 of the interval */

struct job {
	struct list node;
	struct kad *kad;
	struct buf key;
	struct routing_query *query; /* active */
};

struct item {
	struct list node;
	struct buf key;
	uint64_t told_ms;
};

static void scan(void *ctx);
static void work(void *ctx);

/* ---- the queue ---- */

static void job_free(struct job *job)
{
	struct kad_provide *provide = &job->kad->provide;

	if (job->query)
		provide->active--;
	map_remove(&provide->queued, buf_bytes(&job->key));
	list_remove(&job->node);
	buf_release(&job->key);
	free(job);
}

/* False: no room. */
static bool enqueue(struct kad *kad, struct bytes key)
{
	struct kad_provide *provide = &kad->provide;
	struct job *job;

	if (map_get(&provide->queued, key))
		return true;
	if (provide->queued.count >= KAD_PROVIDE_QUEUE_MAX)
		return false;
	job = xnew(struct job);
	job->kad = kad;
	buf_add(&job->key, key);
	list_add_tail(&provide->jobs, &job->node);
	map_set(&provide->queued, key, job);
	if (!timer_running(&provide->work))
		timer_start(kad->timers, &provide->work, 0, work, kad);
	return true;
}

static void note(struct kad *kad, struct bytes key)
{
	struct item *item = map_get(&kad->provide.memory, key);
	struct buf value = { 0 };

	kad->provide.announced++;
	if (item)
		item->told_ms = kad_wall_ms();
	if (!kad->db)
		return;
	buf_add_le64(&value, kad_wall_ms());
	if (db_post(kad->db, kad->provide.table, key, buf_bytes(&value)))
		log_warn("kad", "time of announcing not kept");
	buf_release(&value);
}

static void retry_later(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	provide->backoff_ms = provide->backoff_ms ? provide->backoff_ms * 2 : RETRY_MIN_MS;
	if (provide->backoff_ms > RETRY_MAX_MS)
		provide->backoff_ms = RETRY_MAX_MS;
	if (provide->scanning)
		return; /* at its end it sees that backoff_ms is set */
	timer_start(kad->timers, &provide->scan, provide->backoff_ms, scan, kad);
}

/* A scan that waited for room in the queue. */
static void go_on(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	timer_start(kad->timers, &provide->work, 0, work, kad);
	if (provide->scanning && !timer_running(&provide->scan) &&
	    provide->queued.count <= KAD_PROVIDE_QUEUE_MAX / 2)
		timer_start(kad->timers, &provide->scan, 0, scan, kad);
}

static void on_provided(void *ctx, int err, unsigned count)
{
	struct job *job = ctx;
	struct kad *kad = job->kad;
	struct kad_provide *provide = &kad->provide;

	if (err) {
		log_debug("kad", "announcing failed err=%d", err);
	} else {
		log_debug("kad", "announced to %u peers", count);
		provide->backoff_ms = 0;
		note(kad, buf_bytes(&job->key));
	}
	job_free(job);
	if (err && provide->backoff_ms == 0)
		retry_later(kad);
	else if (err && !provide->scanning && !timer_running(&provide->scan))
		retry_later(kad);
	go_on(kad);
}

static void work(void *ctx)
{
	struct kad *kad = ctx;
	struct kad_provide *provide = &kad->provide;
	struct multiaddr addr;

	if (kad->table.peers == 0 || list_empty(&provide->jobs))
		return; /* kad_provide_wake() or enqueue() comes */
	if (kad_own_addrs(kad, &addr, 1) == 0) {
		timer_start(kad->timers, &provide->work, NO_ADDR_MS, work, kad);
		return;
	}
	while (!list_empty(&provide->jobs) && provide->active < KAD_PROVIDE_ACTIVE_MAX) {
		struct job *job = list_first(&provide->jobs, struct job, node);

		job->query = kad_query_provide(&kad->router, buf_bytes(&job->key),
					       kad_now(kad) + ANNOUNCE_MS, on_provided, job);
		if (!job->query) {
			timer_start(kad->timers, &provide->work, WAKE_MS, work, kad);
			return;
		}
		list_remove(&job->node);
		provide->active++;
	}
}

/* ---- the scan ---- */

/* When key is to be announced again; each has its own moment, so that they do not come all at once.
 */
static uint64_t due_ms(const struct kad *kad, struct bytes key, uint64_t told_ms, uint64_t now_ms)
{
	uint64_t interval = kad->config.reprovide_ms, early = 0;
	struct kad_id id = kad_id_of(key);

	if (told_ms == 0 || told_ms > now_ms)
		return 0; /* the clock was set back: the time tells nothing */
	for (unsigned i = 0; i < 8; i++)
		early = early << 8 | id.bytes[i];
	interval -= early % (interval / EARLY_PART + 1);
	return told_ms > UINT64_MAX - interval ? UINT64_MAX : told_ms + interval;
}

struct slice {
	struct kad *kad;
	struct db_txn *txn;
	uint64_t now_ms;
	unsigned left;
	bool full;
};

/* One key of the list. False: the queue is full. */
static bool look(struct slice *slice, struct bytes key, uint64_t told_ms)
{
	struct kad_provide *provide = &slice->kad->provide;
	uint64_t due = due_ms(slice->kad, key, told_ms, slice->now_ms);

	if (key.len > KAD_KEY_MAX)
		return true;
	if (due <= slice->now_ms) {
		/* Who asks us before anybody was told hears of us all the same. */
		kad_providers_add(&slice->kad->providers, key, &slice->kad->table.self,
				  slice->now_ms);
		return enqueue(slice->kad, key);
	}
	if (due < provide->next_wall_ms)
		provide->next_wall_ms = due;
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
		    !map_get(&provide->queued, key)) {
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

/* Through: when to look again. */
static void scan_over(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;
	uint64_t now_ms = kad_wall_ms(), delay = kad->config.reprovide_ms;

	provide->scanning = provide->cleaning = false;
	buf_clear(&provide->at);
	if (provide->next_wall_ms < now_ms + delay)
		delay = provide->next_wall_ms > now_ms ? provide->next_wall_ms - now_ms : 0;
	if (provide->backoff_ms > 0 && provide->backoff_ms < delay)
		delay = provide->backoff_ms;
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
		if (map_get(&provide->queued, buf_bytes(&item->key)) ||
		    look(slice, buf_bytes(&item->key), item->told_ms))
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
		if (!slice.full)
			scan_over(kad);
		return;
	}
	if (scan_slice(&slice)) {
		if (!slice.full) /* else on_provided() goes on */
			timer_start(kad->timers, &provide->scan, 0, scan, kad);
	} else if (!provide->cleaning) {
		provide->cleaning = true;
		buf_clear(&provide->at);
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
	struct job *job = map_get(&provide->queued, multihash);
	struct item *item = map_remove(&provide->memory, multihash);
	int err = 0;

	if (job) {
		routing_cancel(job->query);
		job_free(job);
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
	timer_start(kad->timers, &kad->provide.work, WAKE_MS, work, kad);
}

unsigned kad_provide_pending(const struct kad *kad)
{
	return (unsigned)kad->provide.queued.count;
}

void kad_provide_begin(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;

	snprintf(provide->table, sizeof(provide->table), "provided.%s",
		 kad->config.lan ? "lan" : "wan");
	list_init(&provide->jobs);
	list_init(&provide->items);
	timer_start(kad->timers, &provide->scan, 0, scan, kad);
}

void kad_provide_end(struct kad *kad)
{
	struct kad_provide *provide = &kad->provide;
	struct bytes key;
	void *value;
	size_t at = 0;

	timer_stop(kad->timers, &provide->scan);
	timer_stop(kad->timers, &provide->work);
	while (map_next(&provide->queued, &at, &key, &value)) {
		struct job *job = value;

		routing_cancel(job->query);
		job_free(job);
	}
	while (!list_empty(&provide->items))
		item_free(list_first(&provide->items, struct item, node));
	map_release(&provide->queued);
	map_release(&provide->memory);
	buf_release(&provide->at);
}

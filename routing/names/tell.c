/* Own names are told: at once when a record was made, and again before it expires.
 *
 *	RESTS --due--> (asks config.renew for a new record, and waits for it)
 *	  |  \________________________________________
 *	  untold                                      \
 *	  v                                            v
 *	ASKS: has the network a better one? --yes--> noted; renewed on top of it
 *	  | no
 *	  v
 *	TELLS --taken--> RESTS until it is due again
 *	  \_____nobody took it: again after a while, or when a peer comes
 *
 * Loop thread. */
#include "routing/names/names_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/wait.h"

#include <errno.h>
#include <stdlib.h>

#define ACTIVE_MAX 16		  /* own names that are asked for or told at once */
#define BUSY_MS 1000		  /* until another try when there are so many */
#define ASKED_MS (60 * 60 * 1000) /* the network's answer counts for so long */

enum own_state { OWN_RESTS, OWN_ASKS, OWN_TELLS };

struct names_own {
	struct names *names;
	struct name_own kept; /* as the db has it */
	enum own_state state;
	struct timer timer;
	struct routing_query *query;
	struct list waiting; /* struct names_query: who published it */
	uint64_t asked_ms;   /* loop clock; 0: not */
	uint64_t tried_ms;   /* when the last try began */
	uint64_t retry_ms;   /* pause after a failure; 0: none failed */
	uint64_t budget_ms;  /* loop clock: when as many tells as at once are free again */
	bool renewing;	     /* config.renew was called for this record */
};

static void own_step(void *ctx);

struct names_own *names_own_find(struct names *names, const struct peer_id *name)
{
	return map_get(&names->own, peer_id_bytes(name));
}

struct bytes names_own_record(const struct names_own *own)
{
	return buf_bytes(&own->kept.record);
}

static void own_later(struct names_own *own, uint64_t ms)
{
	timer_start(own->names->timers, &own->timer, ms, own_step, own);
}

static void own_rest(struct names_own *own)
{
	routing_cancel(own->query);
	own->query = NULL;
	if (own->state != OWN_RESTS)
		own->names->active--;
	own->state = OWN_RESTS;
}

/* Those who wait learn of the end of this try. */
static void waiting_end(struct names_own *own, int err, unsigned count)
{
	struct list waiting;

	list_init(&waiting);
	list_move_all(&waiting, &own->waiting);
	while (!list_empty(&waiting))
		names_query_end(list_first(&waiting, struct names_query, node), err, count);
}

/* ---- asking and telling ---- */

static void on_told(void *ctx, int err, unsigned count)
{
	struct names_own *own = ctx;
	struct names *names = own->names;
	char text[PEER_ID_TEXT_MAX];

	own->query = NULL;
	own_rest(own);
	if (!err && count == 0)
		err = -EHOSTUNREACH;
	if (err) {
		log_info("names", "not told name=%s err=%s", peer_id_text(&own->kept.name, text),
			 err_text(err));
		own->retry_ms = own->retry_ms ? own->retry_ms * 2 : NAMES_RETRY_MS;
		if (own->retry_ms > NAMES_RETRY_MAX_MS)
			own->retry_ms = NAMES_RETRY_MAX_MS;
		own->asked_ms = 0; /* perhaps there was nobody to ask */
		own_later(own, own->retry_ms);
	} else {
		log_debug("names", "told name=%s peers=%u", peer_id_text(&own->kept.name, text),
			  count);
		names->told++;
		own->retry_ms = 0;
		own->renewing = false;
		own->kept.told_ms = wallclock_ns() / NAMES_NS_PER_MS;
		name_own_told(names->db, &own->kept, own->kept.told_ms);
		own_later(own, names->config.republish_ms);
	}
	waiting_end(own, err, count);
}

static void own_begin(struct names_own *own, enum own_state state)
{
	own->state = state;
	own->names->active++;
}

/* Peers check so many signatures of one peer's records at once, and then one a second
 * (kad/check_rate.h). A name that changes faster is told later, with the newest record. */
static uint64_t own_pause(const struct names_own *own)
{
	uint64_t free_ms = names_now(own->names) + NAMES_TELLS_AT_ONCE * NAMES_TELLS_MS;

	return own->budget_ms > free_ms ? own->budget_ms - free_ms : 0;
}

static void own_tell(struct names_own *own)
{
	struct names *names = own->names;
	uint64_t now_ms = names_now(names);
	struct buf key = { 0 };

	own->budget_ms = (own->budget_ms > now_ms ? own->budget_ms : now_ms) + NAMES_TELLS_MS;

	own_begin(own, OWN_TELLS);
	own->query = routing_put_value(names->router, names_key(&own->kept.name, &key),
				       names_own_record(own), names_now(names) + NAMES_TELL_MS,
				       on_told, own);
	buf_release(&key);
	if (!own->query)
		on_told(own, -EAGAIN, 0);
}

static void on_asked_value(void *ctx, struct bytes value)
{
	struct names_own *own = ctx;

	if (name_record_compare(value, names_own_record(own)) > 0)
		names_own_beaten(own, value);
}

static void on_asked(void *ctx, int err, unsigned count)
{
	struct names_own *own = ctx;

	(void)err;
	(void)count;
	own->query = NULL;
	own_rest(own);
	own->asked_ms = names_now(own->names);
	if (!own->renewing)
		own_step(own);
}

static void own_ask(struct names_own *own)
{
	struct names *names = own->names;
	struct buf key = { 0 };

	own_begin(own, OWN_ASKS);
	own->query =
		routing_get_value(names->router, names_key(&own->kept.name, &key), 0,
				  names_now(names) + NAMES_ASK_MS, on_asked_value, on_asked, own);
	buf_release(&key);
	if (!own->query)
		on_asked(own, -EAGAIN, 0);
}

/* ---- what is next ---- */

static bool own_expired(const struct names_own *own)
{
	struct name_record record;

	return !names_read(&record, names_own_record(own)) || record.expired;
}

/* How long until it is due; 0: it is. A clock that was turned back makes it due, too. */
static uint64_t due_in(const struct names_own *own)
{
	uint64_t now_ms = wallclock_ns() / NAMES_NS_PER_MS, told_ms = own->kept.told_ms,
		 period_ms = own->names->config.republish_ms;

	if (told_ms == 0 || told_ms > now_ms || now_ms - told_ms >= period_ms)
		return 0;
	return period_ms - (now_ms - told_ms);
}

/* Somebody is asked for a new record; if none comes, what there is is told. */
static void own_renew(struct names_own *own)
{
	struct names *names = own->names;

	own->renewing = true;
	own_later(own, NAMES_RENEW_MS);
	if (names->config.renew)
		names->config.renew(names->config.ctx, &own->kept.name);
}

static void own_step(void *ctx)
{
	struct names_own *own = ctx;
	struct names *names = own->names;
	uint64_t wait_ms = due_in(own), now_ms = names_now(names);
	bool stale = own->kept.told_ms != 0 || own_expired(own);

	if (!names->router || own->state != OWN_RESTS)
		return;
	if (wait_ms > 0 && !own_expired(own)) {
		own_later(own, wait_ms);
		return;
	}
	if (names->active >= ACTIVE_MAX || own_pause(own)) {
		own_later(own, own_pause(own) ? own_pause(own) : BUSY_MS);
		return;
	}
	timer_stop(names->timers, &own->timer);
	own->tried_ms = now_ms;
	if (own->asked_ms == 0 || now_ms - own->asked_ms > ASKED_MS) {
		own_ask(own);
	} else if (stale && !own->renewing) {
		own_renew(own);
	} else if (own_expired(own)) {
		own->renewing = false;
		own_later(own, names->config.republish_ms);
		waiting_end(own, -ETIME, 0);
	} else {
		own_tell(own);
	}
}

void names_own_beaten(struct names_own *own, struct bytes record)
{
	name_seen(own->names->db, &own->kept.name, record);
	if (!own->renewing)
		own_renew(own);
}

void names_own_asked(struct names_own *own)
{
	own->asked_ms = names_now(own->names);
}

/* ---- what the db has ---- */

/* Takes kept. */
static struct names_own *own_set(struct names *names, struct name_own *kept)
{
	struct names_own *own = names_own_find(names, &kept->name);

	if (!own) {
		own = xnew(struct names_own);
		own->names = names;
		own->kept.name = kept->name;
		list_init(&own->waiting);
		map_set(&names->own, peer_id_bytes(&kept->name), own);
	}
	if (bytes_equal(names_own_record(own), buf_bytes(&kept->record))) {
		name_own_release(kept);
		return own;
	}
	name_own_release(&own->kept);
	own->kept = *kept;
	own_rest(own); /* the old one is not told any more */
	own->renewing = false;
	own->retry_ms = 0;
	own_later(own, 0);
	names_watched_take(names, &own->kept.name, names_own_record(own));
	return own;
}

struct reading {
	struct name_own *found;
	size_t count;
};

static int read_one(void *ctx, const struct name_own *own)
{
	struct reading *reading = ctx;
	struct name_own *copy;

	if (reading->count == NAMES_OWN_MAX)
		return 1;
	if (reading->count % 64 == 0)
		reading->found =
			xrealloc(reading->found, (reading->count + 64) * sizeof(*reading->found));
	copy = &reading->found[reading->count++];
	*copy = *own;
	copy->record = (struct buf){ 0 };
	buf_add(&copy->record, buf_bytes(&own->record));
	return 0;
}

void names_changed(struct names *names)
{
	struct reading reading = { 0 };
	int err = name_own_each(names->db, read_one, &reading);

	if (err)
		log_warn("names", "not all own names are read err=%s",
			 err < 0 ? err_text(err) : "too many");
	names->looked_ms = names_now(names);
	for (size_t i = 0; i < reading.count; i++)
		own_set(names, &reading.found[i]);
	free(reading.found);
}

/* ---- publishing ---- */

static void on_deadline(void *ctx)
{
	names_query_end(ctx, -ETIMEDOUT, 0);
}

/* There is nothing to wait for. */
static void on_publish_soon(void *ctx)
{
	struct names_query *query = ctx;

	if (!query->names->router)
		names_query_end(query, -ENOTSUP, 0);
	else if (names_own_find(query->names, &query->name))
		names_query_end(query, 0, 1); /* it was told already */
	else
		names_query_end(query, -ENOENT, 0);
}

struct names_query *names_publish(struct names *names, const struct peer_id *name,
				  uint64_t deadline_ms, names_done_fn *done, void *ctx)
{
	struct names_query *query = done ? names_query_new(names, name, done, ctx) : NULL;
	struct name_own kept;
	struct names_own *own = NULL;
	bool waits;

	if (name_own_get(names->db, name, &kept) == 0)
		own = own_set(names, &kept);
	waits = own && names->router && (due_in(own) == 0 || own_expired(own));
	if (waits && own->state == OWN_RESTS && !own->renewing)
		own_later(own, 0);
	if (!query)
		return NULL;
	list_add_tail(waits ? &own->waiting : &names->queries, &query->node);
	if (waits)
		timer_start_at(names->timers, &query->deadline, deadline_ms, on_deadline, query);
	else
		timer_start(names->timers, &query->soon, 0, on_publish_soon, query);
	return query;
}

/* ---- peers came, and the end ---- */

void names_own_hurry(struct names *names)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&names->own, &at, &key, &value)) {
		struct names_own *own = value;
		uint64_t pause_ms = own->retry_ms < NAMES_HASTE_MS ? own->retry_ms : NAMES_HASTE_MS,
			 at_ms = own->tried_ms + pause_ms;

		if (own->state == OWN_RESTS && own->retry_ms && timer_running(&own->timer) &&
		    at_ms < own->timer.at_ms)
			timer_start_at(names->timers, &own->timer, at_ms, own_step, own);
	}
}

void names_own_stop(struct names *names)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&names->own, &at, &key, &value)) {
		struct names_own *own = value;

		own_rest(own);
		while (!list_empty(&own->waiting))
			names_query_free(list_first(&own->waiting, struct names_query, node));
		timer_stop(names->timers, &own->timer);
		name_own_release(&own->kept);
		free(own);
	}
	map_release(&names->own);
}

void names_own_stats(const struct names *names, struct names_stats *stats)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	stats->own = names->own.count;
	while (map_next(&names->own, &at, &key, &value))
		stats->untold += ((struct names_own *)value)->kept.told_ms == 0;
}

/* Followed names: each is asked for again and again, and whoever follows it is told of every better
 * record once, in order. The best is kept in the db, so that no older one comes after it.
 * Loop thread. */
#include "routing/names/names_private.h"

#include "net/base/alloc.h"

#include <stdlib.h>

#define POLL_MS 60000 /* the longest that one search takes */

struct names_watched {
	struct names *names;
	struct peer_id name;
	struct buf best;	   /* empty: none known */
	struct list follows;	   /* struct names_follow */
	struct timer timer;	   /* the next poll */
	struct names_query *query; /* a poll that runs */
	uint64_t polled_ms;	   /* when the last began */
	bool failed;		   /* it found nobody who has the name */
	bool telling;		   /* callbacks run, which may unfollow */
};

struct names_follow {
	struct list node;
	struct names_watched *watched;
	struct timer soon;
	struct buf told; /* the last that better() was given */
	bool gone;	 /* unfollowed while callbacks run */
	names_better_fn *better;
	void *ctx;
};

static void watched_poll(void *ctx);

/* ---- telling ---- */

static void follow_free(struct names_follow *follow)
{
	timer_stop(follow->watched->names->timers, &follow->soon);
	list_remove(&follow->node);
	follow->watched->names->follow_count--;
	buf_release(&follow->told);
	free(follow);
}

static void watched_free(struct names_watched *watched)
{
	struct names *names = watched->names;

	names_cancel(watched->query);
	timer_stop(names->timers, &watched->timer);
	map_remove(&names->watched, peer_id_bytes(&watched->name));
	buf_release(&watched->best);
	free(watched);
}

static bool follow_tell(struct names_follow *follow)
{
	struct name_record record;

	if (follow->gone || !names_read(&record, buf_bytes(&follow->watched->best)) ||
	    (follow->told.len > 0 &&
	     name_record_compare(record.bytes, buf_bytes(&follow->told)) <= 0))
		return false;
	buf_clear(&follow->told);
	buf_add(&follow->told, record.bytes);
	names_read(&record, buf_bytes(&follow->told));
	follow->better(follow->ctx, &record);
	return true;
}

/* Those that were unfollowed meanwhile go, and with the last of them the name. */
static void watched_sweep(struct names_watched *watched)
{
	list_for_each_safe(follow, &watched->follows, struct names_follow, node)
		if (follow->gone)
			follow_free(follow);
	if (list_empty(&watched->follows))
		watched_free(watched);
}

/* To all who do not have the best yet. A callback may bring a better one. */
static void watched_tell(struct names_watched *watched)
{
	bool told = true;

	watched->telling = true;
	while (told) {
		told = false;
		list_for_each(follow, &watched->follows, struct names_follow, node)
			told |= follow_tell(follow);
	}
	watched->telling = false;
	watched_sweep(watched);
}

void names_watched_take(struct names *names, const struct peer_id *name, struct bytes record)
{
	struct names_watched *watched = map_get(&names->watched, peer_id_bytes(name));

	if (!watched)
		return;
	if (watched->best.len > 0 && name_record_compare(record, buf_bytes(&watched->best)) <= 0)
		return;
	buf_clear(&watched->best);
	buf_add(&watched->best, record);
	if (!names_own_find(names, name))
		name_seen(names->db, name, record);
	if (!watched->telling)
		watched_tell(watched);
}

bool names_watched_best(struct names *names, const struct peer_id *name, struct buf *record)
{
	const struct names_watched *watched = map_get(&names->watched, peer_id_bytes(name));

	if (!watched || !watched->best.len)
		return false;
	buf_add(record, buf_bytes(&watched->best));
	return true;
}

/* What is known already, to a new one. */
static void on_soon(void *ctx)
{
	watched_tell(((struct names_follow *)ctx)->watched);
}

/* ---- asking ---- */

static uint64_t poll_pause(const struct names_watched *watched)
{
	struct names *names = watched->names;
	uint64_t ms = names->config.poll_min_ms;
	struct name_record record;

	if (names_read(&record, buf_bytes(&watched->best)) && record.ttl_ns / NAMES_NS_PER_MS > ms)
		ms = record.ttl_ns / NAMES_NS_PER_MS;
	if (ms > NAME_POLL_MAX_MS)
		ms = NAME_POLL_MAX_MS;
	if (watched->failed && ms > names->config.poll_min_ms)
		ms = names->config.poll_min_ms;
	return ms - ms / 5 + random_below(swarm_random(names->swarm), ms / 5 * 2 + 1);
}

static void on_polled(void *ctx, int err, unsigned heard)
{
	struct names_watched *watched = ctx;

	(void)err;
	watched->query = NULL;
	watched->failed = heard == 0;
	timer_start(watched->names->timers, &watched->timer, poll_pause(watched), watched_poll,
		    watched);
}

/* What is found comes by names_watched_take(). */
static void watched_poll(void *ctx)
{
	struct names_watched *watched = ctx;
	struct names *names = watched->names;
	struct names_want want = { .no_cache = true, .deadline_ms = names_now(names) + POLL_MS };

	if (watched->query || !names->router)
		return;
	timer_stop(names->timers, &watched->timer);
	watched->polled_ms = names_now(names);
	names->polls++;
	watched->query = names_resolve(names, &watched->name, &want, NULL, on_polled, watched);
	if (!watched->query)
		on_polled(watched, 0, 0);
}

void names_watched_hurry(struct names *names)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&names->watched, &at, &key, &value)) {
		struct names_watched *watched = value;
		uint64_t at_ms = watched->polled_ms + NAMES_RETRY_MS;

		if (watched->failed && timer_running(&watched->timer) &&
		    at_ms < watched->timer.at_ms)
			timer_start_at(names->timers, &watched->timer, at_ms, watched_poll,
				       watched);
	}
}

/* ---- following ---- */

static struct names_watched *watched_get(struct names *names, const struct peer_id *name)
{
	struct names_watched *watched = map_get(&names->watched, peer_id_bytes(name));

	if (watched)
		return watched;
	watched = xnew(struct names_watched);
	watched->names = names;
	watched->name = *name;
	watched->failed = true;
	list_init(&watched->follows);
	name_stored(names->db, name, &watched->best);
	map_set(&names->watched, peer_id_bytes(name), watched);
	timer_start(names->timers, &watched->timer, 0, watched_poll, watched);
	return watched;
}

struct names_follow *names_follow(struct names *names, const struct peer_id *name,
				  names_better_fn *better, void *ctx)
{
	struct names_follow *follow;

	if (names->follow_count >= NAMES_FOLLOWS_MAX)
		return NULL;
	follow = xnew(struct names_follow);
	follow->watched = watched_get(names, name);
	follow->better = better;
	follow->ctx = ctx;
	list_add_tail(&follow->watched->follows, &follow->node);
	names->follow_count++;
	timer_start(names->timers, &follow->soon, 0, on_soon, follow);
	return follow;
}

void names_follow_now(struct names_follow *follow)
{
	watched_poll(follow->watched);
}

void names_unfollow(struct names_follow *follow)
{
	if (!follow)
		return;
	follow->gone = true;
	if (!follow->watched->telling)
		watched_sweep(follow->watched);
}

void names_watched_stop(struct names *names)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&names->watched, &at, &key, &value)) {
		struct names_watched *watched = value;

		list_for_each(follow, &watched->follows, struct names_follow, node)
			follow->gone = true;
		watched_sweep(watched);
	}
	map_release(&names->watched);
}

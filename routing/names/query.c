/* Searches for a name, and telling a record of anybody's.
 *
 *	resolve -> soon -> own record, or a remembered one -> end
 *	                \_ router: a better one, a better one ... -> end
 *	                                      (nothing: the stored one of a followed name)
 * Loop thread. */
#include "routing/names/names_private.h"

#include "net/base/alloc.h"
#include "net/base/wait.h"
#include "routing/record/ipns.h"

#include <errno.h>
#include <stdlib.h>

bool names_read(struct name_record *out, struct bytes record)
{
	return name_record_read(out, record, wallclock_ns()) == 0;
}

struct names_query *names_query_new(struct names *names, const struct peer_id *name,
				    names_done_fn *done, void *ctx)
{
	struct names_query *query;

	if (names->query_count >= NAMES_QUERIES_MAX)
		return NULL;
	query = xnew(struct names_query);
	query->names = names;
	query->name = *name;
	query->done = done;
	query->ctx = ctx;
	list_init(&query->node);
	names->query_count++;
	return query;
}

void names_query_free(struct names_query *query)
{
	struct names *names = query->names;

	routing_cancel(query->query);
	timer_stop(names->timers, &query->soon);
	timer_stop(names->timers, &query->deadline);
	list_remove(&query->node);
	names->query_count--;
	buf_release(&query->best);
	free(query);
}

void names_query_end(struct names_query *query, int err, unsigned count)
{
	names_done_fn *done = query->cancelled ? NULL : query->done;
	void *ctx = query->ctx;

	names_query_free(query);
	if (done)
		done(ctx, err, count);
}

void names_cancel(struct names_query *query)
{
	if (!query)
		return;
	query->cancelled = true;
	if (!query->busy)
		names_query_free(query);
}

/* ---- resolving ---- */

/* A better record than the one before. False: the query was cancelled, and is gone. */
static bool query_better(struct names_query *query, struct bytes value)
{
	struct name_record record;
	bool gone;

	buf_clear(&query->best);
	buf_add(&query->best, value);
	if (!names_read(&record, buf_bytes(&query->best))) {
		buf_clear(&query->best);
		return true;
	}
	query->busy = true;
	if (query->found)
		query->found(query->ctx, &record);
	query->busy = false;
	gone = query->cancelled;
	if (gone)
		names_query_free(query);
	return !gone;
}

/* Who owns or follows the name here learns of what the network has. */
static void pass_on(struct names *names, const struct peer_id *name, struct bytes value)
{
	struct names_own *own = names_own_find(names, name);

	if (own && name_record_compare(value, names_own_record(own)) > 0)
		names_own_beaten(own, value);
	names_watched_take(names, name, value);
}

/* The name of a key "/ipns/ID". */
static bool key_name(struct bytes key, struct peer_id *name)
{
	const struct bytes prefix = bytes_str(IPNS_PREFIX);

	return bytes_start_with(key, prefix) &&
	       !peer_id_from_bytes(name, bytes_skip(key, prefix.len));
}

bool names_known(struct names *names, struct bytes key, struct buf *record)
{
	struct peer_id name;

	return key_name(key, &name) && names_watched_best(names, &name, record);
}

void names_heard(struct names *names, struct bytes key, struct bytes record)
{
	struct name_record told;
	struct peer_id name;

	if (!key_name(key, &name))
		return;
	/* What somebody here asked for is remembered anew; what nobody did takes no room. */
	if (names_cache_get(names, &name) && names_read(&told, record))
		names_cache_put(names, &name, &told);
	pass_on(names, &name, record);
}

/* The router has checked it. */
static void on_value(void *ctx, struct bytes value)
{
	struct names_query *query = ctx;
	struct buf copy = { 0 };

	query->heard++;
	if (query->best.len > 0 && name_record_compare(value, buf_bytes(&query->best)) <= 0)
		return;
	buf_add(&copy, value);
	query->busy = true;
	pass_on(query->names, &query->name, buf_bytes(&copy));
	query->busy = false;
	if (query->cancelled)
		names_query_free(query);
	else
		query_better(query, buf_bytes(&copy));
	buf_release(&copy);
}

/* Nobody has a good one: of a name that is followed the last good one holds, as does ours. */
static void end_with_stored(struct names_query *query, int err)
{
	struct buf stored = { 0 };
	bool known = map_get(&query->names->watched, peer_id_bytes(&query->name)) ||
		     names_own_find(query->names, &query->name);

	if (known && name_stored(query->names->db, &query->name, &stored) == 0) {
		err = 0;
		if (query_better(query, buf_bytes(&stored)))
			names_query_end(query, 0, 0);
	} else {
		names_query_end(query, err ? err : -ENOENT, 0);
	}
	buf_release(&stored);
}

static void on_searched(void *ctx, int err, unsigned count)
{
	struct names_query *query = ctx;
	struct names_own *own = names_own_find(query->names, &query->name);
	struct name_record record;

	(void)count;
	query->query = NULL;
	if (own && query->heard > 0)
		names_own_asked(own);
	if (query->best.len == 0) {
		end_with_stored(query, err);
		return;
	}
	if (!own && names_read(&record, buf_bytes(&query->best)))
		names_cache_put(query->names, &query->name, &record);
	names_query_end(query, 0, query->heard);
}

static void search(struct names_query *query)
{
	struct names *names = query->names;
	struct buf key = { 0 };

	if (names->router)
		query->query = routing_get_value(names->router, names_key(&query->name, &key),
						 query->want.records, query->want.deadline_ms,
						 on_value, on_searched, query);
	buf_release(&key);
	if (!query->query)
		on_searched(query, names->router ? -EAGAIN : -ENOTSUP, 0);
}

static void on_soon(void *ctx)
{
	struct names_query *query = ctx;
	struct names_own *own = names_own_find(query->names, &query->name);
	struct bytes local = { 0 };
	struct name_record record;

	if (own) {
		local = names_own_record(own);
	} else if (!query->want.no_cache) {
		const struct buf *cached = names_cache_get(query->names, &query->name);

		local = cached ? buf_bytes(cached) : local;
	}
	if (local.len == 0 || !names_read(&record, local) || record.expired) {
		search(query);
	} else if (query_better(query, local)) {
		if (query->want.no_cache)
			search(query);
		else
			names_query_end(query, 0, 0);
	}
}

struct names_query *names_resolve(struct names *names, const struct peer_id *name,
				  const struct names_want *want, names_found_fn *found,
				  names_done_fn *done, void *ctx)
{
	struct names_query *query = names_query_new(names, name, done, ctx);

	if (!query)
		return NULL;
	query->want = *want;
	query->found = found;
	list_add_tail(&names->queries, &query->node);
	timer_start(names->timers, &query->soon, 0, on_soon, query);
	return query;
}

/* ---- telling ---- */

static void on_put(void *ctx, int err, unsigned count)
{
	struct names_query *query = ctx;

	query->query = NULL;
	if (!err && count == 0)
		err = -EHOSTUNREACH;
	if (!err)
		query->names->told++;
	names_query_end(query, err, count);
}

static void put_start(struct names_query *query)
{
	struct names *names = query->names;
	struct buf key = { 0 };

	if (names->router)
		query->query = routing_put_value(names->router, names_key(&query->name, &key),
						 buf_bytes(&query->best), query->want.deadline_ms,
						 on_put, query);
	buf_release(&key);
	if (!query->query)
		names_query_end(query, names->router ? -EAGAIN : -ENOTSUP, 0);
}

static void put_first(void *ctx)
{
	struct names_query *query = ctx;
	struct name_record record;
	int err = name_record_check(&record, &query->name, buf_bytes(&query->best), wallclock_ns());

	if (!err && record.expired)
		err = -ETIME;
	if (err) {
		names_query_end(query, err, 0);
		return;
	}
	query->busy = true;
	pass_on(query->names, &query->name, buf_bytes(&query->best));
	query->busy = false;
	if (!names_own_find(query->names, &query->name))
		names_cache_put(query->names, &query->name, &record);
	if (query->cancelled)
		names_query_free(query);
	else
		put_start(query);
}

struct names_query *names_put(struct names *names, const struct peer_id *name, struct bytes record,
			      uint64_t deadline_ms, names_done_fn *done, void *ctx)
{
	struct names_query *query = names_query_new(names, name, done, ctx);

	if (!query)
		return NULL;
	query->want.deadline_ms = deadline_ms;
	buf_add(&query->best, record);
	list_add_tail(&names->queries, &query->node);
	timer_start(names->timers, &query->soon, 0, put_first, query);
	return query;
}

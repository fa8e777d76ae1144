/* One router made of several. A query asks the parts of the lowest rank side by side, each after
 * its delay and for its time limit, and merges what they find: providers without repeats, the first
 * peer found, the best value. If they found too little, it asks those of the next rank. It ends
 * when all ranks are over, or as soon as it has enough. Loop thread. */
#include "routing/routing.h"

#include "net/base/alloc.h"
#include "net/base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define QUERIES_MAX 1024

struct composed;

struct member {
	struct composed *composed;
	struct composed_part config;
	struct router_watch watch;
};

struct composed {
	struct router router; /* first: the door's pointer */
	struct timers *timers;
	struct member members[COMPOSED_ROUTERS_MAX];
	size_t count;
	struct list queries;
	unsigned query_count;
	unsigned closing; /* parts that are not closed yet */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

struct query;

enum part_state { PART_WAITS, PART_DELAYED, PART_ASKED, PART_OVER };

/* What one member does for a query. */
struct part {
	struct query *query;
	const struct composed_part *config;
	enum part_state state;
	struct timer timer;	   /* its delay, then its time limit */
	struct routing_query *sub; /* while it is asked */
};

struct query {
	struct routing_query base; /* first: the door's pointer */
	struct list node;
	struct composed *composed;
	struct part parts[COMPOSED_ROUTERS_MAX];
	/* Asks the part's router what this query asks. */
	struct routing_query *(*ask)(struct part *part);
	struct peer_id peer;
	struct buf key, value; /* what is looked for, or put */
	uint64_t deadline_ms;
	unsigned pending; /* parts delayed or asked */
	unsigned count, count_max;
	int err;     /* 0 once one part succeeded */
	bool failed; /* an error ends the sequence of ranks */
	struct map seen;
	struct buf best;
	bool busy;	/* a callback runs, which may cancel */
	bool cancelled; /* it did */
	routing_peer_fn *on_peer;
	routing_provider_fn *on_provider;
	routing_value_fn *on_value;
	routing_done_fn *on_done;
	void *ctx;
};

static void query_free(struct query *query)
{
	for (size_t i = 0; i < query->composed->count; i++) {
		timer_stop(query->composed->timers, &query->parts[i].timer);
		routing_cancel(query->parts[i].sub);
	}
	list_remove(&query->node);
	query->composed->query_count--;
	map_release(&query->seen);
	buf_release(&query->key);
	buf_release(&query->value);
	buf_release(&query->best);
	free(query);
}

static void query_cancel(struct routing_query *base)
{
	struct query *query = container_of(base, struct query, base);

	query->cancelled = true;
	if (!query->busy)
		query_free(query);
}

static void query_end(struct query *query, int err, const struct peer_info *info)
{
	query->busy = true;
	if (query->on_done)
		query->on_done(query->ctx, err, query->count);
	else
		query->on_peer(query->ctx, err, info);
	query_free(query);
}

static struct query *query_new(struct router *router, struct bytes key, uint64_t deadline_ms,
			       void *ctx)
{
	struct composed *composed = container_of(router, struct composed, router);
	struct query *query;

	if (composed->query_count >= QUERIES_MAX)
		return NULL;
	query = xnew(struct query);
	query->base.cancel = query_cancel;
	query->composed = composed;
	query->deadline_ms = deadline_ms;
	query->err = -ENOENT;
	query->ctx = ctx;
	buf_add(&query->key, key);
	list_add_tail(&composed->queries, &query->node);
	composed->query_count++;
	for (size_t i = 0; i < composed->count; i++) {
		query->parts[i].query = query;
		query->parts[i].config = &composed->members[i].config;
	}
	return query;
}

/* ---- parts: waiting, delayed, asked, over ---- */

static void query_go_on(struct query *query);

/* An error counts, unless the part found nothing or its errors are ignored. */
static void part_over(struct part *part, int err)
{
	struct query *query = part->query;

	timer_stop(query->composed->timers, &part->timer);
	part->sub = NULL;
	part->state = PART_OVER;
	query->pending--;
	if (err && part->config->ignore_errors)
		err = -ENOENT;
	if (err && err != -ENOENT)
		query->failed = true;
	if (err == 0 || query->err == -ENOENT)
		query->err = err;
	if (query->pending == 0)
		query_go_on(query);
}

static void on_time_limit(void *ctx)
{
	struct part *part = ctx;

	routing_cancel(part->sub);
	part_over(part, -ETIMEDOUT);
}

/* False: the router does not do that, or has too much to do. */
static bool part_ask(struct part *part)
{
	part->sub = part->query->ask(part);
	if (!part->sub)
		return false;
	part->state = PART_ASKED;
	if (part->config->timeout_ms > 0)
		timer_start(part->query->composed->timers, &part->timer, part->config->timeout_ms,
			    on_time_limit, part);
	return true;
}

static void on_delay_over(void *ctx)
{
	struct part *part = ctx;

	if (timers_now(part->query->composed->timers) >= part->query->deadline_ms)
		part_over(part, -ETIMEDOUT);
	else if (!part_ask(part))
		part_over(part, -ENOENT);
}

static void part_start(struct part *part)
{
	struct query *query = part->query;
	struct timers *timers = query->composed->timers;
	uint64_t at = timers_now(timers) + part->config->delay_ms;

	if (part->config->delay_ms == 0) {
		part->state = PART_OVER;
		query->pending += part_ask(part);
		return;
	}
	part->state = PART_DELAYED;
	query->pending++;
	timer_start_at(timers, &part->timer, at < query->deadline_ms ? at : query->deadline_ms,
		       on_delay_over, part);
}

/* The lowest rank whose parts still wait. */
static bool next_rank(const struct query *query, unsigned *rank)
{
	bool found = false;

	for (size_t i = 0; i < query->composed->count; i++) {
		const struct part *part = &query->parts[i];

		if (part->state != PART_WAITS || (found && part->config->rank >= *rank))
			continue;
		*rank = part->config->rank;
		found = true;
	}
	return found;
}

/* Starts the next rank that does something. False: there is none. */
static bool start_rank(struct query *query)
{
	unsigned rank = 0;

	while (query->pending == 0 && next_rank(query, &rank))
		for (size_t i = 0; i < query->composed->count; i++)
			if (query->parts[i].state == PART_WAITS &&
			    query->parts[i].config->rank == rank)
				part_start(&query->parts[i]);
	return query->pending > 0;
}

/* A rank is over. A value was found, or an error came: the rest is not asked. */
static void query_go_on(struct query *query)
{
	bool found = query->best.len > 0;

	if (found || query->failed || !start_rank(query))
		query_end(query, found ? 0 : query->err, NULL);
}

/* NULL, and the query is freed, when no part takes it. */
static struct routing_query *query_start(struct query *query,
					 struct routing_query *(*ask)(struct part *part))
{
	query->ask = ask;
	if (start_rank(query))
		return &query->base;
	query_free(query);
	return NULL;
}

static void on_part_done(void *ctx, int err, unsigned count)
{
	struct part *part = ctx;
	struct query *query = part->query;

	/* Providers and values are counted as they come. */
	if (!query->on_provider && !query->on_value)
		query->count += count;
	part_over(part, err);
}

/* ---- the five operations ---- */

static void on_part_peer(void *ctx, int err, const struct peer_info *info)
{
	struct part *part = ctx;

	part->sub = NULL;
	if (err)
		part_over(part, err);
	else
		query_end(part->query, 0, info);
}

static struct routing_query *ask_peer(struct part *part)
{
	return routing_find_peer(part->config->router, &part->query->peer, part->query->deadline_ms,
				 on_part_peer, part);
}

static struct routing_query *find_peer(struct router *router, const struct peer_id *peer,
				       uint64_t deadline_ms, routing_peer_fn *done, void *ctx)
{
	struct query *query = query_new(router, peer_id_bytes(peer), deadline_ms, ctx);

	if (!query)
		return NULL;
	query->peer = *peer;
	query->on_peer = done;
	return query_start(query, ask_peer);
}

/* It was given already, with the same protocols. Notes it. */
static bool is_seen(struct query *query, const struct peer_info *info)
{
	struct buf name = { 0 };
	bool seen;

	buf_add(&name, peer_id_bytes(&info->id));
	for (size_t i = 0; i < info->protocol_count; i++) {
		buf_add(&name, bytes_str(" "));
		buf_add(&name, bytes_str(info->protocols[i]));
	}
	seen = map_get(&query->seen, buf_bytes(&name)) != NULL;
	if (!seen)
		map_set(&query->seen, buf_bytes(&name), query);
	buf_release(&name);
	return seen;
}

static void on_part_provider(void *ctx, const struct peer_info *info)
{
	struct query *query = ((struct part *)ctx)->query;

	/* If it comes again with more addresses, the peerstore has them already. */
	if (is_seen(query, info))
		return;
	query->count++;
	query->busy = true;
	query->on_provider(query->ctx, info);
	query->busy = false;
	if (query->cancelled)
		query_free(query);
	else if (query->count >= query->count_max)
		query_end(query, 0, NULL);
}

static struct routing_query *ask_providers(struct part *part)
{
	return routing_find_providers(part->config->router, buf_bytes(&part->query->key),
				      part->query->count_max, part->query->deadline_ms,
				      on_part_provider, on_part_done, part);
}

static struct routing_query *find_providers(struct router *router, struct bytes multihash,
					    unsigned count_max, uint64_t deadline_ms,
					    routing_provider_fn *found, routing_done_fn *done,
					    void *ctx)
{
	struct query *query = query_new(router, multihash, deadline_ms, ctx);

	if (!query)
		return NULL;
	query->count_max = count_max > 0 && count_max < ROUTING_PROVIDERS_MAX
				   ? count_max
				   : ROUTING_PROVIDERS_MAX;
	query->on_provider = found;
	query->on_done = done;
	return query_start(query, ask_providers);
}

static struct routing_query *ask_provide(struct part *part)
{
	return routing_provide(part->config->router, buf_bytes(&part->query->key),
			       part->query->deadline_ms, on_part_done, part);
}

static struct routing_query *composed_provide(struct router *router, struct bytes multihash,
					      uint64_t deadline_ms, routing_done_fn *done,
					      void *ctx)
{
	struct query *query = query_new(router, multihash, deadline_ms, ctx);

	if (!query)
		return NULL;
	query->on_done = done;
	return query_start(query, ask_provide);
}

static struct routing_query *ask_put(struct part *part)
{
	return routing_put_value(part->config->router, buf_bytes(&part->query->key),
				 buf_bytes(&part->query->value), part->query->deadline_ms,
				 on_part_done, part);
}

static struct routing_query *put_value(struct router *router, struct bytes key, struct bytes value,
				       uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	struct query *query = query_new(router, key, deadline_ms, ctx);

	if (!query)
		return NULL;
	buf_add(&query->value, value);
	query->on_done = done;
	return query_start(query, ask_put);
}

static int compare(struct router *router, struct bytes key, struct bytes a, struct bytes b)
{
	struct composed *composed = container_of(router, struct composed, router);

	for (size_t i = 0; i < composed->count; i++) {
		struct router *part = composed->members[i].config.router;
		int order = part->ops->compare ? part->ops->compare(part, key, a, b) : 0;

		if (order)
			return order;
	}
	return 0;
}

static void on_part_value(void *ctx, struct bytes value)
{
	struct query *query = ((struct part *)ctx)->query;

	query->count++;
	if (query->best.len > 0 && compare(&query->composed->router, buf_bytes(&query->key), value,
					   buf_bytes(&query->best)) <= 0)
		return;
	buf_clear(&query->best);
	buf_add(&query->best, value);
	query->busy = true;
	query->on_value(query->ctx, value);
	query->busy = false;
	if (query->cancelled)
		query_free(query);
}

static struct routing_query *ask_value(struct part *part)
{
	return routing_get_value(part->config->router, buf_bytes(&part->query->key),
				 part->query->count_max, part->query->deadline_ms, on_part_value,
				 on_part_done, part);
}

static struct routing_query *get_value(struct router *router, struct bytes key,
				       unsigned records_max, uint64_t deadline_ms,
				       routing_value_fn *found, routing_done_fn *done, void *ctx)
{
	struct query *query = query_new(router, key, deadline_ms, ctx);

	if (!query)
		return NULL;
	query->on_value = found;
	query->count_max = records_max;
	query->on_done = done;
	return query_start(query, ask_value);
}

/* ---- what is passed on ---- */

static bool is_reaching(struct router *router, const struct peer_id *peer)
{
	struct composed *composed = container_of(router, struct composed, router);

	for (size_t i = 0; i < composed->count; i++) {
		struct router *part = composed->members[i].config.router;

		if (part->ops->is_reaching && part->ops->is_reaching(part, peer))
			return true;
	}
	return false;
}

/* As the part that is best off: one that can is enough. */
static int can_provide(struct router *router)
{
	struct composed *composed = container_of(router, struct composed, router);
	int err = -ENOTSUP;

	for (size_t i = 0; i < composed->count; i++) {
		struct router *part = composed->members[i].config.router;
		int rc;

		if (!part->ops->provide)
			continue;
		rc = part->ops->can_provide ? part->ops->can_provide(part) : 0;
		if (rc == 0)
			return 0;
		if (err != -EAGAIN)
			err = rc;
	}
	return err;
}

static void note_own(struct router *router, struct bytes multihash, bool have)
{
	struct composed *composed = container_of(router, struct composed, router);

	for (size_t i = 0; i < composed->count; i++)
		routing_note_own(composed->members[i].config.router, multihash, have);
}

static void on_part_ready(void *ctx)
{
	struct member *member = ctx;

	router_ready(&member->composed->router);
}

/* ---- start and end ---- */

static void on_part_closed(void *ctx)
{
	struct composed *composed = ctx;
	void (*done)(void *ctx) = composed->closed;
	void *closed_ctx = composed->closed_ctx;

	if (--composed->closing > 0)
		return;
	free(composed);
	done(closed_ctx);
}

static void composed_close(struct router *router, void (*done)(void *ctx), void *ctx)
{
	struct composed *composed = container_of(router, struct composed, router);
	size_t count = composed->count;

	while (!list_empty(&composed->queries))
		query_free(list_first(&composed->queries, struct query, node));
	composed->closed = done;
	composed->closed_ctx = ctx;
	composed->closing = (unsigned)count + 1; /* this call too: parts may be closed at once */
	for (size_t i = 0; i < count; i++) {
		struct member *member = &composed->members[i];

		router_unwatch(member->config.router, &member->watch);
		router_close(member->config.router, on_part_closed, composed);
	}
	on_part_closed(composed);
}

static const struct router_ops ops = {
	.find_peer = find_peer,
	.find_providers = find_providers,
	.provide = composed_provide,
	.put_value = put_value,
	.get_value = get_value,
	.close = composed_close,
	.compare = compare,
	.is_reaching = is_reaching,
	.can_provide = can_provide,
	.note_own = note_own,
};

struct router *composed_new(struct loop *loop, const struct composed_part *parts, size_t count)
{
	struct composed *composed = xnew(struct composed);

	assert(count <= COMPOSED_ROUTERS_MAX);
	composed->router = (struct router){ .ops = &ops, .name = "composed" };
	composed->timers = loop_timers(loop);
	composed->count = count;
	list_init(&composed->queries);
	for (size_t i = 0; i < count; i++) {
		struct member *member = &composed->members[i];

		member->composed = composed;
		member->config = parts[i];
		member->watch = (struct router_watch){ .on_ready = on_part_ready, .ctx = member };
		router_watch(member->config.router, &member->watch);
	}
	return &composed->router;
}

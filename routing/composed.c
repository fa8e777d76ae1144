/* One router made of several. A query starts the same query on each part and merges what they
 * find: providers without repeats, the first peer found, the best value. It ends when all parts
 * have ended, or as soon as it has enough. Loop thread. */
#include "routing/routing.h"

#include "net/base/alloc.h"
#include "net/base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A query starts one of each part and ends with the last of them, or when it has enough. */

#define QUERIES_MAX 1024

struct composed {
	struct router router; /* first: the door's pointer */
	struct router *parts[COMPOSED_ROUTERS_MAX];
	size_t count;
	struct list queries;
	unsigned query_count;
	unsigned closing; /* parts that are not closed yet */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

struct query;

struct part {
	struct query *query;
	struct router *router;
	struct routing_query *sub; /* NULL: not started, or over */
};

struct query {
	struct routing_query base; /* first: the door's pointer */
	struct list node;
	struct composed *composed;
	struct part parts[COMPOSED_ROUTERS_MAX];
	unsigned pending, count, count_max;
	int err; /* 0 once one part succeeded */
	struct map seen;
	struct buf key, best;
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
	for (size_t i = 0; i < query->composed->count; i++)
		routing_cancel(query->parts[i].sub);
	list_remove(&query->node);
	query->composed->query_count--;
	map_release(&query->seen);
	buf_release(&query->key);
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

static struct query *query_new(struct router *router, struct bytes key, void *ctx)
{
	struct composed *composed = container_of(router, struct composed, router);
	struct query *query;

	if (composed->query_count >= QUERIES_MAX)
		return NULL;
	query = xnew(struct query);
	query->base.cancel = query_cancel;
	query->composed = composed;
	query->err = -ENOENT;
	query->ctx = ctx;
	buf_add(&query->key, key);
	list_add_tail(&composed->queries, &query->node);
	composed->query_count++;
	for (size_t i = 0; i < composed->count; i++)
		query->parts[i] = (struct part){ .query = query, .router = composed->parts[i] };
	return query;
}

/* All parts were asked to start: NULL when none did. */
static struct routing_query *query_started(struct query *query)
{
	for (size_t i = 0; i < query->composed->count; i++)
		query->pending += query->parts[i].sub != NULL;
	if (query->pending > 0)
		return &query->base;
	query_free(query);
	return NULL;
}

/* One part is over. Its error counts unless it only found nothing. */
static void part_over(struct part *part, int err)
{
	struct query *query = part->query;

	part->sub = NULL;
	if (err == 0 || (query->err == -ENOENT && err != 0))
		query->err = err;
	query->pending--;
}

static void on_part_done(void *ctx, int err, unsigned count)
{
	struct part *part = ctx;
	struct query *query = part->query;

	part_over(part, err);
	/* Providers are counted as they come, without those given twice. */
	if (!query->on_provider && !query->on_value)
		query->count += count;
	if (query->pending == 0)
		query_end(query, query->best.len > 0 ? 0 : query->err, NULL);
}

/* ---- the five operations ---- */

static void on_part_peer(void *ctx, int err, const struct peer_info *info)
{
	struct part *part = ctx;

	part_over(part, err);
	if (!err || part->query->pending == 0)
		query_end(part->query, err ? part->query->err : 0, err ? NULL : info);
}

static struct routing_query *find_peer(struct router *router, const struct peer_id *peer,
				       uint64_t deadline_ms, routing_peer_fn *done, void *ctx)
{
	struct query *query = query_new(router, peer_id_bytes(peer), ctx);

	if (!query)
		return NULL;
	query->on_peer = done;
	for (size_t i = 0; i < query->composed->count; i++)
		query->parts[i].sub = routing_find_peer(query->parts[i].router, peer, deadline_ms,
							on_part_peer, &query->parts[i]);
	return query_started(query);
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

static struct routing_query *find_providers(struct router *router, struct bytes multihash,
					    unsigned count_max, uint64_t deadline_ms,
					    routing_provider_fn *found, routing_done_fn *done,
					    void *ctx)
{
	struct query *query = query_new(router, multihash, ctx);

	if (!query)
		return NULL;
	query->count_max = count_max > 0 && count_max < ROUTING_PROVIDERS_MAX
				   ? count_max
				   : ROUTING_PROVIDERS_MAX;
	query->on_provider = found;
	query->on_done = done;
	for (size_t i = 0; i < query->composed->count; i++)
		query->parts[i].sub = routing_find_providers(
			query->parts[i].router, multihash, count_max, deadline_ms, on_part_provider,
			on_part_done, &query->parts[i]);
	return query_started(query);
}

static struct routing_query *provide(struct router *router, struct bytes multihash,
				     uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	struct query *query = query_new(router, multihash, ctx);

	if (!query)
		return NULL;
	query->on_done = done;
	for (size_t i = 0; i < query->composed->count; i++)
		query->parts[i].sub = routing_provide(query->parts[i].router, multihash,
						      deadline_ms, on_part_done, &query->parts[i]);
	return query_started(query);
}

static struct routing_query *put_value(struct router *router, struct bytes key, struct bytes value,
				       uint64_t deadline_ms, routing_done_fn *done, void *ctx)
{
	struct query *query = query_new(router, key, ctx);

	if (!query)
		return NULL;
	query->on_done = done;
	for (size_t i = 0; i < query->composed->count; i++)
		query->parts[i].sub =
			routing_put_value(query->parts[i].router, key, value, deadline_ms,
					  on_part_done, &query->parts[i]);
	return query_started(query);
}

static int compare(struct router *router, struct bytes key, struct bytes a, struct bytes b)
{
	struct composed *composed = container_of(router, struct composed, router);

	for (size_t i = 0; i < composed->count; i++) {
		struct router *part = composed->parts[i];
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

static struct routing_query *get_value(struct router *router, struct bytes key,
				       uint64_t deadline_ms, routing_value_fn *found,
				       routing_done_fn *done, void *ctx)
{
	struct query *query = query_new(router, key, ctx);

	if (!query)
		return NULL;
	query->on_value = found;
	query->on_done = done;
	for (size_t i = 0; i < query->composed->count; i++)
		query->parts[i].sub =
			routing_get_value(query->parts[i].router, key, deadline_ms, on_part_value,
					  on_part_done, &query->parts[i]);
	return query_started(query);
}

static bool is_reaching(struct router *router, const struct peer_id *peer)
{
	struct composed *composed = container_of(router, struct composed, router);

	for (size_t i = 0; i < composed->count; i++) {
		struct router *part = composed->parts[i];

		if (part->ops->is_reaching && part->ops->is_reaching(part, peer))
			return true;
	}
	return false;
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
	for (size_t i = 0; i < count; i++)
		router_close(composed->parts[i], on_part_closed, composed);
	on_part_closed(composed);
}

static const struct router_ops ops = {
	.find_peer = find_peer,
	.find_providers = find_providers,
	.provide = provide,
	.put_value = put_value,
	.get_value = get_value,
	.close = composed_close,
	.compare = compare,
	.is_reaching = is_reaching,
};

struct router *composed_new(struct loop *loop, struct router *const *parts, size_t count)
{
	struct composed *composed = xnew(struct composed);

	(void)loop; /* the parts have it */
	assert(count <= COMPOSED_ROUTERS_MAX);
	composed->router = (struct router){ .ops = &ops, .name = "composed" };
	composed->count = count;
	if (count > 0)
		memcpy(composed->parts, parts, count * sizeof(*parts));
	list_init(&composed->queries);
	return &composed->router;
}

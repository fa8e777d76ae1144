/* From a blocking thread to the engine on the loop and back.
 *
 * A request has two owners: the thread that waits and the loop. Its lock decides who comes first:
 * either the loop marks it done and wakes the waiter, or the waiter gives it up; afterwards neither
 * touches the other's things. Sessions are made and ended on the loop. What is still in the inbox
 * when the fetcher is freed finds the engine gone and only cleans up. */
#include "exchange/exchange.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/list.h"
#include "net/base/loop.h"
#include "net/base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PREFETCH_TIMEOUT_MS 60000
#define TELL_MS                                                                                    \
	500 /* after its deadline a request waits so much longer to be told what was tried */

/* What outlives the fetcher while items are in the inbox. */
struct core {
	atomic_uint refs;	   /* of the fetcher and of each session */
	struct exchange *exchange; /* NULL when the fetcher was freed; loop thread */
	struct list sessions;	   /* that the engine knows; loop thread */
	size_t prefetched;
};

struct engine_fetcher {
	struct fetcher fetcher;
	struct exchange *exchange;
	struct loop *loop;
	struct core *core;
};

struct fetch_session {
	struct list link;
	struct core *core;
	struct exchange_session *session; /* made by the first request */
	struct list requests;		  /* whose get runs */
	struct map prefetches;		  /* CID -> struct prefetch */
	struct inbox_item close;
};

struct request {
	struct inbox_item start, cancel;
	struct list link;
	struct fetch_session *session;
	struct exchange_get *get; /* loop thread */
	struct cid cid;
	uint64_t deadline_ms;
	atomic_uint refs; /* waiter, and loop */
	pthread_mutex_t lock;
	struct wait *wait; /* NULL when given up */
	bool done;
	int err;
	struct block *block;
	struct wait_tried tried; /* the loop's until done */
};

struct prefetch {
	struct fetch_session *session;
	struct exchange_get *get;
	struct cid cid;
};

struct prefetch_order {
	struct inbox_item item;
	struct fetch_session *session;
	size_t count;
	struct cid cids[];
};

static struct engine_fetcher *engine_of(struct fetcher *fetcher)
{
	return container_of(fetcher, struct engine_fetcher, fetcher);
}

static void core_unref(struct core *core)
{
	if (atomic_fetch_sub(&core->refs, 1) == 1)
		free(core);
}

static void request_unref(struct request *request)
{
	if (atomic_fetch_sub(&request->refs, 1) > 1)
		return;
	block_unref(request->block);
	pthread_mutex_destroy(&request->lock);
	free(request);
}

/* ---- sessions ---- */

static void *session_open(struct fetcher *fetcher)
{
	struct core *core = engine_of(fetcher)->core;
	struct fetch_session *session = xnew(struct fetch_session);

	atomic_fetch_add(&core->refs, 1);
	session->core = core;
	list_init(&session->link);
	list_init(&session->requests);
	return session;
}

/* The engine's session, made when it is first needed; NULL when the engine is gone. Loop thread. */
static struct exchange_session *engine_session(struct fetch_session *session)
{
	struct core *core = session->core;

	if (!session->session && core->exchange) {
		session->session = exchange_session_new(core->exchange);
		if (session->session)
			list_add_tail(&core->sessions, &session->link);
	}
	return session->session;
}

/* Takes block. The loop's half of a request ends. */
static void request_done(struct request *request, int err, struct block *block)
{
	list_remove(&request->link);
	request->get = NULL;
	pthread_mutex_lock(&request->lock);
	request->done = true;
	request->err = err;
	request->block = block;
	/* Inside the lock: the waiter cannot see done and leave before it was woken. */
	if (request->wait)
		wait_wake(request->wait);
	pthread_mutex_unlock(&request->lock);
	request_unref(request);
}

static void prefetch_end(struct prefetch *prefetch)
{
	map_remove(&prefetch->session->prefetches, cid_bytes(&prefetch->cid));
	prefetch->session->core->prefetched--;
	free(prefetch);
}

static void session_end(struct fetch_session *session)
{
	struct bytes key;
	void *value;
	size_t at = 0;

	list_for_each_safe(request, &session->requests, struct request, link) {
		exchange_get_cancel(request->get);
		request_done(request, -ECANCELED, NULL);
	}
	while (map_next(&session->prefetches, &at, &key, &value)) {
		struct prefetch *prefetch = value;

		exchange_get_cancel(prefetch->get);
		prefetch_end(prefetch);
	}
	map_release(&session->prefetches);
	list_remove(&session->link);
	if (session->session)
		exchange_session_free(session->session);
	session->session = NULL;
}

static void on_close(struct inbox_item *item)
{
	struct fetch_session *session = container_of(item, struct fetch_session, close);

	session_end(session);
	core_unref(session->core);
	free(session);
}

static void session_close(struct fetcher *fetcher, void *ctx)
{
	struct fetch_session *session = ctx;

	session->close.run = on_close;
	loop_post(engine_of(fetcher)->loop, &session->close);
}

/* ---- one block, waiting ---- */

static void on_got(void *ctx, int err, struct block *block)
{
	request_done(ctx, err, block);
}

static void on_start(struct inbox_item *item)
{
	struct request *request = container_of(item, struct request, start);
	struct exchange_session *session = engine_session(request->session);

	if (!session) {
		request_done(request, request->session->core->exchange ? -EAGAIN : -ECANCELED,
			     NULL);
		return;
	}
	list_add_tail(&request->session->requests, &request->link);
	request->get = exchange_get(session, &request->cid, request->deadline_ms, on_got, request);
	if (request->get)
		exchange_get_tell(request->get, &request->tried);
	else
		request_done(request, -EAGAIN, NULL);
}

static void on_cancel(struct inbox_item *item)
{
	struct request *request = container_of(item, struct request, cancel);

	if (request->get) {
		exchange_get_cancel(request->get);
		request_done(request, -ECANCELED, NULL);
	}
	request_unref(request);
}

/* Whether it is done; when not and give_up, the loop may not touch the waiter any more. */
static bool is_done(struct request *request, bool give_up)
{
	pthread_mutex_lock(&request->lock);
	bool done = request->done;

	if (!done && give_up)
		request->wait = NULL;
	pthread_mutex_unlock(&request->lock);
	return done;
}

/* The blocking half of a fetch: posts a request to the loop, and sleeps until it is done or given
 * up. After it was given up the request is the loop's alone. */
static int session_fetch(struct fetcher *fetcher, void *ctx, const struct cid *cid,
			 struct wait *wait, struct block **out)
{
	struct loop *loop = engine_of(fetcher)->loop;
	int err = wait_check(wait);

	if (err)
		return err;
	struct request *request = xnew(struct request);

	request->start.run = on_start;
	request->cancel.run = on_cancel;
	list_init(&request->link);
	request->session = ctx;
	request->cid = *cid;
	request->deadline_ms = wait->deadline_ms;
	request->wait = wait;
	atomic_init(&request->refs, 2);
	pthread_mutex_init(&request->lock, NULL);
	loop_post(loop, &request->start);

	/* The loop's clock ends the request too, a moment later or sooner: it knows what was tried.
	 */
	while (!is_done(request, false)) {
		err = wait_sleep_longer(wait, TELL_MS);
		if (err && !is_done(request, true)) {
			loop_post(loop, &request->cancel); /* with our reference */
			return err;
		}
	}
	err = request->err;
	wait->tried = request->tried;
	*out = request->block;
	request->block = NULL;
	request_unref(request);
	return err;
}

/* ---- many blocks, not waiting ---- */

static void on_prefetched(void *ctx, int err, struct block *block)
{
	(void)err;	    /* a reader that needs it asks again */
	block_unref(block); /* it is in the store */
	prefetch_end(ctx);
}

static void prefetch_one(struct fetch_session *session, const struct cid *cid, uint64_t deadline_ms)
{
	/* The other half of the wants is for callers that wait. */
	if (session->core->prefetched >= exchange_wants_max(session->core->exchange) / 2 ||
	    map_get(&session->prefetches, cid_bytes(cid)))
		return;
	struct prefetch *prefetch = xnew(struct prefetch);

	prefetch->session = session;
	prefetch->cid = *cid;
	prefetch->get = exchange_get(session->session, cid, deadline_ms, on_prefetched, prefetch);
	if (!prefetch->get) {
		free(prefetch);
		return;
	}
	map_set(&session->prefetches, cid_bytes(&prefetch->cid), prefetch);
	session->core->prefetched++;
}

static void on_prefetch(struct inbox_item *item)
{
	struct prefetch_order *order = container_of(item, struct prefetch_order, item);
	uint64_t deadline_ms = monotonic_ms() + PREFETCH_TIMEOUT_MS;

	if (engine_session(order->session))
		for (size_t i = 0; i < order->count; i++)
			prefetch_one(order->session, &order->cids[i], deadline_ms);
	free(order);
}

static void session_prefetch(struct fetcher *fetcher, void *session, const struct cid *cids,
			     size_t count)
{
	if (count > EXCHANGE_PREFETCH_MAX)
		count = EXCHANGE_PREFETCH_MAX;
	struct prefetch_order *order = xcalloc(1, sizeof *order + count * sizeof *cids);

	order->item.run = on_prefetch;
	order->session = session;
	order->count = count;
	memcpy(order->cids, cids, count * sizeof *cids);
	loop_post(engine_of(fetcher)->loop, &order->item);
}

/* ---- the rest ---- */

static void engine_have(struct fetcher *fetcher, const struct cid *cids, size_t count)
{
	exchange_have(engine_of(fetcher)->exchange, cids, count);
}

static void engine_free(struct fetcher *fetcher)
{
	struct engine_fetcher *engine = engine_of(fetcher);
	struct core *core = engine->core;

	list_for_each_safe(session, &core->sessions, struct fetch_session, link)
		session_end(session);
	core->exchange = NULL;
	core_unref(core);
	free(engine);
}

static const struct fetcher_ops engine_ops = {
	.open = session_open,
	.close = session_close,
	.fetch = session_fetch,
	.prefetch = session_prefetch,
	.have = engine_have,
	.free = engine_free,
};

struct fetcher *fetcher_of_exchange(struct exchange *exchange, struct loop *loop)
{
	struct engine_fetcher *engine = xnew(struct engine_fetcher);

	engine->fetcher.ops = &engine_ops;
	engine->exchange = exchange;
	engine->loop = loop;
	engine->core = xnew(struct core);
	atomic_init(&engine->core->refs, 1);
	engine->core->exchange = exchange;
	list_init(&engine->core->sessions);
	return &engine->fetcher;
}

void fetcher_free(struct fetcher *fetcher)
{
	if (fetcher)
		fetcher->ops->free(fetcher);
}

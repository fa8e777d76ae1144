/* Drives one lookup with real messages: sends what lookup.c wants asked, and feeds it the
 * answers. Loop thread. */
#include "routing/kad/walk.h"

#include "routing/kad/kad.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* soon -> seed -> [ask -> on_called]* -> end. The deadline may cut in anywhere. */

struct question {
	struct list node;
	struct kad_walk *walk;
	struct peer_id peer;
	struct kad_call *call;
};

static void walk_pump(struct kad_walk *walk);

static void question_free(struct question *question)
{
	list_remove(&question->node);
	free(question);
}

/* Nothing of it is under way any more; the lookup stays to be read. */
static void halt(struct kad_walk *walk)
{
	struct timers *timers = walk->kad->timers;

	timer_stop(timers, &walk->soon);
	timer_stop(timers, &walk->slow);
	timer_stop(timers, &walk->deadline);
	while (!list_empty(&walk->calls)) {
		struct question *question = list_first(&walk->calls, struct question, node);

		kad_client_cancel(question->call);
		question_free(question);
	}
	walk->running = false;
}

void kad_walk_stop(struct kad_walk *walk)
{
	if (!walk->kad)
		return;
	halt(walk);
	kad_lookup_release(&walk->lookup);
	buf_release(&walk->request);
	walk->kad = NULL;
}

/* The walk may be gone after it. */
static void walk_end(struct kad_walk *walk, int err)
{
	halt(walk);
	walk->on_done(walk->ctx, err);
}

static void on_deadline(void *ctx)
{
	walk_end(ctx, -ETIMEDOUT);
}

/* ---- answers ---- */

struct taking {
	struct kad_walk *walk;
	struct kad_lookup_news news[KAD_LOOKUP_TAKE_MAX];
	size_t count;
};

static int take_closer(void *ctx, const struct kad_msg_peer *peer)
{
	struct taking *taking = ctx;
	struct kad *kad = taking->walk->kad;

	if (peer_id_equal(&peer->id, &kad->table.self))
		return 0;
	/* One that we are connected to is good even when nobody tells its addresses. */
	if (!kad_filter_peer(&kad->filter, peer->addrs, peer->addr_count) &&
	    !swarm_is_connected(kad->swarm, &peer->id))
		return 0;
	for (size_t i = peer->addr_count; i-- > 0;)
		if (kad_filter_addr(&kad->filter, &peer->addrs[i]))
			swarm_add_addr(kad->swarm, &peer->id, &peer->addrs[i],
				       KAD_WALK_ADDR_TTL_MS);
	taking->news[taking->count++] =
		(struct kad_lookup_news){ peer->id, kad_filter_group(&kad->filter, peer->addrs,
								     peer->addr_count) };
	return taking->count == KAD_LOOKUP_TAKE_MAX;
}

static bool take_answer(struct kad_walk *walk, const struct peer_id *from, struct bytes message,
			bool *more)
{
	struct kad_walk_answer answer = { .from = *from, .message = message };
	struct taking taking = { .walk = walk };

	if (kad_msg_decode(&answer.msg, message) || answer.msg.type != walk->type)
		return false;
	kad_peer_answered(walk->kad, from);
	*more = !walk->on_answer || walk->on_answer(walk->ctx, &answer);
	kad_msg_peers(message, KAD_CLOSER, take_closer, &taking);
	kad_lookup_answered(&walk->lookup, from, taking.news, taking.count);
	return true;
}

static void on_called(void *ctx, int err, struct bytes message)
{
	struct question *question = ctx;
	struct kad_walk *walk = question->walk;
	struct peer_id peer = question->peer;
	bool more = true;

	question_free(question);
	if (!err && !take_answer(walk, &peer, message, &more))
		err = -EBADMSG;
	if (err) {
		kad_lookup_failed(&walk->lookup, &peer);
		kad_peer_failed(walk->kad, &peer, err);
	}
	if (more)
		walk_pump(walk);
	else
		walk_end(walk, 0);
}

/* ---- questions ---- */

static void peer_ask(struct kad_walk *walk, const struct peer_id *peer)
{
	uint64_t deadline_ms = kad_now(walk->kad) + KAD_WALK_CALL_MS;
	struct question *question = xnew(struct question);

	question->walk = walk;
	question->peer = *peer;
	question->call =
		kad_client_call(walk->kad->client, peer, buf_bytes(&walk->request), true,
				deadline_ms < walk->deadline_ms ? deadline_ms : walk->deadline_ms,
				on_called, question);
	if (!question->call) {
		free(question);
		kad_lookup_failed(&walk->lookup, peer);
		return;
	}
	list_add_tail(&walk->calls, &question->node);
}

static void on_pump(void *ctx)
{
	walk_pump(ctx);
}

static void walk_pump(struct kad_walk *walk)
{
	uint64_t now = kad_now(walk->kad), due;
	struct peer_id peer;

	while (kad_lookup_next(&walk->lookup, now, &peer))
		peer_ask(walk, &peer);
	if (kad_lookup_done(&walk->lookup)) {
		walk_end(walk, 0);
		return;
	}
	due = kad_lookup_due_ms(&walk->lookup, now);
	if (due != UINT64_MAX)
		timer_start_at(walk->kad->timers, &walk->slow, due, on_pump, walk);
}

static void on_soon(void *ctx)
{
	struct kad_walk *walk = ctx;
	struct kad *kad = walk->kad;
	struct peer_id near[KAD_K_MAX];
	size_t count =
		kad_bucket_closest(&kad->table, &walk->lookup.target, NULL, near, kad->config.k);

	for (size_t i = 0; i < count; i++)
		kad_lookup_seed(&walk->lookup, &near[i]);
	walk_pump(walk);
}

void kad_walk_start(struct kad_walk *walk, struct kad *kad, enum kad_type type, struct bytes key,
		    uint64_t deadline_ms, kad_walk_answer_fn *on_answer, kad_walk_done_fn *on_done,
		    void *ctx)
{
	struct place target = place_of_key(key);

	*walk = (struct kad_walk){ .kad = kad,
				   .type = type,
				   .deadline_ms = deadline_ms,
				   .running = true,
				   .on_answer = on_answer,
				   .on_done = on_done,
				   .ctx = ctx };
	list_init(&walk->calls);
	kad_lookup_init(&walk->lookup, &target, &kad->table.self, kad->config.alpha,
			kad->config.beta, kad->config.k);
	kad_msg_begin(&walk->request, type, key);
	kad_msg_end(&walk->request);
	timer_start(kad->timers, &walk->soon, 0, on_soon, walk);
	timer_start_at(kad->timers, &walk->deadline, deadline_ms, on_deadline, walk);
}

/* The wants of all sessions. A want is one CID with all gets that wait for it; an ask is one want
 * sent to one peer, with the peer's answer. The client decides and the engine sends. Loop thread;
 * no sockets here. */
#include "exchange/bitswap/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DONT_HAVES_MAX 16 /* in a row: then a peer is of no use to a session */

void bitswap_client_init(struct bitswap_client *client, struct timers *timers,
			 struct random *random, const struct bitswap_client_config *config,
			 const struct bitswap_client_ops *ops, void *ctx)
{
	*client = (struct bitswap_client){ .timers = timers,
					   .random = random,
					   .ops = ops,
					   .ctx = ctx,
					   .config = *config,
					   .priority = INT32_MAX };
	list_init(&client->sessions);
	list_init(&client->peers);
	list_init(&client->dirty);
	list_init(&client->ready);
	list_init(&client->starved);
	list_init(&client->unreachable);
}

void bitswap_client_release(struct bitswap_client *client)
{
	assert(list_empty(&client->sessions) && list_empty(&client->peers));
	assert(client->wants.count == 0 && client->asks.count == 0);
	map_release(&client->wants);
	map_release(&client->asks);
}

/* ---- wants ---- */

static struct bitswap_want *want_new(struct bitswap_client *client, const struct cid *cid)
{
	struct bitswap_want *want = xnew(struct bitswap_want);

	if (client->wants.count == 0 || client->priority <= 1)
		client->priority = INT32_MAX;
	want->client = client;
	want->cid = *cid;
	want->priority = client->priority--;
	want->err = cid_allowed(cid) || cid_is_identity(cid) ? -EBADMSG : 0;
	list_init(&want->gets);
	list_init(&want->asks);
	list_init(&want->node);
	map_set(&client->wants, cid_bytes(cid), want);
	return want;
}

/* Each got() may cancel others of the list, or free their session: so always the first. */
static void client_finish(struct list *done, int err, struct block *block)
{
	while (!list_empty(done)) {
		struct bitswap_get *get = list_first(done, struct bitswap_get, want_node);
		bitswap_got_fn *got = get->got;
		void *ctx = get->ctx;

		bitswap_get_unlink(get);
		free(get);
		got(ctx, err, block ? block_ref(block) : NULL);
	}
}

static void want_fail(struct bitswap_want *want, int err)
{
	struct list done;

	list_init(&done);
	bitswap_want_detach(want, NULL, &done);
	client_finish(&done, err, NULL);
}

/* ---- gets ---- */

static struct wait_tried tried_of(const struct bitswap_want *want)
{
	return (struct wait_tried){ .told = true,
				    .asked = want->asked + want->left_count,
				    .known = want->client->connected,
				    .providers = want->looked ? want->providers : WAIT_NOT_LOOKED };
}

static void on_deadline(void *ctx)
{
	struct bitswap_get *get = ctx;
	bitswap_got_fn *got = get->got;
	void *got_ctx = get->ctx;

	if (get->tried)
		*get->tried = tried_of(get->want);
	bitswap_client_cancel(get);
	got(got_ctx, -ETIMEDOUT, NULL);
}

struct bitswap_get *bitswap_client_get(struct bitswap_session *session, const struct cid *cid,
				       uint64_t deadline_ms, bitswap_got_fn *got, void *ctx)
{
	struct bitswap_client *client = session->client;
	struct bitswap_want *want = bitswap_client_want(client, cid);

	if (client->gets >= client->config.gets_max ||
	    (!want && client->wants.count >= client->config.wants_max))
		return NULL;
	if (!want)
		want = want_new(client, cid);
	struct bitswap_get *get = xnew(struct bitswap_get);

	get->session = session;
	get->want = want;
	get->got = got;
	get->ctx = ctx;
	list_add_tail(&want->gets, &get->want_node);
	if (list_empty(&session->gets)) {
		session->active_ms = timers_now(client->timers);
		session->ticks = 0;
	}
	list_add_tail(&session->gets, &get->session_node);
	client->gets++;
	timer_start_at(client->timers, &get->deadline, deadline_ms, on_deadline, get);
	bitswap_want_requeue(want);
	bitswap_session_watch(session);
	return get;
}

/* ---- what peers say ---- */

/* Sessions that wait for want learn that peer is good for it. */
static void join_sessions(struct bitswap_want *want, struct bitswap_client_peer *peer,
			  bool delivered)
{
	list_for_each(get, &want->gets, struct bitswap_get, want_node) {
		struct bitswap_member *member = bitswap_session_join(get->session, peer);

		if (!member)
			continue;
		member->dont_haves = 0;
		member->delivered += delivered;
	}
}

bool bitswap_client_block(struct bitswap_client *client, struct bitswap_client_peer *from,
			  struct block *block)
{
	struct bitswap_want *want = bitswap_client_want(client, &block->cid);
	struct list done;

	if (!want)
		return false;
	if (from) {
		struct bitswap_ask *ask = bitswap_ask_find(want, from);

		bitswap_outbox_delivered(from, block->data.len,
					 ask && ask->block ? ask->sent_ms : 0);
		join_sessions(want, from, true);
	}
	list_for_each(get, &want->gets, struct bitswap_get, want_node)
		bitswap_session_active(get->session);
	list_init(&done);
	bitswap_want_detach(want, from, &done);
	client_finish(&done, 0, block);
	return true;
}

void bitswap_client_have(struct bitswap_client_peer *peer, const struct cid *cid)
{
	struct bitswap_want *want = bitswap_client_want(peer->client, cid);

	if (!want)
		return;
	struct bitswap_ask *ask = bitswap_ask_find(want, peer);

	if (!ask)
		ask = bitswap_ask_new(want, peer);
	if (ask)
		bitswap_ask_answer(ask, BITSWAP_HAVE);
	join_sessions(want, peer, false);
	bitswap_want_requeue(want);
}

void bitswap_client_dont_have(struct bitswap_client_peer *peer, const struct cid *cid)
{
	struct bitswap_want *want = bitswap_client_want(peer->client, cid);
	struct bitswap_ask *ask = want ? bitswap_ask_find(want, peer) : NULL;

	if (!ask)
		return;
	bitswap_ask_answer(ask, BITSWAP_DONT_HAVE);
	bitswap_ask_land(ask);
	list_for_each(get, &want->gets, struct bitswap_get, want_node) {
		struct bitswap_member *member = bitswap_session_member(get->session, peer);

		if (member && ++member->dont_haves >= DONT_HAVES_MAX)
			bitswap_session_leave(member);
	}
	bitswap_want_requeue(want);
}

void bitswap_client_looking(struct bitswap_client *client, const struct cid *cid, unsigned found)
{
	struct bitswap_want *want = bitswap_client_want(client, cid);

	if (!want)
		return;
	want->looked = true;
	if (found > want->providers)
		want->providers = found;
}

void bitswap_client_searched(struct bitswap_client *client, const struct cid *cid, unsigned found)
{
	struct bitswap_want *want = bitswap_client_want(client, cid);

	if (want && found == 0) {
		want->searched = true;
		bitswap_want_requeue(want);
	}
	/* Those that found no room for a search of their own. */
	if (client->connected == 0)
		list_for_each(session, &client->sessions, struct bitswap_session, node)
			if (!list_empty(&session->pending))
				bitswap_session_ready(session);
}

/* Sessions take turns: one that uses up the budget and wants more goes to the end. */
static void feed_starved(struct bitswap_client *client)
{
	struct list now;

	list_init(&now);
	list_move_all(&now, &client->starved);
	while (!list_empty(&now)) {
		struct bitswap_session *session =
			list_first(&now, struct bitswap_session, starved_node);

		uint64_t before = client->config.budget->asked;

		list_remove(&session->starved_node);
		bitswap_session_place(session);
		if (client->config.budget->asked > before || list_empty(&session->starved_node))
			continue;
		list_remove(&session->starved_node);
		list_add_head(&now, &session->starved_node);
		break;
	}
	/* Sessions that got nothing keep their place before those that were served. */
	list_move_all(&now, &client->starved);
	list_move_all(&client->starved, &now);
}

void bitswap_client_run(struct bitswap_client *client)
{
	feed_starved(client);
	while (!list_empty(&client->ready)) {
		struct bitswap_session *session =
			list_first(&client->ready, struct bitswap_session, ready_node);

		list_remove(&session->ready_node);
		bitswap_session_place(session);
	}
	while (!list_empty(&client->unreachable)) {
		struct bitswap_want *want =
			list_first(&client->unreachable, struct bitswap_want, node);

		want_fail(want, want->err);
	}
}

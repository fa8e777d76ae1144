/* The wants of all sessions. A want is one CID with all gets that wait for it; an ask is one want
 * sent to one peer, with the peer's answer. The client decides and the engine sends. Loop thread;
 * no sockets here. */
#include "exchange/bitswap/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DONT_HAVES_MAX 16 /* in a row: then a peer is of no use to a session */
#define FEW_ASKS 8	  /* so few are walked through sooner than a key is hashed */

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

struct bitswap_want *bitswap_client_want(const struct bitswap_client *client, const struct cid *cid)
{
	return map_get(&client->wants, cid_bytes(cid));
}

/* ---- asks ---- */

struct ask_key {
	const struct bitswap_want *want;
	const struct bitswap_client_peer *peer;
};

static struct bytes key_bytes(const struct ask_key *key)
{
	return bytes_of(key, sizeof(*key));
}

/* A want asked of everybody has an ask for each of a thousand peers, and each of them answers. */
struct bitswap_ask *bitswap_ask_find(struct bitswap_want *want, struct bitswap_client_peer *peer)
{
	struct ask_key key = { want, peer };

	if (want->ask_count > FEW_ASKS)
		return map_get(&want->client->asks, key_bytes(&key));
	list_for_each(ask, &want->asks, struct bitswap_ask, want_node)
		if (ask->peer == peer)
			return ask;
	return NULL;
}

struct bitswap_ask *bitswap_ask_new(struct bitswap_want *want, struct bitswap_client_peer *peer)
{
	if (peer->ask_count >= BITSWAP_ASKS_MAX)
		return NULL;
	struct bitswap_ask *ask = xnew(struct bitswap_ask);
	struct ask_key key = { want, peer };

	ask->want = want;
	ask->peer = peer;
	map_set(&want->client->asks, key_bytes(&key), ask);
	want->ask_count++;
	list_add_tail(&want->asks, &ask->want_node);
	list_add_tail(&peer->asks, &ask->peer_node);
	list_init(&ask->out_node);
	list_init(&ask->flight_node);
	peer->ask_count++;
	return ask;
}

/* What it was expected to bring. */
static void count_off(struct bitswap_ask *ask)
{
	struct bitswap_client *client = ask->peer->client;

	ask->want->flying--;
	client->config.budget->asked -= ask->expected;
	ask->expected = 0;
	bitswap_client_room(client);
}

void bitswap_ask_hedge(struct bitswap_ask *ask)
{
	ask->hedged = true;
	count_off(ask);
	bitswap_want_requeue(ask->want);
}

void bitswap_ask_land(struct bitswap_ask *ask)
{
	if (!ask->flying)
		return;
	if (ask->peer->flying == 1)
		bitswap_outbox_settle(ask->peer);
	ask->flying = false;
	list_remove(&ask->flight_node);
	if (!ask->hedged)
		count_off(ask);
	ask->hedged = false;
	ask->peer->flying--;
	/* Room at this peer: its sessions may have more for it, or others of theirs. */
	list_for_each(member, &ask->peer->members, struct bitswap_member, peer_node)
		if (!list_empty(&member->session->pending) ||
		    bitswap_session_may_steal(member->session))
			bitswap_session_ready(member->session);
}

void bitswap_ask_answer(struct bitswap_ask *ask, enum bitswap_answer answer)
{
	ask->want->refused -= ask->answer == BITSWAP_DONT_HAVE;
	ask->answer = answer;
	ask->want->refused += answer == BITSWAP_DONT_HAVE;
}

/* Of an id the end is a key or a hash; its beginning is the same for many. */
static uint64_t end_of_id(const struct peer_id *id)
{
	struct bytes bytes = peer_id_bytes(id);
	uint64_t end = 0;

	if (bytes.len >= sizeof end)
		memcpy(&end, bytes.at + bytes.len - sizeof end, sizeof end);
	return end;
}

/* The index in want->left, or left_count. */
static unsigned left_index(const struct bitswap_want *want, const struct peer_id *id)
{
	uint64_t end = end_of_id(id);
	unsigned i = 0;

	while (i < want->left_count && want->left[i] != end)
		i++;
	return i;
}

void bitswap_ask_sent(struct bitswap_ask *ask, uint64_t now_ms)
{
	struct bitswap_want *want = ask->want;
	unsigned left;

	ask->sent = true;
	ask->sent_ms = now_ms;
	if (ask->asked)
		return;
	ask->asked = true;
	want->asked++;
	left = left_index(want, &ask->peer->id);
	if (left < want->left_count) /* it is back */
		want->left[left] = want->left[--want->left_count];
}

void bitswap_ask_left(struct bitswap_ask *ask)
{
	struct bitswap_want *want = ask->want;

	if (ask->asked && want->left_count < BITSWAP_LEFT_MAX &&
	    left_index(want, &ask->peer->id) == want->left_count)
		want->left[want->left_count++] = end_of_id(&ask->peer->id);
}

void bitswap_ask_free(struct bitswap_ask *ask, bool cancel)
{
	struct bitswap_client_peer *peer = ask->peer;
	struct ask_key key = { ask->want, peer };

	bitswap_ask_land(ask);
	bitswap_ask_answer(ask, BITSWAP_NO_ANSWER);
	map_remove(&peer->client->asks, key_bytes(&key));
	ask->want->ask_count--;
	ask->want->asked -= ask->asked;
	if (cancel && ask->sent) {
		map_set(&peer->cancels, cid_bytes(&ask->want->cid), peer);
		bitswap_outbox_dirty(peer);
	}
	list_remove(&ask->want_node);
	list_remove(&ask->peer_node);
	list_remove(&ask->out_node);
	peer->ask_count--;
	free(ask);
}

void bitswap_ask_send(struct bitswap_ask *ask, bool block)
{
	struct bitswap_client_peer *peer = ask->peer;

	/* A cancel and a want of one CID in one message would mean the cancel. */
	map_remove(&peer->cancels, cid_bytes(&ask->want->cid));
	ask->block |= block;
	ask->sent_ms = timers_now(peer->client->timers);
	list_remove(&ask->out_node);
	list_add_tail(&peer->out, &ask->out_node);
	if (block && !ask->flying) {
		ask->flying = true;
		ask->want->flying++;
		ask->expected = peer->block_size;
		peer->client->config.budget->asked += ask->expected;
		bitswap_budget_note(peer->client->config.budget);
		if (peer->flying++ == 0)
			bitswap_outbox_flight(peer);
		list_add_tail(&peer->flight, &ask->flight_node);
		bitswap_outbox_arm(peer);
	}
	bitswap_outbox_dirty(peer);
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

void bitswap_want_unqueue(struct bitswap_want *want)
{
	list_remove(&want->node);
	if (want->home)
		want->home->pending_count--;
	want->home = NULL;
}

void bitswap_want_requeue(struct bitswap_want *want)
{
	if (want->flying || want->home || list_empty(&want->gets))
		return;
	want->home = list_first(&want->gets, struct bitswap_get, want_node)->session;
	list_remove(&want->node);
	list_add_tail(&want->home->pending, &want->node);
	want->home->pending_count++;
	bitswap_session_ready(want->home);
}

/* Out of every table; waiters move to done. answered: the peer that need not be told. */
static void want_detach(struct bitswap_want *want, const struct bitswap_client_peer *answered,
			struct list *done)
{
	struct bitswap_client *client = want->client;

	map_remove(&client->wants, cid_bytes(&want->cid));
	bitswap_want_unqueue(want);
	list_for_each_safe(ask, &want->asks, struct bitswap_ask, want_node)
		bitswap_ask_free(ask, ask->peer != answered || ask->answer == BITSWAP_DONT_HAVE);
	while (!list_empty(&want->gets)) {
		struct bitswap_get *get = list_first(&want->gets, struct bitswap_get, want_node);

		get->want = NULL;
		list_remove(&get->want_node);
		list_add_tail(done, &get->want_node);
	}
	client->ops->unwanted(client->ctx, &want->cid);
	free(want);
}

static void get_unlink(struct bitswap_get *get)
{
	struct bitswap_client *client = get->session->client;

	timer_stop(client->timers, &get->deadline);
	list_remove(&get->want_node);
	list_remove(&get->session_node);
	client->gets--;
}

/* Each got() may cancel others of the list, or free their session: so always the first. */
static void finish(struct list *done, int err, struct block *block)
{
	while (!list_empty(done)) {
		struct bitswap_get *get = list_first(done, struct bitswap_get, want_node);
		bitswap_got_fn *got = get->got;
		void *ctx = get->ctx;

		get_unlink(get);
		free(get);
		got(ctx, err, block ? block_ref(block) : NULL);
	}
}

static void want_fail(struct bitswap_want *want, int err)
{
	struct list done;

	list_init(&done);
	want_detach(want, NULL, &done);
	finish(&done, err, NULL);
}

/* ---- gets ---- */

void bitswap_client_cancel(struct bitswap_get *get)
{
	if (!get)
		return;
	struct bitswap_want *want = get->want;
	struct bitswap_session *session = get->session;
	struct list none;

	list_init(&none);
	get_unlink(get);
	free(get);
	if (!want)
		return;
	if (list_empty(&want->gets)) {
		want_detach(want, NULL, &none);
	} else if (want->home == session) {
		bitswap_want_unqueue(want);
		bitswap_want_requeue(want);
	}
}

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
	want_detach(want, from, &done);
	finish(&done, 0, block);
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

void bitswap_client_room(struct bitswap_client *client)
{
	if (!list_empty(&client->starved))
		client->ops->wake(client->ctx);
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

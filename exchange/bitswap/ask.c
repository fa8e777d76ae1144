/* Wants and asks, moved from state to state: a want is one CID that gets wait for; an ask is one
 * want sent to one peer, with the peer's answer. Loop thread. */
#include "exchange/bitswap/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FEW_ASKS 8 /* so few are walked through sooner than a key is hashed */

struct ask_key {
	const struct bitswap_want *want;
	const struct bitswap_client_peer *peer;
};

static struct bytes key_bytes(const struct ask_key *key)
{
	return bytes_of(key, sizeof(*key));
}

struct bitswap_want *bitswap_client_want(const struct bitswap_client *client, const struct cid *cid)
{
	return map_get(&client->wants, cid_bytes(cid));
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

void bitswap_client_room(struct bitswap_client *client)
{
	if (!list_empty(&client->starved))
		client->ops->wake(client->ctx);
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
void bitswap_want_detach(struct bitswap_want *want, const struct bitswap_client_peer *answered,
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

void bitswap_get_unlink(struct bitswap_get *get)
{
	struct bitswap_client *client = get->session->client;

	timer_stop(client->timers, &get->deadline);
	list_remove(&get->want_node);
	list_remove(&get->session_node);
	client->gets--;
}

void bitswap_client_cancel(struct bitswap_get *get)
{
	if (!get)
		return;
	struct bitswap_want *want = get->want;
	struct bitswap_session *session = get->session;
	struct list none;

	list_init(&none);
	bitswap_get_unlink(get);
	free(get);
	if (!want)
		return;
	if (list_empty(&want->gets)) {
		bitswap_want_detach(want, NULL, &none);
	} else if (want->home == session) {
		bitswap_want_unqueue(want);
		bitswap_want_requeue(want);
	}
}

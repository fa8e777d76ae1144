/* One peer as the client sees it: what is to be sent to it, and what is done when it is silent.
 * Loop thread; no sockets here. */
#include "exchange/bitswap/client.h"

#include "exchange/bitswap/msg.h"

#include <stdlib.h>

#define MESSAGE_ENTRIES_MAX 1024 /* what a Kubo ledger takes from one message */
#define BLOCK_SIZE_GUESS (256u << 10)
#define SUSPECT_MS 2000 /* others come first; twice as long each time in a row */
#define STRIKES_MAX 5
#define RESEND_MS 30000
#define FEW_PEERS 16 /* so few may all say that they have it not */

static void on_patience(void *ctx);

struct bitswap_client_peer *bitswap_outbox_add(struct bitswap_client *client,
					       const struct peer_id *id, void *owner)
{
	struct bitswap_client_peer *peer = xnew(struct bitswap_client_peer);

	peer->client = client;
	peer->id = *id;
	peer->owner = owner;
	peer->on_patience = on_patience;
	peer->haves = true;
	peer->block_size = BLOCK_SIZE_GUESS;
	peer->owed = BITSWAP_UNASKED_MAX;
	list_add_tail(&client->peers, &peer->node);
	list_init(&peer->dirty_node);
	list_init(&peer->asks);
	list_init(&peer->out);
	list_init(&peer->flight);
	list_init(&peer->members);
	client->connected++;
	client->undecided++;
	return peer;
}

/* A peer that comes or goes changes the answer for every want that is not on its way. */
static void requeue_all(struct bitswap_client *client)
{
	list_for_each(session, &client->sessions, struct bitswap_session, node) {
		list_for_each(get, &session->gets, struct bitswap_get, session_node) {
			if (!get->want)
				continue;
			get->want->broadcast = false;
			bitswap_want_requeue(get->want);
		}
	}
}

static void outbox_count(struct bitswap_client_peer *peer, int change)
{
	if (peer->ability == BITSWAP_UNDECIDED)
		peer->client->undecided += (unsigned)change;
	else if (peer->ability == BITSWAP_ABLE)
		peer->client->able += (unsigned)change;
}

void bitswap_outbox_able(struct bitswap_client_peer *peer, enum bitswap_ability ability)
{
	if (peer->ability == ability)
		return;
	outbox_count(peer, -1);
	peer->ability = ability;
	outbox_count(peer, 1);
	requeue_all(peer->client);
	if (ability == BITSWAP_ABLE)
		list_for_each(session, &peer->client->sessions, struct bitswap_session, node)
			bitswap_session_meet(session, peer);
	if (ability != BITSWAP_UNABLE)
		return;
	list_for_each_safe(ask, &peer->asks, struct bitswap_ask, peer_node) {
		struct bitswap_want *want = ask->want;

		bitswap_ask_free(ask, false);
		bitswap_want_requeue(want);
	}
}

void bitswap_outbox_remove(struct bitswap_client_peer *peer)
{
	struct bitswap_client *client = peer->client;

	while (!list_empty(&peer->members))
		bitswap_session_leave(list_first(&peer->members, struct bitswap_member, peer_node));
	while (!list_empty(&peer->asks)) {
		struct bitswap_ask *ask = list_first(&peer->asks, struct bitswap_ask, peer_node);
		struct bitswap_want *want = ask->want;

		bitswap_ask_left(ask);
		bitswap_ask_free(ask, false);
		bitswap_want_requeue(want);
	}
	outbox_count(peer, -1);
	client->connected--;
	timer_stop(client->timers, &peer->patience);
	list_remove(&peer->node);
	list_remove(&peer->dirty_node);
	map_release(&peer->cancels);
	free(peer);
	if (client->connected == 0)
		requeue_all(client);
}

void bitswap_outbox_resend(struct bitswap_client_peer *peer)
{
	list_for_each(ask, &peer->asks, struct bitswap_ask, peer_node) {
		if (!ask->sent)
			continue;
		ask->sent = false;
		list_remove(&ask->out_node);
		list_add_tail(&peer->out, &ask->out_node);
	}
	map_release(&peer->cancels);
	bitswap_outbox_dirty(peer);
}

bool bitswap_outbox_compose(struct bitswap_client_peer *peer, struct buf *out)
{
	uint64_t now_ms = timers_now(peer->client->timers);
	bool few = peer->client->able <= FEW_PEERS;
	struct buf entries = { 0 };
	struct bytes key;
	void *value;
	size_t at = 0;

	while (map_next(&peer->cancels, &at, &key, &value)) {
		struct bitswap_entry entry = { .cancel = true };

		if (cid_from_bytes(&entry.cid, key) == 0)
			bitswap_msg_add_entry(&entries, &entry);
	}
	map_release(&peer->cancels);
	for (unsigned n = 0; n < MESSAGE_ENTRIES_MAX && !list_empty(&peer->out); n++) {
		struct bitswap_ask *ask = list_first(&peer->out, struct bitswap_ask, out_node);
		bool have = !ask->block && peer->haves;
		struct bitswap_entry entry = { .cid = ask->want->cid,
					       .priority = ask->want->priority,
					       .have = have,
					       .send_dont_have = peer->haves && (!have || few) };

		bitswap_msg_add_entry(&entries, &entry);
		list_remove(&ask->out_node);
		bitswap_ask_sent(ask, now_ms);
		peer->owed += peer->owed < BITSWAP_OWED_MAX;
	}
	bool any = entries.len > 0;

	if (any)
		bitswap_msg_add_wantlist(out, buf_bytes(&entries), false);
	buf_release(&entries);
	return any;
}

/* Each want sent may bring one block, at once or late. */
bool bitswap_outbox_expects(struct bitswap_client_peer *peer)
{
	if (peer->owed == 0)
		return false;
	peer->owed--;
	return true;
}

/* ---- no answer is an answer ---- */

static void hedge(struct bitswap_client_peer *peer, struct bitswap_ask *ask, uint64_t now_ms)
{
	if (now_ms >= peer->suspect_until_ms) {
		peer->suspect_until_ms = now_ms + (SUSPECT_MS << peer->strikes);
		if (peer->strikes < STRIKES_MAX)
			peer->strikes++;
	}
	bitswap_ask_hedge(ask);
}

/* Goes through what is in flight at the peer: gives up what is lost, asks another peer for what
 * is late, and repeats what is old. */
static void on_patience(void *ctx)
{
	struct bitswap_client_peer *peer = ctx;
	uint64_t now_ms = timers_now(peer->client->timers), next_ms = TIMER_NEVER;

	if (peer->client->paused)
		peer->progress_ms = peer->delivered_ms = now_ms;
	list_for_each_safe(ask, &peer->flight, struct bitswap_ask, flight_node) {
		struct bitswap_want *want = ask->want;

		if (now_ms >= bitswap_pace_lost_at(peer, ask)) {
			bitswap_ask_answer(ask, BITSWAP_TOO_LATE);
			bitswap_ask_land(ask);
			want->broadcast = false;
			bitswap_want_requeue(want);
			continue;
		}
		if (now_ms >= bitswap_pace_event_at(peer, ask))
			hedge(peer, ask, now_ms);
		else if (now_ms - ask->sent_ms >= RESEND_MS)
			bitswap_ask_send(ask, true);
		if (bitswap_pace_event_at(peer, ask) < next_ms)
			next_ms = bitswap_pace_event_at(peer, ask);
	}
	if (next_ms != TIMER_NEVER)
		bitswap_pace_arm_at(peer, next_ms);
}
